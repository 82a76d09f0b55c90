import type { SupabaseClient } from '@supabase/supabase-js'
import { decodeJwt } from 'jose'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { BAD_TOKENS, type Forger, forge } from '../support/bad-tokens.ts'
import { type GatewayFixture, startFixtureGateway, supabaseClient } from './fixtures/gateway.ts'

const PASSWORD = 'correct horse'
let fixture: GatewayFixture
let sql: postgres.Sql
let authAdmin: postgres.Sql

beforeAll(async () => {
  fixture = await startFixtureGateway()
  sql = postgres(fixture.database.url(), { max: 2, onnotice: () => undefined })
  authAdmin = postgres(fixture.database.url('supabase_auth_admin'), { max: 1 })
})
afterAll(async () => {
  await Promise.all([sql.end(), authAdmin.end()])
  await fixture.stop()
})

const newEmail = () => `${crypto.randomUUID()}@example.com`

function client(key = fixture.keys.publishableKey, from = fixture): SupabaseClient {
  return supabaseClient(from.gateway.url, key)
}

const admin = (from = fixture) => client(from.keys.secretKey, from).auth.admin

async function signedUp(): Promise<{
  supabase: SupabaseClient
  email: string
  id: string
  accessToken: string
}> {
  const supabase = client()
  const email = newEmail()
  const { data, error } = await supabase.auth.signUp({ email, password: PASSWORD })
  if (error || !data.user || !data.session) throw error ?? new Error('no session')
  return { supabase, email, id: data.user.id, accessToken: data.session.access_token }
}

interface RawReply {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function call(path: string, init: RequestInit = {}, from = fixture): Promise<RawReply> {
  const headers = { apikey: from.keys.publishableKey, ...Object.fromEntries(new Headers(init.headers)) }
  const response = await fetch(`${from.gateway.url}/auth/v1${path}`, { ...init, headers })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) }
}

const post = (path: string, body: unknown, from = fixture) =>
  call(path, { method: 'POST', body: JSON.stringify(body) }, from)

const withToken = (token: string) => call('/user', { headers: { authorization: `Bearer ${token}` } })

describe('sign-up', () => {
  test('returns a session whose claims are those of a hosted project', async () => {
    const before = Math.floor(Date.now() / 1000)
    const supabase = client()
    const email = newEmail()
    const { data } = await supabase.auth.signUp({
      email,
      password: PASSWORD,
      options: { data: { full_name: 'Ada' } },
    })
    const claims = decodeJwt(data.session?.access_token ?? '')
    expect(claims).toMatchObject({
      iss: `${fixture.gateway.url}/auth/v1`,
      sub: data.user?.id,
      aud: 'authenticated',
      role: 'authenticated',
      email,
      phone: '',
      aal: 'aal1',
      amr: [{ method: 'password' }],
      is_anonymous: false,
      app_metadata: { provider: 'email', providers: ['email'] },
      user_metadata: { full_name: 'Ada', email, email_verified: true },
      session_id: expect.any(String),
    })
    expect(claims.exp).toBeGreaterThanOrEqual(before + 3600)
    expect(data.user?.identities).toMatchObject([{ provider: 'email', identity_data: { email } }])
  })

  test('shows triggers an insert of the unconfirmed user first and its confirmation second', async () => {
    await sql.unsafe(`
      create table public.seen (event text, confirmed boolean, at bigint generated always as identity);
      create function public.note() returns trigger language plpgsql security definer set search_path = '' as
        $$ begin insert into public.seen values (tg_op, new.email_confirmed_at is not null); return new; end $$;
      create trigger note after insert or update of email_confirmed_at on auth.users
        for each row execute function public.note();`)
    await signedUp()
    const seen = await sql<
      { event: string; confirmed: boolean }[]
    >`select event, confirmed from public.seen order by at`
    await sql.unsafe('drop function public.note cascade; drop table public.seen')
    expect(seen.slice(0, 2)).toEqual([
      { event: 'INSERT', confirmed: false },
      { event: 'UPDATE', confirmed: true },
    ])
  })

  test('refuses a taken address, a weak password and a malformed address', async () => {
    const { email } = await signedUp()
    const taken = await client().auth.signUp({ email: email.toUpperCase(), password: PASSWORD })
    expect(taken.error).toMatchObject({ status: 422, code: 'user_already_exists' })
    const weak = await client().auth.signUp({ email: newEmail(), password: '12345' })
    expect(weak.error).toMatchObject({ status: 422, code: 'weak_password', reasons: ['length'] })
    const malformed = await client().auth.signUp({ email: 'nobody', password: PASSWORD })
    expect(malformed.error).toMatchObject({ status: 400, code: 'validation_failed' })
  })

  test('lets exactly one of two simultaneous sign-ups with one address through', async () => {
    const email = newEmail()
    const replies = await Promise.all([1, 2].map(() => post('/signup', { email, password: PASSWORD })))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 422])
    expect(await sql`select 1 from auth.users where email = ${email}`).toHaveLength(1)
  })

  test('fails whole, in GoTrue’s words and without details, when a trigger on auth.users fails', async () => {
    await sql.unsafe(`
      create function public.refuse() returns trigger language plpgsql as
        $$ begin raise exception 'secret detail of the trigger'; end $$;
      create trigger refuse after insert on auth.users for each row execute function public.refuse();`)
    const email = newEmail()
    const reply = await post('/signup', { email, password: PASSWORD })
    await sql.unsafe('drop function public.refuse cascade')
    expect(reply).toEqual({
      status: 500,
      body: { code: 500, error_code: 'unexpected_failure', msg: 'Database error saving new user' },
    })
    expect(await sql`select 1 from auth.users where email = ${email}`).toHaveLength(0)
    expect(fixture.log.join('\n')).toContain('secret detail of the trigger')
  })

  test('keeps nothing of a password but its hash', async () => {
    const { id } = await signedUp()
    const [row] = await sql`select u::text as text, encrypted_password from auth.users u where id = ${id}`
    expect(row?.encrypted_password).toMatch(/^\$2a\$06\$/)
    expect(row?.text).not.toContain(PASSWORD)
  })
})

describe('with confirmation by mail', () => {
  let strict: GatewayFixture
  beforeAll(async () => {
    strict = await startFixtureGateway({ auth: { autoConfirm: false, anonymousEnabled: false } })
  })
  afterAll(() => strict.stop())

  test('a user gets in only after presenting the confirmation token', async () => {
    const email = newEmail()
    const supabase = client(strict.keys.publishableKey, strict)
    const signUp = await supabase.auth.signUp({ email, password: PASSWORD })
    expect(signUp.data).toMatchObject({ session: null, user: { email } })
    const early = await supabase.auth.signInWithPassword({ email, password: PASSWORD })
    expect(early.error).toMatchObject({ status: 400, code: 'email_not_confirmed' })
    const wrong = await supabase.auth.verifyOtp({ email, token: '123456', type: 'signup' })
    expect(wrong.error).toMatchObject({ status: 403, code: 'otp_expired' })

    const project = postgres(strict.database.url(), { max: 1 })
    const [row] = await project`select confirmation_token from auth.users where email = ${email}`
    await project.end()
    const confirmed = await supabase.auth.verifyOtp({ email, token: row?.confirmation_token, type: 'signup' })
    expect(confirmed.data.user?.email_confirmed_at).toBeTruthy()
    const again = await supabase.auth.verifyOtp({ email, token: row?.confirmation_token, type: 'signup' })
    expect(again.error).toMatchObject({ code: 'otp_expired' })
    expect((await supabase.auth.signInWithPassword({ email, password: PASSWORD })).error).toBeNull()
  })

  test('a sign-up does not tell whether a confirmed address is taken', async () => {
    const email = newEmail()
    const created = await admin(strict).createUser({ email, password: PASSWORD, email_confirm: true })
    const { data, error } = await client(strict.keys.publishableKey, strict).auth.signUp({
      email,
      password: PASSWORD,
    })
    expect(error).toBeNull()
    expect(data.user?.identities).toEqual([])
    expect(data.user?.id).not.toBe(created.data.user?.id)
  })

  test('anonymous sign-in can be switched off', async () => {
    const { error } = await client(strict.keys.publishableKey, strict).auth.signInAnonymously()
    expect(error).toMatchObject({ status: 422, code: 'anonymous_provider_disabled' })
  })
})

describe('sign-in', () => {
  test('takes the right password and gives the same refusal for a wrong one and an unknown address', async () => {
    const { email } = await signedUp()
    expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).data.user?.email).toBe(
      email,
    )
    const wrong = await client().auth.signInWithPassword({ email, password: 'wrong' })
    const unknown = await client().auth.signInWithPassword({ email: newEmail(), password: PASSWORD })
    expect(wrong.error).toMatchObject({ status: 400, code: 'invalid_credentials' })
    expect(unknown.error).toMatchObject({ status: 400, code: 'invalid_credentials' })
  })

  test('getClaims verifies the token with the published key set', async () => {
    const { supabase, id } = await signedUp()
    const { data, error } = await supabase.auth.getClaims()
    expect(error).toBeNull()
    expect(data?.header.alg).toBe('ES256')
    expect(data?.claims.sub).toBe(id)
    const jwks = await fetch(`${fixture.gateway.url}/auth/v1/.well-known/jwks.json`).then((reply) =>
      reply.text(),
    )
    expect(jwks).not.toContain('"d"')
  })

  test('an anonymous user becomes a permanent one by adding an address and a password', async () => {
    const supabase = client()
    const { data } = await supabase.auth.signInAnonymously({ options: { data: { cart: 1 } } })
    expect(data.user).toMatchObject({ is_anonymous: true, email: '', user_metadata: { cart: 1 } })
    expect(decodeJwt(data.session?.access_token ?? '')).toMatchObject({ is_anonymous: true })
    const early = await supabase.auth.updateUser({ password: PASSWORD })
    expect(early.error).toMatchObject({ code: 'validation_failed' })

    const email = newEmail()
    const updated = await supabase.auth.updateUser({ email, password: PASSWORD })
    expect(updated.data.user).toMatchObject({ id: data.user?.id, email, is_anonymous: false })
    await supabase.auth.refreshSession()
    const { data: claims } = await supabase.auth.getClaims()
    expect(claims?.claims).toMatchObject({ is_anonymous: false, email, user_metadata: { cart: 1 } })
    expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).error).toBeNull()
  })

  test('an update refuses a taken address and the old password, and merges metadata', async () => {
    const other = await signedUp()
    const { supabase } = await signedUp()
    expect((await supabase.auth.updateUser({ email: other.email })).error).toMatchObject({
      code: 'email_exists',
    })
    expect((await supabase.auth.updateUser({ password: PASSWORD })).error).toMatchObject({
      code: 'same_password',
    })
    await supabase.auth.updateUser({ data: { a: 1, b: 2 } })
    const { data } = await supabase.auth.updateUser({ data: { b: null, c: 3 } })
    expect(data.user?.user_metadata).toMatchObject({ a: 1, c: 3 })
    expect(data.user?.user_metadata).not.toHaveProperty('b')
  })

  test('signing out ends the session at once', async () => {
    const { supabase, accessToken } = await signedUp()
    const { data } = await supabase.auth.getSession()
    expect((await supabase.auth.signOut()).error).toBeNull()
    expect(await withToken(accessToken)).toMatchObject({
      status: 403,
      body: { error_code: 'session_not_found' },
    })
    const refresh = await post('/token?grant_type=refresh_token', {
      refresh_token: data.session?.refresh_token,
    })
    expect(refresh.body).toMatchObject({ code: 400, error_code: 'refresh_token_not_found' })
  })
})

describe('refresh tokens', () => {
  const refresh = (token: unknown) => post('/token?grant_type=refresh_token', { refresh_token: token })
  const session = async () => (await post('/signup', { email: newEmail(), password: PASSWORD })).body

  test('rotate: each is exchanged for another', async () => {
    const first = await session()
    const second = await refresh(first.refresh_token)
    expect(second.status).toBe(200)
    expect(second.body.refresh_token).not.toBe(first.refresh_token)
    expect(decodeJwt(String(second.body.access_token)).session_id).toBe(
      decodeJwt(String(first.access_token)).session_id,
    )
    expect((await refresh('unknown')).body).toMatchObject({ error_code: 'refresh_token_not_found' })
  })

  test('one that was exchanged seconds ago gets the current one, as two tabs need', async () => {
    const first = await session()
    const replies = await Promise.all([refresh(first.refresh_token), refresh(first.refresh_token)])
    expect(replies.map(({ status }) => status)).toEqual([200, 200])
    expect(replies[0]?.body.refresh_token).toBe(replies[1]?.body.refresh_token)
  })

  test('one that was exchanged long ago revokes the whole session', async () => {
    const first = await session()
    const second = await refresh(first.refresh_token)
    await authAdmin`
      update auth.refresh_tokens set updated_at = now() - interval '11 seconds'
      where token = ${String(first.refresh_token)}`
    const replayed = await refresh(first.refresh_token)
    expect(replayed).toMatchObject({ status: 400, body: { error_code: 'refresh_token_already_used' } })
    await authAdmin`
      update auth.refresh_tokens set updated_at = now() - interval '11 seconds'
      where token = ${String(second.body.refresh_token)}`
    expect((await refresh(second.body.refresh_token)).status).toBe(400)
  })
})

describe('a bearer token', () => {
  let forger: Forger
  beforeAll(async () => {
    const { accessToken: genuine } = await signedUp()
    forger = { genuine, keys: fixture.keys, otherProject: await createProjectKeys() }
  })

  test('that is as good as ours is accepted', async () => {
    expect((await withToken(await forge(forger, {}))).status).toBe(200)
  })

  test.each([
    ...BAD_TOKENS,
    ['lacks session_id', (from: Forger) => forge(from, { session_id: undefined })] as const,
  ])('that %s is refused by auth and by the Data API', async (_flaw, make) => {
    const bad = await make(forger)
    expect(await withToken(bad)).toMatchObject({ status: 403, body: { code: 403, error_code: 'bad_jwt' } })
    const data = await fetch(`${fixture.gateway.url}/rest/v1/anything`, {
      headers: { apikey: fixture.keys.publishableKey, authorization: `Bearer ${bad}` },
    })
    expect(data.status).toBe(401)
    expect(await data.json()).toMatchObject({ code: 'PGRST301' })
  })

  test('that is an API key is no user’s', async () => {
    expect(await withToken(fixture.keys.publishableKey)).toMatchObject({
      status: 403,
      body: { code: 403, error_code: 'bad_jwt' },
    })
  })

  test('is needed where a user is asked for', async () => {
    expect(await call('/user')).toMatchObject({ status: 401, body: { error_code: 'no_authorization' } })
  })
})

describe('the admin API', () => {
  test('creates, lists, changes and deletes users', async () => {
    const email = newEmail()
    const { data } = await admin().createUser({
      email,
      password: PASSWORD,
      email_confirm: true,
      user_metadata: { full_name: 'Grace' },
      app_metadata: { plan: 'free' },
    })
    const id = data.user?.id ?? ''
    expect(data.user).toMatchObject({
      email,
      user_metadata: { full_name: 'Grace' },
      app_metadata: { plan: 'free' },
    })
    expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).data.user?.id).toBe(id)
    expect((await admin().createUser({ email })).error).toMatchObject({ status: 422, code: 'email_exists' })
    expect(
      (await admin().updateUserById(id, { user_metadata: { city: 'Oslo' } })).data.user?.user_metadata,
    ).toMatchObject({ full_name: 'Grace', city: 'Oslo' })
    expect((await admin().getUserById(id)).data.user?.email).toBe(email)
    expect((await admin().deleteUser(id)).error).toBeNull()
    expect((await admin().getUserById(id)).error).toMatchObject({ status: 404, code: 'user_not_found' })
    expect(await sql`select 1 from auth.sessions where user_id = ${id}`).toHaveLength(0)
  })

  test('creates an unconfirmed user and confirms it later', async () => {
    const email = newEmail()
    const { data } = await admin().createUser({ email, password: PASSWORD })
    expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).error).toMatchObject({
      code: 'email_not_confirmed',
    })
    await admin().updateUserById(data.user?.id ?? '', { email_confirm: true })
    expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).error).toBeNull()
  })

  test('lists page by page with the total', async () => {
    await signedUp()
    await signedUp()
    const [row] = await sql`select count(*)::int as total from auth.users`
    const { data } = await admin().listUsers({ page: 2, perPage: row?.total - 1 })
    expect(data.users).toHaveLength(1)
    expect(data).toMatchObject({ total: row?.total, lastPage: 2 })
    expect((await admin().listUsers({ page: 1, perPage: row?.total - 1 })).data).toMatchObject({
      nextPage: 2,
    })
  })

  test('is closed to users and to the publishable key', async () => {
    const { accessToken } = await signedUp()
    expect(await call('/admin/users')).toMatchObject({ status: 403, body: { error_code: 'not_admin' } })
    const asUser = await call('/admin/users', { headers: { authorization: `Bearer ${accessToken}` } })
    expect(asUser).toMatchObject({ status: 403, body: { error_code: 'not_admin' } })
  })

  test('accepts the legacy service_role key as a bearer token', async () => {
    const { error } = await client(fixture.keys.serviceRoleKey).auth.admin.listUsers()
    expect(error).toBeNull()
  })
})

describe('the gateway', () => {
  test('asks for a known API key', async () => {
    const health = (headers: Record<string, string>, query = '') =>
      fetch(`${fixture.gateway.url}/auth/v1/health${query}`, { headers })
    const missing = await health({})
    expect(missing.status).toBe(401)
    expect(await missing.json()).toMatchObject({ message: 'No API key found in request' })
    const unknown = await health({ apikey: 'sb_publishable_unknown' })
    expect(unknown.status).toBe(401)
    expect(await unknown.json()).toMatchObject({ message: 'Invalid API key' })
    for (const key of [fixture.keys.publishableKey, fixture.keys.secretKey, fixture.keys.anonKey])
      expect((await health({ apikey: key })).status).toBe(200)
    expect((await health({}, `?apikey=${fixture.keys.publishableKey}`)).status).toBe(200)
  })

  test('answers a browser’s preflight without a key', async () => {
    const reply = await fetch(`${fixture.gateway.url}/auth/v1/signup`, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:5173', 'access-control-request-headers': 'apikey,x-client-info' },
    })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.headers.get('access-control-allow-headers')).toBe('apikey,x-client-info')
  })

  test('refuses bodies that are too large or no JSON', async () => {
    expect((await post('/signup', { email: newEmail(), password: 'x'.repeat(2 ** 21) })).status).toBe(413)
    const malformed = await call('/signup', { method: 'POST', body: '{"email":' })
    expect(malformed).toMatchObject({ status: 400, body: { error_code: 'bad_json' } })
    const mistyped = await post('/signup', { email: 7 })
    expect(mistyped).toMatchObject({ status: 400, body: { error_code: 'validation_failed' } })
  })

  test('says what the local stack lacks', async () => {
    expect(await post('/recover', { email: newEmail() })).toMatchObject({
      status: 501,
      body: { error_code: 'not_implemented', msg: expect.stringContaining('POST /auth/v1/recover') },
    })
    expect((await fetch(`${fixture.gateway.url}/storage/v1/object`)).status).toBe(501)
    expect((await fetch(`${fixture.gateway.url}/nowhere`)).status).toBe(404)
  })
})
