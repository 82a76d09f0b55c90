import { createHash } from 'node:crypto'
import type postgres from 'postgres'
import { tenantSchemaFiles } from '../generated/tenant-schema-files.ts'
import { failed, type Result, success } from '../kernel/result.ts'
import type { SchemaFile } from '../kernel/schema-file.ts'
import { failure } from './failures.ts'

/**
 * Takes the lock and tells what is there, in one round trip. Two workers on one tenant take turns; the lock's number is
 * arbitrary, the database is the tenant's own.
 */
const BEGIN = `
  select pg_advisory_lock(7221);
  create schema if not exists provisioning;
  create table if not exists provisioning.schema_migrations (
    version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now());
  select version, checksum from provisioning.schema_migrations`
const END = 'select pg_advisory_unlock(7221)'
const GIVE_UP = `rollback; ${END}; select version, checksum from provisioning.schema_migrations`

/**
 * Applies the files that a tenant's database does not have yet, each with its record in one transaction, and returns the
 * version that the database is at: a newer one than the files' when another deployment has been here. Safe to interrupt
 * and to repeat. Wants a client with a single connection.
 */
export async function applyTenantSchema(
  sql: postgres.Sql,
  files: readonly SchemaFile[] = tenantSchemaFiles,
): Promise<Result<number>> {
  const applied = await readApplied(sql, BEGIN)
  const changed = files.find(
    (file) => applied.has(file.version) && applied.get(file.version) !== checksum(file),
  )
  const pending = changed ? [] : files.filter((file) => !applied.has(file.version))
  const outcome = await applyFiles(sql, pending)
  if (changed) return failed(failure('tenant_schema_changed', changed.name))
  return outcome.ok
    ? success(Math.max(0, ...applied.keys(), ...files.map(({ version }) => version)))
    : outcome
}

async function readApplied(sql: postgres.Sql, query: string): Promise<Map<number, string>> {
  const results: { version: number; checksum: string }[][] = await sql.unsafe(query)
  return new Map(results.at(-1)?.map(({ version, checksum }) => [version, checksum]))
}

/** All files in one message, to save the round trips; the lock is given back in any case. */
async function applyFiles(sql: postgres.Sql, files: readonly SchemaFile[]): Promise<Result<void>> {
  const transactions = files.map((file) => `begin;\n${file.sql}\n;${recordOf(file)}\ncommit;\n`)
  try {
    await sql.unsafe(transactions.join('') + END)
    return success(undefined)
  } catch (error) {
    if (!isFilesFault(error)) throw error
    const applied = await readApplied(sql, GIVE_UP)
    const culprit = files.find(({ version }) => !applied.has(version))
    return failed(failure('tenant_schema_failed', `${culprit?.name}: ${error.message}`))
  }
}

function recordOf(file: SchemaFile): string {
  if (!/^[\w.]+$/.test(file.name)) throw new Error(`${file.name} is no name for a schema file`)
  return `insert into provisioning.schema_migrations (version, name, checksum)
    values (${file.version}, '${file.name}', '${checksum(file)}');`
}

function checksum(file: SchemaFile): string {
  return createHash('sha256').update(file.sql).digest('hex')
}

/** Not when the server went away under the file. */
function isFilesFault(error: unknown): error is Error {
  return (
    error instanceof Error &&
    error.name === 'PostgresError' &&
    !('code' in error && /^(57P|08|53)/.test(String(error.code)))
  )
}
