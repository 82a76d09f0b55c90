import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from 'postgres'

export interface Column {
  readonly name: string
  /** As it may stand in a cast. */
  readonly type: string
  /** The expression of its default. */
  readonly default: string | null
  /** A tsvector, or a domain of one. */
  readonly isVector: boolean
  /** A domain with casts of its own, by which PostgREST reads and writes its values. */
  readonly hasCasts: boolean
}

export interface Relation {
  readonly schema: string
  readonly name: string
  readonly isView: boolean
  readonly columns: readonly Column[]
  /** Empty without one. */
  readonly primaryKey: readonly string[]
}

export interface ForeignKey {
  readonly constraint: string
  readonly schema: string
  readonly table: string
  readonly columns: readonly string[]
  readonly foreignSchema: string
  readonly foreignTable: string
  /** In the order of `columns`. */
  readonly foreignColumns: readonly string[]
  /** At most one row of the table refers to a row of the foreign table. */
  readonly isUnique: boolean
}

export interface FunctionArgument {
  /** Empty for an unnamed one. */
  readonly name: string
  readonly type: string
  readonly optional: boolean
  readonly variadic: boolean
}

export interface DatabaseFunction {
  readonly schema: string
  readonly name: string
  readonly arguments: readonly FunctionArgument[]
  readonly returns: 'void' | 'scalar' | 'composite'
  readonly returnsSet: boolean
  /** It returns one row at most, or says so (`rows 1`). */
  readonly returnsOne: boolean
  /** The table whose row is its first argument. */
  readonly takesRowOf: { readonly schema: string; readonly name: string } | undefined
  /** Of the rows it returns, when `returns` is composite. */
  readonly columns: readonly Column[]
  /** The table whose rows it returns, and whose relations can therefore be embedded. */
  readonly rowsOf: { readonly schema: string; readonly name: string } | undefined
  readonly volatile: boolean
  /** It returns a domain with the name of a media type, and decides by it what the reply is. */
  readonly makesMediaType: boolean
}

/** What PostgREST calls the schema cache. */
export interface Catalog {
  readonly relations: readonly Relation[]
  readonly foreignKeys: readonly ForeignKey[]
  readonly functions: readonly DatabaseFunction[]
  /** `statement_timeout` of the roles that set one; it does not take effect by `set role` alone. */
  readonly statementTimeouts: Readonly<Record<string, string>>
}

export interface CatalogCache {
  current(): Promise<Catalog>
  stop(): Promise<void>
}

/** A pool may have several connections that were cut off together; each costs a try. */
const LOAD_TRIES = 10
const LOAD_AGAIN_AFTER_MS = 100

/** Keeps the catalog in memory until someone says `notify pgrst, 'reload schema'`, and loads it again when that fails, as PostgREST does. */
export async function createCatalogCache(
  sql: Sql,
  schemas: readonly string[],
  log: (text: string) => void,
): Promise<CatalogCache> {
  let stopped = false
  const load = async (): Promise<Catalog> => {
    for (let tries = 1; ; tries++) {
      try {
        return await readCatalog(sql, schemas)
      } catch (error) {
        log(`rest: the schema cache could not be loaded: ${error}`)
        if (stopped || tries === LOAD_TRIES) throw error
        await sleep(tries * LOAD_AGAIN_AFTER_MS)
      }
    }
  }
  let catalog: Promise<Catalog>
  const reload = () => {
    catalog = load()
    catalog.catch(() => undefined)
  }
  reload()
  const listener = await sql.listen(
    'pgrst',
    (payload) => {
      if (payload === '' || payload === 'reload schema' || payload === 'reload config') reload()
    },
    // Also after a lost connection, during which a notification may have been missed.
    reload,
  )
  return {
    current: () => catalog,
    stop: () => {
      stopped = true
      return listener.unlisten()
    },
  }
}

/**
 * Plain statements: within `begin`, a lost connection ends the process (postgres.js 3.4.9), and this runs whenever one was
 * lost. A change between two of them is followed by another notification.
 */
async function readCatalog(sql: Sql, schemas: readonly string[]): Promise<Catalog> {
  const relations = await sql<Relation[]>`
    select n.nspname as schema, c.relname as name, c.relkind in ('v', 'm') as "isView", (
        select coalesce(json_agg(json_build_object('name', a.attname,
          'type', pg_catalog.format_type(a.atttypid, -1),
          'isVector', pg_catalog.pg_basetype(a.atttypid) = 'pg_catalog.tsvector'::pg_catalog.regtype,
          'hasCasts', t.typtype = 'd' and exists (select from pg_catalog.pg_cast k
            where t.oid in (k.castsource, k.casttarget) and k.castmethod = 'f'),
          'default', case
            when a.attgenerated <> '' or a.attidentity = 'a' then null
            -- Not by pg_get_serial_sequence, which asks for rights on the schema that authenticator seldom has.
            when a.attidentity = 'd' then (
              select format('nextval(%L)', s.objid::pg_catalog.regclass) from pg_catalog.pg_depend s
              where s.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and s.refobjid = c.oid
                and s.refobjsubid = a.attnum and s.classid = s.refclassid and s.deptype = 'i')
            else coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), pg_catalog.pg_get_expr(t.typdefaultbin, 0))
          end) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
          left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      ) as columns, (
        select coalesce(json_agg(a.attname), '[]')
        from pg_catalog.pg_index i join pg_catalog.pg_attribute a
          on a.attrelid = i.indrelid and a.attnum = any(i.indkey::int2[])
        where i.indrelid = c.oid and i.indisprimary
      ) as "primaryKey"
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any(${[...schemas]}::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition`
  const foreignKeys = await sql<ForeignKey[]>`
    select k.conname as constraint, n.nspname as schema, c.relname as table, fn.nspname as "foreignSchema",
      f.relname as "foreignTable", (
        select json_agg(a.attname order by u.position) from unnest(k.conkey) with ordinality as u(number, position)
          join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number
      ) as columns, (
        select json_agg(a.attname order by u.position) from unnest(k.confkey) with ordinality as u(number, position)
          join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number
      ) as "foreignColumns", exists (
        select from pg_catalog.pg_constraint q
        where q.conrelid = k.conrelid and q.contype in ('p', 'u') and q.conkey @> k.conkey and q.conkey <@ k.conkey
      ) as "isUnique"
    from pg_catalog.pg_constraint k
      join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_class f on f.oid = k.confrelid join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
    where k.contype = 'f' and k.conparentid = 0 and n.nspname = any(${[...schemas]}::text[])
      and fn.nspname = any(${[...schemas]}::text[])
    order by k.conname, c.relname`
  const functions = await sql<FunctionRow[]>`
    select n.nspname as schema, p.proname as name, p.provolatile = 'v' as volatile, p.proretset as "returnsSet",
      not p.proretset or p.prorows = 1 as "returnsOne", (
        select json_build_object('schema', cn.nspname, 'name', c.relname)
        from pg_catalog.pg_type t join pg_catalog.pg_class c on c.oid = t.typrelid and c.relkind <> 'c'
          join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
        where t.oid = p.proargtypes[0]
      ) as "takesRowOf",
      p.pronargdefaults as "defaults", p.prorettype = 'void'::pg_catalog.regtype as "returnsVoid", (
        select coalesce(json_agg(json_build_object('name', coalesce(a.name, ''), 'mode', coalesce(a.mode, 'i'),
          'type', pg_catalog.format_type(a.type, -1)) order by a.position), '[]')
        from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
          with ordinality as a(type, name, mode, position)
      ) as parameters, (
        select json_agg(json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, -1),
          'isVector', pg_catalog.pg_basetype(a.atttypid) = 'pg_catalog.tsvector'::pg_catalog.regtype,
          'hasCasts', false, 'default', null) order by a.attnum)
        from pg_catalog.pg_type t join pg_catalog.pg_attribute a on a.attrelid = t.typrelid
        where t.oid = pg_catalog.pg_basetype(p.prorettype) and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped
      ) as "rowColumns", (
        select json_build_object('schema', cn.nspname, 'name', c.relname)
        from pg_catalog.pg_type t join pg_catalog.pg_class c on c.oid = t.typrelid and c.relkind <> 'c'
          join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
        where t.oid = pg_catalog.pg_basetype(p.prorettype)
      ) as "rowsOf", exists (
        select from pg_catalog.pg_type t where t.oid = p.prorettype and t.typtype = 'd' and t.typname like '%/%'
      ) as "makesMediaType"
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = any(${[...schemas]}::text[]) and p.prokind = 'f'
      and p.prorettype not in ('trigger'::pg_catalog.regtype, 'event_trigger'::pg_catalog.regtype)`
  const timeouts = await sql<{ role: string; timeout: string }[]>`
    select r.rolname as role, split_part(setting, '=', 2) as timeout
    from pg_catalog.pg_roles r cross join lateral unnest(r.rolconfig) as setting
    where setting like 'statement_timeout=%'`
  return {
    relations: [...relations],
    foreignKeys: [...foreignKeys],
    functions: functions.map(describeFunction),
    statementTimeouts: Object.fromEntries(timeouts.map(({ role, timeout }) => [role, timeout])),
  }
}

interface FunctionRow {
  readonly schema: string
  readonly name: string
  readonly volatile: boolean
  readonly returnsSet: boolean
  readonly returnsOne: boolean
  readonly takesRowOf: { readonly schema: string; readonly name: string } | null
  readonly returnsVoid: boolean
  /** How many of the last input parameters have a default. */
  readonly defaults: number
  /** Modes as in pg_proc: in, out, both, variadic, table. */
  readonly parameters: readonly { name: string; mode: 'i' | 'o' | 'b' | 'v' | 't'; type: string }[]
  readonly rowColumns: readonly Column[] | null
  readonly rowsOf: { readonly schema: string; readonly name: string } | null
  readonly makesMediaType: boolean
}

function describeFunction(row: FunctionRow): DatabaseFunction {
  const inputs = row.parameters.filter(({ mode }) => mode !== 'o' && mode !== 't')
  const outputs = row.parameters.filter(({ mode }) => mode !== 'i' && mode !== 'v')
  const columns =
    row.rowColumns ??
    outputs.map(({ name, type }) => ({
      name,
      type,
      default: null,
      isVector: type === 'tsvector',
      hasCasts: false,
    }))
  const composite = row.rowColumns !== null || outputs.length > 0
  return {
    schema: row.schema,
    name: row.name,
    arguments: inputs.map(({ name, type, mode }, index) => ({
      name,
      type,
      variadic: mode === 'v',
      optional: index >= inputs.length - row.defaults,
    })),
    returns: row.returnsVoid ? 'void' : composite ? 'composite' : 'scalar',
    returnsSet: row.returnsSet,
    returnsOne: row.returnsOne,
    takesRowOf: row.takesRowOf ?? undefined,
    columns,
    rowsOf: row.rowsOf ?? undefined,
    volatile: row.volatile,
    makesMediaType: row.makesMediaType,
  }
}
