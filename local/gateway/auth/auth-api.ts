import { InvalidTokenError } from '../callers.ts'
import { bearer, type Call, header, type Reply } from '../exchange.ts'
import { publicJwks } from '../keys.ts'
import { handleAdmin } from './admin.ts'
import type { AuthContext, AuthSettings } from './context.ts'
import { AuthError } from './errors.ts'
import { invite, mailing, otp, recover, resend, sendConfirmation, sendEmailChange } from './mail-flows.ts'
import { challengeOf, redeemCode } from './pkce.ts'
import {
  passwordGrantBody,
  pkceGrantBody,
  readJson,
  refreshGrantBody,
  signUpBody,
  updateUserBody,
} from './requests.ts'
import { clientOf, endSessions, isBanned, refreshSession, startSession } from './sessions.ts'
import { inTransaction } from './transaction.ts'
import {
  assertAcceptablePassword,
  confirmEmail,
  confirmEmailChange,
  createUser,
  emailExists,
  findUserByEmail,
  findUserByPassword,
  mergeMetadata,
  mustFind,
  normalizedEmail,
  presentUser,
  setPassword,
  type UserRow,
} from './users.ts'
import { followLink, verify } from './verification.ts'

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
  'GET /verify': followLink,
  'POST /otp': otp,
  'POST /recover': recover,
  'POST /resend': resend,
  'GET /authorize': authorize,
  'GET /user/identities/authorize': refuseLinking,
  'GET /user': async (context, call) => ({
    status: 200,
    body: presentUser((await signedIn(context, call)).user),
  }),
  'PUT /user': updateUser,
  'POST /logout': logOut,
}

/** What browsers open without an API key. */
export const OPEN_PATHS: readonly string[] = ['/.well-known/jwks.json', '/verify', '/authorize', '/callback']

/** Handles one request below `/auth/v1`. Refusals come back as replies in GoTrue's shape. */
export async function handleAuth(context: AuthContext, call: Call): Promise<Reply> {
  if (!OPEN_PATHS.includes(call.path)) context.callers.apiKeyRole(call)
  try {
    if (call.path.startsWith('/admin/')) {
      await assertAdmin(context, call)
      return await handleAdmin(context, call)
    }
    if (call.path === '/invite' && call.method === 'POST') {
      await assertAdmin(context, call)
      return await invite(context, call)
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
  const challenge = challengeOf(body)
  return mailing(context, 'Database error saving new user', async (sql, outbox) => {
    const existing = await findUserByEmail(sql, email)
    if (existing?.email_confirmed_at && autoConfirm)
      throw new AuthError('user_already_exists', 'User already registered')
    if (existing?.email_confirmed_at) return { status: 200, body: pretendedUser(existing) }
    if (existing && autoConfirm) {
      await confirmEmail(sql, existing.id)
      return {
        status: 200,
        body: await startSession(sql, context.signer, existing.id, clientOf(call), 'password'),
      }
    }
    if (existing) {
      await sendConfirmation(context, call, sql, existing, outbox, challenge)
      return { status: 200, body: presentUser(await mustFind(sql, existing.id)) }
    }
    const user = await createUser(
      sql,
      { email, password, userMetadata: body.data ?? {}, confirmed: autoConfirm },
      bcryptCost,
    )
    if (autoConfirm)
      return {
        status: 200,
        body: await startSession(sql, context.signer, user.id, clientOf(call), 'password'),
      }
    await sendConfirmation(context, call, sql, user, outbox, challenge)
    return { status: 200, body: presentUser(await mustFind(sql, user.id)) }
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
    return {
      status: 200,
      body: await startSession(sql, context.signer, user.id, clientOf(call), 'anonymous'),
    }
  })
}

/** Where addresses are confirmed by mail, a sign-up must not tell whether the address is taken. */
function pretendedUser(existing: UserRow): Record<string, unknown> {
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
  if (grant === 'pkce') return pkceGrant(context, call)
  throw new AuthError('not_implemented', `The local stack has no grant type ${grant ?? '(none)'}`)
}

async function passwordGrant(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, passwordGrantBody)
  return inTransaction(context.sql, 'Database error granting user', context.log, async (sql) => {
    const user = await findUserByPassword(sql, body.email.toLowerCase(), body.password)
    if (isBanned(user)) throw new AuthError('user_banned', 'User is banned')
    if (user.email_confirmed_at === null) throw new AuthError('email_not_confirmed', 'Email not confirmed')
    return { status: 200, body: await startSession(sql, context.signer, user.id, clientOf(call), 'password') }
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

/** The code that a mailed link has led back with, and the verifier that only the asker has. */
async function pkceGrant(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, pkceGrantBody)
  if (body.auth_code === '' || body.code_verifier === '')
    throw new AuthError(
      'validation_failed',
      'invalid request: both auth code and code verifier should be non-empty',
    )
  return inTransaction(context.sql, 'Database error granting user', context.log, async (sql) => {
    const { userId, method } = await redeemCode(sql, body.auth_code, body.code_verifier)
    return { status: 200, body: await startSession(sql, context.signer, userId, clientOf(call), method) }
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
    throw new AuthError(
      'validation_failed',
      'Updating password of an anonymous user without an email or phone is not allowed',
    )
  // The order is GoTrue's: whoever reads the metadata when the address arrives finds it there.
  return mailing(context, 'Error updating user', async (sql, outbox) => {
    const changes = email !== undefined && email !== user.email
    if (changes && (await findUserByEmail(sql, email))) throw emailExists()
    if (body.password !== undefined) {
      await setPassword(sql, user.id, body.password, context.settings.bcryptCost)
      await endSessions(sql, user.id, sessionId, 'others')
    }
    await mergeMetadata(sql, user.id, { user: body.data ?? undefined })
    if (changes && user.is_anonymous && context.settings.autoConfirm)
      await confirmEmailChange(sql, user, email)
    else if (changes) {
      await sendEmailChange(context, call, sql, user, email, outbox, challengeOf(body))
    }
    return { status: 200, body: presentUser(await mustFind(sql, user.id)) }
  })
}

/** As a hosted project answers where the provider was not switched on. */
async function authorize(): Promise<Reply> {
  throw new AuthError('validation_failed', 'Unsupported provider: provider is not enabled')
}

async function refuseLinking(context: AuthContext, call: Call): Promise<Reply> {
  await signedIn(context, call)
  throw new AuthError('manual_linking_disabled', 'Manual linking is disabled')
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
