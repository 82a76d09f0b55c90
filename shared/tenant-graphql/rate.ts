import { Problem } from '../kernel/http/problem.ts'
import { createRemembered } from './remembered.ts'

/** Of callers who come less often than that is known, nothing is. */
const MOST = 10_000

/** A minute's requests may come at once, up to this share of them. */
const BURST_SHARE = 0.25

interface Bucket {
  tokens: number
  filledAt: number
}

/**
 * Counts requests in this process; the platform may run several of them.
 * @returns a function that throws Problem `too_many_requests` when the caller has had as many as are allowed
 */
export function createRateLimit(
  now: () => number = () => performance.now(),
): (countedAs: string, perMinute: number) => void {
  const buckets = createRemembered<Bucket>(MOST)
  return (countedAs, perMinute) => {
    const capacity = Math.max(1, perMinute * BURST_SHARE)
    const perMs = perMinute / 60_000
    const at = now()
    const bucket = buckets.get(countedAs) ?? { tokens: capacity, filledAt: at }
    bucket.tokens = Math.min(capacity, bucket.tokens + (at - bucket.filledAt) * perMs)
    bucket.filledAt = at
    buckets.set(countedAs, bucket)
    if (bucket.tokens < 1) {
      const seconds = Math.ceil((1 - bucket.tokens) / perMs / 1000)
      throw new Problem(
        'too_many_requests',
        `${perMinute} requests a minute are allowed, counted by each instance of the function. Try again in ${seconds} s.`,
        [],
        seconds,
      )
    }
    bucket.tokens -= 1
  }
}
