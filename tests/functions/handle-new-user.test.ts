import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Gateway } from '../../local/gateway/gateway.ts'
import { fingerprint } from '../database/fingerprint.ts'
import { only } from '../database/project.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { signUp } from '../support/sign-up.ts'

const newSecret = () => `v1,whsec_${randomBytes(32).toString('base64')}`
const SECRET = newSecret()
const NEXT_SECRET = newSecret()

let project: TestProject
let gateway: Gateway
let owner: SignedUp

beforeAll(async () => {
  project = await startTestProject({
    settings: { doorbell_interval_milliseconds: 250, worker_linger_milliseconds: 1_500 },
  })
  gateway = await project.startSecondGateway({
    HANDLE_NEW_USER_HOOK_SECRET: `${SECRET}|${NEXT_SECRET}`,
  })
  owner = await project.signUp()
  await project.waitFor(owner.organizationId)
})

afterAll(() => project?.stop())

interface Reply {
  readonly status: number
  readonly contentType: string | null
  readonly body: unknown
}

async function send(headers: Record<string, string>, body: unknown, to = gateway): Promise<Reply> {
  const reply = await fetch(`${to.url}/functions/v1/handle-new-user`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return {
    status: reply.status,
    contentType: reply.headers.get('content-type'),
    body: JSON.parse(await reply.text()),
  }
}

const withKey = (body: unknown) => send({ apikey: project.keys.secretKey }, body)

/** What supabase_functions.http_request sends for a change of auth.users. */
const event = (type: string, id: string, change: object = {}) => ({
  type,
  table: 'users',
  schema: 'auth',
  record: { id, email: 'somebody@example.com', raw_user_meta_data: { organization_name: 'Taken' } },
  old_record: null,
  ...change,
})

/** What Supabase Auth sends. */
const hook = (name: string, id: string) => ({
  metadata: { uuid: crypto.randomUUID(), time: new Date().toISOString(), name, ip_address: '127.0.0.1' },
  user: { id, aud: 'authenticated', email: 'somebody@example.com', user_metadata: {}, identities: [] },
})

interface Signing {
  readonly secrets?: readonly string[]
  readonly minutesFromNow?: number
  /** The body that is signed, when it is not the one that is sent. */
  readonly signed?: string
}

/** Headers as Auth makes them: one signature for each secret, separated by a comma and a space. */
function signature(body: string, { secrets = [SECRET], minutesFromNow = 0, signed = body }: Signing = {}) {
  const id = crypto.randomUUID()
  const at = new Date(Date.now() + minutesFromNow * 60_000)
  const signatures = secrets.map((secret) => new Webhook(secret.replace('v1,', '')).sign(id, at, signed))
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': signatures.join(', '),
  }
}

function sendHook(name: string, id: string, signing: Signing = {}, to = gateway): Promise<Reply> {
  const body = JSON.stringify(hook(name, id))
  return send(signature(body, signing), body, to)
}

/** What the database holds, once no work is left that could write. */
async function stillFingerprint() {
  await until('end of all work', async () => {
    const open = await project.superuser`
      select from net.http_request_queue union all
      select from public.provisioning_jobs where status in ('queued', 'running')`
    return open.length === 0 || undefined
  })
  // Requests leave the queue before their answers are stored.
  return project.whileHeld(() => fingerprint(project.superuser))
}

const organizationsOf = (userId: string) =>
  project.sql<{ id: string; name: string }[]>`
    select id, name from public.organizations where owner_id = ${userId}`

/** A committed user whom no trigger has seen. */
async function signUpUnnoticed(user: Parameters<typeof signUp>[1] = {}): Promise<string> {
  const id = crypto.randomUUID()
  await project.superuser.begin(async (tx) => {
    await tx`set local search_path = auth`
    await tx`set local session_replication_role = replica`
    await signUp(tx, { id, ...user })
  })
  return id
}

function expectProblem(reply: Reply, status: number, code: string): void {
  expect(reply).toMatchObject({ status, contentType: 'application/problem+json', body: { status, code } })
}

describe('with the secret key', () => {
  it.each<[string, (id: string) => object]>([
    ['an INSERT that a database webhook reports', (id) => event('INSERT', id)],
    ['an UPDATE, such as a confirmed address', (id) => event('UPDATE', id)],
    ['an event with fields that are new to us', (id) => event('INSERT', id, { sent_at: 'now' })],
    ['a user whom somebody names', (userId) => ({ userId })],
  ])('%s makes the tenant, from what auth.users says', async (_what, body) => {
    const userId = await signUpUnnoticed({ metadata: { organization_name: 'From the row' } })
    const reply = await withKey(body(userId))
    const organization = only(await organizationsOf(userId))
    expect(organization.name).toBe('From the row')
    expect(reply).toMatchObject({
      status: 200,
      body: { outcome: 'provisioned', userId, organizationId: organization.id },
    })
    await project.waitFor(organization.id)
  })

  it('the key may be a bearer, as a webhook of the dashboard sends it', async () => {
    const userId = await signUpUnnoticed()
    const headers = { authorization: `Bearer ${project.keys.serviceRoleKey}` }
    expect(await send(headers, event('INSERT', userId))).toMatchObject({ status: 200 })
    expect(await organizationsOf(userId)).toHaveLength(1)
  })

  it('a user who has a tenant is told of again without anything being written or rung', async () => {
    const before = await stillFingerprint()
    for (const type of ['INSERT', 'UPDATE'])
      expect(await withKey(event(type, owner.userId))).toMatchObject({
        status: 200,
        body: { outcome: 'provisioned', organizationId: owner.organizationId },
      })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('a DELETE is acknowledged and leaves everything as it is', async () => {
    const before = await stillFingerprint()
    const reply = await withKey(
      event('DELETE', owner.userId, { record: null, old_record: { id: owner.userId } }),
    )
    expect(reply).toMatchObject({ status: 200, body: { outcome: 'ignored' } })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('an anonymous user, and one who is not confirmed yet, get nothing', async () => {
    const anonymous = await signUpUnnoticed({ anonymous: true, email: null })
    expect(await withKey(event('INSERT', anonymous))).toMatchObject({
      status: 200,
      body: { outcome: 'not_eligible' },
    })
    await project.sql`update provisioning.settings set provision_on = 'email_confirmed'`
    const unconfirmed = await signUpUnnoticed({ emailConfirmed: false })
    const reply = await withKey(event('INSERT', unconfirmed))
    await project.sql`update provisioning.settings set provision_on = 'sign_up'`
    expect(reply).toMatchObject({ status: 200, body: { outcome: 'not_eligible' } })
    expect(await organizationsOf(unconfirmed)).toEqual([])
  })

  it('a user whose rows cannot be made is recorded, and the sweep makes them', async () => {
    const userId = await signUpUnnoticed()
    await project.sql.unsafe(
      `alter table public.wallets add constraint trouble check (user_id <> '${userId}') not valid`,
    )
    expect(await withKey(event('INSERT', userId))).toMatchObject({
      status: 202,
      body: { outcome: 'recorded' },
    })
    expect(await organizationsOf(userId)).toEqual([])
    await project.sql`alter table public.wallets drop constraint trouble`
    await project.sweep()
    expect(await organizationsOf(userId)).toHaveLength(1)
  })

  it('a user who does not exist is not found', async () => {
    expectProblem(await withKey(event('INSERT', crypto.randomUUID())), 404, 'user_not_found')
  })

  it.each<[string, unknown]>([
    ['of another table', event('INSERT', crypto.randomUUID(), { table: 'sessions' })],
    ['of another schema', event('INSERT', crypto.randomUUID(), { schema: 'public' })],
    ['of an unknown type', event('TRUNCATE', crypto.randomUUID())],
    ['without a record', event('INSERT', crypto.randomUUID(), { record: null })],
    ['whose record has no id', event('INSERT', crypto.randomUUID(), { record: { email: 'a@example.com' } })],
    ['whose id is not one', event('INSERT', 'x')],
    ['that is {userId} with more', { userId: crypto.randomUUID(), email: 'a@example.com' }],
    ['that is empty', {}],
    ['that is a list', []],
    ['that is null', null],
  ])('refuses a body %s', async (_what, body) => {
    expectProblem(await withKey(body), 400, 'invalid_body')
  })

  it('refuses what is not JSON, or more than a mebibyte', async () => {
    expectProblem(await withKey('{'), 400, 'invalid_json')
    expectProblem(await withKey(`{"x": "${'x'.repeat(1024 * 1024)}"}`), 413, 'body_too_large')
  })

  it('reads the large row of a user with much metadata', async () => {
    const userId = await signUpUnnoticed()
    const record = { id: userId, raw_user_meta_data: { picture: 'x'.repeat(200_000) } }
    expect(await withKey(event('INSERT', userId, { record }))).toMatchObject({ status: 200 })
  })
})

describe('a signed auth hook', () => {
  it('after-user-created makes the tenant and is answered with an empty object', async () => {
    const userId = await signUpUnnoticed({ metadata: { organization_name: 'From the row' } })
    expect(await sendHook('after-user-created', userId)).toEqual({
      status: 200,
      contentType: 'application/json',
      body: {},
    })
    const organization = only(await organizationsOf(userId))
    expect(organization.name).toBe('From the row')
    await project.waitFor(organization.id)
  })

  it('that comes again at every sign-in, as for external providers, writes nothing', async () => {
    const before = await stillFingerprint()
    expect(await sendHook('after-user-created', owner.userId)).toMatchObject({ status: 200, body: {} })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('before-user-created lets the sign-up go on and writes nothing', async () => {
    const before = await stillFingerprint()
    const reply = await sendHook('before-user-created', crypto.randomUUID())
    expect(reply).toMatchObject({ status: 200, body: {} })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('needs no other credentials, and wins over those of a proxy', async () => {
    const body = JSON.stringify(hook('after-user-created', owner.userId))
    const headers = { ...signature(body), apikey: project.keys.publishableKey }
    expect(await send(headers, body)).toMatchObject({ status: 200, body: {} })
  })

  it.each<[string, readonly string[]]>([
    ['the next secret', [NEXT_SECRET]],
    ['both secrets, while one is replaced', [SECRET, NEXT_SECRET]],
    ['a secret of ours beside a strange one', [newSecret(), SECRET]],
  ])('may be signed with %s', async (_what, secrets) => {
    expect(await sendHook('after-user-created', owner.userId, { secrets })).toMatchObject({ status: 200 })
  })

  it.each<[string, string]>([
    ['of a user who does not exist', JSON.stringify(hook('after-user-created', crypto.randomUUID()))],
    ['of an unknown hook without a user', '{"metadata": {"name": "send-email"}}'],
    ['whose user has no id', '{"metadata": {"name": "after-user-created"}, "user": {"id": "x"}}'],
    ['that is not an object', '[]'],
    ['that is not JSON', '{'],
    ['that is empty', ''],
  ])('never makes a sign-up fail, not even with a body %s', async (_what, body) => {
    expect(await send(signature(body), body)).toMatchObject({ status: 200, body: {} })
  })

  it('never makes a sign-up fail or wait for long when the database does not answer', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const address = silent.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const broken = await project.startSecondGateway({
      HANDLE_NEW_USER_HOOK_SECRET: SECRET,
      DATABASE_POOLER_URL: `postgresql://postgres:postgres@127.0.0.1:${port}/postgres`,
    })
    await sendHook('before-user-created', owner.userId, {}, broken)
    const started = performance.now()
    const reply = await sendHook('after-user-created', owner.userId, {}, broken)
    expect(reply).toMatchObject({ status: 200, body: {} })
    expect(performance.now() - started).toBeLessThan(4_900)
    await broken.stop()
    silent.close()
  })

  it('answers in time while the user’s rows are locked by others, and makes them afterwards', async () => {
    const userId = await signUpUnnoticed()
    let took = 0
    await project.sql.begin(async (tx) => {
      await tx`lock table public.wallets in access exclusive mode`
      const started = performance.now()
      expect(await sendHook('after-user-created', userId)).toMatchObject({ status: 200, body: {} })
      took = performance.now() - started
    })
    expect(took).toBeLessThan(4_900)
    await until('organization', async () => {
      await project.sql`update provisioning.sign_up_failures set next_attempt_at = now()`
      await project.sweep()
      return (await organizationsOf(userId))[0]
    })
  })
})

describe('who is refused', () => {
  const forged: [string, Signing][] = [
    ['another secret', { secrets: [newSecret()] }],
    ['a body that was changed since', { signed: JSON.stringify(hook('after-user-created', 'x')) }],
    ['a time that is past by more than 5 minutes', { minutesFromNow: -5.1 }],
    ['a time that is more than 5 minutes away', { minutesFromNow: 5.1 }],
    ['no signature at all', { secrets: [] }],
  ]
  it.each(forged)('a hook with %s, and nothing happens', async (_what, signing) => {
    const userId = await signUpUnnoticed()
    expectProblem(await sendHook('after-user-created', userId, signing), 401, 'unauthorized')
    expect(await organizationsOf(userId)).toEqual([])
  })

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('a hook without %s', async (name) => {
    const body = JSON.stringify(hook('after-user-created', owner.userId))
    const headers = Object.entries(signature(body)).filter(([header]) => header !== name)
    expectProblem(await send(Object.fromEntries(headers), body), 401, 'unauthorized')
  })

  it.each<[string, Record<string, string>]>([
    ['id', { 'webhook-id': crypto.randomUUID() }],
    ['time', { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 1) }],
    ['version', { 'webhook-signature': 'v1a,AAAA' }],
    ['signature', { 'webhook-signature': 'v1' }],
  ])('a genuine hook that was given another %s', async (_what, change) => {
    const body = JSON.stringify(hook('after-user-created', owner.userId))
    expectProblem(await send({ ...signature(body), ...change }, body), 401, 'unauthorized')
  })

  it('a wrong signature, even with the secret key beside it', async () => {
    const body = JSON.stringify(hook('after-user-created', owner.userId))
    const headers = { ...signature(body, { secrets: [newSecret()] }), apikey: project.keys.secretKey }
    expectProblem(await send(headers, body), 401, 'unauthorized')
  })

  it('nobody who replays a genuine hook: it is accepted for 5 minutes, and does nothing twice', async () => {
    const userId = await signUpUnnoticed()
    const body = JSON.stringify(hook('after-user-created', userId))
    const headers = signature(body)
    expect(await send(headers, body)).toMatchObject({ status: 200 })
    await project.waitFor(only(await organizationsOf(userId)).id)
    const before = await stillFingerprint()
    expect(await send(headers, body)).toMatchObject({ status: 200, body: {} })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('every hook, where no secret is set', async () => {
    const bare = await project.startSecondGateway()
    expectProblem(await sendHook('after-user-created', owner.userId, {}, bare), 401, 'unauthorized')
    await bare.stop()
  })

  it('a caller without credentials', async () => {
    expectProblem(await send({}, event('INSERT', owner.userId)), 401, 'unauthorized')
  })

  it('a visitor with the publishable key', async () => {
    const headers = { apikey: project.keys.publishableKey }
    expectProblem(await send(headers, event('INSERT', owner.userId)), 401, 'unauthorized')
  })

  it('a signed-in user, also for the own account', async () => {
    const headers = { authorization: `Bearer ${owner.accessToken}` }
    // The gateway that issued the token.
    const reply = await send(headers, { userId: owner.userId }, project.services.gateway)
    expectProblem(reply, 403, 'forbidden')
  })
})

describe('beside the triggers', () => {
  it('trigger, webhook and hook at once make one organization and one job, and ring at most every 250 ms', async () => {
    const userIds = Array.from({ length: 8 }, () => crypto.randomUUID())
    await project.whileHeld(async () => {
      const startedAt = performance.now()
      await Promise.all(
        userIds.map(async (id) => {
          const signedUp = project.superuser.begin(async (tx) => {
            await tx`set local search_path = auth`
            await signUp(tx, { id })
          })
          await Promise.all([signedUp, withKey({ userId: id }), sendHook('after-user-created', id)])
          await Promise.all([
            withKey(event('INSERT', id)),
            withKey(event('UPDATE', id)),
            sendHook('after-user-created', id),
          ])
        }),
      )
      for (const id of userIds) {
        const organization = only(await organizationsOf(id))
        const jobs = await project.sql`
          select from public.provisioning_jobs where organization_id = ${organization.id}`
        expect(jobs).toHaveLength(1)
      }
      const most = Math.ceil((performance.now() - startedAt) / 250) + 1
      const [queued] = await project.sql<{ rings: number }[]>`
        select count(*)::int as rings from net.http_request_queue where url like '%/provision-tenant-resources'`
      expect(queued?.rings).toBeGreaterThanOrEqual(1)
      expect(queued?.rings).toBeLessThanOrEqual(most)
    })
  })
})

describe('instead of the triggers', () => {
  beforeAll(async () => {
    await project.superuser`drop trigger tenant_provisioning_user_created on auth.users`
    await project.superuser`drop trigger tenant_provisioning_user_updated on auth.users`
  })

  async function signUpWithoutTriggers(): Promise<string> {
    const { data, error } = await project.admin.auth.admin.createUser({
      email: `${crypto.randomUUID()}@example.com`,
      password: 'correct horse battery staple',
      email_confirm: true,
    })
    if (error) throw error
    expect(await organizationsOf(data.user.id)).toEqual([])
    return data.user.id
  }

  it.each<[string, (id: string) => Promise<Reply>]>([
    ['database webhook', (id) => withKey(event('INSERT', id))],
    ['auth hook', (id) => sendHook('after-user-created', id)],
  ])('a %s alone makes the tenant ready', async (_what, report) => {
    const userId = await signUpWithoutTriggers()
    expect((await report(userId)).status).toBe(200)
    await project.waitFor(only(await organizationsOf(userId)).id)
  })

  it('a trigger of the user’s own that sends what the dashboard’s webhooks send makes the tenant ready', async () => {
    await project.superuser.unsafe(`
      create schema supabase_functions;
      create function supabase_functions.http_request() returns trigger language plpgsql security definer as $$
      begin
        perform net.http_post(url := tg_argv[0], headers := tg_argv[2]::jsonb, body := jsonb_build_object(
          'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema, 'record', new, 'old_record', null));
        return new;
      end $$;
      create trigger "new user" after insert on auth.users for each row execute function supabase_functions.http_request(
        '${gateway.url}/functions/v1/handle-new-user', 'POST',
        '{"Content-Type": "application/json", "Authorization": "Bearer ${project.keys.secretKey}"}', '{}', '5000')`)
    const { data } = await project.admin.auth.admin.createUser({
      email: `${crypto.randomUUID()}@example.com`,
      password: 'correct horse battery staple',
    })
    const userId = data.user?.id ?? ''
    const organization = await until('organization', async () => (await organizationsOf(userId))[0])
    await project.waitFor(organization.id)
  })
})
