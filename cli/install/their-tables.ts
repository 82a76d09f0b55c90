import type postgres from 'postgres'
import { TEMPLATE_SCHEMA } from './render-schema.ts'

/** A table of the project, as far as a mapping needs to know it. */
export interface TheirTable {
  /** With its schema. */
  readonly name: string
  readonly columns: readonly TheirColumn[]
}

export interface TheirColumn {
  readonly name: string
  readonly type: string
  /** The table that a foreign key of this column alone leads to, with its schema. */
  readonly references?: string
}

const IDENTIFIER = String.raw`(?:"(?:[^"]|"")+"|[a-zA-Z_]\w*)`
const NAME = String.raw`(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?(?<name>${IDENTIFIER}(?:\s*\.\s*${IDENTIFIER})?)`
const REFERENCE = new RegExp(String.raw`\breferences\s+(?<name>${IDENTIFIER}(?:\s*\.\s*${IDENTIFIER})?)`, 'i')
const COLUMN = new RegExp(String.raw`^(?<column>${IDENTIFIER})\s+(?<type>[\w".]+)`)
const FOREIGN_KEY = new RegExp(String.raw`\bforeign\s+key\s*\(\s*(?<column>${IDENTIFIER})\s*\)`, 'i')
const NO_COLUMN = /^(?:constraint|primary|unique|check|foreign|exclude|like)\b/i

/**
 * The tables that the migrations of a project, in order, leave behind. It reads texts and no database: what was made by hand, or by
 * a statement that a function puts together, it does not see.
 */
export function tablesMadeIn(migrations: readonly string[]): TheirTable[] {
  const tables = new Map<string, Map<string, TheirColumn>>()
  for (const statement of migrations.flatMap(statementsOf)) {
    const found = new RegExp(
      String.raw`^(?<verb>create\s+(?:unlogged\s+)?|alter\s+|drop\s+)table\s+${NAME}\s*`,
      'i',
    ).exec(statement)
    const { verb = '', name: given = '' } = found?.groups ?? {}
    if (!found) continue
    const name = fullName(given)
    const rest = statement.slice(found[0].length)
    const columns = tables.get(name) ?? new Map<string, TheirColumn>()
    if (/^create/i.test(verb)) {
      if (tables.has(name)) continue
      for (const item of partsOf(rest.slice(1, closingParenthesis(rest)))) addItem(columns, item)
      tables.set(name, columns)
    } else if (/^drop/i.test(verb)) tables.delete(name)
    else alter(tables, name, columns, rest)
  }
  return [...tables].map(([name, columns]) => ({ name, columns: [...columns.values()] }))
}

function alter(
  tables: Map<string, Map<string, TheirColumn>>,
  name: string,
  columns: Map<string, TheirColumn>,
  actions: string,
): void {
  const renamed = new RegExp(String.raw`^rename\s+to\s+(${IDENTIFIER})`, 'i').exec(actions)?.[1]
  const moved = new RegExp(String.raw`^set\s+schema\s+(${IDENTIFIER})`, 'i').exec(actions)?.[1]
  const column = new RegExp(
    String.raw`^rename\s+(?:column\s+)?(${IDENTIFIER})\s+to\s+(${IDENTIFIER})`,
    'i',
  ).exec(actions)
  const [schema = '', table = ''] = name.split('.')
  if (renamed || moved) {
    tables.delete(name)
    tables.set(`${moved ? plain(moved) : schema}.${renamed ? plain(renamed) : table}`, columns)
  } else if (column) {
    const old = columns.get(plain(column[1] ?? ''))
    columns.delete(plain(column[1] ?? ''))
    if (old) columns.set(plain(column[2] ?? ''), { ...old, name: plain(column[2] ?? '') })
  } else
    for (const action of partsOf(actions)) {
      const dropped = new RegExp(String.raw`^drop\s+column\s+(?:if\s+exists\s+)?(${IDENTIFIER})`, 'i').exec(
        action,
      )?.[1]
      if (dropped) columns.delete(plain(dropped))
      else if (/^add\b/i.test(action))
        addItem(columns, action.replace(/^add\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?/i, ''))
    }
}

/** A column, or a foreign key of one. */
function addItem(columns: Map<string, TheirColumn>, item: string): void {
  const target = REFERENCE.exec(item)?.groups?.name
  const references = target === undefined ? {} : { references: fullName(target) }
  if (NO_COLUMN.test(item)) {
    const name = plain(FOREIGN_KEY.exec(item)?.groups?.column ?? '')
    const column = columns.get(name)
    if (column) columns.set(name, { ...column, ...references })
    return
  }
  const { column, type } = COLUMN.exec(item)?.groups ?? {}
  if (!column || !type || columns.has(plain(column))) return
  columns.set(plain(column), { name: plain(column), type: type.toLowerCase(), ...references })
}

/** Names without quotes are in small letters, as Postgres has them. */
const plain = (identifier: string) =>
  identifier.startsWith('"') ? identifier.slice(1, -1).replaceAll('""', '"') : identifier.toLowerCase()

/** A name without a schema is that of a table in `public`, as the platform has the search path. */
function fullName(name: string): string {
  const parts = name.match(new RegExp(IDENTIFIER, 'g')) ?? []
  return [...(parts.length > 1 ? [] : [TEMPLATE_SCHEMA]), ...parts.map(plain)].join('.')
}

/** Without comments and without what stands between dollar quotes: tables that functions make are not meant. */
function statementsOf(sql: string): string[] {
  return sql
    .replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' ')
    .replace(/\$(\w*)\$[\s\S]*?\$\1\$/g, "''")
    .replace(/'(?:[^']|'')*'/g, "''")
    .split(';')
    .map((statement) => statement.trim())
}

/** Split at the commas that stand in no parentheses. */
function partsOf(text: string): string[] {
  const parts = ['']
  let depth = 0
  for (const letter of text) {
    if (letter === '(') depth++
    if (letter === ')') depth--
    if (letter === ',' && depth === 0) parts.push('')
    else parts.push(`${parts.pop() ?? ''}${letter}`)
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

function closingParenthesis(text: string): number {
  let depth = 0
  for (const [index, letter] of [...text].entries()) {
    if (letter === '(') depth++
    if (letter === ')' && --depth === 0) return index
  }
  return text.length
}

/** The tables that a database has, those of the platform left out. */
export async function tablesInDatabase(sql: postgres.Sql): Promise<TheirTable[]> {
  const rows = await sql<{ table: string; column: string; type: string; references: string | null }[]>`
    select n.nspname || '.' || c.relname as table, a.attname as column,
      pg_catalog.format_type(a.atttypid, null) as type, (
        select fn.nspname || '.' || f.relname from pg_catalog.pg_constraint k
        join pg_catalog.pg_class f on f.oid = k.confrelid join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
        where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum] limit 1) as references
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p') and n.nspname not in ('auth', 'cron', 'extensions', 'information_schema', 'net', 'pgsodium',
      'provisioning', 'realtime', 'storage', 'supabase_functions', 'supabase_migrations', 'vault') and n.nspname !~ '^pg_'
    order by c.oid, a.attnum`
  const tables = new Map<string, TheirColumn[]>()
  for (const { table, column, type, references } of rows)
    tables.set(table, [
      ...(tables.get(table) ?? []),
      { name: column, type, ...(references === null ? {} : { references }) },
    ])
  return [...tables].map(([name, columns]) => ({ name, columns }))
}
