import type { TransactionSql } from 'postgres'
import { z } from 'zod'
import type { Reply } from '../exchange.ts'
import { jsonOf, RestError } from './errors.ts'
import { bodyExpression, type Media } from './media.ts'
import type { Preferences } from './preferences.ts'
import type { PageRange } from './read-tree.ts'
import { Parameters } from './sql-text.ts'

/** What a statement found or changed. */
export interface Page {
  readonly body: string
  readonly rows: number
  /** How many there are beyond the page; null when nobody asked. */
  readonly total: number | null
  /** What the statement itself wants the reply to be, in the settings that PostgREST reads. */
  readonly status: string | null
  readonly headers: string | null
}

/** Parts of a statement, each of which binds its values where it is used. */
export interface PageQuery {
  /** CTEs before `_rows`, each with a comma after it. */
  readonly sources: (parameters: Parameters) => string
  /** The query of the rows. */
  readonly rows: (parameters: Parameters) => string
  /** Finds a row for each that `rows` would find without its range. */
  readonly count: (parameters: Parameters) => string
  /** More columns for the result. */
  readonly extra?: (parameters: Parameters) => readonly string[]
  /** What of a row becomes JSON. Default: all of it. */
  readonly value?: string
}

/** @param count how the rows beyond the page are counted, if at all */
export async function runPage<T extends Page>(
  sql: TransactionSql,
  query: PageQuery,
  media: Media,
  count: Preferences['count'],
  maxRows: number,
): Promise<T> {
  const parameters = new Parameters()
  const sources = query.sources(parameters)
  const rows = query.rows(parameters)
  const columns = [
    `${bodyExpression(media, query.value)} as body`,
    'count(_row)::int as rows',
    `${totalExpression(query, count, maxRows, parameters)} as total`,
    "nullif(current_setting('response.status', true), '') as status",
    "nullif(current_setting('response.headers', true), '') as headers",
    ...(query.extra?.(parameters) ?? []),
  ]
  const statement = `with ${sources}_rows as (${rows}) select ${columns.join(', ')} from (select * from _rows) as _row`
  const [page] = await sql.unsafe<T[]>(statement, parameters.values)
  if (!page) throw new Error('an aggregate returned no row')
  const isGuess = count === 'planned' || (count === 'estimated' && (page.total ?? 0) > maxRows)
  if (!isGuess) return page
  return { ...page, total: Math.max(await plannedRows(sql, query), page.total ?? 0) }
}

function totalExpression(
  query: PageQuery,
  count: Preferences['count'],
  maxRows: number,
  parameters: Parameters,
): string {
  if (count !== 'exact' && count !== 'estimated') return 'null::int'
  const limit = count === 'estimated' ? ` limit ${maxRows + 1}` : ''
  return `(select count(*)::int from (${query.count(parameters)}${limit}) as _all)`
}

async function plannedRows(sql: TransactionSql, query: PageQuery): Promise<number> {
  const parameters = new Parameters()
  const statement = `explain (format json) with ${query.sources(parameters)}_all as (${query.count(parameters)}) select * from _all`
  const [row] = await sql.unsafe<Record<string, unknown>[]>(statement, parameters.values)
  const [plan] = planSchema.parse(JSON.parse(String(row?.['QUERY PLAN'])))
  return plan.Plan['Plan Rows']
}

const planSchema = z.tuple([z.object({ Plan: z.object({ 'Plan Rows': z.number() }) })])

/** The reply to a read. Thrown inside the transaction, a refusal also rolls back what a function has written. */
export function readReply(
  page: Page,
  media: Media,
  range: PageRange,
  headers: Readonly<Record<string, string>>,
): Reply {
  assertSingle(page, media)
  const { offset } = range
  if (page.total !== null && offset > page.total)
    throw new RestError(
      416,
      'PGRST103',
      'Requested range not satisfiable',
      `An offset of ${offset} was requested, but there are only ${page.total} rows.`,
      null,
      { 'content-range': `*/${page.total}` },
    )
  return {
    status: page.total !== null && page.rows < page.total ? 206 : 200,
    headers: {
      'content-range': contentRange(offset, offset + page.rows - 1, page.total),
      'content-type': media.contentType,
      ...headers,
    },
    body: page.body,
  }
}

export function contentRange(first: number, last: number, total: number | null): string {
  return `${first <= last && total !== 0 ? `${first}-${last}` : '*'}/${total ?? '*'}`
}

/** @throws RestError (PGRST116) */
export function assertSingle(page: Page, media: Media): void {
  if (media.kind !== 'object' || page.rows === 1) return
  throw new RestError(
    406,
    'PGRST116',
    'Cannot coerce the result to a single JSON object',
    `The result contains ${page.rows} rows`,
  )
}

/** @throws RestError (PGRST124) */
export function assertAffected(page: Page, { strict, maxAffected }: Preferences): void {
  if (!strict || maxAffected === undefined || page.rows <= maxAffected) return
  throw new RestError(
    400,
    'PGRST124',
    'Query result exceeds max-affected preference constraint',
    `The query affects ${page.rows} rows`,
  )
}

/** The reply with the status and the headers that the statement set. @throws RestError (PGRST111, PGRST112) */
export function overridden(reply: Reply, page: Page): Reply {
  if (page.status === null && page.headers === null) return reply
  if (page.status !== null && !/^[1-5]\d\d$/.test(page.status))
    throw new RestError(500, 'PGRST112', 'response.status guc must be a valid status code')
  return {
    ...reply,
    status: page.status === null ? reply.status : Number(page.status),
    headers: { ...reply.headers, ...settingHeaders(page.headers) },
  }
}

function settingHeaders(text: string | null): Record<string, string> {
  if (text === null) return {}
  const invalid = new RestError(
    500,
    'PGRST111',
    'response.headers guc must be a JSON array composed of objects with a single key and a string value',
  )
  const parsed = jsonOf(text)
  if (!Array.isArray(parsed)) throw invalid
  const entries = parsed.flatMap((each: unknown) => {
    const pairs = typeof each === 'object' && each !== null ? Object.entries(each) : []
    const [pair] = pairs
    if (pairs.length !== 1 || typeof pair?.[1] !== 'string') throw invalid
    return [[pair[0].toLowerCase(), pair[1]] as const]
  })
  return Object.fromEntries(entries)
}
