import { applyTenantSchema } from '../../tenant-database/apply-schema.ts'
import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { failure } from '../../tenant-database/failures.ts'
import { loginAddress } from '../../tenant-database/roles.ts'
import { storedPassword } from './passwords.ts'
import type { NeonStep } from './step.ts'

/** Brings the tenant's database to the newest version of tenant-schema/. */
export const tenantSchema: NeonStep = async (context) => {
  const password = await storedPassword(context, 'schema')
  if (password === undefined) return { type: 'failed', failure: failure('credentials_missing') }
  const place = { ...context, tenant: loginAddress(context.tenant, 'schema') }
  const applied = await withTenantDatabase(place, password, 'direct', applyTenantSchema)
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
