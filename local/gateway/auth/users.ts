import { randomBytes } from 'node:crypto'
import type { JSONValue, Sql, TransactionSql } from 'postgres'
import postgres from 'postgres'
import { AuthError } from './errors.ts'

export type Metadata = Readonly<Record<string, JSONValue>>

export interface UserRow {
  readonly id: string
  readonly aud: string
  readonly role: string
  readonly email: string | null
  readonly phone: string | null
  readonly email_confirmed_at: Date | null
  readonly confirmed_at: Date | null
  readonly confirmation_sent_at: Date | null
  readonly email_change: string | null
  readonly last_sign_in_at: Date | null
  readonly raw_app_meta_data: Metadata | null
  readonly raw_user_meta_data: Metadata | null
  readonly created_at: Date
  readonly updated_at: Date
  readonly banned_until: Date | null
  readonly is_anonymous: boolean
  readonly identities: readonly JSONValue[]
}

export interface NewUser {
  readonly id?: string | undefined
  readonly role?: string | undefined
  /** Absent for an anonymous user. */
  readonly email?: string | undefined
  readonly password?: string | undefined
  readonly userMetadata?: Metadata | undefined
  readonly appMetadata?: Metadata | undefined
  readonly confirmed: boolean
}

const MIN_PASSWORD_LENGTH = 6
/** bcrypt ignores what is beyond. */
const MAX_PASSWORD_BYTES = 72
const NO_INSTANCE = '00000000-0000-0000-0000-000000000000'

export async function findUser(sql: Sql | TransactionSql, id: string): Promise<UserRow | undefined> {
  const [user] = await sql<
    UserRow[]
  >`select ${columns(sql)} from auth.users u where u.id = ${id} and u.deleted_at is null`
  return user
}

export async function findUserByEmail(sql: TransactionSql, email: string): Promise<UserRow | undefined> {
  const [user] = await sql<UserRow[]>`
    select ${columns(sql)} from auth.users u
    where u.email = ${email} and not u.is_sso_user and u.deleted_at is null`
  return user
}

/** @throws AuthError (invalid_credentials), the same for an unknown address and a wrong password. */
export async function findUserByPassword(
  sql: TransactionSql,
  email: string,
  password: string,
): Promise<UserRow> {
  const [user] = await sql<UserRow[]>`
    select ${columns(sql)} from auth.users u
    where u.email = ${email} and not u.is_sso_user and u.deleted_at is null
      and u.encrypted_password = extensions.crypt(${password}, nullif(u.encrypted_password, ''))`
  if (!user) throw new AuthError('invalid_credentials', 'Invalid login credentials')
  return user
}

export function listUsers(sql: Sql, page: number, perPage: number): Promise<UserRow[]> {
  return sql<UserRow[]>`
    select ${columns(sql)} from auth.users u where u.deleted_at is null
    order by u.created_at desc, u.id limit ${perPage} offset ${(page - 1) * perPage}`
}

/**
 * Inserts the user and its identity and then, in a statement of its own, confirms the address: the order in which
 * GoTrue does it, and which triggers on auth.users can see.
 * @throws AuthError (user_already_exists)
 */
export async function createUser(sql: TransactionSql, user: NewUser, bcryptCost: number): Promise<UserRow> {
  const id = user.id ?? crypto.randomUUID()
  const email = user.email ?? null
  const provider = email === null ? {} : { provider: 'email', providers: ['email'] }
  const identity = email === null ? {} : { sub: id, email, email_verified: false, phone_verified: false }
  try {
    await sql`
      insert into auth.users (instance_id, id, aud, role, email, encrypted_password, raw_app_meta_data,
        raw_user_meta_data, created_at, updated_at, is_anonymous, confirmation_token, recovery_token,
        email_change, email_change_token_new)
      values (${NO_INSTANCE}, ${id}, 'authenticated', ${user.role ?? 'authenticated'}, ${email},
        ${user.password === undefined ? '' : encrypted(sql, user.password, bcryptCost)},
        ${sql.json({ ...provider, ...user.appMetadata })}, ${sql.json({ ...user.userMetadata, ...identity })},
        now(), now(), ${email === null}, '', '', '', '')`
  } catch (error) {
    if (isEmailTaken(error)) throw new AuthError('user_already_exists', 'User already registered')
    throw error
  }
  if (email !== null) {
    await saveIdentity(sql, id, email)
    if (user.confirmed) await confirmEmail(sql, id)
    else await issueConfirmationToken(sql, id)
  }
  return mustFind(sql, id)
}

export async function confirmEmail(sql: TransactionSql, id: string): Promise<void> {
  await sql`
    update auth.users set email_confirmed_at = coalesce(email_confirmed_at, now()), confirmation_token = '',
      raw_user_meta_data = raw_user_meta_data || '{"email_verified": true}', updated_at = now()
    where id = ${id}`
  await sql`
    update auth.identities set identity_data = identity_data || '{"email_verified": true}', updated_at = now()
    where user_id = ${id} and provider = 'email'`
}

/** There is no mail: who wants to confirm reads the token from auth.users.confirmation_token. */
export async function issueConfirmationToken(sql: TransactionSql, id: string): Promise<void> {
  await sql`
    update auth.users set confirmation_token = ${newToken()}, confirmation_sent_at = now() where id = ${id}`
}

/** Notes a wanted address, which becomes the user's when the token in email_change_token_new is presented. */
export async function requestEmailChange(sql: TransactionSql, id: string, email: string): Promise<void> {
  await sql`
    update auth.users set email_change = ${email}, email_change_token_new = ${newToken()},
      email_change_sent_at = now(), updated_at = now() where id = ${id}`
}

/**
 * Makes the address the user's, confirmed; an anonymous user becomes a permanent one.
 * @throws AuthError (email_exists)
 */
export async function setEmail(sql: TransactionSql, id: string, email: string): Promise<void> {
  try {
    await sql`
      update auth.users set email = ${email}, email_change = '', email_change_token_new = '',
        email_confirmed_at = coalesce(email_confirmed_at, now()), is_anonymous = false,
        raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || '{"provider": "email", "providers": ["email"]}',
        raw_user_meta_data = coalesce(raw_user_meta_data, '{}')
          || jsonb_build_object('sub', id, 'email', ${email}::text, 'email_verified', true, 'phone_verified', false),
        updated_at = now()
      where id = ${id}`
  } catch (error) {
    if (isEmailTaken(error)) throw emailExists()
    throw error
  }
  await saveIdentity(sql, id, email)
  await confirmEmail(sql, id)
}

/** @throws AuthError (same_password) */
export async function setPassword(sql: TransactionSql, id: string, password: string, bcryptCost: number) {
  const [row] = await sql<{ same: boolean | null }[]>`
    select nullif(encrypted_password, '') = extensions.crypt(${password}, nullif(encrypted_password, '')) as same
    from auth.users where id = ${id}`
  if (row?.same)
    throw new AuthError('same_password', 'New password should be different from the old password.')
  await sql`
    update auth.users set encrypted_password = ${encrypted(sql, password, bcryptCost)}, updated_at = now()
    where id = ${id}`
}

/** Merges into the stored metadata; a null removes its key. */
export async function mergeMetadata(
  sql: TransactionSql,
  id: string,
  changes: { user?: Metadata | undefined; app?: Metadata | undefined },
): Promise<void> {
  if (changes.user)
    await sql`
      update auth.users set updated_at = now(),
        raw_user_meta_data = jsonb_strip_nulls(coalesce(raw_user_meta_data, '{}') || ${sql.json(changes.user)})
      where id = ${id}`
  if (changes.app)
    await sql`
      update auth.users set updated_at = now(),
        raw_app_meta_data = jsonb_strip_nulls(coalesce(raw_app_meta_data, '{}') || ${sql.json(changes.app)})
      where id = ${id}`
}

export async function mustFind(sql: TransactionSql, id: string): Promise<UserRow> {
  const user = await findUser(sql, id)
  if (!user) throw new AuthError('user_not_found', 'User not found')
  return user
}

/** @throws AuthError (weak_password, validation_failed) */
export function assertAcceptablePassword(password: string): void {
  if (password.length < MIN_PASSWORD_LENGTH) {
    throw new AuthError('weak_password', `Password should be at least ${MIN_PASSWORD_LENGTH} characters.`, {
      weak_password: { reasons: ['length'] },
    })
  }
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    throw new AuthError(
      'validation_failed',
      `Password cannot be longer than ${MAX_PASSWORD_BYTES} characters`,
    )
}

/** The address in lower case. @throws AuthError (validation_failed) */
export function normalizedEmail(email: string): string {
  if (!/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email) || email.length > 255)
    throw new AuthError('validation_failed', 'Unable to validate email address: invalid format')
  return email.toLowerCase()
}

export function emailExists(): AuthError {
  return new AuthError('email_exists', 'A user with this email address has already been registered')
}

/** The user as GoTrue shows it: empty strings for what it lacks, no null timestamps. */
export function presentUser(user: UserRow): Record<string, unknown> {
  return {
    id: user.id,
    aud: user.aud,
    role: user.role,
    email: user.email ?? '',
    email_confirmed_at: user.email_confirmed_at ?? undefined,
    phone: user.phone ?? '',
    confirmation_sent_at: user.confirmation_sent_at ?? undefined,
    confirmed_at: user.confirmed_at ?? undefined,
    new_email: user.email_change || undefined,
    last_sign_in_at: user.last_sign_in_at ?? undefined,
    app_metadata: user.raw_app_meta_data ?? {},
    user_metadata: user.raw_user_meta_data ?? {},
    identities: user.identities,
    created_at: user.created_at,
    updated_at: user.updated_at,
    banned_until: user.banned_until ?? undefined,
    is_anonymous: user.is_anonymous,
  }
}

async function saveIdentity(sql: TransactionSql, id: string, email: string): Promise<void> {
  await sql`
    insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
    values (${id}, ${id}, ${sql.json({ sub: id, email, email_verified: false, phone_verified: false })}, 'email',
      now(), now(), now())
    on conflict (provider_id, provider) do update
      set identity_data = auth.identities.identity_data || excluded.identity_data, updated_at = now()`
}

function columns(sql: Sql | TransactionSql) {
  return sql`u.id, u.aud, u.role, u.email, u.phone, u.email_confirmed_at, u.confirmed_at, u.confirmation_sent_at,
    u.email_change, u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data, u.created_at, u.updated_at,
    u.banned_until, u.is_anonymous, (
      select coalesce(jsonb_agg(jsonb_build_object('identity_id', i.id, 'id', i.provider_id, 'user_id', i.user_id,
        'identity_data', i.identity_data, 'provider', i.provider, 'last_sign_in_at', i.last_sign_in_at,
        'created_at', i.created_at, 'updated_at', i.updated_at, 'email', i.email) order by i.created_at), '[]')
      from auth.identities i where i.user_id = u.id
    ) as identities`
}

function encrypted(sql: TransactionSql, password: string, cost: number) {
  return sql`extensions.crypt(${password}, extensions.gen_salt('bf', ${cost}::int))`
}

function isEmailTaken(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.constraint_name === 'users_email_partial_key'
}

function newToken(): string {
  return randomBytes(28).toString('hex')
}
