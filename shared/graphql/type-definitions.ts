import { ACCESS } from './type-definitions/access.ts'
import { HEALTH } from './type-definitions/health.ts'
import { MUTATIONS } from './type-definitions/mutations.ts'
import { OPERATORS } from './type-definitions/operators.ts'
import { OPTIONS } from './type-definitions/options.ts'
import { ORGANIZATIONS } from './type-definitions/organizations.ts'
import { PROVISIONING } from './type-definitions/provisioning.ts'
import { QUERIES } from './type-definitions/queries.ts'
import { REQUESTS } from './type-definitions/requests.ts'
import { STATES } from './type-definitions/states.ts'
import { SUBSCRIPTIONS } from './type-definitions/subscriptions.ts'
import { TENANTS } from './type-definitions/tenants.ts'

/** The contract with the console, the CLI and everybody else. schema.graphql and docs/api.md are generated from it. */
export const typeDefinitions = [
  STATES,
  QUERIES,
  MUTATIONS,
  SUBSCRIPTIONS,
  OPERATORS,
  ORGANIZATIONS,
  PROVISIONING,
  HEALTH,
  ACCESS,
  TENANTS,
  OPTIONS,
  REQUESTS,
].join('\n')
