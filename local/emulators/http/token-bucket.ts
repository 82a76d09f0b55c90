import type { Clock } from '../clock.ts'

/**
 * A rate limit with bursts: `capacity` requests at once, refilled at `perSecond`. Infinity switches it off.
 * `take` returns 0 when a request may pass, else the seconds until the next one may.
 */
export class TokenBucket {
  readonly capacity: number
  readonly perSecond: number
  readonly #clock: Clock
  #tokens: number
  #filledAt: number

  constructor(capacity: number, perSecond: number, clock: Clock) {
    this.capacity = capacity
    this.perSecond = perSecond
    this.#clock = clock
    this.#tokens = capacity
    this.#filledAt = clock()
  }

  take(): number {
    if (this.capacity === Number.POSITIVE_INFINITY) return 0
    const now = this.#clock()
    const gained = (Math.max(0, now - this.#filledAt) / 1000) * this.perSecond
    this.#tokens = Math.min(this.capacity, this.#tokens + gained)
    this.#filledAt = now
    if (this.#tokens < 1) return (1 - this.#tokens) / this.perSecond
    this.#tokens -= 1
    return 0
  }
}
