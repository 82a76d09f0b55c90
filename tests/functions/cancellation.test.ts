import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { readTenant } from '../../cli/tenant.ts'
import { fingerprint } from '../database/fingerprint.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { REVERSE_ORDER, removalOrder } from './removal-order.ts'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject()
})

afterAll(() => project?.stop())

afterEach(() => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
})

const failing = (status: number) => ({ type: 'status', status }) as const
const refuseProjects = () =>
  project.neonEmulator.faults.add({
    match: { operation: 'createProject' },
    action: failing(422),
  })

/** A tenant with a Stripe customer, and a Neon project that could not be made. */
async function failedTenant(): Promise<SignedUp> {
  refuseProjects()
  const person = await project.signUp()
  await project.waitFor(person.organizationId, 'failed')
  project.neonEmulator.faults.clear()
  return person
}

/** One whose undo could not delete the customer either. */
async function failedUndo(): Promise<SignedUp> {
  const person = await failedTenant()
  await cancel(person)
  project.stripeEmulator.faults.add({
    match: { operation: 'DeleteCustomersCustomer' },
    action: failing(403),
  })
  await undone(person, 'failed')
  project.stripeEmulator.faults.clear()
  return person
}

/** Of all rows, when no worker writes any more: that a tenant is ready or has failed is not the last that is written. */
async function quietFingerprint(): Promise<unknown> {
  await project.whileTimePasses('end of all work', async () => {
    const open = await project.sql`
      select from public.provisioning_jobs where status in ('queued', 'running') union all select from provisioning.job_leases`
    return open.length === 0 || undefined
  })
  return fingerprint(project.sql)
}

async function removal(body: object): Promise<Record<string, unknown>> {
  const reply = await fetch(`${project.services.url}/functions/v1/deprovision-tenant-resources`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', apikey: project.keys.secretKey },
    body: JSON.stringify(body),
  })
  return reply.json()
}

async function openAlerts({ organizationId }: SignedUp): Promise<string[]> {
  const alerts = await project.sql<{ kind: string }[]>`
    select kind from public.tenant_alerts where organization_id = ${organizationId} and resolved_at is null`
  return alerts.map(({ kind }) => kind)
}

async function verdict({ organizationId }: SignedUp): Promise<unknown> {
  const [row] = await project.sql<{ tenant: unknown }[]>`
    select provisioning.describe_tenant(${organizationId}) as tenant`
  return readTenant(row?.tenant).verdict
}

const cancel = ({ organizationId }: SignedUp, more: object = {}) =>
  project.request({ organizationId, cancel: true, ...more })

/** Lets the time pass that the calls of stopped workers may need, and the removal be done. */
async function undone({ organizationId }: SignedUp, expected = 'succeeded', kind = 'undo'): Promise<void> {
  const isDone = async () => {
    const [job] = await project.sql<{ status: string }[]>`
      select status from public.provisioning_jobs where organization_id = ${organizationId} and kind = ${kind}
      order by created_at desc limit 1`
    return job?.status === expected || undefined
  }
  await project.whileTimePasses(`${expected} ${kind}`, isDone, organizationId)
}

async function left({ organizationId }: SignedUp) {
  const { projects, customers } = await project.resources(organizationId)
  const [row] = await project.sql<Record<string, unknown>[]>`
    select o.stripe_customer_id, d.neon_project_id, d.host, d.credentials_secret_id, d.schema_version
    from public.organizations o join public.organization_databases d on d.organization_id = o.id where o.id = ${organizationId}`
  const secrets = await project.sql`
    select 1 from vault.secrets where name like ${`tenant_database_password/${organizationId}/%`}`
  return {
    projects: projects.length,
    customers: customers.length,
    secrets: secrets.length,
    rows: Object.values(row ?? {}).filter((value) => value !== null).length,
  }
}

const NOTHING = { projects: 0, customers: 0, secrets: 0, rows: 0 }

describe('cancelling a provisioning that is under way', () => {
  it('stops it at once and removes what its worker had made, and what it still makes', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'latency', ms: 5_000 },
    })
    const person = await project.signUp()
    await project.waitForStep(person.organizationId, 'stripe_customer', 'succeeded')
    await project.waitForStep(person.organizationId, 'neon_project', 'running')
    const reply = await cancel(person)
    expect(reply.status).toBe(200)
    expect(reply.body).toMatchObject({ status: 'cancelled', jobId: person.jobId })
    expect((await project.provisioning(person.organizationId)).services).toMatchObject({
      overall: 'cancelled',
      stripe: 'cancelled',
      neon: 'cancelled',
    })
    await until('project of the stopped worker', async () => {
      const { projects } = await project.resources(person.organizationId)
      return projects.length === 1 || undefined
    })
    await undone(person)
    expect(await left(person)).toEqual(NOTHING)
  })

  it('is told in the events and the audit log, with who asked', async () => {
    const person = await failedTenant()
    const { accessToken: token, organizationId } = person
    const reply = await project.call({
      headers: { authorization: `Bearer ${token}` },
      body: { organizationId, cancel: true },
    })
    expect(reply.status).toBe(200)
    const { data: events } = await person.client
      .from('provisioning_events')
      .select('event_type, resource_id')
      .eq('event_type', 'job.cancelled')
    expect(events).toEqual([{ event_type: 'job.cancelled', resource_id: person.jobId }])
    const { data: audit } = await person.client
      .from('audit_logs')
      .select('action, actor_type, actor_id')
      .eq('action', 'provisioning.cancelled')
    expect(audit).toEqual([{ action: 'provisioning.cancelled', actor_type: 'user', actor_id: person.userId }])
  })

  it('that no worker has taken yet needs no undo', async () => {
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      expect((await cancel(signedUp)).body).toMatchObject({ status: 'cancelled', undoJobId: null })
      return signedUp
    })
    expect(await left(person)).toEqual(NOTHING)
  })
})

describe('cancelling a provisioning that has failed', () => {
  it('removes the customer that it had made and resolves the alert', async () => {
    const person = await failedTenant()
    expect((await left(person)).customers).toBe(1)
    await cancel(person)
    await undone(person)
    expect(await left(person)).toEqual(NOTHING)
    const open = await project.sql`
      select kind from public.tenant_alerts where organization_id = ${person.organizationId} and resolved_at is null`
    expect(open).toEqual([])
  })

  it('removes password and project in the reverse order of their making', async () => {
    project.stripeEmulator.faults.add({ match: { operation: 'PostCustomers' }, action: failing(400) })
    const person = await project.signUp()
    await project.waitFor(person.organizationId, 'failed')
    expect(await left(person)).toMatchObject({ projects: 1, customers: 0, secrets: 4 })
    await cancel(person)
    await undone(person)
    expect(await removalOrder(project, person.organizationId, 'undo')).toEqual(REVERSE_ORDER)
    expect(await left(person)).toEqual(NOTHING)
  })

  it('keeps a customer with a subscription', async () => {
    const person = await failedTenant()
    await project.sql`update public.organizations set stripe_subscription_id = 'sub_1' where id = ${person.organizationId}`
    await cancel(person)
    await undone(person)
    expect(await left(person)).toMatchObject({ projects: 0, customers: 1 })
  })
})

describe('after a cancellation', () => {
  it('a request waits until the undo is done, then makes everything anew', async () => {
    const person = await failedTenant()
    const { customers } = await project.resources(person.organizationId)
    await cancel(person)
    const early = await project.request({ organizationId: person.organizationId })
    expect(early.status).toBe(409)
    expect(early.body?.code).toBe('undo_in_progress')
    expect(early.headers.get('retry-after')).toBe('60')
    await undone(person)
    const reply = await project.request({ organizationId: person.organizationId, wait: true })
    expect(reply.body).toMatchObject({ status: 'succeeded' })
    expect(reply.body?.jobId).not.toBe(person.jobId)
    const now = await project.resources(person.organizationId)
    expect(now.projects).toHaveLength(1)
    expect(now.customers).toHaveLength(1)
    expect(now.customers[0]?.id).not.toBe(customers[0]?.id)
    expect(reply.body).toMatchObject({
      resources: expect.arrayContaining([
        expect.objectContaining({
          kind: 'stripe_customer',
          state: 'active',
          externalId: now.customers[0]?.id,
        }),
        expect.objectContaining({ kind: 'neon_project', state: 'active', externalId: now.projects[0]?.id }),
      ]),
    })
  })

  it('an undo that failed can be tried again, by the function that deletes, and by a call that confirms no deletion', async () => {
    const person = await failedUndo()
    const { organizationId } = person
    expect(await openAlerts(person)).toEqual(['undo_failed'])
    expect(await verdict(person)).toMatchObject({
      state: 'cancelled',
      commands: expect.arrayContaining([`npm run tenants -- retry ${organizationId}`]),
      statements: [`select provisioning.retry_removal('${organizationId}');`],
    })
    const dry = await removal({ organizationId, dryRun: true })
    expect(dry).toMatchObject({ wouldRetry: { kind: 'undo', status: 'failed' }, wouldDelete: {} })
    expect(await removal({ organizationId, wait: true })).toMatchObject({ status: 'succeeded' })
    expect(await left(person)).toEqual(NOTHING)
    expect(await openAlerts(person)).toEqual([])
    // What is left to do now is to start again; nothing remains that a call without confirmation would do.
    expect(await verdict(person)).toMatchObject({
      commands: [expect.stringContaining('npm run tenants -- provision ')],
    })
    expect(await removal({ organizationId })).toMatchObject({ code: 'confirmation_required' })
    const audit = await project.sql`select actor_type, metadata from public.audit_logs
      where organization_id = ${organizationId} and action = 'removal.retried'`
    expect(audit).toEqual([{ actor_type: 'service', metadata: { kind: 'undo' } }])
  })

  it('an undo that failed and was overtaken counts no more, and cannot be tried again', async () => {
    const person = await failedUndo()
    refuseProjects()
    await project.request({ organizationId: person.organizationId, wait: true })
    // From its beginning on, the new provisioning is what counts: the undo would remove what it uses.
    expect(await removal({ organizationId: person.organizationId })).toMatchObject({
      code: 'confirmation_required',
    })
    expect(await verdict(person)).toMatchObject({
      state: 'failed',
      commands: [expect.stringContaining('--service neon')],
    })
    project.neonEmulator.faults.clear()
    const reply = await project.request({ organizationId: person.organizationId, wait: true })
    expect(reply.body).toMatchObject({ status: 'succeeded' })
    const retry = project.sql`select provisioning.retry_job(id) from public.provisioning_jobs
      where organization_id = ${person.organizationId} and kind = 'undo'`
    await expect(retry).rejects.toMatchObject({ code: 'TP409' })
    expect(await openAlerts(person)).toEqual([])
    expect(await verdict(person)).toMatchObject({ ready: true })
    expect(await left(person)).toMatchObject({ projects: 1, customers: 1, secrets: 4 })
  })

  it('the organization can be deleted while the undo is at work, and nothing is left', async () => {
    const person = await failedTenant()
    await project.sql`update provisioning.resource_kinds set kept_on_deletion = false, grace_hours = 0`
    await cancel(person)
    await project.sql`delete from public.organizations where id = ${person.organizationId}`
    const [undo] = await project.sql`
      select status from public.provisioning_jobs where organization_id = ${person.organizationId} and kind = 'undo'`
    expect(undo?.status).toBe('cancelled')
    await undone(person, 'succeeded', 'deprovision')
    const { projects, customers } = await project.resources(person.organizationId)
    expect([projects, customers]).toEqual([[], []])
  })
})

describe('a tenant that was ready', () => {
  it('has nothing to cancel', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const before = await quietFingerprint()
    const reply = await cancel(person)
    expect(reply.status).toBe(409)
    expect(reply.body).toMatchObject({ code: 'nothing_to_cancel' })
    expect(reply.body?.detail).toContain('delete the organization')
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('keeps everything when a change that is under way is cancelled', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    project.neonEmulator.faults.add({ match: { operation: 'updateProjectEndpoint' }, action: failing(503) })
    await project.request({ organizationId: person.organizationId, databaseSize: 'large' })
    await project.waitForStep(person.organizationId, 'neon_project', 'retrying')
    const reply = await cancel(person)
    expect(reply.body).toMatchObject({ status: 'cancelled', undoJobId: null })
    expect(await left(person)).toMatchObject({ projects: 1, customers: 1, secrets: 4 })
    project.neonEmulator.faults.clear()
    const again = await project.request({ organizationId: person.organizationId, wait: true })
    expect(again.body).toMatchObject({ status: 'succeeded', jobId: person.jobId })
  })
})

describe('who may cancel', () => {
  it('owners, admins and the backend; others are refused and nothing changes', async () => {
    const person = await failedTenant()
    const [member, admin, stranger] = [await project.signUp(), await project.signUp(), await project.signUp()]
    await project.sql`insert into public.organization_members (organization_id, user_id, role) values
      (${person.organizationId}, ${member.userId}, 'member'), (${person.organizationId}, ${admin.userId}, 'admin')`
    for (const each of [member, admin, stranger]) await project.waitFor(each.organizationId)
    const as = ({ accessToken }: SignedUp) =>
      project.call({
        headers: { authorization: `Bearer ${accessToken}` },
        body: { organizationId: person.organizationId, cancel: true },
      })
    const before = await quietFingerprint()
    for (const caller of [member, stranger]) expect((await as(caller)).body?.code).toBe('forbidden')
    expect(await fingerprint(project.sql)).toEqual(before)
    expect((await as(admin)).body).toMatchObject({ status: 'cancelled' })
  })

  it('learn from a dry run what would be removed, and nothing happens', async () => {
    const person = await failedTenant()
    const { customers } = await project.resources(person.organizationId)
    const before = await quietFingerprint()
    const reply = await cancel(person, { dryRun: true })
    expect(reply.body).toMatchObject({
      dryRun: true,
      wouldCancel: true,
      wouldRemove: [{ kind: 'stripe_customer', externalId: customers[0]?.id, kept: false }],
    })
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('cannot cancel twice, or an organization that does not exist', async () => {
    const person = await failedTenant()
    await cancel(person)
    expect((await cancel(person)).body?.code).toBe('nothing_to_cancel')
    const nobody = { ...person, organizationId: crypto.randomUUID() }
    expect((await cancel(nobody)).body?.code).toBe('organization_not_found')
  })
})
