import { type Call, header } from '../exchange.ts'
import { RestError } from './errors.ts'
import {
  type Filter,
  type Placed,
  parseColumns,
  parseFilter,
  parseOrder,
  parsePath,
} from './filter-syntax.ts'
import type { Modifiers, PageRange } from './read-tree.ts'
import { parseSelect, type SelectItem } from './select-syntax.ts'

/** What the query string and the Range header say. */
export interface Query {
  readonly items: readonly SelectItem[]
  readonly filters: readonly Placed<Filter>[]
  readonly orders: Modifiers['orders']
  /** Of the table itself. */
  readonly range: PageRange
  /** Of the embedded tables. */
  readonly embeddedRanges: Modifiers['ranges']
  /** Columns that are written, instead of those that the body names. */
  readonly columns: readonly string[] | undefined
  readonly onConflict: readonly string[] | undefined
}

const RESERVED = new Set(['select', 'columns', 'on_conflict', 'apikey'])

/**
 * @param isIgnored finds query parameters that are not filters, namely a function's arguments
 * @throws RestError (PGRST100, PGRST103)
 */
export function parseQuery(
  call: Call,
  isIgnored: (parameter: readonly [name: string, value: string]) => boolean = () => false,
): Query {
  const query = call.url.searchParams
  const parameters = [...query].filter((each) => !RESERVED.has(each[0]) && !isIgnored(each))
  const endingIn = (pattern: RegExp) => parameters.filter(([name]) => pattern.test(name))
  const columns = query.get('columns')
  const onConflict = query.get('on_conflict')
  const ranges = parseRanges(endingIn(/(^|\.)(limit|offset)$/))
  return {
    items: parseSelect(query.get('select') ?? '*'),
    filters: parameters
      .filter(([name]) => !/(^|\.)(order|limit|offset)$/.test(name))
      .map(([name, value]) => parseFilter(name, value)),
    orders: endingIn(/(^|\.)order$/).map(([name, value]) => parseOrder(name, value)),
    range: topRange(call, ranges.find(({ path }) => path.length === 0)?.value),
    embeddedRanges: ranges.filter(({ path }) => path.length > 0),
    columns: columns === null ? undefined : parseColumns(columns, 'columns parameter'),
    onConflict: onConflict === null ? undefined : parseColumns(onConflict, 'on_conflict parameter'),
  }
}

/** The schema the client asks for by header, or the first exposed one. @throws RestError (406) */
export function requestedSchema(call: Call, exposed: readonly string[]): string {
  const name = call.method === 'GET' || call.method === 'HEAD' ? 'accept-profile' : 'content-profile'
  const wanted = header(call, name) ?? exposed[0] ?? 'public'
  if (exposed.includes(wanted)) return wanted
  throw new RestError(
    406,
    'PGRST106',
    `Invalid schema: ${wanted}`,
    null,
    `Only the following schemas are exposed: ${exposed.join(', ')}`,
  )
}

function parseRanges(parameters: readonly (readonly [string, string])[]): Placed<PageRange>[] {
  const byPath = new Map<string, Placed<PageRange>>()
  for (const [name, value] of parameters) {
    const { path, field } = parsePath(name)
    const key = JSON.stringify(path)
    const known = byPath.get(key)?.value ?? { offset: 0, limit: undefined }
    // What is no number counts as absent.
    const number = /^-?\d{1,15}$/.test(value) ? Number(value) : undefined
    if (field.column === 'limit' && number !== undefined && number < 0) throw negativeLimit()
    const range =
      field.column === 'limit'
        ? { ...known, limit: number ?? known.limit }
        : { ...known, offset: Math.max(0, number ?? 0) }
    byPath.set(key, { path, value: range })
  }
  return [...byPath.values()]
}

/** The rows that both the query string and the Range header (of a GET) allow. */
function topRange(call: Call, fromQuery: PageRange = { offset: 0, limit: undefined }): PageRange {
  const text = call.method === 'GET' ? (header(call, 'range') ?? '') : ''
  const [, first, last] = /^(\d{1,15})-(\d{1,15})?$/.exec(text) ?? []
  if (first === undefined) return fromQuery
  if (last !== undefined && Number(last) < Number(first))
    throw invalidRange(
      'The lower boundary must be lower than or equal to the upper boundary in the Range header.',
    )
  if (fromQuery.limit === 0) return fromQuery
  const offset = Math.max(Number(first), fromQuery.offset)
  const ends = [
    ...(last === undefined ? [] : [Number(last) + 1]),
    ...(fromQuery.limit === undefined ? [] : [fromQuery.offset + fromQuery.limit]),
  ]
  if (ends.length === 0) return { offset, limit: undefined }
  const limit = Math.min(...ends) - offset
  if (limit <= 0) throw negativeLimit()
  return { offset, limit }
}

function negativeLimit(): RestError {
  return invalidRange('Limit should be greater than or equal to zero.')
}

function invalidRange(details: string): RestError {
  return new RestError(416, 'PGRST103', 'Requested range not satisfiable', details)
}
