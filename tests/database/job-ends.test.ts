import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimedJob, Engine, FINAL, type Lease, NEON_DOWN, secondsFromNow } from './engine.ts'
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

describe('the end of a run', () => {
  it('is success when every step succeeded', async () => {
    const { lease, jobId } = await claimedJob(project)
    expect(await engine.run(lease)).toBe('succeeded')
    expect(await engine.job(jobId)).toMatchObject({
      status: 'succeeded',
      last_error: null,
      lease_token: null,
    })
    expect(await engine.claim()).toEqual([])
    expect((await engine.events(jobId)).at(-1)).toMatchObject({ event_type: 'job.succeeded' })
  })

  it('is failure, with its reason, when nothing more can run', async () => {
    const { lease, jobId } = await claimedJob(project)
    expect(await engine.run(lease, { neon_project: { ...FINAL, code: 'neon_refused' } })).toBe('failed')
    expect(await engine.job(jobId)).toMatchObject({
      status: 'failed',
      last_error: { code: 'neon_refused', step: 'neon_project' },
    })
    expect(await engine.claim()).toEqual([])
  })

  it('puts the job off until its earliest step is due', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.start(lease, 'neon_project')
    await engine.fail(lease, 'stripe_customer', NEON_DOWN, 500)
    await engine.defer(lease, 'neon_project', 100)
    expect(await engine.finish(lease)).toBe('queued')
    const seconds = secondsFromNow((await engine.job(jobId)).next_attempt_at)
    expect(seconds).toBeGreaterThan(98)
    expect(seconds).toBeLessThanOrEqual(100)
  })

  it('leaves a job due at once when a step could run but was not started', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.fail(lease, 'stripe_customer', NEON_DOWN, 500)
    expect(await engine.finish(lease)).toBe('queued')
    expect(only(await engine.claim()).jobId).toBe(jobId)
  })

  it('under a running step makes that step due again', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    expect(await engine.finish(lease)).toBe('queued')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'retrying', attempts: 1 })
    expect(await engine.claim()).toHaveLength(1)
  })

  it('waits for a retry of one branch although another failed for good', async () => {
    const { lease } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.fail(lease, 'stripe_customer', FINAL)
    await engine.start(lease, 'neon_project')
    await engine.fail(lease, 'neon_project', NEON_DOWN, 5)
    expect(await engine.finish(lease)).toBe('queued')
  })
})

describe('a job', () => {
  it.each([
    ['an end without having ended', { status: 'queued', finished_at: new Date() }],
    ['no end although it has ended', { status: 'failed', finished_at: null }],
  ])('never has %s', async (_what, state) => {
    const { jobId } = await createTenant(project)
    const change = project.sql`
      update public.provisioning_jobs set status = ${state.status}, finished_at = ${state.finished_at} where id = ${jobId}`
    await expect(change).rejects.toMatchObject({ code: '23514', message: 'Only finished jobs have an end.' })
  })
})

describe('provisioning_status', () => {
  type Outcome = 'done' | 'retrying' | 'failed' | 'started'
  const status = async (organizationId: string) =>
    only(
      await project.sql<{ s: Record<string, string>; at: Date | null; neon: string }[]>`
        select o.provisioning_status as s, o.provisioned_at as at, d.status as neon
        from public.organizations o join public.organization_databases d on d.organization_id = o.id
        where o.id = ${organizationId}`,
    )

  async function play(lease: Lease, outcomes: Readonly<Record<string, Outcome>>): Promise<void> {
    for (const [step, outcome] of Object.entries(outcomes)) {
      await engine.start(lease, step)
      if (outcome === 'done') await engine.complete(lease, step)
      if (outcome === 'retrying') await engine.fail(lease, step, NEON_DOWN, 60)
      if (outcome === 'failed') await engine.fail(lease, step, FINAL)
    }
  }

  const WHOLE_DATABASE = {
    neon_project: 'done',
    credentials: 'done',
    tenant_schema: 'done',
    verify_connection: 'done',
    graphql_endpoint: 'done',
  } as const

  it.each<[Record<string, Outcome>, boolean, { stripe: string; neon: string; overall: string }]>([
    [{ stripe_customer: 'started' }, false, { stripe: 'running', neon: 'pending', overall: 'provisioning' }],
    [{ stripe_customer: 'done' }, false, { stripe: 'ready', neon: 'pending', overall: 'provisioning' }],
    [{ neon_project: 'done' }, false, { stripe: 'pending', neon: 'running', overall: 'provisioning' }],
    [{ neon_project: 'retrying' }, false, { stripe: 'pending', neon: 'retrying', overall: 'provisioning' }],
    [{ neon_project: 'retrying' }, true, { stripe: 'pending', neon: 'retrying', overall: 'provisioning' }],
    [
      { neon_project: 'done', credentials: 'failed' },
      false,
      { stripe: 'pending', neon: 'failed', overall: 'provisioning' },
    ],
    [WHOLE_DATABASE, false, { stripe: 'pending', neon: 'ready', overall: 'provisioning' }],
    [
      { ...WHOLE_DATABASE, stripe_customer: 'failed' },
      true,
      { stripe: 'failed', neon: 'ready', overall: 'failed' },
    ],
    [
      { ...WHOLE_DATABASE, stripe_customer: 'done' },
      true,
      { stripe: 'ready', neon: 'ready', overall: 'ready' },
    ],
    [{}, true, { stripe: 'pending', neon: 'pending', overall: 'pending' }],
  ])('after %j (run ended: %s) is %j', async (outcomes, ended, expected) => {
    const { lease, organizationId } = await claimedJob(project)
    await play(lease, outcomes)
    if (ended) await engine.finish(lease)
    const { s, at, neon } = await status(organizationId)
    const graphql = outcomes.graphql_endpoint ? 'ready' : 'pending'
    expect(s).toEqual({ ...expected, graphql, changed_at: expect.any(String) })
    expect(neon, 'organization_databases.status').toBe(expected.neon === 'ready' ? 'active' : expected.neon)
    expect(at !== null).toBe(expected.overall === 'ready')
  })

  it('moves changed_at when a state changes, and only then', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await play(lease, { stripe_customer: 'done', neon_project: 'done' })
    const { s: before } = await status(organizationId)
    await play(lease, { credentials: 'done', tenant_schema: 'done' })
    await project.sql`select provisioning.refresh_status(${organizationId})`
    expect((await status(organizationId)).s, 'neon goes on running').toEqual(before)
    await play(lease, { verify_connection: 'done' })
    const { s: after } = await status(organizationId)
    expect(Date.parse(after.changed_at ?? '')).toBeGreaterThan(Date.parse(before.changed_at ?? ''))
  })

  it('keeps the time of the first success through later retries', async () => {
    const { lease, organizationId, jobId } = await claimedJob(project)
    await engine.run(lease)
    const first = await status(organizationId)
    await engine.retry(jobId, ['stripe'])
    expect((await status(organizationId)).s).toMatchObject({ stripe: 'pending', overall: 'provisioning' })
    await engine.run(only(await engine.claim()))
    expect((await status(organizationId)).at).toEqual(first.at)
  })
})
