import type { Step } from '../step.ts'
import { credentials } from './credentials.ts'
import { neonProject } from './neon-project.ts'
import { stripeCustomer } from './stripe-customer.ts'
import { tenantSchema } from './tenant-schema.ts'
import { verifyConnection } from './verify-connection.ts'

/** What does the work of each step in provisioning.step_definitions of the kind `provision`. */
export const provisionSteps: Readonly<Record<string, Step>> = {
  stripe_customer: stripeCustomer,
  neon_project: neonProject,
  tenant_schema: tenantSchema,
  credentials,
  verify_connection: verifyConnection,
}
