import type { StepContext, StepOutcome, SucceededStep } from '../../engine/step.ts'
import { deprovisionRequest } from '../deprovision-request.ts'
import type { StripeProvider } from './client.ts'
import { failure } from './failures.ts'
import { stripeTenant } from './step.ts'
import { SEARCH_LAG_SECONDS } from './stripe-customer.ts'

/**
 * Deletes the organization's Stripe customer, or keeps it for the books, as the settings said when it was deleted. A worker
 * that was stopped in the middle may have made a customer that no row knows of, so one is looked for. A deleted organization
 * has left no address to look under: Stripe's search is asked twice then, the second time when it has surely caught up with
 * the last call, which had ended before this job became due.
 */
export async function deleteStripeCustomer(
  { sql, job, tenant, output, assertLease }: StepContext,
  stripe: StripeProvider,
): Promise<StepOutcome> {
  const request = deprovisionRequest(job)
  const recorded = request.stripe_customer_id
  if (request.stripe_customer === 'keep') return succeeded(recorded, 'kept')
  const email = tenant && stripeTenant.parse(tenant).billingEmail
  const { organizationId } = job
  const customer = recorded ?? (await stripe.findCustomer({ organizationId, name: '', email }, true))
  if (typeof customer !== 'string' && !customer.ok) return { type: 'failed', failure: customer.failure }
  const customerId = typeof customer === 'string' ? customer : customer.value
  if (!customerId) return email || output.searched ? succeeded(undefined, 'kept') : searchAgain()
  const deleted = await stripe.deleteCustomer(customerId, assertLease)
  if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
  const record = sql`provisioning.forget_stripe_customer(${job.id}, ${job.leaseToken})`
  return { ...succeeded(customerId, 'deleted'), record }
}

function searchAgain(): StepOutcome {
  const reason = { ...failure('stripe_search_lags'), settleSeconds: SEARCH_LAG_SECONDS }
  return { type: 'deferred', seconds: SEARCH_LAG_SECONDS, reason, output: { searched: true } }
}

function succeeded(customerId: string | undefined, done: 'kept' | 'deleted'): SucceededStep {
  return {
    type: 'succeeded',
    output: customerId ? { resourceId: customerId, customer: done } : { customer: 'none' },
  }
}
