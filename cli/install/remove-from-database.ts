import type postgres from 'postgres'
import { VAULT_SECRETS } from '../doctor/vault.ts'
import { INSTALLED_PREFIX } from './migrations.ts'
import { TEMPLATE_SCHEMA } from './render-schema.ts'
import { ourNames } from './taken-names.ts'

/** What goes with an installation, and what will exist outside without it. */
export interface Inventory {
  readonly organizations: number
  /** Of people, in all tables that hold such. */
  readonly rows: number
  readonly databasePasswords: number
  readonly resources: readonly Resource[]
}

interface Resource {
  readonly service: string
  readonly kind: string
  readonly id: string
}

/** What people have entered, what says whose everything outside is, and what has to be kept for an authority or a court. */
const PEOPLES_TABLES = [
  'profiles',
  'organizations',
  'organization_members',
  'wallets',
  'organization_databases',
  'tenant_resources',
  'audit_logs',
]
/** The same, of those that only the functions of the engine read. */
const HIDDEN_TABLES = ['personal_details', 'legal_holds']

const tablesOfPeople = (schema: string): readonly { schema: string; table: string }[] => [
  ...PEOPLES_TABLES.map((table) => ({ schema, table })),
  ...HIDDEN_TABLES.map((table) => ({ schema: 'provisioning', table })),
]

const PASSWORDS = 'tenant_database_password/%'
const CRON_JOBS = 'tenant-provisioning-%'

/** @returns undefined when nothing of ours is in the database */
export async function readInventory(sql: postgres.Sql, schema: string): Promise<Inventory | undefined> {
  const [installed] = await sql`select to_regnamespace('provisioning') is not null as is_there`
  if (!installed?.is_there) return undefined
  const [counted] = await sql<{ organizations: number; passwords: number }[]>`
    select (select count(*)::int from ${sql(schema)}.organizations) as organizations,
      (select count(*)::int from vault.secrets s where s.name like ${PASSWORDS}) as passwords`
  const resources = await sql<Resource[]>`
    select r.service, r.kind, coalesce(r.external_id, r.name) as id from ${sql(schema)}.tenant_resources r
    where r.state <> 'removed' order by r.service, r.kind, r.created_at`
  const counts = tablesOfPeople(schema).map(
    (each) => `(select count(*)::int from ${each.schema}.${each.table})`,
  )
  const [people] = await sql.unsafe<{ rows: number }[]>(`select ${counts.join(' + ')} as rows`)
  return {
    organizations: counted?.organizations ?? 0,
    rows: people?.rows ?? 0,
    databasePasswords: counted?.passwords ?? 0,
    resources: [...resources],
  }
}

/** Where the rows of people stay. Each removal has one of its own, and an installation looks for none of them. */
export const leftSchema = (now: Date): string =>
  `tenant_provisioning_left_${now.toISOString().replace(/\D/g, '').slice(0, 14)}`

/**
 * Takes away all that our migrations have made, in one transaction: functions, tables, triggers on auth.users, cron jobs, secrets,
 * and the history of the migrations. Extensions stay.
 * @param left a schema that gets the rows of people, in plain tables that no role of the API reads; without it they are deleted
 * @throws Error that lists what is the project's own and would go, too; then nothing is changed
 */
export async function removeFromDatabase(
  sql: postgres.Sql,
  schema: string,
  versions: readonly string[],
  left?: string,
): Promise<void> {
  const names = await ourNames()
  await sql.begin(async (tx) => {
    await tx`select provisioning.lock_users()`
    const before = await objectsOfTheirs(tx, schema, names)
    if (left) await keepRows(tx, schema, left)
    await tx`select cron.unschedule(j.jobid) from cron.job j where j.jobname like ${CRON_JOBS}`
    await tx`delete from vault.secrets s where s.name in ${tx(VAULT_SECRETS)} or s.name like ${PASSWORDS}`
    await dropFunctions(tx, schema, names)
    await tx`drop schema provisioning cascade`
    await dropTables(tx, schema, names)
    await tx`drop schema if exists provisioning_types cascade`
    if (schema !== TEMPLATE_SCHEMA) await dropEmptySchema(tx, schema)
    await forgetMigrations(tx, versions)
    const still = new Set(await objectsOfTheirs(tx, schema, names))
    const lost = before.filter((name) => !still.has(name))
    if (lost.length > 0)
      throw new Error(
        `Nothing was removed, because what is yours depends on it: ${lost.join('; ')}. Drop or change that first.`,
      )
    await tx`notify pgrst, 'reload schema'`
  })
}

/** Copies have the types that ours are made of: our own types go, and would take the columns along. */
async function keepRows(tx: postgres.TransactionSql, schema: string, left: string): Promise<void> {
  await tx`create schema ${tx(left)}`
  for (const { schema: home, table } of tablesOfPeople(schema)) {
    const columns = await tx<{ name: string; type: string }[]>`
      with recursive base as (
        select a.attnum as place, a.attname as name, a.atttypid as type, a.atttypmod as modifier from pg_catalog.pg_attribute a
        where a.attrelid = to_regclass(${`${home}.${table}`}) and a.attnum > 0 and not a.attisdropped
        union all
        select b.place, b.name, t.typbasetype, t.typtypmod from base b
        join pg_catalog.pg_type t on t.oid = b.type and t.typtype = 'd'
      )
      select b.name, pg_catalog.format_type(b.type, b.modifier) as type from base b
      join pg_catalog.pg_type t on t.oid = b.type and t.typtype <> 'd' order by b.place`
    const list = columns.map(({ name, type }) => `"${name}"::${type} as "${name}"`).join(', ')
    await tx.unsafe(`create table ${left}.${table} as select ${list} from ${home}.${table}`)
  }
  // Whatever the default privileges of the project give.
  for (const what of [`schema ${left}`, `all tables in schema ${left}`])
    await tx.unsafe(`revoke all on ${what} from public, anon, authenticated, service_role`)
}

async function dropFunctions(
  tx: postgres.TransactionSql,
  schema: string,
  names: readonly string[],
): Promise<void> {
  const functions = await tx<{ name: string }[]>`
    select p.oid::regprocedure::text as name from pg_catalog.pg_proc p
    where p.pronamespace = to_regnamespace(${schema}) and p.proname in ${tx(names)}`
  for (const { name } of functions) await tx.unsafe(`drop function ${name} cascade`)
}

async function dropTables(
  tx: postgres.TransactionSql,
  schema: string,
  names: readonly string[],
): Promise<void> {
  const tables = await tx<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_catalog.pg_class c
    where c.relnamespace = to_regnamespace(${schema}) and c.relname in ${tx(names)} and c.relkind in ('r', 'p')`
  if (tables.length > 0) await tx.unsafe(`drop table ${tables.map(({ name }) => name).join(', ')} cascade`)
}

/** What somebody has put beside our tables keeps the schema. */
async function dropEmptySchema(tx: postgres.TransactionSql, schema: string): Promise<void> {
  const [others] = await tx`
    select exists (select from pg_catalog.pg_class where relnamespace = to_regnamespace(${schema}))
      or exists (select from pg_catalog.pg_proc where pronamespace = to_regnamespace(${schema}))
      or exists (select from pg_catalog.pg_type where typnamespace = to_regnamespace(${schema})) as are_there`
  if (!others?.are_there) await tx`drop schema if exists ${tx(schema)}`
}

async function forgetMigrations(tx: postgres.TransactionSql, versions: readonly string[]): Promise<void> {
  const [history] =
    await tx`select to_regclass('supabase_migrations.schema_migrations') is not null as is_there`
  if (!history?.is_there) return
  await tx`
    delete from supabase_migrations.schema_migrations m
    where m.version = any (${[...versions]}::text[]) or to_jsonb(m) ->> 'name' like ${`${INSTALLED_PREFIX}%`}`
}

/** Everything that is defined in the database and is not ours, by what it is called. */
async function objectsOfTheirs(
  tx: postgres.TransactionSql,
  schema: string,
  names: readonly string[],
): Promise<string[]> {
  const rows = await tx<{ name: string }[]>`
    with spaces as (
      select n.oid from pg_catalog.pg_namespace n
      where n.nspname <> all ('{pg_catalog,information_schema,provisioning}') and n.nspname !~ '^pg_(toast|temp)'
    ), named as (
      select c.oid from pg_catalog.pg_class c
      where c.relnamespace = to_regnamespace(${schema}) and c.relname in ${tx(names)}
    ), theirs as (
      select c.oid from pg_catalog.pg_class c join spaces s on s.oid = c.relnamespace
      where c.oid not in (select oid from named)
        and not exists (select from pg_catalog.pg_index i where i.indexrelid = c.oid and i.indrelid in (select oid from named))
    ), objects as (
      select 'pg_class'::regclass as class, t.oid, 0 as part from theirs t
      union all select 'pg_class'::regclass, a.attrelid, a.attnum from pg_catalog.pg_attribute a join theirs t on t.oid = a.attrelid
        where a.attnum > 0 and not a.attisdropped
      union all select 'pg_proc'::regclass, p.oid, 0 from pg_catalog.pg_proc p join spaces s on s.oid = p.pronamespace
        where p.pronamespace <> to_regnamespace(${schema}) or p.proname not in ${tx(names)}
      union all select 'pg_policy'::regclass, p.oid, 0 from pg_catalog.pg_policy p join theirs t on t.oid = p.polrelid
      union all select 'pg_constraint'::regclass, k.oid, 0 from pg_catalog.pg_constraint k join theirs t on t.oid = k.conrelid
      union all select 'pg_attrdef'::regclass, d.oid, 0 from pg_catalog.pg_attrdef d join theirs t on t.oid = d.adrelid
      union all select 'pg_trigger'::regclass, g.oid, 0 from pg_catalog.pg_trigger g join theirs t on t.oid = g.tgrelid
        join pg_catalog.pg_proc p on p.oid = g.tgfoid
        where not g.tgisinternal and p.pronamespace <> coalesce(to_regnamespace('provisioning'), 0::regnamespace)
    )
    select i.type || ' ' || i.identity as name from objects o
    cross join lateral pg_catalog.pg_identify_object(o.class, o.oid, o.part) i order by 1`
  return rows.map(({ name }) => name)
}
