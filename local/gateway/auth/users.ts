import { createHash } from 'node:crypto'
import type { JSONValue, Sql, TransactionSql } from 'postgres'
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
 * Inserts the user and its identity and then, in a statement each, writes the role, what the administrator says of the
 * user, and that the address is confirmed: the order in which GoTrue does it, and which triggers on auth.users can see. Whoever calls it has looked whether the address is taken.
 */
export async function createUser(sql: TransactionSql, user: NewUser, bcryptCost: number): Promise<UserRow> {
  const id = user.id ?? crypto.randomUUID()
  const email = user.email ?? null
  const provider = email === null ? {} : { provider: 'email', providers: ['email'] }
  const identity = email === null ? {} : { sub: id, email, email_verified: false, phone_verified: false }
  await sql`
    insert into auth.users (instance_id, id, aud, role, email, encrypted_password, raw_app_meta_data,
      raw_user_meta_data, created_at, updated_at, is_anonymous, confirmation_token, recovery_token,
      email_change, email_change_token_new)
    values (${NO_INSTANCE}, ${id}, 'authenticated', '', ${email},
      ${user.password === undefined ? '' : encrypted(sql, user.password, bcryptCost)},
      ${sql.json(provider)}, ${sql.json({ ...user.userMetadata, ...identity })},
      now(), now(), ${email === null}, '', '', '', '')`
  if (email !== null) await saveIdentity(sql, id, email, false)
  await sql`
    update auth.users set role = ${user.role ?? 'authenticated'}, updated_at = now() where id = ${id}`
  await mergeMetadata(sql, id, { app: user.appMetadata })
  if (email !== null && user.confirmed) await confirmEmail(sql, id)
  return mustFind(sql, id)
}

/** In two statements, as GoTrue does it. */
export async function confirmEmail(sql: TransactionSql, id: string): Promise<void> {
  await sql`
    update auth.users set confirmation_token = '', email_confirmed_at = now(), updated_at = now() where id = ${id}`
  await sql`
    update auth.users set raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{"email_verified": true}',
      updated_at = now() where id = ${id}`
}

/** Notes that the address of the identity, which is the user's, has been confirmed. */
export async function confirmIdentity(sql: TransactionSql, id: string): Promise<void> {
  await sql`
    update auth.identities i set identity_data = i.identity_data || '{"email_verified": true}', updated_at = now()
    from auth.users u where u.id = ${id} and i.user_id = u.id and i.email = u.email`
}

/**
 * Makes the wanted address the user's; an anonymous user becomes a permanent one in an UPDATE of its own before it, so
 * that triggers see a moment without either.
 */
export async function confirmEmailChange(sql: TransactionSql, user: UserRow, email: string): Promise<void> {
  await saveIdentity(sql, user.id, email, true)
  if (user.is_anonymous) await makePermanent(sql, user.id)
  await sql`
    update auth.users set email = ${email}, email_change = '', email_change_token_current = '',
      email_change_token_new = '', email_change_confirm_status = 0, updated_at = now() where id = ${user.id}`
  if (user.email_confirmed_at === null) await confirmEmail(sql, user.id)
}

/** What an administrator does: the address changes at once. Whether it counts as confirmed is another matter. */
export async function setEmail(
  sql: TransactionSql,
  user: UserRow,
  email: string,
  confirmed: boolean,
): Promise<void> {
  await saveIdentity(sql, user.id, email, confirmed)
  if (user.is_anonymous && confirmed) await makePermanent(sql, user.id)
  await sql`update auth.users set email = ${email}, updated_at = now() where id = ${user.id}`
}

/** Writes down the ways in which the user can sign in. */
export async function refreshProviders(sql: TransactionSql, id: string): Promise<void> {
  await sql`
    update auth.users u set updated_at = now(),
      raw_app_meta_data = coalesce(u.raw_app_meta_data, '{}') || jsonb_build_object('providers', i.providers)
        || case when i.providers -> 0 is null then '{}' else jsonb_build_object('provider', i.providers -> 0) end
    from (select coalesce(jsonb_agg(distinct provider), '[]') as providers from auth.identities where user_id = ${id}) i
    where u.id = ${id}`
}

/** The row stays, without anything that tells whose it was; the person is signed out everywhere. */
export async function softDelete(sql: TransactionSql, user: UserRow): Promise<void> {
  const hidden = (value: string) =>
    createHash('sha256')
      .update(user.id + value)
      .digest('base64url')
  await sql`
    update auth.users set email = ${hidden(user.email ?? '')}, phone = ${hidden(user.phone ?? '').slice(0, 15)},
      encrypted_password = null, email_change = ${hidden(user.email_change ?? '')},
      phone_change = ${hidden('').slice(0, 15)}, confirmation_token = '', recovery_token = '',
      email_change_token_current = '', email_change_token_new = '', phone_change_token = '', deleted_at = now(),
      updated_at = now() where id = ${user.id}`
  await sql`update auth.users set raw_user_meta_data = '{}', updated_at = now() where id = ${user.id}`
  await sql`update auth.users set raw_app_meta_data = '{}', updated_at = now() where id = ${user.id}`
  await sql`delete from auth.sessions where user_id = ${user.id}`
  const identities = await sql<{ id: string; provider: string; provider_id: string }[]>`
    select id, provider, provider_id from auth.identities where user_id = ${user.id}`
  for (const identity of identities)
    await sql`
      update auth.identities set identity_data = '{}', updated_at = now(),
        provider_id = ${hidden(`${identity.provider}:${identity.provider_id}`)} where id = ${identity.id}`
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

/** Merges into the stored metadata; a null removes its key, and stays where it is further inside. */
export async function mergeMetadata(
  sql: TransactionSql,
  id: string,
  changes: { user?: Metadata | undefined; app?: Metadata | undefined },
): Promise<void> {
  if (changes.user)
    await sql`
      update auth.users set updated_at = now(),
        raw_user_meta_data = (coalesce(raw_user_meta_data, '{}') || ${sql.json(changes.user)}) - ${nullKeys(changes.user)}::text[]
      where id = ${id}`
  if (changes.app)
    await sql`
      update auth.users set updated_at = now(),
        raw_app_meta_data = (coalesce(raw_app_meta_data, '{}') || ${sql.json(changes.app)}) - ${nullKeys(changes.app)}::text[]
      where id = ${id}`
}

function nullKeys(metadata: Metadata): string[] {
  return Object.keys(metadata).filter((key) => metadata[key] === null)
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

const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?'
const ADDRESS = new RegExp(`^[a-zA-Z0-9.!#$%&'*+/=?^_\`{|}~-]+@${LABEL}(?:\\.${LABEL})*$`)

/** The address in lower case. As with GoTrue, its domain needs no dot. @throws AuthError (validation_failed) */
export function normalizedEmail(email: string): string {
  if (email === '') throw new AuthError('validation_failed', 'An email address is required')
  if (email.length > 255) throw new AuthError('validation_failed', 'An email address is too long')
  if (!ADDRESS.test(email))
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

async function saveIdentity(
  sql: TransactionSql,
  id: string,
  email: string,
  verified: boolean,
): Promise<void> {
  const data = sql.json({ sub: id, email, email_verified: verified, phone_verified: false })
  await sql`
    insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
    values (${id}, ${id}, ${data}, 'email', now(), now(), now())
    on conflict (provider_id, provider) do update
      set identity_data = auth.identities.identity_data || excluded.identity_data, updated_at = now()`
}

async function makePermanent(sql: TransactionSql, id: string): Promise<void> {
  await sql`update auth.users set is_anonymous = false, updated_at = now() where id = ${id}`
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
