import { forTenant, type Step } from '../engine/step.ts'
import { credentials } from './neon/credentials.ts'
import { deleteCredentials } from './neon/delete-credentials.ts'
import { deleteNeonProject } from './neon/delete-neon-project.ts'
import { neonProject } from './neon/neon-project.ts'
import { tenantSchema } from './neon/tenant-schema.ts'
import { verifyConnection } from './neon/verify-connection.ts'
import { deleteStripeCustomer } from './stripe/delete-stripe-customer.ts'
import { stripeCustomer } from './stripe/stripe-customer.ts'

/** What does the work of each step in provisioning.step_definitions, by kind of job. */
export const provisionSteps: Readonly<Record<string, Step>> = {
  stripe_customer: forTenant(stripeCustomer),
  neon_project: forTenant(neonProject),
  tenant_schema: forTenant(tenantSchema),
  credentials: forTenant(credentials),
  verify_connection: forTenant(verifyConnection),
}

export const deprovisionSteps: Readonly<Record<string, Step>> = {
  delete_credentials: deleteCredentials,
  delete_neon_project: deleteNeonProject,
  delete_stripe_customer: deleteStripeCustomer,
}
