import type { Caller } from './caller.ts'
import type { Environment } from './environment.ts'
import { Problem } from './http/problem.ts'

/** Places for callers who wait for something to happen, or listen to it: each costs memory and a part of every poll. */
export interface WaitingRoom {
  /** @returns what gives the place back, once or more often @throws Problem too_many_waiting */
  enter(caller: Caller): () => void
}

const COME_AGAIN_SECONDS = 5

/** One for a process. The backend has no limit of its own: it waits for many users. */
export function createWaitingRoom({
  WAITING_PER_USER: perUser,
  WAITING_PER_PROCESS: perProcess,
}: Pick<Environment, 'WAITING_PER_USER' | 'WAITING_PER_PROCESS'>): WaitingRoom {
  const inside = new Set<symbol>()
  const ofUsers = new Map<string, number>()
  const count = (userId: string, more: number) => {
    const waiting = (ofUsers.get(userId) ?? 0) + more
    if (waiting > 0) ofUsers.set(userId, waiting)
    else ofUsers.delete(userId)
  }
  return {
    enter(caller) {
      const userId = caller.type === 'user' ? caller.userId : undefined
      if (userId !== undefined && (ofUsers.get(userId) ?? 0) >= perUser)
        throw tooMany(`You wait for ${perUser} outcomes at once already, as many as one user may.`)
      if (inside.size >= perProcess) throw tooMany('As many callers wait here as can be served at once.')
      const place = Symbol()
      inside.add(place)
      if (userId !== undefined) count(userId, 1)
      return () => {
        if (inside.delete(place) && userId !== undefined) count(userId, -1)
      }
    },
  }
}

function tooMany(why: string): Problem {
  const advice = `Ask without waiting, or try again in ${COME_AGAIN_SECONDS} s.`
  return new Problem('too_many_waiting', `${why} ${advice}`, [], COME_AGAIN_SECONDS)
}
