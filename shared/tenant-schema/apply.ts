import { createHash } from 'node:crypto'
import type postgres from 'postgres'
import { failure } from '../provisioning/failures.ts'
import { failed, type Result, success } from '../result.ts'
import { tenantSchemaFiles } from './files.ts'

export interface SchemaFile {
  readonly version: number
  readonly name: string
  readonly sql: string
}

/** Two workers on one tenant take turns; the number is arbitrary, the database is the tenant's own. */
const LOCK = 7221

/**
 * Applies the files that a tenant's database does not have yet, each with its record in one transaction, and returns the
 * version reached. Safe to interrupt and to repeat.
 */
export async function applyTenantSchema(
  sql: postgres.Sql,
  files: readonly SchemaFile[] = tenantSchemaFiles,
): Promise<Result<number>> {
  await sql`select pg_advisory_lock(${LOCK})`
  try {
    await sql`create schema if not exists provisioning`
    await sql`create table if not exists provisioning.schema_migrations (
      version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())`
    const applied = await sql<
      { version: number; checksum: string }[]
    >`select version, checksum from provisioning.schema_migrations`
    const checksums = new Map(applied.map(({ version, checksum }) => [version, checksum]))
    for (const file of files) {
      const outcome = await applyFile(sql, file, checksums.get(file.version))
      if (!outcome.ok) return outcome
    }
    return success(files.at(-1)?.version ?? 0)
  } finally {
    await sql`select pg_advisory_unlock(${LOCK})`.catch(() => undefined)
  }
}

async function applyFile(
  sql: postgres.Sql,
  file: SchemaFile,
  appliedChecksum: string | undefined,
): Promise<Result<void>> {
  const checksum = createHash('sha256').update(file.sql).digest('hex')
  if (appliedChecksum !== undefined)
    return appliedChecksum === checksum
      ? success(undefined)
      : failed(failure('tenant_schema_changed', file.name))
  try {
    await sql.begin(async (transaction) => {
      await transaction.unsafe(file.sql)
      await transaction`insert into provisioning.schema_migrations (version, name, checksum)
        values (${file.version}, ${file.name}, ${checksum})`
    })
    return success(undefined)
  } catch (error) {
    if (error instanceof Error && error.name === 'PostgresError' && !isConnectionLoss(error))
      return failed(failure('tenant_schema_failed', `${file.name}: ${error.message}`))
    throw error
  }
}

/** The server went away under the file: nothing is wrong with the file. */
function isConnectionLoss(error: Error): boolean {
  return 'code' in error && /^(57P|08|53)/.test(String(error.code))
}
