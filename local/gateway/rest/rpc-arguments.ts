import { type Call, header } from '../exchange.ts'
import type { DatabaseFunction } from './catalog.ts'
import { jsonOf, notImplemented, RestError } from './errors.ts'
import { parseColumns, parseFilter } from './filter-syntax.ts'
import { type Parameters, quoted } from './sql-text.ts'

/** What a call of a function was given. The rules are PostgREST's (Plan.hs, CallPlan.hs). */
export type Given =
  /** One JSON document, exactly as it came: Postgres reads it itself, so that no number loses digits. */
  | {
      readonly kind: 'json'
      readonly text: string
      readonly isList: boolean
      readonly names: readonly string[]
    }
  /** Texts from a query string or a form. */
  | {
      readonly kind: 'pairs'
      readonly pairs: readonly (readonly [name: string, value: string])[]
      readonly names: readonly string[]
    }
  /** A body for a function's only parameter, which has no name. */
  | {
      readonly kind: 'raw'
      readonly type: 'text' | 'xml' | 'bytea'
      readonly body: Buffer
      readonly names: readonly string[]
    }

const RAW_TYPES: Readonly<Record<string, 'text' | 'xml' | 'bytea'>> = {
  'text/plain': 'text',
  'text/xml': 'xml',
  'application/octet-stream': 'bytea',
}

/** @throws RestError (PGRST102) */
export async function readArguments(call: Call): Promise<Given> {
  if (call.method !== 'POST') return pairsOf([...call.url.searchParams].filter(isArgument))
  const type = (header(call, 'content-type') ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? ''
  const body = await call.body()
  const raw = RAW_TYPES[type]
  if (raw !== undefined) return { kind: 'raw', type: raw, body, names: [] }
  const text = body.toString('utf8')
  if (type === 'application/x-www-form-urlencoded') return pairsOf([...new URLSearchParams(text)])
  if (type === 'text/csv') throw notImplemented('bodies of type text/csv')
  if (type !== 'application/json')
    throw new RestError(400, 'PGRST102', `Content-Type not acceptable: ${type}`)
  return jsonArguments(text, call.url.searchParams.get('columns'))
}

/** Without a body, a query parameter is an argument when it is no filter: its value begins with no operator. */
export function isArgument([name, value]: readonly [string, string]): boolean {
  if (/^(select|columns|on_conflict|apikey)$|(^|\.)(order|limit|offset|and|or)$/.test(name)) return false
  try {
    parseFilter(name, value)
    return false
  } catch (error) {
    if (error instanceof RestError) return true
    throw error
  }
}

function pairsOf(pairs: readonly (readonly [string, string])[]): Given {
  return { kind: 'pairs', pairs, names: [...new Set(pairs.map(([name]) => name))] }
}

function jsonArguments(text: string, columns: string | null): Given {
  if (text === '') return { kind: 'json', text: '{}', isList: false, names: [] }
  const value = jsonOf(text)
  const isList = Array.isArray(value)
  const first: unknown = isList ? value[0] : value
  if (typeof first !== 'object' || first === null || Array.isArray(first))
    throw new RestError(400, 'PGRST102', 'Empty or invalid json')
  const names = columns === null ? Object.keys(first) : parseColumns(columns, 'columns parameter')
  return { kind: 'json', text, isList, names }
}

/** The overload that takes exactly these arguments, or all but ones with defaults. @throws RestError */
export function resolveFunction(
  overloads: readonly DatabaseFunction[],
  schema: string,
  name: string,
  given: Given,
  isPost: boolean,
): DatabaseFunction {
  const named = overloads.filter((candidate) => accepts(candidate, given))
  const unnamed = overloads.filter((candidate) => isPost && takesBody(candidate, given))
  const candidates = named.length > 0 ? named : unnamed
  const [only] = candidates
  if (only && candidates.length === 1) return only
  const signature = (names: readonly string[]) => `${schema}.${name}(${names.join(', ')})`
  if (candidates.length > 1)
    throw new RestError(
      300,
      'PGRST203',
      `Could not choose the best candidate function between: ${candidates
        .map((each) => signature(each.arguments.map((a) => `${a.name} => ${a.type}`)))
        .join(', ')}`,
      null,
      'Try renaming the parameters or the function itself in the database so function overloading can be resolved',
    )
  const names = [...given.names].sort()
  const wanted = names.length === 0 ? `${schema}.${name} without parameters` : signature(names)
  const [near] = overloads
  throw new RestError(
    404,
    'PGRST202',
    `Could not find the function ${given.kind === 'raw' ? `${schema}.${name}` : wanted} in the schema cache`,
    `Searched for the function ${schema}.${name}${searchedFor(given, names, isPost)}, but no matches were found in the schema cache.`,
    near && given.kind !== 'raw'
      ? `Perhaps you meant to call the function ${signature(near.arguments.map((a) => a.name))}`
      : null,
  )
}

function searchedFor(given: Given, names: readonly string[], isPost: boolean): string {
  if (given.kind === 'raw') return ` with a single unnamed ${given.type} parameter`
  const named =
    names.length === 0
      ? ' without parameters'
      : ` with parameter${names.length > 1 ? 's' : ''} ${names.join(', ')}`
  return isPost && given.kind === 'json' ? `${named} or with a single unnamed json/jsonb parameter` : named
}

function accepts(candidate: DatabaseFunction, given: Given): boolean {
  if (given.kind === 'raw') return false
  const names = candidate.arguments.map(({ name }) => name)
  return (
    given.names.every((name) => names.includes(name)) &&
    candidate.arguments.every(({ name, optional }) => optional || given.names.includes(name))
  )
}

function takesBody({ arguments: [only, ...others] }: DatabaseFunction, given: Given): boolean {
  if (only?.name !== '' || others.length > 0) return false
  if (given.kind === 'json') return only.type === 'json' || only.type === 'jsonb'
  return given.kind === 'raw' && only.type === given.type
}

/** Parts of the statement that makes the call. */
export interface FunctionCall {
  readonly call: string
  /** What it needs in the FROM clause before it. */
  readonly source: string | undefined
}

/**
 * The arguments travel as one JSON document that Postgres itself turns into typed values, so that their text is never
 * part of the statement.
 */
export function functionCall(target: DatabaseFunction, given: Given, parameters: Parameters): FunctionCall {
  const name = `${quoted(target.schema)}.${quoted(target.name)}`
  if (takesBody(target, given))
    return { call: `${name}(${wholeBody(target, given, parameters)})`, source: undefined }
  const used = target.arguments.filter((argument) => given.names.includes(argument.name))
  if (used.length === 0) return { call: `${name}()`, source: undefined }
  const record = used.map((argument) => `${quoted(argument.name)} ${argument.type}`).join(', ')
  const passed = used.map(
    (argument) =>
      `${argument.variadic ? 'variadic ' : ''}${quoted(argument.name)} := _arguments.${quoted(argument.name)}`,
  )
  const source = `json_to_record(${documentOf(target, given, parameters)}) as _arguments(${record})`
  return { call: `${name}(${passed.join(', ')})`, source }
}

function wholeBody(target: DatabaseFunction, given: Given, parameters: Parameters): string {
  const type = target.arguments[0]?.type ?? 'text'
  if (given.kind === 'json') return `${parameters.bind(given.text)}::${type}`
  if (given.kind !== 'raw') throw new Error('only a body can be the one parameter without a name')
  const text = given.type === 'bytea' ? `\\x${given.body.toString('hex')}` : given.body.toString('utf8')
  return `${parameters.bind(text)}::${type}`
}

function documentOf(target: DatabaseFunction, given: Given, parameters: Parameters): string {
  // Of several objects the first one counts.
  if (given.kind === 'json') return `${parameters.bind(given.text)}::json${given.isList ? ' -> 0' : ''}`
  const pairs = given.kind === 'pairs' ? given.pairs : []
  const variadic = new Set(target.arguments.filter((each) => each.variadic).map(({ name }) => name))
  const values = given.names.map((name) => {
    const all = pairs.filter(([each]) => each === name).map(([, value]) => value)
    return [name, variadic.has(name) ? all : all.at(-1)]
  })
  return `${parameters.bind(JSON.stringify(Object.fromEntries(values)))}::json`
}
