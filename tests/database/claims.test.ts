import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  claimAtOnce,
  claimedJob,
  closeOpenJobs,
  createOnlyJob,
  Engine,
  type Lease,
  secondsFromNow,
  withSettings,
} from './engine.ts'
import { createTenant, only, openProject, type Project } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(async () => {
  await project.close()
})

describe('a claim', () => {
  it('takes a due job under a lease of settings.lease_seconds', async () => {
    const { jobId, lease } = await claimedJob(project)
    expect(lease).toMatchObject({ jobId, attempts: 1 })
    const job = await engine.job(jobId)
    expect(job).toMatchObject({ status: 'running', lease_token: lease.token })
    expect(secondsFromNow(job.lease_expires_at)).toBeGreaterThan(50)
    expect(secondsFromNow(job.lease_expires_at)).toBeLessThanOrEqual(60)
  })

  it('does not get a job whose lease is alive, nor one that is not due, nor one of another kind', async () => {
    const { jobId, lease } = await claimedJob(project)
    expect(await engine.claim()).toEqual([])
    await engine.start(lease, 'stripe_customer')
    await engine.start(lease, 'neon_project')
    await engine.defer(lease, 'stripe_customer', 60)
    await engine.defer(lease, 'neon_project', 60)
    expect(await engine.finish(lease)).toBe('queued')
    expect(await engine.claim(), 'due in a minute').toEqual([])
    await engine.passTime(jobId)
    expect(await engine.claim(1, ['deprovision'])).toEqual([])
    expect(await engine.claim()).toHaveLength(1)
  })

  it('takes the job that has been due longest first', async () => {
    await closeOpenJobs(project)
    const tenants = [await createTenant(project), await createTenant(project), await createTenant(project)]
    for (const [index, minutes] of [5, 30, 10].entries())
      await project.sql`update public.provisioning_jobs
        set next_attempt_at = now() - make_interval(mins => ${minutes}) where id = ${tenants[index]?.jobId ?? ''}`
    const order: (string | undefined)[] = []
    for (let claims = 0; claims < 3; claims++) order.push((await engine.claim())[0]?.jobId)
    expect(order).toEqual([tenants[1], tenants[2], tenants[0]].map((tenant) => tenant?.jobId))
  })

  it('that cannot be prepared is given back, and due again after a pause that grows', async () => {
    const { jobId } = await createOnlyJob(project)
    for (const seconds of [1, 2, 4]) {
      const [lease] = await project.sql<Lease[]>`select job_id as "jobId", lease_token as token, attempts
        from provisioning.claim_jobs('{provision}', 1)`
      if (!lease) throw new Error('nothing was claimed')
      expect(await engine.finish(lease)).toBe('queued')
      const job = await engine.job(jobId)
      expect(job).toMatchObject({ status: 'queued', lease_token: null })
      expect(Math.ceil(secondsFromNow(job.next_attempt_at))).toBe(seconds)
      await engine.passTime(jobId)
    }
    expect(await engine.claim()).toHaveLength(1)
  })

  it('skips a job that somebody has locked instead of waiting for it', async () => {
    await closeOpenJobs(project)
    const locked = await createTenant(project)
    const free = await createTenant(project)
    await project.sql.begin(async (holder) => {
      await holder`select from public.provisioning_jobs where id = ${locked.jobId} for update`
      const leases = await project.sql.begin(async (claimer) => {
        await claimer`set local lock_timeout = '1s'`
        return { taken: await new Engine(claimer).claim(5) }
      })
      expect(leases.taken.map(({ jobId }) => jobId)).toEqual([free.jobId])
    })
  })

  it('never lets more jobs run at once than settings.max_running_jobs, whoever claims', async () => {
    for (let round = 0; round < 5; round++) {
      await closeOpenJobs(project)
      for (let tenant = 0; tenant < 12; tenant++) await createTenant(project)
      const leases = await withSettings(project, { max_running_jobs: 5 }, () => claimAtOnce(project, 8, 3))
      expect(leases).toHaveLength(5)
      expect(new Set(leases.map(({ jobId }) => jobId)).size).toBe(5)
    }
  })

  it('gives no job to two of eight concurrent claimers', async () => {
    await closeOpenJobs(project)
    for (let tenant = 0; tenant < 16; tenant++) await createTenant(project)
    const leases = await claimAtOnce(project, 8, 4)
    expect(new Set(leases.map(({ jobId }) => jobId)).size).toBe(leases.length)
    expect(leases.length).toBe(16)
  })

  it('does not count dead workers against the cap', async () => {
    await closeOpenJobs(project)
    await createTenant(project)
    await createTenant(project)
    await withSettings(project, { max_running_jobs: 1 }, async () => {
      const first = only(await engine.claim(5))
      expect(await engine.claim(5)).toEqual([])
      await engine.expireLease(first.jobId)
      expect(await engine.claim(5)).toHaveLength(1)
    })
  })

  it.each([0, -1])('of %i jobs takes none', async (limit) => {
    await createOnlyJob(project)
    expect(await engine.claim(limit)).toEqual([])
  })
})

describe('enqueue', () => {
  it('returns the open job instead of a second one, also when eight ask at once', async () => {
    const { organizationId, jobId } = await createOnlyJob(project)
    const ids = await Promise.all(
      Array.from(
        { length: 8 },
        () =>
          project.sql<{ id: string }[]>`select provisioning.enqueue(${organizationId}, 'provision') as id`,
      ),
    )
    expect(new Set(ids.map((rows) => only(rows).id))).toEqual(new Set([jobId]))
  })

  it('makes one job when eight ask at once for a first one', async () => {
    const { organizationId } = await createOnlyJob(project)
    await closeOpenJobs(project)
    const ids = await Promise.all(
      Array.from(
        { length: 8 },
        () =>
          project.sql<{ id: string }[]>`select provisioning.enqueue(${organizationId}, 'provision') as id`,
      ),
    )
    expect(new Set(ids.map((rows) => only(rows).id)).size).toBe(1)
  })
})
