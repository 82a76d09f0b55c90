import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeCursor } from '../../shared/graphql/arguments.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { operatorOf, tenants } from '../cli/cli.ts'
import { startTestProject, type TestProject } from '../support/project.ts'
import { ask, bearer } from './graphql-client.ts'

/** npm run test:long tries more. */
const RUNS = Math.ceil(Number(process.env.PROPERTY_RUNS ?? 40) / 10)
const PASSWORD = 'correct horse'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject({
    settings: { user_calls_per_minute: 1_000_000, provision_on: 'email_confirmed' },
  })
})

afterAll(() => project?.stop())

/** Postgres takes any 128 bits as a uuid, and seed files are full of such ids. Auth refuses the nil one. */
const anyUuid = fc
  .stringMatching(/^[0-9a-f]{32}$/)
  .filter((digits) => !/^0+$/.test(digits))
  .map((digits) => digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'))
const localPart = fc.stringMatching(/^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,40}$/)
const label = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?$/)
/** As somebody has typed it; Auth writes it in lower case. */
const anyAddress = fc
  .tuple(localPart, fc.array(label, { minLength: 1, maxLength: 3 }))
  .map(([local, labels]) => `${local}@${labels.join('.')}`)

interface Seed {
  readonly userId: string
  readonly organizationId: string
  readonly typed: string
}

const anySeed: fc.Arbitrary<Seed> = fc.record({
  userId: anyUuid,
  organizationId: anyUuid,
  typed: anyAddress,
})

interface Person extends Seed {
  readonly email: string
  readonly accessToken: string
}

/** Somebody whom Auth has taken, in an organization whose id is as odd: one of the project's own table may have any. */
async function personOf(seed: Seed): Promise<Person> {
  const client = supabaseClient(project.services.url, project.keys.publishableKey)
  const { data, error } = await project.admin.auth.admin.createUser({
    id: seed.userId,
    email: seed.typed,
    password: PASSWORD,
    email_confirm: true,
    app_metadata: { provision: false },
  })
  if (error) throw error
  const email = data.user.email ?? ''
  await project.sql.begin(async (tx) => {
    await tx`
      select provisioning.make_tenant(${seed.userId}, ${email}, '{}', 'request', true, ${seed.organizationId})`
    await tx`
      update public.profiles set organization_id = ${seed.organizationId} where id = ${seed.userId}`
  })
  await project.admin.auth.admin.updateUserById(seed.userId, { app_metadata: { provision: null } })
  const signedIn = await client.auth.signInWithPassword({ email: seed.typed, password: PASSWORD })
  if (signedIn.error) throw signedIn.error
  return { ...seed, email, accessToken: signedIn.data.session.access_token }
}

/** @returns the reply, and whether the request was taken */
async function callFunction(name: string, body: object, headers: Readonly<Record<string, string>> = {}) {
  const reply = await fetch(`${project.services.url}/functions/v1/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', apikey: project.keys.secretKey, ...headers },
    body: JSON.stringify(body),
  })
  return { isTaken: reply.ok, ...(await reply.json()) }
}

/** What each entry answers about a person, and what it has to answer. */
type Entry = (person: Person) => Promise<readonly [answer: unknown, wanted: unknown]>

const asService = (query: string, variables: Readonly<Record<string, unknown>>) =>
  ask(project, { apikey: project.keys.secretKey }, query, variables)
const asPerson = (
  { accessToken }: Person,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
) => ask(project, bearer(accessToken), query, variables)
/** Errors first: they say what was wrong with the value. */
const dataOf = ({ errors, data }: Awaited<ReturnType<typeof ask>>) => (errors.length > 0 ? errors : data)
/** What begins with a hyphen is no option behind the two. @returns the document, or what kept the command from one */
async function cli(command: string, subject: string, ...options: string[]): Promise<unknown> {
  const args = [command, ...options, '--json', '--', subject]
  const { stdout, stderr } = await tenants(operatorOf(project), ...args)
  return stdout === '' ? stderr : JSON.parse(stdout)
}
const upper = (text: string) => text.toUpperCase()

const ENTRIES: Readonly<Record<string, Entry>> = {
  'the sign-up’s trigger': async ({ userId, organizationId, email }) => [
    (await project.sql`select email, organization_id from public.profiles where id = ${userId}`)[0],
    { email, organization_id: organizationId },
  ],
  'GraphQL: myOrganizations': async (person) => [
    dataOf(await asPerson(person, '{ myOrganizations { id } }')),
    { myOrganizations: [{ id: person.organizationId }] },
  ],
  'GraphQL: an organization by its id': async (person) => [
    dataOf(
      await asPerson(
        person,
        `query ($id: ID!) {
          provisioningStatus(organizationId: $id) { organizationId }
          members(organizationId: $id) { userId email }
          apiKeys(organizationId: $id) { id }
          expectedMembers(organizationId: $id) { email }
          tenantAlerts(organizationId: $id) { id }
        }`,
        { id: upper(person.organizationId) },
      ),
    ),
    {
      provisioningStatus: { organizationId: person.organizationId },
      members: [{ userId: person.userId, email: person.email }],
      apiKeys: [],
      expectedMembers: [],
      tenantAlerts: [],
    },
  ],
  'GraphQL: the cursors of lists': async (person) => {
    const page = 'query ($id: ID!, $after: String) { members(organizationId: $id, after: $after) { cursor } }'
    const first = await asPerson(person, page, { id: person.organizationId })
    const after = first.data?.members[0].cursor
    const odd = encodeCursor(['2000-01-01T00:00:00Z', person.userId])
    const events = `query ($id: ID!, $odd: String) {
      provisioningEvents(organizationId: $id, after: $odd) { id } tenantAlerts(after: $odd) { id } }`
    return [
      [
        dataOf(await asPerson(person, page, { id: person.organizationId, after })),
        dataOf(await asPerson(person, events, { id: person.organizationId, odd })),
      ],
      [{ members: [] }, { provisioningEvents: [], tenantAlerts: [] }],
    ]
  },
  'GraphQL: the list of tenants and its cursor': async (person) => {
    const page = `query ($search: String, $after: String) {
      tenants(filter: { search: $search }, page: { first: 1, after: $after }) { nodes { id } endCursor } }`
    const first = await asService(page, { search: person.email })
    const after = first.data?.tenants.endCursor
    return [
      [
        first.data?.tenants.nodes,
        dataOf(await asService(page, { search: person.email, after })).tenants?.nodes,
      ],
      [[{ id: person.organizationId }], []],
    ]
  },
  'GraphQL: a tenant by address and by ids': async (person) => [
    dataOf(
      await asService(
        `query ($email: String, $id: ID, $user: ID) {
          byEmail: tenant(email: $email) { id } byId: tenant(id: $id) { id } byUser: tenant(id: $user) { id ownerEmail }
        }`,
        { email: person.typed, id: upper(person.organizationId), user: person.userId },
      ),
    ),
    {
      byEmail: { id: person.organizationId },
      byId: { id: person.organizationId },
      byUser: { id: person.organizationId, ownerEmail: person.email },
    },
  ],
  'GraphQL: tenantVerification': async (person) => [
    dataOf(
      await asService(
        `query ($email: String!, $id: String!, $user: String!) {
          byEmail: tenantVerification(subject: $email) { userId }
          byId: tenantVerification(subject: $id) { organizationId }
          byUser: tenantVerification(subject: $user) { userId }
        }`,
        { email: person.typed, id: person.organizationId, user: upper(person.userId) },
      ),
    ),
    {
      byEmail: { userId: person.userId },
      byId: { organizationId: person.organizationId },
      byUser: { userId: person.userId },
    },
  ],
  'GraphQL: expectMember': async (person) => {
    const other = `x${person.typed}`
    const variables = { id: person.organizationId, email: other }
    const expecting = await asPerson(
      person,
      'mutation ($id: ID!, $email: String!) { expectMember(organizationId: $id, email: $email) { email } }',
      variables,
    )
    const withdrawing = await asPerson(
      person,
      'mutation ($id: ID!, $email: String!) { withdrawExpectation(organizationId: $id, email: $email) }',
      variables,
    )
    return [
      [dataOf(expecting), dataOf(withdrawing)],
      [{ expectMember: { email: other.toLowerCase() } }, { withdrawExpectation: true }],
    ]
  },
  'GraphQL: provisionUserResources': async (person) => [
    dataOf(
      await asService(
        'mutation ($email: String!) { provisionUserResources(email: $email) { success errors organizationId } }',
        { email: person.typed },
      ),
    ),
    { provisionUserResources: { success: true, errors: [], organizationId: person.organizationId } },
  ],
  'handle-new-user: by hand': async ({ userId }) => [
    await callFunction('handle-new-user', { userId }),
    expect.objectContaining({ isTaken: true, userId }),
  ],
  'handle-new-user: a webhook’s event': async ({ userId }) => [
    await callFunction('handle-new-user', {
      type: 'INSERT',
      schema: 'auth',
      table: 'users',
      record: { id: userId },
    }),
    expect.objectContaining({ isTaken: true, userId }),
  ],
  'provision-tenant-resources': async ({ organizationId, typed }) => [
    [
      await callFunction('provision-tenant-resources', { organizationId: upper(organizationId) }),
      await callFunction('provision-tenant-resources', { clientId: organizationId, orgEmail: typed }),
      await callFunction('provision-tenant-resources', { email: typed }),
    ],
    [1, 2, 3].map(() => expect.objectContaining({ isTaken: true, organizationId })),
  ],
  'check-tenant-health': async ({ organizationId }) => [
    await callFunction('check-tenant-health', { organizationId: upper(organizationId) }),
    expect.objectContaining({ isTaken: true, organizationId }),
  ],
  'deprovision-tenant-resources': async ({ organizationId }) => [
    await callFunction('deprovision-tenant-resources', {
      organizationId: upper(organizationId),
      dryRun: true,
    }),
    expect.objectContaining({ isTaken: true, organizationId }),
  ],
  'tenant-graphql': async ({ organizationId, accessToken }) => [
    await callFunction(
      'tenant-graphql',
      { query: '{ __typename }' },
      { ...bearer(accessToken), 'x-organization-id': upper(organizationId) },
    ),
    expect.objectContaining({ isTaken: true, data: { __typename: 'Query' } }),
  ],
  'the command: status': async ({ typed, userId, organizationId }) => {
    const subjects = [typed, upper(userId), upper(organizationId)]
    const found = []
    for (const subject of subjects) found.push(await cli('status', subject))
    return [found, subjects.map(() => expect.objectContaining({ organization_id: organizationId }))]
  },
  'the command: expect': async ({ typed, organizationId }) => {
    const email = `x${typed}`
    return [
      [
        await cli('expect', email, '--organization', organizationId),
        await cli('expect', email, '--organization', upper(organizationId), '--withdraw'),
      ],
      [{ expected: expect.objectContaining({ email: email.toLowerCase() }) }, { withdrawn: email }],
    ]
  },
  'the command: provision': async ({ typed, organizationId }) => [
    await cli('provision', typed, '--no-wait'),
    expect.objectContaining({ organization_id: organizationId }),
  ],
  'the command: list': async ({ email, organizationId }) => {
    const { stdout, stderr } = await tenants(operatorOf(project), 'list', `--search=${email}`, '--json')
    return [
      stdout === '' ? stderr : JSON.parse(stdout).tenants,
      [expect.objectContaining({ id: organizationId })],
    ]
  },
}

it('takes each id that Postgres takes, and each address that Auth takes', async () => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(anySeed, async (seed) => {
      // No two people of a project have one address, and the generator likes short ones.
      const person = await personOf({ ...seed, typed: `${seed.typed}${runs++}x` })
      const answers: Record<string, unknown> = {}
      const wanted: Record<string, unknown> = {}
      for (const [name, entry] of Object.entries(ENTRIES)) [answers[name], wanted[name]] = await entry(person)
      expect(answers).toEqual(wanted)
    }),
    {
      numRuns: RUNS,
      endOnFailure: true,
      examples: [
        [
          {
            userId: '11111111-1111-1111-1111-111111111111',
            organizationId: '22222222-2222-2222-2222-222222222222',
            typed: 'ann@intranet',
          },
        ],
        [
          {
            userId: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
            organizationId: '00000000-0000-0000-0000-000000000001',
            typed: "-O'Brien.@a-b",
          },
        ],
      ],
    },
  )
}, 120_000)
