import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimedJob, Engine, FINAL, NEON_DOWN, secondsFromNow, waitUntilWaiting } from './engine.ts'
import { fingerprint } from './fingerprint.ts'
import { only, openProject, type Project, refusal } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(async () => {
  await project.close()
})

describe('a retry', () => {
  async function failedJob(failing: Parameters<Engine['run']>[1] = { neon_project: FINAL }) {
    const { lease, ...tenant } = await claimedJob(project)
    expect(await engine.run(lease, failing)).toBe('failed')
    return tenant
  }

  it('of a failed job makes it due with fresh attempts, and keeps what had succeeded', async () => {
    const { jobId } = await failedJob()
    expect(await engine.retry(jobId)).toBe('queued')
    expect(await engine.job(jobId)).toMatchObject({ status: 'queued', last_error: null, finished_at: null })
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({
      status: 'pending',
      attempts: 0,
      error: null,
    })
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'succeeded', attempts: 1 })
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('of one service leaves the other as it is', async () => {
    const { jobId } = await failedJob({ neon_project: FINAL, stripe_customer: FINAL })
    expect(await engine.retry(jobId, ['stripe'])).toBe('queued')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'pending' })
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({ status: 'failed' })
    expect(await engine.run(only(await engine.claim()))).toBe('failed')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'succeeded' })
  })

  it('of a named service looks again even at what succeeded, and keeps its output', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer', { customerId: 'cus_1' })
    await engine.run(lease)
    expect(await engine.retry(jobId), 'nothing to do for the whole job').toBe('succeeded')
    expect(await engine.retry(jobId, ['stripe'])).toBe('queued')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
      status: 'pending',
      output: { customerId: 'cus_1' },
    })
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({ status: 'succeeded' })
  })

  it('of a service that the job does not have changes nothing', async () => {
    const { jobId } = await failedJob()
    const before = await fingerprint(project.sql)
    expect(await engine.retry(jobId, ['no such service'])).toBe('failed')
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('leaves a job at work alone', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    const before = await fingerprint(project.sql)
    expect(await engine.retry(jobId)).toBe('running')
    expect(await fingerprint(project.sql)).toEqual(before)
    expect(await engine.retry(jobId, ['stripe'])).toBe('running')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'running', attempts: 1 })
    expect(await refusal(engine.complete(lease, 'stripe_customer'))).toBeUndefined()
  })

  it.each([
    { services: null, what: 'of the whole job' },
    { services: ['neon'], what: 'of the service' },
  ])(
    '$what while a worker is at another step makes the one due that waits for a late attempt',
    async ({ services }) => {
      const { lease, jobId } = await claimedJob(project)
      await engine.start(lease, 'stripe_customer')
      await engine.start(lease, 'neon_project')
      await engine.fail(lease, 'neon_project', NEON_DOWN, 600)
      expect(await engine.retry(jobId, ['stripe'])).toBe('running')
      expect(secondsFromNow((await engine.step(jobId, 'neon_project')).next_attempt_at)).toBeGreaterThan(590)
      expect(await engine.retry(jobId, services)).toBe('running')
      await engine.complete(lease, 'stripe_customer')
      await engine.finish(lease)
      expect(only(await engine.claim()).jobId).toBe(jobId)
      expect(await engine.step(jobId, 'neon_project')).toMatchObject({ status: 'retrying', attempts: 1 })
    },
  )

  it('while a worker is at another step does not make one due whose answer is open', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.start(lease, 'neon_project')
    const due = await engine.fail(lease, 'neon_project', NEON_DOWN, 0, { settles: 600 })
    expect(await engine.retry(jobId)).toBe('running')
    expect((await engine.step(jobId, 'neon_project')).next_attempt_at).toEqual(due)
  })

  it('of named services, asked for while a worker is at it, gets its turn when that one has finished', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer')
    expect(await engine.retry(jobId, ['stripe'])).toBe('running')
    expect(await engine.run(lease), 'finished, and queued again').toBe('queued')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'pending' })
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({ status: 'succeeded' })
    expect(await engine.run(only(await engine.claim())), 'once, not for ever').toBe('succeeded')
  })

  it('takes a job away from a dead worker', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.expireLease(jobId)
    expect(await engine.retry(jobId)).toBe('queued')
    expect(await refusal(engine.complete(lease, 'stripe_customer'))).toBe('TP001')
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('of one service, of a job with a dead worker, leaves no step of the other running', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'neon_project')
    await engine.expireLease(jobId)
    expect(await engine.retry(jobId, ['stripe'])).toBe('queued')
    const successor = only(await engine.claim())
    expect(await engine.ready(jobId)).toEqual(['stripe_customer', 'neon_project'])
    expect(await engine.run(successor)).toBe('succeeded')
  })

  it('makes a job due now that is waiting for a late attempt', async () => {
    const { lease, jobId } = await claimedJob(project)
    expect(await engine.run(lease, { stripe_customer: NEON_DOWN })).toBe('queued')
    expect(await engine.claim()).toEqual([])
    expect(await engine.retry(jobId)).toBe('queued')
    expect(only(await engine.claim()).jobId).toBe(jobId)
  })

  it('of a step whose answer is open comes with fresh attempts, but not before that has settled', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer')
    await engine.start(lease, 'neon_project')
    const due = await engine.fail(lease, 'neon_project', NEON_DOWN, 0, { settles: 600 })
    expect(secondsFromNow(due)).toBeGreaterThan(590)
    await engine.finish(lease)
    for (const services of [null, ['neon'], null]) {
      expect(await engine.retry(jobId, services)).toBe('queued')
      expect(await engine.step(jobId, 'neon_project')).toMatchObject({
        status: 'retrying',
        attempts: 0,
        next_attempt_at: due,
        error: { code: NEON_DOWN.code },
      })
      expect((await engine.job(jobId)).next_attempt_at).toEqual(due)
      expect(await engine.claim()).toEqual([])
    }
    await engine.passTime(jobId)
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('of a step that waits longer than its answer is open brings it forward to that time', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'neon_project')
    await engine.defer(lease, 'neon_project', 3_000, 600)
    expect(await engine.run(lease)).toBe('queued')
    const { settles_at } = await engine.step(jobId, 'neon_project')
    expect(secondsFromNow((await engine.job(jobId)).next_attempt_at)).toBeGreaterThan(2_900)
    expect(await engine.retry(jobId)).toBe('queued')
    expect((await engine.job(jobId)).next_attempt_at).toEqual(settles_at)
  })

  it.each([
    ['had used up its attempts', async () => undefined],
    [
      'was cancelled',
      async (jobId: string) => {
        await project.sql`update public.provisioning_steps set error = null, status = 'cancelled'
        where job_id = ${jobId} and step = 'neon_project'`
      },
    ],
  ])('of a step with an open answer that %s waits as well', async (_what, end) => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'neon_project')
    expect(await engine.fail(lease, 'neon_project', FINAL, 0, { settles: 600 })).toBeNull()
    await engine.run(lease)
    await end(jobId)
    const { settles_at } = await engine.step(jobId, 'neon_project')
    expect(await engine.retry(jobId)).toBe('queued')
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({
      status: 'retrying',
      next_attempt_at: settles_at,
    })
    expect(await engine.claim()).toEqual([])
  })

  it('asked for while a worker is at it waits for an open answer too', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'neon_project')
    await engine.retry(jobId, ['neon'])
    await engine.fail(lease, 'neon_project', FINAL, 0, { settles: 600 })
    expect(await engine.run(lease)).toBe('queued')
    expect(secondsFromNow((await engine.job(jobId)).next_attempt_at)).toBeGreaterThan(590)
    expect(await engine.claim()).toEqual([])
  })

  it('of another step goes on at once while an answer is open, and the job then waits without being claimed', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'neon_project')
    await engine.fail(lease, 'neon_project', NEON_DOWN, 0, { settles: 600 })
    await engine.run(lease, { stripe_customer: FINAL })
    expect(await engine.retry(jobId)).toBe('queued')
    expect(await engine.run(only(await engine.claim()))).toBe('queued')
    expect((await engine.step(jobId, 'stripe_customer')).status).toBe('succeeded')
    expect(await engine.claim()).toEqual([])
  })

  it('asked for by request_provisioning does not deadlock with the worker', async () => {
    const { lease, jobId, organizationId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    let request: Promise<string | undefined> | undefined
    await project.sql.begin(async (tx) => {
      await tx`select provisioning.hold_lease(${jobId}, ${lease.token})`
      request = refusal(project.sql`select * from provisioning.request_provisioning(${organizationId})`)
      await waitUntilWaiting(project, 1)
      expect(await refusal(new Engine(tx).complete(lease, 'stripe_customer'))).toBeUndefined()
    })
    expect(await request).toBeUndefined()
    expect((await engine.step(jobId, 'stripe_customer')).status).toBe('succeeded')
  })
})

describe('an undo and a provisioning of one organization', () => {
  /** A cancelled provisioning whose undo has failed. */
  async function failedUndo() {
    const { jobId, organizationId } = await claimedJob(project)
    await engine.cancel(jobId)
    const undo = only(
      await project.sql<{ id: string }[]>`select id from public.provisioning_jobs
        where organization_id = ${organizationId} and kind = 'undo'`,
    ).id
    await engine.passTime(undo)
    const lease = only(await engine.claim(1, ['undo']))
    await engine.run(lease, { delete_credentials: FINAL, delete_stripe_customer: FINAL })
    expect((await engine.job(undo)).status).toBe('failed')
    return { undo, organizationId }
  }
  const request = (sql: Project['sql'] | postgres.TransactionSql, organizationId: string) =>
    refusal(sql`select * from provisioning.request_provisioning(${organizationId})`)

  it('do not begin at once: a retried undo waits for the request, and is refused', async () => {
    const { undo, organizationId } = await failedUndo()
    let retried: Promise<string | undefined> | undefined
    await project.sql.begin(async (tx) => {
      expect(await request(tx, organizationId)).toBeUndefined()
      retried = refusal(engine.retry(undo))
      await waitUntilWaiting(project, 1)
    })
    expect(await retried).toBe('TP409')
    expect((await engine.job(undo)).status).toBe('failed')
  })

  it('nor the other way round: a request waits for the retried undo, and is refused', async () => {
    const { undo, organizationId } = await failedUndo()
    let requested: Promise<string | undefined> | undefined
    await project.sql.begin(async (tx) => {
      expect(await new Engine(tx).retry(undo)).toBe('queued')
      requested = request(project.sql, organizationId)
      await waitUntilWaiting(project, 1)
    })
    expect(await requested).toBe('TP423')
  })
})
