import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { REVERSE_ORDER, removalOrder } from './removal-order.ts'

const FUNCTION = 'deprovision-tenant-resources'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject()
  await setGrace(0)
})

afterAll(async () => {
  await project?.stop()
})

const setGrace = (hours: number) =>
  project.sql`update provisioning.resource_kinds set grace_hours = ${hours} where kind = 'neon_project'`
const keepCustomers = (kept: boolean) =>
  project.sql`update provisioning.resource_kinds set kept_on_deletion = ${kept} where kind = 'stripe_customer'`

async function call(body: object, authorization?: string) {
  const reply = await fetch(`${project.services.url}/functions/v1/${FUNCTION}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(authorization ? { authorization: `Bearer ${authorization}` } : { apikey: project.keys.secretKey }),
    },
    body: JSON.stringify(body),
  })
  return { status: reply.status, body: await reply.json() }
}

async function readyTenant(): Promise<SignedUp & { slug: string }> {
  const person = await project.signUp()
  await project.waitFor(person.organizationId)
  const [row] = await project.sql<{ slug: string }[]>`
    select slug from public.organizations where id = ${person.organizationId}`
  return { ...person, slug: row?.slug ?? '' }
}

/** The newest undo of an organization, with how each step stands. */
async function undoOf(organizationId: string) {
  const [job] = await project.sql<
    { id: string; status: string; steps: Record<string, string> | null; codes: (string | null)[] | null }[]
  >`
    select j.id, j.status, (select jsonb_object_agg(s.step, s.status) from public.provisioning_steps s where s.job_id = j.id) as steps,
      (select jsonb_agg(s.error ->> 'code') from public.provisioning_steps s where s.job_id = j.id) as codes
    from public.provisioning_jobs j where j.organization_id = ${organizationId} and j.kind = 'deprovision'
    order by j.created_at desc limit 1`
  return job
}

/** The undo waits until calls of stopped workers have ended, and whatever puts it off afterwards. */
async function undone(organizationId: string, expected = 'succeeded'): Promise<void> {
  await project.whileTimePasses(
    `${expected} undo`,
    async () => (await undoOf(organizationId))?.status === expected || undefined,
    organizationId,
  )
}

const secretsOf = (organizationId: string) =>
  project.sql`select 1 from vault.secrets where name like ${`%${organizationId}%`}`
const auditOf = async (organizationId: string) =>
  (
    await project.sql<{ action: string; actor: string }[]>`
      select action, actor_type as actor from public.audit_logs where organization_id = ${organizationId}`
  ).map(({ action, actor }) => `${action} by ${actor}`)

describe('the deletion of the last owner', () => {
  it('removes password and project in the reverse order of their making, keeps the customer for the books, and leaves others alone', async () => {
    const [person, other] = [await readyTenant(), await readyTenant()]
    expect(await secretsOf(person.organizationId)).toHaveLength(4)
    const { error } = await project.admin.auth.admin.deleteUser(person.userId)
    expect(error).toBeNull()
    await undone(person.organizationId)

    expect((await undoOf(person.organizationId))?.steps).toEqual({
      delete_credentials: 'succeeded',
      delete_neon_project: 'succeeded',
      delete_stripe_customer: 'succeeded',
    })
    expect(await removalOrder(project, person.organizationId, 'deprovision')).toEqual(REVERSE_ORDER)
    expect(await secretsOf(person.organizationId)).toHaveLength(0)
    const left = await project.resources(person.organizationId)
    expect(left.projects).toHaveLength(0)
    expect(left.customers).toHaveLength(1)
    expect(await auditOf(person.organizationId)).toContain('organization.deleted by system')
    expect(await secretsOf(other.organizationId)).toHaveLength(4)
    expect((await project.resources(other.organizationId)).projects).toHaveLength(1)
  })

  it('deletes the customer too when its kind is not kept', async () => {
    await keepCustomers(false)
    const person = await readyTenant()
    await project.admin.auth.admin.deleteUser(person.userId)
    // What was set then counts.
    await keepCustomers(true)
    await undone(person.organizationId)
    expect((await project.resources(person.organizationId)).customers).toHaveLength(0)
  })

  it('finds a customer whose id no row knows, although the search hears of it late and no address is left', async () => {
    await keepCustomers(false)
    project.stripeEmulator.setTimings({ searchLagMs: 3_600_000 })
    const person = await readyTenant()
    const { customers } = await project.resources(person.organizationId)
    await project.sql`update public.tenant_resources set state = 'planned', external_id = null
      where organization_id = ${person.organizationId} and kind = 'stripe_customer'`
    await project.admin.auth.admin.deleteUser(person.userId)
    await keepCustomers(true)
    // Once: a second search would find nothing either, and the customer would count as gone.
    await project.passTime(person.organizationId)
    await until(
      'search that has found nothing',
      async () => (await undoOf(person.organizationId))?.codes?.includes('stripe_search_lags') || undefined,
    )
    project.stripeEmulator.setTimings({ searchLagMs: 0 })
    // So that the search hears of it.
    await project.stripe.customers.update(customers[0]?.id ?? '', { description: 'late' })
    await undone(person.organizationId)
    expect((await project.resources(person.organizationId)).customers).toHaveLength(0)
  })
})

describe('the grace period', () => {
  it('keeps the project, and not the password, until it is over', async () => {
    await setGrace(72)
    const person = await readyTenant()
    await project.admin.auth.admin.deleteUser(person.userId)
    await setGrace(0)
    // Once: each look of a worker at what must wait puts it off again.
    await project.passTime(person.organizationId)
    await until('waiting undo', async () => {
      const undo = await undoOf(person.organizationId)
      return undo?.status === 'queued' && undo.steps?.delete_neon_project === 'retrying' ? true : undefined
    })
    expect((await undoOf(person.organizationId))?.codes).toContain('grace_period')
    expect((await project.resources(person.organizationId)).projects).toHaveLength(1)
    expect(await secretsOf(person.organizationId)).toHaveLength(0)

    await project.sql`update public.tenant_resources set remove_at = now() where organization_id = ${person.organizationId}`
    await undone(person.organizationId)
    expect((await project.resources(person.organizationId)).projects).toHaveLength(0)
  })
})

describe('the undo', () => {
  it('is content with what somebody removed by hand', async () => {
    const person = await readyTenant()
    const { projects } = await project.resources(person.organizationId)
    await project.neon.deleteProject(projects[0]?.id ?? '')
    await project.sql`delete from vault.secrets where name like ${`%${person.organizationId}%`}`
    await project.admin.auth.admin.deleteUser(person.userId)
    await undone(person.organizationId)
  })

  it('finds by its name the project of a worker that was stopped in the middle', async () => {
    project.neonEmulator.setTimings({ createMs: 1_500 })
    const creations = () => project.neonEmulator.stats.calls.createProject ?? 0
    const before = creations()
    const person = await project.signUp()
    // Only now is it too late for the worker to notice.
    await until('creation under way', async () => (creations() > before ? true : undefined))
    await project.admin.auth.admin.deleteUser(person.userId)
    await until('project without a row', async () =>
      (await project.resources(person.organizationId)).projects.length === 1 ? true : undefined,
    )
    project.neonEmulator.setTimings({ createMs: 0 })
    expect(
      await project.sql`select 1 from public.organization_databases where organization_id = ${person.organizationId}`,
    ).toHaveLength(0)
    await undone(person.organizationId)
    expect((await project.resources(person.organizationId)).projects).toHaveLength(0)
  })

  it('that failed for good opens an alert and can be tried again', async () => {
    const person = await readyTenant()
    await project.admin.auth.admin.deleteUser(person.userId)
    const fault = project.neonEmulator.faults.add({
      match: { operation: 'deleteProject' },
      action: { type: 'status', status: 401 },
    })
    await undone(person.organizationId, 'failed')
    const alerts = () =>
      project.sql`select kind, resolved_at is null as open from public.tenant_alerts where organization_id = ${person.organizationId}`
    expect(await alerts()).toMatchObject([{ kind: 'deprovision_failed', open: true }])

    project.neonEmulator.faults.clear(fault.id)
    const dry = await call({ organizationId: person.organizationId, dryRun: true })
    expect(dry.body).toMatchObject({ dryRun: true, wouldRetry: { status: 'failed' } })
    expect((await undoOf(person.organizationId))?.status).toBe('failed')
    const reply = await call({ organizationId: person.organizationId, wait: true })
    expect(reply).toMatchObject({ status: 200, body: { status: 'succeeded', provisioningStatus: null } })
    expect(await alerts()).toMatchObject([{ open: false }])
    expect(await auditOf(person.organizationId)).toContain('removal.retried by service')
    expect((await project.resources(person.organizationId)).projects).toHaveLength(0)
  })
})

describe('a deletion that is taken back as the documentation says', () => {
  async function takeBack({ organizationId, userId }: SignedUp): Promise<void> {
    const page = await readFile(new URL('../../docs/tenants.md', import.meta.url), 'utf8')
    const [, block = ''] = /\*\*To take a deletion back[\s\S]+?```sql\n([\s\S]+?)```/.exec(page) ?? []
    const connection = postgres(project.databaseUrl(), { max: 1, onnotice: () => undefined })
    await connection
      .unsafe(block.replaceAll('ORGANIZATION_ID', organizationId).replaceAll('OWNER_ID', userId))
      .simple()
    await connection.end()
    await project.sweep()
  }

  it('leaves the tenant ready with its project, and one that was ready: cancelling a change removes nothing', async () => {
    const person = await readyTenant()
    const { organizationId } = person
    const [before] = await project.sql`
      select provisioned_at, stripe_customer_id from public.organizations where id = ${organizationId}`
    const { projects } = await project.resources(organizationId)
    await setGrace(72)
    await call({ organizationId, confirm: person.slug })
    await setGrace(0)
    await project.passTime(organizationId)
    await until('password that is gone', async () =>
      (await secretsOf(organizationId)).length === 0 ? true : undefined,
    )
    // Even a removal that has failed meanwhile is done with.
    await until('waiting removal', async () =>
      (await undoOf(organizationId))?.status === 'queued' ? true : undefined,
    )
    await project.sql`update public.provisioning_jobs set status = 'failed', finished_at = now()
      where organization_id = ${organizationId} and kind = 'deprovision'`

    await project.whileHeld(async () => {
      await takeBack(person)
      const { body } = await call({ organizationId, dryRun: true })
      expect(body).toMatchObject({ wouldDelete: { organization: person.slug } })
      expect(
        await project.sql`select provisioned_at, stripe_customer_id from public.organizations where id = ${organizationId}`,
      ).toEqual([before])
      // Before its job has succeeded: what was ready once is in use.
      const cancelled = await project.request({ organizationId, cancel: true })
      expect(cancelled.body).toMatchObject({ status: 'cancelled', undoJobId: null })
    })
    await project.request({ organizationId })
    await project.waitFor(organizationId)
    expect(await secretsOf(organizationId)).toHaveLength(4)
    expect((await project.resources(organizationId)).projects.map(({ id }) => id)).toEqual(
      projects.map(({ id }) => id),
    )
    const [verdict] = await project.sql`
      select provisioning.describe_tenant(${organizationId}) -> 'verdict' ->> 'ready' as ready`
    expect(verdict?.ready).toBe('true')
    expect(
      await project.sql`select kind from public.tenant_alerts where organization_id = ${organizationId} and resolved_at is null`,
    ).toEqual([])
  })
})

describe('a request', () => {
  it('tells in a dry run what would be deleted, and deletes nothing', async () => {
    const person = await readyTenant()
    const reply = await call({ organizationId: person.organizationId, dryRun: true })
    const { projects, customers } = await project.resources(person.organizationId)
    expect(reply).toMatchObject({
      status: 200,
      body: {
        dryRun: true,
        wouldDelete: {
          organization: person.slug,
          resources: expect.arrayContaining([
            expect.objectContaining({ kind: 'neon_project', externalId: projects[0]?.id, kept: false }),
            expect.objectContaining({ kind: 'stripe_customer', externalId: customers[0]?.id, kept: true }),
          ]),
        },
      },
    })
    expect(await undoOf(person.organizationId)).toBeUndefined()
  })

  it('wants the slug as a confirmation', async () => {
    const person = await readyTenant()
    for (const confirm of [undefined, 'another-slug']) {
      const reply = await call({ organizationId: person.organizationId, ...(confirm ? { confirm } : {}) })
      expect(reply).toMatchObject({ status: 428, body: { code: 'confirmation_required' } })
      expect(reply.body.detail).toContain(person.slug)
    }
    expect(await undoOf(person.organizationId)).toBeUndefined()
    expect((await project.provisioning(person.organizationId)).overall).toBe('ready')
  })

  it('deletes the organization and answers with the job; the audit log says that the backend asked', async () => {
    const person = await readyTenant()
    const reply = await call({ organizationId: person.organizationId, confirm: person.slug })
    expect(reply).toMatchObject({
      status: 202,
      body: { organizationId: person.organizationId, status: 'queued' },
    })
    expect(
      await project.sql`select 1 from public.organizations where id = ${person.organizationId}`,
    ).toHaveLength(0)
    expect(await auditOf(person.organizationId)).toContain('organization.deleted by service')
    // Sent again because the reply was lost: the removal is not hurried, calls of stopped workers may be under way.
    const again = await call({ organizationId: person.organizationId, confirm: person.slug })
    expect(again).toMatchObject({ status: 202, body: { jobId: reply.body.jobId, status: 'queued' } })
    const [job] = await project.sql`
      select next_attempt_at > now() as waits from public.provisioning_jobs where id = ${reply.body.jobId}`
    expect(job?.waits).toBe(true)
    await undone(person.organizationId)
  })

  it('is not for users, not even for the owner', async () => {
    const person = await readyTenant()
    const reply = await call(
      { organizationId: person.organizationId, confirm: person.slug },
      person.accessToken,
    )
    expect(reply).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(await undoOf(person.organizationId)).toBeUndefined()
  })

  it('for an organization that never was is refused', async () => {
    expect(await call({ organizationId: crypto.randomUUID(), confirm: 'x' })).toMatchObject({
      status: 404,
      body: { code: 'organization_not_found' },
    })
  })
})
