import { type Call, header } from '../exchange.ts'
import type { Column, Relation } from './catalog.ts'
import { notImplemented, RestError } from './errors.ts'
import { type Parameters, quoted } from './sql-text.ts'

/** The rows that a client sends. */
export interface Payload {
  /** Exactly what was sent: Postgres reads it itself, so that no number loses digits. */
  readonly json: string
  readonly isObject: boolean
  readonly columns: readonly Column[]
}

/**
 * The rows in the body, whose columns are its keys, or those of the parameter `columns`.
 * @throws RestError (PGRST102 for a body that is none, PGRST204 for a column that does not exist)
 */
export async function readPayload(
  call: Call,
  relation: Relation,
  columns: readonly string[] | undefined,
): Promise<Payload> {
  const type = (header(call, 'content-type') ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? ''
  if (type === 'text/csv' || type === 'application/x-www-form-urlencoded')
    throw notImplemented(`bodies of type ${type}`)
  if (type !== 'application/json') throw invalidBody(`Content-Type not acceptable: ${type}`)
  const text = (await call.body()).toString('utf8')
  const value = parsed(text)
  const rows: readonly unknown[] = Array.isArray(value) ? value : isRecord(value) ? [value] : []
  const names = columns ?? keysOf(rows)
  return {
    json: Array.isArray(value) || isRecord(value) ? text : '[]',
    isObject: isRecord(value),
    columns: [...new Set(names)].map((name) => columnNamed(relation, name)),
  }
}

/**
 * The rows of the body as `_body`, ready for a FROM clause.
 * @param withDefaults a column that a row lacks takes its default instead of null
 */
export function payloadRows(payload: Payload, withDefaults: boolean, parameters: Parameters): string {
  const { columns, isObject } = payload
  if (columns.length === 0 && isObject) return '(values (1)) as _body'
  const json = parameters.bind(payload.json)
  if (columns.length === 0) return `json_array_elements(${json}::json) as _body`
  const typed = columns.map(({ name, type }) => `${quoted(name)} ${type}`).join(', ')
  const shape = isObject ? 'record' : 'recordset'
  if (!withDefaults) return `json_to_${shape}(${json}::json) as _body(${typed})`
  const defaults = columns.flatMap((each) =>
    each.default === null ? [] : `${parameters.bind(each.name)}::text, ${each.default}`,
  )
  const filled = `jsonb_build_object(${defaults.join(', ')})`
  const value = isObject
    ? `select ${filled} || ${json}::jsonb as value`
    : `select coalesce(jsonb_agg(${filled} || element), '[]') as value from jsonb_array_elements(${json}::jsonb) as element`
  return `lateral (${value}) as _filled, lateral jsonb_to_${shape}(_filled.value) as _body(${typed})`
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidBody('Empty or invalid json')
  }
}

function keysOf(rows: readonly unknown[]): string[] {
  const [first] = rows
  const keys = isRecord(first) ? Object.keys(first) : []
  const uniform = rows.every(
    (row) =>
      isRecord(row) &&
      Object.keys(row).length === keys.length &&
      keys.every((key) => Object.hasOwn(row, key)),
  )
  if (!uniform) throw invalidBody('All object keys must match')
  return keys
}

function columnNamed(relation: Relation, name: string): Column {
  const found = relation.columns.find((each) => each.name === name)
  if (found) return found
  throw new RestError(
    400,
    'PGRST204',
    `Could not find the '${name}' column of '${relation.name}' in the schema cache`,
  )
}

function invalidBody(message: string): RestError {
  return new RestError(400, 'PGRST102', message)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
