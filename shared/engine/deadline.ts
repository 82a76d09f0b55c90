import { networkError } from '../kernel/database/socket.ts'

/**
 * Work that was told to end may go on for so long: the longest call that creates something takes 30 s, and it is better to
 * know its answer than to have given it up.
 */
const GRACE_MS = 35_000

/**
 * Does work that gets a signal for its deadline and for the abort of the other signal. When the work ignores it, nobody waits for
 * its end.
 * @returns undefined when the work has not ended GRACE_MS after it was told to
 */
export async function withinDeadline<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  graceMs = GRACE_MS,
): Promise<T | undefined> {
  const deadline = new AbortController()
  const stop = AbortSignal.any([signal, deadline.signal])
  const timers: ReturnType<typeof setTimeout>[] = []
  timers.push(setTimeout(() => deadline.abort(networkError('DEADLINE', 'it took too long')), ms))
  const leftBehind = new Promise<undefined>((resolve) => {
    const wait = () => timers.push(setTimeout(resolve, graceMs, undefined))
    if (stop.aborted) wait()
    else stop.addEventListener('abort', wait, { once: true })
  })
  try {
    return await Promise.race([work(stop), leftBehind])
  } finally {
    for (const timer of timers) clearTimeout(timer)
  }
}
