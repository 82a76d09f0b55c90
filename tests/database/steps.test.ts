import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimedJob, Engine, FINAL, type Lease, NEON_DOWN, secondsFromNow, withSettings } from './engine.ts'
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

describe('the steps', () => {
  it('become ready as what they depend on succeeds', async () => {
    const { lease, jobId } = await claimedJob(project)
    expect(await engine.ready(jobId)).toEqual(['stripe_customer', 'neon_project'])
    expect(await engine.start(lease, 'credentials'), 'not before the project exists').toBeUndefined()
    await engine.start(lease, 'neon_project')
    expect(await engine.ready(jobId)).toEqual(['stripe_customer'])
    expect(await engine.complete(lease, 'neon_project')).toEqual(['stripe_customer', 'credentials'])
    for (const [step, ...next] of [
      ['credentials', 'tenant_schema'],
      ['tenant_schema', 'verify_connection', 'graphql_endpoint'],
    ] as const) {
      await engine.start(lease, step)
      expect(await engine.complete(lease, step)).toEqual(['stripe_customer', ...next])
    }
  })

  it('never run again once they have finished', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer', { customerId: 'cus_1' })
    const before = await engine.step(jobId, 'stripe_customer')
    expect(await engine.start(lease, 'stripe_customer')).toBeUndefined()
    expect(await refusal(engine.complete(lease, 'stripe_customer', { customerId: 'cus_2' }))).toBe('TP002')
    expect(await refusal(engine.fail(lease, 'stripe_customer'))).toBe('TP002')
    expect(await refusal(engine.defer(lease, 'stripe_customer', 1))).toBe('TP002')
    expect(await engine.step(jobId, 'stripe_customer')).toEqual(before)
  })

  it('add to the output of earlier attempts', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'neon_project')
    await project.sql`select provisioning.fail_step(${jobId}, ${lease.token}, 'neon_project',
      ${project.sql.json(NEON_DOWN)}, 0, '{"projectId": "p1", "operation": 1}')`
    await engine.passTime(jobId)
    await engine.start(lease, 'neon_project')
    await engine.complete(lease, 'neon_project', { operation: 2 })
    expect((await engine.step(jobId, 'neon_project')).output).toEqual({ projectId: 'p1', operation: 2 })
  })

  it('leave an event for each attempt', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.fail(lease, 'stripe_customer')
    await engine.passTime(jobId)
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer')
    expect(await engine.events(jobId)).toMatchObject([
      { event_type: 'step.retrying', metadata: { attempt: 1, code: 'stripe_unavailable' } },
      { event_type: 'step.succeeded', metadata: { attempt: 2 } },
    ])
  })

  it('that are deferred do not use up attempts', async () => {
    const { lease, jobId } = await claimedJob(project)
    for (let deferrals = 0; deferrals < 20; deferrals++) {
      expect(await engine.start(lease, 'neon_project')).toBe(1)
      await engine.defer(lease, 'neon_project', 5)
      await engine.passTime(jobId)
    }
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({ status: 'retrying', attempts: 0 })
  })
})

describe('a failed attempt', () => {
  it('is repeated after a random time within [0, min(cap, base·2^(n−1))]', async () => {
    const settings = { backoff_base_seconds: 2, backoff_cap_seconds: 12 }
    const delays = await withSettings(
      project,
      settings,
      () =>
        project.sql<{ attempts: number; shortest: number; longest: number }[]>`
        select attempts, min(provisioning.backoff_seconds(attempts)) as shortest,
          max(provisioning.backoff_seconds(attempts)) as longest
        from generate_series(1, 6) attempts, generate_series(1, 300) group by 1 order by 1`,
    )
    for (const [index, bound] of [2, 4, 8, 12, 12, 12].entries()) {
      const { shortest = Number.NaN, longest = Number.NaN } = delays[index] ?? {}
      expect(shortest).toBeGreaterThanOrEqual(0)
      expect(shortest, 'full jitter reaches low').toBeLessThan(bound / 4)
      expect(longest).toBeLessThanOrEqual(bound)
      expect(longest, 'and high').toBeGreaterThan((bound * 3) / 4)
    }
  })

  it('uses that delay, counted from now', async () => {
    await withSettings(project, { backoff_base_seconds: 10, backoff_cap_seconds: 10 }, async () => {
      const { lease } = await claimedJob(project)
      await engine.start(lease, 'stripe_customer')
      const seconds = secondsFromNow(await engine.fail(lease, 'stripe_customer'))
      expect(seconds).toBeGreaterThan(-1)
      expect(seconds).toBeLessThanOrEqual(10)
    })
  })

  it('may be followed by a longer wait than the one before it, until the cap is reached', async () => {
    const settings = { backoff_base_seconds: 10, backoff_cap_seconds: 60, max_step_attempts: 100 }
    const waits = await withSettings(project, settings, async () => {
      const { lease, jobId } = await claimedJob(project)
      return project.sql.begin((tx) =>
        Promise.all([1, 2, 3, 4, 5].map((n) => waitsAfter(tx, jobId, lease, n))),
      )
    })
    const bounds = [10, 20, 40, 60, 60]
    for (const [index, bound] of bounds.entries()) {
      const longest = Math.max(...(waits[index] ?? []))
      expect(longest).toBeLessThanOrEqual(bound)
      expect(longest, `after failure ${index + 1}`).toBeGreaterThan((bound * 3) / 4)
    }
  })

  /** Seconds until the next attempt after the n-th failure, of many. */
  async function waitsAfter(tx: postgres.ISql, jobId: string, lease: Lease, n: number): Promise<number[]> {
    const once = async () => {
      const [, [row]] = await Promise.all([
        tx`update public.provisioning_steps set status = 'running', started_at = now(), next_attempt_at = null, attempts = ${n}
          where job_id = ${jobId} and step = 'stripe_customer'`,
        tx<{ seconds: number }[]>`
          select extract(epoch from provisioning.fail_step(${jobId}, ${lease.token}, 'stripe_customer',
            ${tx.json(NEON_DOWN)}) - clock_timestamp())::float8 as seconds`,
      ])
      return row?.seconds ?? Number.NaN
    }
    return Promise.all(Array.from({ length: 60 }, once))
  }

  it('of many attempts still has a finite delay', async () => {
    const { seconds } = only(
      await project.sql<{ seconds: number }[]>`select provisioning.backoff_seconds(100000) as seconds`,
    )
    expect(seconds).toBeLessThanOrEqual(300)
  })

  it('is never repeated before what the provider asked for', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    expect(secondsFromNow(await engine.fail(lease, 'stripe_customer', NEON_DOWN, 900))).toBeGreaterThan(899)
    expect(await engine.ready(jobId)).not.toContain('stripe_customer')
    expect(await engine.start(lease, 'stripe_customer')).toBeUndefined()
  })

  it('is final after settings.max_step_attempts', async () => {
    await withSettings(project, { max_step_attempts: 3 }, async () => {
      const { lease, jobId } = await claimedJob(project)
      const next: boolean[] = []
      for (let attempt = 0; attempt < 3; attempt++) {
        await engine.start(lease, 'stripe_customer')
        next.push((await engine.fail(lease, 'stripe_customer')) !== null)
        await engine.passTime(jobId)
      }
      expect(next).toEqual([true, true, false])
      expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'failed', attempts: 3 })
      expect(await engine.start(lease, 'stripe_customer')).toBeUndefined()
    })
  })

  it('is final at once when repeating is pointless', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    expect(await engine.fail(lease, 'stripe_customer', FINAL)).toBeNull()
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
      status: 'failed',
      error: { ...FINAL, step: 'stripe_customer' },
    })
    expect((await engine.job(jobId)).last_error).toMatchObject({ code: FINAL.code, step: 'stripe_customer' })
  })

  it('of one service does not hold up the other', async () => {
    const { lease, jobId } = await claimedJob(project)
    expect(await engine.run(lease, { stripe_customer: FINAL })).toBe('failed')
    const statuses = (await engine.steps(jobId)).map(({ step, status }) => [step, status])
    expect(Object.fromEntries(statuses)).toEqual({
      stripe_customer: 'failed',
      neon_project: 'succeeded',
      tenant_schema: 'succeeded',
      credentials: 'succeeded',
      verify_connection: 'succeeded',
      graphql_endpoint: 'succeeded',
    })
  })
})

describe('what a step leaves for later attempts', () => {
  it('is there from before its request on, even when the worker dies, and null takes it away', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.saveOutput(lease, 'stripe_customer', { openRequest: { key: 'k', email: null }, other: 1 })
    await engine.expireLease(jobId)
    const successor = only(await engine.claim())
    expect((await engine.step(jobId, 'stripe_customer')).output).toEqual({
      openRequest: { key: 'k' },
      other: 1,
    })
    await engine.start(successor, 'stripe_customer')
    await engine.fail(successor, 'stripe_customer', NEON_DOWN, 0, { output: { other: null } })
    expect((await engine.step(jobId, 'stripe_customer')).output).toEqual({ openRequest: { key: 'k' } })
    await engine.passTime(jobId)
    await engine.start(successor, 'stripe_customer')
    await engine.complete(successor, 'stripe_customer', { resourceId: 'cus_1', openRequest: null })
    expect((await engine.step(jobId, 'stripe_customer')).output).toEqual({ resourceId: 'cus_1' })
    expect(
      (await engine.events(jobId)).find(({ event_type }) => event_type === 'step.succeeded'),
    ).toMatchObject({ metadata: { attempt: 3 } })
  })

  it('is not written of a step that is not running', async () => {
    const { lease, jobId } = await claimedJob(project)
    expect(await refusal(engine.saveOutput(lease, 'neon_project', { made: 1 }))).toBe('TP002')
    expect((await engine.step(jobId, 'neon_project')).output).toEqual({})
  })
})
