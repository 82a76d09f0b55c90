import { PORT_USES } from '../../../tools/ports.ts'
import type { Clock } from '../clock.ts'
import { CallCounts } from '../http/call-counts.ts'
import { FaultControl } from '../http/faults.ts'
import { Tuning } from '../http/tuning.ts'
import { Journal } from '../journal.ts'
import { startJournaledServer } from '../journaled-server.ts'
import { pause } from '../pause.ts'
import { Accounts, type Place } from './accounts.ts'
import { type StripeLimits, StripeProvider } from './provider.ts'

export type { StripeLimits } from './provider.ts'

export interface StripeTimings {
  /** Execution of each request, in milliseconds. A second one with the same key gets 409 meanwhile. */
  readonly requestMs: number
  /** Until search sees a change, in milliseconds. Up to a minute at Stripe. */
  readonly searchLagMs: number
}

export interface StripeEmulatorOptions {
  /** 0 or none takes a free one. */
  readonly port?: number
  readonly apiKey: string
  /** Where customers survive a restart; without it they live as long as the emulator. */
  readonly stateFile?: string
  readonly timings?: Partial<StripeTimings>
  readonly limits?: Partial<StripeLimits>
  readonly clock?: Clock
  /** Of the faults' dice. */
  readonly seed?: number
}

export interface StripeStats {
  /** By the operation ids of Stripe's OpenAPI file; `unknown` for addresses that are not served. */
  readonly calls: Readonly<Record<string, number>>
  /** Replies that were repeated for an Idempotency-Key. */
  readonly replays: number
}

export interface StripeEmulator {
  readonly url: string
  /** For `new Stripe(key, {host, port, protocol: 'http'})`. */
  readonly host: string
  readonly port: number
  /** A snapshot. */
  readonly stats: StripeStats
  readonly faults: FaultControl
  /** Lets a key, a new one too, open another account or mode from now on; what is left out is as for `apiKey` at first. */
  giveKey(key: string, place: Partial<Place>): void
  setTimings(changes: Partial<StripeTimings>): void
  /** Also fills the rate limit's bucket. */
  setLimits(changes: Partial<StripeLimits>): void
  /** Resolves when no request is under way, also of those whose client has gone. */
  idle(): Promise<void>
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const DEFAULT_TIMINGS: StripeTimings = { requestMs: 0, searchLagMs: 0 }
const DEFAULT_LIMITS: StripeLimits = { requestsPerSecond: 25 }

/**
 * Starts a stand-in for Stripe's /v1/customers on 127.0.0.1.
 * @throws PortTakenError
 */
export async function startStripeEmulator(options: StripeEmulatorOptions): Promise<StripeEmulator> {
  const { apiKey, clock = Date.now } = options
  const timings = new Tuning<StripeTimings>(DEFAULT_TIMINGS, options.timings)
  const limits = new Tuning<StripeLimits>(DEFAULT_LIMITS, options.limits, () => provider.resetLimits())
  const { journal, entries } = Journal.open(options.stateFile)
  const accounts = new Accounts({
    apiKey,
    journal,
    entries,
    clock,
    searchLagMs: () => timings.values.searchLagMs,
    pause: () => pause(timings.values.requestMs),
  })
  const counts = new CallCounts()
  let replays = 0
  const provider = new StripeProvider({
    apiOf: (key) => accounts.apiOf(key),
    limits: limits.values,
    clock,
    onReplay: () => void replays++,
  })
  const faults = new FaultControl(options.seed)
  const stats = (): StripeStats => ({ calls: counts.calls, replays })
  const controlled = { name: 'stripe', faults, timings, limits, count: counts.count, stats }
  const server = await startJournaledServer(journal, provider, controlled, PORT_USES.stripe, options.port)
  return {
    url: `http://${HOST}:${server.port}`,
    host: HOST,
    port: server.port,
    get stats() {
      return stats()
    },
    faults,
    giveKey: (key, place) => accounts.giveKey(key, place),
    setTimings: (changes) => void timings.change(changes),
    setLimits: (changes) => void limits.change(changes),
    idle: server.idle,
    stop: server.stop,
  }
}
