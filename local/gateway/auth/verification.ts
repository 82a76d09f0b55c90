import { randomBytes } from 'node:crypto'
import type { TransactionSql } from 'postgres'
import type { Call, Reply } from '../exchange.ts'
import type { AuthContext } from './context.ts'
import { AuthError } from './errors.ts'
import { redirectTarget } from './mail-flows.ts'
import { type FoundToken, findToken, hashOf, hasPassword, type TokenType } from './one-time-tokens.ts'
import { type FlowMethod, flowToken, isOfFlow, issueCode } from './pkce.ts'
import { readJson, tokenTypes, verifyBody } from './requests.ts'
import { clientOf, startSession } from './sessions.ts'
import { inTransaction } from './transaction.ts'
import {
  confirmEmail,
  confirmEmailChange,
  confirmIdentity,
  refreshProviders,
  setPassword,
  type UserRow,
} from './users.ts'

const HALF_CONFIRMED = 'Confirmation link accepted. Please proceed to confirm link sent to the other email'

/** `POST /verify`: a code with its address, or a token hash. Signs its owner in. */
export async function verify(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, verifyBody)
  if ((body.token === undefined) === (body.token_hash === undefined))
    throw new AuthError('validation_failed', 'Verify requires either a token or a token hash')
  if (body.token_hash !== undefined && (body.email ?? body.phone) !== undefined)
    throw new AuthError('validation_failed', 'Only the token_hash and type should be provided')
  if (body.token !== undefined && body.email === undefined)
    throw new AuthError(
      'validation_failed',
      'Only an email address or phone number should be provided on verify',
    )
  const typed = hashOf((body.email ?? '').toLowerCase(), body.token ?? '')
  const hashes = body.token_hash === undefined ? [typed, flowToken(typed)] : [body.token_hash]
  const message =
    body.token === undefined ? 'Email link is invalid or has expired' : 'Token has expired or is invalid'
  const reply = await redeem(context, body.type, hashes, message, (sql, { id }) =>
    startSession(sql, context.signer, id, clientOf(call), 'otp'),
  )
  return { status: 200, body: reply ?? { msg: HALF_CONFIRMED, code: '200' } }
}

/**
 * `GET /verify`: what a link in a mail opens. Leads back to the site with the session, or the refusal, after the #. Where the mail was asked for
 * with a code challenge, with a code after the ?, and the refusal in both places.
 */
export async function followLink(context: AuthContext, call: Call): Promise<Reply> {
  const query = call.url.searchParams
  const target = new URL(redirectTarget(context, call))
  const parsed = tokenTypes.safeParse(query.get('type'))
  const hash = query.get('token') ?? query.get('token_hash')
  if (!hash) throw new AuthError('validation_failed', 'Verify requires a token or a token hash')
  if (!parsed.success) throw new AuthError('validation_failed', 'Unsupported verification type')
  const type = parsed.data
  const message = 'Email link is invalid or has expired'
  const isFlow = isOfFlow(hash)
  const result = await redeem<Record<string, string>>(
    context,
    type,
    [hash],
    message,
    async (sql, { id }, found) =>
      isFlow
        ? { code: await issueCode(sql, id, FLOWS[found]) }
        : sessionOf(await startSession(sql, context.signer, id, clientOf(call), 'otp'), type),
  ).catch((error: unknown) => {
    if (error instanceof AuthError) return refusalOf(error)
    throw error
  })
  const answer = result ?? { message: HALF_CONFIRMED }
  if (isFlow) for (const [name, value] of Object.entries(answer)) target.searchParams.set(name, value)
  if (isFlow && answer.code) target.hash = ''
  else target.hash = new URLSearchParams({ ...answer, sb: '' }).toString()
  return { status: 303, headers: { location: target.href } }
}

const FLOWS: Readonly<Record<FoundToken['type'], FlowMethod>> = {
  signup: 'email/signup',
  invite: 'invite',
  recovery: 'recovery',
  magiclink: 'magiclink',
  email_change: 'email_change',
}

function sessionOf(reply: Record<string, unknown>, type: TokenType): Record<string, string> {
  const names = ['access_token', 'token_type', 'expires_in', 'expires_at', 'refresh_token']
  return { ...Object.fromEntries(names.map((name) => [name, String(reply[name])])), type }
}

function refusalOf({ reply, errorCode, message }: AuthError): Record<string, string> {
  const error = reply.status === 403 ? 'access_denied' : 'server_error'
  return { error, error_code: errorCode, error_description: message }
}

/**
 * Takes the token, and gives what the work makes of its owner; undefined when the other address must confirm a change, too.
 * @param hashes under which the token may be kept
 */
function redeem<Result>(
  context: AuthContext,
  type: TokenType,
  hashes: readonly string[],
  message: string,
  work: (sql: TransactionSql, user: UserRow, type: FoundToken['type']) => Promise<Result>,
): Promise<Result | undefined> {
  return inTransaction(context.sql, 'Database error confirming user', context.log, async (sql) => {
    const found = await findToken(sql, type, hashes, message)
    if (found.user.banned_until !== null && found.user.banned_until > new Date())
      throw new AuthError('user_banned', 'User is banned')
    if (!(await apply(context, sql, found))) return undefined
    await refreshProviders(sql, found.user.id)
    return work(sql, found.user, found.type)
  })
}

async function apply(
  context: AuthContext,
  sql: TransactionSql,
  { user, type, hash }: FoundToken,
): Promise<boolean> {
  if (type === 'email_change') return applyEmailChange(context, sql, user, hash)
  if (type === 'recovery' || type === 'magiclink') {
    await sql`update auth.users set recovery_token = '', updated_at = now() where id = ${user.id}`
    if (user.email_confirmed_at === null) await confirmEmail(sql, user.id)
    return true
  }
  // An invited person chooses a password afterwards; until then nobody knows it.
  if (!(await hasPassword(sql, user.id)))
    await setPassword(sql, user.id, randomBytes(24).toString('base64url'), context.settings.bcryptCost)
  await confirmEmail(sql, user.id)
  await confirmIdentity(sql, user.id)
  return true
}

/** Where addresses are confirmed by mail, the old one has a say, too. */
async function applyEmailChange(
  context: AuthContext,
  sql: TransactionSql,
  user: UserRow,
  hash: string,
): Promise<boolean> {
  const [row] = await sql<{ isFirst: boolean }[]>`
    select email_change_confirm_status = 0 as "isFirst" from auth.users where id = ${user.id}`
  if (!context.settings.autoConfirm && user.email && row?.isFirst) {
    await sql`
      update auth.users set email_change_confirm_status = 1, updated_at = now(),
        email_change_token_current = case email_change_token_current when ${hash} then '' else email_change_token_current end,
        email_change_token_new = case email_change_token_new when ${hash} then '' else email_change_token_new end
      where id = ${user.id}`
    return false
  }
  await confirmEmailChange(sql, user, user.email_change ?? '')
  return true
}
