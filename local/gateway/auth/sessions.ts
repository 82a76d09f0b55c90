import { randomBytes } from 'node:crypto'
import { type CryptoKey, importJWK, type JWK, type KeyObject, SignJWT } from 'jose'
import type { TransactionSql } from 'postgres'
import { type Call, header } from '../exchange.ts'
import { AuthError } from './errors.ts'
import { findUser, mustFind, presentUser, type UserRow } from './users.ts'

/** A revoked refresh token is accepted this long: two tabs may refresh with the same one. Supabase's default. */
const REUSE_INTERVAL_SECONDS = 10

export interface TokenSigner {
  readonly key: CryptoKey | KeyObject | Uint8Array
  readonly keyId: string
  readonly issuer: string
  readonly lifetimeSeconds: number
}

export async function createTokenSigner(
  jwk: JWK,
  issuer: string,
  lifetimeSeconds: number,
): Promise<TokenSigner> {
  return { key: await importJWK(jwk, 'ES256'), keyId: jwk.kid ?? '', issuer, lifetimeSeconds }
}

export function clientOf(call: Call): ClientDescription {
  return { userAgent: header(call, 'user-agent'), ip: undefined }
}

/** How somebody signed in, as `amr` in the access token names it. */
export type SignInMethod =
  | 'password'
  | 'otp'
  | 'anonymous'
  // At the end of a flow with a code it is what the mail was for.
  | 'email/signup'
  | 'recovery'
  | 'magiclink'
  | 'invite'
  | 'email_change'

export interface ClientDescription {
  readonly userAgent: string | undefined
  readonly ip: string | undefined
}

/** Opens a session for the user and returns GoTrue's token reply. */
export async function startSession(
  sql: TransactionSql,
  signer: TokenSigner,
  userId: string,
  client: ClientDescription,
  method: SignInMethod,
): Promise<Record<string, unknown>> {
  const sessionId = crypto.randomUUID()
  await sql`update auth.users set last_sign_in_at = now(), updated_at = now() where id = ${userId}`
  await sql`
    insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
    values (${sessionId}, ${userId}, now(), now(), 'aal1', ${client.userAgent ?? null}, ${client.ip ?? null})`
  await sql`
    insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
    values (gen_random_uuid(), ${sessionId}, now(), now(), ${method})`
  const refreshToken = await insertRefreshToken(sql, userId, sessionId, null)
  return tokenReply(
    signer,
    await mustFind(sql, userId),
    { id: sessionId, startedAt: new Date(), method },
    refreshToken,
  )
}

interface RefreshTokenRow {
  readonly user_id: string
  readonly session_id: string
  readonly revoked: boolean
  readonly reusable: boolean
  readonly active_token: string | null
  readonly session_started_at: Date
  readonly method: SignInMethod
}

/**
 * Exchanges a refresh token for new tokens. One that was exchanged before gets the tokens that replaced it while
 * within the reuse interval; later it is taken for stolen and every token of the session is revoked. (GoTrue also
 * forgives the direct predecessor of the current token for ever; that is not imitated.)
 * @returns the token reply, or the refusal: the revocation must be committed although the request fails.
 */
export async function refreshSession(
  sql: TransactionSql,
  signer: TokenSigner,
  token: string,
): Promise<Record<string, unknown> | AuthError> {
  const found = await lockRefreshToken(sql, token)
  const user = found && (await findUser(sql, found.user_id))
  if (!found || !user)
    return new AuthError('refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found')
  if (isBanned(user)) return new AuthError('user_banned', 'User is banned')
  const session = { id: found.session_id, startedAt: found.session_started_at, method: found.method }
  if (!found.revoked) {
    await sql`update auth.refresh_tokens set revoked = true, updated_at = now() where token = ${token}`
    await sql`update auth.sessions set refreshed_at = now(), updated_at = now() where id = ${found.session_id}`
    return tokenReply(signer, user, session, await insertRefreshToken(sql, user.id, found.session_id, token))
  }
  if (found.reusable && found.active_token) return tokenReply(signer, user, session, found.active_token)
  await sql`
    update auth.refresh_tokens set revoked = true, updated_at = now()
    where session_id = ${found.session_id} and not revoked`
  return new AuthError('refresh_token_already_used', 'Invalid Refresh Token: Already Used')
}

export function isBanned(user: UserRow): boolean {
  return user.banned_until !== null && user.banned_until > new Date()
}

/** `global` ends every session of the user, `local` this one, `others` all but this one. */
export async function endSessions(
  sql: TransactionSql,
  userId: string,
  sessionId: string,
  scope: 'global' | 'local' | 'others',
): Promise<void> {
  await sql`
    delete from auth.sessions where user_id = ${userId}
      and case ${scope} when 'local' then id = ${sessionId} when 'others' then id <> ${sessionId} else true end`
}

/** Locks the session, not the token alone: two requests with different tokens of one session must not interleave. */
async function lockRefreshToken(sql: TransactionSql, token: string): Promise<RefreshTokenRow | undefined> {
  await sql`
    select 1 from auth.sessions where id = (select session_id from auth.refresh_tokens where token = ${token})
    for update`
  const [row] = await sql<RefreshTokenRow[]>`
    select t.user_id, t.session_id, t.revoked, s.created_at as session_started_at,
      coalesce((select c.authentication_method from auth.mfa_amr_claims c where c.session_id = s.id limit 1),
        'password') as method,
      t.updated_at > now() - make_interval(secs => ${REUSE_INTERVAL_SECONDS}) as reusable,
      (select a.token from auth.refresh_tokens a where a.session_id = t.session_id and not a.revoked
       order by a.id desc limit 1) as active_token
    from auth.refresh_tokens t join auth.sessions s on s.id = t.session_id
    where t.token = ${token}`
  return row
}

async function insertRefreshToken(
  sql: TransactionSql,
  userId: string,
  sessionId: string,
  parent: string | null,
): Promise<string> {
  const token = randomBytes(16).toString('base64url')
  await sql`
    insert into auth.refresh_tokens (token, user_id, revoked, created_at, updated_at, parent, session_id)
    values (${token}, ${userId}, false, now(), now(), ${parent}, ${sessionId})`
  return token
}

async function tokenReply(
  signer: TokenSigner,
  user: UserRow,
  session: { readonly id: string; readonly startedAt: Date; readonly method: SignInMethod },
  refreshToken: string,
): Promise<Record<string, unknown>> {
  const now = Math.floor(Date.now() / 1000)
  const expiresAt = now + signer.lifetimeSeconds
  const accessToken = await new SignJWT({
    email: user.email ?? '',
    phone: user.phone ?? '',
    app_metadata: user.raw_app_meta_data ?? {},
    user_metadata: user.raw_user_meta_data ?? {},
    role: user.role,
    aal: 'aal1',
    amr: [{ method: session.method, timestamp: Math.floor(session.startedAt.getTime() / 1000) }],
    session_id: session.id,
    is_anonymous: user.is_anonymous,
  })
    .setProtectedHeader({ alg: 'ES256', kid: signer.keyId, typ: 'JWT' })
    .setIssuer(signer.issuer)
    .setSubject(user.id)
    .setAudience(user.aud)
    .setIssuedAt(now)
    .setExpirationTime(expiresAt)
    .sign(signer.key)
  return {
    access_token: accessToken,
    token_type: 'bearer',
    expires_in: signer.lifetimeSeconds,
    expires_at: expiresAt,
    refresh_token: refreshToken,
    user: presentUser(user),
  }
}
