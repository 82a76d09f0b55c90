import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject } from '../support/project.ts'
import { ask, bearer, type Cast, castOf, graphqlInProcess } from './graphql-client.ts'

let project: TestProject
let cast: Cast

beforeAll(async () => {
  project = await startTestProject()
  cast = await castOf(project)
})

afterAll(() => project?.stop())

const asOwner = (query: string, variables: Record<string, unknown> = {}) =>
  ask(project, cast.credentials('owner'), query, { id: cast.organizationId, ...variables })

const codes = (reply: { errors: readonly { extensions: { code: string } }[] }) =>
  reply.errors.map(({ extensions }) => extensions.code)

describe('myOrganizations', () => {
  it('has every field of the contract, as the row has it', async () => {
    const { data, errors } = await ask(
      project,
      cast.credentials('owner'),
      `{ myOrganizations { id name slug plan stripeCustomerId stripeSubscriptionId stripeSubscriptionStatus billingEmail
        dataRegion hostingRegion provisioningStatus provisionedAt createdAt updatedAt ownerId role } }`,
    )
    expect(errors).toEqual([])
    const [row] = await project.sql`
      select id, name, slug, plan, stripe_customer_id as "stripeCustomerId", stripe_subscription_id as "stripeSubscriptionId",
        stripe_subscription_status as "stripeSubscriptionStatus", billing_email as "billingEmail",
        data_region as "dataRegion", hosting_region as "hostingRegion", provisioning_status as "provisioningStatus",
        provisioned_at as "provisionedAt", created_at as "createdAt", updated_at as "updatedAt", owner_id as "ownerId",
        'OWNER' as role
      from public.organizations where id = ${cast.organizationId}`
    expect(data.myOrganizations).toEqual(JSON.parse(JSON.stringify([row])))
  })

  it('tells each member their own role, and of all their organizations', async () => {
    const { data } = await ask(project, cast.credentials('admin'), '{ myOrganizations { id role } }')
    expect(data.myOrganizations).toEqual([
      { id: cast.organizationId, role: 'ADMIN' },
      { id: cast.user('admin').organizationId, role: 'OWNER' },
    ])
  })
})

describe('provisioningEvents', () => {
  const page = `query ($id: ID!, $first: Int! = 50, $after: String) {
    provisioningEvents(organizationId: $id, first: $first, after: $after) {
      id eventType resourceType resourceId status errorMessage metadata startedAt completedAt cursor } }`

  it('is the history, newest first', async () => {
    const { data } = await asOwner(page)
    const rows = await project.sql`
      select id, event_type as "eventType", resource_type as "resourceType", resource_id as "resourceId", status,
        error_message as "errorMessage", metadata, started_at as "startedAt", completed_at as "completedAt"
      from public.provisioning_events where organization_id = ${cast.organizationId} order by started_at desc, id`
    expect(rows.length).toBeGreaterThan(5)
    const told = data.provisioningEvents.map(({ cursor: _, ...event }: { cursor: string }) => event)
    expect(told).toEqual(JSON.parse(JSON.stringify(rows)))
  })

  it('is read page by page without a gap or a repetition, even when many began in the same moment', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await project.sql`
      insert into public.provisioning_events (organization_id, event_type, resource_type, status, started_at)
      select ${person.organizationId}, 'test', 'test', 'succeeded', now() - interval '1 day' * (n / 10)
      from generate_series(1, 47) n`
    const seen: string[] = []
    let after: string | undefined
    do {
      const { data } = await ask(project, bearer(person.accessToken), page, {
        id: person.organizationId,
        first: 7,
        after,
      })
      seen.push(...data.provisioningEvents.map(({ id }: { id: string }) => id))
      after = data.provisioningEvents.length === 7 ? data.provisioningEvents.at(-1).cursor : undefined
    } while (after)
    const rows = await project.sql<{ id: string }[]>`
      select id from public.provisioning_events where organization_id = ${person.organizationId}
      order by started_at desc, id`
    expect(seen).toEqual(rows.map(({ id }) => id))
    expect(seen.length).toBeGreaterThan(47)
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['a page of none', { first: 0 }, 'first'],
    ['a page of more than 100', { first: 101 }, 'first'],
    ['a cursor that is none', { after: 'x' }, 'after'],
    ['a cursor with something else in it', { after: btoa('["now() or true","1"]') }, 'after'],
    ['an id that is no uuid', { id: "' or true --" }, 'organizationId'],
  ])('refuses %s by its name', async (_what, variables, argument) => {
    const reply = await asOwner(page, variables)
    expect(reply.errors).toMatchObject([
      { extensions: { code: 'invalid_argument', issues: [{ path: argument }] } },
    ])
  })
})

describe('provisioningStatus', () => {
  const query = `query ($id: ID!) { provisioningStatus(organizationId: $id) {
    overall percent attempts nextAttemptAt error { code message step retryable } jobId jobStatus provisionedAt
    services { service status attempts nextAttemptAt error { code } }
    steps { step service status attempts nextAttemptAt error { code retryable } startedAt finishedAt } } }`

  it('of a tenant that is ready says so for each service and step', async () => {
    const { provisioningStatus: status } = (await asOwner(query)).data
    expect(status).toMatchObject({
      overall: 'READY',
      percent: 100,
      attempts: 1,
      nextAttemptAt: null,
      error: null,
    })
    expect(status.services).toContainEqual(
      expect.objectContaining({ service: 'stripe', status: 'READY', attempts: 1 }),
    )
    expect(status.steps[0]).toMatchObject({
      step: 'stripe_customer',
      status: 'SUCCEEDED',
      startedAt: expect.any(String),
    })
  })

  it('of one that is tried again says why, how often and when next', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 503, retryAfterSeconds: 600 },
    })
    const person = await project.signUp()
    await project.waitForStep(person.organizationId, 'neon_project', 'retrying')
    await project.waitForStep(person.organizationId, 'stripe_customer', 'succeeded')
    const reply = await ask(project, bearer(person.accessToken), query, { id: person.organizationId })
    project.neonEmulator.faults.clear()
    const { provisioningStatus: status } = reply.data
    expect(status).toMatchObject({
      overall: 'PROVISIONING',
      error: { code: 'neon_unavailable', retryable: true },
    })
    expect(status.percent).toBeGreaterThan(0)
    expect(status.percent).toBeLessThan(100)
    const neon = status.services.find(({ service }: { service: string }) => service === 'neon')
    expect(neon).toMatchObject({
      status: 'RETRYING',
      attempts: 1,
      nextAttemptAt: expect.stringMatching(/Z$/),
      error: { code: 'neon_unavailable' },
    })
  })
})

describe('tenantAlerts', () => {
  it('are the open ones, and with includeResolved also those that have passed', async () => {
    const { organizationId } = cast
    await project.sql`select provisioning.open_alert(${organizationId}, 'one', 'warning', 'Passed.')`
    await project.sql`select provisioning.resolve_alert(${organizationId}, 'one')`
    await project.sql`select provisioning.open_alert(${organizationId}, 'two', 'critical', 'Open.', '{"code": "x"}')`
    const fields = 'kind severity message metadata openedAt resolvedAt cursor'
    const open = await asOwner(`{ tenantAlerts { ${fields} } }`)
    expect(open.data.tenantAlerts).toMatchObject([
      { kind: 'two', severity: 'CRITICAL', message: 'Open.', metadata: { code: 'x' }, resolvedAt: null },
    ])
    const all = await asOwner(
      `query ($id: ID!) { tenantAlerts(organizationId: $id, includeResolved: true, first: 1) { ${fields} } }`,
    )
    expect(all.data.tenantAlerts).toMatchObject([{ kind: 'two' }])
    const rest = await asOwner(
      `query ($id: ID!, $after: String) { tenantAlerts(organizationId: $id, includeResolved: true, after: $after) { kind } }`,
      { after: all.data.tenantAlerts[0].cursor },
    )
    expect(rest.data.tenantAlerts).toEqual([{ kind: 'one' }])
  })
})

describe('tenantConnectionInfo', () => {
  const query = `query ($id: ID!, $reveal: Boolean! = false) { tenantConnectionInfo(organizationId: $id, revealPassword: $reveal) {
    host pooledHost port database role sslMode graphqlEndpoint password } }`
  const reveals = async () =>
    project.sql`select actor_id from public.audit_logs
      where organization_id = ${cast.organizationId} and action = 'credentials.revealed'`

  it('says how to connect, without the password and without a note in the audit log', async () => {
    const { data } = await asOwner(query)
    const [row] = await project.sql`
      select host, pooled_host as "pooledHost", port, database_name as database, role_name as role, upper(ssl_mode) as "sslMode",
        graphql_endpoint as "graphqlEndpoint", null as password
      from public.organization_databases where organization_id = ${cast.organizationId}`
    expect(data.tenantConnectionInfo).toEqual(row)
    expect(await reveals()).toEqual([])
  })

  it('has the password when asked for, which is audited with who asked, and may not be cached', async () => {
    const reply = await ask(project, cast.credentials('admin'), query, {
      id: cast.organizationId,
      reveal: true,
    })
    expect(reply.data.tenantConnectionInfo.password).toMatch(/\w{8}/)
    expect(reply.headers.get('cache-control')).toBe('no-store')
    expect(await reveals()).toEqual([{ actor_id: cast.user('admin').userId }])
  })

  it('says with a code that there is no database yet', async () => {
    const reply = await project.whileHeld(async () => {
      const person = await project.signUp()
      return ask(project, bearer(person.accessToken), query, { id: person.organizationId })
    })
    expect(codes(reply)).toEqual(['database_not_found'])
  })

  it('says to the backend that there is no such organization', async () => {
    const reply = await ask(project, cast.credentials('service'), query, { id: crypto.randomUUID() })
    expect(codes(reply)).toEqual(['organization_not_found'])
  })
})

describe('fields of one operation', () => {
  it('that is refused in part answers the rest', async () => {
    const reply = await ask(
      project,
      cast.credentials('member'),
      `query ($id: ID!) { myOrganizations { id } tenants { nodes { id } } tenantConnectionInfo(organizationId: $id) { host } }`,
      { id: cast.organizationId },
    )
    expect(codes(reply).sort()).toEqual(['forbidden', 'forbidden'])
    expect(reply.data.myOrganizations).toHaveLength(2)
    expect(reply.data).toMatchObject({ tenants: null, tenantConnectionInfo: null })
  })
})

describe('the statements of one operation', () => {
  const count = async (person: 'owner' | 'admin', query: string) => {
    await using api = graphqlInProcess(project)
    const send = async (text: string) => {
      const reply = await api.send({
        method: 'POST',
        headers: { 'content-type': 'application/json', ...cast.credentials(person) },
        body: JSON.stringify({ query: text, variables: { id: cast.organizationId } }),
      })
      const { data, errors } = await reply.json()
      expect(errors).toBeUndefined()
      return data
    }
    // The first request of a function asks whose rows these are.
    await send('{ __typename }')
    const before = api.statements()
    expect(before).toBe(1)
    const data = await send(query)
    return { statements: api.statements() - before, data }
  }

  it('are one for myOrganizations, and one for a page of events', async () => {
    expect((await count('owner', '{ myOrganizations { id name provisioningStatus } }')).statements).toBe(1)
    const events = 'query ($id: ID!) { provisioningEvents(organizationId: $id, first: 50) { id } }'
    expect((await count('owner', events)).statements).toBe(1)
  })

  it('are one for all fields that stand side by side', async () => {
    const { statements } = await count(
      'owner',
      `query ($id: ID!) { myOrganizations { id } isOperator provisioningStatus(organizationId: $id) { overall }
        provisioningEvents(organizationId: $id) { id } older: provisioningEvents(organizationId: $id, first: 3) { id }
        tenantAlerts { id } }`,
    )
    expect(statements).toBe(1)
  })

  it('are two for nested fields, however many organizations there are', async () => {
    const { statements, data } = await count(
      'admin',
      '{ myOrganizations { id provisioning { overall steps { step } } events(first: 2) { id } } }',
    )
    expect(data.myOrganizations).toHaveLength(2)
    for (const { provisioning, events } of data.myOrganizations) {
      expect(provisioning.steps.length).toBeGreaterThan(3)
      expect(events).toHaveLength(2)
    }
    expect(statements).toBe(2)
  })
})
