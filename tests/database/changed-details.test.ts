import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createOnlyJob, Engine } from './engine.ts'
import { only, openProject, type Project, type Tenant } from './project.ts'

const KIND = 'update_details'

let project: Project
let engine: Engine
let tenant: Tenant

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

beforeEach(async () => {
  await project.sql`delete from provisioning.changed_details`
  tenant = await createOnlyJob(project)
})

afterAll(() => project?.close())

const change = (columns: Record<string, string | null>) =>
  project.sql`update public.organizations set ${project.sql(columns)} where id = ${tenant.organizationId}`
const enqueueUpdates = async (limit = 100) =>
  only(await project.sql<{ updates: number }[]>`select provisioning.enqueue_updates(${limit}) as updates`)
    .updates
const updates = () =>
  project.sql<{ status: string; lane: string; rerun: string[] | null }[]>`
    select status, lane, rerun_services as rerun from public.provisioning_jobs
    where organization_id = ${tenant.organizationId} and kind = ${KIND} order by created_at`
const ready = async () => engine.run(only(await engine.claim()))

describe('a changed name or billing address', () => {
  it('becomes one job, however often it has changed, and in the lane for what nobody waits for', async () => {
    await ready()
    await change({ name: 'Second' })
    await change({ billing_email: 'second@example.com' })
    await change({ name: 'Third' })
    expect(await enqueueUpdates()).toBe(1)
    expect(await updates()).toEqual([{ status: 'queued', lane: 'batch', rerun: null }])
    expect(await enqueueUpdates()).toBe(0)
    await change({ name: 'Fourth' })
    expect(await enqueueUpdates()).toBe(1)
    expect(await updates()).toHaveLength(1)
  })

  it('is seen by a job that has read the old one: it looks again when it has ended', async () => {
    await ready()
    await change({ name: 'Second' })
    await enqueueUpdates()
    const lease = only(await engine.claim(1, [KIND]))
    await engine.start(lease, 'update_stripe_customer')
    await change({ name: 'Third' })
    await enqueueUpdates()
    expect(await updates()).toEqual([{ status: 'running', lane: 'batch', rerun: ['stripe'] }])
    await engine.complete(lease, 'update_stripe_customer')
    expect(await engine.finish(lease)).toBe('queued')
    await engine.run(only(await engine.claim(1, [KIND])))
    expect((await updates()).map(({ status }) => status)).toEqual(['succeeded'])
  })

  it('gets a job of its own when the one that was at work ends at that moment', async () => {
    await ready()
    await change({ name: 'Second' })
    await enqueueUpdates()
    const lease = only(await engine.claim(1, [KIND]))
    await engine.start(lease, 'update_stripe_customer')
    await engine.complete(lease, 'update_stripe_customer')
    await change({ name: 'Third' })
    // Its worker gives it back right behind the look for an open job.
    await project.sql`alter function provisioning.enqueue(uuid, text, jsonb, uuid, text, text) rename to enqueue_before_the_end`
    await project.sql`
      create function provisioning.enqueue(p_organization_id uuid, p_kind text, p_request jsonb default '{}',
        p_requested_by uuid default null, p_lane text default null, p_tier text default null) returns uuid
      language plpgsql as $$
      declare v_job_id uuid := provisioning.enqueue_before_the_end(p_organization_id, p_kind);
      begin
        update public.provisioning_jobs set status = 'succeeded', finished_at = now()
        where id = v_job_id and status = 'running';
        return v_job_id;
      end $$`
    try {
      expect(await enqueueUpdates()).toBe(1)
    } finally {
      await project.sql`drop function provisioning.enqueue(uuid, text, jsonb, uuid, text, text)`
      await project.sql`alter function provisioning.enqueue_before_the_end(uuid, text, jsonb, uuid, text, text) rename to enqueue`
    }
    expect((await updates()).map(({ status }) => status)).toEqual(['succeeded', 'queued'])
  })

  it('waits while the provisioning is at work, which may have read the old one', async () => {
    const provision = only(await engine.claim())
    await engine.start(provision, 'stripe_customer')
    await change({ name: 'Second' })
    expect(await enqueueUpdates()).toBe(1)
    expect(await engine.claim(1, [KIND])).toEqual([])
    await engine.complete(provision, 'stripe_customer')
    await engine.run(provision)
    expect(await engine.claim(1, [KIND])).toHaveLength(1)
  })

  it('of a tenant that nobody has begun with, or that is gone, is no work', async () => {
    await change({ name: 'Second' })
    expect(await enqueueUpdates()).toBe(0)
    await ready()
    await change({ name: 'Third' })
    await project.sql`delete from public.organizations where id = ${tenant.organizationId}`
    expect(await enqueueUpdates()).toBe(0)
    expect(await updates()).toEqual([])
    expect(await project.sql`select from provisioning.changed_details`).toHaveLength(0)
  })

  it('is told of no change of other columns, and of a name that stays as it is', async () => {
    await ready()
    await project.sql`update public.organizations set name = name, plan = 'pro' where id = ${tenant.organizationId}`
    expect(await enqueueUpdates()).toBe(0)
  })

  it('is written while a worker holds the job and the owner’s change holds the organization: nobody waits for the other', async () => {
    await ready()
    await change({ name: 'Second' })
    await enqueueUpdates()
    const { id } = only(
      await project.sql<{ id: string }[]>`select id from public.provisioning_jobs
        where organization_id = ${tenant.organizationId} and kind = ${KIND}`,
    )
    const worker = await project.sql.reserve()
    try {
      await worker`begin`
      await worker`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where id = ${id}`
      await project.sql.begin(async (sql) => {
        await sql`set local lock_timeout = '2s'`
        await sql`update public.organizations set name = 'Third' where id = ${tenant.organizationId}`
      })
    } finally {
      await worker`rollback`
      worker.release()
    }
    expect(await enqueueUpdates()).toBe(1)
  })

  it('is made a job by the sweep, no more at once than it repairs, and one that fails holds up no other', async () => {
    await ready()
    const other = await createOnlyJob(project)
    await ready()
    const third = await createOnlyJob(project)
    await ready()
    await project.sql`update public.organizations set name = 'Same' where id in ${project.sql([tenant.organizationId, other.organizationId, third.organizationId])}`
    await project.sql`alter table public.provisioning_jobs add constraint trouble
      check (kind <> 'update_details' or organization_id <> ${project.sql.unsafe(`'${other.organizationId}'`)}) not valid`
    try {
      await project.sql`select provisioning.sweep()`
    } finally {
      await project.sql`alter table public.provisioning_jobs drop constraint trouble`
    }
    const jobs =
      await project.sql`select organization_id from public.provisioning_jobs where kind = 'update_details'
      and organization_id in ${project.sql([tenant.organizationId, other.organizationId, third.organizationId])}`
    expect(jobs.map((row) => row.organization_id).sort()).toEqual(
      [tenant.organizationId, third.organizationId].sort(),
    )
    await change({ name: 'Another' })
    expect(await enqueueUpdates(1)).toBe(1)
    expect(await project.sql`select from provisioning.changed_details`).toHaveLength(1)
  })
})
