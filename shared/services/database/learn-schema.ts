import type postgres from 'postgres'
import type { SchemaFile } from '../../generated/tenant-schema-files.ts'
import type { Database } from '../../kernel/database/client.ts'
import type { Result } from '../../kernel/result.ts'
import { applyTenantSchema, filesChecksum } from '../../tenant-database/apply-schema.ts'
import {
  MOST_BYTES,
  namesWithout,
  readFingerprint,
  readNames,
  readServerMajor,
  readSnapshot,
  type SchemaNames,
  type SchemaSnapshot,
} from '../../tenant-database/fingerprint.ts'

/** Of a new database the whole catalogue is read, which may be large. From one with an owner we take as little as ever. */
export function limitsFor(before: number | null): { readonly maxBytes?: number } {
  return before === null ? { maxBytes: 4 * MOST_BYTES.ofNew } : {}
}

type Recorded = Pick<SchemaSnapshot, 'serverMajor' | 'fingerprint' | 'names'>

/**
 * Applies the files, and records what they make when no database of that version is recorded yet: of a new one, which nobody else has
 * been in, or of one that was as expected before. Health checks compare all others with it.
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
  if (before === null) {
    const applied = await applyTenantSchema(tenantSql, files)
    if (applied.ok && applied.value === to) await learnNew(sql, tenantSql, files, to, tier)
    return applied
  }
  const foreign = before < to ? await foreignNames(sql, tenantSql, files, { before, to, tier }) : undefined
  const applied = await applyTenantSchema(tenantSql, files)
  if (applied.ok && applied.value === to && foreign) {
    const names = await readNames(tenantSql)
    if (names)
      await record(
        sql,
        tenantSql,
        files,
        { version: to, tier },
        namesWithout(names, foreign),
        MOST_BYTES.ofOthers,
      )
  }
  return applied
}

async function learnNew(
  sql: Database,
  tenantSql: postgres.Sql,
  files: readonly SchemaFile[],
  version: number,
  tier: string,
): Promise<void> {
  const major = await readServerMajor(tenantSql)
  if (await isRecorded(sql, files, version, tier, major)) return
  const names = await readNames(tenantSql)
  if (names) await record(sql, tenantSql, files, { version, tier }, names, MOST_BYTES.ofNew)
}

/**
 * What the owner of a database has beside what the files have made, before the next ones are applied.
 * @returns undefined when the new version needs no record, or this database is none to learn from
 */
async function foreignNames(
  sql: Database,
  tenantSql: postgres.Sql,
  files: readonly SchemaFile[],
  { before, to, tier }: { readonly before: number; readonly to: number; readonly tier: string },
): Promise<SchemaNames | undefined> {
  if (await isRecorded(sql, files, to, tier)) return undefined
  const known = await recorded(sql, files, before, tier)
  const [first] = known
  if (!first) return undefined
  const found = await readFingerprint(tenantSql, first.names)
  const isAsExpected = known.some(
    ({ serverMajor, fingerprint }) => found?.serverMajor === serverMajor && found.fingerprint === fingerprint,
  )
  const names = isAsExpected ? await readNames(tenantSql) : undefined
  return names && namesWithout(names, first.names)
}

/** By database: whoever makes or migrates many tenants would ask for each what stays as it is. */
const knownToBeRecorded = new WeakMap<Database, Set<string>>()

/** @param major of the servers that it is to be recorded for; undefined when any will do */
async function isRecorded(
  sql: Database,
  files: readonly SchemaFile[],
  version: number,
  tier: string,
  major?: number,
): Promise<boolean> {
  const key = `${tier} ${version} ${filesChecksum(version, files)} ${major}`
  const known = knownToBeRecorded.get(sql) ?? new Set()
  if (known.has(key)) return true
  const found = await recorded(sql, files, version, tier)
  if (!found.some(({ serverMajor }) => major === undefined || serverMajor === major)) return false
  knownToBeRecorded.set(sql, known.add(key))
  return true
}

async function recorded(
  sql: Database,
  files: readonly SchemaFile[],
  version: number,
  tier: string,
): Promise<Recorded[]> {
  const checksum = filesChecksum(version, files)
  if (checksum === undefined) return []
  return sql<
    Recorded[]
  >`select server_major as "serverMajor", fingerprint, names from provisioning.tenant_schemas
    where tier = ${tier} and schema_version = ${version} and files_checksum = ${checksum}`
}

async function record(
  sql: Database,
  tenantSql: postgres.Sql,
  files: readonly SchemaFile[],
  { version, tier }: { readonly version: number; readonly tier: string },
  names: SchemaNames,
  mostBytes: number,
): Promise<void> {
  const snapshot = await readSnapshot(tenantSql, names, mostBytes)
  const checksum = filesChecksum(version, files)
  if (!snapshot || checksum === undefined) return
  await sql`select provisioning.record_tenant_schema(${tier}, ${version}, ${checksum}, ${JSON.stringify(snapshot)}::text::jsonb)`
}
