import type postgres from 'postgres'

/** Schemas that are the server's own, or the CLI's. */
const NOT_LOOKED_AT = ['pg_catalog', 'information_schema', 'pg_toast', 'supabase_migrations', 'test_tools']

/**
 * Everything that is defined in a database, a line each and without what differs from one creation to the next (oids, the
 * order of columns' attribute numbers): schemas, extensions, relations with columns, constraints, indexes, triggers and
 * policies, types, functions with their text, rights, comments, default privileges, cron jobs, and the names of Vault's secrets.
 */
export async function catalogue(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql.begin(async (tx) => {
    // So that every name is written with its schema.
    await tx`set local search_path = ''`
    return tx<{ line: string }[]>`
    with spaces as (
      select oid, nspname, nspacl from pg_namespace
      where nspname <> all (${NOT_LOOKED_AT}) and nspname !~ '^pg_(temp|toast)'
    ), relations as (
      select c.oid, c.oid::regclass::text as name, c.relkind, c.relacl, c.relrowsecurity, c.relpersistence, c.reloptions
      from pg_class c join spaces s on s.oid = c.relnamespace
    )
    select 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') as line from spaces
    union all select 'extension ' || extname || ' ' || extversion from pg_extension
    union all select 'relation ' || name || ' ' || concat_ws(' ', relkind, relrowsecurity, relpersistence, reloptions,
      (select string_agg(right_::text, ',' order by right_::text) from unnest(relacl) right_)) from relations
    union all select 'column ' || r.name || '.' || a.attname || ' ' || concat_ws(' ', format_type(a.atttypid, a.atttypmod),
      a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
      (select string_agg(right_::text, ',' order by right_::text) from unnest(a.attacl) right_))
      from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    union all select 'index ' || pg_get_indexdef(oid) from relations where relkind in ('i', 'I')
    union all select 'view ' || name || ' ' || pg_get_viewdef(oid) from relations where relkind in ('v', 'm')
    union all select 'constraint ' || r.name || '.' || c.conname || ' ' || pg_get_constraintdef(c.oid)
      from relations r join pg_constraint c on c.conrelid = r.oid
    union all select 'trigger ' || r.name || ' ' || t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
      from relations r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
    union all select 'policy ' || concat_ws(' ', schemaname, tablename, policyname, permissive, roles, cmd, qual, with_check)
      from pg_policies
    union all select 'type ' || t.oid::regtype::text || ' ' || concat_ws(' ', t.typtype, t.typnotnull, t.typdefault,
      (select string_agg(pg_get_constraintdef(c.oid), ',' order by c.conname) from pg_constraint c where c.contypid = t.oid))
      from pg_type t join spaces s on s.oid = t.typnamespace where t.typtype in ('d', 'e', 'c')
    union all select 'function ' || md5(pg_get_functiondef(p.oid)) || ' ' || p.oid::regprocedure::text || ' ' || coalesce(
      (select string_agg(right_::text, ',' order by right_::text) from unnest(p.proacl) right_), '')
      from pg_proc p join spaces s on s.oid = p.pronamespace where p.prokind in ('f', 'p')
    union all select 'comment ' || i.type || ' ' || i.identity || ' ' || d.description from pg_description d
      cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) i
      where i.schema is null and i.type = 'extension' or i.schema in (select nspname from spaces)
    union all select 'default ' || concat_ws(' ', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl)
      from pg_default_acl
    union all select 'publication ' || concat_ws(' ', pubname, schemaname, tablename) from pg_publication_tables
    union all select 'secret ' || coalesce(name, '') || ' ' || coalesce(description, '') from vault.secrets
    order by 1`
  })
  return [...rows.map(({ line }) => line), ...(await cronJobs(sql))].sort()
}

async function cronJobs(sql: postgres.Sql): Promise<string[]> {
  const [found] = await sql<{ table: string | null }[]>`select to_regclass('cron.job')::text as table`
  if (!found?.table) return []
  const rows = await sql<{ line: string }[]>`
    select 'cron ' || concat_ws(' ', jobname, schedule, command, username, active) as line from cron.job`
  return rows.map(({ line }) => line)
}

/**
 * What roles may do with the relations of a schema, a line each and sorted: `role: right relation`, or `role: right
 * relation.column` for the rights that columns have of their own. However they came by it, `public` being everybody.
 */
export async function privileges(
  sql: postgres.Sql,
  schema: string,
  roles: readonly string[],
): Promise<string[]> {
  const rows = await sql<{ line: string }[]>`
    with relations as (
      select oid, relname, relkind from pg_class
      where relnamespace = ${schema}::regnamespace and relkind not in ('i', 'I', 't', 'c')
    ), roles (name) as (select unnest(${roles}::text[]))
    select format('%s: %s %s', r.name, right_, relname) as line
      from relations, roles r, unnest('{delete,truncate,trigger,maintain}'::text[]) right_
      where relkind <> 'S' and has_table_privilege(r.name, oid, right_)
    union all select format('%s: %s %s.%s', r.name, right_, relname, attname)
      from relations join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped,
        roles r, unnest('{select,insert,update,references}'::text[]) right_
      where relkind <> 'S' and has_column_privilege(r.name, oid, attnum, right_)
    union all select format('%s: %s %s', r.name, right_, relname)
      from relations, roles r, unnest('{usage,select,update}'::text[]) right_
      where relkind = 'S' and has_sequence_privilege(r.name, oid, right_)`
  return rows.map(({ line }) => line).sort()
}
