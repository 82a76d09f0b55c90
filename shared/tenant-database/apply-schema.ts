import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { z } from 'zod'
import { type SchemaFile, tenantSchemaFiles } from '../generated/tenant-schema-files.ts'
import { failed, type Result, success } from '../kernel/result.ts'
import { failure } from './failures.ts'

/**
 * Two workers on one tenant take turns; the lock's number is arbitrary, the database is the tenant's own. Its owner may hold
 * the lock, so nobody waits for it in the server.
 */
const TAKE_TURN = 'select pg_catalog.pg_try_advisory_lock(7221) as taken'
const TURN_PAUSE_MS = 100
const LONGEST_WAIT_MS = 5_000
const READ = 'select version, checksum from provisioning.schema_migrations limit 10000'
/** A file may build an index, and finds public as it would by hand. What it makes is the owner's. */
const FOR_FILES = `select pg_catalog.set_config('role', pg_catalog.current_database() || '_owner', true);
  set local search_path = public; set local statement_timeout = '60s';`
/** What the tenant's triggers have put off until the end happens as the owner, and before the record is ours. */
const AFTER_FILES = `set constraints all immediate; set local role none;
  set local search_path to default; set local statement_timeout to default;`
const END = 'select pg_catalog.pg_advisory_unlock(7221)'
const GIVE_UP = `rollback; ${END}`

/** What an owner may have put in its place is not believed. */
const appliedFiles = z.array(
  z.object({ version: z.int().min(1).max(1_000_000), checksum: z.string().length(64) }),
)

type Applied = ReadonlyMap<number, string>

/**
 * Applies the files that a tenant's database does not have yet, each with its record in one transaction, and returns the
 * version that the database is at: a newer one than the files' when another deployment has been here. Safe to interrupt
 * and to repeat. Wants a client with a single connection of the login `schema`, whose search_path is pg_catalog.
 */
export async function applyTenantSchema(
  sql: postgres.Sql,
  files: readonly SchemaFile[] = tenantSchemaFiles,
): Promise<Result<number>> {
  if (!(await takeTurn(sql))) return failed(failure('tenant_database_locked'))
  const applied = await readApplied(sql)
  if (!applied) return failed(failure('tenant_schema_unreadable'))
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

async function takeTurn(sql: postgres.Sql): Promise<boolean> {
  const deadline = performance.now() + LONGEST_WAIT_MS
  for (;;) {
    const [row] = await sql.unsafe<{ taken: boolean }[]>(TAKE_TURN)
    if (row?.taken || performance.now() > deadline) return row?.taken === true
    await sleep(TURN_PAUSE_MS)
  }
}

/** @returns undefined when what comes back cannot be ours */
async function readApplied(sql: postgres.Sql): Promise<Applied | undefined> {
  const rows = appliedFiles.safeParse([...(await sql.unsafe(READ))])
  return rows.success
    ? new Map(rows.data.map(({ version, checksum }) => [version, checksum] as const))
    : undefined
}

/** All files in one message, to save the round trips; the lock is given back in any case. */
async function applyFiles(sql: postgres.Sql, files: readonly SchemaFile[]): Promise<Result<void>> {
  const transactions = files.map(
    (file) => `begin; ${FOR_FILES}\n${file.sql}\n;${AFTER_FILES}${recordOf(file)}\ncommit;\n`,
  )
  try {
    await sql.unsafe(transactions.join('') + END)
    return success(undefined)
  } catch (error) {
    if (!isFilesFault(error)) throw error
    await sql.unsafe(GIVE_UP)
    const applied = await readApplied(sql)
    const culprit = files.find(({ version }) => !applied?.has(version))
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

/** Not when the server went away under the file, or somebody held what it needs. */
function isFilesFault(error: unknown): error is Error {
  return (
    error instanceof Error &&
    error.name === 'PostgresError' &&
    !('code' in error && /^(57|08|53|55P03)/.test(String(error.code)))
  )
}
