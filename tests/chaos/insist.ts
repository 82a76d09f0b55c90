import { setTimeout as sleep } from 'node:timers/promises'

const PAUSE_MS = 100
const PATIENCE_MS = 60_000

/**
 * Tries until it works: for the suite's own statements, which a crash of the database must not stop. Only for what may
 * be done twice. @throws the last error after a minute, or the reason of the signal
 */
export async function insist<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (const startedAt = performance.now(); ; ) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() - startedAt > PATIENCE_MS) throw error
    }
    await sleep(PAUSE_MS, undefined, { signal })
  }
}
