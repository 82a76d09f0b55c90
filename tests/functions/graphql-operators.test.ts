import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { runAs } from '../support/roles.ts'
import { ask, bearer, type Cast, castOf } from './graphql-client.ts'

let project: TestProject
let cast: Cast

beforeAll(async () => {
  project = await startTestProject()
  cast = await castOf(project)
})

afterAll(() => project?.stop())

const asOperator = (query: string, variables: Record<string, unknown> = {}) =>
  ask(project, cast.credentials('operator'), query, { id: cast.organizationId, ...variables })

describe('tenant', () => {
  it('shows an operator everything of a tenant that is not theirs', async () => {
    const { data, errors } = await asOperator(`query ($id: ID!) { tenant(id: $id) {
      name status ownerEmail jobStatus health databaseRegion
      provisioning { overall steps { step status } } healthDetails { status }
      events(first: 2) { eventType cursor } alerts { id } } }`)
    expect(errors).toEqual([])
    expect(data.tenant).toMatchObject({
      name: 'Ours',
      status: 'READY',
      ownerEmail: cast.owner.email,
      jobStatus: 'SUCCEEDED',
      databaseRegion: expect.any(String),
      provisioning: { overall: 'READY' },
      healthDetails: { status: expect.any(String) },
      alerts: [],
    })
    const [, last] = data.tenant.events
    const next = await asOperator(
      `query ($id: ID!, $after: String) { tenant(id: $id) { events(first: 100, after: $after) { id cursor } } }`,
      { after: last.cursor },
    )
    const rows =
      await project.sql`select id from public.provisioning_events where organization_id = ${cast.organizationId}`
    expect(next.data.tenant.events).toHaveLength(rows.length - 2)
  })

  it('shows since when the schema is not as its files have made it', async () => {
    const query = 'query ($id: ID!) { tenant(id: $id) { schemaVersion schemaDriftAt } }'
    const before = await asOperator(query)
    expect(before.data.tenant).toEqual({ schemaVersion: expect.any(Number), schemaDriftAt: null })
    const [noted] = await project.sql<{ at: Date }[]>`
      update public.organization_databases set schema_drift_at = now()
      where organization_id = ${cast.organizationId} returning schema_drift_at as at`
    const { data } = await asOperator(query)
    expect(new Date(data.tenant.schemaDriftAt)).toEqual(noted?.at)
    await project.sql`
      update public.organization_databases set schema_drift_at = null where organization_id = ${cast.organizationId}`
  })

  it('is found by an address in any case, by its slug, and by the id of the organization or of a user', async () => {
    const [row] = await project.sql<{ slug: string }[]>`
      select slug from public.organizations where id = ${cast.organizationId}`
    const names = {
      email: cast.owner.email.toUpperCase(),
      slug: row?.slug,
      organization: cast.organizationId,
      user: cast.owner.userId,
    }
    const { data, errors } = await asOperator(
      `query ($email: String, $slug: String, $organization: ID, $user: ID) {
        email: tenant(email: $email) { id } slug: tenant(slug: $slug) { id }
        organization: tenant(id: $organization) { id } user: tenant(id: $user) { id }
        nobody: tenant(email: "nobody@example.com") { id } none: tenant(slug: "none") { id } }`,
      names,
    )
    const ours = { id: cast.organizationId }
    expect({ data, errors }).toEqual({
      data: { email: ours, slug: ours, organization: ours, user: ours, nobody: null, none: null },
      errors: [],
    })
  })

  it.each([
    ['nothing', '', 'exactly one'],
    ['two names', '(email: "ann@example.com", slug: "ann")', 'exactly one'],
    ['no id', '(id: "ann")', 'id: is not an id'],
    ['no address', '(email: "ann")', 'email: is not an e-mail address'],
  ])('is refused to whoever calls it by %s', async (_, given, message) => {
    const { errors } = await asOperator(`{ tenant${given} { id } }`)
    expect(errors).toMatchObject([
      { message: expect.stringContaining(message), extensions: { code: 'invalid_argument' } },
    ])
  })

  it('is not guessed when several accounts have the address', async () => {
    const { email } = await project.signUp()
    await project.superuser`insert into auth.users (instance_id, id, email, is_sso_user, created_at)
      values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), ${email}, true, now())`
    const { errors } = await asOperator('query ($email: String!) { tenant(email: $email) { id } }', { email })
    expect(errors).toMatchObject([
      { message: expect.stringContaining('(single sign-on)'), extensions: { code: 'several_accounts' } },
    ])
    await project.superuser`delete from auth.users where email = ${email} and is_sso_user`
  })

  it('is null for an organization that does not exist', async () => {
    const { data } = await asOperator('query ($id: ID!) { tenant(id: $id) { name } }', {
      id: crypto.randomUUID(),
    })
    expect(data).toEqual({ tenant: null })
  })

  it('is counted by its state', async () => {
    await until('end of all provisioning', async () => {
      const open = await project.sql`
        select from public.organizations where provisioning_status ->> 'overall' <> 'ready'`
      return open.length === 0 || undefined
    })
    const { data } = await asOperator(
      '{ tenantCounts { total { count exact } byStatus { status count exact } byHealth { health } openAlerts { count } } }',
    )
    const [row] = await project.sql`select count(*)::integer as count from public.organizations`
    expect(data.tenantCounts.total).toEqual({ count: row?.count, exact: true })
    expect(data.tenantCounts.byStatus).toContainEqual({ status: 'READY', count: row?.count, exact: true })
  })

  it('takes the words of its filter from the schema alone', async () => {
    const reply = await asOperator('{ tenants(filter: { status: [SLEEPING] }) { nodes { id } } }')
    expect(reply.errors).toMatchObject([{ extensions: { code: 'invalid_query' } }])
  })
})

describe('retryTenants', () => {
  const RETRY = `mutation ($filter: TenantFilter, $dry: Boolean!) { retryTenants(filter: $filter, dryRun: $dry) {
    dryRun matched exact byReason { code message count } retried remaining } }`

  it('counts by reason in a dry run, then tries what the filter finds again in the batch lane', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 422 },
    })
    const [one, other] = [
      await project.signUp({ data_region: 'eu' }),
      await project.signUp({ data_region: 'us' }),
    ]
    for (const { organizationId } of [one, other]) await project.waitFor(organizationId, 'failed')
    const code = (await project.provisioning(one.organizationId)).error?.code
    project.neonEmulator.faults.clear()

    const dry = await asOperator(RETRY, { filter: { errorCode: [code] }, dry: true })
    expect(dry.data.retryTenants).toMatchObject({
      dryRun: true,
      matched: 2,
      exact: true,
      byReason: [{ code, message: expect.any(String), count: 2 }],
      retried: 0,
      remaining: 2,
    })
    expect((await project.provisioning(one.organizationId)).status).toBe('failed')
    const listed = await asOperator(
      'query ($code: String!) { tenants(filter: { errorCode: [$code] }) { nodes { id } } }',
      { code },
    )
    expect(listed.data.tenants.nodes).toHaveLength(2)

    const done = await asOperator(RETRY, { filter: { region: ['eu-central-1'] }, dry: false })
    expect(done.data.retryTenants).toMatchObject({ matched: 1, retried: 1, remaining: 0 })
    await project.waitFor(one.organizationId)
    expect((await project.provisioning(other.organizationId)).status).toBe('failed')
    const [job] = await project.sql`select lane from public.provisioning_jobs where id = ${one.jobId}`
    expect(job?.lane).toBe('batch')
    const [entry] = await project.sql`
      select actor_id from public.audit_logs
      where organization_id = ${one.organizationId} and action = 'provisioning.requested'`
    expect(entry?.actor_id).toBe(cast.user('operator').userId)

    const none = await asOperator(RETRY, { filter: { status: ['READY'] }, dry: false })
    expect(none.data.retryTenants).toMatchObject({ matched: 0, retried: 0 })
    await asOperator(RETRY, { dry: false })
    await project.waitFor(other.organizationId)
  })

  it.each(['owner', 'stranger'] as const)('is refused to the %s of an organization', async (person) => {
    const { errors } = await ask(project, cast.credentials(person), RETRY, { dry: true })
    expect(errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
  })
})

describe('what can be chosen', () => {
  it('is told to everybody who is signed in, from the rows of the operator', async () => {
    await project.sql`update provisioning.plans set monthly_price = 2900 where plan = 'pro'`
    const { data, errors } = await ask(
      project,
      cast.credentials('stranger'),
      `{ provisioningOptions { currency defaultDataRegion
        regions { dataRegion label city country latitude longitude } sizes { size label maxComputeUnits suspendAfterSeconds }
        tiers { tier services } plans { plan label monthlyPrice defaultSize sizes storageBytes historySeconds } } }`,
    )
    expect(errors).toEqual([])
    expect(data.provisioningOptions).toMatchObject({ currency: 'usd', defaultDataRegion: 'us-east-1' })
    expect(data.provisioningOptions.regions).toContainEqual({
      dataRegion: 'eu-central-1',
      label: 'Europe (Frankfurt)',
      city: 'Frankfurt',
      country: 'DE',
      latitude: 50.11,
      longitude: 8.68,
    })
    expect(data.provisioningOptions.sizes.map(({ size }: { size: string }) => size)).toEqual([
      'small',
      'medium',
      'large',
    ])
    expect(data.provisioningOptions.plans).toMatchObject([
      { plan: 'free', monthlyPrice: 0, storageBytes: 536_870_912 },
      { plan: 'pro', monthlyPrice: 2900, sizes: ['small', 'medium'] },
      { plan: 'enterprise', monthlyPrice: null, storageBytes: null },
    ])
  })

  it('is what the role of the caller allows in an organization', async () => {
    const permissions = async (person: 'owner' | 'member') => {
      const { data } = await ask(project, cast.credentials(person), '{ myOrganizations { id permissions } }')
      return data.myOrganizations.find(({ id }: { id: string }) => id === cast.organizationId)?.permissions
    }
    expect(await permissions('member')).toEqual(['CHECK_HEALTH'])
    expect(await permissions('owner')).toEqual(
      expect.arrayContaining(['PROVISION', 'READ_CONNECTION', 'MANAGE_KEYS', 'DELETE_ORGANIZATION']),
    )
  })
})

describe('before a worker has claimed the job', () => {
  it('the progress is that of the definitions: for members, operators, and by RPC', async () => {
    await project.services.worker.pauseHttp()
    try {
      const person = await project.signUp()
      const { organizationId: id } = person
      await project.sql`delete from public.provisioning_steps where organization_id = ${id}`
      await project.sql`delete from public.organization_databases where organization_id = ${id}`
      const definitions = await project.sql<{ step: string }[]>`
        select step from provisioning.step_definitions where kind = 'provision' and tier = 'database' order by position`
      const pending = definitions.map(({ step }) => ({ step, status: 'PENDING' }))
      const fields = 'overall percent jobStatus steps { step status } services { service status }'
      const expected = { overall: 'PENDING', percent: 0, jobStatus: 'QUEUED', steps: pending }
      const member = await ask(
        project,
        bearer(person.accessToken),
        `query ($id: ID!) { provisioningStatus(organizationId: $id) { ${fields} } }`,
        { id },
      )
      expect(member.data.provisioningStatus).toMatchObject(expected)
      expect(member.data.provisioningStatus.services).toContainEqual({ service: 'neon', status: 'PENDING' })
      const operator = await asOperator(
        `query ($id: ID!) { tenant(id: $id) { status health provisioning { ${fields} } } }`,
        { id },
      )
      expect(operator.data.tenant).toMatchObject({
        status: 'PENDING',
        health: 'UNKNOWN',
        provisioning: expected,
      })
      const progress = await runAs(
        project.sql,
        { role: 'authenticated', userId: person.userId },
        async (tx) => {
          const [row] = await tx<{ progress: { steps: unknown[] } }[]>`
          select public.provisioning_progress(${id}) as progress`
          return row?.progress
        },
      )
      expect(progress).toMatchObject({ overall: 'pending', job_status: 'queued' })
      expect(progress?.steps).toHaveLength(pending.length)
    } finally {
      await project.services.worker.resumeHttp()
    }
  })
})

describe('tenantVerification', () => {
  const query = `query ($subject: String!) { tenantVerification(subject: $subject) {
    userId organizationId tenant { slug } audit { action } resources { kind externalId state }
    verdict { ready state check summary remedy { text actions { action service name } } }
    checks { check status code found remedy { text } } } }`
  const verify = async (subject: string) => (await asOperator(query, { subject })).data.tenantVerification

  it('of a tenant that is ready has nothing to do', async () => {
    const found = await verify(cast.owner.email)
    expect(found).toMatchObject({
      userId: cast.owner.userId,
      organizationId: cast.organizationId,
      tenant: { slug: 'ours' },
      verdict: { ready: true, state: 'READY', check: null, remedy: null },
    })
    expect(found.checks.filter(({ status }: { status: string }) => status !== 'OK')).toEqual([])
    const { customers, projects } = await project.resources(cast.organizationId)
    expect(found.resources).toEqual(
      expect.arrayContaining([
        { kind: 'stripe_customer', externalId: customers[0]?.id, state: 'ACTIVE' },
        { kind: 'neon_project', externalId: projects[0]?.id, state: 'ACTIVE' },
      ]),
    )
  })

  it('of one that failed says which check is the cause, and what a person does about it', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const person = await project.signUp()
    await project.waitFor(person.organizationId, 'failed')
    project.neonEmulator.faults.clear()
    expect((await verify(person.organizationId)).verdict).toMatchObject({
      ready: false,
      state: 'FAILED',
      check: 'provisioning',
      remedy: {
        text: expect.stringContaining('key'),
        actions: [
          { action: 'set_secret', service: null, name: 'NEON_API_KEY' },
          { action: 'retry', service: 'neon', name: null },
        ],
      },
    })
  })

  it('of nobody says so', async () => {
    expect(await verify('nobody@example.com')).toMatchObject({
      organizationId: null,
      tenant: null,
      verdict: { state: 'NOT_FOUND', remedy: { actions: [] } },
    })
  })
})

describe('a pause', () => {
  const pause = 'mutation ($reason: String!) { pauseWork(scope: PROVIDER, name: "neon", reason: $reason) }'

  it('is made, seen and ended by operators, and everybody who waits is told why', async () => {
    expect((await asOperator(pause, { reason: 'Neon is moving.' })).data).toEqual({ pauseWork: true })
    try {
      const { data } = await asOperator('{ pauses { scope name label reason message pausedAt pausedBy } }')
      expect(data.pauses).toMatchObject([
        {
          scope: 'PROVIDER',
          name: 'neon',
          reason: 'Neon is moving.',
          pausedBy: cast.user('operator').userId,
        },
      ])
      const person = await project.signUp()
      const progress = await ask(
        project,
        bearer(person.accessToken),
        'query ($id: ID!) { provisioningStatus(organizationId: $id) { overall pausedBecause } }',
        { id: person.organizationId },
      )
      expect(progress.data.provisioningStatus.pausedBecause).toContain('Neon is moving.')
      const verified = await asOperator(
        'query ($s: String!) { tenantVerification(subject: $s) { checks { check status code found remedy { text } } } }',
        { s: person.email },
      )
      expect(verified.data.tenantVerification.checks).toContainEqual({
        check: 'provisioning',
        status: 'WAITING',
        code: 'job_paused',
        found: expect.stringContaining('Neon is moving.'),
        remedy: { text: expect.stringContaining('operator') },
      })
      await until('step that is put off', async () => {
        const { steps } = await project.provisioning(person.organizationId)
        return steps.neon_project?.error?.code === 'neon_paused' || undefined
      })
      const ended = 'mutation { resumeWork(scope: PROVIDER, name: "neon") }'
      expect((await asOperator(ended)).data).toEqual({ resumeWork: true })
      await project.waitFor(person.organizationId)
      expect((await asOperator(ended)).data).toEqual({ resumeWork: false })
    } finally {
      await project.sql`delete from provisioning.pauses`
    }
  })

  it.each(['member', 'admin', 'owner', 'stranger'] as const)('is refused to a %s', async (person) => {
    const reply = await ask(project, cast.credentials(person), pause, { reason: 'No more.' })
    expect(reply.errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
    const list = await ask(project, cast.credentials(person), '{ pauses { name } }')
    expect(list.errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
    expect(await project.sql`select from provisioning.pauses`).toEqual([])
  })
})

describe('providers and fleetVersions', () => {
  const QUESTION = `{
    providers { provider service label state consecutiveFailures nextTryAt callsPerSecond freePercent waitSeconds }
    fleetVersions { versions { version tenants }
      migration { toVersion state stoppedBecause endedAt tenants { state count } errors { slug code message } } } }`

  it('tell operators of the breakers and rates, of the versions of all tenants, and of the newest migration', async () => {
    await project.sql`update provisioning.provider_status set state = 'open', consecutive_failures = 5,
      next_try_at = now() + interval '1 minute', last_error = 'It did not answer.' where provider = 'stripe_live'`
    try {
      const before = await asOperator(QUESTION)
      expect(before.errors).toEqual([])
      expect(before.data.providers).toContainEqual(
        expect.objectContaining({
          provider: 'neon',
          label: 'Neon',
          state: 'CLOSED',
          callsPerSecond: expect.any(Number),
        }),
      )
      expect(before.data.providers).toContainEqual(
        expect.objectContaining({ provider: 'stripe_live', service: 'stripe', state: 'OPEN' }),
      )
      expect(before.data.fleetVersions.migration).toBeNull()
      const [newest] = before.data.fleetVersions.versions
      expect(newest).toEqual({ version: expect.any(Number), tenants: expect.any(Number) })

      await project.sql`select provisioning.start_fleet_migration(${newest.version}, 5, 8, 10)`
      const { data } = await asOperator(QUESTION)
      expect(data.fleetVersions.migration).toEqual({
        toVersion: newest.version,
        state: 'DONE',
        stoppedBecause: null,
        endedAt: expect.any(String),
        tenants: [],
        errors: [],
      })
    } finally {
      await project.sql`update provisioning.provider_status set state = 'closed', consecutive_failures = 0, next_try_at = null`
      await project.sql`delete from provisioning.fleet_migrations`
    }
  })

  it.each(['member', 'admin', 'owner', 'stranger'] as const)('are refused to a %s', async (person) => {
    for (const question of ['{ providers { provider } }', '{ fleetVersions { versions { tenants } } }']) {
      const reply = await ask(project, cast.credentials(person), question)
      expect(reply.errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
    }
  })
})
