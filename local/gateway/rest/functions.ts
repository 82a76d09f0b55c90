import { z } from 'zod'
import type { Call } from '../exchange.ts'
import type { Catalog, DatabaseFunction } from './catalog.ts'
import { RestError } from './errors.ts'
import { negotiateMedia } from './media.ts'
import { assertAffected, overridden, readReply, runPage } from './page.ts'
import { appliedPreferences, parsePreferences } from './preferences.ts'
import { countQuery, readQuery } from './read-statement.ts'
import { buildReadTree } from './read-tree.ts'
import type { Work } from './relations.ts'
import { parseQuery } from './request.ts'
import { type Parameters, quoted } from './sql-text.ts'

/** A call of a function. @throws RestError */
export async function functionWork(
  catalog: Catalog,
  schema: string,
  name: string,
  call: Call,
  maxRows: number,
): Promise<Work> {
  const isPost = call.method === 'POST'
  if (!isPost && call.method !== 'GET' && call.method !== 'HEAD')
    throw new RestError(405, 'PGRST101', `Cannot use the ${call.method} method on RPC`)
  const overloads = catalog.functions.filter((each) => each.schema === schema && each.name === name)
  const values = isPost ? await bodyArguments(call) : queryArguments(call, overloads)
  const given = Object.keys(values)
  const target = resolveFunction(overloads, schema, name, given)
  return {
    // Like PostgREST: only a volatile function that was called with POST may write.
    access: target.volatile && isPost ? 'read write' : 'read only',
    run: calling(catalog, target, call, given, JSON.stringify(values), maxRows),
  }
}

function calling(
  catalog: Catalog,
  target: DatabaseFunction,
  call: Call,
  given: readonly string[],
  argumentsJson: string,
  maxRows: number,
): Work['run'] {
  const query = parseQuery(call, new Set(call.method === 'POST' ? [] : given))
  const preferences = parsePreferences(call)
  const media = negotiateMedia(call)
  const alias = quoted(target.name)
  const isRows = target.returns === 'composite'
  const source = {
    ...(target.rowsOf ?? { schema: target.schema, name: target.name }),
    columns: target.columns,
    from: `_called as ${alias}`,
    alias,
  }
  const ranges = [...query.embeddedRanges, { path: [], value: query.range }]
  const tree = buildReadTree(catalog, source, query.items, { ...query, ranges }, maxRows)
  const single = !target.returnsSet
  const statement = {
    // Materialised: filters and counting must not run the function a second time.
    sources: (parameters: Parameters) =>
      `_called as materialized (select ${isRows ? '_result.*' : '_result.value'} from ${callExpression(target, given, argumentsJson, parameters)} as _result${isRows ? '' : '(value)'}), `,
    rows: (parameters: Parameters) => readQuery(tree, parameters),
    count: (parameters: Parameters) => countQuery(tree, parameters),
    value: isRows ? '_row' : '_row.value',
  }
  const heeded = appliedPreferences(preferences, ['count', 'strict', 'maxAffected'])
  if (preferences.strict && preferences.maxAffected !== undefined && single)
    throw new RestError(
      400,
      'PGRST128',
      'Function must return SETOF or TABLE when max-affected preference is used with handling=strict',
    )
  return async (sql) => {
    const form = single && media.kind === 'array' ? ({ ...media, kind: 'object' } as const) : media
    const page = await runPage(sql, statement, form, preferences.count, maxRows)
    assertAffected(page, preferences)
    if (target.returns === 'void') return overridden({ status: 204, headers: heeded }, page)
    return overridden(readReply(single ? { ...page, rows: 1 } : page, media, query.range, heeded), page)
  }
}

/** The overload that takes exactly these arguments, or all but ones with defaults. @throws RestError */
export function resolveFunction(
  overloads: readonly DatabaseFunction[],
  schema: string,
  name: string,
  given: readonly string[],
): DatabaseFunction {
  const candidates = overloads.filter((candidate) => accepts(candidate, given))
  const [only] = candidates
  if (only && candidates.length === 1) return only
  const signature = (names: readonly string[]) => `${schema}.${name}(${names.join(', ')})`
  if (candidates.length > 1) {
    const list = candidates
      .map((each) => signature(each.arguments.map((a) => `${a.name} => ${a.type}`)))
      .join(', ')
    throw new RestError(300, 'PGRST203', `Could not choose the best candidate function between: ${list}`)
  }
  const described = given.length === 0 ? 'without parameters' : `with parameters ${given.join(', ')}`
  const wanted = given.length === 0 ? `${schema}.${name} without parameters` : signature(given)
  const [near] = overloads
  throw new RestError(
    404,
    'PGRST202',
    `Could not find the function ${wanted} in the schema cache`,
    `Searched for the function ${schema}.${name} ${described}, but no matches were found in the schema cache.`,
    near ? `Perhaps you meant to call the function ${signature(near.arguments.map((a) => a.name))}` : null,
  )
}

/**
 * The call, ready for a FROM clause. Its arguments travel as one JSON document that Postgres itself turns into
 * typed values, so that their text is never part of the statement.
 */
export function callExpression(
  target: DatabaseFunction,
  given: readonly string[],
  argumentsJson: string,
  parameters: Parameters,
): string {
  const name = `${quoted(target.schema)}.${quoted(target.name)}`
  const used = target.arguments.filter((argument) => given.includes(argument.name))
  if (used.length === 0) return `${name}()`
  const record = used.map((argument) => `${quoted(argument.name)} ${argument.type}`).join(', ')
  const json = `${parameters.bind(argumentsJson)}::json`
  const passed = used
    .map((argument) => `${quoted(argument.name)} := _arguments.${quoted(argument.name)}`)
    .join(', ')
  return `json_to_record(${json}) as _arguments(${record}), lateral ${name}(${passed})`
}

function accepts(candidate: DatabaseFunction, given: readonly string[]): boolean {
  const names = candidate.arguments.map(({ name }) => name)
  return (
    given.every((name) => names.includes(name)) &&
    candidate.arguments.every(({ name, optional }) => optional || given.includes(name))
  )
}

const jsonObject = z.record(z.string(), z.json())

async function bodyArguments(call: Call): Promise<Readonly<Record<string, unknown>>> {
  const text = (await call.body()).toString('utf8')
  if (text === '') return {}
  try {
    return jsonObject.parse(JSON.parse(text))
  } catch {
    throw new RestError(
      400,
      'PGRST102',
      'Empty or invalid json: the body must be one object of named arguments',
    )
  }
}

/** Without a body, a query parameter is an argument when some overload has one of that name, else a filter. */
function queryArguments(
  call: Call,
  overloads: readonly DatabaseFunction[],
): Readonly<Record<string, string>> {
  const known = new Set(overloads.flatMap((each) => each.arguments.map(({ name }) => name)))
  return Object.fromEntries([...call.url.searchParams].filter(([name]) => known.has(name)))
}
