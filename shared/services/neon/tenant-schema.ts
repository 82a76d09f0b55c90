import { applyTenantSchema } from '../../tenant-database/apply-schema.ts'
import { asLogin } from './as-login.ts'
import type { NeonStep } from './step.ts'

/** Brings the tenant's database to the newest version of tenant-schema/. */
export const tenantSchema: NeonStep = async (context) => {
  const applied = await asLogin(context, 'schema', 'direct', applyTenantSchema)
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
