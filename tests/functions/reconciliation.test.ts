import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { fingerprint } from '../database/fingerprint.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

const FUNCTION = 'reconcile-tenants'

const reportSchema = z.object({
  runId: z.uuid(),
  status: z.enum(['running', 'finished', 'failed']),
  dryRun: z.boolean(),
  complete: z.boolean(),
  error: z.string().nullable(),
  gaps: z.record(z.string(), z.string()),
  counts: z.record(z.string(), z.record(z.string(), z.number())),
  findings: z.array(
    z.object({
      resourceKind: z.string(),
      kind: z.string(),
      resourceId: z.string(),
      organizationId: z.uuid(),
      deletedAt: z.string().nullable(),
    }),
  ),
})

type Report = z.infer<typeof reportSchema>

let project: TestProject
let one: SignedUp
let other: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  one = await project.signUp()
  other = await project.signUp()
  await project.waitFor(one.organizationId)
  await project.waitFor(other.organizationId)
  // One run deletes as much as a hundredth of the fleet. These have nothing outside.
  await project.sql`update provisioning.settings set organizations_per_user = 1000`
  await project.sql`
    insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
    select 'One of many', 'one-of-many-' || n, o.owner_id, o.data_region, o.hosting_region, '{}'
    from public.organizations o, generate_series(1, 400) n where o.id = ${one.organizationId}`
})

afterAll(() => project?.stop())

const made: { projects: string[]; customers: string[] } = { projects: [], customers: [] }

beforeEach(async () => {
  await project.sql`update provisioning.settings
    set reconcile_delete = false, reconcile_grace_hours = 24, reconcile_delete_cap = 20, worker_max_seconds = 90`
})

afterEach(async () => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
  for (const id of made.projects.splice(0)) await project.neon.deleteProject(id).catch(() => undefined)
  for (const id of made.customers.splice(0)) await project.stripe.customers.del(id).catch(() => undefined)
  await project.sql`delete from provisioning.reconciliation_runs`
  await project.sql`delete from provisioning.reconciliation_findings`
  await project.sql`delete from public.tenant_alerts`
  await project.sql`delete from public.tenant_resources where state = 'removed'`
})

interface Call {
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

async function call({ body, headers = {} }: Call): Promise<{ status: number; body: unknown }> {
  const reply = await fetch(`${project.services.url}/functions/v1/${FUNCTION}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: reply.status, body: await reply.json() }
}

const withKey = (body: unknown) => call({ body, headers: { apikey: project.keys.secretKey } })

/** A whole run, as the project's backend asks for it. */
async function reconcile(body: Readonly<Record<string, unknown>> = {}): Promise<Report> {
  const reply = await withKey({ ...body, wait: true })
  expect(reply.status).toBe(200)
  return reportSchema.parse(reply.body)
}

async function createProject(name: string): Promise<string> {
  const { data } = await project.neon.createProject({ project: { name } })
  made.projects.push(data.project.id)
  return data.project.id
}

async function createCustomer(organizationId: string): Promise<string> {
  const { id } = await project.stripe.customers.create({ metadata: { organization_id: organizationId } })
  made.customers.push(id)
  return id
}

/** A row of ours says that these were removed. */
async function markRemoved(kind: string, ids: readonly string[]): Promise<void> {
  await project.sql`insert into public.tenant_resources (organization_id, service, kind, name, external_id, state, removed_at)
    select gen_random_uuid(), k.service, k.kind, 'removed', id, 'removed', now()
    from provisioning.resource_kinds k, unnest(${[...ids]}::text[]) id where k.kind = ${kind}`
}

async function ownProject({ organizationId }: SignedUp): Promise<string> {
  const [row] = await project.sql<{ id: string }[]>`
    select neon_project_id as id from public.organization_databases where organization_id = ${organizationId}`
  return row?.id ?? ''
}

async function projectIds(): Promise<string[]> {
  const { data } = await project.neon.listProjects({ limit: 400 })
  return data.projects.map(({ id }) => id)
}

const found = ({ findings }: Report) =>
  findings.map(({ resourceKind, kind, resourceId }) => `${resourceKind} ${kind} ${resourceId}`).sort()

const openAlerts = async ({ organizationId }: SignedUp) =>
  (
    await project.sql<{ kind: string }[]>`select kind from public.tenant_alerts
      where organization_id = ${organizationId} and resolved_at is null order by kind`
  ).map(({ kind }) => kind)

async function setUnavailable(projectId: string, unavailable: boolean): Promise<void> {
  const control = new URL(`/_emulator/projects/${projectId}`, project.neonEmulator.url)
  const reply = await fetch(control, { method: 'PATCH', body: JSON.stringify({ unavailable }) })
  expect(reply.status).toBe(200)
}

const allowDeletion = (settings: Record<string, number> = {}) =>
  project.sql`update provisioning.settings set ${project.sql({ reconcile_delete: true, ...settings })}`
const backdate = (hours: number) =>
  project.sql`update provisioning.reconciliation_findings set first_seen_at = now() - make_interval(hours => ${hours})`

describe('a caller', () => {
  it('without credentials is not authenticated', async () => {
    expect(await call({ body: {} })).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
  })

  it('with a user’s token is refused, also the owner of a tenant', async () => {
    const headers = { authorization: `Bearer ${one.accessToken}` }
    expect(await call({ body: {}, headers })).toMatchObject({ status: 403, body: { code: 'forbidden' } })
  })

  it.each<[string, unknown, string[]]>([
    ['an unknown field', { dryrun: false }, ['dryrun']],
    ['a dryRun that is no boolean', { dryRun: 'no' }, ['dryRun']],
    ['no object', [], ['(body)']],
  ])('who sends %s gets a bad request that names it, and nothing is written', async (_what, body, fields) => {
    const before = await fingerprint(project.superuser)
    const reply = await withKey(body)
    expect(reply).toMatchObject({ status: 400, body: { code: 'invalid_body' } })
    expect(reply.body).toMatchObject({ issues: fields.map((path) => ({ path })) })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('who does not wait is told of the run at once', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'listProjects' },
      action: { type: 'latency', ms: 1_000 },
    })
    const reply = await withKey({})
    expect(reply).toMatchObject({ status: 202, body: { status: 'running', dryRun: true, findings: [] } })
    const { runId } = reportSchema.parse(reply.body)
    expect((await reconcile()).runId).toBe(runId)
  })

  it('with a forged or expired doorbell is not authenticated, and with one while no run is open does no harm', async () => {
    const doorbell = await project.signDoorbell()
    const forged = { ...doorbell, signature: 'f'.repeat(64) }
    expect((await call({ body: forged })).status).toBe(401)
    const expired = await project.signDoorbell(Date.now() - 5_000)
    expect((await call({ body: expired })).status).toBe(401)
    expect(await call({ body: doorbell })).toEqual({ status: 202, body: { accepted: true } })
  })
})

describe('the comparison', () => {
  it('finds nothing when all is as it should be', async () => {
    const report = await reconcile()
    const none = { duplicate: 0, stranger: 0, missing: 0, resolved: 0, deleted: 0 }
    expect(report).toMatchObject({ status: 'finished', complete: true, dryRun: true, findings: [], gaps: {} })
    expect(report.counts).toEqual({
      neon_branch: { resources: 0, ...none },
      neon_project: { resources: 2, ...none },
      stripe_customer: { resources: 2, ...none },
    })
  })

  it('is made when the database rings', async () => {
    const stranger = await createProject(`org-${crypto.randomUUID()}`)
    await project.sql`select provisioning.start_reconciliation()`
    const finding = await until('finding', async () => {
      const [row] = await project.sql`select kind, resource_id from provisioning.reconciliation_findings`
      return row
    })
    expect(finding).toEqual({ kind: 'stranger', resource_id: stranger })
  })

  it('reports second projects and customers, keeps those in the rows, and opens an alert', async () => {
    const twin = await createProject(`org-${one.organizationId}`)
    const customer = await createCustomer(one.organizationId)
    expect(found(await reconcile())).toEqual([
      `neon_project duplicate ${twin}`,
      `stripe_customer duplicate ${customer}`,
    ])
    expect(await openAlerts(one)).toEqual(['neon_project_duplicate', 'stripe_customer_duplicate'])
    expect(await openAlerts(other)).toEqual([])
  })

  it('reports what belongs to nobody, and resolves that when it is gone', async () => {
    const organizationId = crypto.randomUUID()
    const lost = await createProject(`org-${organizationId}`)
    const customer = await createCustomer(organizationId)
    expect(found(await reconcile())).toEqual([
      `neon_project stranger ${lost}`,
      `stripe_customer stranger ${customer}`,
    ])
    await project.neon.deleteProject(lost)
    await project.stripe.customers.del(customer)
    const report = await reconcile()
    expect(report.findings).toEqual([])
    expect(report.counts).toMatchObject({ neon_project: { resolved: 1 }, stripe_customer: { resolved: 1 } })
  })

  it('leaves alone what only looks like ours', async () => {
    const id = crypto.randomUUID()
    for (const name of [`my-org-${id}`, `org-${id}-copy`, `org-${id} `, `org-${id.toUpperCase()}`, 'org-x'])
      await createProject(name)
    await createCustomer(`x${id}`)
    await createCustomer('')
    expect((await reconcile()).findings).toEqual([])
  })

  it('reports a project that somebody deleted by hand, with an alert', async () => {
    const tenant = await project.signUp()
    await project.waitFor(tenant.organizationId)
    const gone = await ownProject(tenant)
    await project.neon.deleteProject(gone)
    const customers = await project.resources(tenant.organizationId)
    made.customers.push(...customers.customers.map(({ id }) => id))
    const report = await reconcile()
    expect(found(report)).toEqual([`neon_project missing ${gone}`])
    expect(await openAlerts(tenant)).toEqual(['neon_project_missing'])

    await project.sql`delete from public.organizations where id = ${tenant.organizationId}`
    expect((await reconcile()).findings).toEqual([])
    expect(await openAlerts(tenant)).toEqual([])
    await project.sql`delete from public.provisioning_jobs where organization_id = ${tenant.organizationId}`
  })
})

describe('an incomplete list', () => {
  it('of which projects are unavailable makes nothing missing and resolves nothing', async () => {
    const stranger = await createProject(`org-${crypto.randomUUID()}`)
    await reconcile()
    const own = await ownProject(one)
    await setUnavailable(own, true)
    await setUnavailable(stranger, true)
    const report = await reconcile().finally(async () => {
      await setUnavailable(own, false)
      await setUnavailable(stranger, false)
    })
    expect(report).toMatchObject({
      complete: false,
      findings: [],
      gaps: { neon_project: expect.any(String) },
    })
    expect(report.counts).toMatchObject({ neon_project: { missing: 0, resolved: 0 } })
    expect(await openAlerts(one)).toEqual([])
    expect(found(await reconcile())).toEqual([`neon_project stranger ${stranger}`])
  })

  it('that ends in an error does so too, and says why', async () => {
    const stranger = await createProject(`org-${crypto.randomUUID()}`)
    await reconcile()
    project.neonEmulator.faults.add({
      match: { operation: 'listProjects' },
      action: { type: 'status', status: 400 },
    })
    const report = await reconcile()
    expect(report).toMatchObject({ status: 'finished', complete: false, findings: [] })
    expect(report.gaps.neon_project).toContain('Neon refused the request')
    const [open] =
      await project.sql`select resource_id, resolved_at from provisioning.reconciliation_findings`
    expect(open).toEqual({ resource_id: stranger, resolved_at: null })
  })

  it('is avoided: a page is asked for again after a hiccup', async () => {
    project.stripeEmulator.faults.add({
      match: { operation: 'GetCustomers' },
      action: { type: 'status', status: 500 },
      times: 1,
    })
    expect(await reconcile()).toMatchObject({ complete: true, gaps: {} })
  })
})

describe('deletion', () => {
  it('does not happen by default, however long something has been known', async () => {
    const stranger = await createProject(`org-${crypto.randomUUID()}`)
    await markRemoved('neon_project', [stranger])
    await reconcile({ dryRun: false })
    await backdate(1_000)
    expect((await reconcile({ dryRun: false })).findings).toMatchObject([{ deletedAt: null }])
    expect(await projectIds()).toContain(stranger)
  })

  it('does not happen in a dry run, which is what a caller gets who does not ask for more', async () => {
    await allowDeletion()
    const stranger = await createProject(`org-${crypto.randomUUID()}`)
    await markRemoved('neon_project', [stranger])
    await reconcile()
    await backdate(25)
    expect((await reconcile()).counts).toMatchObject({ neon_project: { deleted: 0 } })
    expect(await projectIds()).toContain(stranger)
  })

  it('leaves what no row of ours names to an operator, who names it by its id', async () => {
    await allowDeletion()
    const [left, ordered] = [
      await createProject(`org-${crypto.randomUUID()}`),
      await createProject(`org-${crypto.randomUUID()}`),
    ]
    await reconcile()
    await backdate(1_000)
    expect((await reconcile({ dryRun: false })).counts).toMatchObject({
      neon_project: { stranger: 2, deleted: 0 },
    })

    await project.sql`update provisioning.settings set reconcile_delete = false`
    await project.sql`select provisioning.order_deletion('neon_project', ${ordered})`
    const report = await reconcile({ dryRun: false })
    expect(report).toMatchObject({ error: null, counts: { neon_project: { stranger: 2, deleted: 1 } } })
    expect(await projectIds()).toContain(left)
    expect(await projectIds()).not.toContain(ordered)
    const unknown = project.sql`select provisioning.order_deletion('neon_project', ${await ownProject(one)})`
    await expect(unknown).rejects.toMatchObject({ code: 'TP404' })
  })

  it('takes strangers and duplicates that were removed after the grace period, and leaves every tenant what its row names', async () => {
    await allowDeletion()
    const gone = crypto.randomUUID()
    const projects = [await createProject(`org-${one.organizationId}`), await createProject(`org-${gone}`)]
    const customers = [await createCustomer(one.organizationId), await createCustomer(gone)]
    await markRemoved('neon_project', projects)
    await markRemoved('stripe_customer', customers)
    const first = await reconcile({ dryRun: false })
    expect(first.findings.map(({ deletedAt }) => deletedAt)).toEqual([null, null, null, null])

    await backdate(25)
    const report = await reconcile({ dryRun: false })
    expect(report).toMatchObject({ complete: true, error: null })
    expect(report.counts).toMatchObject({ neon_project: { deleted: 2 }, stripe_customer: { deleted: 2 } })
    expect((await projectIds()).sort()).toEqual([await ownProject(one), await ownProject(other)].sort())
    for (const id of customers)
      expect(await project.stripe.customers.retrieve(id)).toMatchObject({ deleted: true })
    expect((await project.resources(one.organizationId)).customers).toHaveLength(1)
    expect(await openAlerts(one)).toEqual([])
    const audited = await project.sql<{ id: string }[]>`
      select resource_id as id from public.audit_logs
      where action = 'reconciliation.deleted' and metadata ->> 'run_id' = ${report.runId}`
    expect(audited.map(({ id }) => id).sort()).toEqual([...projects, ...customers].sort())
    expect(await reconcile()).toMatchObject({ findings: [] })
  })

  it('takes at most the cap, those that have been known longest first', async () => {
    await allowDeletion({ reconcile_delete_cap: 2 })
    const ids = []
    for (let number = 0; number < 4; number++) ids.push(await createProject(`org-${crypto.randomUUID()}`))
    await markRemoved('neon_project', ids)
    await reconcile()
    for (const [index, id] of ids.entries())
      await project.sql`update provisioning.reconciliation_findings
        set first_seen_at = now() - make_interval(days => ${9 - index}) where resource_id = ${id}`
    const report = await reconcile({ dryRun: false })
    expect(report.counts).toMatchObject({ neon_project: { stranger: 4, deleted: 2 } })
    const left = await projectIds()
    expect(ids.map((id) => left.includes(id))).toEqual([false, false, true, true])
  })

  it('that the provider refuses is told of, and the others go on', async () => {
    await allowDeletion()
    const stubborn = await createProject(`org-${crypto.randomUUID()}`)
    const easy = await createProject(`org-${crypto.randomUUID()}`)
    await markRemoved('neon_project', [stubborn, easy])
    await reconcile()
    await backdate(25)
    project.neonEmulator.faults.add({
      match: { path: `**/projects/${stubborn}`, method: 'DELETE' },
      action: { type: 'status', status: 400 },
    })
    const report = await reconcile({ dryRun: false })
    expect(report.counts).toMatchObject({ neon_project: { stranger: 2, deleted: 1 } })
    expect(report.error).toContain(`${stubborn} was not deleted`)
    expect(await projectIds()).not.toContain(easy)
    const [open] = await project.sql`
      select deleted_at, resolved_at from provisioning.reconciliation_findings where resource_id = ${stubborn}`
    expect(open).toEqual({ deleted_at: null, resolved_at: null })
  })
})

describe('a function that is killed while it deletes', () => {
  it('is followed by one that deletes the rest, within the same cap', async () => {
    await allowDeletion({ reconcile_delete_cap: 3 })
    const ids: string[] = []
    for (let number = 0; number < 3; number++) ids.push(await createProject(`org-${crypto.randomUUID()}`))
    await markRemoved('neon_project', ids)
    await reconcile()
    await backdate(25)
    project.neonEmulator.faults.add({
      match: { operation: 'deleteProject' },
      action: { type: 'hang' },
      times: 1,
    })
    const { runId } = reportSchema.parse((await withKey({ dryRun: false })).body)
    const begun = async () =>
      (await project.sql`select deletions from provisioning.reconciliation_runs where id = ${runId}`)[0]
        ?.deletions
    // The fault is gone once it has struck: the request is at the provider.
    await until('deletion that hangs', () =>
      project.neonEmulator.faults.list().length === 0 ? true : undefined,
    )
    expect(await begun()).toBe(1)
    project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')

    const report = await reconcile({ dryRun: false })
    expect(report).toMatchObject({ runId, status: 'finished', complete: true })
    expect(report.counts).toMatchObject({ neon_project: { stranger: 3, deleted: 2 } })
    expect(await begun()).toBe(3)
    const left = await projectIds()
    expect(ids.filter((id) => left.includes(id))).toHaveLength(1)
  })
})

describe('a long list', () => {
  const PAGES = 3

  beforeAll(async () => {
    for (let made = 0; made < (PAGES - 1) * 100 + 20; made += 20)
      await Promise.all(
        Array.from({ length: 20 }, () => project.stripe.customers.create({ name: 'Somebody else' })),
      )
  })

  const listCalls = () => project.stripeEmulator.stats.calls.GetCustomers ?? 0
  const pagesRead = async (runId: string) => {
    const [row] = await project.sql<{ pages: number }[]>`
      select pages from provisioning.reconciliation_lists where run_id = ${runId} and resource_kind = 'stripe_customer'`
    return row?.pages ?? 0
  }
  const slow = (ms: number) =>
    project.stripeEmulator.faults.add({
      match: { operation: 'GetCustomers' },
      action: { type: 'latency', ms },
    })

  it('is read on from the last page when the function was killed in the middle', async () => {
    const lost = await createCustomer(crypto.randomUUID())
    const before = listCalls()
    slow(600)
    const { runId } = reportSchema.parse((await withKey({})).body)
    await until('first page', async () => ((await pagesRead(runId)) === 1 ? true : undefined))
    expect(project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')).toBe(true)
    await sleep(50)
    expect(await pagesRead(runId)).toBe(1)

    project.stripeEmulator.faults.clear()
    await project.sql`update provisioning.reconciliation_runs set progressed_at = now() - interval '3 minutes'`
    await project.sql`select provisioning.resume_reconciliation()`
    const report = await until('end of the run', async () => {
      const [row] = await project.sql<{ report: unknown }[]>`
        select provisioning.reconciliation_report(${runId}) as report`
      const current = reportSchema.parse(row?.report)
      return current.status === 'running' ? undefined : current
    })
    expect(report).toMatchObject({ status: 'finished', complete: true })
    expect(found(report)).toEqual([`stripe_customer stranger ${lost}`])
    // The page under way when it was killed is the only one that was asked for twice.
    expect(listCalls() - before).toBeLessThanOrEqual(PAGES + 1)
    expect(await pagesRead(runId)).toBe(PAGES)
  })

  it('is read by several invocations when one’s time is up, each ringing for the next', async () => {
    await project.sql`update provisioning.settings set worker_max_seconds = 1`
    slow(700)
    const rung = async () =>
      Number((await project.sql`select count(*) as n from net._http_response`)[0]?.n ?? 0)
    const before = await rung()
    const report = await reconcile()
    expect(report).toMatchObject({ status: 'finished', complete: true })
    expect(report.counts.stripe_customer?.resources).toBeGreaterThan((PAGES - 1) * 100)
    expect(await rung()).toBeGreaterThan(before)
  })

  it('is read once also when two functions are rung for it at the same time', async () => {
    const gateway = await project.startSecondGateway()
    const ringSecond = async () => {
      const body = JSON.stringify(await project.signDoorbell())
      const reply = await fetch(`${gateway.url}/functions/v1/${FUNCTION}`, { method: 'POST', body })
      expect(reply.status).toBe(202)
    }
    // Starts its process.
    await ringSecond()
    const allCalls = () => listCalls() + (project.neonEmulator.stats.calls.listProjects ?? 0)
    const needed = PAGES + 2
    project.neonEmulator.faults.add({
      match: { operation: 'listProjects' },
      action: { type: 'latency', ms: 400 },
    })
    slow(400)
    const before = allCalls()
    const { runId } = reportSchema.parse((await withKey({})).body)
    await ringSecond()
    const report = await reconcile()
    expect(report).toMatchObject({ runId, status: 'finished', complete: true })
    expect(await pagesRead(runId)).toBe(PAGES)
    // Both have asked for one page; whoever was late has left the rest to the other.
    const calls = allCalls() - before
    expect(calls).toBeGreaterThan(needed)
    expect(calls).toBeLessThanOrEqual(needed + 2)
  })
})
