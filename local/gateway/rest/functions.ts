import type { Call } from '../exchange.ts'
import type { Catalog, DatabaseFunction } from './catalog.ts'
import { notImplemented, RestError } from './errors.ts'
import { negotiateMedia } from './media.ts'
import { assertAffected, overridden, readReply, runPage } from './page.ts'
import { appliedPreferences, parsePreferences } from './preferences.ts'
import { countQuery, readQuery } from './read-statement.ts'
import { buildReadTree } from './read-tree.ts'
import type { Work } from './relations.ts'
import { parseQuery } from './request.ts'
import { functionCall, type Given, isArgument, readArguments, resolveFunction } from './rpc-arguments.ts'
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
  const given = await readArguments(call)
  const target = resolveFunction(overloads, schema, name, given, isPost)
  if (target.makesMediaType) throw notImplemented('functions that return a media type of their own')
  return {
    // Like PostgREST: only a volatile function that was called with POST may write.
    access: target.volatile && isPost ? 'read write' : 'read only',
    run: calling(catalog, target, call, given, maxRows),
  }
}

function calling(
  catalog: Catalog,
  target: DatabaseFunction,
  call: Call,
  given: Given,
  maxRows: number,
): Work['run'] {
  const query = parseQuery(call, call.method === 'POST' ? undefined : isArgument)
  const preferences = parsePreferences(call)
  const media = negotiateMedia(call)
  const alias = quoted(target.name)
  const isRows = target.returns === 'composite'
  const source = {
    ...(target.rowsOf ?? { schema: target.schema, name: target.name }),
    columns: target.columns,
    from: `_called as ${alias}`,
    alias,
    isWhole: false,
  }
  const ranges = [...query.embeddedRanges, { path: [], value: query.range }]
  const tree = buildReadTree(catalog, source, query.items, { ...query, ranges }, maxRows)
  const single = !target.returnsSet
  const statement = {
    // Materialised: filters and counting must not run the function a second time.
    sources: (parameters: Parameters) => {
      const { call: called, source: before } = functionCall(target, given, parameters)
      const selected = isRows
        ? `select _result.* from ${before === undefined ? '' : `${before}, lateral `}${called} as _result`
        : `select ${called} as value${before === undefined ? '' : ` from ${before}`}`
      return `_called as materialized (${selected}), `
    },
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
