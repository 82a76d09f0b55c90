import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, METHODS, request as open } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Gateway } from '../../local/gateway/gateway.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { signUp } from '../support/sign-up.ts'
import { EVERY_FUNCTION } from './every-function.ts'
import {
  bodyFor,
  type Credential,
  EMAIL,
  HEADERS,
  headers,
  json,
  knownOf,
  metadata,
  ODD_BODIES,
  ORGANIZATION,
  oddText,
  plain,
  requestOf,
  type Sent,
  UNSTORABLE,
  USER,
  value,
} from './fuzz-requests.ts'

/** npm run test:long tries more. A multiple of four. */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 40)
/** A request that nobody answers is told as the counterexample that it is, before the test's own time is up. */
const PATIENCE_MS = 8_000
fc.configureGlobal({ interruptAfterTimeLimit: 20_000 + RUNS * 100 })

const HOOK_SECRET = `whsec_${randomBytes(32).toString('base64')}`

let project: TestProject
/** The functions know the secret of the auth hook here. */
let hooked: Gateway
let owner: SignedUp

beforeAll(async () => {
  project = await startTestProject({ settings: { user_calls_per_minute: 1_000_000 } })
  hooked = await project.startSecondGateway({ HANDLE_NEW_USER_HOOK_SECRET: `v1,${HOOK_SECRET}` })
  owner = await project.signUp()
  await project.waitFor(owner.organizationId)
})

afterAll(() => project?.stop())

const filledIn = (text: string) =>
  text
    .replaceAll(ORGANIZATION, owner.organizationId)
    .replaceAll(USER, owner.userId)
    .replaceAll(EMAIL, owner.email)

function credentialHeaders(given: Credential): Record<string, string> {
  if (typeof given === 'object') return { authorization: `Bearer ${given.bearer}` }
  switch (given) {
    case 'none':
      return {}
    case 'secret key':
      return { apikey: project.keys.secretKey }
    case 'secret bearer':
      return { authorization: `Bearer ${project.keys.secretKey}` }
    case 'owner':
      return { authorization: `Bearer ${owner.accessToken}` }
    case 'publishable key':
      return { apikey: project.keys.publishableKey }
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

async function send(name: string, sent: Sent): Promise<Answer> {
  const bytes = Buffer.isBuffer(sent.body) ? sent.body : Buffer.from(filledIn(sent.body))
  const outgoing = open(addressOf(name, sent.method) + sent.path, {
    method: sent.method,
    agent: false,
    signal: AbortSignal.timeout(PATIENCE_MS),
    headers: {
      'content-type': 'application/json',
      ...sent.headers,
      ...credentialHeaders(sent.credential),
      ...(sent.chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': bytes.length }),
    },
  })
  if (sent.chunked) outgoing.write(bytes.subarray(0, 10))
  outgoing.end(sent.chunked ? bytes.subarray(10) : bytes)
  const [incoming]: IncomingMessage[] = await once(outgoing, 'response')
  if (!incoming) throw new Error('no answer came')
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    text: decoded(await buffer(incoming), incoming.headers['content-encoding']),
  }
}

/** Through the gateway, but for methods that its HTTP parser refuses. */
function addressOf(name: string, method: string): string {
  const gateway = name === 'handle-new-user' ? hooked : project.services.gateway
  if (METHODS.includes(method)) return `${gateway.url}/functions/v1/${name}`
  const process = gateway.functions.processes().find((each) => each.name === name)
  if (!process) throw new Error(`${name} does not run`)
  return `http://127.0.0.1:${process.port}/${name}`
}

function decoded(bytes: Buffer, encoding: string | undefined): string {
  switch (encoding) {
    case undefined:
    // What graphql-yoga says of events.
    case 'none':
      return bytes.toString()
    case 'gzip':
      return gunzipSync(bytes).toString()
    case 'br':
      return brotliDecompressSync(bytes).toString()
    case 'deflate':
      return inflateSync(bytes).toString()
    default:
      throw new Error(`encoded as ${encoding}`)
  }
}

/** Neither an error of the function's own, nor anything about its insides. */
function expectToBeUnharmed({ status, text }: Answer): void {
  expect(status, text).toBeLessThan(500)
  expect(text).not.toMatch(/\bat .*:\d+:\d+|node_modules|file:\/\/|PostgresError/)
}

function expectProblem({ status, headers, text }: Answer, method = 'POST'): void {
  expect(status, text).toBeGreaterThanOrEqual(400)
  expect(headers['content-type']).toBe('application/problem+json')
  // Of an answer to HEAD only the headers come.
  if (method === 'HEAD') expect(text).toBe('')
  else
    expect(JSON.parse(text)).toMatchObject({
      type: expect.stringMatching(/^urn:tenant-provisioning:problem:\w+$/),
      title: expect.any(String),
      status,
      detail: expect.any(String),
      code: expect.any(String),
    })
}

/** Only POST is for the functions to answer, as they document it. */
function expectAnswerTo(sent: Sent, answer: Answer, ofPost: (answer: Answer) => void): void {
  expectToBeUnharmed(answer)
  if (sent.method === 'POST') ofPost(answer)
  else if (sent.method === 'OPTIONS') expect([answer.status, answer.text]).toEqual([204, ''])
  else {
    expectProblem(answer, sent.method)
    expect(answer.status).toBe(405)
  }
}

function expectSuccessOrProblem(answer: Answer): void {
  if (answer.status >= 300) expectProblem(answer)
  else {
    expect(answer.headers['content-type']).toBe('application/json')
    expect(JSON.parse(answer.text)).toBeTypeOf('object')
  }
}

/** Those that read a body; metrics.test.ts is about the one that does not. */
const HTTP_FUNCTIONS = EVERY_FUNCTION.filter((name) => !['graphql', 'metrics'].includes(name))

describe.each(HTTP_FUNCTIONS)('%s', (name) => {
  it('survives odd values in every field of a request that is let in', async () => {
    const { bodies, fields } = knownOf(name)
    const oddField = fc.tuple(fc.constantFrom(...fields), fc.oneof(oddText, oddText, value, metadata))
    // The dice would seldom bring each of these, and every field has to hold against them.
    const unstorable = bodies.flatMap((known) =>
      fields.flatMap((each) => UNSTORABLE.map((text): [object, [string, unknown]] => [known, [each, text]])),
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...bodies), oddField, async (known, [odd, given]) => {
        const sent = { ...plain, body: JSON.stringify({ ...known, [odd]: given }) }
        expectAnswerTo(sent, await send(name, sent), expectSuccessOrProblem)
      }),
      { numRuns: unstorable.length + RUNS, examples: unstorable },
    )
  })

  it('answers any request with success or a problem, never with an error of its own', async () => {
    // So that the chances of the dice do not decide how far the requests get.
    const bodies = [...knownOf(name).bodies.map((body) => JSON.stringify(body)), ...ODD_BODIES]
    const past = bodies.flatMap((body): [Sent][] => [
      [{ ...plain, body }],
      [{ ...plain, body, method: 'DELETE', chunked: true }],
    ])
    const statuses = new Set<number>()
    await fc.assert(
      fc.asyncProperty(requestOf(bodyFor(name)), async (sent) => {
        const answer = await send(name, sent)
        expectAnswerTo(sent, answer, expectSuccessOrProblem)
        statuses.add(answer.status)
      }),
      { numRuns: RUNS * 1.5, examples: past },
    )
    expect([...statuses]).toEqual(expect.arrayContaining([400, 401, 405]))
  })
})

describe('provision-tenant-resources, by the e-mail address of a user who has no rows yet', () => {
  it('survives any metadata', async () => {
    // Their tenants are not what this is about.
    for (const [emulator, operation] of [
      [project.neonEmulator, 'createProject'],
      [project.stripeEmulator, 'PostCustomers'],
    ] as const)
      emulator.faults.add({ match: { operation }, action: { type: 'status', status: 400 } })
    await fc.assert(
      fc.asyncProperty(metadata, async (given) => {
        const { email } = await project.superuser.begin(async (tx) => {
          await tx`set local search_path = auth`
          await tx`set local session_replication_role = replica`
          return signUp(tx)
        })
        const sent = { ...plain, body: JSON.stringify({ email, metadata: given }) }
        expectAnswerTo(sent, await send('provision-tenant-resources', sent), expectSuccessOrProblem)
      }),
      { numRuns: RUNS / 4 },
    )
  })
})

describe('handle-new-user', () => {
  it('answers a signed hook of any content with an empty object, so that no sign-up fails', async () => {
    const hook = json(
      fc.record(
        {
          metadata: fc.oneof(
            fc.record({
              name: fc.oneof(fc.constantFrom('after-user-created', 'before-user-created'), value),
            }),
            value,
          ),
          user: fc.oneof(fc.record({ id: value, user_metadata: metadata }), value),
        },
        { requiredKeys: [] },
      ),
    )
    // Auth signs and sends JSON texts; bytes that are no text are nothing that it could have signed.
    const content = fc.oneof(
      hook,
      hook,
      json(fc.jsonValue()),
      fc.string({ unit: 'grapheme', maxLength: 200 }),
    )
    await fc.assert(
      fc.asyncProperty(content, headers, async (body, odd) => {
        const [id, now] = [crypto.randomUUID(), new Date()]
        const signature = {
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': new Webhook(HOOK_SECRET).sign(id, now, filledIn(body)),
        }
        const sent: Sent = { ...plain, credential: 'none', headers: { ...odd, ...signature }, body }
        const { status, headers: replied, text } = await send('handle-new-user', sent)
        expect([status, text, replied['content-type']]).toEqual([200, '{}', 'application/json'])
      }),
      {
        numRuns: RUNS,
        examples: [[JSON.stringify({ metadata: { name: 'after-user-created' }, user: { id: USER } }), {}]],
      },
    )
  })
})

describe('graphql', () => {
  const OPERATIONS = [
    'query ($a: ID!) { provisioningStatus(organizationId: $a) { overall } }',
    'query ($a: ID!, $b: Int!, $c: String) { provisioningEvents(organizationId: $a, first: $b, after: $c) { id } }',
    'query ($a: ID!, $b: DateTime!) { tenantHealthHistory(organizationId: $a, since: $b) { at } }',
    'query ($a: TenantFilter, $b: TenantSort!) { tenants(filter: $a, sort: $b) { __typename } }',
    'query ($a: ID!) { tenantConnectionInfo(organizationId: $a) { host } tenantAlerts(organizationId: $a) { id } }',
    'mutation ($a: ID!, $b: [String!]) { retryTenantProvisioning(organizationId: $a, services: $b) { jobId } }',
    'mutation ($a: String!, $b: JSON) { provisionUserResources(email: $a, metadata: $b) { success } }',
    `mutation ($b: JSON) { provisionUserResources(email: "${EMAIL}", metadata: $b) { success } }`,
    '{ __typename }',
    '{ nothing }',
  ]
  const operation = fc.record({
    query: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...OPERATIONS) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
      { weight: 1, arbitrary: value },
    ),
    variables: fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ a: value, b: fc.oneof(value, metadata), c: value }, { requiredKeys: [] }),
      },
      { weight: 1, arbitrary: value },
    ),
  })
  const anything = fc.oneof(
    { weight: 3, arbitrary: json(operation) },
    { weight: 1, arbitrary: bodyFor('graphql') },
  )

  const ACCEPTED = ['application/json', 'application/graphql-response+json', 'text/event-stream', '*/*']
  const NOT_ACCEPTED = ['text/html', 'multipart/mixed', 'application/json;charset=utf-16']
  /** So that the chances of the dice do not decide how deep the requests get. */
  const PAST_THE_DOOR: [Sent, Record<string, string>][] = [
    [{ ...plain, body: '{}', credential: 'none' }, {}],
    [{ ...plain, body: JSON.stringify({ query: OPERATIONS[0], variables: { a: 'x' } }) }, {}],
    ...ODD_BODIES.map((body): [Sent, Record<string, string>] => [{ ...plain, body }, {}]),
    ...['a\u0000b', '\ud800'].map((odd): [Sent, Record<string, string>] => [
      { ...plain, body: JSON.stringify({ query: OPERATIONS[7], variables: { b: { [odd]: odd } } }) },
      {},
    ]),
    ...[...ACCEPTED, ...NOT_ACCEPTED].flatMap((accept): [Sent, Record<string, string>][] => [
      [{ ...plain, body: JSON.stringify({ query: '{ __typename }' }) }, { accept }],
      [{ ...plain, body: JSON.stringify({ query: OPERATIONS[0], variables: {} }) }, { accept }],
    ]),
  ]

  const accepting = fc.oneof(
    headers,
    fc.tuple(headers, HEADERS.accept ?? fc.constant('*/*')).map(([odd, accept]) => ({ ...odd, accept })),
  )

  interface Result {
    readonly data?: unknown
    readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[]
  }

  /** The one result in an answer of a documented media type; undefined for any other type. */
  function resultIn({ headers: { 'content-type': type = '' }, text }: Answer): Result | undefined {
    if (/^application\/(json|graphql-response\+json); charset=utf-8$/.test(type)) return JSON.parse(text)
    if (type !== 'text/event-stream') return undefined
    const events = [...text.matchAll(/^data: (.+)$/gm)].map(([, data = '']) => data)
    expect(events).toHaveLength(1)
    return JSON.parse(events.join())
  }

  it('answers any request with data, errors that have a code, or a problem', async () => {
    const codes = new Set<unknown>()
    await fc.assert(
      fc.asyncProperty(requestOf(anything), accepting, async (request, accepted) => {
        const sent = { ...request, headers: accepted }
        expectAnswerTo(sent, await send('graphql', sent), (answer) => {
          const result = resultIn(answer)
          if (!result) {
            expectProblem(answer)
            codes.add(JSON.parse(answer.text).code)
            return
          }
          expect([200, 400]).toContain(answer.status)
          if (answer.status === 400) expect(result.data ?? null).toBeNull()
          const found = (result.errors ?? []).map(({ extensions }) => extensions?.code)
          expect(found).not.toContain(undefined)
          expect(found).not.toContain('internal_error')
          for (const code of found) codes.add(code)
        })
      }),
      { numRuns: RUNS * 3, examples: PAST_THE_DOOR },
    )
    for (const code of ['invalid_argument', 'invalid_query', 'not_acceptable', 'unauthorized'])
      expect(codes, 'it has got past the door').toContain(code)
  })

  it.each(NOT_ACCEPTED)('does nothing for who accepts no answer but %s', async (accept) => {
    const audited = async () =>
      (await project.sql`select from public.audit_logs where organization_id = ${owner.organizationId}`)
        .length
    const before = await audited()
    const query = `mutation { retryTenantProvisioning(organizationId: "${ORGANIZATION}") { jobId } }`
    const answer = await send('graphql', { ...plain, headers: { accept }, body: JSON.stringify({ query }) })
    expectProblem(answer)
    expect(answer.status).toBe(406)
    expect(await audited()).toBe(before)
  })
})
