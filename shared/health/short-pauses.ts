import { setTimeout as sleep } from 'node:timers/promises'
import type { Result } from '../kernel/result.ts'
import { type DatabaseWatch, throughEach } from '../services/database/watch.ts'
import { WORTH_WAITING_SECONDS } from '../services/guard.ts'

/** A turn that has just come may have been taken by somebody else. */
const SHORTEST_PAUSE_MS = 50

/**
 * The provider, asked again after pauses of up to WORTH_WAITING_SECONDS altogether. Health takes no place in the queue of calls,
 * so its turns are refused for tenths of a second while others use the rate limit; putting every such check off would leave
 * most of the allowed calls unused. Those who wait are spread, so that one of them asks at a time. The services beside a database are
 * asked for when there is a turn at once: another check comes soon.
 */
export function waitOutShortPauses(watch: DatabaseWatch): DatabaseWatch {
  let lastTurn = 0
  const ask = async <T>(request: () => Promise<Result<T>>): Promise<Result<T>> => {
    const deadline = performance.now() + WORTH_WAITING_SECONDS * 1000
    for (;;) {
      const result = await request()
      if (result.ok || result.failure.pauseSeconds === undefined) return result
      const pauseMs = Math.max(SHORTEST_PAUSE_MS, result.failure.pauseSeconds * 1000)
      const turn = Math.max(performance.now(), lastTurn) + pauseMs
      if (turn > deadline) return result
      lastTurn = turn
      await sleep(turn - performance.now())
    }
  }
  const { illServices } = watch
  return { ...throughEach(watch, ask), ...(illServices && { illServices }) }
}
