import type { Result } from '../../kernel/result.ts'

/** A list is new enough for whoever looks again after five seconds. */
const FRESH_MS = 3_000

/**
 * One call for all who ask within a few seconds, those included who come while it is under way: ten projects that come up are looked
 * at as cheaply as one. A failure is told to those who wait for it, and is not kept.
 * @param now milliseconds
 */
export function createSharedList<T>(
  read: () => Promise<Result<T>>,
  now: () => number,
  freshMs = FRESH_MS,
): () => Promise<Result<T>> {
  let last: { readonly at: number; readonly value: Result<T> } | undefined
  let reading: Promise<Result<T>> | undefined
  const readAnew = async () => {
    const at = now()
    const value = await read()
    last = value.ok ? { at, value } : undefined
    return value
  }
  return () => {
    if (last && now() - last.at < freshMs) return Promise.resolve(last.value)
    reading ??= readAnew().finally(() => {
      reading = undefined
    })
    return reading
  }
}
