import { randomBytes } from 'node:crypto'
import type { TransactionSql } from 'postgres'
import { type Call, header, type Reply } from '../exchange.ts'
import type { AuthContext } from './context.ts'
import { AuthError } from './errors.ts'
import {
  newToken,
  type OneTimeToken,
  saveConfirmationToken,
  saveEmailChange,
  saveInvitationToken,
  saveRecoveryToken,
  type TokenType,
} from './one-time-tokens.ts'
import { beginFlow, type Challenge, challengeOf } from './pkce.ts'
import { generateLinkBody, inviteBody, otpBody, readJson, recoverBody, resendBody } from './requests.ts'
import { inTransaction } from './transaction.ts'
import {
  createUser,
  emailExists,
  findUserByEmail,
  type Metadata,
  mergeMetadata,
  mustFind,
  normalizedEmail,
  presentUser,
  type UserRow,
} from './users.ts'

/** What one request mails, after its transaction: a rolled back one has sent nothing. */
export type Outbox = Parameters<AuthContext['mailbox']['deliver']>[0][]

export const SUBJECTS: Readonly<Record<Exclude<TokenType, 'email'>, string>> = {
  signup: 'Confirm your email address',
  invite: 'You have been invited',
  recovery: 'Reset your password',
  magiclink: 'Your sign-in link',
  email_change: 'Confirm your new email address',
}

/** The work in a transaction; what it puts into the outbox is delivered once that is committed. */
export async function mailing<T>(
  context: AuthContext,
  failure: string,
  work: (sql: TransactionSql, outbox: Outbox) => Promise<T>,
): Promise<T> {
  const outbox: Outbox = []
  const result = await inTransaction(context.sql, failure, context.log, (sql) => work(sql, outbox))
  for (const mail of outbox) await context.mailbox.deliver(mail)
  return result
}

export function message(
  context: AuthContext,
  call: Call,
  to: string,
  type: Exclude<TokenType, 'email'>,
  token: OneTimeToken,
): Outbox[number] {
  const link = actionLink(context.signer.issuer, token.hash, type, redirectTarget(context, call))
  return { to, type, subject: SUBJECTS[type], link, code: token.code, tokenHash: token.hash }
}

/** @param issuer Auth's address as clients know it */
export function actionLink(issuer: string, hash: string, type: string, redirectTo: string): string {
  const query = new URLSearchParams({ token: hash, type, redirect_to: redirectTo })
  return `${issuer}/verify?${query}`
}

/** Where a link leads in the end: what the client asks for, if it is on this machine or the site itself. */
export function redirectTarget(context: AuthContext, call: Call, wanted?: string): string {
  const site = context.settings.siteUrl
  const asked = wanted ?? header(call, 'redirect_to') ?? call.url.searchParams.get('redirect_to') ?? undefined
  if (asked === undefined || !URL.canParse(asked)) return site
  const { hostname, origin } = new URL(asked)
  const isLoopback = hostname === '127.0.0.1' || hostname === '[::1]' || hostname === 'localhost'
  return isLoopback || origin === new URL(site).origin ? asked : site
}

export async function sendConfirmation(
  context: AuthContext,
  call: Call,
  sql: TransactionSql,
  user: UserRow,
  outbox: Outbox,
  challenge?: Challenge,
): Promise<void> {
  const email = user.email ?? ''
  if (challenge) await beginFlow(sql, user.id, 'email/signup', challenge)
  const token = newToken(email, challenge)
  await saveConfirmationToken(sql, user.id, token.hash)
  outbox.push(message(context, call, email, 'signup', token))
}

/** Asks both addresses, where there are two. */
export async function sendEmailChange(
  context: AuthContext,
  call: Call,
  sql: TransactionSql,
  user: UserRow,
  email: string,
  outbox: Outbox,
  challenge?: Challenge,
): Promise<void> {
  if (challenge) await beginFlow(sql, user.id, 'email_change', challenge)
  const next = newToken(email, challenge)
  const current = user.email ? newToken(user.email, challenge) : undefined
  await saveEmailChange(sql, user.id, email, { current: current?.hash ?? '', next: next.hash })
  outbox.push(message(context, call, email, 'email_change', next))
  if (user.email && current) outbox.push(message(context, call, user.email, 'email_change', current))
}

/** `POST /otp`: a sign-in link and code; an unknown address signs up, unless the client forbids it. */
export async function otp(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, otpBody)
  const challenge = challengeOf(body)
  if (body.phone) throw new AuthError('phone_provider_disabled', 'Unsupported phone provider')
  const email = normalizedEmail(body.email ?? '')
  await mailing(context, 'Database error saving new user', async (sql, outbox) => {
    const known = await findUserByEmail(sql, email)
    if (!known && body.create_user === false)
      throw new AuthError('otp_disabled', 'Signups not allowed for otp')
    const { autoConfirm } = context.settings
    const user = known ?? (await newUser(context, sql, email, body.data ?? {}, autoConfirm))
    if (user.email_confirmed_at === null) return sendConfirmation(context, call, sql, user, outbox, challenge)
    return sendRecovery(context, call, sql, user, 'magiclink', outbox, challenge)
  })
  return { status: 200, body: {} }
}

/** `POST /recover`: does not tell whether the address is known. */
export async function recover(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, recoverBody)
  const challenge = challengeOf(body)
  const email = normalizedEmail(body.email)
  await mailing(context, 'Unable to process request', async (sql, outbox) => {
    const user = await findUserByEmail(sql, email)
    if (user) await sendRecovery(context, call, sql, user, 'recovery', outbox, challenge)
  })
  return { status: 200, body: {} }
}

/** `POST /resend`: for a sign-up or a change of address that is still open. */
export async function resend(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, resendBody)
  const challenge = challengeOf(body)
  const email = normalizedEmail(body.email ?? '')
  await mailing(context, 'Unable to process request', async (sql, outbox) => {
    const user = await findUserByEmail(sql, email)
    if (user && body.type === 'signup' && user.email_confirmed_at === null)
      await sendConfirmation(context, call, sql, user, outbox, challenge)
    if (user?.email_change && body.type === 'email_change')
      await sendEmailChange(context, call, sql, user, user.email_change, outbox, challenge)
  })
  return { status: 200, body: {} }
}

/** `POST /invite`; the caller has been found to be service_role. */
export async function invite(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, inviteBody)
  const email = normalizedEmail(body.email)
  const user = await mailing(context, 'Database error saving new user', async (sql, outbox) => {
    const { user: invited, token } = await invitation(context, sql, email, body.data ?? {})
    outbox.push(message(context, call, email, 'invite', token))
    return invited
  })
  return { status: 200, body: presentUser(user) }
}

/** `POST /admin/generate_link`: the same tokens, for the backend to mail by itself. */
export async function generateLink(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, generateLinkBody)
  const email = normalizedEmail(body.email)
  const made = await inTransaction(
    context.sql,
    'Database error creating the link',
    context.log,
    async (sql) => {
      const known = await findUserByEmail(sql, email)
      // Who does not exist yet cannot get a link to sign in.
      const type = body.type === 'magiclink' && !known ? 'signup' : body.type
      const data = body.data ?? {}
      const token = await linkToken(context, sql, { ...body, email, type, data }, known)
      return { type, ...token }
    },
  )
  const redirectTo = redirectTarget(context, call, body.redirect_to ?? undefined)
  const linkType = made.type.startsWith('email_change') ? 'email_change' : made.type
  return {
    status: 200,
    body: {
      ...presentUser(made.user),
      action_link: actionLink(context.signer.issuer, made.token.hash, linkType, redirectTo),
      email_otp: made.token.code,
      hashed_token: made.token.hash,
      verification_type: made.type,
      redirect_to: redirectTo,
    },
  }
}

interface LinkWish {
  readonly email: string
  readonly type: 'signup' | 'invite' | 'magiclink' | 'recovery' | 'email_change_current' | 'email_change_new'
  readonly data: Metadata
  readonly password?: string | undefined
  readonly new_email?: string | undefined
}

async function linkToken(
  context: AuthContext,
  sql: TransactionSql,
  wish: LinkWish,
  known: UserRow | undefined,
): Promise<{ user: UserRow; token: OneTimeToken }> {
  if (wish.type === 'invite') return invitation(context, sql, wish.email, wish.data)
  if (wish.type === 'signup') {
    if (known?.email_confirmed_at) throw emailExists()
    if (known) await mergeMetadata(sql, known.id, { user: wish.data })
    const user = known ?? (await newUser(context, sql, wish.email, wish.data, false, wish.password))
    const token = newToken(wish.email)
    await saveConfirmationToken(sql, user.id, token.hash)
    return { user: await mustFind(sql, user.id), token }
  }
  if (!known) throw new AuthError('user_not_found', 'User with this email not found')
  if (wish.type === 'magiclink' || wish.type === 'recovery') {
    const token = newToken(wish.email)
    await saveRecoveryToken(sql, known.id, token.hash)
    return { user: await mustFind(sql, known.id), token }
  }
  const next = normalizedEmail(wish.new_email ?? '')
  if (await findUserByEmail(sql, next)) throw emailExists()
  const isCurrent = wish.type === 'email_change_current'
  const token = newToken(isCurrent ? wish.email : next)
  await saveEmailChange(sql, known.id, next, {
    current: isCurrent ? token.hash : '',
    next: isCurrent ? '' : token.hash,
  })
  return { user: await mustFind(sql, known.id), token }
}

async function sendRecovery(
  context: AuthContext,
  call: Call,
  sql: TransactionSql,
  user: UserRow,
  type: 'recovery' | 'magiclink',
  outbox: Outbox,
  challenge: Challenge | undefined,
): Promise<void> {
  const email = user.email ?? ''
  if (challenge) await beginFlow(sql, user.id, type, challenge)
  const token = newToken(email, challenge)
  await saveRecoveryToken(sql, user.id, token.hash)
  outbox.push(message(context, call, email, type, token))
}

async function invitation(
  context: AuthContext,
  sql: TransactionSql,
  email: string,
  data: Metadata,
): Promise<{ user: UserRow; token: OneTimeToken }> {
  const known = await findUserByEmail(sql, email)
  if (known?.email_confirmed_at) throw emailExists()
  const { bcryptCost } = context.settings
  const user = known ?? (await createUser(sql, { email, userMetadata: data, confirmed: false }, bcryptCost))
  const token = newToken(email)
  await saveInvitationToken(sql, user.id, token.hash)
  return { user: await mustFind(sql, user.id), token }
}

/** With a password that nobody knows, unless one is given. */
function newUser(
  context: AuthContext,
  sql: TransactionSql,
  email: string,
  userMetadata: Metadata,
  confirmed: boolean,
  password = randomBytes(24).toString('base64url'),
): Promise<UserRow> {
  return createUser(sql, { email, password, userMetadata, confirmed }, context.settings.bcryptCost)
}
