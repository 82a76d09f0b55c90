import { type Call, header } from '../exchange.ts'
import { badRequest, notImplemented, RestError } from './errors.ts'
import {
  type Filter,
  type OrderTerm,
  parseFilter,
  parseOrder,
  parseSelect,
  type SelectItem,
} from './syntax.ts'

/** Which rows and columns a request wants, and in what form. */
export interface ReadRequest {
  readonly select: readonly SelectItem[]
  readonly filters: readonly Filter[]
  readonly order: readonly OrderTerm[]
  readonly offset: number
  /** At most this many rows; always set, since the project has a maximum. */
  readonly limit: number
  /** Count all matching rows, not only the page's. */
  readonly count: boolean
  /** One JSON object instead of an array; anything but one row is an error. */
  readonly single: boolean
}

const RESERVED = new Set(['select', 'order', 'limit', 'offset', 'columns', 'on_conflict', 'apikey'])

/** @param ignored names of query parameters that are not filters, namely a function's arguments. */
export function parseReadRequest(call: Call, maxRows: number, ignored: ReadonlySet<string>): ReadRequest {
  const query = call.url.searchParams
  const range = parseRange(call)
  const offset = natural(query.get('offset'), 'offset') ?? range.offset
  const limit = natural(query.get('limit'), 'limit') ?? range.limit ?? maxRows
  const filters = [...query]
    .filter(([name]) => !RESERVED.has(name) && !ignored.has(name))
    .map(([name, value]) => {
      if (/\.(order|limit|offset|select)$/.test(name))
        throw notImplemented(`"${name}" of an embedded resource`)
      return parseFilter(name, value)
    })
  return {
    select: parseSelect(query.get('select') || '*'),
    filters,
    order: query.get('order') ? parseOrder(query.get('order') ?? '') : [],
    offset,
    limit: Math.min(limit, maxRows),
    count: /\bcount=(exact|planned|estimated)\b/.test(header(call, 'prefer') ?? ''),
    single: wantsObject(call),
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

function wantsObject(call: Call): boolean {
  const accepted = header(call, 'accept') ?? '*/*'
  if (accepted.includes('application/vnd.pgrst.object')) return true
  if (/\*\/\*|application\/(json|\*|vnd\.pgrst\.array)/.test(accepted)) return false
  throw new RestError(406, 'PGRST107', `None of these media types are available: ${accepted}`)
}

function parseRange(call: Call): { offset: number; limit: number | undefined } {
  const [, first, last] = /^(\d{1,15})-(\d{1,15})?$/.exec(header(call, 'range') ?? '') ?? []
  if (first === undefined) return { offset: 0, limit: undefined }
  const offset = Number(first)
  return { offset, limit: last === undefined ? undefined : Math.max(0, Number(last) - offset + 1) }
}

function natural(text: string | null, name: string): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw badRequest(`"failed to parse ${name} parameter (${text})"`, 'It must be a non-negative number')
}
