import { createHash, randomInt } from 'node:crypto'
import type { Sql, TransactionSql } from 'postgres'
import { AuthError } from './errors.ts'
import { type Challenge, flowToken } from './pkce.ts'
import { findUser, type UserRow } from './users.ts'

/** What a link or code in a mail is for. `email` stands for whichever of signup and magiclink is open. */
export type TokenType = 'signup' | 'invite' | 'recovery' | 'magiclink' | 'email_change' | 'email'

/** How long a code is good, in seconds: Supabase's default. */
const LIFETIME_SECONDS = 3600

export interface OneTimeToken {
  /** Six digits for a person to type. */
  readonly code: string
  /** What the link carries, and all that the database keeps. */
  readonly hash: string
}

export function newToken(email: string, challenge?: Challenge): OneTimeToken {
  const code = String(randomInt(1_000_000)).padStart(6, '0')
  const hash = hashOf(email, code)
  return { code, hash: challenge ? flowToken(hash) : hash }
}

/** As GoTrue makes it. */
export function hashOf(email: string, code: string): string {
  return createHash('sha224')
    .update(email + code)
    .digest('hex')
}

export async function saveConfirmationToken(sql: TransactionSql, id: string, hash: string): Promise<void> {
  await sql`
    update auth.users set confirmation_token = ${hash}, confirmation_sent_at = now(), updated_at = now()
    where id = ${id}`
}

export async function saveInvitationToken(sql: TransactionSql, id: string, hash: string): Promise<void> {
  await sql`
    update auth.users set confirmation_token = ${hash}, confirmation_sent_at = now(), invited_at = now(),
      updated_at = now() where id = ${id}`
}

export async function saveRecoveryToken(sql: TransactionSql, id: string, hash: string): Promise<void> {
  await sql`
    update auth.users set recovery_token = ${hash}, recovery_sent_at = now(), updated_at = now() where id = ${id}`
}

/** Notes a wanted address, which becomes the user's when the tokens are presented. */
export async function saveEmailChange(
  sql: TransactionSql,
  id: string,
  email: string,
  tokens: { readonly current: string; readonly next: string },
): Promise<void> {
  await sql`
    update auth.users set email_change = ${email}, email_change_token_current = ${tokens.current},
      email_change_token_new = ${tokens.next}, email_change_sent_at = now(), email_change_confirm_status = 0,
      updated_at = now() where id = ${id}`
}

export interface FoundToken {
  readonly user: UserRow
  /** What the token was really for. */
  readonly type: Exclude<TokenType, 'email'>
  /** Under which it is kept. */
  readonly hash: string
}

/** The user whom one of the hashes belongs to, locked. @throws AuthError (otp_expired) with the message */
export async function findToken(
  sql: TransactionSql,
  type: TokenType,
  hashes: readonly string[],
  message: string,
): Promise<FoundToken> {
  const [row] = await sql<{ id: string; column: 'confirmation' | 'recovery' | 'change'; hash: string }[]>`
    select u.id, found.column, wanted.hash from auth.users u, unnest(${[...hashes]}::text[]) as wanted (hash), lateral (
      select 'confirmation' as column, u.confirmation_sent_at as sent_at where u.confirmation_token = wanted.hash
      union all select 'recovery', u.recovery_sent_at where u.recovery_token = wanted.hash
      union all select 'change', u.email_change_sent_at
        where wanted.hash in (u.email_change_token_new, u.email_change_token_current)
    ) as found
    where u.deleted_at is null and found.sent_at > now() - make_interval(secs => ${LIFETIME_SECONDS})
      and found.column = any(${columnsFor(type)}) for update of u`
  const user = row && (await findUser(sql, row.id))
  if (!user) throw new AuthError('otp_expired', message)
  const { hash } = row
  if (type !== 'email') return { user, type, hash }
  return { user, type: row.column === 'confirmation' ? 'signup' : 'magiclink', hash }
}

export async function hasPassword(sql: Sql | TransactionSql, id: string): Promise<boolean> {
  const [row] = await sql<{ has: boolean }[]>`
    select coalesce(encrypted_password, '') <> '' as has from auth.users where id = ${id}`
  return row?.has ?? false
}

function columnsFor(type: TokenType): string[] {
  if (type === 'email') return ['confirmation', 'recovery']
  if (type === 'email_change') return ['change']
  return [type === 'signup' || type === 'invite' ? 'confirmation' : 'recovery']
}
