import type { Clock } from '../clock.ts'

const WINDOW_MS = 60_000

/** What the headers of each reply say. */
export interface Allowance {
  readonly limit: number
  readonly remaining: number
  /** Seconds until the minute is over. */
  readonly resetSeconds: number
  readonly isRefused: boolean
}

/** So many requests a minute, as the vendor counts: for each project by itself, and for all that belongs to no project. */
export class RateLimit {
  readonly #limit: () => number
  readonly #clock: Clock
  readonly #windows = new Map<string, { readonly endsAt: number; used: number }>()

  constructor(limit: () => number, clock: Clock) {
    this.#limit = limit
    this.#clock = clock
  }

  reset(): void {
    this.#windows.clear()
  }

  /** Counts a request. @param scope the project's ref, or what stands for the organization */
  take(scope: string): Allowance {
    const now = this.#clock()
    const known = this.#windows.get(scope)
    const window = known && known.endsAt > now ? known : { endsAt: now + WINDOW_MS, used: 0 }
    this.#windows.set(scope, window)
    window.used++
    const limit = this.#limit()
    return {
      limit,
      remaining: Math.max(0, limit - window.used),
      resetSeconds: Math.ceil((window.endsAt - now) / 1000),
      isRefused: window.used > limit,
    }
  }
}
