import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { z } from 'zod'
import { type SchemaFile, tenantSchemaFiles } from '../generated/tenant-schema-files.ts'
import { failed, type Result, success } from '../kernel/result.ts'
import { ACT_AS_OWNER, STOP_ACTING } from './as-owner.ts'
import { failure } from './failures.ts'
import { isOfTheTenant } from './tenants-error.ts'

/**
 * Two workers on one tenant take turns; the lock's number is arbitrary, the database is the tenant's own. Its owner may hold
 * the lock, so nobody waits for it in the server.
 */
const TAKE_TURN = `select pg_catalog.pg_try_advisory_lock(7221) as taken;
  select version, checksum from provisioning.schema_migrations limit 10000`
const TURN_PAUSE_MS = 100
const LONGEST_WAIT_MS = 5_000
/**
 * What the step fails with when a file leaves a table open to everybody who may connect; before the transaction ends, so that
 * nothing of it stays. Nobody but a superuser can stand in the way of these catalogues.
 */
const UNPROTECTED = 'TD001'
const OPEN_TABLES = `from pg_catalog.pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
    and not (c.relrowsecurity and exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid))`
/** Their names are only looked for when there are some: a session of one file feels the difference. */
const PROVE = `do $prove$
begin
  if exists (select ${OPEN_TABLES}) then
    raise exception using errcode = '${UNPROTECTED}', message = (
      select string_agg(left(t.relname, 63), ', ' order by t.relname) from (
        select c.relname ${OPEN_TABLES} order by 1 limit 20) t);
  end if;
end
$prove$;`
const END = 'select pg_catalog.pg_advisory_unlock(7221)'
const PROVE_ALONE = `${PROVE} ${END}`
const GIVE_UP = `rollback; ${END}`

/** What an owner may have put in its place is not believed. */
const appliedFiles = z.array(
  z.object({ version: z.int().min(1).max(1_000_000), checksum: z.string().length(64) }),
)

const turnRows = z.tuple([z.tuple([z.object({ taken: z.boolean() })]), z.array(z.unknown())])

type Applied = ReadonlyMap<number, string>

/**
 * Applies the files that a tenant's database does not have yet, with their records: all in one transaction to a new database, each
 * in one of its own later. Returns the version that the database is at: a newer one than the files' when another deployment has
 * been here. Fails when a table of the schema public has no row level security, or no policy. Safe to interrupt and to repeat.
 * Wants a client with a single connection of the login `schema`, whose search_path is pg_catalog.
 */
export async function applyTenantSchema(
  sql: postgres.Sql,
  files: readonly SchemaFile[] = tenantSchemaFiles,
): Promise<Result<number>> {
  const records = await takeTurn(sql)
  if (!records) return failed(failure('tenant_database_locked'))
  const applied = readApplied(records)
  if (!applied) return failed(failure('tenant_schema_unreadable'))
  const changed = files.find(
    (file) => applied.has(file.version) && applied.get(file.version) !== checksum(file),
  )
  const pending = changed ? [] : files.filter((file) => !applied.has(file.version))
  const isNew = applied.size === 0
  const outcome = await applyFiles(sql, pending, isNew)
  if (changed) return failed(failure('tenant_schema_changed', changed.name))
  return outcome.ok
    ? success(Math.max(0, ...applied.keys(), ...files.map(({ version }) => version)))
    : outcome
}

/** @returns the records of files as they are once it is our turn; undefined when somebody else keeps it */
async function takeTurn(sql: postgres.Sql): Promise<readonly unknown[] | undefined> {
  const deadline = performance.now() + LONGEST_WAIT_MS
  for (;;) {
    // Two statements in one message, each of which sees what was committed when it began.
    const [[turn], records] = turnRows.parse(await sql.unsafe(TAKE_TURN))
    if (turn.taken) return records
    if (performance.now() > deadline) return undefined
    await sleep(TURN_PAUSE_MS)
  }
}

/** @returns undefined when what comes back cannot be ours */
function readApplied(records: readonly unknown[]): Applied | undefined {
  const rows = appliedFiles.safeParse(records)
  return rows.success
    ? new Map(rows.data.map(({ version, checksum }) => [version, checksum] as const))
    : undefined
}

/** One message for each file, the last of which also gives the lock back. @param together in one transaction */
async function applyFiles(
  sql: postgres.Sql,
  files: readonly SchemaFile[],
  together: boolean,
): Promise<Result<void>> {
  let culprit: SchemaFile | undefined
  try {
    for (const [index, file] of files.entries()) {
      culprit = file
      const isLast = index === files.length - 1
      await sql.unsafe(
        messageOf(file, { begins: !together || index === 0, commits: !together || isLast, isLast }),
      )
    }
    if (!culprit) await sql.unsafe(PROVE_ALONE)
    return success(undefined)
  } catch (error) {
    if (!isOfTheTenant(error)) throw error
    await sql.unsafe(GIVE_UP)
    return error.code === UNPROTECTED
      ? failed(failure('tenant_schema_unprotected', error.message))
      : failed(failure('tenant_schema_failed', `${culprit?.name}: ${error.message}`))
  }
}

function messageOf(file: SchemaFile, its: { begins: boolean; commits: boolean; isLast: boolean }): string {
  return [
    its.begins ? 'begin;' : '',
    `${ACT_AS_OWNER}\n${file.sql}\n;${STOP_ACTING}${recordOf(file)}`,
    its.commits ? `${PROVE} commit;` : '',
    its.isLast ? END : '',
  ].join('')
}

function recordOf(file: SchemaFile): string {
  if (!/^[\w.]+$/.test(file.name)) throw new Error(`${file.name} is no name for a schema file`)
  return `insert into provisioning.schema_migrations (version, name, checksum)
    values (${file.version}, '${file.name}', '${checksum(file)}');`
}

/** SHA-256 of the file with this number, as the tenant's database records it. Null when this deployment has no such file. */
export function schemaChecksum(
  version: number,
  files: readonly SchemaFile[] = tenantSchemaFiles,
): string | null {
  const file = files.find((each) => each.version === version)
  return file ? checksum(file) : null
}

/** SHA-256 of all files up to this version, together. Undefined when this deployment has no such file. */
export function filesChecksum(
  version: number,
  files: readonly SchemaFile[] = tenantSchemaFiles,
): string | undefined {
  if (!files.some((file) => file.version === version)) return undefined
  const hash = createHash('sha256')
  for (const file of files) if (file.version <= version) hash.update(checksum(file))
  return hash.digest('hex')
}

/** Each file has tens of kB, and is the same for every tenant. */
const checksums = new WeakMap<SchemaFile, string>()

function checksum(file: SchemaFile): string {
  const known = checksums.get(file) ?? createHash('sha256').update(file.sql).digest('hex')
  checksums.set(file, known)
  return known
}
