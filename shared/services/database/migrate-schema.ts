import { z } from 'zod'
import type { StepOutcome } from '../../engine/step.ts'
import { type SchemaFile, tenantSchemaFiles } from '../../generated/tenant-schema-files.ts'
import { schemaChecksum } from '../../tenant-database/apply-schema.ts'
import { failure } from '../../tenant-database/failures.ts'
import { asLogin } from './as-login.ts'
import { applyAndLearn, limitsFor } from './learn-schema.ts'
import type { DatabaseStep } from './step.ts'

/** What a job asks for: a version, or the newest; and whether it may wake the database, as when that was used just now. */
const request = z.object({ to: z.int().positive().optional(), wakes: z.boolean().optional() })

/**
 * Brings an existing tenant's database to a version of the tenant schema. It wakes nobody: a database that sleeps is left, and has
 * its turn when it is awake. The files and the record of them are one transaction in the tenant's database, so whoever repeats
 * what a dead worker did finds it done.
 */
export function createMigrateSchema(files: readonly SchemaFile[] = tenantSchemaFiles): DatabaseStep {
  const newest = Math.max(0, ...files.map(({ version }) => version))
  return async (context): Promise<StepOutcome> => {
    const { sql, job, tenant, hosted } = context
    const { to = newest, wakes = false } = request.parse(job.request)
    if (to > newest) return { type: 'failed', failure: failure('tenant_schema_not_deployed') }
    if (tenant.schemaVersion !== null && tenant.schemaVersion >= to)
      return { type: 'succeeded', output: { schemaVersion: tenant.schemaVersion } }
    if (!wakes) {
      const found = await hosted.isListedAwake()
      if (!found.ok) return { type: 'failed', failure: found.failure }
      if (!found.value) return { type: 'succeeded', output: { left: 'asleep' } }
    }
    const wanted = files.filter(({ version }) => version <= to)
    const applied = await asLogin(
      context,
      'schema',
      'direct',
      (tenantSql) => applyAndLearn(sql, tenantSql, wanted, tenant.schemaVersion, job.tier),
      limitsFor(tenant.schemaVersion),
    )
    if (!applied.ok) return { type: 'failed', failure: applied.failure }
    if (!applied.value.ok) return { type: 'failed', failure: applied.value.failure }
    const version = applied.value.value
    return {
      type: 'succeeded',
      output: { schemaVersion: version, schemaChecksum: schemaChecksum(version, files), left: null },
      record: sql`provisioning.record_schema_version(${job.id}, ${job.leaseToken}, ${version})`,
    }
  }
}
