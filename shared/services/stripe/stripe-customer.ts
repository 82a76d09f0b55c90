import type { SideRecord } from '../../engine/jobs.ts'
import type { StepOutcome } from '../../engine/step.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import type { StripeCustomer } from './client.ts'
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
 * One Stripe customer for the organization, with its name and billing address. While the answer to a request is open, the
 * customer is looked for as it was asked for, and exactly that is asked for again: its idempotency key covers the 24 h that
 * Stripe keeps keys, and the search, which has caught up by then, all later retries and those under a new key.
 */
export const stripeCustomer: StripeStep = (context) => keepRecorded(context, () => findOrCreate(context))

/** Tells Stripe of a new name or billing address. Makes no customer: that is the provisioning's. */
export const updateStripeCustomer: StripeStep = (context) =>
  keepRecorded(context, async (customer) => ({ type: 'succeeded', output: { customer } }))

/** Brings the recorded customer up to date. @param without what to do when none is recorded, or Stripe has deleted it */
async function keepRecorded(
  context: StripeStepContext,
  without: (customer: 'none' | 'deleted') => Promise<StepOutcome>,
): Promise<StepOutcome> {
  const { tenant, stripe } = context
  if (!tenant.stripeCustomerId) return without('none')
  const recorded = await stripe.recordedCustomer(tenant.stripeCustomerId)
  if (!recorded.ok) return { type: 'failed', failure: recorded.failure }
  if (recorded.value === 'unknown') return refused(context, tenant.stripeCustomerId)
  if (recorded.value === 'deleted') return without('deleted')
  return bringUpToDate(context, recorded.value)
}

/** `email` is the billing address, or null when Stripe has refused it: then the customer has none. */
async function bringUpToDate(
  context: StripeStepContext,
  customer: StripeCustomer,
  email = context.tenant.billingEmail,
): Promise<StepOutcome> {
  const { tenant, stripe } = context
  const { customerId } = customer
  const wanted = { customerId, name: tenant.organizationName, email }
  const end = () => succeeded(context, customerId, email !== tenant.billingEmail)
  if (customer.name === wanted.name && customer.email === wanted.email) return end()
  // First, so that nobody looks for it again when Stripe refuses the change.
  if (tenant.stripeCustomerId !== customerId) await context.saveRecord(recordOf(context, customerId, false))
  const updated = await stripe.updateCustomer(wanted, context.assertLease)
  if (updated.ok) return end()
  if (isAddressRefused(updated.failure, email)) return bringUpToDate(context, customer, null)
  return { type: 'failed', failure: updated.failure }
}

function isAddressRefused({ code }: Failure, email: string | null): boolean {
  return code === 'stripe_email_refused' && email !== null
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

async function findOrCreate(
  context: StripeStepContext,
  email = context.tenant.billingEmail,
): Promise<StepOutcome> {
  const { tenant, stripe } = context
  const { organizationId, openRequest: open } = tenant
  const wanted = {
    key: idempotencyKey(context) + (email === tenant.billingEmail ? '' : '-without-address'),
    name: tenant.organizationName,
    email,
  }
  const found = await stripe.findCustomer({ organizationId, ...(open ?? wanted) }, open !== undefined)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value) return bringUpToDate(context, found.value, email)

  // With other details the same key would be refused, and a new one could make a second customer.
  const request = open?.key === wanted.key ? open : wanted
  let planned = false
  const created = await stripe.createCustomer({ organizationId, ...request }, request.key, async () => {
    await context.planResource(STRIPE_CUSTOMER, organizationId, { request })
    planned = true
  })
  if (created.ok) return bringUpToDate(context, { ...request, customerId: created.value }, email)
  if (planned && !leavesOpen(created.failure, stripeFailures))
    await context.unplanResource(STRIPE_CUSTOMER, { request: stillOpen(created.failure, open) })
  if (isAddressRefused(created.failure, email)) return findOrCreate(context, null)
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

function succeeded(context: StripeStepContext, customerId: string, addressRefused: boolean): StepOutcome {
  return {
    type: 'succeeded',
    output: { resourceId: customerId, billingEmail: addressRefused ? 'refused by Stripe' : null },
    record: recordOf(context, customerId, addressRefused),
  }
}

function recordOf(
  { sql, job, stripe }: StripeStepContext,
  customerId: string,
  addressRefused: boolean,
): SideRecord {
  return sql`provisioning.record_stripe_customer(${job.id}, ${job.leaseToken}, ${customerId},
    ${stripe.customerUrl(customerId)}, ${addressRefused})`
}
