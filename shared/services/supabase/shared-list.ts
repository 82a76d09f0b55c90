import type { Result } from '../../kernel/result.ts'
import { createSingleFlight } from '../../kernel/single-flight.ts'

/** A list is new enough for whoever looks again after five seconds. */
const FRESH_MS = 3_000

/** @param since milliseconds: an answer that was asked for before is asked for again */
export type SharedList<T> = (since?: number) => Promise<Result<T>>

/**
 * One call for all who ask within a few seconds, those included who come while it is under way: ten projects that come up are looked
 * at as cheaply as one. A failure is told to those who wait for it, and is not kept.
 * @param now milliseconds
 */
export function createSharedList<T>(
  read: () => Promise<Result<T>>,
  now: () => number,
  freshMs = FRESH_MS,
): SharedList<T> {
  let last: { readonly at: number; readonly value: Result<T> } | undefined
  let begunAt = Number.NEGATIVE_INFINITY
  const list = createSingleFlight(async () => {
    const at = now()
    begunAt = at
    const value = await read()
    last = value.ok ? { at, value } : undefined
    return value
  })
  const ask: SharedList<T> = (since = Number.NEGATIVE_INFINITY) => {
    if (last && now() - last.at < freshMs && last.at >= since) return Promise.resolve(last.value)
    // One under way that began too early for this caller is waited for, so that there is one call at a time.
    const underWay = list.underWay()
    return underWay && begunAt < since ? underWay.then(() => ask(since)) : list.read()
  }
  return ask
}
