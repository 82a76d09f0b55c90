import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import { decodeJwt } from 'jose'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Mail } from '../../local/gateway/auth/mailbox.ts'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { AUTH_SERVERS } from '../support/auth-servers.ts'
import { type Forger, forge } from '../support/bad-tokens.ts'
import { until } from '../support/project.ts'
import { type GatewayFixture, startFixtureGateway, supabaseClient } from './fixtures/gateway.ts'

const PASSWORD = 'correct horse'
describe.each(AUTH_SERVERS)('through %s', (_name, authServer) => {
  let fixture: GatewayFixture
  let sql: postgres.Sql
  let authAdmin: postgres.Sql

  beforeAll(async () => {
    fixture = await startFixtureGateway({ ...(authServer ? { authServer } : {}) })
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

  async function newestMail(to: string, from = fixture): Promise<Mail> {
    const mail = (await from.gateway.mailbox.list()).find((each) => each.to === to)
    if (!mail) throw new Error(`no mail for ${to}`)
    return mail
  }

  /** Opens a link as a browser does, up to where it leads. */
  async function follow(link: string) {
    const reply = await fetch(link, { redirect: 'manual' })
    const [target = '', hash = ''] = (reply.headers.get('location') ?? '').split('#')
    const fragment: Record<string, string | undefined> = Object.fromEntries(new URLSearchParams(hash))
    return { status: reply.status, target, fragment }
  }

  /** Keeps a verifier, as browsers do, and gets a code for it instead of a session. */
  const codeClient = (from = fixture) =>
    createClient(from.gateway.url, from.keys.publishableKey, {
      auth: { flowType: 'pkce', persistSession: false, autoRefreshToken: false },
    })

  async function followToCode(link: string) {
    const reply = await fetch(link, { redirect: 'manual' })
    const { searchParams } = new URL(reply.headers.get('location') ?? '')
    const query: Record<string, string | undefined> = Object.fromEntries(searchParams)
    return { status: reply.status, query }
  }

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
      // Both have looked, and found nobody, before either may insert.
      const holder = await sql.reserve()
      await holder`begin`
      await holder`lock table auth.users in share mode`
      const both = Promise.all([1, 2].map(() => post('/signup', { email, password: PASSWORD })))
      await until('two blocked sign-ups', async () => {
        const [row] = await holder<{ count: number }[]>`
          select count(*)::int as count from pg_locks where relation = 'auth.users'::regclass and not granted
            and database = (select oid from pg_database where datname = current_database())`
        return row?.count === 2 || undefined
      })
      await holder`commit`
      holder.release()
      const replies = (await both).sort((one, other) => one.status - other.status)
      expect(replies).toMatchObject([{ status: 200 }, { status: 500, body: { code: '23505' } }])
      expect(await sql`select 1 from auth.users where email = ${email}`).toHaveLength(1)
    })

    test('fails whole when a trigger on auth.users fails, and tells the client what the trigger raised', async () => {
      const failing = async (statement: string) => {
        await sql.unsafe(`
          create function public.refuse() returns trigger language plpgsql as $$ begin ${statement} end $$;
          create trigger refuse after insert on auth.users for each row execute function public.refuse();`)
        const email = newEmail()
        const reply = await post('/signup', { email, password: PASSWORD })
        await sql.unsafe('drop function public.refuse cascade')
        expect(await sql`select 1 from auth.users where email = ${email}`).toHaveLength(0)
        return reply
      }
      expect(await failing(`raise exception 'not today' using hint = 'tomorrow';`)).toEqual({
        status: 500,
        body: { code: 'P0001', message: 'not today', hint: 'tomorrow' },
      })
      expect(await failing(`raise sqlstate 'PT402' using message = 'pay first';`)).toEqual({
        status: 402,
        body: { code: 'PT402', message: 'pay first' },
      })
      // Whatever else went wrong is nobody's business.
      expect(await failing('perform 1 / 0;')).toMatchObject({
        status: 500,
        body: { code: 500, error_code: 'unexpected_failure', msg: 'Database error saving new user' },
      })
    })

    test('keeps nothing of a password but its hash', async () => {
      const { id } = await signedUp()
      const [row] = await sql`select u::text as text, encrypted_password from auth.users u where id = ${id}`
      expect(row?.encrypted_password).toMatch(/^\$2a\$\d\d\$/)
      expect(row?.text).not.toContain(PASSWORD)
    })
  })

  describe('with confirmation by mail', () => {
    let strict: GatewayFixture
    beforeAll(async () => {
      strict = await startFixtureGateway({
        ...(authServer ? { authServer } : {}),
        auth: { autoConfirm: false, anonymousEnabled: false },
      })
    })
    afterAll(() => strict.stop())

    const person = () => client(strict.keys.publishableKey, strict)

    test('a user gets in only after presenting the code from the mail, and only once', async () => {
      const email = newEmail()
      const supabase = person()
      const signUp = await supabase.auth.signUp({ email, password: PASSWORD })
      expect(signUp.data).toMatchObject({ session: null, user: { email } })
      const early = await supabase.auth.signInWithPassword({ email, password: PASSWORD })
      expect(early.error).toMatchObject({ status: 400, code: 'email_not_confirmed' })
      const { code } = await newestMail(email, strict)
      const wrong = code === '123456' ? '654321' : '123456'
      expect((await supabase.auth.verifyOtp({ email, token: wrong, type: 'signup' })).error).toMatchObject({
        status: 403,
        code: 'otp_expired',
      })
      const confirmed = await supabase.auth.verifyOtp({ email, token: code, type: 'signup' })
      expect(confirmed.data.user?.email_confirmed_at).toBeTruthy()
      expect(decodeJwt(confirmed.data.session?.access_token ?? '').amr).toMatchObject([{ method: 'otp' }])
      const again = await supabase.auth.verifyOtp({ email, token: code, type: 'signup' })
      expect(again.error).toMatchObject({ code: 'otp_expired' })
      expect((await supabase.auth.signInWithPassword({ email, password: PASSWORD })).error).toBeNull()
    })

    test('the link in the mail leads back to the site with a session, and the second time with the reason why not', async () => {
      const email = newEmail()
      const emailRedirectTo = 'http://127.0.0.1:5173/welcome'
      await person().auth.signUp({ email, password: PASSWORD, options: { emailRedirectTo } })
      const { link } = await newestMail(email, strict)
      const first = await follow(link)
      expect(first).toMatchObject({ status: 303, target: emailRedirectTo })
      expect(first.fragment).toMatchObject({ type: 'signup', token_type: 'bearer', expires_in: '3600' })
      expect(decodeJwt(first.fragment.access_token ?? '')).toMatchObject({ email })
      expect(await follow(link)).toMatchObject({
        status: 303,
        target: emailRedirectTo,
        fragment: { error: 'access_denied', error_code: 'otp_expired' },
      })
    })

    test('the link leads back with a code where the sign-up had a challenge', async () => {
      const email = newEmail()
      const asker = codeClient(strict)
      await asker.auth.signUp({ email, password: PASSWORD })
      const { query } = await followToCode((await newestMail(email, strict)).link)
      const { data } = await asker.auth.exchangeCodeForSession(query.code ?? '')
      expect(data.user?.email_confirmed_at).toBeTruthy()
      expect(decodeJwt(data.session?.access_token ?? '').amr).toMatchObject([{ method: 'email/signup' }])
    })

    test('a code is good for five minutes', async () => {
      const email = newEmail()
      const asker = codeClient(strict)
      await asker.auth.signUp({ email, password: PASSWORD })
      const { query } = await followToCode((await newestMail(email, strict)).link)
      const strictSql = postgres(strict.database.url('supabase_auth_admin'), { max: 1 })
      await strictSql`update auth.flow_state set created_at = created_at - interval '301 seconds'`
      await strictSql.end()
      expect((await asker.auth.exchangeCodeForSession(query.code ?? '')).error).toMatchObject({
        status: 422,
        code: 'flow_state_expired',
      })
    })

    test('a link leads to no strange site', async () => {
      const email = newEmail()
      await person().auth.signUp({
        email,
        password: PASSWORD,
        options: { emailRedirectTo: 'https://evil.example/' },
      })
      const { link } = await newestMail(email, strict)
      expect((await follow(link)).target).toMatch(/^http:\/\/127\.0\.0\.1:3000\/?$/)
    })

    test('the mail is sent again on request, and the old code is void', async () => {
      const email = newEmail()
      await person().auth.signUp({ email, password: PASSWORD })
      const old = await newestMail(email, strict)
      expect((await person().auth.resend({ type: 'signup', email })).error).toBeNull()
      const renewed = await newestMail(email, strict)
      expect(renewed.tokenHash).not.toBe(old.tokenHash)
      const verify = (tokenHash: string) => person().auth.verifyOtp({ token_hash: tokenHash, type: 'email' })
      expect((await verify(old.tokenHash)).error).toMatchObject({ code: 'otp_expired' })
      expect((await verify(renewed.tokenHash)).error).toBeNull()
    })

    test('a change of address needs the consent of both addresses', async () => {
      const email = newEmail()
      await admin(strict).createUser({ email, password: PASSWORD, email_confirm: true })
      const supabase = person()
      await supabase.auth.signInWithPassword({ email, password: PASSWORD })
      const next = newEmail()
      const asked = await supabase.auth.updateUser({ email: next })
      expect(asked.data.user).toMatchObject({ email, new_email: next })
      const atNext = await newestMail(next, strict)
      const atOld = await newestMail(email, strict)
      expect([atNext.type, atOld.type]).toEqual(['email_change', 'email_change'])
      const half = await follow(atNext.link)
      expect(half.fragment.message).toContain('Please proceed to confirm link sent to the other email')
      expect((await supabase.auth.getUser()).data.user?.email).toBe(email)
      const whole = await follow(atOld.link)
      expect(decodeJwt(whole.fragment.access_token ?? '')).toMatchObject({ email: next })
      expect((await supabase.auth.getUser()).data.user).toMatchObject({ email: next })
    })

    test('an anonymous user becomes a permanent one when the address is confirmed', async () => {
      await using open = await startFixtureGateway({
        ...(authServer ? { authServer } : {}),
        auth: { autoConfirm: false },
      })
      const supabase = client(open.keys.publishableKey, open)
      const { data } = await supabase.auth.signInAnonymously()
      const email = newEmail()
      const asked = await supabase.auth.updateUser({ email })
      expect(asked.data.user).toMatchObject({ email: '', new_email: email, is_anonymous: true })
      const { code } = await newestMail(email, open)
      const { data: verified } = await supabase.auth.verifyOtp({ email, token: code, type: 'email_change' })
      expect(verified.user).toMatchObject({ id: data.user?.id, email, is_anonymous: false })
      expect(verified.user?.app_metadata).toMatchObject({ provider: 'email', providers: ['email'] })
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
      expect((await refresh('aaaaaaaaaaaa')).body).toMatchObject({ error_code: 'refresh_token_not_found' })
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
      // Auth forgives the predecessor of the newest token for ever, and the stand-in does not.
      const third = await refresh(second.body.refresh_token)
      await authAdmin`update auth.refresh_tokens set updated_at = now() - interval '11 seconds'`
      expect(await refresh(first.refresh_token)).toMatchObject({
        status: 400,
        body: { error_code: 'refresh_token_already_used' },
      })
      await authAdmin`update auth.refresh_tokens set updated_at = now() - interval '11 seconds'`
      expect((await refresh(third.body.refresh_token)).status).toBe(400)
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

    test('that is an API key is no user’s', async () => {
      expect(await withToken(fixture.keys.publishableKey)).toMatchObject({
        status: 403,
        body: { code: 403, error_code: 'bad_jwt' },
      })
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
      const nested = { city: null, likes: { tea: null } }
      expect(
        (await admin().updateUserById(id, { user_metadata: nested })).data.user?.user_metadata,
      ).toMatchObject({ likes: { tea: null } })
      expect((await admin().getUserById(id)).data.user?.user_metadata).not.toHaveProperty('city')
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

  describe('a mail', () => {
    test('with a link and a code signs in whoever is known, and signs up whoever is not', async () => {
      const { email, id } = await signedUp()
      const supabase = client()
      expect((await supabase.auth.signInWithOtp({ email })).error).toBeNull()
      const mail = await newestMail(email)
      expect(mail.type).toBe('magiclink')
      const known = await supabase.auth.verifyOtp({ email, token: mail.code, type: 'email' })
      expect(known.data.user?.id).toBe(id)

      const stranger = newEmail()
      const refused = await client().auth.signInWithOtp({
        email: stranger,
        options: { shouldCreateUser: false },
      })
      expect(refused.error).toMatchObject({ status: 422, code: 'otp_disabled' })
      await client().auth.signInWithOtp({ email: stranger, options: { data: { full_name: 'Grace' } } })
      const { fragment } = await follow((await newestMail(stranger)).link)
      expect(decodeJwt(fragment.access_token ?? '')).toMatchObject({
        email: stranger,
        user_metadata: { full_name: 'Grace' },
      })
    })

    test('lets somebody back in who has lost the password, and does not tell who is known', async () => {
      const { email } = await signedUp()
      expect((await client().auth.resetPasswordForEmail(email)).error).toBeNull()
      const { tokenHash, type } = await newestMail(email)
      expect(type).toBe('recovery')
      const supabase = client()
      expect((await supabase.auth.verifyOtp({ token_hash: tokenHash, type: 'recovery' })).error).toBeNull()
      expect((await supabase.auth.updateUser({ password: 'a new password' })).error).toBeNull()
      expect((await client().auth.signInWithPassword({ email, password: 'a new password' })).error).toBeNull()

      const stranger = newEmail()
      expect((await client().auth.resetPasswordForEmail(stranger)).error).toBeNull()
      expect((await fixture.gateway.mailbox.list()).filter(({ to }) => to === stranger)).toEqual([])
    })

    test('leads whoever has sent a challenge back with a code, which is good once and with the verifier alone', async () => {
      const { email, id } = await signedUp()
      const asker = codeClient()
      const redirectTo = 'http://127.0.0.1:5173/new-password?from=mail'
      expect((await asker.auth.resetPasswordForEmail(email, { redirectTo })).error).toBeNull()
      const { link } = await newestMail(email)
      const opened = await followToCode(link)
      expect(opened).toMatchObject({ status: 303, query: { from: 'mail', code: expect.any(String) } })
      const code = opened.query.code ?? ''

      const other = codeClient()
      await other.auth.resetPasswordForEmail(newEmail())
      expect((await other.auth.exchangeCodeForSession(code)).error).toMatchObject({
        status: 400,
        code: 'bad_code_verifier',
      })
      const { data, error } = await asker.auth.exchangeCodeForSession(code)
      expect(error).toBeNull()
      expect(data).toMatchObject({ user: { id }, redirectType: 'recovery' })
      expect(decodeJwt(data.session?.access_token ?? '').amr).toMatchObject([{ method: 'recovery' }])
      expect((await asker.auth.updateUser({ password: 'a newer password' })).error).toBeNull()
      const again = await post('/token?grant_type=pkce', { auth_code: code, code_verifier: 'x'.repeat(43) })
      expect(again).toMatchObject({ status: 404, body: { error_code: 'flow_state_not_found' } })
      expect((await followToCode(link)).query).toMatchObject({
        from: 'mail',
        error: 'access_denied',
        error_code: 'otp_expired',
      })
    })

    test('can be a magic link with a code; its six digits work without one', async () => {
      const { email, id } = await signedUp()
      const asker = codeClient()
      await asker.auth.signInWithOtp({ email })
      const { query } = await followToCode((await newestMail(email)).link)
      const { data } = await asker.auth.exchangeCodeForSession(query.code ?? '')
      expect(data.user?.id).toBe(id)
      expect(decodeJwt(data.session?.access_token ?? '').amr).toMatchObject([{ method: 'magiclink' }])

      await asker.auth.signInWithOtp({ email })
      const { code } = await newestMail(email)
      expect((await client().auth.verifyOtp({ email, token: code, type: 'email' })).data.user?.id).toBe(id)
    })

    test.each([
      ['has no method', { code_challenge: 'x'.repeat(43) }],
      ['is too short', { code_challenge: 'short', code_challenge_method: 's256' }],
      ['has strange letters', { code_challenge: '/'.repeat(43), code_challenge_method: 's256' }],
    ])('is not sent for a challenge that %s', async (_flaw, challenge) => {
      const { email } = await signedUp()
      expect(await post('/recover', { email, ...challenge })).toMatchObject({
        status: 400,
        body: { error_code: 'validation_failed' },
      })
      expect((await fixture.gateway.mailbox.list()).filter(({ to }) => to === email)).toEqual([])
    })

    test('invites: the user is there at once and confirmed by the link', async () => {
      const email = newEmail()
      const invited = await admin().inviteUserByEmail(email, { data: { team: 'red' } })
      expect(invited.data.user).toMatchObject({ email, user_metadata: { team: 'red' } })
      expect(invited.data.user?.email_confirmed_at).toBeFalsy()
      const { link, type } = await newestMail(email)
      expect(type).toBe('invite')
      const { fragment } = await follow(link)
      expect(decodeJwt(fragment.access_token ?? '').sub).toBe(invited.data.user?.id)
      expect((await admin().inviteUserByEmail(email)).error).toMatchObject({
        status: 422,
        code: 'email_exists',
      })
      expect((await client().auth.admin.inviteUserByEmail(newEmail())).error).toMatchObject({
        code: 'not_admin',
      })
    })

    test('can be the backend’s own: generateLink gives the link and sends nothing', async () => {
      const email = newEmail()
      const made = await admin().generateLink({ type: 'magiclink', email })
      // Somebody new cannot sign in by link.
      expect(made.data.properties).toMatchObject({ verification_type: 'signup' })
      const link = made.data.properties?.action_link ?? ''
      expect(decodeJwt((await follow(link)).fragment.access_token ?? '')).toMatchObject({ email })

      const again = await admin().generateLink({ type: 'recovery', email })
      const supabase = client()
      const token_hash = again.data.properties?.hashed_token ?? ''
      expect((await supabase.auth.verifyOtp({ token_hash, type: 'recovery' })).data.user?.email).toBe(email)
      expect(
        (await admin().generateLink({ type: 'invite', email: newEmail() })).data.properties
          ?.verification_type,
      ).toBe('invite')
      expect((await admin().generateLink({ type: 'recovery', email: newEmail() })).error).toMatchObject({
        status: 404,
        code: 'user_not_found',
      })
      expect((await fixture.gateway.mailbox.list()).filter(({ to }) => to === email)).toEqual([])
    })
  })

  describe('triggers on auth.users', () => {
    interface Seen {
      readonly op: string
      readonly anonymous: boolean
      readonly email: string | null
      readonly name: string | null
      readonly role: string
      readonly plan: string | null
      readonly confirmed: boolean
      readonly deleted: boolean
    }

    /** What a trigger sees of one user while the work is done; states that did not change are left out. */
    async function watching(work: () => Promise<unknown>): Promise<Seen[]> {
      await sql.unsafe(`
        create table public.seen (op text, anonymous boolean, email text, name text, role text, plan text, confirmed boolean,
          deleted boolean, at bigint generated always as identity);
        create function public.note() returns trigger language plpgsql security definer set search_path = '' as $$ begin
          insert into public.seen values (tg_op, new.is_anonymous, new.email, new.raw_user_meta_data ->> 'full_name',
            new.role, new.raw_app_meta_data ->> 'plan', new.email_confirmed_at is not null, new.deleted_at is not null); return new; end $$;
        create trigger note after insert or update on auth.users for each row execute function public.note();`)
      await work()
      const seen = await sql<Seen[]>`
        select op, anonymous, email, name, role, plan, confirmed, deleted from public.seen order by at`
      await sql.unsafe('drop function public.note cascade; drop table public.seen')
      return seen.filter((each, index) => {
        const { op: _op, ...state } = each
        const { op: _before, ...previous } = seen[index - 1] ?? { op: '' }
        return JSON.stringify(state) !== JSON.stringify(previous)
      })
    }

    test('see a converted anonymous user get a name, then permanence, then the address, then its confirmation', async () => {
      const supabase = client()
      await supabase.auth.signInAnonymously()
      const email = newEmail()
      const seen = await watching(() => supabase.auth.updateUser({ email, data: { full_name: 'Ada' } }))
      const ada = {
        op: 'UPDATE',
        name: 'Ada',
        role: 'authenticated',
        plan: null,
        confirmed: false,
        deleted: false,
      }
      expect(seen).toEqual([
        { ...ada, anonymous: true, email: null },
        { ...ada, anonymous: false, email: null },
        { ...ada, anonymous: false, email },
        { ...ada, anonymous: false, email, confirmed: true },
      ])
    })

    test('see a softly deleted user lose the address first and the metadata second', async () => {
      const { id, supabase, email } = await signedUp()
      await supabase.auth.updateUser({ data: { full_name: 'Ada' } })
      const seen = await watching(() => admin().deleteUser(id, true))
      expect(seen).toMatchObject([
        { op: 'UPDATE', deleted: true, name: 'Ada', email: expect.not.stringContaining('@') },
        { op: 'UPDATE', deleted: true, name: null },
      ])
      expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).error).toMatchObject({
        code: 'invalid_credentials',
      })
      expect(await sql`select 1 from auth.sessions where user_id = ${id}`).toHaveLength(0)
      expect(await sql`select identity_data from auth.identities where user_id = ${id}`).toEqual([
        { identity_data: {} },
      ])
      // The address is free again.
      expect((await client().auth.signUp({ email, password: PASSWORD })).error).toBeNull()
    })

    test('see an invited user arrive unconfirmed, with the metadata of the invitation', async () => {
      const email = newEmail()
      const seen = await watching(() => admin().inviteUserByEmail(email, { data: { full_name: 'Ada' } }))
      expect(seen).toMatchObject([
        { op: 'INSERT', email, name: 'Ada', role: '', confirmed: false },
        { op: 'UPDATE', email, name: 'Ada', role: 'authenticated', confirmed: false },
      ])
    })

    test('see who is made by an administrator, then the role, the app metadata and the confirmation', async () => {
      const email = newEmail()
      const seen = await watching(() =>
        admin().createUser({
          email,
          role: 'staff',
          email_confirm: true,
          user_metadata: { full_name: 'Ada' },
          app_metadata: { plan: 'free' },
        }),
      )
      const made = { anonymous: false, email, name: 'Ada', deleted: false }
      expect(seen).toEqual([
        { ...made, op: 'INSERT', role: '', plan: null, confirmed: false },
        { ...made, op: 'UPDATE', role: 'staff', plan: null, confirmed: false },
        { ...made, op: 'UPDATE', role: 'staff', plan: 'free', confirmed: false },
        { ...made, op: 'UPDATE', role: 'staff', plan: 'free', confirmed: true },
      ])
    })

    test('see an administrator change an address without confirming it', async () => {
      const { id, email: old } = await signedUp()
      const email = newEmail()
      const seen = await watching(() => admin().updateUserById(id, { email }))
      expect(seen).toMatchObject([{ op: 'UPDATE', email, confirmed: true }])
      expect(old).not.toBe(email)
      expect((await client().auth.signInWithPassword({ email, password: PASSWORD })).error).toBeNull()
    })
  })

  describe('what needs a provider or a second factor', () => {
    test('is refused as on a project that has switched on none', async () => {
      const authorize = await fetch(`${fixture.gateway.url}/auth/v1/authorize?provider=github`, {
        redirect: 'manual',
      })
      expect(authorize.status).toBe(400)
      expect(await authorize.json()).toMatchObject({
        error_code: 'validation_failed',
        msg: expect.stringContaining('provider is not enabled'),
      })
      const { supabase, id } = await signedUp()
      expect((await supabase.auth.linkIdentity({ provider: 'github' })).error).toMatchObject({
        status: 404,
        code: 'manual_linking_disabled',
      })
      expect((await admin().mfa.listFactors({ userId: id })).data?.factors).toEqual([])
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
        headers: {
          origin: 'http://localhost:5173',
          'access-control-request-headers': 'apikey,x-client-info',
        },
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
      expect(mistyped).toMatchObject({ status: 400, body: { error_code: 'bad_json' } })
    })
  })
})
