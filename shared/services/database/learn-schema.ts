import type postgres from 'postgres'
import type { SchemaFile } from '../../generated/tenant-schema-files.ts'
import type { Database } from '../../kernel/database/client.ts'
import type { Result } from '../../kernel/result.ts'
import { applyTenantSchema, filesChecksum } from '../../tenant-database/apply-schema.ts'
import { MOST_BYTES, readNames, readSnapshot, readUntouched } from '../../tenant-database/fingerprint.ts'

/** Of a new database the whole catalogue is read, which may be large. From one with an owner we take as little as ever. */
export function limitsFor(before: number | null): { readonly maxBytes?: number } {
  return before === null ? { maxBytes: 4 * MOST_BYTES } : {}
}

/**
 * Applies the files, and records what they make when no database of that version is recorded yet. Health checks compare all others
 * with it, so that nothing is learned from a database in which somebody else could have been: its owner would decide what the files
 * are said to make in everybody's.
 * @param before the version that the database has; null for a new one
 * @param tier whose databases are alike
 */
export async function applyAndLearn(
  sql: Database,
  tenantSql: postgres.Sql,
  files: readonly SchemaFile[],
  before: number | null,
  tier: string,
): Promise<Result<number>> {
  const to = Math.max(0, ...files.map(({ version }) => version))
  const untouched = before === null ? await readUntouched(tenantSql) : undefined
  const applied = await applyTenantSchema(tenantSql, files)
  if (applied.ok && applied.value === to && untouched)
    await learn(sql, tenantSql, files, { version: to, tier, major: untouched.serverMajor })
  return applied
}

interface Wanted {
  readonly version: number
  readonly tier: string
  /** Of the servers that it is recorded for. */
  readonly major: number
}

async function learn(
  sql: Database,
  tenantSql: postgres.Sql,
  files: readonly SchemaFile[],
  wanted: Wanted,
): Promise<void> {
  const { version, tier } = wanted
  const checksum = filesChecksum(version, files)
  if (checksum === undefined || (await isRecorded(sql, checksum, wanted))) return
  const names = await readNames(tenantSql)
  const snapshot = names && (await readSnapshot(tenantSql, names, MOST_BYTES))
  if (!snapshot) return
  await sql`select provisioning.record_tenant_schema(${tier}, ${version}, ${checksum}, ${JSON.stringify(snapshot)}::text::jsonb)`
}

/** By database: whoever makes many tenants would ask for each what stays as it is. */
const knownToBeRecorded = new WeakMap<Database, Set<string>>()

async function isRecorded(
  sql: Database,
  checksum: string,
  { version, tier, major }: Wanted,
): Promise<boolean> {
  const key = `${tier} ${version} ${checksum} ${major}`
  const known = knownToBeRecorded.get(sql) ?? new Set()
  if (known.has(key)) return true
  const rows = await sql`select from provisioning.tenant_schemas
    where tier = ${tier} and schema_version = ${version} and files_checksum = ${checksum} and server_major = ${major}`
  if (rows.length === 0) return false
  knownToBeRecorded.set(sql, known.add(key))
  return true
}
