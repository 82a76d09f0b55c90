import type { IncomingMessage, ServerResponse } from 'node:http'
import postgres from 'postgres'
import { knownArrays } from '../../../shared/kernel/database/array-types.ts'
import { findProgram } from '../../../tools/find-program.ts'
import { type Callers, InvalidTokenError } from '../callers.ts'
import type { ProjectConfig } from '../config.ts'
import { bearer, type Call, Refusal, send } from '../exchange.ts'
import type { ProjectKeys } from '../keys.ts'
import { proxy, UpstreamBrokenError, UpstreamTimeoutError } from '../proxy.ts'
import { createCatalogCache } from './catalog.ts'
import { type PostgrestServer, startPostgrest } from './postgrest.ts'
import { handleRest } from './rest-api.ts'

export interface RestServer {
  handle(
    call: Call,
    incoming: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ): Promise<void>
  stop(): Promise<void>
}

export interface RestOptions {
  readonly database: (role: 'authenticator') => string
  readonly keys: ProjectKeys
  /** An executable PostgREST; null for the built-in stand-in; undefined for whichever the PATH decides. */
  readonly postgrest?: string | null
}

const POSTGREST_TIMEOUT_MS = 60_000

/** The Data API: a real PostgREST where there is one, otherwise the stand-in. */
export async function startRest(
  options: RestOptions,
  callers: Callers,
  config: ProjectConfig['api'],
  log: (text: string) => void,
): Promise<RestServer> {
  const executable = options.postgrest === undefined ? await findProgram('postgrest') : options.postgrest
  if (!executable) return startStandIn(options, callers, config, log)
  const server = await startPostgrest(executable, options.database('authenticator'), options.keys, config)
  return {
    handle: (call, incoming, response, headers) =>
      forward(server, callers, options.keys, call, incoming, response, headers),
    stop: () => server.stop(),
  }
}

/**
 * A client's value goes to Postgres as it came, whatever type Postgres finds for it; postgres.js would make JSON of JSON
 * and a date of a date. Results are text and int.
 */
const untouched = {
  to: 25,
  from: [16, 17, 25, 114, 1009, 1082, 1114, 1184, 2951, 3802],
  serialize: (value: string) => value,
  parse: (text: string) => text,
}

async function startStandIn(
  options: RestOptions,
  callers: Callers,
  config: ProjectConfig['api'],
  log: (text: string) => void,
): Promise<RestServer> {
  const sql = postgres(options.database('authenticator'), {
    max: 10,
    fetch_types: false,
    types: { text: untouched },
    onnotice: () => undefined,
  })
  // So every type name of an app comes out qualified, and means the same under any caller's path. postgres.js drops an empty one.
  const catalogSql = postgres(options.database('authenticator'), {
    max: 1,
    ...knownArrays,
    onnotice: () => undefined,
    connection: { search_path: 'pg_catalog' },
  })
  const catalog = await createCatalogCache(catalogSql, config.schemas, log)
  const context = { sql, catalog, callers, config }
  return {
    handle: async (call, _incoming, response, headers) =>
      send(response, await handleRest(context, call), headers),
    stop: async () => {
      await catalog.stop()
      await catalogSql.end({ timeout: 5 })
      await sql.end({ timeout: 5 })
    },
  }
}

/** PostgREST knows nothing of sb_ keys: it gets the user's token, or the legacy key of the same role. */
async function forward(
  server: PostgrestServer,
  callers: Callers,
  keys: ProjectKeys,
  call: Call,
  incoming: IncomingMessage,
  response: ServerResponse,
  responseHeaders: Readonly<Record<string, string>>,
): Promise<void> {
  const token = bearer(call)
  const role = await callers.caller(call).then(
    (caller) => (caller.claims.sub === undefined ? caller.role : undefined),
    (error: unknown) => {
      // PostgREST itself refuses a bad token, in its own words.
      if (error instanceof InvalidTokenError) return undefined
      throw error
    },
  )
  const authorization =
    role === undefined
      ? `Bearer ${token}`
      : `Bearer ${role === 'service_role' ? keys.serviceRoleKey : keys.anonKey}`
  const target = {
    port: server.port,
    path: call.path + call.url.search,
    headers: { ...call.headers, authorization },
    timeoutMs: POSTGREST_TIMEOUT_MS,
    responseHeaders,
  }
  await proxy(incoming, response, target).catch((error: unknown) => {
    if (error instanceof UpstreamBrokenError) throw new Refusal(502, { message: 'PostgREST did not answer' })
    if (error instanceof UpstreamTimeoutError)
      throw new Refusal(504, { message: 'PostgREST did not answer in time' })
    throw error
  })
}
