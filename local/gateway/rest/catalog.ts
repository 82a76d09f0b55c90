import type { Sql } from 'postgres'

/** Column name to type, the latter as it may stand in a cast. */
export type Columns = Readonly<Record<string, string>>

export interface Relation {
  readonly schema: string
  readonly name: string
  readonly columns: Columns
}

export interface FunctionArgument {
  /** Empty for an unnamed one. */
  readonly name: string
  readonly type: string
  readonly optional: boolean
}

export interface DatabaseFunction {
  readonly schema: string
  readonly name: string
  readonly arguments: readonly FunctionArgument[]
  readonly returns: 'void' | 'scalar' | 'composite'
  readonly returnsSet: boolean
  /** Of the rows it returns, when `returns` is composite. */
  readonly columns: Columns
  readonly volatile: boolean
}

/** What PostgREST calls the schema cache. */
export interface Catalog {
  readonly relations: readonly Relation[]
  readonly functions: readonly DatabaseFunction[]
  /** `statement_timeout` of the roles that set one; it does not take effect by `set role` alone. */
  readonly statementTimeouts: Readonly<Record<string, string>>
}

export interface CatalogCache {
  current(): Promise<Catalog>
  stop(): Promise<void>
}

/** Keeps the catalog in memory until someone says `notify pgrst, 'reload schema'`, as PostgREST does. */
export async function createCatalogCache(
  sql: Sql,
  schemas: readonly string[],
  log: (text: string) => void,
): Promise<CatalogCache> {
  let catalog: Promise<Catalog>
  const reload = () => {
    catalog = readCatalog(sql, schemas)
    catalog.catch((error: unknown) => {
      log(`rest: the schema cache could not be loaded: ${error}`)
      catalog = Promise.reject(error)
      catalog.catch(() => undefined)
    })
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
  return { current: () => catalog, stop: () => listener.unlisten() }
}

/**
 * Plain statements: within `begin`, a lost connection ends the process (postgres.js 3.4.9), and this runs whenever one was
 * lost. A change between two of them is followed by another notification.
 */
async function readCatalog(sql: Sql, schemas: readonly string[]): Promise<Catalog> {
  const relations = await sql<Relation[]>`
    select n.nspname as schema, c.relname as name, coalesce(
      (select json_object_agg(a.attname, pg_catalog.format_type(a.atttypid, -1)) from pg_catalog.pg_attribute a
       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}') as columns
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any(${[...schemas]}::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')`
  const functions = await sql<FunctionRow[]>`
    select n.nspname as schema, p.proname as name, p.provolatile = 'v' as volatile, p.proretset as "returnsSet",
      p.pronargdefaults as "defaults", p.prorettype = 'void'::pg_catalog.regtype as "returnsVoid", (
        select coalesce(json_agg(json_build_object('name', coalesce(a.name, ''), 'mode', coalesce(a.mode, 'i'),
          'type', pg_catalog.format_type(a.type, -1)) order by a.position), '[]')
        from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
          with ordinality as a(type, name, mode, position)
      ) as parameters, (
        select json_object_agg(a.attname, pg_catalog.format_type(a.atttypid, -1))
        from pg_catalog.pg_type t join pg_catalog.pg_attribute a on a.attrelid = t.typrelid
        where t.oid = p.prorettype and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped
      ) as "rowColumns"
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = any(${[...schemas]}::text[]) and p.prokind = 'f'
      and p.prorettype not in ('trigger'::pg_catalog.regtype, 'event_trigger'::pg_catalog.regtype)`
  const timeouts = await sql<{ role: string; timeout: string }[]>`
    select r.rolname as role, split_part(setting, '=', 2) as timeout
    from pg_catalog.pg_roles r cross join lateral unnest(r.rolconfig) as setting
    where setting like 'statement_timeout=%'`
  return {
    relations: [...relations],
    functions: functions.map(describeFunction),
    statementTimeouts: Object.fromEntries(timeouts.map(({ role, timeout }) => [role, timeout])),
  }
}

interface FunctionRow {
  readonly schema: string
  readonly name: string
  readonly volatile: boolean
  readonly returnsSet: boolean
  readonly returnsVoid: boolean
  /** How many of the last input parameters have a default. */
  readonly defaults: number
  /** Modes as in pg_proc: in, out, both, variadic, table. */
  readonly parameters: readonly { name: string; mode: 'i' | 'o' | 'b' | 'v' | 't'; type: string }[]
  readonly rowColumns: Columns | null
}

function describeFunction(row: FunctionRow): DatabaseFunction {
  const inputs = row.parameters.filter(({ mode }) => mode !== 'o' && mode !== 't')
  const outputs = row.parameters.filter(({ mode }) => mode !== 'i' && mode !== 'v')
  const columns = row.rowColumns ?? Object.fromEntries(outputs.map(({ name, type }) => [name, type]))
  const composite = row.rowColumns !== null || outputs.length > 0
  return {
    schema: row.schema,
    name: row.name,
    arguments: inputs.map(({ name, type }, index) => ({
      name,
      type,
      optional: index >= inputs.length - row.defaults,
    })),
    returns: row.returnsVoid ? 'void' : composite ? 'composite' : 'scalar',
    returnsSet: row.returnsSet,
    columns,
    volatile: row.volatile,
  }
}
