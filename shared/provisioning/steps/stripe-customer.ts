import type { Failure } from '../failures.ts'
import type { StepContext, StepOutcome, TenantStep } from '../step.ts'

/** Failures that Stripe remembers under the idempotency key for 24 h and would only repeat. */
const REMEMBERED: readonly Failure['code'][] = [
  'stripe_unavailable',
  'stripe_key_reused',
  'stripe_request_refused',
]

/**
 * One Stripe customer for the organization. The idempotency key covers a reply that was lost; the lookup covers what the
 * key does not: a retry after the 24 h that Stripe keeps keys, and one under a new key.
 */
export const stripeCustomer: TenantStep = async (context) => {
  const { tenant, providers } = context
  if (tenant.stripeCustomerId) {
    const exists = await providers.stripe.customerExists(tenant.stripeCustomerId)
    if (!exists.ok) return { type: 'failed', failure: exists.failure }
    if (exists.value) return succeeded(context, tenant.stripeCustomerId)
  }
  return findOrCreate(context)
}

async function findOrCreate(context: StepContext): Promise<StepOutcome> {
  const { tenant, attempt, providers } = context
  const details = {
    organizationId: tenant.organizationId,
    name: tenant.organizationName,
    email: tenant.billingEmail,
  }
  const found = await providers.stripe.findCustomer(details, attempt > 1)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value) return succeeded(context, found.value)

  const created = await providers.stripe.createCustomer(details, idempotencyKey(context), context.assertLease)
  if (created.ok) return succeeded(context, created.value)
  return {
    type: 'failed',
    failure: created.failure,
    output: { keyGeneration: nextGeneration(context, created.failure) },
  }
}

/** A customer that was deleted needs another key too: the old one would replay the reply that created it. */
function idempotencyKey(context: StepContext): string {
  const replaces = context.tenant.stripeCustomerId ? `-after-${context.tenant.stripeCustomerId}` : ''
  return `customer-${context.tenant.organizationId}-${generation(context)}${replaces}`
}

function generation({ output }: StepContext): number {
  return typeof output.keyGeneration === 'number' ? output.keyGeneration : 0
}

function nextGeneration(context: StepContext, { code }: Failure): number {
  return generation(context) + (REMEMBERED.includes(code) ? 1 : 0)
}

function succeeded({ sql, job }: StepContext, customerId: string): StepOutcome {
  return {
    type: 'succeeded',
    output: { resourceId: customerId },
    record: sql`provisioning.record_stripe_customer(${job.id}, ${job.leaseToken}, ${customerId})`,
  }
}
