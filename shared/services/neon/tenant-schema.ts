import { failed, type Result, success } from '../../kernel/result.ts'
import { applyTenantSchema } from '../../tenant-database/apply-schema.ts'
import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { failure } from '../../tenant-database/failures.ts'
import type { NeonStep, NeonStepContext } from './step.ts'

/** Brings the tenant's database to the newest version of tenant-schema/. */
export const tenantSchema: NeonStep = async (context) => {
  const password = await databasePassword(context)
  if (!password.ok) return { type: 'failed', failure: password.failure }
  const applied = await withTenantDatabase(context, password.value, 'direct', applyTenantSchema)
  if (!applied.ok) return { type: 'failed', failure: applied.failure }
  if (!applied.value.ok) return { type: 'failed', failure: applied.value.failure }
  const version = applied.value.value
  const { sql, job } = context
  return {
    type: 'succeeded',
    output: { schemaVersion: version },
    record: sql`provisioning.record_schema_version(${job.id}, ${job.leaseToken}, ${version})`,
  }
}

/** Known from the step that made or found the project when that ran just now; asked of Neon when it ran earlier. */
export async function databasePassword(context: NeonStepContext): Promise<Result<string>> {
  const known = context.secrets.get('databasePassword')
  if (known) return success(known)
  const { neonProjectId, databaseName, roleName } = context.tenant
  if (!neonProjectId || !databaseName || !roleName) return failed(failure('credentials_missing'))
  const connection = await context.neon.connection(neonProjectId, databaseName, roleName)
  if (!connection.ok) return connection
  context.secrets.set('databasePassword', connection.value.password)
  return success(connection.value.password)
}
