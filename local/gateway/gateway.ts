import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import path from 'node:path'
import postgres from 'postgres'
import { knownArrays } from '../../shared/kernel/database/array-types.ts'
import { localDirectory } from '../../tools/local-directory.ts'
import { listen, PORT_USES } from '../../tools/ports.ts'
import { projectRoot } from '../../tools/project.ts'
import { handleAuth } from './auth/auth-api.ts'
import type { AuthContext, AuthSettings } from './auth/context.ts'
import { mailReply } from './auth/mail-page.ts'
import { createMailbox, type Mailbox } from './auth/mailbox.ts'
import { type RealAuthServer, startRealAuth } from './auth/real-server.ts'
import { createTokenSigner } from './auth/sessions.ts'
import { type Callers, createCallers } from './callers.ts'
import { type ProjectConfig, readProjectConfig } from './config.ts'
import { type Call, Refusal, type Reply, readBody, send } from './exchange.ts'
import { type FunctionsContext, handleFunction } from './functions/functions-api.ts'
import { type FunctionLogLine, type FunctionProcess, FunctionProcesses } from './functions/processes.ts'
import { watchFunctions } from './functions/watch.ts'
import { type ProjectKeys, publicJwks } from './keys.ts'
import { isRealtime, refuseChannels } from './realtime.ts'
import { type RestServer, startRest } from './rest/server.ts'

export interface GatewayOptions {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: '127.0.0.1'
  /** URL of the project's database as one of its roles. */
  readonly database: (role: 'supabase_auth_admin' | 'authenticator' | 'postgres') => string
  readonly keys: ProjectKeys
  /** supabase/functions */
  readonly functionsDir: string
  /** In the place of supabase/functions/import_map.json, for a file of ours that is to be another. */
  readonly importMap?: string
  /** supabase/config.toml */
  readonly configFile: string
  /** The project's own function secrets; as on a hosted project, none may start with SUPABASE_. */
  readonly functionEnv: Readonly<Record<string, string>>
  /** Where clients reach the gateway; also the issuer of the users' tokens. Default: where it listens. */
  readonly publicUrl?: string
  readonly functionsLog?: (line: FunctionLogLine) => void
  /** What went wrong inside, in words that no client gets to see. Default: standard error. */
  readonly log?: (text: string) => void
  readonly auth?: Partial<AuthSettings>
  /** Keeps the mail that Auth would send; without it, the process does. */
  readonly mailDirectory?: string
  /** Restart a function when its TypeScript, or that of shared/, was saved. Default false. */
  readonly watch?: boolean
  /** How long a function may take until its answer begins, in milliseconds. Default 150 s, as when hosted. */
  readonly functionTimeoutMs?: number
  /** How long functions may finish their work when they are stopped, in milliseconds. Default 2 s. */
  readonly functionStopGraceMs?: number
  /** Deno's cache. Default .local/deno in the project. */
  readonly denoDir?: string
  /** A real Auth server to use for /auth/v1, on a database with its own schema. Default: the stand-in. */
  readonly authServer?: string
  /** A PostgREST to use for /rest/v1; null for the built-in stand-in. Default: the one on the PATH, if any. */
  readonly postgrest?: string | null
}

export interface Gateway {
  readonly url: string
  /** What Auth has mailed. */
  readonly mailbox: Pick<Mailbox, 'list'>
  readonly functions: {
    /** Lets the processes (of one function) finish their work and end; the next call starts a new one. */
    restart(name?: string): void
    /** Sends a signal; false when that function has no process. */
    kill(name: string, signal: NodeJS.Signals): boolean
    /** Resident memory in MB; undefined when that function has no process. */
    memoryMb(name: string): Promise<number | undefined>
    processes(): FunctionProcess[]
  }
  stop(): Promise<void>
}

const FUNCTION_TIMEOUT_MS = 150_000
const FUNCTION_START_TIMEOUT_MS = 30_000
const FUNCTION_STOP_GRACE_MS = 2_000

/**
 * Starts what stands in front of a hosted project: auth, Data API and functions behind one address.
 * @throws PortTakenError, Error when the configuration is unusable.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  refuseReservedNames(options.functionEnv)
  const config = await readProjectConfig(options.configFile)
  // Beyond Node's default of 16 KB, since filters travel in the URL.
  const server = createServer({ maxHeaderSize: 64 * 1024, shouldUpgradeCallback: isRealtime })
  const endChannels = refuseChannels(server, missing('realtime'))
  const port = await listen(server, { port: options.port, host: options.host }, PORT_USES.api)
  const url = `http://${options.host}:${port}`
  const parts = await startParts(options, config, url).catch(async (error: unknown) => {
    await close(server)
    throw error
  })
  server.on('request', (incoming, response) => void parts.handle(incoming, response))
  const { processes } = parts.functions
  return {
    url,
    mailbox: parts.mailbox,
    functions: {
      restart: (name) => processes.restart(name),
      kill: (name, signal) => processes.kill(name, signal),
      memoryMb: (name) => processes.memoryMb(name),
      processes: () => processes.list(),
    },
    stop: async () => {
      // Functions first: what they are still doing may need auth and the Data API.
      await parts.stopFunctions()
      endChannels()
      await close(server)
      await parts.stop()
    },
  }
}

interface Parts {
  readonly mailbox: Mailbox
  readonly functions: FunctionsContext
  handle(incoming: IncomingMessage, response: ServerResponse): Promise<void>
  stopFunctions(): Promise<void>
  stop(): Promise<void>
}

async function startParts(options: GatewayOptions, config: ProjectConfig, url: string): Promise<Parts> {
  const publicUrl = options.publicUrl ?? url
  const log = options.log ?? ((text) => console.error(text))
  const callers = await createCallers(options.keys, `${publicUrl}/auth/v1`)
  const auth = await createAuth(options, callers, publicUrl, log)
  const rest = await startRest(options, callers, config.api, log).catch(async (error: unknown) => {
    await auth.sql.end({ timeout: 5 })
    throw error
  })
  const realAuth = await startAuthServer(options, callers, auth, publicUrl).catch(async (error: unknown) => {
    await Promise.all([auth.sql.end({ timeout: 5 }), rest.stop()])
    throw error
  })
  const processes = new FunctionProcesses({
    functionsDir: options.functionsDir,
    ...(options.importMap === undefined ? {} : { importMap: options.importMap }),
    denoDir: options.denoDir ?? path.join(localDirectory, 'deno'),
    environment: { ...options.functionEnv, ...hostedEnvironment(options, publicUrl) },
    log: options.functionsLog ?? (() => undefined),
    startTimeoutMs: FUNCTION_START_TIMEOUT_MS,
    stopGraceMs: options.functionStopGraceMs ?? FUNCTION_STOP_GRACE_MS,
  })
  const timeoutMs = options.functionTimeoutMs ?? FUNCTION_TIMEOUT_MS
  const functions = { processes, callers, config, timeoutMs }
  const watcher = options.watch
    ? await watchFunctions(options.functionsDir, path.join(projectRoot, 'shared'), (name) =>
        processes.restart(name),
      )
    : undefined
  return {
    mailbox: auth.mailbox,
    functions,
    handle: (incoming, response) =>
      handle({ auth, realAuth, rest, functions, log, publicUrl }, incoming, response),
    stopFunctions: async () => {
      watcher?.stop()
      await processes.stop()
    },
    stop: async () => {
      await Promise.all([auth.sql.end({ timeout: 5 }), rest.stop(), realAuth?.stop()])
    },
  }
}

async function createAuth(
  options: GatewayOptions,
  callers: Callers,
  publicUrl: string,
  log: (text: string) => void,
): Promise<AuthContext> {
  const settings = {
    autoConfirm: true,
    accessTokenSeconds: 3600,
    siteUrl: 'http://127.0.0.1:3000',
    anonymousEnabled: true,
    bcryptCost: 10,
    ...options.auth,
  }
  return {
    sql: postgres(options.database('supabase_auth_admin'), {
      max: 10,
      ...knownArrays,
      onnotice: () => undefined,
    }),
    keys: options.keys,
    callers,
    signer: await createTokenSigner(
      options.keys.signingKey,
      `${publicUrl}/auth/v1`,
      settings.accessTokenSeconds,
    ),
    settings,
    mailbox: createMailbox(options.mailDirectory),
    log,
  }
}

async function startAuthServer(
  { authServer, database, keys }: GatewayOptions,
  callers: Callers,
  { settings, mailbox }: AuthContext,
  publicUrl: string,
): Promise<RealAuthServer | undefined> {
  if (authServer === undefined) return undefined
  const databaseUrl = database('supabase_auth_admin')
  return startRealAuth({ executable: authServer, databaseUrl, keys, settings, publicUrl, mailbox }, callers)
}

interface Services {
  readonly auth: AuthContext
  /** Answers in the place of the stand-in. */
  readonly realAuth: RealAuthServer | undefined
  readonly rest: RestServer
  readonly functions: FunctionsContext
  readonly log: (text: string) => void
  readonly publicUrl: string
}

async function handle(
  services: Services,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const call = describeCall(incoming, services.publicUrl)
    const [, api, path = ''] = /^\/(auth|rest|functions)\/v1(\/.*)?$/.exec(call.path) ?? []
    if (api === 'functions') await handleFunction(services.functions, { ...call, path }, incoming, response)
    else if (api === undefined) await handleOther(services, call, response)
    else if (call.method === 'OPTIONS') send(response, preflight(call), crossOrigin(call))
    else if (api === 'auth' && services.realAuth)
      await services.realAuth.handle({ ...call, path }, incoming, response, crossOrigin(call))
    else if (api === 'auth')
      send(response, await handleAuth(services.auth, { ...call, path }), crossOrigin(call))
    else await services.rest.handle({ ...call, path: path || '/' }, incoming, response, crossOrigin(call))
  } catch (error) {
    const reply = error instanceof Refusal ? error.reply : internalError(error, incoming, services.log)
    send(response, reply, { 'access-control-allow-origin': '*' })
  }
}

async function handleOther(services: Services, call: Call, response: ServerResponse): Promise<void> {
  const mail = await mailReply(services.auth.mailbox, call)
  // Mail goes without the headers that would let any page in the browser read it.
  if (mail) send(response, mail)
  else send(response, unknownRoute(call.path), crossOrigin(call))
}

function describeCall(incoming: IncomingMessage, publicUrl: string): Call {
  const base = `http://${incoming.headers.host ?? new URL(publicUrl).host}`
  if (!URL.canParse(incoming.url ?? '/', base))
    throw new Refusal(400, { message: 'The request URL is invalid' })
  const url = new URL(incoming.url ?? '/', base)
  return {
    method: incoming.method ?? 'GET',
    url,
    path: url.pathname,
    headers: incoming.headers,
    body: () => readBody(incoming),
  }
}

/** Supabase answers browsers from anywhere; what protects the data is the token. */
function crossOrigin(call: Call): Record<string, string> {
  return {
    'access-control-allow-origin': '*',
    'access-control-expose-headers':
      'Content-Range, Content-Location, Link, Location, X-Total-Count, X-Supabase-Api-Version',
    ...(call.method === 'OPTIONS' ? { 'access-control-max-age': '86400' } : {}),
  }
}

function preflight(call: Call): Reply {
  const wanted = call.headers['access-control-request-headers']
  return {
    status: 204,
    headers: {
      'access-control-allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS',
      'access-control-allow-headers': wanted ?? 'authorization, x-client-info, apikey, content-type',
    },
  }
}

function missing(product: string): string {
  return `The local stack has no ${product} API. It has Auth, the Data API and Edge Functions; use a hosted project for the rest.`
}

function unknownRoute(path: string): Reply {
  const product = /^\/(storage|realtime|graphql|pg|analytics)\/v1/.exec(path)?.[1]
  if (product) return { status: 501, body: { message: missing(product) } }
  return { status: 404, body: { message: 'no Route matched with those values' } }
}

function internalError(error: unknown, incoming: IncomingMessage, log: (text: string) => void): Reply {
  log(
    `gateway: ${incoming.method} ${incoming.url?.split('?')[0]} failed: ${error instanceof Error ? error.stack : error}`,
  )
  return {
    status: 500,
    body: { message: 'An unexpected error occurred; the log of the local stack has the details' },
  }
}

/** What every hosted function finds in its environment. */
function hostedEnvironment(options: GatewayOptions, publicUrl: string): Record<string, string> {
  const { keys } = options
  return {
    SUPABASE_URL: publicUrl,
    SUPABASE_DB_URL: options.database('postgres'),
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
    SUPABASE_JWKS: JSON.stringify(publicJwks(keys)),
    SUPABASE_ANON_KEY: keys.anonKey,
    SUPABASE_SERVICE_ROLE_KEY: keys.serviceRoleKey,
  }
}

function refuseReservedNames(functionEnv: Readonly<Record<string, string>>): void {
  const reserved = Object.keys(functionEnv).filter((name) => name.startsWith('SUPABASE_'))
  if (reserved.length === 0) return
  throw new Error(
    `${reserved.join(', ')} cannot be set for functions: names that start with SUPABASE_ are the platform's own. ` +
      'Choose another name.',
  )
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
