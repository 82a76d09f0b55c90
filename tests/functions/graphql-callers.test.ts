import { readFileSync } from 'node:fs'
import { buildSchema, getNamedType, isLeafType, isObjectType, isRequiredArgument } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject } from '../support/project.ts'
import { ask, type Cast, castOf, type GraphqlReply, type Person } from './graphql-client.ts'

const schema = buildSchema(
  readFileSync(new URL('../../shared/generated/schema.graphql', import.meta.url), 'utf8'),
)

let project: TestProject
let cast: Cast

beforeAll(async () => {
  project = await startTestProject({
    settings: { organization_acts_per_minute: 1_000, user_acts_per_minute: 1_000 },
  })
  cast = await castOf(project)
  await project.sql`
    select provisioning.open_alert(${cast.organizationId}, 'provision_failed', 'critical', 'Something is wrong.')`
})

afterAll(() => project?.stop())

const EVERYBODY: readonly Person[] = ['stranger', 'member', 'admin', 'owner', 'operator', 'service']

/** What a person is answered: `rows` of ours, `nothing` of ours, or an error's code. */
type Answer = 'rows' | 'nothing' | 'forbidden'

interface Expectation {
  readonly query: string
  readonly variables?: () => Record<string, unknown>
  readonly answers: Readonly<Record<Person, Answer>>
}

const insideOnly: Record<Person, Answer> = {
  stranger: 'nothing',
  member: 'rows',
  admin: 'rows',
  owner: 'rows',
  operator: 'nothing',
  service: 'rows',
}
const headsOnly: Record<Person, Answer> = {
  stranger: 'forbidden',
  member: 'forbidden',
  admin: 'rows',
  owner: 'rows',
  operator: 'forbidden',
  service: 'rows',
}
const operatorsOnly: Record<Person, Answer> = {
  stranger: 'forbidden',
  member: 'forbidden',
  admin: 'forbidden',
  owner: 'forbidden',
  operator: 'rows',
  service: 'rows',
}
const OPERATIONS: Readonly<Record<string, Expectation>> = {
  myOrganizations: {
    query: '{ myOrganizations { id } }',
    // The service role is no member of anything.
    answers: { ...insideOnly, service: 'nothing' },
  },
  provisioningEvents: {
    query: 'query ($id: ID!) { provisioningEvents(organizationId: $id) { id } }',
    answers: insideOnly,
  },
  provisioningStatus: {
    query: 'query ($id: ID!) { provisioningStatus(organizationId: $id) { organizationId steps { step } } }',
    answers: { ...insideOnly, operator: 'rows' },
  },
  'tenantAlerts of one organization': {
    query: 'query ($id: ID!) { tenantAlerts(organizationId: $id) { id organizationId } }',
    answers: insideOnly,
  },
  'tenantAlerts of all': {
    query: '{ tenantAlerts { id organizationId } }',
    answers: insideOnly,
  },
  tenantConnectionInfo: {
    query: 'query ($id: ID!) { tenantConnectionInfo(organizationId: $id) { host } }',
    answers: headsOnly,
  },
  tenants: {
    query: '{ tenants(page: { first: 100 }) { nodes { id } } }',
    answers: operatorsOnly,
  },
  'tenant, with history and health': {
    query: `query ($id: ID!) { tenant(id: $id) { name provisioning { organizationId }
      events { id } alerts { organizationId } healthDetails { status } healthHistory { at } } }`,
    answers: operatorsOnly,
  },
  tenantVerification: {
    query: 'query ($id: String!) { tenantVerification(subject: $id) { organizationId } }',
    variables: () => ({ id: cast.owner.email }),
    answers: operatorsOnly,
  },
  provisionTenant: {
    query: 'mutation ($id: ID!) { provisionTenant(organizationId: $id) { organizationId jobId } }',
    answers: headsOnly,
  },
  retryTenantProvisioning: {
    query: 'mutation ($id: ID!) { retryTenantProvisioning(organizationId: $id) { organizationId jobId } }',
    answers: headsOnly,
  },
  createApiKey: {
    query:
      'mutation ($id: ID!) { createApiKey(organizationId: $id, name: "Made here") { apiKey { organizationId } } }',
    answers: headsOnly,
  },
  apiKeys: {
    query: 'query ($id: ID!) { apiKeys(organizationId: $id) { id organizationId } }',
    answers: { ...insideOnly, member: 'nothing' },
  },
  requestAccess: {
    query: 'mutation ($id: ID!) { requestAccess(organizationId: $id) { jobId login { organizationId } } }',
    answers: headsOnly,
  },
  'requestAccess of the owner’s role': {
    query:
      'mutation ($id: ID!) { requestAccess(organizationId: $id, role: OWNER) { jobId login { organizationId } } }',
    answers: { ...headsOnly, admin: 'forbidden' },
  },
  accessLogins: {
    query: 'query ($id: ID!) { accessLogins(organizationId: $id) { id organizationId } }',
    answers: headsOnly,
  },
  expectMember: {
    query:
      'mutation ($id: ID!) { expectMember(organizationId: $id, email: "new@example.com") { id organizationId } }',
    answers: headsOnly,
  },
  members: {
    query: 'query ($id: ID!) { members(organizationId: $id) { userId organizationId } }',
    answers: insideOnly,
  },
  expectedMembers: {
    query: 'query ($id: ID!) { expectedMembers(organizationId: $id) { id organizationId } }',
    answers: headsOnly,
  },
  updateOrganization: {
    query: 'mutation ($id: ID!) { updateOrganization(organizationId: $id, name: "Ours") { organizationId } }',
    answers: headsOnly,
  },
  'deleteOrganization, a dry run': {
    query: 'mutation ($id: ID!) { deleteOrganization(organizationId: $id, dryRun: true) { organizationId } }',
    answers: { ...headsOnly, admin: 'forbidden' },
  },
  provisionUserResources: {
    query: 'mutation ($email: String!) { provisionUserResources(email: $email) { success organizationId } }',
    variables: () => ({ email: cast.owner.email }),
    answers: {
      stranger: 'forbidden',
      member: 'forbidden',
      admin: 'forbidden',
      owner: 'forbidden',
      operator: 'forbidden',
      service: 'rows',
    },
  },
}

function answerOf({ data, errors, text }: GraphqlReply): string {
  if (errors[0]) return errors[0].extensions.code
  if (text.includes(cast.organizationId) || text.includes('"host"')) return 'rows'
  const [value] = Object.values(data)
  return Array.isArray(value) && value[0]?.id ? 'rows' : 'nothing'
}

for (const [name, { query, variables, answers }] of Object.entries(OPERATIONS)) {
  describe(name, () => {
    it.each(EVERYBODY.map((person) => [person, answers[person]] as const))(
      'answers a %s: %s',
      async (person, answer) => {
        const given = variables?.() ?? { id: cast.organizationId }
        const reply = await ask(
          project,
          cast.credentials(person),
          query,
          query.includes('$') ? given : undefined,
        )
        expect(reply.status).toBe(200)
        // A stranger's own organization has no history that is ours, but does exist.
        if (name === 'myOrganizations' && answer === 'nothing') {
          expect(reply.text).not.toContain(cast.organizationId)
          expect(reply.errors).toEqual([])
        } else expect(answerOf(reply)).toBe(answer)
      },
    )
  })
}

describe('cancelProvisioning', () => {
  const cancel = 'mutation ($id: ID!) { cancelProvisioning(organizationId: $id) { jobId undoJobId } }'

  it.each<[Person, string]>([
    ['stranger', 'forbidden'],
    ['member', 'forbidden'],
    ['operator', 'forbidden'],
    // These may; the tenant is ready.
    ['admin', 'nothing_to_cancel'],
    ['owner', 'nothing_to_cancel'],
    ['service', 'nothing_to_cancel'],
  ])('answers a %s: %s', async (person, code) => {
    const reply = await ask(project, cast.credentials(person), cancel, { id: cast.organizationId })
    expect(reply.errors.map(({ extensions }) => extensions.code)).toEqual([code])
  })
})

describe('an organization that does not exist', () => {
  const mutations = operationsAbout('Mutation')
  const queries = operationsAbout('Query')
  const tell = async (person: Person, operation: string, id: string) => {
    const reply = await ask(project, cast.credentials(person), operation, { id })
    return {
      errors: reply.errors.map(({ message, extensions }) => ({ message, code: extensions.code })),
      data: reply.data,
    }
  }

  it.each(mutations)('is to the backend one that is not there: %s', async (_name, operation) => {
    expect((await tell('service', operation, crypto.randomUUID())).errors).toMatchObject([
      { code: 'organization_not_found' },
    ])
  })

  it.each(mutations)('is to a stranger like any other that is not theirs: %s', async (_name, operation) => {
    const told = await tell('stranger', operation, crypto.randomUUID())
    expect(told.errors).toMatchObject([{ code: 'forbidden' }])
    expect(await tell('stranger', operation, cast.organizationId)).toEqual(told)
  })

  it.each(queries)('is so in queries, too: %s', async (_name, operation) => {
    const told = await tell('stranger', operation, crypto.randomUUID())
    expect(await tell('stranger', operation, cast.organizationId)).toEqual(told)
  })
})

/** They answer an organization that expects the caller, and tell all others the same. */
const ANSWERS = ['acceptMembership', 'declineMembership']
/** Of arguments that have to be there. */
const SAMPLES: Readonly<Record<string, string>> = { email: '"somebody@example.com"' }

/** Every operation of the schema that takes an organization's id, asking for one field: [name, text]. */
function operationsAbout(type: 'Mutation' | 'Query'): [name: string, operation: string][] {
  const root = type === 'Mutation' ? schema.getMutationType() : schema.getQueryType()
  const found = Object.values(root?.getFields() ?? {})
    .map(({ name, args, type: answer }): [string, string] | undefined => {
      const about = args.find((argument) => argument.name === 'organizationId')
      if (!about || ANSWERS.includes(name)) return undefined
      const answered = getNamedType(answer)
      const leaf = isObjectType(answered)
        ? Object.values(answered.getFields()).find((field) => isLeafType(getNamedType(field.type)))?.name
        : undefined
      const more = args.filter((argument) => argument !== about && isRequiredArgument(argument))
      const given = more.map((argument) => `, ${argument.name}: ${SAMPLES[argument.name]}`).join('')
      const asked = `${name}(organizationId: $id${given})${leaf ? ` { ${leaf} }` : ''}`
      return [name, `${type.toLowerCase()} ($id: ${about.type}) { ${asked} }`]
    })
    .filter((each) => each !== undefined)
  expect(found.length).toBeGreaterThan(3)
  return found
}

describe('a mutation that is refused', () => {
  it('leaves no trace in the audit log', async () => {
    const count = async () =>
      (await project.sql<{ n: number }[]>`select count(*)::int as n from public.audit_logs`)[0]?.n
    const before = await count()
    for (const mutation of ['provisionTenant', 'retryTenantProvisioning', 'cancelProvisioning'])
      await ask(
        project,
        cast.credentials('member'),
        `mutation ($id: ID!) { ${mutation}(organizationId: $id) { jobId } }`,
        { id: cast.organizationId },
      )
    expect(await count()).toBe(before)
  })

  it('names in the audit log who asked when it is not refused', async () => {
    await ask(
      project,
      cast.credentials('admin'),
      'mutation ($id: ID!) { provisionTenant(organizationId: $id) { jobId } }',
      { id: cast.organizationId },
    )
    const [row] = await project.sql`
      select actor_type, actor_id from public.audit_logs
      where organization_id = ${cast.organizationId} order by created_at desc limit 1`
    expect(row).toEqual({ actor_type: 'user', actor_id: cast.user('admin').userId })
  })
})

describe('isOperator', () => {
  it.each<[Person, boolean]>([
    ['owner', false],
    ['operator', true],
    ['service', true],
  ])('is for a %s: %s', async (person, expected) => {
    const { data } = await ask(project, cast.credentials(person), '{ isOperator }')
    expect(data).toEqual({ isOperator: expected })
  })

  it('ends when the right is taken back, and both are audited', async () => {
    const { userId } = cast.user('operator')
    await project.sql`select provisioning.revoke_operator(${userId})`
    const tenants = await ask(project, cast.credentials('operator'), '{ tenants { nodes { id } } }')
    expect(tenants.errors[0]?.extensions.code).toBe('forbidden')
    const changes = await project.sql`
      select action from public.audit_logs where resource_id = ${userId} and action like 'operator.%' order by created_at`
    expect(changes.map(({ action }) => action)).toEqual(['operator.granted', 'operator.revoked'])
    await project.sql`select provisioning.grant_operator(${userId}, 'again')`
  })
})
