import { z } from 'zod'
import type { StepContext, StepOutcome, TenantFacts } from '../../engine/step.ts'
import { resourceOf } from '../resources.ts'
import type { StripeProvider } from './client.ts'

/** Stripe's search hears of a new customer within about a minute: https://docs.stripe.com/search#data-freshness */
export const SEARCH_LAG_SECONDS = 60

/** As in provisioning.resource_kinds. */
export const STRIPE_CUSTOMER = 'stripe_customer'

/**
 * A request for a customer that may have made one. It is kept from before it is sent, because neither the number of the
 * attempt nor the organization's row says later what was sent: a retry starts to count anew, and owners change the name and
 * the billing e-mail.
 */
const openRequest = z.object({
  key: z.string(),
  name: z.string(),
  email: z.string().nullable().default(null),
})
export type OpenRequest = z.infer<typeof openRequest>

/** The request for the organization's customer whose answer is open. */
export function openRequestOf(tenant: TenantFacts): OpenRequest | undefined {
  return openRequest.safeParse(resourceOf(tenant, STRIPE_CUSTOMER)?.details.request).data
}

/** What Stripe's steps need to know of an organization. */
export interface StripeTenant {
  readonly organizationId: string
  readonly organizationName: string
  readonly billingEmail: string | null
  readonly stripeCustomerId: string | null
  readonly openRequest: OpenRequest | undefined
}

const organization = z.object({
  id: z.string(),
  name: z.string(),
  billing_email: z.string().nullable(),
  stripe_customer_id: z.string().nullable(),
})

/** Reads it from what provisioning.tenant() has. */
export const stripeTenant: z.ZodType<StripeTenant> = z
  .looseObject({ organization })
  .transform(({ organization, ...tenant }) => ({
    organizationId: organization.id,
    organizationName: organization.name,
    billingEmail: organization.billing_email,
    stripeCustomerId: organization.stripe_customer_id,
    openRequest: openRequestOf(tenant),
  }))

export type StripeStepContext = StepContext<StripeTenant> & {
  readonly stripe: StripeProvider
}

/** A step that needs the organization's rows. */
export type StripeStep = (context: StripeStepContext) => Promise<StepOutcome>
