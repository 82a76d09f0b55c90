import type { Job } from '../../engine/jobs.ts'
import type { StepContext, StepOutcome, SucceededStep } from '../../engine/step.ts'
import { type Result, success } from '../../kernel/result.ts'
import { type DeprovisionRequest, deprovisionRequest } from '../deprovision-request.ts'
import type { StripeProvider } from './client.ts'

/** Deletes the organization's Stripe customer, or keeps it for the books, as the settings said when it was deleted. */
export async function deleteStripeCustomer(
  { sql, job, assertLease }: StepContext,
  stripe: StripeProvider,
): Promise<StepOutcome> {
  const request = deprovisionRequest(job)
  const customer = await findCustomer(job, request, stripe)
  if (!customer.ok) return { type: 'failed', failure: customer.failure }
  if (!customer.value || request.stripe_customer === 'keep') return succeeded(customer.value, 'kept')
  const deleted = await stripe.deleteCustomer(customer.value, assertLease)
  if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
  const record = sql`provisioning.forget_stripe_customer(${job.id}, ${job.leaseToken})`
  return { ...succeeded(customer.value, 'deleted'), record }
}

/** A worker that was stopped in the middle may have made a customer that no row knows of. */
async function findCustomer(
  job: Job,
  request: DeprovisionRequest,
  stripe: StripeProvider,
): Promise<Result<string | undefined>> {
  if (request.stripe_customer_id || request.stripe_customer === 'keep')
    return success(request.stripe_customer_id)
  const { organization_name: name = '', billing_email: email = null } = request
  return stripe.findCustomer({ organizationId: job.organizationId, name, email }, true)
}

function succeeded(customerId: string | undefined, done: 'kept' | 'deleted'): SucceededStep {
  return {
    type: 'succeeded',
    output: customerId ? { resourceId: customerId, customer: done } : { customer: 'none' },
  }
}
