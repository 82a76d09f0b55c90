import type { Sql, TransactionSql } from 'postgres'
import { type Callers, InvalidTokenError } from '../callers.ts'
import { bearer, type Call, header, type Reply } from '../exchange.ts'
import { type ProjectKeys, publicJwks } from '../keys.ts'
import { handleAdmin } from './admin.ts'
import { AuthError } from './errors.ts'
import {
  passwordGrantBody,
  readJson,
  refreshGrantBody,
  signUpBody,
  updateUserBody,
  verifyBody,
} from './requests.ts'
import {
  type ClientDescription,
  endSessions,
  isBanned,
  refreshSession,
  startSession,
  type TokenSigner,
} from './sessions.ts'
import { inTransaction } from './transaction.ts'
import {
  assertAcceptablePassword,
  confirmEmail,
  createUser,
  emailExists,
  findUserByEmail,
  findUserByPassword,
  issueConfirmationToken,
  mergeMetadata,
  mustFind,
  normalizedEmail,
  presentUser,
  requestEmailChange,
  setEmail,
  setPassword,
  type UserRow,
} from './users.ts'

export interface AuthSettings {
  /** False: an address must be confirmed with the token in auth.users.confirmation_token before a sign-in. */
  readonly autoConfirm: boolean
  readonly accessTokenSeconds: number
  readonly anonymousEnabled: boolean
  /** Cost of a password hash as a power of two; 10 is GoTrue's, 6 makes thousands of sign-ups bearable. */
  readonly bcryptCost: number
}

export interface AuthContext {
  /** Connected as supabase_auth_admin. */
  readonly sql: Sql
  readonly keys: ProjectKeys
  readonly callers: Callers
  readonly signer: TokenSigner
  readonly settings: AuthSettings
  readonly log: (text: string) => void
}

type Handler = (context: AuthContext, call: Call) => Promise<Reply>

const handlers: Readonly<Record<string, Handler>> = {
  'GET /health': async () => ({
    status: 200,
    body: { version: 'local', name: 'GoTrue', description: 'Stand-in' },
  }),
  'GET /settings': async ({ settings }) => ({ status: 200, body: describeSettings(settings) }),
  'GET /.well-known/jwks.json': async ({ keys }) => ({ status: 200, body: publicJwks(keys) }),
  'POST /signup': signUp,
  'POST /token': token,
  'POST /verify': verify,
  'GET /user': async (context, call) => ({
    status: 200,
    body: presentUser((await signedIn(context, call)).user),
  }),
  'PUT /user': updateUser,
  'POST /logout': logOut,
}

/** The JWKS is public; everything else asks for an API key. */
const OPEN_PATH = '/.well-known/jwks.json'

/** Handles one request below `/auth/v1`. Refusals come back as replies in GoTrue's shape. */
export async function handleAuth(context: AuthContext, call: Call): Promise<Reply> {
  if (call.path !== OPEN_PATH) context.callers.apiKeyRole(call)
  try {
    if (/^\/admin\/users(\/|$)/.test(call.path)) {
      await assertAdmin(context, call)
      return await handleAdmin(context, call)
    }
    const handler = handlers[`${call.method} ${call.path}`]
    if (handler) return await handler(context, call)
    throw new AuthError('not_implemented', `The local stack has no ${call.method} /auth/v1${call.path}`)
  } catch (error) {
    if (!(error instanceof AuthError)) throw error
    const newShape = (header(call, 'x-supabase-api-version') ?? '') >= '2024-01-01'
    return {
      status: error.reply.status,
      ...(newShape ? { headers: { 'x-supabase-api-version': '2024-01-01' } } : {}),
      body: error.body(newShape),
    }
  }
}

async function signUp(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, signUpBody)
  if (body.phone !== undefined) throw new AuthError('phone_provider_disabled', 'Phone signups are disabled')
  if (!body.email) return signUpAnonymously(context, call, body.data ?? {})
  const email = normalizedEmail(body.email)
  if (!body.password) throw new AuthError('validation_failed', 'Signup requires a valid password')
  const { password } = body
  assertAcceptablePassword(password)
  const { autoConfirm, bcryptCost } = context.settings
  return inTransaction(context.sql, 'Database error saving new user', context.log, async (sql) => {
    const existing = await findUserByEmail(sql, email)
    if (existing && autoConfirm) throw new AuthError('user_already_exists', 'User already registered')
    if (existing) return { status: 200, body: await repeatSignUp(sql, existing) }
    const user = await createUser(
      sql,
      { email, password, userMetadata: body.data ?? {}, confirmed: autoConfirm },
      bcryptCost,
    )
    const reply = autoConfirm
      ? await startSession(sql, context.signer, user.id, client(call))
      : presentUser(user)
    return { status: 200, body: reply }
  })
}

async function signUpAnonymously(
  context: AuthContext,
  call: Call,
  userMetadata: UserRow['raw_user_meta_data'],
): Promise<Reply> {
  if (!context.settings.anonymousEnabled)
    throw new AuthError('anonymous_provider_disabled', 'Anonymous sign-ins are disabled')
  return inTransaction(context.sql, 'Database error saving new user', context.log, async (sql) => {
    const user = await createUser(
      sql,
      { userMetadata: userMetadata ?? {}, confirmed: false },
      context.settings.bcryptCost,
    )
    return { status: 200, body: await startSession(sql, context.signer, user.id, client(call)) }
  })
}

/** Where addresses are confirmed by mail, a sign-up must not tell whether the address is taken. */
async function repeatSignUp(sql: TransactionSql, existing: UserRow): Promise<Record<string, unknown>> {
  if (existing.email_confirmed_at === null) {
    await issueConfirmationToken(sql, existing.id)
    return presentUser(await mustFind(sql, existing.id))
  }
  const now = new Date()
  return presentUser({
    ...existing,
    id: crypto.randomUUID(),
    email_confirmed_at: null,
    confirmed_at: null,
    confirmation_sent_at: now,
    last_sign_in_at: null,
    raw_user_meta_data: {},
    created_at: now,
    updated_at: now,
    identities: [],
  })
}

async function token(context: AuthContext, call: Call): Promise<Reply> {
  const grant = call.url.searchParams.get('grant_type')
  if (grant === 'password') return passwordGrant(context, call)
  if (grant === 'refresh_token') return refreshGrant(context, call)
  throw new AuthError('not_implemented', `The local stack has no grant type ${grant ?? '(none)'}`)
}

async function passwordGrant(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, passwordGrantBody)
  return inTransaction(context.sql, 'Database error granting user', context.log, async (sql) => {
    const user = await findUserByPassword(sql, body.email.toLowerCase(), body.password)
    if (isBanned(user)) throw new AuthError('user_banned', 'User is banned')
    if (user.email_confirmed_at === null) throw new AuthError('email_not_confirmed', 'Email not confirmed')
    return { status: 200, body: await startSession(sql, context.signer, user.id, client(call)) }
  })
}

async function refreshGrant(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, refreshGrantBody)
  const outcome = await inTransaction(context.sql, 'Database error granting user', context.log, (sql) =>
    refreshSession(sql, context.signer, body.refresh_token),
  )
  if (outcome instanceof AuthError) throw outcome
  return { status: 200, body: outcome }
}

/** Confirms an address with the token that would have been mailed, and signs its owner in. */
async function verify(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, verifyBody)
  const presented = body.token_hash ?? body.token
  if (!presented) throw new AuthError('validation_failed', 'Verify requires a token or a token hash')
  return inTransaction(context.sql, 'Database error confirming user', context.log, async (sql) => {
    const column = body.type === 'email_change' ? 'email_change_token_new' : 'confirmation_token'
    const [found] = await sql<{ id: string; email: string | null; email_change: string | null }[]>`
      select id, email, email_change from auth.users where ${sql(column)} = ${presented} for update`
    const address = body.type === 'email_change' ? found?.email_change : found?.email
    if (!found || !address || (body.email !== undefined && body.email.toLowerCase() !== address))
      throw new AuthError('otp_expired', 'Token has expired or is invalid')
    if (body.type === 'email_change') await setEmail(sql, found.id, address)
    else await confirmEmail(sql, found.id)
    return { status: 200, body: await startSession(sql, context.signer, found.id, client(call)) }
  })
}

async function updateUser(context: AuthContext, call: Call): Promise<Reply> {
  const { user, sessionId } = await signedIn(context, call)
  const body = await readJson(call, updateUserBody)
  if (body.phone !== undefined)
    throw new AuthError('phone_provider_disabled', 'The local stack has no phones')
  const email = body.email === undefined ? undefined : normalizedEmail(body.email)
  if (body.password !== undefined) assertAcceptablePassword(body.password)
  if (body.password !== undefined && user.is_anonymous && !email)
    throw new AuthError('validation_failed', 'An anonymous user needs an email before a password')
  return inTransaction(context.sql, 'Error updating user', context.log, async (sql) => {
    if (email && email !== user.email) await changeEmail(context, sql, user, email)
    if (body.password !== undefined) {
      await setPassword(sql, user.id, body.password, context.settings.bcryptCost)
      await endSessions(sql, user.id, sessionId, 'others')
    }
    await mergeMetadata(sql, user.id, { user: body.data ?? undefined })
    return { status: 200, body: presentUser(await mustFind(sql, user.id)) }
  })
}

async function changeEmail(
  context: AuthContext,
  sql: TransactionSql,
  user: UserRow,
  email: string,
): Promise<void> {
  if (await findUserByEmail(sql, email)) throw emailExists()
  if (context.settings.autoConfirm) await setEmail(sql, user.id, email)
  else await requestEmailChange(sql, user.id, email)
}

async function logOut(context: AuthContext, call: Call): Promise<Reply> {
  const { user, sessionId } = await signedIn(context, call)
  const scope = call.url.searchParams.get('scope') ?? 'global'
  if (scope !== 'global' && scope !== 'local' && scope !== 'others')
    throw new AuthError('validation_failed', `Unsupported logout scope "${scope}"`)
  await inTransaction(context.sql, 'Error logging out user', context.log, (sql) =>
    endSessions(sql, user.id, sessionId, scope),
  )
  return { status: 204 }
}

/** The user of the bearer token, whose session must still exist. @throws AuthError */
async function signedIn(context: AuthContext, call: Call): Promise<{ user: UserRow; sessionId: string }> {
  const accessToken = bearer(call)
  if (!accessToken) throw new AuthError('no_authorization', 'This endpoint requires a valid Bearer token')
  const claims = await context.callers.verifyUserToken(accessToken).catch((error: unknown) => {
    throw asAuthError(error)
  })
  const userId = String(claims.sub)
  const sessionId = String(claims.session_id)
  return inTransaction(context.sql, 'Database error finding user', context.log, async (sql) => {
    const [session] = await sql`select 1 from auth.sessions where id = ${sessionId} and user_id = ${userId}`
    if (!session)
      throw new AuthError('session_not_found', 'Session from session_id claim in JWT does not exist')
    return { user: await mustFind(sql, userId), sessionId }
  })
}

async function assertAdmin(context: AuthContext, call: Call): Promise<void> {
  const { role } = await context.callers.caller(call).catch((error: unknown) => {
    throw asAuthError(error)
  })
  if (role !== 'service_role') throw new AuthError('not_admin', 'User not allowed')
}

function asAuthError(error: unknown): unknown {
  if (!(error instanceof InvalidTokenError)) return error
  return new AuthError('bad_jwt', `invalid JWT: unable to parse or verify signature, ${error.message}`)
}

function client(call: Call): ClientDescription {
  return { userAgent: header(call, 'user-agent'), ip: undefined }
}

function describeSettings(settings: AuthSettings): Record<string, unknown> {
  return {
    external: { anonymous_users: settings.anonymousEnabled, email: true, phone: false },
    disable_signup: false,
    mailer_autoconfirm: settings.autoConfirm,
    phone_autoconfirm: false,
    sms_provider: '',
    saml_enabled: false,
  }
}
