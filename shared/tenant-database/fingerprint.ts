import type postgres from 'postgres'
import { z } from 'zod'

const bySchema = z.record(z.string(), z.array(z.string()))
/** What the files of the tenant schema have made, apart from what belongs to it, such as columns: by schema. */
const schemaNames = z.object({
  /** Tables, views, sequences and indexes. */
  relations: bySchema,
  /** With the types of their arguments. */
  functions: bySchema,
  types: bySchema,
})
export type SchemaNames = z.infer<typeof schemaNames>

/** What there is, in words, and how it is defined. */
export type SchemaObjects = Readonly<Record<string, string>>

export interface SchemaSnapshot {
  readonly names: SchemaNames
  /** Of Postgres: another one may put the same definition in other words. */
  readonly serverMajor: number
  /** SHA-256 of the objects. */
  readonly fingerprint: string
  readonly objects: SchemaObjects
}

/** One way in which a database is not as the files have made it. */
export interface Difference {
  readonly object: string
  readonly is: 'missing' | 'added' | 'changed'
}

/** Of names, and of what belongs to them in a catalogue. Who has more has a fingerprint of a part of it, which is another one, too. */
const MOST = 10_000
/** Longer definitions are compared by their beginning and a hash. */
const LONGEST = 300
export const MOST_DIFFERENCES = 20
/** Of all objects, so that the answer fits into what a session may say. */
export const MOST_BYTES = 1_000_000

/** A role without the name of the database, so that the same is the same in each. */
const role = (oid: string) =>
  `case ${oid} when 0 then 'everybody' else replace(pg_get_userbyid(${oid}), current_database(), '') end`

const rights = (acl: string) =>
  `(select string_agg(concat(${role('a.grantee')}, ' ', lower(a.privilege_type), case when a.is_grantable then ' *' end), ', '
    order by ${role('a.grantee')} collate "C", a.privilege_type collate "C") from aclexplode(${acl}) a)`

/** The session has standard_conforming_strings, whatever the owner has set: a quote is all that has to be doubled. */
const literal = (value: unknown) => `'${JSON.stringify(value).replaceAll("'", "''")}'::jsonb`

/** Looked up by name, not with to_regclass: our logins may not use the owner's schemas. */
const named = (
  kind: keyof SchemaNames,
) => `given g cross join jsonb_each(g.names -> '${kind}') s (name, names)
  join pg_namespace n on n.nspname = s.name cross join jsonb_array_elements_text(s.names) e (name)`
const SIGNATURE = `concat(p.proname, '(', pg_get_function_identity_arguments(p.oid), ')')`

/**
 * Each object of these names, and what hangs on it: columns, rights, row security and policies, constraints, indexes, triggers,
 * rules. Reads pg_catalog alone, in which nobody but a superuser can put anything in the place of anything; deparsing calls nothing
 * of the owner's. What else the owner has made is left out: tables of their own, and plain indexes on ours.
 */
const lines = (names: SchemaNames) => `given (names) as (select ${literal(names)}),
relations as materialized (
  select c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relowner, c.relnamespace,
    format('%I.%I', n.nspname, c.relname) as name
  from ${named('relations')} join pg_class c on c.relname = e.name and c.relnamespace = n.oid),
functions as materialized (
  select p.* from ${named('functions')} join pg_proc p on p.proname = split_part(e.name, '(', 1) and p.pronamespace = n.oid
  where ${SIGNATURE} = e.name limit ${MOST}),
types as materialized (
  select t.* from ${named('types')} join pg_type t on t.typname = e.name and t.typnamespace = n.oid),
found (object, definition) as (
  select concat(case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
      when 'm' then 'materialized view' when 'S' then 'sequence' else 'relation' end, ' ', r.name),
    concat_ws(', ', 'of ' || ${role('r.relowner')}, case when r.relrowsecurity then 'row level security' end,
      case when r.relforcerowsecurity then 'forced' end, case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end)
  from relations r where r.relkind not in ('i', 'I')
  union all select 'rights on ' || r.name, ${rights(`coalesce(r.relacl, acldefault('r', r.relowner))`)}
  from relations r where r.relkind not in ('i', 'I')
  union all (select format('column %s.%I', r.name, a.attname),
    concat_ws(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
      'default ' || pg_get_expr(d.adbin, d.adrelid), 'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''),
      'rights ' || ${rights('a.attacl')})
  from relations r join pg_attribute a on a.attrelid = r.oid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where r.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped limit ${MOST})
  union all (select format('constraint %I on %s', k.conname, r.name),
    concat(pg_get_constraintdef(k.oid), case when not k.convalidated then ' not valid' end)
  from relations r join pg_constraint k on k.conrelid = r.oid where k.contype in ('c', 'f', 'p', 'u', 'x') limit ${MOST})
  union all (select 'index ' || format('%I.%I', n.nspname, c.relname),
    concat(pg_get_indexdef(i.indexrelid), case when not i.indisvalid then ' not valid' end)
  from relations r join pg_index i on i.indrelid = r.oid join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
  where i.indisunique or i.indisexclusion or i.indexrelid in (select x.oid from relations x where x.relkind in ('i', 'I')) limit ${MOST})
  union all (select format('trigger %I on %s', t.tgname, r.name), concat(pg_get_triggerdef(t.oid), ' ', t.tgenabled)
  from relations r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal limit ${MOST})
  union all (select format('policy %I on %s', p.polname, r.name), concat_ws(' ', p.polpermissive, p.polcmd,
      (select string_agg(${role('o.oid')}, ', ' order by 1) from unnest(p.polroles) o (oid)),
      'using ' || pg_get_expr(p.polqual, p.polrelid), 'with check ' || pg_get_expr(p.polwithcheck, p.polrelid))
  from relations r join pg_policy p on p.polrelid = r.oid limit ${MOST})
  union all (select format('rule %I on %s', w.rulename, r.name), concat(pg_get_ruledef(w.oid), ' ', w.ev_enabled)
  from relations r join pg_rewrite w on w.ev_class = r.oid where w.rulename <> '_RETURN' limit ${MOST})
  union all select 'function ' || p.oid::regprocedure, concat_ws(' ', case when p.prokind in ('f', 'p') then pg_get_functiondef(p.oid) end,
    'of ' || ${role('p.proowner')}, 'rights ' || ${rights(`coalesce(p.proacl, acldefault('f', p.proowner))`)})
  from functions p
  union all select 'type ' || t.oid::regtype, concat_ws(' ', t.typtype, 'of ' || ${role('t.typowner')},
    case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end, case when t.typnotnull then 'not null' end, t.typdefault,
    (select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
    (select string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' order by k.conname) from pg_constraint k where k.contypid = t.oid))
  from types t
  union all select 'schema ' || quote_ident(n.nspname),
    concat('of ', ${role('n.nspowner')}, ' rights ', ${rights(`coalesce(n.nspacl, acldefault('n', n.nspowner))`)})
  from pg_namespace n
  where n.oid in (select r.relnamespace from relations r union select p.pronamespace from functions p union select t.typnamespace from types t)),
lines (object, definition) as (
  select f.object, case when length(f.definition) > ${LONGEST}
    then left(f.definition, ${LONGEST}) || ' … ' || encode(sha256(convert_to(f.definition, 'UTF8')), 'hex') else coalesce(f.definition, '') end
  from found f)`

const FINGERPRINT = `encode(sha256(convert_to(
  string_agg(l.object || chr(10) || l.definition, chr(10) order by l.object collate "C", l.definition collate "C"), 'UTF8')), 'hex')`
const SERVER_MAJOR = `current_setting('server_version_num')::int / 10000`

/** Whoever has asked for a login of their own, and whatever anybody has made as the owner, stands in catalogues of the whole server. */
const READ_UNTOUCHED = `select ${SERVER_MAJOR} as "serverMajor",
  not exists (select from pg_roles r where starts_with(r.rolname, current_database() || '_access_'))
  and not exists (
    select from pg_shdepend d join pg_roles r on r.oid = d.refobjid join pg_database b on b.oid = d.dbid
    -- What is granted of things to come is from us.
    where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and d.classid <> 'pg_default_acl'::regclass and r.rolname = current_database() || '_owner'
      and b.datname = current_database()) as "isUntouched"`

const untouchedRow = z.object({ serverMajor: z.int().min(10).max(99), isUntouched: z.literal(true) })

/** @returns undefined when somebody may have been in the database beside us */
export async function readUntouched(
  sql: postgres.Sql,
): Promise<{ readonly serverMajor: number } | undefined> {
  const [row] = await sql.unsafe(READ_UNTOUCHED)
  return untouchedRow.safeParse(row).data
}

const fingerprintRow = z.object({ fingerprint: z.string().length(64), serverMajor: z.int().min(10).max(99) })

/** An owner may hold a lock on a table for as long as they like: then nothing is known, and the check goes on. */
const BOUNDED = `begin read only; set local search_path = pg_catalog, pg_temp; set local lock_timeout = '200ms'; set local statement_timeout = '2s';`

/**
 * One round trip. Wants a session whose search_path is pg_catalog, of any login.
 * @returns undefined when it could not be found out: somebody holds a lock, or it takes too long
 */
export async function readFingerprint(
  sql: postgres.Sql,
  names: SchemaNames,
): Promise<Pick<SchemaSnapshot, 'fingerprint' | 'serverMajor'> | undefined> {
  const query = `with ${lines(names)} select ${FINGERPRINT} as fingerprint, ${SERVER_MAJOR} as "serverMajor" from lines l`
  return fingerprintRow.safeParse(await boundedRows(sql, query).then(([row]) => row)).data
}

const differenceRows = z.array(
  z.object({ object: z.string().max(400), is: z.enum(['missing', 'added', 'changed']) }),
)

/** What is not as expected, MOST_DIFFERENCES of it at most. @returns like readFingerprint */
export async function readDifferences(
  sql: postgres.Sql,
  names: SchemaNames,
  expected: SchemaObjects,
): Promise<readonly Difference[] | undefined> {
  const query = `with ${lines(names)}
    select left(coalesce(e.key, l.object), 200) as object,
      case when l.object is null then 'missing' when e.key is null then 'added' else 'changed' end as "is"
    from lines l full join jsonb_each_text(${literal(expected)}) e on e.key = l.object
    where l.definition is distinct from e.value order by 1 limit ${MOST_DIFFERENCES}`
  return differenceRows.safeParse(await boundedRows(sql, query)).data
}

const GIVE_UP = 'rollback'
const boundedScript = (query: string) => `${BOUNDED} ${query}; commit`

async function boundedRows(sql: postgres.Sql, query: string): Promise<unknown[]> {
  try {
    const results: unknown[][] = await sql.unsafe(boundedScript(query))
    return [...(results.find((rows) => rows.length > 0) ?? [])]
  } catch (error) {
    // A lock, the time, or what was dropped while it was looked at. What is no answer of the server's is not ours to judge.
    if (
      !(
        error instanceof Error &&
        'code' in error &&
        /^(55P03|57014|42P01|42704|XX000)$/.test(String(error.code))
      )
    )
      throw error
    await sql.unsafe(GIVE_UP)
    return []
  }
}

const OWNED = `with owned (kind, schema, name) as (
  select o.kind, n.nspname, o.name from pg_roles r cross join lateral (
    select 'relations', c.relnamespace, c.relname::text from pg_class c
    where c.relowner = r.oid and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I')
    union all select 'functions', p.pronamespace, ${SIGNATURE} from pg_proc p where p.proowner = r.oid
    union all select 'types', t.typnamespace, t.typname from pg_type t where t.typowner = r.oid and t.typtype in ('e', 'd', 'r')
  ) o (kind, namespace, name) join pg_namespace n on n.oid = o.namespace
  where r.rolname = current_database() || '_owner' and n.nspname !~ '^pg_' limit ${MOST})`
const namesOf = (kind: keyof SchemaNames) => `coalesce((select jsonb_object_agg(a.schema, a.names) from (
  select o.schema, jsonb_agg(o.name order by o.name) as names from owned o where o.kind = '${kind}' group by 1) a), '{}') as ${kind}`

/** All that the owner has, in schemas that are not the system's. @returns undefined when that is too much to be looked at */
export async function readNames(sql: postgres.Sql): Promise<SchemaNames | undefined> {
  const kinds = [namesOf('relations'), namesOf('functions'), namesOf('types')]
  const [row] = await boundedRows(
    sql,
    `${OWNED} select (select count(*)::int from owned) as count, ${kinds.join(', ')}`,
  )
  const read = schemaNames.extend({ count: z.int().max(MOST - 1) }).safeParse(row).data
  return read && schemaNames.parse(read)
}

const objectsRow = fingerprintRow.extend({ objects: z.record(z.string(), z.string()) })

/** All of it, for a database that is as it should be. @returns like readFingerprint, and undefined when it is too much to be kept */
export async function readSnapshot(
  sql: postgres.Sql,
  names: SchemaNames,
  mostBytes: number,
): Promise<SchemaSnapshot | undefined> {
  const query = `with ${lines(names)}
    select ${FINGERPRINT} as fingerprint, ${SERVER_MAJOR} as "serverMajor", case when sum(octet_length(l.object) + octet_length(l.definition)) < ${mostBytes}
      then jsonb_object_agg(l.object, l.definition) end as objects from lines l`
  const [row] = await boundedRows(sql, query)
  const read = objectsRow.safeParse(row).data
  return read && { names, ...read }
}
