import { networkError } from '../kernel/database/socket.ts'
import type { Connection, UseLimits } from './connection.ts'

export interface PoolLimits {
  readonly connections: number
  /** Who may wait for a connection at once; others are refused. */
  readonly waiting: number
  readonly idleMs: number
  readonly lifeMs: number
}

export interface Lease {
  readonly connection: Connection
  /** Whether it was open before; then the server may have gone away meanwhile without our knowing. */
  readonly isReused: boolean
  /** How long it took to open, in milliseconds; 0 for one that was open. A database that sleeps wakes in that time. */
  readonly openedInMs: number
  release(): void
}

/** The connections into one tenant's database. */
export interface Pool {
  /** @throws what opening a connection throws; an error with the code BUSY, or DEADLINE when the turn does not come in time */
  acquire(limits: UseLimits): Promise<Lease>
  readonly isIdle: boolean
  end(): void
}

interface Held {
  readonly connection: Connection
  readonly openedAt: number
  idleTimer?: ReturnType<typeof setTimeout>
}

interface Waiter {
  resolve(held: Held | undefined): void
  readonly timer: ReturnType<typeof setTimeout>
}

/** @param open opens a connection; told what to do when it is lost */
export function createPool(open: (onLost: () => void) => Promise<Connection>, limits: PoolLimits): Pool {
  const idle: Held[] = []
  const waiting: Waiter[] = []
  /** Those that are open or being opened. */
  let taken = 0
  let isEnded = false

  const nextTurn = () => {
    const held = idle.pop()
    const waiter = held || taken < limits.connections ? waiting.shift() : undefined
    if (!waiter) {
      if (held) idle.push(held)
      return
    }
    clearTimeout(waiter.timer)
    if (held) clearTimeout(held.idleTimer)
    else taken += 1
    waiter.resolve(held)
  }
  const giveUp = (held: Held) => {
    clearTimeout(held.idleTimer)
    const place = idle.indexOf(held)
    if (place >= 0) idle.splice(place, 1)
    held.connection.end()
  }
  const putBack = (held: Held) => {
    held.connection.unlimit()
    if (held.connection.isLost) return
    if (isEnded || performance.now() - held.openedAt > limits.lifeMs) return giveUp(held)
    held.idleTimer = setTimeout(() => giveUp(held), limits.idleMs)
    idle.push(held)
    nextTurn()
  }
  /** A connection that is free, or undefined when the place for another one was taken. */
  const takeTurn = async (endsAt: number): Promise<Held | undefined> => {
    const held = idle.pop()
    if (held) {
      clearTimeout(held.idleTimer)
      return held
    }
    if (taken < limits.connections) {
      taken += 1
      return undefined
    }
    if (waiting.length >= limits.waiting)
      throw networkError('BUSY', 'too many requests wait for a connection')
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => {
          waiting.splice(waiting.indexOf(waiter), 1)
          reject(networkError('DEADLINE', 'no connection was free in time'))
        },
        Math.max(0, endsAt - performance.now()),
      )
      const waiter = { resolve, timer }
      waiting.push(waiter)
    })
  }
  const openNew = async (): Promise<Held> => {
    let isCounted = true
    const free = () => {
      if (!isCounted) return
      isCounted = false
      taken -= 1
      nextTurn()
    }
    const held: { current?: Held } = {}
    try {
      const connection = await open(() => {
        free()
        if (held.current) forget(held.current)
      })
      held.current = { connection, openedAt: performance.now() }
      return held.current
    } catch (error) {
      free()
      throw error
    }
  }
  const forget = (held: Held) => {
    clearTimeout(held.idleTimer)
    const place = idle.indexOf(held)
    if (place >= 0) idle.splice(place, 1)
  }

  return {
    async acquire(use) {
      const startedAt = performance.now()
      const known = await takeTurn(use.endsAt)
      const opening = performance.now()
      const held = known ?? (await openNew())
      held.connection.limit(use)
      return {
        connection: held.connection,
        isReused: known !== undefined,
        openedInMs: known ? 0 : Math.max(1, Math.round(performance.now() - Math.max(startedAt, opening))),
        release: () => putBack(held),
      }
    },
    get isIdle() {
      return taken === idle.length && waiting.length === 0
    },
    end() {
      isEnded = true
      for (const held of idle.slice()) giveUp(held)
    },
  }
}
