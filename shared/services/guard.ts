import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../kernel/database/client.ts'
import { type Failure, type FailureCatalogue, paused } from '../kernel/failures.ts'
import { currentLane } from '../kernel/lane.ts'
import { log } from '../kernel/log.ts'
import { failed, type Result } from '../kernel/result.ts'

/** A turn that comes this soon is waited for; for a later one the work is put off. */
export const WORTH_WAITING_SECONDS = 5

/** Runs the work of one step with a provider; its calls go through `call`, and what they throw becomes a failure. */
export type GuardedProvider = {
  attempt<T>(work: (call: GuardedCall) => Promise<Result<T>>): Promise<Result<T>>
}

/**
 * Makes one HTTP call when breaker and rate limits allow it. `route` as the provider's limits count: method and path.
 * `before` runs when the call's turn has come, right before the request; what it throws passes through.
 */
export type GuardedCall = <T>(
  route: string,
  request: () => Promise<T>,
  before?: () => Promise<void>,
) => Promise<T>

export interface GuardOptions {
  readonly sql: Database
  /** A row of provisioning.provider_status. */
  readonly provider: string
  /** Says which failures are the provider's outage, or its rate limit. */
  readonly failures: FailureCatalogue
  /** The failure of a call that was not made, with why. */
  readonly leftAlone: (why?: string) => Failure
  /** How soon a turn must come to be waited for; 0 takes only what nobody else waits for. */
  readonly maxWaitSeconds: number
  /** Turns what the SDK throws into a failure; throws what it does not know. */
  readonly classify: (error: unknown) => Failure
}

/**
 * Puts a provider's calls behind its circuit breaker and token buckets, which live in the database because all workers
 * share them. One statement before each call, and one after it only when the provider is in doubt.
 */
export function guardProvider(options: GuardOptions): GuardedProvider {
  const call: GuardedCall = async (route, request, before) => {
    const { watched } = await waitForTurn(options, route)
    await before?.()
    let value: Awaited<ReturnType<typeof request>>
    try {
      value = await request()
    } catch (error) {
      const cause = options.classify(error)
      log.warn('a call to a provider failed', { provider: options.provider, route, code: cause.code })
      throw new FailedCall(await reportFailure(options, route, cause))
    }
    if (watched) await options.sql`select provisioning.end_call(${options.provider})`
    return value
  }
  return {
    async attempt(work) {
      try {
        return await work(call)
      } catch (error) {
        if (error instanceof FailedCall) return failed(error.failure)
        throw error
      }
    },
  }
}

/** Carries a failure out of the work to `attempt`. */
class FailedCall extends Error {
  readonly failure: Failure
  constructor(cause: Failure) {
    super(cause.message)
    this.failure = cause
  }
}

interface Turn {
  readonly waitSeconds: number
  /** Whether the call may be made after this wait. */
  readonly taken: boolean
  readonly pausedSeconds: number | null
  readonly reason: string | null
  readonly watched: boolean
}

async function waitForTurn(
  { sql, provider, leftAlone, maxWaitSeconds }: GuardOptions,
  route: string,
): Promise<Turn> {
  const [turn] = await sql<Turn[]>`
    select wait_seconds as "waitSeconds", taken, paused_seconds as "pausedSeconds", reason, watched
    from provisioning.begin_call(${provider}, ${route}, ${maxWaitSeconds}, ${currentLane() ?? null})`
  if (!turn) throw new Error(`begin_call(${provider}) returned nothing`)
  if (turn.reason !== null)
    throw new FailedCall(paused({ ...leftAlone(), message: turn.reason }, turn.pausedSeconds ?? 0))
  if (!turn.taken) throw new FailedCall(paused(leftAlone('its rate limit is used up'), turn.waitSeconds))
  if (turn.waitSeconds > 0) await sleep(turn.waitSeconds * 1000)
  return turn
}

/** @returns the failure, as an outage when this call has opened the breaker or met an open one */
async function reportFailure(
  { sql, provider, failures }: GuardOptions,
  route: string,
  cause: Failure,
): Promise<Failure> {
  const kind = failures[cause.code]
  if (kind?.rateLimited) {
    await sql`select provisioning.pause_calls(${provider}, ${route}, ${cause.retryAfterSeconds ?? 1})`
    return cause
  }
  const broken = kind?.providerBroken === true
  const [row] = await sql<{ seconds: number | null }[]>`
    select provisioning.end_call(${provider}, ${broken ? cause.code : null}) as seconds`
  return broken && row?.seconds != null ? paused(cause, row.seconds) : cause
}
