import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Fingerprint, fingerprint } from '../database/fingerprint.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

let project: TestProject
let tenant: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  tenant = await project.signUp()
  await project.waitFor(tenant.organizationId)
})

afterAll(() => project?.stop())

afterEach(() => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
})

const key = () => ({ apikey: project.keys.secretKey })
const state = (): Promise<Fingerprint> => fingerprint(project.superuser)

async function projectOf({ organizationId }: SignedUp) {
  const { projects } = await project.resources(organizationId)
  expect(projects).toHaveLength(1)
  const id = projects[0]?.id ?? ''
  const [endpoint] = (await project.neon.listProjectEndpoints(id)).data.endpoints
  return { id, region: projects[0]?.region_id, endpoint }
}

describe('a body that is not valid', () => {
  const id = () => tenant.organizationId

  it.each<[string, () => unknown, string, string[]]>([
    ['no JSON', () => '{"organizationId": ', 'invalid_json', []],
    ['nothing', () => '', 'invalid_json', []],
    ['an array', () => [], 'invalid_body', ['(body)']],
    ['a text', () => '"organization"', 'invalid_body', ['(body)']],
    ['null', () => 'null', 'invalid_body', ['(body)']],
    ['an empty object', () => ({}), 'invalid_body', ['organizationId']],
    ['an id that is no uuid', () => ({ organizationId: '1; drop' }), 'invalid_body', ['organizationId']],
    [
      'an unknown field, by its name',
      () => ({ organizationId: id(), organisation: 'x' }),
      'invalid_body',
      ['organisation'],
    ],
    [
      'a service that is no word, by its place',
      () => ({ organizationId: id(), services: ['stripe', 'neon; drop'] }),
      'invalid_body',
      ['services.1'],
    ],
    ['no services', () => ({ organizationId: id(), services: [] }), 'invalid_body', ['services']],
    [
      'services that are no list',
      () => ({ organizationId: id(), services: 'neon' }),
      'invalid_body',
      ['services'],
    ],
    ['a wait that is no boolean', () => ({ organizationId: id(), wait: 'yes' }), 'invalid_body', ['wait']],
    [
      'metadata with NUL in a text',
      () => ({ email: 'a@example.com', metadata: { name: 'a\0b' } }),
      'invalid_body',
      ['metadata'],
    ],
    [
      'metadata with half of a surrogate pair in a name, deep inside',
      () => `{"email": "a@example.com", "metadata": {"a": [{"\\ud800": 1}]}}`,
      'invalid_body',
      ['metadata'],
    ],
    [
      'a client’s name with NUL in it',
      () => ({ clientId: id(), clientName: 'Ac\0me' }),
      'invalid_body',
      ['clientName'],
    ],
    [
      'an organization and a client at once',
      () => ({ organizationId: id(), clientId: id() }),
      'invalid_body',
      ['organizationId'],
    ],
    [
      'an address of a client that is none',
      () => ({ clientId: id(), orgEmail: 'nobody' }),
      'invalid_body',
      ['orgEmail'],
    ],
    [
      'a client’s name with what ends its provisioning',
      () => ({ clientId: id(), clientName: 'Acme', cancel: true }),
      'invalid_body',
      ['clientName'],
    ],
    ['an empty size', () => ({ organizationId: id(), databaseSize: '' }), 'invalid_body', ['databaseSize']],
    [
      'several of these at once',
      () => ({ organizationId: 5, services: ['?'], dataRegion: 1, extra: true }),
      'invalid_body',
      ['dataRegion', 'extra', 'organizationId', 'services.0'],
    ],
  ])('is refused for %s, and nothing is written', async (_what, body, code, fields) => {
    const before = await state()
    const reply = await project.call({ headers: key(), body: body() })
    expect(reply.status).toBe(400)
    expect(reply.headers.get('content-type')).toBe('application/problem+json')
    expect(reply.body?.code).toBe(code)
    const issues = reply.body?.issues
    const named = Array.isArray(issues) ? issues.map(({ path }: { path: string }) => path).sort() : []
    expect(named).toEqual(fields)
    for (const field of fields) expect(reply.body?.detail).toContain(field)
    expect(await state()).toEqual(before)
  })

  it('is refused when it is larger than 64 KB', async () => {
    const body = JSON.stringify({ organizationId: id(), dataRegion: 'x'.repeat(64 * 1024) })
    const reply = await project.call({ headers: key(), body })
    expect(reply.status).toBe(413)
    expect(reply.body?.code).toBe('body_too_large')
  })

  it('is read up to 64 KB', async () => {
    const bare = { organizationId: id(), dataRegion: '' }
    const filler = 'x'.repeat(64 * 1024 - JSON.stringify(bare).length)
    const reply = await project.call({ headers: key(), body: { ...bare, dataRegion: filler } })
    expect(reply.status).toBe(400)
    expect(reply.body?.issues).toMatchObject([{ path: 'dataRegion' }])
  })
})

describe('a request that cannot be met', () => {
  it.each<[string, () => Record<string, unknown>, number, string, RegExp]>([
    [
      'an unknown organization',
      () => ({ organizationId: crypto.randomUUID() }),
      404,
      'organization_not_found',
      /There is no organization/,
    ],
    [
      'another region than the database is in',
      () => ({ organizationId: tenant.organizationId, dataRegion: 'eu' }),
      409,
      'region_is_fixed',
      /Neon project.+ in us-east-1/,
    ],
    [
      'an unknown region',
      () => ({ organizationId: tenant.organizationId, dataRegion: 'mars' }),
      422,
      'unknown_choice',
      /eu-central-1/,
    ],
    [
      'an unknown service',
      () => ({ organizationId: tenant.organizationId, services: ['stripe', 'oracle'] }),
      422,
      'unknown_choice',
      /"oracle" is unknown. Known: .*graphql.*neon.*stripe/,
    ],
    [
      'an unknown size',
      () => ({ organizationId: tenant.organizationId, databaseSize: 'gigantic' }),
      422,
      'unknown_choice',
      /small, medium, large/,
    ],
    [
      'a known region and an unknown size together',
      () => ({ organizationId: tenant.organizationId, dataRegion: 'us', databaseSize: 'gigantic' }),
      422,
      'unknown_choice',
      /gigantic/,
    ],
  ])(
    'for %s is refused with the reason, and nothing is written',
    async (_what, body, status, code, detail) => {
      const before = await state()
      const reply = await project.request(body())
      expect(reply.status).toBe(status)
      expect(reply.body).toMatchObject({ code, detail: expect.stringMatching(detail) })
      expect(await state()).toEqual(before)
    },
  )
})

describe('a request that speaks of a client', () => {
  const detailsOf = (organizationId: string) => project.sql<{ name: string; email: string }[]>`
    select name, billing_email as email from public.organizations where id = ${organizationId}`

  it('gives it its name and its address in the transaction that begins the job, or not at all', async () => {
    const clientId = await project.whileHeld(async () => {
      const { organizationId } = await project.signUp()
      const before = await detailsOf(organizationId)
      const wishes = { clientId: organizationId, clientName: 'Acme Ltd', orgEmail: 'office@acme.example' }
      const refused = await project.request({ ...wishes, tier: 'castle' })
      expect(refused).toMatchObject({ status: 422, body: { code: 'unknown_choice' } })
      expect(await detailsOf(organizationId)).toEqual(before)
      const begun = await project.request({ ...wishes, tier: 'database' })
      expect(begun).toMatchObject({ status: 202, body: { organizationId } })
      return organizationId
    })
    const { body } = await project.request({ clientId, wait: true })
    expect(body).toMatchObject({ organizationId: clientId, status: 'succeeded' })
    expect(await detailsOf(clientId)).toEqual([{ name: 'Acme Ltd', email: 'office@acme.example' }])
    const { customers } = await project.resources(clientId)
    expect(customers).toMatchObject([{ name: 'Acme Ltd', email: 'office@acme.example' }])
    // The oldest comes first, and which of the two that is nobody says.
    const resources = (body?.resources ?? []) as { kind: string }[]
    expect(resources.toSorted((one, other) => one.kind.localeCompare(other.kind))).toMatchObject([
      { kind: 'neon_project', externalId: expect.any(String), url: expect.stringContaining('https://') },
      { kind: 'stripe_customer', externalId: customers[0]?.id, url: expect.stringContaining('https://') },
    ])
  })

  it('is for its heads and the backend, as any other', async () => {
    const stranger = await project.signUp()
    const before = await detailsOf(tenant.organizationId)
    const headers = { authorization: `Bearer ${stranger.accessToken}`, apikey: project.keys.publishableKey }
    const body = { clientId: tenant.organizationId, clientName: 'Mine' }
    expect((await project.call({ headers, body })).body).toMatchObject({
      code: expect.stringMatching(/^(forbidden|organization_not_found)$/),
    })
    expect(await detailsOf(tenant.organizationId)).toEqual(before)
  })
})

describe('the reply', () => {
  it('comes at once with the job when nobody wants to wait', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'latency', ms: 1_500 },
    })
    const { organizationId, jobId } = await project.signUp()
    const reply = await project.request({ organizationId })
    expect(reply.status).toBe(202)
    expect(reply.body).toMatchObject({
      jobId,
      organizationId,
      status: expect.stringMatching(/queued|running/),
    })
    await project.waitFor(organizationId)
  })

  it('comes when the job has ended, with every step, when asked to wait', async () => {
    const { organizationId, jobId } = await project.whileHeld(() => project.signUp())
    const reply = await project.request({ organizationId, wait: true })
    expect(reply.status).toBe(200)
    expect(reply.body).toMatchObject({
      jobId,
      status: 'succeeded',
      error: null,
      provisioningStatus: { stripe: 'ready', neon: 'ready', overall: 'ready' },
    })
    const { steps } = reply.body ?? {}
    expect(steps).toHaveLength(6)
    expect(steps).toEqual(
      Array(6).fill(expect.objectContaining({ status: 'succeeded', attempts: 1, error: null })),
    )
  })

  it('waits for retries, and tells a failure as an outcome', async () => {
    project.stripeEmulator.faults.add({
      match: { operation: 'PostCustomers' },
      action: { type: 'status', status: 503 },
      times: 2,
    })
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const { organizationId } = await project.whileHeld(() => project.signUp())
    const reply = await project.request({ organizationId, wait: true })
    expect(reply.status).toBe(200)
    expect(reply.body).toMatchObject({
      status: 'failed',
      error: { code: 'neon_key_rejected' },
      provisioningStatus: { stripe: 'ready', neon: 'failed', overall: 'failed' },
    })
  })

  it('is a 503 that says that nothing was changed when the database does not answer', async () => {
    const gateway = await project.startSecondGateway({
      DATABASE_POOLER_URL: 'postgresql://postgres:postgres@127.0.0.1:9/postgres',
    })
    const reply = await project.call({
      gateway,
      headers: key(),
      body: { organizationId: tenant.organizationId },
    })
    expect(reply.status).toBe(503)
    expect(reply.body?.code).toBe('database_unavailable')
    expect(reply.text).not.toMatch(/127\.0\.0\.1|ECONN|postgres:/)
  })
})

describe('asking again', () => {
  it('for a tenant that is ready calls no provider', async () => {
    const neon = { ...project.neonEmulator.stats.calls }
    const stripe = { ...project.stripeEmulator.stats.calls }
    const reply = await project.request({ organizationId: tenant.organizationId, wait: true })
    expect(reply.status).toBe(200)
    expect(reply.body).toMatchObject({ jobId: tenant.jobId, status: 'succeeded' })
    expect(project.neonEmulator.stats.calls).toEqual(neon)
    expect(project.stripeEmulator.stats.calls).toEqual(stripe)
  })

  it('for named services looks at these again, creates nothing that exists and leaves the others alone', async () => {
    const creations = () => [
      project.neonEmulator.stats.calls.createProject,
      project.stripeEmulator.stats.calls.PostCustomers,
    ]
    const before = creations()
    const neon = { ...project.neonEmulator.stats.calls }
    await project.request({ organizationId: tenant.organizationId, services: ['stripe'], wait: true })
    expect(project.neonEmulator.stats.calls).toEqual(neon)
    const stripe = { ...project.stripeEmulator.stats.calls }
    const reply = await project.request({
      organizationId: tenant.organizationId,
      services: ['neon'],
      wait: true,
    })
    expect(reply.body?.status).toBe('succeeded')
    expect(project.stripeEmulator.stats.calls).toEqual(stripe)
    expect(project.neonEmulator.stats.calls.getProject).toBeGreaterThan(neon.getProject ?? 0)
    expect(creations()).toEqual(before)
  })

  it('with another size changes the compute and the quota of the project', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const before = await projectOf(person)
    expect(before.endpoint?.autoscaling_limit_max_cu).toBe(0.25)
    const reply = await project.request({
      organizationId: person.organizationId,
      databaseSize: 'medium',
      wait: true,
    })
    expect(reply.body?.status).toBe('succeeded')
    const after = await projectOf(person)
    expect(after.id).toBe(before.id)
    expect(after.endpoint).toMatchObject({
      autoscaling_limit_min_cu: 0.25,
      autoscaling_limit_max_cu: 2,
      suspend_timeout_seconds: 600,
    })
  })

  it('with another size while the project busies itself with an earlier change is applied later', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    project.neonEmulator.faults.add({
      match: { operation: 'updateProjectEndpoint' },
      action: { type: 'status', status: 423 },
      times: 2,
    })
    const reply = await project.request({
      organizationId: person.organizationId,
      databaseSize: 'large',
      wait: true,
    })
    expect(reply.body?.status).toBe('succeeded')
    expect((await projectOf(person)).endpoint?.autoscaling_limit_max_cu).toBe(8)
  })

  it('with another region is refused after a creation whose answer was lost, also when a retry counts anew', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'act_then_reset' },
      times: 1,
    })
    const person = await project.signUp()
    await project.waitForStep(person.organizationId, 'neon_project', 'retrying')
    await project.request({ organizationId: person.organizationId })
    const reply = await project.request({ organizationId: person.organizationId, dataRegion: 'eu' })
    expect(reply.body?.code).toBe('region_is_fixed')
  })

  it('with another region moves a database that does not exist yet', async () => {
    const { person, reply } = await project.whileHeld(async () => {
      const person = await project.signUp()
      const wish = { organizationId: person.organizationId, dataRegion: 'eu', wait: true }
      return { person, reply: await project.request(wish) }
    })
    const { organizationId } = person
    expect(reply.body?.status).toBe('succeeded')
    expect((await projectOf(person)).region).toBe('aws-eu-central-1')
    const [row] = await project.sql`
      select o.data_region, d.region from public.organizations o
      join public.organization_databases d on d.organization_id = o.id where o.id = ${organizationId}`
    expect(row).toEqual({ data_region: 'eu-central-1', region: 'aws-eu-central-1' })
  })
})

describe('asking while a worker is at it', () => {
  /** Signs up, and asks in the moment in which the named call is under way. */
  async function askDuring(
    emulator: TestProject['neonEmulator'] | TestProject['stripeEmulator'],
    operation: string,
    wish: Record<string, unknown>,
  ) {
    const before = emulator.stats.calls[operation] ?? 0
    emulator.faults.add({ match: { operation }, action: { type: 'latency', ms: 2_000 }, times: 1 })
    const person = await project.signUp()
    await until('call', () => (emulator.stats.calls[operation] ?? 0) > before || undefined)
    if (operation !== 'createProject')
      await project.waitForStep(person.organizationId, 'neon_project', 'succeeded')
    const reply = await project.request({ organizationId: person.organizationId, ...wish })
    await project.waitFor(person.organizationId)
    return { person, reply }
  }

  it('for another size is not forgotten', async () => {
    const { person, reply } = await askDuring(project.stripeEmulator, 'PostCustomers', {
      databaseSize: 'medium',
    })
    expect(reply.status).toBe(202)
    const maximum = async () => (await projectOf(person)).endpoint?.autoscaling_limit_max_cu
    await until('larger compute', async () => ((await maximum()) === 2 ? true : undefined))
  })

  it('for another region is refused, or moves the database: the rows never tell another region than Neon', async () => {
    const { person } = await askDuring(project.neonEmulator, 'createProject', { dataRegion: 'eu' })
    const { region } = await projectOf(person)
    const [row] = await project.sql`
      select d.region, r.neon_region as wanted from public.organization_databases d
      join public.organizations o on o.id = d.organization_id join provisioning.regions r using (data_region)
      where o.id = ${person.organizationId}`
    expect(row).toEqual({ region, wanted: region })
  })
})

describe('the audit log', () => {
  it('names who asked for what', async () => {
    const asUser = { authorization: `Bearer ${tenant.accessToken}` }
    const body = { organizationId: tenant.organizationId, services: ['stripe'], wait: true }
    await project.sql`select 1`
    const [{ since } = { since: new Date() }] = await project.sql<{ since: Date }[]>`select now() as since`
    await project.call({ headers: asUser, body })
    await project.request({ organizationId: tenant.organizationId, wait: true })
    const rows = await project.sql`
      select actor_type, actor_id, resource_id, metadata from public.audit_logs
      where organization_id = ${tenant.organizationId} and action = 'provisioning.requested' and created_at > ${since}
      order by created_at`
    expect(rows.map((row) => ({ ...row }))).toEqual([
      {
        actor_type: 'user',
        actor_id: tenant.userId,
        resource_id: tenant.jobId,
        metadata: { services: ['stripe'] },
      },
      { actor_type: 'service', actor_id: null, resource_id: tenant.jobId, metadata: {} },
    ])
  })
})
