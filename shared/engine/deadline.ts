import { networkError } from '../kernel/database/socket.ts'

/**
 * Work that was told to end may go on for so long: the longest call that creates something takes 30 s, and it is better to
 * know its answer than to have given it up.
 */
const GRACE_MS = 35_000

/**
 * Does work that hears of its deadline, and of the signal's abort, through the signal that it is given. Who does not heed that is
 * left behind.
 * @returns undefined when the work has not ended GRACE_MS after it was told to
 */
export async function withinDeadline<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  graceMs = GRACE_MS,
): Promise<T | undefined> {
  const deadline = new AbortController()
  const told = AbortSignal.any([signal, deadline.signal])
  const timers: ReturnType<typeof setTimeout>[] = []
  timers.push(setTimeout(() => deadline.abort(networkError('DEADLINE', 'it took too long')), ms))
  const leftBehind = new Promise<undefined>((resolve) => {
    const wait = () => timers.push(setTimeout(resolve, graceMs, undefined))
    if (told.aborted) wait()
    else told.addEventListener('abort', wait, { once: true })
  })
  try {
    return await Promise.race([work(told), leftBehind])
  } finally {
    for (const timer of timers) clearTimeout(timer)
  }
}
