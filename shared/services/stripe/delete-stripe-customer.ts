import { z } from 'zod'
import type { StepContext, StepOutcome, SucceededStep, TenantFacts } from '../../engine/step.ts'
import { type Result, success } from '../../kernel/result.ts'
import { duringGrace, resourceOf } from '../resources.ts'
import type { StripeProvider } from './client.ts'
import { failure } from './failures.ts'
import { openRequestOf, SEARCH_LAG_SECONDS, STRIPE_CUSTOMER } from './step.ts'

/**
 * Deletes the organization's Stripe customer, unless it was kept for the books when the organization was deleted, or has a
 * subscription.
 */
export async function deleteStripeCustomer(
  { sql, job, tenant, output, assertLease }: StepContext,
  stripe: StripeProvider,
): Promise<StepOutcome> {
  const recorded = resourceOf(tenant, STRIPE_CUSTOMER)
  if (!recorded) return succeeded(null, 'none')
  if (recorded.state === 'kept') return succeeded(recorded.externalId, 'kept')
  if (recorded.externalId && hasSubscription(tenant))
    return {
      ...succeeded(recorded.externalId, 'kept'),
      record: sql`provisioning.record_stripe_customer(${job.id}, ${job.leaseToken}, ${recorded.externalId},
        ${stripe.customerUrl(recorded.externalId)})`,
    }
  const putOff = duringGrace(recorded)
  if (putOff) return putOff
  const found = await findCustomers(job.organizationId, tenant, recorded.externalId, stripe)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value.length === 0 && !openRequestOf(tenant)?.email && !output.searched) return searchAgain()
  for (const customerId of found.value) {
    const deleted = await stripe.deleteCustomer(customerId, assertLease)
    if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
  }
  return {
    ...succeeded(found.value.join(', '), found.value.length > 0 ? 'deleted' : 'none'),
    record: sql`provisioning.forget_stripe_customer(${job.id}, ${job.leaseToken})`,
  }
}

function hasSubscription({ organization }: TenantFacts): boolean {
  const subscribed = z.object({ stripe_subscription_id: z.string() })
  return subscribed.safeParse(organization).success
}

/** A worker that was stopped in the middle may have made a customer whose id nobody knows: it is found as it was asked for. */
async function findCustomers(
  organizationId: string,
  tenant: TenantFacts,
  recorded: string | null,
  stripe: StripeProvider,
): Promise<Result<string[]>> {
  const open = openRequestOf(tenant)
  if (recorded && !open) return success([recorded])
  const { name = '', email = null } = open ?? {}
  const found = await stripe.findCustomer({ organizationId, name, email }, true)
  if (!found.ok) return found
  return success([...new Set([recorded, found.value?.customerId].filter((id) => typeof id === 'string'))])
}

/**
 * Without an address to look under, Stripe's search alone can find the customer. It is asked twice, the second time when it
 * has surely caught up with the last call, which had ended before this job became due.
 */
function searchAgain(): StepOutcome {
  const reason = { ...failure('stripe_search_lags'), settleSeconds: SEARCH_LAG_SECONDS }
  return { type: 'deferred', seconds: SEARCH_LAG_SECONDS, reason, output: { searched: true } }
}

function succeeded(customerId: string | null, customer: 'kept' | 'deleted' | 'none'): SucceededStep {
  return { type: 'succeeded', output: { customer, ...(customerId ? { resourceId: customerId } : {}) } }
}
