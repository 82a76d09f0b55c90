import { hasEnded, type JobReport } from '../engine/reports.ts'
import { waitForOutcome } from '../engine/wait-for-outcome.ts'
import type { MutationProvisionUserResourcesArgs } from '../generated/resolver-types.ts'
import { emailAddress } from '../kernel/email-address.ts'
import { Problem, type ProblemCode } from '../kernel/http/problem.ts'
import { log } from '../kernel/log.ts'
import { NEON_PROJECT } from '../services/neon/tenant.ts'
import { STRIPE_CUSTOMER } from '../services/stripe/step.ts'
import { provisionUser } from '../tenants/provision-user.ts'
import { userMetadata } from '../tenants/user-metadata.ts'
import { check } from './arguments.ts'
import type { GraphqlContext } from './context.ts'

/** Answers with which the call has done its work: the backend goes on from them. Everything else is an error. */
const EXPECTED: readonly ProblemCode[] = [
  'user_not_found',
  'user_too_old',
  'user_not_eligible',
  'too_many_attempts',
  'undo_in_progress',
]

interface Result {
  readonly success: boolean
  readonly organizationId: string | null
  readonly stripeCustomerId: string | null
  readonly neonProjectId: string | null
  readonly errors: readonly string[]
  readonly code: string | null
  readonly retryAfterSeconds: number | null
}

/** A job that is due and that nobody has taken for so long is rung for again. */
const RING_AGAIN_MS = 1_000

const NOTHING = {
  success: false,
  organizationId: null,
  stripeCustomerId: null,
  neonProjectId: null,
  errors: [],
  code: null,
  retryAfterSeconds: null,
} satisfies Result

/** For the service role alone. Starts the work, rings for it and waits. @throws Problem */
export async function provisionUserResources(
  _: unknown,
  { email, metadata }: MutationProvisionUserResourcesArgs,
  { caller, sql, timing, waiting, signal }: GraphqlContext,
): Promise<Result> {
  const address = check('email', emailAddress, email)
  const given = check('metadata', userMetadata.nullish(), metadata) ?? {}
  const leave = waiting.room.enter(caller)
  try {
    const jobId = await provisionUser(sql, caller, address, given)
    await sql`select provisioning.ring_doorbell('provisioning')`
    let rungAt = performance.now()
    const report = await waitForOutcome({
      read: () => waiting.jobs.read(jobId),
      readLater: (stopped) => waiting.jobs.readLater(jobId, stopped),
      hasEnded,
      limitMs: timing.provisionWaitMs,
      signal,
      // A doorbell may be lost, and somebody waits.
      onWaiting: ({ nextAttemptAt }) => {
        if (!nextAttemptAt || Date.parse(nextAttemptAt) > Date.now()) return
        if (performance.now() - rungAt < RING_AGAIN_MS) return
        rungAt = performance.now()
        sql`select provisioning.ring_doorbell('provisioning')`.catch((error: unknown) =>
          log.warn('the doorbell could not be rung again', {}, error),
        )
      },
    })
    return describe(report)
  } catch (error) {
    if (!(error instanceof Problem) || !EXPECTED.includes(error.code)) throw error
    const { code, message, retryAfterSeconds = null } = error
    return { ...NOTHING, errors: [message], code, retryAfterSeconds }
  } finally {
    leave()
  }
}

function describe({ status, organizationId, resources, steps }: JobReport): Result {
  const idOf = (kind: string) =>
    resources.find((each) => each.kind === kind && each.state === 'active')?.externalId ?? null
  const made = {
    organizationId,
    stripeCustomerId: idOf(STRIPE_CUSTOMER),
    neonProjectId: idOf(NEON_PROJECT),
  }
  if (status === 'succeeded') return { ...NOTHING, ...made, success: true }
  const troubles = steps.flatMap(({ step, error }) => (error ? [`${step}: ${error.message}`] : []))
  if (status === 'queued' || status === 'running')
    return {
      ...NOTHING,
      ...made,
      errors: [...troubles, 'The tenant is still being made; it goes on by itself.'],
      code: 'still_provisioning',
      retryAfterSeconds: 60,
    }
  return {
    ...NOTHING,
    ...made,
    errors: troubles.length > 0 ? troubles : [`The provisioning has ${status}.`],
    code: 'provisioning_failed',
  }
}
