import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { FUNCTION, type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { ask, bearer, type GraphqlReply, graphqlInProcess } from './graphql-client.ts'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject({ settings: { worker_linger_milliseconds: 1_500 } })
})

afterAll(() => project?.stop())

afterEach(() => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
})

const as = (
  person: SignedUp,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<GraphqlReply> =>
  ask(project, bearer(person.accessToken), query, { id: person.organizationId, ...variables })

const setPlan = ({ organizationId }: SignedUp, plan: string) =>
  project.sql`update public.organizations set plan = ${plan} where id = ${organizationId}`

describe('provisionTenant', () => {
  const mutation = `mutation ($id: ID!, $dataRegion: String, $databaseSize: String) {
    provisionTenant(organizationId: $id, dataRegion: $dataRegion, databaseSize: $databaseSize) {
      organizationId jobId provisioning { overall jobStatus } } }`

  it('makes the tenant in the region and size that are asked for, rung for at once', async () => {
    const { person, reply } = await project.whileHeld(async () => {
      const person = await project.signUp()
      await setPlan(person, 'pro')
      return { person, reply: await as(person, mutation, { dataRegion: 'eu', databaseSize: 'medium' }) }
    })
    expect(reply.data.provisionTenant).toMatchObject({
      organizationId: person.organizationId,
      jobId: person.jobId,
    })
    await project.waitFor(person.organizationId)
    const [row] = await project.sql`
      select region, size from public.organization_databases where organization_id = ${person.organizationId}`
    expect(row).toEqual({ region: 'aws-eu-central-1', size: 'medium' })
  })

  it('rings the doorbell itself: the work begins though no sweep runs', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await setPlan(person, 'enterprise')
    const before = project.neonEmulator.stats.calls.getProject ?? 0
    const reply = await as(person, mutation, { databaseSize: 'large' })
    expect(reply.data.provisionTenant.provisioning.overall).toBe('PROVISIONING')
    await until('worker', () =>
      (project.neonEmulator.stats.calls.getProject ?? 0) > before ? true : undefined,
    )
    await project.waitFor(person.organizationId)
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['an unknown region', { dataRegion: 'mars' }, 'unknown_choice'],
    ['another region than its database is in', { dataRegion: 'eu' }, 'region_is_fixed'],
    ['an unknown size', { databaseSize: 'gigantic' }, 'unknown_choice'],
    ['a size that the plan does not have', { databaseSize: 'large' }, 'size_not_in_plan'],
    ['a size that is no word', { databaseSize: '; drop' }, 'invalid_argument'],
    ['an organization that is no id', { id: 'x' }, 'invalid_argument'],
  ])('is refused for %s', async (_what, variables, code) => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const reply = await as(person, mutation, variables)
    expect(reply.errors).toMatchObject([{ path: ['provisionTenant'], extensions: { code } }])
  })
})

describe('retryTenantProvisioning', () => {
  const mutation = `mutation ($id: ID!, $services: [String!]) {
    retryTenantProvisioning(organizationId: $id, services: $services) { jobId provisioning { overall } } }`

  it('makes a failed tenant ready', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const person = await project.signUp()
    await project.waitFor(person.organizationId, 'failed')
    project.neonEmulator.faults.clear()
    const reply = await as(person, mutation)
    expect(reply.data.retryTenantProvisioning).toMatchObject({ jobId: person.jobId })
    await project.waitFor(person.organizationId)
  })

  it('looks at the named services alone', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await as(person, mutation, { services: ['stripe'] })
    const { steps } = await project.waitFor(person.organizationId)
    expect(steps.neon_project?.attempts).toBe(1)
    const [asked] = await project.sql`
      select metadata from public.audit_logs
      where organization_id = ${person.organizationId} and action = 'provisioning.requested'`
    expect(asked).toEqual({ metadata: { services: ['stripe'] } })
  })

  it('is refused for a service that nobody knows, and names those that are known', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const reply = await as(person, mutation, { services: ['stripe', 'oracle'] })
    expect(reply.errors).toMatchObject([
      { message: expect.stringMatching(/oracle.*neon, stripe/), extensions: { code: 'unknown_choice' } },
    ])
  })

  it('is refused for no services at all, which would mean something else than all', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const reply = await as(person, mutation, { services: [] })
    expect(reply.errors[0]?.extensions.code).toBe('invalid_argument')
  })
})

describe('cancelProvisioning', () => {
  const mutation = `mutation ($id: ID!) { cancelProvisioning(organizationId: $id) {
    organizationId jobId undoJobId provisioning { overall } } }`

  it('stops what has not begun, and says that there is nothing to undo', async () => {
    // A worker that is still at somebody else's job would take this one too.
    project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')
    const { person, reply } = await project.whileHeld(async () => {
      const person = await project.signUp()
      return { person, reply: await as(person, mutation) }
    })
    expect(reply.data.cancelProvisioning).toEqual({
      organizationId: person.organizationId,
      jobId: person.jobId,
      undoJobId: null,
      provisioning: { overall: 'CANCELLED' },
    })
    expect((await as(person, mutation)).errors[0]?.extensions.code).toBe('nothing_to_cancel')
  })

  it('stops what has failed, with a job that removes what was made; meanwhile nothing can be started', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const person = await project.signUp()
    await project.waitFor(person.organizationId, 'failed')
    const reply = await as(person, mutation)
    const { undoJobId } = reply.data.cancelProvisioning
    expect(undoJobId).toMatch(/^[0-9a-f-]{36}$/)
    const again = await as(person, 'mutation ($id: ID!) { provisionTenant(organizationId: $id) { jobId } }')
    expect(again.errors).toMatchObject([{ extensions: { code: 'undo_in_progress' } }])
  })
})

describe('provisionUserResources', () => {
  const mutation = `mutation ($email: String!, $metadata: JSON) { provisionUserResources(email: $email, metadata: $metadata) {
    success organizationId stripeCustomerId neonProjectId errors code retryAfterSeconds } }`
  const asBackend = (variables: Record<string, unknown>) =>
    ask(project, { apikey: project.keys.secretKey }, mutation, variables)

  it('waits until the tenant is ready, and returns what was made', async () => {
    const person = await project.whileHeld(() => project.signUp())
    const { data } = await asBackend({ email: person.email.toUpperCase() })
    const { projects, customers } = await project.resources(person.organizationId)
    expect(data.provisionUserResources).toEqual({
      success: true,
      organizationId: person.organizationId,
      stripeCustomerId: customers[0]?.id,
      neonProjectId: projects[0]?.id,
      errors: [],
      code: null,
      retryAfterSeconds: null,
    })
  })

  it('tells for each step why it failed, and what was made nevertheless', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const person = await project.whileHeld(() => project.signUp())
    const { data } = await asBackend({ email: person.email })
    expect(data.provisionUserResources).toMatchObject({
      success: false,
      organizationId: person.organizationId,
      stripeCustomerId: expect.stringMatching(/^cus_/),
      neonProjectId: null,
      errors: [expect.stringMatching(/^neon_project: Neon does not accept NEON_API_KEY/)],
      code: 'provisioning_failed',
    })
  })

  it('says that it goes on when it takes longer than a minute', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'latency', ms: 1_000 },
    })
    const person = await project.whileHeld(() => project.signUp())
    await using api = graphqlInProcess(project, { pollMs: 20, subscriptionMs: 100, provisionWaitMs: 100 })
    const reply = await api.send({
      method: 'POST',
      headers: { 'content-type': 'application/json', apikey: project.keys.secretKey },
      body: JSON.stringify({ query: mutation, variables: { email: person.email } }),
    })
    expect((await reply.json()).data.provisionUserResources).toMatchObject({
      success: false,
      organizationId: person.organizationId,
      code: 'still_provisioning',
      retryAfterSeconds: 60,
    })
    await project.waitFor(person.organizationId)
  })

  it('lets pass 5 calls a minute for one address, whatever comes of them', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    const answers = []
    for (let call = 0; call < 6; call++)
      answers.push((await asBackend({ email })).data.provisionUserResources)
    expect(answers.map(({ code }) => code)).toEqual([...Array(5).fill('user_not_found'), 'too_many_attempts'])
    expect(answers[5].retryAfterSeconds).toBeGreaterThan(0)
    expect(answers[5].retryAfterSeconds).toBeLessThanOrEqual(60)
  })

  it('is for users made within 10 minutes', async () => {
    const person = await project.signUp()
    await project.superuser`update auth.users set created_at = now() - interval '11 minutes' where id = ${person.userId}`
    const { data } = await asBackend({ email: person.email })
    expect(data.provisionUserResources).toMatchObject({
      success: false,
      code: 'user_too_old',
      errors: [expect.any(String)],
    })
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['an address that is none', { email: 'nobody' }, 'email'],
    ['metadata that is no object', { email: 'a@example.com', metadata: [1] }, 'metadata'],
    ['metadata that cannot be stored', { email: 'a@example.com', metadata: { a: 'b\0' } }, 'metadata'],
  ])('is refused for %s', async (_what, variables, argument) => {
    const reply = await asBackend(variables)
    expect(reply.errors).toMatchObject([
      { extensions: { code: 'invalid_argument', issues: [{ path: argument }] } },
    ])
  })
})
