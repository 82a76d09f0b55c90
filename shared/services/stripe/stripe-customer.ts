import type { StepOutcome } from '../../engine/step.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import { failure, stripeFailures } from './failures.ts'
import {
  type OpenRequest,
  SEARCH_LAG_SECONDS,
  STRIPE_CUSTOMER,
  type StripeStep,
  type StripeStepContext,
} from './step.ts'

/** Failures that Stripe remembers under the idempotency key for 24 h and would only repeat. */
const REMEMBERED: readonly string[] = [
  'stripe_unavailable',
  'stripe_key_reused',
  'stripe_customer_deleted',
  'stripe_request_refused',
] satisfies (keyof typeof stripeFailures)[]

/**
 * One Stripe customer for the organization. While the answer to a request is open, the customer is looked for as it was
 * asked for, and exactly that is asked for again: its idempotency key covers the 24 h that Stripe keeps keys, and the search,
 * which has caught up by then, all later retries and those under a new key.
 */
export const stripeCustomer: StripeStep = async (context) => {
  const { tenant, stripe } = context
  if (tenant.stripeCustomerId) {
    const state = await stripe.customerState(tenant.stripeCustomerId)
    if (!state.ok) return { type: 'failed', failure: state.failure }
    if (state.value === 'live') return succeeded(context, tenant.stripeCustomerId)
    if (state.value === 'unknown') return refused(context, tenant.stripeCustomerId)
  }
  return findOrCreate(context)
}

/** Somebody pays through this customer. Whoever changes the account says so: see leave_stripe_customer. */
async function refused(
  { sql, job, saveRecord }: StripeStepContext,
  customerId: string,
): Promise<StepOutcome> {
  await saveRecord(
    sql`provisioning.audit_unknown_stripe_customer(${job.id}, ${job.leaseToken}, ${customerId})`,
  )
  return { type: 'failed', failure: failure('stripe_customer_unknown', customerId) }
}

async function findOrCreate(context: StripeStepContext): Promise<StepOutcome> {
  const { tenant, stripe } = context
  const { organizationId, openRequest: open } = tenant
  const wanted = {
    key: idempotencyKey(context),
    name: tenant.organizationName,
    email: tenant.billingEmail,
  }
  const found = await stripe.findCustomer({ organizationId, ...(open ?? wanted) }, open !== undefined)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value) return succeeded(context, found.value)

  // With other details the same key would be refused, and a new one could make a second customer.
  const request = open?.key === wanted.key ? open : wanted
  let planned = false
  const created = await stripe.createCustomer({ organizationId, ...request }, request.key, async () => {
    await context.planResource(STRIPE_CUSTOMER, organizationId, { request })
    planned = true
  })
  if (created.ok) return succeeded(context, created.value)
  if (planned && !leavesOpen(created.failure, stripeFailures))
    await context.unplanResource(STRIPE_CUSTOMER, { request: stillOpen(created.failure, open) })
  return failed(context, created.failure, request)
}

/** What is open after a request that made nothing: the one before it, unless what that made was deleted. */
function stillOpen({ code }: Failure, earlier: OpenRequest | undefined): OpenRequest | null {
  return code === 'stripe_customer_deleted' ? null : (earlier ?? null)
}

function failed(context: StripeStepContext, failure: Failure, request: OpenRequest): StepOutcome {
  return {
    type: 'failed',
    failure: onlySearchFinds(failure, request) ? { ...failure, settleSeconds: SEARCH_LAG_SECONDS } : failure,
    output: { keyGeneration: generation(context) + (REMEMBERED.includes(failure.code) ? 1 : 0) },
  }
}

/** The next request has a new key, and what this one may have made is in no list by e-mail address that is known here. */
function onlySearchFinds({ code }: Failure, { email }: OpenRequest): boolean {
  return code === 'stripe_key_reused' || (code === 'stripe_unavailable' && email === null)
}

/** A customer that was deleted needs another key too: the old one would replay the reply that created it. */
function idempotencyKey(context: StripeStepContext): string {
  const replaces = context.tenant.stripeCustomerId ? `-after-${context.tenant.stripeCustomerId}` : ''
  return `customer-${context.tenant.organizationId}-${generation(context)}${replaces}`
}

function generation({ output }: StripeStepContext): number {
  return typeof output.keyGeneration === 'number' ? output.keyGeneration : 0
}

function succeeded({ sql, job, stripe }: StripeStepContext, customerId: string): StepOutcome {
  return {
    type: 'succeeded',
    output: { resourceId: customerId },
    record: sql`provisioning.record_stripe_customer(${job.id}, ${job.leaseToken}, ${customerId},
      ${stripe.customerUrl(customerId)})`,
  }
}
