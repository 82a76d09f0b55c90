import { forTenant, type Step } from '../step.ts'
import { credentials } from './credentials.ts'
import { deleteCredentials } from './delete-credentials.ts'
import { deleteNeonProject } from './delete-neon-project.ts'
import { deleteStripeCustomer } from './delete-stripe-customer.ts'
import { neonProject } from './neon-project.ts'
import { stripeCustomer } from './stripe-customer.ts'
import { tenantSchema } from './tenant-schema.ts'
import { verifyConnection } from './verify-connection.ts'

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
