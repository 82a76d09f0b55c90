import { z } from 'zod'
import type { StepContext, StepOutcome } from '../../engine/step.ts'
import type { StripeProvider } from './client.ts'

/** What Stripe's steps need to know of an organization. */
export const stripeTenant = z.object({
  organizationId: z.string(),
  organizationName: z.string(),
  billingEmail: z.string().nullable(),
  stripeCustomerId: z.string().nullable(),
})

export type StripeStepContext = StepContext<z.infer<typeof stripeTenant>> & {
  readonly stripe: StripeProvider
}

/** A step that needs the organization's rows. */
export type StripeStep = (context: StripeStepContext) => Promise<StepOutcome>
