import { z } from 'zod'
import type { StepOutcome } from '../../engine/step.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import { stripeFailures } from './failures.ts'
import type { StripeStep, StripeStepContext } from './step.ts'

/** Stripe's search hears of a new customer within about a minute: https://docs.stripe.com/search#data-freshness */
export const SEARCH_LAG_SECONDS = 60

/** Failures that Stripe remembers under the idempotency key for 24 h and would only repeat. */
const REMEMBERED: readonly string[] = [
  'stripe_unavailable',
  'stripe_key_reused',
  'stripe_customer_deleted',
  'stripe_request_refused',
] satisfies (keyof typeof stripeFailures)[]

/**
 * A request for a customer that may have made one. It is in the step's output from before it is sent, because neither the
 * number of the attempt nor the organization's row says later what was sent: a retry starts to count anew, and owners
 * change the name and the billing e-mail.
 */
const openRequest = z.object({
  key: z.string(),
  name: z.string(),
  email: z.string().nullable().default(null),
})
type OpenRequest = z.infer<typeof openRequest>

/**
 * One Stripe customer for the organization. While the answer to a request is open, the customer is looked for as it was
 * asked for, and exactly that is asked for again: its idempotency key covers the 24 h that Stripe keeps keys, and the search,
 * which has caught up by then, all later retries and those under a new key.
 */
export const stripeCustomer: StripeStep = async (context) => {
  const { tenant, stripe } = context
  if (tenant.stripeCustomerId) {
    const exists = await stripe.customerExists(tenant.stripeCustomerId)
    if (!exists.ok) return { type: 'failed', failure: exists.failure }
    if (exists.value) return succeeded(context, tenant.stripeCustomerId)
  }
  return findOrCreate(context)
}

async function findOrCreate(context: StripeStepContext): Promise<StepOutcome> {
  const { tenant, output, stripe } = context
  const { organizationId } = tenant
  const open = openRequest.safeParse(output.openRequest).data
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
  const created = await stripe.createCustomer({ organizationId, ...request }, request.key, async () => {
    await context.saveOutput({ openRequest: request })
    await context.assertLease()
  })
  return created.ok ? succeeded(context, created.value) : failed(context, created.failure, request, open)
}

function failed(
  context: StripeStepContext,
  failure: Failure,
  request: OpenRequest,
  earlier: OpenRequest | undefined,
): StepOutcome {
  const { code } = failure
  const stillOpen = leavesOpen(failure, stripeFailures)
    ? request
    : code === 'stripe_customer_deleted'
      ? undefined
      : earlier
  return {
    type: 'failed',
    failure: onlySearchFinds(failure, request) ? { ...failure, settleSeconds: SEARCH_LAG_SECONDS } : failure,
    output: {
      keyGeneration: generation(context) + (REMEMBERED.includes(code) ? 1 : 0),
      openRequest: stillOpen ?? null,
    },
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

function succeeded({ sql, job }: StripeStepContext, customerId: string): StepOutcome {
  return {
    type: 'succeeded',
    output: { resourceId: customerId, openRequest: null },
    record: sql`provisioning.record_stripe_customer(${job.id}, ${job.leaseToken}, ${customerId})`,
  }
}
