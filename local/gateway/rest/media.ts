import { type Call, header } from '../exchange.ts'
import { RestError } from './errors.ts'

/** The form of a reply's body, as the client's `Accept` asks for it. */
export interface Media {
  readonly kind: 'array' | 'object' | 'csv'
  /** Columns that are null are left out. */
  readonly stripNulls: boolean
  readonly contentType: string
}

/**
 * The first acceptable form.
 * @throws RestError (PGRST107) for forms that a hosted project does not have either: query plans (`explain()`, unless
 * `pgrst.db_plan_enabled` was switched on) and GeoJSON (without PostGIS)
 */
export function negotiateMedia(call: Call): Media {
  const accepted = header(call, 'accept') ?? '*/*'
  for (const range of accepted.split(',')) {
    const media = mediaOf(range.trim().toLowerCase())
    if (media) return media
  }
  throw new RestError(406, 'PGRST107', `None of these media types are available: ${accepted}`)
}

function mediaOf(range: string): Media | undefined {
  const [type = '', ...parameters] = range.split(';').map((each) => each.trim())
  const stripNulls = parameters.includes('nulls=stripped')
  const suffix = stripNulls ? ';nulls=stripped' : ''
  if (type === 'application/vnd.pgrst.object+json' || type === 'application/vnd.pgrst.object')
    return {
      kind: 'object',
      stripNulls,
      contentType: `application/vnd.pgrst.object+json${suffix}; charset=utf-8`,
    }
  if ((type === 'application/vnd.pgrst.array+json' || type === 'application/vnd.pgrst.array') && stripNulls)
    return {
      kind: 'array',
      stripNulls,
      contentType: `application/vnd.pgrst.array+json${suffix}; charset=utf-8`,
    }
  if (type === 'text/csv') return { kind: 'csv', stripNulls: false, contentType: 'text/csv; charset=utf-8' }
  if (/^(\*\/\*|application\/(json|\*|vnd\.pgrst\.array(\+json)?))$/.test(type))
    return { kind: 'array', stripNulls: false, contentType: 'application/json; charset=utf-8' }
  return undefined
}

/** What makes the body of the rows that the alias `_row` stands for, and that the query `_source` found. */
export function bodyExpression(media: Media, value = '_row'): string {
  if (media.kind === 'csv') return csvExpression()
  const stripped = (json: string) => (media.stripNulls ? `json_strip_nulls(${json})` : json)
  if (media.kind === 'object') return `coalesce(${stripped(`json_agg(${value}) -> 0`)}, 'null')::text`
  return `coalesce(${stripped(`json_agg(${value})`)}, '[]')::text`
}

/** Postgres writes a row as text with the quotes that CSV wants. */
function csvExpression(): string {
  const header = `select coalesce(string_agg(_column.name, ','), '') from (
    select json_object_keys(_first.row)::text as name from (select row_to_json(_any) as row from _rows as _any limit 1) as _first
  ) as _column`
  return `(${header}) || E'\\n' || coalesce(string_agg(substring(_row::text, 2, length(_row::text) - 2), E'\\n'), '')`
}
