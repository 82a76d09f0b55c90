import postgres, { type Sql } from 'postgres'
import { type Caller, type Callers, InvalidTokenError } from '../callers.ts'
import type { ProjectConfig } from '../config.ts'
import { type Call, header, type Reply } from '../exchange.ts'
import type { Catalog, CatalogCache, Relation } from './catalog.ts'
import { badRequest, databaseErrorReply, notImplemented, RestError } from './errors.ts'
import { functionWork } from './functions.ts'
import { relationWork, type Work } from './relations.ts'
import { requestedSchema } from './request.ts'
import { quoted } from './sql-text.ts'

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
  const maxRows = context.config.max_rows
  const work =
    first === 'rpc' && second !== undefined
      ? await functionWork(catalog, schema, second, call, maxRows)
      : await relationWork(catalog, relationNamed(catalog, schema, first), call, maxRows)
  return asCaller(context, catalog, call, caller, work)
}

function relationNamed(catalog: Catalog, schema: string, name: string): Relation {
  const relation = catalog.relations.find((each) => each.schema === schema && each.name === name)
  if (relation) return relation
  throw new RestError(404, 'PGRST205', `Could not find the table '${schema}.${name}' in the schema cache`)
}

function decodedSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw badRequest('The path is not valid percent-encoding')
  }
}

function cookiesOf(call: Call): Record<string, string> {
  const pairs = (header(call, 'cookie') ?? '').split(';').map((each) => each.trim().split('='))
  return Object.fromEntries(
    pairs.flatMap(([name = '', ...value]) => (name === '' ? [] : [[name, value.join('=')]])),
  )
}

/** One transaction with the role, the claims and the settings that PostgREST gives its queries. */
async function asCaller(
  context: RestContext,
  catalog: Catalog,
  call: Call,
  caller: Caller,
  work: Work,
): Promise<Reply> {
  const searchPath = [...new Set([...context.config.schemas, ...context.config.extra_search_path])]
  const settings = {
    search_path: searchPath.map(quoted).join(', '),
    'request.jwt.claims': JSON.stringify(caller.claims),
    'request.method': call.method,
    'request.path': call.path,
    'request.headers': JSON.stringify(call.headers),
    'request.cookies': JSON.stringify(cookiesOf(call)),
    ...(catalog.statementTimeouts[caller.role]
      ? { statement_timeout: catalog.statementTimeouts[caller.role] }
      : {}),
    // Last: afterwards it is the caller who acts.
    role: caller.role,
  }
  return context.sql.begin(work.access, async (sql) => {
    const entries = Object.entries(settings)
    await sql.unsafe(
      `select ${entries.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, true)`).join(', ')}`,
      entries.flat().map(String),
    )
    return work.run(sql)
  })
}
