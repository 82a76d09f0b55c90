import { setTimeout as sleep } from 'node:timers/promises'
import type { Result } from '../kernel/result.ts'
import { WORTH_WAITING_SECONDS } from '../services/guard.ts'
import type { HealthProvider } from './tenant-check.ts'

/** A turn that has just come may have been taken by somebody else. */
const SHORTEST_PAUSE_MS = 50

/**
 * The provider, asked again after pauses of up to WORTH_WAITING_SECONDS altogether. Health takes no place in the queue of calls,
 * so its turns are refused for tenths of a second while others use the rate limit; putting every such check off would leave
 * most of the allowed calls unused. Those who wait are spread, so that one of them asks at a time.
 */
export function waitOutShortPauses(provider: HealthProvider): HealthProvider {
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
  return {
    compute: (projectId) => ask(() => provider.compute(projectId)),
    usage: (projectId) => ask(() => provider.usage(projectId)),
    projectPage: (cursor) => ask(() => provider.projectPage(cursor)),
  }
}
