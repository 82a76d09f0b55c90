import { z } from 'zod'

export const stripeEnvironment = z.object({
  /** Without it, each call fails with stripe_key_missing. */
  STRIPE_SECRET_KEY: z.string().min(1).optional(),
  STRIPE_API_URL: z.url().default('https://api.stripe.com'),
})

export type StripeEnvironment = z.infer<typeof stripeEnvironment>
