import { forTenant, type Step } from '../../engine/step.ts'
import { defineService } from '../service.ts'
import { createStripeProvider } from './client.ts'
import { deleteStripeCustomer } from './delete-stripe-customer.ts'
import { stripeEnvironment } from './environment.ts'
import { stripeFailures } from './failures.ts'
import { stripeInventory } from './inventory.ts'
import { type StripeStep, stripeTenant } from './step.ts'
import { stripeCustomer, updateStripeCustomer } from './stripe-customer.ts'

/** A customer in Stripe for each organization. */
export const stripe = defineService({
  name: 'stripe',
  label: 'Stripe',
  secret: 'STRIPE_SECRET_KEY',
  address: 'STRIPE_API_URL',
  environment: stripeEnvironment,
  failures: stripeFailures,
  emulator: { key: 'sk_test_localemulator', path: '' },
  connect(environment, sql) {
    const provider = createStripeProvider(environment, sql)
    const withRows = (step: StripeStep): Step =>
      forTenant(stripeTenant, (context) => step({ ...context, stripe: provider }))
    return {
      steps: {
        stripe_customer: withRows(stripeCustomer),
        update_stripe_customer: withRows(updateStripeCustomer),
        delete_stripe_customer: (context) => deleteStripeCustomer(context, provider),
      },
      inventories: { stripe_customer: stripeInventory(provider) },
    }
  },
  keyCheck: ({ STRIPE_SECRET_KEY: key, STRIPE_API_URL: url }) => ({
    url: `${url}/v1/customers?limit=1`,
    key,
  }),
})
