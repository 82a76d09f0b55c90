import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject } from '../support/project.ts'

/** Each function with the fields of its body, beside organizationId. */
const FUNCTIONS: [name: string, fields: string[]][] = [
  ['provision-tenant-resources', ['databaseSize', 'dataRegion', 'services', 'wait']],
  ['deprovision-tenant-resources', ['confirm', 'dryRun', 'wait']],
  ['reconcile-tenants', ['dryRun', 'wait']],
  ['check-tenant-health', ['deep']],
  ['handle-new-user', ['userId', 'type', 'schema', 'table', 'record']],
]
const RUNS = 80
/** Stands for the project's secret key. */
const SECRET = 'the secret key'

/** Stands for an organization that exists, which leads behind the first checks. */
const ORGANIZATION = '00000000-aaaa-4aaa-8aaa-000000000000'

let project: TestProject
let organizationId: string
let userId: string

beforeAll(async () => {
  project = await startTestProject()
  ;({ organizationId, userId } = await project.signUp())
})

afterAll(async () => {
  await project?.stop()
})

/** Values that look like what the functions expect, next to ones that do not. */
const value = fc.oneof(
  fc.uuid(),
  fc.constantFrom(
    ORGANIZATION,
    ORGANIZATION,
    ['stripe'],
    'small',
    'eu',
    '\u0000',
    false,
    null,
    '',
    0,
    -1,
    1e308,
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.array(fc.string({ maxLength: 8 }), { maxLength: 4 }),
  fc.jsonValue({ maxDepth: 3 }),
)
const oddText = fc.constantFrom(
  '\u0000',
  'a\u0000b',
  '\ud800',
  '💥',
  ' ',
  '\n',
  "'; select 1 --",
  'x'.repeat(70),
)
const field = fc.oneof(
  fc.constantFrom('organizationId', 'services', 'databaseSize', 'dataRegion', 'wait', 'confirm', 'dryRun'),
  fc.constantFrom('jobId', 'expiresAt', 'signature', '__proto__', 'constructor', ''),
  fc.string({ maxLength: 12 }),
)
const body = fc.oneof(
  fc
    .record({ databaseSize: value, dataRegion: value, services: value, confirm: value }, { requiredKeys: [] })
    .map((fields) => JSON.stringify({ ...fields, organizationId: ORGANIZATION })),
  fc.dictionary(field, value, { maxKeys: 6 }).map((fields) => JSON.stringify(fields)),
  fc.json(),
  fc.string({ unit: 'binary', maxLength: 200 }),
)
const authorization = fc.oneof(
  fc.constant(undefined),
  fc.constant(SECRET),
  fc.constant(SECRET),
  fc.string({ unit: fc.constantFrom(...'abcXYZ019._-+/=~ '), maxLength: 60 }).map((text) => `Bearer ${text}`),
)
const method = fc.constantFrom('POST', 'POST', 'POST', 'POST', 'GET', 'PUT', 'PATCH', 'DELETE')

async function send(
  name: string,
  request: { method: string; body: string; authorization: string | undefined },
) {
  const credential =
    request.authorization === SECRET ? `Bearer ${project.keys.secretKey}` : request.authorization
  return fetch(`${project.services.url}/functions/v1/${name}`, {
    method: request.method,
    headers: { 'content-type': 'application/json', ...(credential ? { authorization: credential } : {}) },
    ...(request.method === 'GET' ? {} : { body: request.body.replaceAll(ORGANIZATION, organizationId) }),
  })
}

/** What a function lets in, so that the odd field is all there is to refuse. */
function validBody(name: string): object {
  if (name === 'reconcile-tenants') return {}
  if (name === 'handle-new-user')
    return { type: 'INSERT', schema: 'auth', table: 'users', record: { id: userId } }
  return { organizationId }
}

async function expectNoErrorOfItsOwn(reply: Response): Promise<void> {
  const text = await reply.text()
  expect(reply.status, text).toBeLessThan(500)
  expect(text).not.toMatch(/\bat .*:\d+:\d+|node_modules|file:\/\//)
  if (reply.status < 400) return
  expect(reply.headers.get('content-type')).toBe('application/problem+json')
  expect(JSON.parse(text)).toMatchObject({
    status: reply.status,
    code: expect.any(String),
    detail: expect.any(String),
  })
}

describe.each(FUNCTIONS)('%s', (name, fields) => {
  it('survives odd texts in every field of a request that is let in', async () => {
    const oddField = fc.tuple(fc.constantFrom(...fields), fc.oneof(oddText, oddText, value))
    await fc.assert(
      fc.asyncProperty(oddField, async ([odd, text]) => {
        const sent = JSON.stringify({ ...validBody(name), [odd]: text })
        await expectNoErrorOfItsOwn(await send(name, { method: 'POST', body: sent, authorization: SECRET }))
      }),
      { numRuns: RUNS },
    )
  })

  it('answers whatever it is sent with success or a problem, never with an error of its own', async () => {
    await fc.assert(
      fc.asyncProperty(fc.record({ method, body, authorization }), async (request) => {
        await expectNoErrorOfItsOwn(await send(name, request))
      }),
      { numRuns: RUNS },
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
    '{ __typename }',
    '{ nothing }',
  ]
  const operation = fc.record({
    query: fc.oneof(fc.constantFrom(...OPERATIONS), fc.string({ unit: 'binary', maxLength: 60 }), value),
    variables: fc.oneof(fc.record({ a: value, b: value, c: value }, { requiredKeys: [] }), value),
  })
  const anything = fc.oneof(
    { weight: 3, arbitrary: operation.map((sent) => JSON.stringify(sent)) },
    { weight: 1, arbitrary: body },
  )

  /** So that the chances of the dice do not decide how deep the requests get. */
  const PAST_THE_DOOR = [
    {
      method: 'POST',
      body: JSON.stringify({ query: OPERATIONS[0], variables: { a: 'x' } }),
      authorization: SECRET,
    },
    { method: 'POST', body: JSON.stringify({ query: '{ nothing }' }), authorization: SECRET },
    { method: 'POST', body: '{}', authorization: undefined },
  ]

  it('answers whatever it is sent with data, errors that have a code, or a problem', async () => {
    const codes = new Set<unknown>()
    await fc.assert(
      fc.asyncProperty(fc.record({ method, body: anything, authorization }), async (request) => {
        const reply = await send('graphql', request)
        const text = await reply.text()
        expect(reply.status, text).toBeLessThan(500)
        expect(text).not.toMatch(/\bat .*:\d+:\d+|node_modules|file:\/\//)
        const { errors = [], code } = JSON.parse(text)
        for (const { extensions } of errors) codes.add(extensions?.code)
        if (code !== undefined) codes.add(code)
        expect([...codes]).not.toContain(undefined)
        expect([...codes]).not.toContain('internal_error')
      }),
      { numRuns: RUNS * 3, examples: PAST_THE_DOOR.map((request) => [request]) },
    )
    expect(codes, 'it has got past the door').toContain('invalid_argument')
    expect(codes).toContain('invalid_query')
    expect(codes).toContain('unauthorized')
  })
})
