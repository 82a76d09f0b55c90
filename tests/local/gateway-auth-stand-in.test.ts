import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMailbox } from '../../local/gateway/auth/mailbox.ts'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { BAD_TOKENS, type Forger, forge } from '../support/bad-tokens.ts'
import { type GatewayFixture, startFixtureGateway, supabaseClient } from './fixtures/gateway.ts'

const PASSWORD = 'correct horse'

// Auth does not look at issuer, audience, role and session of a token, and can do what is refused here.
describe('the stand-in', () => {
  let fixture: GatewayFixture
  let genuine: string
  let forger: Forger
  beforeAll(async () => {
    fixture = await startFixtureGateway()
    const { data } = await person().auth.signUp({ email: 'ada@example.com', password: PASSWORD })
    genuine = data.session?.access_token ?? ''
    forger = { genuine, keys: fixture.keys, otherProject: await createProjectKeys() }
  })
  afterAll(() => fixture.stop())

  const person = () => supabaseClient(fixture.gateway.url, fixture.keys.publishableKey)
  const asked = async (headers: Record<string, string>) => {
    const reply = await fetch(`${fixture.gateway.url}/auth/v1/user`, {
      headers: { apikey: fixture.keys.publishableKey, ...headers },
    })
    return { status: reply.status, body: await reply.json() }
  }

  test.each([
    ...BAD_TOKENS,
    ['lacks session_id', (from: Forger) => forge(from, { session_id: undefined })] as const,
  ])('that %s is refused by auth and by the Data API', async (_flaw, make) => {
    const bad = await make(forger)
    expect(await asked({ authorization: `Bearer ${bad}` })).toMatchObject({
      status: 403,
      body: { code: 403, error_code: 'bad_jwt' },
    })
    const data = await fetch(`${fixture.gateway.url}/rest/v1/anything`, {
      headers: { apikey: fixture.keys.publishableKey, authorization: `Bearer ${bad}` },
    })
    expect(data.status).toBe(401)
    expect(await data.json()).toMatchObject({ code: 'PGRST301' })
  })

  test('asks for a token where it asks for a user', async () => {
    expect(await asked({})).toMatchObject({ status: 401, body: { error_code: 'no_authorization' } })
  })

  test('says what it lacks in a sentence that auth-js shows', async () => {
    await person().auth.signInWithPassword({ email: 'ada@example.com', password: PASSWORD })
    const signedIn = person()
    await signedIn.auth.signInWithPassword({ email: 'ada@example.com', password: PASSWORD })
    const lacking = [
      await signedIn.auth.mfa.enroll({ factorType: 'totp' }),
      await signedIn.auth.reauthenticate(),
      await person().auth.signInWithSSO({ domain: 'example.com' }),
    ]
    for (const { error } of lacking)
      expect(error).toMatchObject({
        status: 422,
        code: 'not_implemented',
        message: expect.stringContaining('The local stack has no'),
      })
    for (const product of ['storage/v1/object', 'realtime/v1/websocket']) {
      const reply = await fetch(`${fixture.gateway.url}/${product}`)
      expect(reply.status).toBe(501)
      expect(await reply.json()).toEqual({ message: expect.stringContaining('The local stack has no') })
    }
    expect((await fetch(`${fixture.gateway.url}/nowhere`)).status).toBe(404)
    expect((await person().storage.from('files').list()).error?.message).toContain('no storage API')
  })

  test('refuses a channel of Realtime with the reason, and does not wait for it when it stops', async () => {
    const own = await startFixtureGateway()
    const supabase = supabaseClient(own.gateway.url, own.keys.publishableKey)
    const changes = { event: '*', schema: 'public', table: 'organizations' } as const
    const refused = new Promise<readonly [status: string, said: string | undefined]>((resolve) => {
      supabase
        .channel('any')
        .on('postgres_changes', changes, () => undefined)
        .subscribe((status, error) => resolve([status, error?.message]))
    })
    const [status, said] = await refused
    await own.stop()
    await supabase.removeAllChannels()
    expect(status).toBe('CHANNEL_ERROR')
    expect(said).toContain('The local stack has no realtime API.')
  })

  test('shows its mail on a page that no other page can read, and keeps it in the folder', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'mail-'))
    try {
      await using kept = await startFixtureGateway({ mailDirectory: directory })
      const email = "o'neil+<b>@example.com".replace('<b>', 'b')
      await supabaseClient(kept.gateway.url, kept.keys.publishableKey).auth.signInWithOtp({ email })
      const page = await fetch(`${kept.gateway.url}/mail`)
      const html = await page.text()
      expect(page.headers.get('access-control-allow-origin')).toBeNull()
      expect(html).toContain('o&#39;neil+b@example.com')
      const [mail] = await (await fetch(`${kept.gateway.url}/mail.json`)).json()
      expect(html).toContain(mail.link.replaceAll('&', '&#38;'))
      expect(await createMailbox(directory).list()).toEqual([mail])
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
