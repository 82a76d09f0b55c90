import type postgres from 'postgres'
import { tenantSchemaFiles } from '../../generated/tenant-schema-files.ts'
import type { Result } from '../../kernel/result.ts'
import { schemaChecksum } from '../../tenant-database/apply-schema.ts'
import { copyPeople, type TenantPeople } from '../../tenant-database/copy-people.ts'
import { asLogin } from './as-login.ts'
import { applyAndLearn, limitsFor } from './learn-schema.ts'
import type { DatabaseStep, DatabaseStepContext } from './step.ts'

/** Brings the tenant's database to the newest version of tenant-schema/, and copies the organization and its members into it. */
export const tenantSchema: DatabaseStep = async (context) => {
  const people = await readPeople(context)
  const applied = await asLogin(
    context,
    'schema',
    'direct',
    (tenantSql) => apply(context, tenantSql, people),
    limitsFor(context.tenant.schemaVersion),
  )
  if (!applied.ok) return { type: 'failed', failure: applied.failure }
  if (!applied.value.ok) return { type: 'failed', failure: applied.value.failure }
  const version = applied.value.value
  const { sql, job } = context
  return {
    type: 'succeeded',
    output: { schemaVersion: version, schemaChecksum: schemaChecksum(version) },
    record: sql`provisioning.record_schema_version(${job.id}, ${job.leaseToken}, ${version})`,
  }
}

async function apply(
  { sql, tenant, job }: DatabaseStepContext,
  tenantSql: postgres.Sql,
  people: TenantPeople | null,
): Promise<Result<number>> {
  const applied = await applyAndLearn(sql, tenantSql, tenantSchemaFiles, tenant.schemaVersion, job.tier)
  if (!applied.ok || !people) return applied
  const copied = await copyPeople(tenantSql, people)
  return copied.ok ? applied : copied
}

/** Null when the organization was deleted in the meantime. */
async function readPeople({ sql, tenant }: DatabaseStepContext): Promise<TenantPeople | null> {
  const [row] = await sql<{ people: TenantPeople | null }[]>`
    select provisioning.tenant_people(${tenant.organizationId}) as people`
  return row?.people ?? null
}
