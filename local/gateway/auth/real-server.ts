import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { freePort } from '../../../tools/ports.ts'
import { authDatabaseEnvironment } from '../../postgres/auth-migrations.ts'
import type { Callers } from '../callers.ts'
import { bearer, type Call, header, Refusal, readBody, send } from '../exchange.ts'
import type { ProjectKeys } from '../keys.ts'
import { proxy, UpstreamBrokenError, UpstreamTimeoutError } from '../proxy.ts'
import { OPEN_PATHS } from './auth-api.ts'
import type { AuthSettings } from './context.ts'
import { actionLink, SUBJECTS } from './mail-flows.ts'
import type { Mailbox } from './mailbox.ts'
import { tokenTypes } from './requests.ts'

const START_TIMEOUT_MS = 15_000
const REPLY_TIMEOUT_MS = 60_000

/** A real Auth server in the place of the stand-in, which is checked against it. */
export interface RealAuthServer {
  handle(
    call: Call,
    incoming: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ): Promise<void>
  stop(): Promise<void>
}

export interface RealAuthOptions {
  readonly executable: string
  /** As supabase_auth_admin. */
  readonly databaseUrl: string
  readonly keys: ProjectKeys
  readonly settings: AuthSettings
  /** Where clients reach the gateway, without a path. */
  readonly publicUrl: string
  readonly mailbox: Mailbox
}

/** @throws Error when it does not listen in time */
export async function startRealAuth(options: RealAuthOptions, callers: Callers): Promise<RealAuthServer> {
  const mails = await startMailHook(options)
  const port = await freePort()
  const child = spawn(options.executable, ['serve'], {
    env: { ...authDatabaseEnvironment(options.databaseUrl), ...environment(options, port, mails.url) },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.once('error', () => undefined)
  let said = ''
  child.stderr.on('data', (text) => {
    said = (said + String(text)).slice(-2000)
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
    await mails.stop()
  }
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await isHealthy(port))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop()
      throw new Error(`${options.executable} did not start within ${START_TIMEOUT_MS / 1000} s: ${said}`)
    }
    await sleep(50)
  }
  return {
    handle: (call, incoming, response, headers) =>
      forward(options.keys, callers, port, call, incoming, response, headers),
    stop,
  }
}

function environment(options: RealAuthOptions, port: number, hookUrl: string): Record<string, string> {
  const { settings, keys, publicUrl } = options
  const signing = { ...keys.signingKey, key_ops: ['sign', 'verify'] }
  const legacy = {
    kty: 'oct',
    k: Buffer.from(keys.legacyJwtSecret).toString('base64url'),
    alg: 'HS256',
    kid: 'legacy',
    key_ops: ['verify'],
  }
  return {
    ...providersOfOAuth(),
    GOTRUE_API_HOST: '127.0.0.1',
    PORT: String(port),
    API_EXTERNAL_URL: `${publicUrl}/auth/v1`,
    GOTRUE_SITE_URL: settings.siteUrl,
    GOTRUE_JWT_SECRET: keys.legacyJwtSecret,
    GOTRUE_JWT_KEYS: JSON.stringify([signing, legacy]),
    GOTRUE_JWT_ISSUER: `${publicUrl}/auth/v1`,
    GOTRUE_JWT_EXP: String(settings.accessTokenSeconds),
    GOTRUE_JWT_AUD: 'authenticated',
    GOTRUE_JWT_DEFAULT_GROUP_NAME: 'authenticated',
    GOTRUE_JWT_ADMIN_ROLES: 'supabase_admin,service_role',
    GOTRUE_DISABLE_SIGNUP: 'false',
    GOTRUE_EXTERNAL_EMAIL_ENABLED: 'true',
    GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED: String(settings.anonymousEnabled),
    GOTRUE_MAILER_AUTOCONFIRM: String(settings.autoConfirm),
    GOTRUE_MAILER_URLPATHS_INVITE: '/auth/v1/verify',
    GOTRUE_MAILER_URLPATHS_CONFIRMATION: '/auth/v1/verify',
    GOTRUE_MAILER_URLPATHS_RECOVERY: '/auth/v1/verify',
    GOTRUE_MAILER_URLPATHS_EMAIL_CHANGE: '/auth/v1/verify',
    GOTRUE_MAILER_OTP_LENGTH: '6',
    GOTRUE_MAILER_OTP_EXP: '3600',
    GOTRUE_SMTP_MAX_FREQUENCY: '1ns',
    GOTRUE_RATE_LIMIT_EMAIL_SENT: '1000000',
    GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED: 'true',
    GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL: '10',
    GOTRUE_HOOK_SEND_EMAIL_ENABLED: 'true',
    GOTRUE_HOOK_SEND_EMAIL_URI: hookUrl,
    GOTRUE_HOOK_SEND_EMAIL_SECRETS: `v1,whsec_${randomBytes(32).toString('base64')}`,
  }
}

/** Those that whoever starts it has set up, in Auth's own variables. */
function providersOfOAuth(): Record<string, string> {
  const variables = Object.entries(process.env).filter(([name]) => name.startsWith('GOTRUE_EXTERNAL_'))
  return Object.fromEntries(
    variables.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

const hookBody = z.object({
  user: z.object({ email: z.string(), new_email: z.string().optional() }),
  email_data: z.object({
    token: z.string(),
    token_hash: z.string(),
    token_new: z.string().default(''),
    token_hash_new: z.string().default(''),
    redirect_to: z.string(),
    email_action_type: z.string(),
  }),
})

/** Auth's hook for sending mail; its address is the secret, since it lives as long as this process. */
async function startMailHook({ mailbox, publicUrl }: RealAuthOptions) {
  const path = `/${randomBytes(16).toString('hex')}`
  const issuer = `${publicUrl}/auth/v1`
  const deliver = async (incoming: IncomingMessage) => {
    const { user, email_data: data } = hookBody.parse(JSON.parse((await readBody(incoming)).toString('utf8')))
    const parsed = tokenTypes.exclude(['email']).safeParse(data.email_action_type)
    if (!parsed.success) return
    const type = parsed.data
    const put = (to: string, code: string, tokenHash: string) =>
      mailbox.deliver({
        to,
        type,
        subject: SUBJECTS[type],
        link: actionLink(issuer, tokenHash, type, data.redirect_to),
        code,
        tokenHash,
      })
    if (type !== 'email_change') return put(user.email, data.token, data.token_hash)
    // For the sake of old hooks, each hash is named for the other address. Without an old address there is one only.
    if (!data.token_new) return put(user.new_email ?? user.email, data.token, data.token_hash)
    await put(user.new_email ?? '', data.token_new, data.token_hash)
    await put(user.email, data.token, data.token_hash_new)
  }
  const server = createServer((incoming, response) => {
    if (incoming.url !== path) return send(response, { status: 404, body: {} })
    deliver(incoming).then(
      () => send(response, { status: 200, body: {} }),
      (error: unknown) => send(response, { status: 500, body: { error: { message: String(error) } } }),
    )
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${port}${path}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function isHealthy(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/health`).then(
    ({ ok }) => ok,
    () => false,
  )
}

/** Auth knows nothing of sb_ keys: it gets the user's token, or the legacy key of the same role. */
async function forward(
  keys: ProjectKeys,
  callers: Callers,
  port: number,
  call: Call,
  incoming: IncomingMessage,
  response: ServerResponse,
  responseHeaders: Readonly<Record<string, string>>,
): Promise<void> {
  const role = OPEN_PATHS.includes(call.path) ? undefined : callers.apiKeyRole(call)
  const token = bearer(call)
  const isKey = !token || token === header(call, 'apikey')
  const legacy = role === 'service_role' ? keys.serviceRoleKey : keys.anonKey
  const authorization = role !== undefined && isKey ? { authorization: `Bearer ${legacy}` } : {}
  const target = {
    port,
    path: call.path + call.url.search,
    headers: { ...call.headers, ...authorization },
    timeoutMs: REPLY_TIMEOUT_MS,
    responseHeaders,
  }
  await proxy(incoming, response, target).catch((error: unknown) => {
    if (error instanceof UpstreamBrokenError || error instanceof UpstreamTimeoutError)
      throw new Refusal(502, { message: 'Auth did not answer' })
    throw error
  })
}
