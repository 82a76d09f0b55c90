import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { freePort } from '../../tools/ports.ts'
import { fingerprint } from '../database/fingerprint.ts'
import { BAD_TOKENS, type Forger, forge } from '../support/bad-tokens.ts'
import {
  FUNCTION,
  type FunctionReply,
  type SignedUp,
  startTestProject,
  type TestProject,
  until,
} from '../support/project.ts'
import { signUp } from '../support/sign-up.ts'
import { EVERY_FUNCTION, methodOf } from './every-function.ts'
import { bearer } from './graphql-client.ts'

const PEOPLE = ['stranger', 'member', 'admin', 'owner'] as const
type Person = (typeof PEOPLE)[number]

let project: TestProject
let people: Readonly<Record<Person, SignedUp>>
let owner: SignedUp
let forger: Forger
/** A user whom no trigger has seen. */
let unnoticedUserId: string

beforeAll(async () => {
  // Nobody is to be refused for asking often.
  project = await startTestProject({
    settings: { organization_acts_per_minute: 1_000, user_acts_per_minute: 1_000 },
  })
  owner = await project.signUp()
  const [admin, member, stranger] = [await project.signUp(), await project.signUp(), await project.signUp()]
  people = { stranger, member, admin, owner }
  forger = { genuine: owner.accessToken, keys: project.keys, otherProject: await createProjectKeys() }
  await project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${owner.organizationId}, ${admin.userId}, 'admin'), (${owner.organizationId}, ${member.userId}, 'member')`
  unnoticedUserId = await project.superuser.begin(async (tx) => {
    await tx`set local search_path = auth`
    await tx`set local session_replication_role = replica`
    return (await signUp(tx)).id
  })
  for (const { organizationId } of Object.values(people)) await project.waitFor(organizationId)
  // Nobody listens there: each delivery is an attempt that fails, and leaves a trace.
  await project.sql`select vault.create_secret(${`http://127.0.0.1:${await freePort()}`}, 'alert_webhook_url')`
  await project.sql`select provisioning.open_alert(${owner.organizationId}, 'tenant_health', 'warning', 'It is slow.')`
  // Nobody answers there. The next attempt must not come while a test looks whether anything has changed.
  await until('failed delivery', async () => {
    const tried = await project.sql`
      update provisioning.alert_deliveries set next_attempt_at = now() + interval '1 hour'
      where last_error is not null returning id`
    return tried.length > 0 || undefined
  })
})

afterAll(() => project?.stop())

const ask = (headers: Readonly<Record<string, string>>) =>
  project.call({ headers, body: { organizationId: owner.organizationId } })

interface Asked {
  /** Something that leaves a trace when it is let in. */
  body(tenant: SignedUp): Promise<unknown> | unknown
  /** Who may ask it of the owner's tenant, beside the backend. */
  readonly allowed: readonly Person[]
}

const slugOf = async ({ organizationId }: SignedUp) => {
  const [row] = await project.sql<{ slug: string }[]>`
    select slug from public.organizations where id = ${organizationId}`
  return row?.slug
}

/** What each function is asked. One that is not here fails the tests. */
const ASKED: Readonly<Record<string, Asked>> = {
  'check-tenant-health': {
    body: ({ organizationId }) => ({ organizationId, deep: true }),
    allowed: ['admin', 'owner'],
  },
  'deliver-alerts': { body: () => ({}), allowed: [] },
  'deprovision-tenant-resources': {
    body: async (tenant) => ({ organizationId: tenant.organizationId, confirm: await slugOf(tenant) }),
    allowed: [],
  },
  graphql: {
    body: ({ organizationId }) => ({
      query: 'mutation ($id: ID!) { provisionTenant(organizationId: $id) { jobId } }',
      variables: { id: organizationId },
    }),
    allowed: ['admin', 'owner'],
  },
  'handle-new-user': { body: () => ({ userId: unnoticedUserId }), allowed: [] },
  // Neither people nor the secret key: metrics.test.ts.
  metrics: { body: () => ({}), allowed: [] },
  'provision-tenant-resources': {
    body: ({ organizationId }) => ({ organizationId }),
    allowed: ['admin', 'owner'],
  },
  'reconcile-tenants': { body: () => ({}), allowed: [] },
  'tenant-graphql': {
    body: () => ({ query: '{ contacts(first: 1) { totalCount } }' }),
    allowed: ['member', 'admin', 'owner'],
  },
}

async function askOf(
  name: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
  tenant = owner,
): Promise<FunctionReply> {
  const asked = ASKED[name]
  if (!asked) throw new Error(`say in ASKED what ${name} is asked, and who may`)
  const sent = body ?? (await asked.body(tenant))
  const reply = await fetch(`${project.services.url}/functions/v1/${name}`, {
    method: methodOf(name),
    headers: { 'content-type': 'application/json', 'x-organization-id': tenant.organizationId, ...headers },
    ...(methodOf(name) === 'POST' ? { body: JSON.stringify(sent) } : {}),
  })
  const text = await reply.text()
  return { status: reply.status, headers: reply.headers, text, body: JSON.parse(text) }
}

/** What the database holds, once no work is left that could write, and after a change; a removal waits for longer. */
async function stillFingerprint(change: () => Promise<unknown> = async () => undefined) {
  await until('end of all work', async () => {
    const open = await project.superuser`
      select from net.http_request_queue union all
      select from public.provisioning_jobs
      where status = 'running' or status = 'queued' and next_attempt_at < now() + interval '10 seconds' union all
      select from provisioning.reconciliation_runs where finished_at is null`
    return open.length === 0 || undefined
  })
  // Requests leave the queue before their answers are stored.
  return project.whileHeld(async () => {
    await change()
    return fingerprint(project.superuser)
  })
}

/** What a refusal shows, whoever was refused by whichever function. */
function shownBy({ status, headers, text }: FunctionReply) {
  // Each has an id of its own, also where it is deep inside.
  const { issues: _issues, ...problem } =
    JSON.parse(text, (key, value) => (key === 'requestId' ? undefined : value)) ?? {}
  return {
    status,
    type: headers.get('content-type'),
    origins: headers.get('access-control-allow-origin'),
    problem,
    insides: /\.ts\b|\bat \w+|Error:/.exec(text)?.[0],
  }
}

function problem(status: number, code: string): ReturnType<typeof shownBy> {
  return {
    status,
    type: 'application/problem+json',
    origins: '*',
    problem: {
      type: `urn:tenant-provisioning:problem:${code}`,
      title: expect.stringMatching(/\w/),
      status,
      detail: expect.stringMatching(/\w/),
      code,
    },
    insides: undefined,
  }
}

function expectProblem(reply: FunctionReply, status: number, code: string): void {
  expect(shownBy(reply)).toEqual(problem(status, code))
  expect(reply.body?.requestId).toMatch(/^[0-9a-f-]{36}$/)
  expect(reply.headers.get('x-request-id')).toBe(reply.body?.requestId)
}

describe('a refusal', () => {
  it.each(EVERY_FUNCTION)(
    'by %s has an id of its own that the function’s log has beside the code',
    async (name) => {
      const replies = [await askOf(name, {}), await askOf(name, {})]
      const ids = replies.map(({ body }) => String(body?.requestId))
      expect(new Set(ids).size).toBe(2)
      for (const id of ids)
        await until(
          'line in the log',
          () =>
            project.log.some(({ text }) => text.includes(id) && text.includes('"code":"unauthorized"')) ||
            undefined,
        )
    },
  )
})

describe('a caller is accepted', () => {
  it.each<[string, () => Record<string, string>]>([
    ['with the secret key as apikey', () => ({ apikey: project.keys.secretKey })],
    ['with the secret key as a bearer', () => bearer(project.keys.secretKey)],
    [
      'with the secret key as both, as supabase-js sends it',
      () => ({ apikey: project.keys.secretKey, ...bearer(project.keys.secretKey) }),
    ],
    ['with the legacy service_role key as apikey', () => ({ apikey: project.keys.serviceRoleKey })],
    ['with the legacy service_role key as a bearer', () => bearer(project.keys.serviceRoleKey)],
    ['as the owner', () => bearer(owner.accessToken)],
    ['as an admin', () => bearer(people.admin.accessToken)],
    [
      'as the owner beside the publishable key, as supabase-js sends it',
      () => ({ apikey: project.keys.publishableKey, ...bearer(owner.accessToken) }),
    ],
  ])('%s', async (_who, headers) => {
    const reply = await ask(headers())
    expect(reply.status).toBe(202)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.body).toMatchObject({ organizationId: owner.organizationId, jobId: owner.jobId })
  })

  it('through supabase-js as a signed-in owner', async () => {
    const { data, error } = await owner.client.functions.invoke(FUNCTION, {
      body: { organizationId: owner.organizationId },
    })
    expect(error).toBeNull()
    expect(data).toMatchObject({ jobId: owner.jobId })
  })

  it('with a token that has everything a user’s token needs (so the refusals below are for the difference)', async () => {
    expect((await ask(bearer(await forge(forger, {})))).status).toBe(202)
  })
})

interface Given {
  readonly headers?: Readonly<Record<string, string>>
  /** Default: what ASKED says. */
  readonly body?: unknown
}

const NOT_AUTHENTICATED: readonly (readonly [who: string, given: () => Given | Promise<Given>])[] = [
  ['without credentials', () => ({})],
  ['with a secret key of another project', () => ({ headers: { apikey: forger.otherProject.secretKey } })],
  ['with an empty bearer', () => ({ headers: { authorization: 'Bearer ' } })],
  [
    'with basic authentication',
    () => ({ headers: { authorization: `Basic ${btoa(`x:${project.keys.secretKey}`)}` } }),
  ],
  // Whoever sends one means to be a user, and must not be taken for the backend whose key is beside it.
  ...[
    'Bearer ',
    'Bearer',
    'null',
    'undefined',
    'Basic x',
    'Bearer null',
    'Bearer a b',
    'bearer\ttoken',
    'Token x',
  ].map(
    (authorization) =>
      [
        `with the secret key beside an Authorization of ${JSON.stringify(authorization)}`,
        () => ({ headers: { apikey: project.keys.secretKey, authorization } }),
      ] as const,
  ),
  ['with the publishable key alone', () => ({ headers: { apikey: project.keys.publishableKey } })],
  [
    'with the publishable key as both, as supabase-js sends it without a session',
    () => ({
      headers: { apikey: project.keys.publishableKey, ...bearer(project.keys.publishableKey) },
    }),
  ],
  ['with the legacy anon key as a bearer', () => ({ headers: bearer(project.keys.anonKey) })],
  [
    'with the beginning of the secret key',
    () => ({ headers: { apikey: project.keys.secretKey.slice(0, -1) } }),
  ],
  ...BAD_TOKENS.map(
    ([flaw, make]) =>
      [`with a token that ${flaw}`, async () => ({ headers: bearer(await make(forger)) })] as const,
  ),
  ...[
    ['with a token of the role anon', { role: 'anon' }] as const,
    ['with a user’s token of the role service_role', { role: 'service_role' }] as const,
    ['with a token whose role is no text', { role: ['authenticated'] }] as const,
    ['with a token whose user is no uuid', { sub: "' or true --" }] as const,
  ].map(([who, changes]) => [who, async () => ({ headers: bearer(await forge(forger, changes)) })] as const),
  // The person decides: the key is not for whom the backend could not tell.
  [
    'with an expired token beside the secret key',
    async () => ({
      headers: { apikey: project.keys.secretKey, ...bearer(await forge(forger, { exp: 1_000_000_000 })) },
    }),
  ],
  [
    'with a doorbell that is signed with another key',
    async () => ({ body: { ...(await project.signDoorbell()), signature: 'f'.repeat(64) } }),
  ],
  [
    'with a doorbell that has expired',
    async () => ({ body: await project.signDoorbell(Date.now() - 5_000) }),
  ],
  [
    'with the headers of a webhook that nobody has signed',
    () => ({
      headers: {
        'webhook-id': crypto.randomUUID(),
        'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
        'webhook-signature': 'v1,AAAA',
      },
    }),
  ],
]

describe.each(EVERY_FUNCTION)('%s', (name) => {
  it('answers 401 to callers who are not authenticated, and does nothing', async () => {
    const before = await stillFingerprint()
    const shown: Record<string, unknown> = {}
    for (const [who, given] of NOT_AUTHENTICATED) {
      const { headers = {}, body } = await given()
      shown[who] = shownBy(await askOf(name, headers, body))
    }
    expect(shown).toEqual(
      Object.fromEntries(NOT_AUTHENTICATED.map(([who]) => [who, problem(401, 'unauthorized')])),
    )
    expect(await stillFingerprint()).toEqual(before)
  })

  it('lets in those whose affair it is and tells all others that they may not, also beside the secret key', async () => {
    const { allowed = [] } = ASKED[name] ?? {}
    const theRefused = PEOPLE.filter((person) => !allowed.includes(person))
    const before = await stillFingerprint()
    for (const person of theRefused) {
      const token = bearer(people[person].accessToken)
      for (const headers of [token, { apikey: project.keys.secretKey, ...token }]) {
        const reply = await askOf(name, headers)
        if (name === 'graphql') expect([person, outcome(reply)]).toEqual([person, 'forbidden'])
        else expect(shownBy(reply), person).toEqual(notAllowed(name))
      }
    }
    expect(await stillFingerprint()).toEqual(before)
    for (const person of allowed)
      expect([person, outcome(await askOf(name, bearer(people[person].accessToken)))]).toEqual([
        person,
        'done',
      ])
  })
})

describe('an organization that does not exist', () => {
  it.each(EVERY_FUNCTION)('is to a stranger of %s like any other that is not theirs', async (name) => {
    const stranger = bearer(people.stranger.accessToken)
    const nowhere = { ...owner, organizationId: crypto.randomUUID() }
    const [about, ofNone] = [await askOf(name, stranger), await askOf(name, stranger, undefined, nowhere)]
    expect([outcome(about), shownBy(ofNone)]).toEqual([
      name === 'metrics' ? 'unauthorized' : 'forbidden',
      shownBy(about),
    ])
  })
})

/** What people are told whose affair it is not. A function that knows no people does not know them. */
const notAllowed = (name: string) =>
  name === 'metrics' ? problem(401, 'unauthorized') : problem(403, 'forbidden')

/** The code of a refusal, by HTTP or by GraphQL. */
function outcome({ status, body }: FunctionReply): string {
  const [error] = Array.isArray(body?.errors) ? body.errors : []
  if (error) return String(error.extensions?.code)
  return status < 300 ? 'done' : String(body?.code)
}

describe('a doorbell', () => {
  let doorbell: Record<string, unknown>
  beforeEach(async () => {
    doorbell = await project.signDoorbell()
  })

  it.each(EVERY_FUNCTION)('with a good signature is accepted by %s, or nothing to it', async (name) => {
    const reply = await askOf(name, {}, doorbell)
    if (['graphql', 'handle-new-user', 'metrics', 'tenant-graphql'].includes(name))
      return expectProblem(reply, 401, 'unauthorized')
    expect(reply.status).toBe(202)
    expect(reply.body).toEqual({ accepted: true })
  })

  it.each<[string, () => Promise<Record<string, unknown>> | Record<string, unknown>]>([
    ['a wrong signature', () => ({ ...doorbell, signature: 'f'.repeat(64) })],
    [
      'a signature with one other digit',
      () => ({ ...doorbell, signature: String(doorbell.signature).replace(/.$/, flipped) }),
    ],
    ['the signature of another job', () => ({ ...doorbell, ringId: people.stranger.jobId })],
    ['a later end than was signed', () => ({ ...doorbell, expiresAt: Date.now() + 9_999_000 })],
    ['a good signature that has expired', () => project.signDoorbell(Date.now() - 5_000)],
  ])('with %s is not', async (_what, body) => {
    expectProblem(await project.call({ body: await body() }), 401, 'unauthorized')
  })

  it.each<[string, () => Record<string, unknown>, string]>([
    ['an unknown field', () => ({ ...doorbell, organizationId: owner.organizationId }), 'organizationId'],
    ['a signature of another length', () => ({ ...doorbell, signature: 'abc' }), 'signature'],
    ['a job that is no uuid', () => ({ ...doorbell, ringId: '1' }), 'ringId'],
    ['a time that is no number', () => ({ ...doorbell, expiresAt: 'tomorrow' }), 'expiresAt'],
  ])('with %s is a bad request that names the field', async (_what, body, field) => {
    const reply = await project.call({ body: body() })
    expectProblem(reply, 400, 'invalid_body')
    expect(reply.body?.issues).toEqual([{ path: field, message: expect.any(String) }])
  })

  it('opens nothing when credentials are sent with it that are wrong', async () => {
    expectProblem(await project.call({ headers: bearer('x'), body: doorbell }), 401, 'unauthorized')
  })

  it('is accepted once', async () => {
    const ring = () => project.call({ body: doorbell })
    const together = await Promise.all([ring(), ring(), ring()])
    expect(together.map(({ status }) => status).sort()).toEqual([202, 401, 401])
    expectProblem(await ring(), 401, 'unauthorized')
  })

  it('is accepted also when several arrive together at a process that has just started', async () => {
    project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')
    const doorbells = await Promise.all(Array.from({ length: 8 }, () => project.signDoorbell()))
    const replies = await Promise.all(doorbells.map((body) => project.call({ body })))
    expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(202))
  })
})

const flipped = (digit: string) => (digit === '0' ? '1' : '0')

describe('the way in', () => {
  it('answers a browser’s preflight', async () => {
    const reply = await project.call({
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example.com',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, content-type',
      },
    })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.headers.get('access-control-allow-methods')).toContain('POST')
    const allowed = reply.headers.get('access-control-allow-headers') ?? ''
    for (const name of ['authorization', 'apikey', 'content-type', 'x-client-info'])
      expect(allowed).toContain(name)
  })

  it.each(['GET', 'PUT', 'PATCH', 'DELETE'])('refuses %s', async (method) => {
    expectProblem(
      await project.call({ method, headers: { apikey: project.keys.secretKey } }),
      405,
      'method_not_allowed',
    )
  })
})

/** All but the one that works in the tenants' own databases, and the one that only reads: tenant-graphql.test.ts, metrics.test.ts. */
const WORKING_HERE = EVERY_FUNCTION.filter((name) => !['tenant-graphql', 'metrics'].includes(name))

describe('what was refused above', () => {
  it.each(WORKING_HERE)('is done by %s for the backend, and leaves a trace', async (name) => {
    // Its own, for the others need theirs.
    const tenant = name === 'deprovision-tenant-resources' ? await project.signUp() : owner
    // A sweep must not deliver before the look at what there is.
    const before = await stillFingerprint(async () => {
      if (name === 'deliver-alerts')
        await project.sql`update provisioning.alert_deliveries set next_attempt_at = now()`
    })
    const reply = await askOf(name, { apikey: project.keys.secretKey }, undefined, tenant)
    expect(outcome(reply), reply.text).toBe('done')
    await until('trace', async () =>
      isDeepStrictEqual(await fingerprint(project.superuser), before) ? undefined : true,
    )
  })
})
