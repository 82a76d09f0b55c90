import postgres, { type Sql, type TransactionSql } from 'postgres'
import { z } from 'zod'
import { type Caller, type Callers, InvalidTokenError } from '../callers.ts'
import type { ProjectConfig } from '../config.ts'
import type { Call, Reply } from '../exchange.ts'
import type { Catalog, CatalogCache, DatabaseFunction } from './catalog.ts'
import { badRequest, databaseErrorReply, notImplemented, RestError } from './errors.ts'
import { callExpression, resolveFunction } from './functions.ts'
import { parseReadRequest, type ReadRequest, requestedSchema } from './request.ts'
import { orderClause, Parameters, quoted, type Source, selectList, whereClause } from './statement.ts'

export interface RestContext {
  /** Connected as authenticator. */
  readonly sql: Sql
  readonly catalog: CatalogCache
  readonly callers: Callers
  readonly config: ProjectConfig['api']
}

/** Handles one request below `/rest/v1` as its caller. Refusals come back as replies in PostgREST's shape. */
export async function handleRest(context: RestContext, call: Call): Promise<Reply> {
  try {
    const caller = await context.callers.caller(call)
    return await answer(context, call, caller).catch((error: unknown) => {
      if (error instanceof postgres.PostgresError) return databaseErrorReply(error, caller.role)
      throw error
    })
  } catch (error) {
    if (!(error instanceof InvalidTokenError)) throw error
    return {
      status: 401,
      headers: { 'www-authenticate': `Bearer error="invalid_token", error_description="${error.message}"` },
      body: { code: 'PGRST301', message: error.message, details: null, hint: null },
    }
  }
}

async function answer(context: RestContext, call: Call, caller: Caller): Promise<Reply> {
  const [, first = '', second, ...rest] = call.path.split('/').map(decodedSegment)
  if (first === '') throw notImplemented('the OpenAPI description at its root')
  if (rest.length > 0 || (second !== undefined && first !== 'rpc'))
    throw new RestError(404, 'PGRST125', 'Invalid path specified in request URL')
  const catalog = await context.catalog.current()
  const schema = requestedSchema(call, context.config.schemas)
  if (first === 'rpc' && second !== undefined)
    return callFunction(context, catalog, schema, second, call, caller)
  return readRelation(context, catalog, schema, first, call, caller)
}

function decodedSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw badRequest('The path is not valid percent-encoding')
  }
}

async function readRelation(
  context: RestContext,
  catalog: Catalog,
  schema: string,
  name: string,
  call: Call,
  caller: Caller,
): Promise<Reply> {
  const relation = catalog.relations.find((each) => each.schema === schema && each.name === name)
  if (!relation)
    throw new RestError(404, 'PGRST205', `Could not find the table '${schema}.${name}' in the schema cache`)
  if (call.method !== 'GET' && call.method !== 'HEAD')
    throw notImplemented(`${call.method} on tables and views`)
  const request = parseReadRequest(call, context.config.max_rows, new Set())
  const parameters = new Parameters()
  const source = { name, columns: relation.columns, alias: quoted(name) }
  const statement = pageStatement('', `${quoted(schema)}.${quoted(name)}`, request, source, parameters)
  return asCaller(context, catalog, call, caller, 'read only', async (sql) =>
    pageReply(await runPage(sql, statement, parameters), request),
  )
}

async function callFunction(
  context: RestContext,
  catalog: Catalog,
  schema: string,
  name: string,
  call: Call,
  caller: Caller,
): Promise<Reply> {
  if (!['GET', 'HEAD', 'POST'].includes(call.method))
    throw new RestError(
      405,
      'PGRST101',
      `Only GET, HEAD and POST are allowed on functions, not ${call.method}`,
    )
  const overloads = catalog.functions.filter((each) => each.schema === schema && each.name === name)
  const values = call.method === 'POST' ? await bodyArguments(call) : queryArguments(call, overloads)
  const given = Object.keys(values)
  const target = resolveFunction(overloads, schema, name, given)
  const parameters = new Parameters()
  const expression = callExpression(target, given, JSON.stringify(values), parameters)
  // Like PostgREST: only a volatile function that was called with POST may write.
  const access = target.volatile && call.method === 'POST' ? 'read write' : 'read only'
  const ignored = new Set(call.method === 'POST' ? [] : given)
  return asCaller(context, catalog, call, caller, access, (sql) => {
    if (target.returns === 'composite')
      return runComposite(
        sql,
        target,
        expression,
        parseReadRequest(call, context.config.max_rows, ignored),
        parameters,
      )
    return runScalar(sql, target, expression, parameters)
  })
}

async function runComposite(
  sql: TransactionSql,
  target: DatabaseFunction,
  expression: string,
  request: ReadRequest,
  parameters: Parameters,
): Promise<Reply> {
  const source = { name: target.name, columns: target.columns, alias: '_call' }
  // Materialised: filters and counting must not run the function a second time.
  const prefix = `with _call as materialized (select _result.* from ${expression} as _result) `
  const statement = pageStatement(prefix, '_call', request, source, parameters)
  const page = await runPage(sql, statement, parameters)
  if (target.returnsSet) return pageReply(page, request)
  return { status: 200, headers: { 'content-range': '0-0/*' }, body: page.first ?? 'null' }
}

async function runScalar(
  sql: TransactionSql,
  target: DatabaseFunction,
  expression: string,
  parameters: Parameters,
): Promise<Reply> {
  if (target.returns === 'void') {
    await sql.unsafe(`select 1 from ${expression} as _result`, parameters.values)
    return { status: 204 }
  }
  const value = 'to_json(_result.value)'
  const result = target.returnsSet ? `coalesce(json_agg(${value}), '[]')` : value
  const [row] = await sql.unsafe<{ body: string | null }[]>(
    `select (${result})::text as body from ${expression} as _result(value)`,
    parameters.values,
  )
  return { status: 200, body: row?.body ?? 'null' }
}

interface Page {
  /** A JSON array. */
  readonly body: string
  /** Its first element. */
  readonly first: string | null
  readonly rows: number
  readonly total: number | null
}

function pageStatement(
  prefix: string,
  from: string,
  request: ReadRequest,
  source: Source,
  parameters: Parameters,
): string {
  const list = selectList(request.select, source, parameters)
  const where = whereClause(request.filters, source, parameters)
  const order = orderClause(request.order, source, parameters)
  const page = `select ${list} from ${from} as ${source.alias}${where}${order} limit ${request.limit} offset ${request.offset}`
  const total = request.count ? `(select count(*) from ${from} as ${source.alias}${where})` : 'null'
  const withPage = prefix === '' ? `with _page as (${page})` : `${prefix.trimEnd()}, _page as (${page})`
  return `${withPage} select coalesce(json_agg(_page), '[]')::text as body, (json_agg(_page) -> 0)::text as first,
    count(*)::int as rows, ${total}::int as total from _page`
}

async function runPage(sql: TransactionSql, statement: string, parameters: Parameters): Promise<Page> {
  const [page] = await sql.unsafe<Page[]>(statement, parameters.values)
  return page ?? { body: '[]', first: null, rows: 0, total: null }
}

/** Thrown inside the transaction, a refusal rolls back what a function has written. */
function pageReply(page: Page, request: ReadRequest): Reply {
  if (request.single && page.rows !== 1) {
    throw new RestError(
      406,
      'PGRST116',
      'Cannot coerce the result to a single JSON object',
      `The result contains ${page.rows} rows`,
    )
  }
  const { offset } = request
  if (page.total !== null && offset > 0 && offset > page.total) {
    throw new RestError(
      416,
      'PGRST103',
      'Requested range not satisfiable',
      `An offset of ${offset} was requested, but there are only ${page.total} rows.`,
    )
  }
  const range = page.rows === 0 ? '*' : `${offset}-${offset + page.rows - 1}`
  return {
    status: page.total !== null && page.rows < page.total ? 206 : 200,
    headers: {
      'content-range': `${range}/${page.total ?? '*'}`,
      ...(request.single ? { 'content-type': 'application/vnd.pgrst.object+json; charset=utf-8' } : {}),
    },
    body: request.single ? (page.first ?? 'null') : page.body,
  }
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

/** One transaction with the role, the claims and the settings that PostgREST gives its queries. */
async function asCaller(
  context: RestContext,
  catalog: Catalog,
  call: Call,
  caller: Caller,
  access: 'read only' | 'read write',
  work: (sql: TransactionSql) => Promise<Reply>,
): Promise<Reply> {
  const searchPath = [...new Set([...context.config.schemas, ...context.config.extra_search_path])]
  const settings = {
    search_path: searchPath.map(quoted).join(', '),
    'request.jwt.claims': JSON.stringify(caller.claims),
    'request.method': call.method,
    'request.path': call.path,
    'request.headers': JSON.stringify(call.headers),
    ...(catalog.statementTimeouts[caller.role]
      ? { statement_timeout: catalog.statementTimeouts[caller.role] }
      : {}),
    // Last: afterwards it is the caller who acts.
    role: caller.role,
  }
  return context.sql.begin(access, async (sql) => {
    const entries = Object.entries(settings)
    await sql.unsafe(
      `select ${entries.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, true)`).join(', ')}`,
      entries.flat().map(String),
    )
    return work(sql)
  })
}
