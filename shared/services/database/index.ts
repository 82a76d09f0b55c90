import { forTenant, type Step, type StepSource } from '../../engine/step.ts'
import type { Service } from '../service.ts'
import { copyPeopleStep } from './copy-people.ts'
import { credentials } from './credentials.ts'
import { deleteCredentials } from './delete-credentials.ts'
import { grantAccess } from './grant-access.ts'
import { graphqlEndpoint } from './graphql-endpoint.ts'
import { type DatabaseHost, hostedBy } from './host.ts'
import { createMigrateSchema } from './migrate-schema.ts'
import { moveSteps } from './move/index.ts'
import { endDueLogins, limitFormerLogin, newLogin, renewOwnLogins } from './rotation.ts'
import type { DatabaseStep } from './step.ts'
import { databaseTenant } from './tenant.ts'
import { tenantSchema } from './tenant-schema.ts'
import { createTrySchema } from './try-schema.ts'
import { verifyConnection } from './verify-connection.ts'

/** Services without a provider of their own: what they consist of stands inside a database, or before it. */
export const databaseServices: readonly string[] = ['database', 'graphql']

/** What is done inside tenants' databases: the same steps in every tier, whichever of these services hosts the database. */
export function tenantDatabases(services: readonly Service[]): StepSource {
  return {
    connect(options) {
      const hosts = services.flatMap((service) => service.databaseHost?.(options) ?? [])
      return { steps: databaseSteps(hosts) }
    },
  }
}

/** @param migrateSchema, trySchema with other files of the tenant schema than those that are deployed */
export function databaseSteps(
  hosts: readonly DatabaseHost[],
  migrateSchema: DatabaseStep = createMigrateSchema(),
  trySchema: DatabaseStep = createTrySchema(),
): Readonly<Record<string, Step>> {
  const inDatabase =
    (step: DatabaseStep): Step =>
    (context) => {
      const hosted = hostedBy(hosts, context.job.tier, context.tenant)
      return forTenant(databaseTenant, (known) => step({ ...known, hosted }))(context)
    }
  return {
    credentials: inDatabase(credentials),
    tenant_schema: inDatabase(tenantSchema),
    verify_connection: inDatabase(verifyConnection),
    graphql_endpoint: inDatabase(graphqlEndpoint),
    new_login: inDatabase(newLogin),
    limit_former_login: inDatabase(limitFormerLogin),
    migrate_schema: inDatabase(migrateSchema),
    try_schema: inDatabase(trySchema),
    copy_people: inDatabase(copyPeopleStep),
    grant_access: inDatabase(grantAccess),
    renew_own_logins: inDatabase(renewOwnLogins),
    end_logins: inDatabase(endDueLogins),
    delete_credentials: deleteCredentials,
    ...moveSteps(hosts),
  }
}
