import type postgres from 'postgres'
import { z } from 'zod'

/** Far more than a tenant schema has; who has made more is told of the first ones. */
const MOST_RELATIONS = 2_000

const relation = z.object({
  /** With its schema, quoted as SQL needs it. */
  name: z.string(),
  kind: z.string(),
  columns: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      isBuiltIn: z.boolean(),
      isGenerated: z.boolean(),
      /** Its place in the primary key, from 1. */
      key: z.number().nullable(),
    }),
  ),
})
export type Relation = z.infer<typeof relation>

/** Reads pg_catalog alone, in which no tenant can put anything in the place of anything. What extensions have brought is left out. */
const READ = `select format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind, coalesce((
    select jsonb_agg(jsonb_build_object('name', quote_ident(a.attname), 'type', format_type(a.atttypid, a.atttypmod),
      'isBuiltIn', t.typnamespace = 'pg_catalog'::regnamespace, 'isGenerated', a.attgenerated <> '',
      'key', array_position(k.conkey, a.attnum)) order by a.attnum)
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]') as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  left join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
  where c.relkind in ('r', 'p', 'f', 'm', 'v') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'provisioning')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  order by 1 limit ${MOST_RELATIONS}`

/** Tables, views and what else holds rows, wherever in a tenant's database. Wants pg_catalog as its search_path. */
export async function readRelations(sql: postgres.Sql): Promise<readonly Relation[]> {
  return z.array(relation).parse([...(await sql.unsafe(READ))])
}

/** Tables with their columns, and of each the type, or what begins with it. */
export type Expected = ReadonlyMap<string, ReadonlyMap<string, string>>

/** What a catalogue of the tenant schema has, as the fingerprint records it: {"table public.contacts", "column public.contacts.id"}. */
export function expectedOf(objects: Readonly<Record<string, string>>): Expected {
  const tables = new Map<string, Map<string, string>>()
  for (const object of Object.keys(objects)) {
    if (object.startsWith('table ')) tables.set(object.slice('table '.length), new Map())
  }
  for (const [object, definition] of Object.entries(objects)) {
    if (!object.startsWith('column ')) continue
    const name = object.slice('column '.length)
    const end = name.lastIndexOf('.')
    tables.get(name.slice(0, end))?.set(name.slice(end + 1), definition)
  }
  return tables
}

/** What the tables of a database that is as it should be are. */
export function tablesOf(relations: readonly Relation[]): Expected {
  return new Map(
    relations
      .filter(({ kind, name }) => kind === 'r' && name.startsWith('public.'))
      .map(({ name, columns }) => [name, new Map(columns.map((column) => [column.name, column.type]))]),
  )
}

export interface Comparison {
  /** Missing, of another type, or something else than a table. */
  readonly differ: readonly string[]
  /** What people have made beside it. */
  readonly extra: readonly string[]
}

/** @param relations those of the tenant's database, as somebody may have changed them */
export function compare(relations: readonly Relation[], expected: Expected): Comparison {
  const found = new Map(relations.map((each) => [each.name, each]))
  const differ: string[] = []
  const extra = relations.filter(({ name }) => !expected.has(name)).map(({ name }) => name)
  for (const [name, columns] of expected) {
    const table = found.get(name)
    if (table?.kind !== 'r') {
      differ.push(name)
      continue
    }
    for (const [column, type] of columns) {
      const is = table.columns.find((each) => each.name === column)
      if (!is || is.isGenerated || (type !== is.type && !type.startsWith(`${is.type} `)))
        differ.push(`${name}.${column}`)
    }
    for (const { name: column } of table.columns) if (!columns.has(column)) extra.push(`${name}.${column}`)
  }
  return { differ, extra }
}
