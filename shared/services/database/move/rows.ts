import type postgres from 'postgres'
import { failed, type Result, success } from '../../../kernel/result.ts'
import { isOfTheTenant } from '../../../tenant-database/tenants-error.ts'
import { failure } from './failures.ts'
import type { MovedColumn, MovedTable, Sides } from './sides.ts'

/** Of rows that are read and written at once. Each stands in memory as bytes, as text and as JSON. */
const GROUP_BYTES = 2 * 1024 * 1024
const MOST_ROW_BYTES = 8 * 1024 * 1024

/** As the output functions of their types say them, which are no tenant's: a cast could be. */
type Values = readonly (string | null)[]
type Key = readonly string[]

interface Row {
  readonly key: Key
  readonly hash: string
  readonly bytes: number
}

export interface Page {
  /** The last key that was compared; undefined when there is nothing behind it. */
  readonly after: Key | undefined
  readonly changed: number
}

/** Makes the rows of the next page the same in both, and says how far that goes. Repeating it changes nothing. */
export async function copyPage(
  { source, target }: Pick<Sides, 'source' | 'target'>,
  table: MovedTable,
  after: Key | undefined,
  pageRows: number,
): Promise<Result<Page>> {
  const rows = await readPage(source, table, { after, most: pageRows })
  const large = rows.find(({ bytes }) => bytes > MOST_ROW_BYTES)
  if (large) return failed(failure('move_row_too_large', table.name))
  const isLast = rows.length < pageRows
  const upTo = isLast ? undefined : rows.at(-1)?.key
  const wanted = new Map(rows.map((row) => [JSON.stringify(row.key), row]))
  let changed = 0
  let from = after
  const known = new Set<string>()
  // What is gone from the source can be any number of rows, and is taken out in portions.
  for (;;) {
    const there = await readPage(target, table, { after: from, upTo, most: pageRows })
    const gone = there.filter(({ key }) => !wanted.has(JSON.stringify(key)))
    await remove(target, table, gone)
    changed += gone.length
    for (const { key, hash } of there)
      if (wanted.get(JSON.stringify(key))?.hash === hash) known.add(JSON.stringify(key))
    if (there.length < pageRows) break
    from = there.at(-1)?.key
  }
  const missing = rows.filter(({ key }) => !known.has(JSON.stringify(key)))
  for (const group of grouped(missing)) {
    const written = await replace(source, target, table, group)
    if (!written.ok) return written
  }
  return success({ after: upTo, changed: changed + missing.length })
}

function grouped(rows: readonly Row[]): Row[][] {
  const groups: Row[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const row of rows) {
    if (bytes + row.bytes > GROUP_BYTES) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(row)
    bytes += row.bytes
  }
  return groups
}

/** Texts are in the same order in both, whatever the collations are. */
function ordered({ name, type }: MovedColumn): string {
  return /^(text|character|name|"char")/.test(type) ? `${name} collate "C"` : name
}

const list = (columns: readonly MovedColumn[], of = '') => columns.map(({ name }) => of + name).join(', ')

/** Of a row of plain values: what a record looks like, which no cast of a tenant's can change. Computed once, however often it is used. */
const asText = ({ columns }: MovedTable) =>
  `cross join lateral (select row(${list(columns, 'x.')})::text as whole offset 0) r`

async function readPage(
  sql: postgres.Sql,
  table: MovedTable,
  { after, upTo, most }: { after: Key | undefined; upTo?: Key | undefined; most: number },
): Promise<Row[]> {
  const keys = table.key.map(ordered).join(', ')
  const bound = (by: string, from: number) =>
    `(${keys}) ${by} (${table.key.map(({ type }, index) => `$${from + index}::text::${type}`).join(', ')})`
  const conditions = [
    ...(after ? [bound('>', 1)] : []),
    ...(upTo ? [bound('<=', 1 + (after?.length ?? 0))] : []),
  ]
  const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''
  const rows = await read(
    sql,
    `select ${list(table.key, 'x.')}, md5(r.whole), octet_length(r.whole) from only ${table.name} x ${asText(table)}
     ${where} order by ${keys} limit ${most}`,
    [...(after ?? []), ...(upTo ?? [])],
  )
  return rows.map((values) => ({
    key: values.slice(0, -2).map(String),
    hash: String(values.at(-2)),
    bytes: Number(values.at(-1)),
  }))
}

/**
 * Who reads a table runs what its owner has put into an index on it, when the statement is planned, or into a view in its place. Our
 * role has more rights than the owner: in a transaction that writes nothing and is undone they are good for nothing, and no setting
 * of such a function outlasts it.
 */
const BEGIN_READING = 'begin read only'
const FORGET = 'rollback'

/** Values as texts; the client's own readers of types would make dates and numbers of them. */
async function read(sql: postgres.Sql, statement: string, values: readonly string[] = []): Promise<Values[]> {
  const [, rows]: [unknown, (Uint8Array | null)[][], unknown] = await Promise.all([
    sql.unsafe(BEGIN_READING),
    sql.unsafe(statement, [...values]).raw(),
    sql.unsafe(FORGET),
  ])
  const decoder = new TextDecoder()
  return rows.map((row) => row.map((value) => (value === null ? null : decoder.decode(value))))
}

/** Rows as JSON, each value as a text under the number of its column. */
function asJson(rows: readonly Values[]): string {
  return JSON.stringify(
    rows.map((row) => Object.fromEntries(row.map((value, index) => [`c${index}`, value]))),
  )
}

const recordset = (columns: readonly MovedColumn[]) =>
  `json_to_recordset($1::text::json) as n (${columns.map((_, index) => `c${index} text`).join(', ')})`

const asValues = (columns: readonly MovedColumn[]) =>
  columns.map(({ type }, index) => `n.c${index}::${type}`).join(', ')

const amongKeys = ({ key }: MovedTable) =>
  `(${list(key)}) in (select ${asValues(key)} from ${recordset(key)})`

const deleteStatement = (table: MovedTable) => `delete from only ${table.name} where ${amongKeys(table)}`

const insertStatement = ({
  name,
  columns,
}: MovedTable) => `insert into ${name} (${list(columns)}) overriding system value
  select ${asValues(columns)} from ${recordset(columns)} on conflict do nothing`

async function remove(target: postgres.Sql, table: MovedTable, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  await withoutTriggers(target, (sql) =>
    sql.unsafe(deleteStatement(table), [asJson(rows.map(({ key }) => key))]),
  )
}

/**
 * Writes rows as they are now in the source, and takes away what was there under their keys. A row whose place another one has, as
 * with an address that has passed from one to the other, is left for the next pass, in which that one has moved on.
 */
async function replace(
  source: postgres.Sql,
  target: postgres.Sql,
  table: MovedTable,
  group: readonly Row[],
): Promise<Result<void>> {
  const keys = asJson(group.map(({ key }) => key))
  const rows = await read(
    source,
    `select ${list(table.columns)} from only ${table.name} where ${amongKeys(table)}`,
    [keys],
  )
  try {
    await withoutTriggers(target, async (sql) => {
      await sql.unsafe(deleteStatement(table), [keys])
      await sql.unsafe(insertStatement(table), [asJson(rows)])
    })
    return success(undefined)
  } catch (error) {
    if (!isOfTheTenant(error) || !/^(22|23|42501)/.test(error.code)) throw error
    const constraint = 'constraint_name' in error ? ` ${String(error.constraint_name)}` : ''
    return failed(failure('move_row_refused', `${table.name}, ${error.code}${constraint}`))
  }
}

const WITHOUT_TRIGGERS = `set local session_replication_role = 'replica'`

/**
 * Times stay what they are in the source, the audit log takes what it would sign anew, and foreign keys wait for nobody: each table has
 * what the other database has, where they hold.
 */
function withoutTriggers<T>(
  target: postgres.Sql,
  work: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<unknown> {
  return target.begin(async (sql) => {
    // As a statement, not as a call: Supabase allows it to the role in this form alone.
    await sql.unsafe(WITHOUT_TRIGGERS)
    return work(sql)
  })
}

export interface Checksum {
  readonly rows: number
  readonly checksum: string
}

/** How many rows a table has, and a sum over all of them that no order changes. */
export async function checksumOf(sql: postgres.Sql, table: MovedTable): Promise<Checksum> {
  const [row] = await read(
    sql,
    `select count(*), coalesce(sum(('x' || left(md5(r.whole), 16))::bit(64)::bigint), 0) from only ${table.name} x ${asText(table)}`,
  )
  return { rows: Number(row?.[0]), checksum: String(row?.[1]) }
}

/** What numbers rows goes on behind the last one. */
export async function setSequences(target: postgres.Sql, tables: readonly MovedTable[]): Promise<void> {
  const found = await read(target, SEQUENCES, [JSON.stringify(tables.map(({ name }) => name))])
  for (const [table, column, sequence] of found)
    await target.unsafe(sequenceStatement(table ?? '', column ?? ''), [sequence ?? ''])
}

const sequenceStatement = (table: string, column: string) =>
  `select setval($1::text::regclass, coalesce(max(${column}), 1), max(${column}) is not null) from only ${table}`

const SEQUENCES = `select t.name, quote_ident(a.attname), pg_get_serial_sequence(t.name, a.attname)
  from json_array_elements_text($1::text::json) t (name) join pg_attribute a on a.attrelid = to_regclass(t.name)
  where a.attnum > 0 and not a.attisdropped and pg_get_serial_sequence(t.name, a.attname) is not null`
