import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seal } from '../../shared/kernel/seal.ts'
import { closeOpenJobs, createOnlyJob, Engine, FINAL, type Lease } from './engine.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

const RETRYABLE = { code: 'neon_unavailable', message: 'Neon did not answer.', retryable: true }

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(async () => {
  await project.close()
})

async function claimedJob() {
  const tenant = await createOnlyJob(project)
  return { ...tenant, lease: only(await engine.claim()) }
}

/** Another worker has taken over a job whose worker died: the lease is the dead one's. */
async function takenOverJob() {
  const { lease, jobId, organizationId } = await claimedJob()
  await engine.start(lease, 'stripe_customer')
  await engine.expireLease(jobId)
  const successor = only(await engine.claim())
  await engine.start(successor, 'stripe_customer')
  return { stale: lease, successor, jobId, organizationId }
}

async function withSettings<T>(settings: Record<string, number>, work: () => Promise<T>): Promise<T> {
  const before = only(await project.sql`select * from provisioning.settings`)
  await project.sql`update provisioning.settings set ${project.sql(settings)}`
  try {
    return await work()
  } finally {
    await project.sql`update provisioning.settings set ${project.sql(before, ...Object.keys(settings))}`
  }
}

/** Claims of several workers, held back at the door until all of them stand there. */
async function claimAtOnce(workers: number, limit: number): Promise<Lease[]> {
  const gate = await project.superuser.reserve()
  await gate`select pg_advisory_lock(1)`
  const claims = Array.from({ length: workers }, () =>
    project.sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock_shared(1)`
      return { leases: await new Engine(tx).claim(limit) }
    }),
  )
  await waitUntilWaiting(workers)
  await gate`select pg_advisory_unlock(1)`
  gate.release()
  return (await Promise.all(claims)).flatMap(({ leases }) => leases)
}

async function waitUntilWaiting(sessions: number): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const { waiting } = only(
      await project.superuser<{ waiting: number }[]>`select count(*)::int as waiting from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (waiting >= sessions) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`${sessions} sessions were to wait for a lock`)
}

const secondsFromNow = (time: Date | null) =>
  time === null ? Number.NaN : (time.getTime() - Date.now()) / 1000

describe('a claim', () => {
  it('takes a due job under a lease of settings.lease_seconds', async () => {
    const { jobId, lease } = await claimedJob()
    expect(lease).toMatchObject({ jobId, attempts: 1 })
    const job = await engine.job(jobId)
    expect(job).toMatchObject({ status: 'running', lease_token: lease.token })
    expect(secondsFromNow(job.lease_expires_at)).toBeGreaterThan(50)
    expect(secondsFromNow(job.lease_expires_at)).toBeLessThanOrEqual(60)
  })

  it('does not get a job whose lease is alive, nor one that is not due, nor one of another kind', async () => {
    const { jobId, lease } = await claimedJob()
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
      const leases = await withSettings({ max_running_jobs: 5 }, () => claimAtOnce(8, 3))
      expect(leases).toHaveLength(5)
      expect(new Set(leases.map(({ jobId }) => jobId)).size).toBe(5)
    }
  })

  it('gives no job to two of eight concurrent claimers', async () => {
    await closeOpenJobs(project)
    for (let tenant = 0; tenant < 16; tenant++) await createTenant(project)
    const leases = await claimAtOnce(8, 4)
    expect(new Set(leases.map(({ jobId }) => jobId)).size).toBe(leases.length)
    expect(leases.length).toBe(16)
  })

  it('does not count dead workers against the cap', async () => {
    await closeOpenJobs(project)
    await createTenant(project)
    await createTenant(project)
    await withSettings({ max_running_jobs: 1 }, async () => {
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

describe('a job whose worker died', () => {
  it('is taken over when the lease has run out, and not before', async () => {
    const { jobId, lease } = await claimedJob()
    expect(await engine.claim()).toEqual([])
    await engine.expireLease(jobId)
    const successor = only(await engine.claim())
    expect(successor).toMatchObject({ jobId, attempts: 2 })
    expect(successor.token).not.toBe(lease.token)
  })

  it('has its running step made due again, and an event tells of it', async () => {
    const { jobId, lease } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.expireLease(jobId)
    await engine.claim()
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
      status: 'retrying',
      attempts: 1,
      error: { code: 'worker_lost', retryable: true },
    })
    expect(await engine.events(jobId)).toMatchObject([
      { event_type: 'step.interrupted', resource_type: 'stripe_customer', metadata: { attempt: 1 } },
    ])
    expect(await engine.ready(jobId)).toContain('stripe_customer')
  })

  it('is revived by its own heartbeat when nobody has taken it over yet', async () => {
    const { jobId, lease } = await claimedJob()
    await engine.expireLease(jobId)
    expect(secondsFromNow(await engine.extend(lease))).toBeGreaterThan(50)
    expect(await engine.claim()).toEqual([])
  })

  it('fails for good when every attempt was interrupted, and says so', async () => {
    await withSettings({ max_step_attempts: 3 }, async () => {
      const { jobId } = await createOnlyJob(project)
      for (let attempt = 1; attempt <= 3; attempt++) {
        const lease = only(await engine.claim())
        expect(await engine.start(lease, 'stripe_customer')).toBe(attempt)
        await engine.expireLease(jobId)
      }
      const lease = only(await engine.claim())
      expect(await engine.start(lease, 'stripe_customer')).toBeUndefined()
      expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
        status: 'failed',
        error: { code: 'attempts_exhausted', retryable: false },
      })
      expect(await engine.run(lease)).toBe('failed')
      expect((await engine.job(jobId)).last_error).toMatchObject({ code: 'attempts_exhausted' })
    })
  })
})

describe('the writes of a worker that lost its lease', () => {
  const writes: [string, (lease: Lease) => Promise<unknown>][] = [
    ['extend_lease', (lease) => engine.extend(lease)],
    [
      'prepare_job',
      async (lease) => {
        await project.sql`select provisioning.prepare_job(${lease.jobId}, ${lease.token})`
      },
    ],
    ['start_step', (lease) => engine.start(lease, 'neon_project')],
    ['complete_step', (lease) => engine.complete(lease, 'stripe_customer', { customerId: 'cus_stale' })],
    ['fail_step', (lease) => engine.fail(lease, 'stripe_customer')],
    ['defer_step', (lease) => engine.defer(lease, 'stripe_customer', 1)],
    ['save_output', (lease) => engine.saveOutput(lease, 'stripe_customer', { customerId: 'cus_stale' })],
    ['finish_job', (lease) => engine.finish(lease)],
    [
      'record_stripe_customer',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_stripe_customer(${jobId}, ${token}, 'cus_stale')`,
    ],
    [
      'record_neon_project',
      ({ jobId, token }) => project.sql`
        select provisioning.record_neon_project(${jobId}, ${token}, 'p', 'b', 'e', 'h', 'ph', 5432, 'd', 'r', 'require')`,
    ],
    [
      'record_schema_version',
      ({ jobId, token }) => project.sql`select provisioning.record_schema_version(${jobId}, ${token}, 2)`,
    ],
    [
      'record_verified_connection',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_verified_connection(${jobId}, ${token}, true)`,
    ],
    [
      'forget_credentials',
      ({ jobId, token }) => project.sql`select provisioning.forget_credentials(${jobId}, ${token})`,
    ],
    [
      'forget_neon_project',
      ({ jobId, token }) => project.sql`select provisioning.forget_neon_project(${jobId}, ${token})`,
    ],
    [
      'forget_stripe_customer',
      ({ jobId, token }) => project.sql`select provisioning.forget_stripe_customer(${jobId}, ${token})`,
    ],
    [
      'store_credentials',
      async ({ jobId, token }) => {
        const sealed = await seal(project.sql, 'stale password')
        return project.sql`select provisioning.store_credentials(${jobId}, ${token}, ${sealed})`
      },
    ],
  ]

  it.each(writes)('%s is refused and changes nothing', async (_, write) => {
    const { stale, successor, organizationId } = await takenOverJob()
    await project.sql`select vault.create_secret('at stake', ${`tenant_database_password/${organizationId}`})`
    await project.sql`update public.organization_databases set neon_project_id = ${`at-stake-${organizationId}`}
      where organization_id = ${organizationId}`
    await project.sql`update public.organizations set stripe_customer_id = ${`cus_${organizationId}`} where id = ${organizationId}`
    const before = await fingerprint(project.sql)
    expect(await refusal(write(stale))).toBe('TP001')
    expect(await fingerprint(project.sql)).toEqual(before)
    expect(await refusal(write(successor)), 'the holder may').toBeUndefined()
    expect(await fingerprint(project.sql)).not.toEqual(before)
  })

  it('cover every function that takes a lease token', async () => {
    const functions = await project.sql<{ name: string }[]>`
      select proname as name from pg_proc where pronamespace = 'provisioning'::regnamespace
        and 'p_lease_token' = any (proargnames) and proname <> 'hold_lease' order by 1`
    expect(functions.map(({ name }) => name)).toEqual(writes.map(([name]) => name).sort())
  })

  it('are refused after the job was finished, cancelled or never leased, too', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.run(lease)
    expect(await refusal(engine.extend(lease))).toBe('TP001')
    expect(await refusal(project.sql`select provisioning.extend_lease(${jobId}, null)`)).toBe('TP001')
    expect(
      await refusal(project.sql`select provisioning.extend_lease(gen_random_uuid(), gen_random_uuid())`),
    ).toBe('TP001')
  })
})

describe('the steps', () => {
  it('become ready as what they depend on succeeds', async () => {
    const { lease, jobId } = await claimedJob()
    expect(await engine.ready(jobId)).toEqual(['stripe_customer', 'neon_project'])
    expect(await engine.start(lease, 'tenant_schema'), 'not before the project exists').toBeUndefined()
    await engine.start(lease, 'neon_project')
    expect(await engine.ready(jobId)).toEqual(['stripe_customer'])
    expect(await engine.complete(lease, 'neon_project')).toEqual(['stripe_customer', 'tenant_schema'])
    for (const [step, next] of [
      ['tenant_schema', 'credentials'],
      ['credentials', 'verify_connection'],
    ] as const) {
      await engine.start(lease, step)
      expect(await engine.complete(lease, step)).toEqual(['stripe_customer', next])
    }
  })

  it('never run again once they have finished', async () => {
    const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'neon_project')
    await project.sql`select provisioning.fail_step(${jobId}, ${lease.token}, 'neon_project',
      ${project.sql.json(RETRYABLE)}, 0, '{"projectId": "p1", "operation": 1}')`
    await engine.passTime(jobId)
    await engine.start(lease, 'neon_project')
    await engine.complete(lease, 'neon_project', { operation: 2 })
    expect((await engine.step(jobId, 'neon_project')).output).toEqual({ projectId: 'p1', operation: 2 })
  })

  it('leave an event for each attempt', async () => {
    const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
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
    await withSettings({ backoff_base_seconds: 10, backoff_cap_seconds: 10 }, async () => {
      const { lease } = await claimedJob()
      await engine.start(lease, 'stripe_customer')
      const seconds = secondsFromNow(await engine.fail(lease, 'stripe_customer'))
      expect(seconds).toBeGreaterThan(-1)
      expect(seconds).toBeLessThanOrEqual(10)
    })
  })

  it('may be followed by a longer wait than the one before it, until the cap is reached', async () => {
    const settings = { backoff_base_seconds: 10, backoff_cap_seconds: 60, max_step_attempts: 100 }
    const waits = await withSettings(settings, async () => {
      const { lease, jobId } = await claimedJob()
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
            ${tx.json(RETRYABLE)}) - clock_timestamp())::float8 as seconds`,
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
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    expect(secondsFromNow(await engine.fail(lease, 'stripe_customer', RETRYABLE, 900))).toBeGreaterThan(899)
    expect(await engine.ready(jobId)).not.toContain('stripe_customer')
    expect(await engine.start(lease, 'stripe_customer')).toBeUndefined()
  })

  it('is final after settings.max_step_attempts', async () => {
    await withSettings({ max_step_attempts: 3 }, async () => {
      const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    expect(await engine.fail(lease, 'stripe_customer', FINAL)).toBeNull()
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
      status: 'failed',
      error: { ...FINAL, step: 'stripe_customer' },
    })
    expect((await engine.job(jobId)).last_error).toMatchObject({ code: FINAL.code, step: 'stripe_customer' })
  })

  it('of one service does not hold up the other', async () => {
    const { lease, jobId } = await claimedJob()
    expect(await engine.run(lease, { stripe_customer: FINAL })).toBe('failed')
    const statuses = (await engine.steps(jobId)).map(({ step, status }) => [step, status])
    expect(Object.fromEntries(statuses)).toEqual({
      stripe_customer: 'failed',
      neon_project: 'succeeded',
      tenant_schema: 'succeeded',
      credentials: 'succeeded',
      verify_connection: 'succeeded',
    })
  })
})

describe('what a step leaves for later attempts', () => {
  it('is there from before its request on, even when the worker dies, and null takes it away', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.saveOutput(lease, 'stripe_customer', { openRequest: { key: 'k', email: null }, other: 1 })
    await engine.expireLease(jobId)
    const successor = only(await engine.claim())
    expect((await engine.step(jobId, 'stripe_customer')).output).toEqual({
      openRequest: { key: 'k' },
      other: 1,
    })
    await engine.start(successor, 'stripe_customer')
    await engine.fail(successor, 'stripe_customer', RETRYABLE, 0, { output: { other: null } })
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
    const { lease, jobId } = await claimedJob()
    expect(await refusal(engine.saveOutput(lease, 'neon_project', { made: 1 }))).toBe('TP002')
    expect((await engine.step(jobId, 'neon_project')).output).toEqual({})
  })
})

describe('the end of a run', () => {
  it('is success when every step succeeded', async () => {
    const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
    expect(await engine.run(lease, { neon_project: { ...FINAL, code: 'neon_refused' } })).toBe('failed')
    expect(await engine.job(jobId)).toMatchObject({
      status: 'failed',
      last_error: { code: 'neon_refused', step: 'neon_project' },
    })
    expect(await engine.claim()).toEqual([])
  })

  it('puts the job off until its earliest step is due', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.start(lease, 'neon_project')
    await engine.fail(lease, 'stripe_customer', RETRYABLE, 500)
    await engine.defer(lease, 'neon_project', 100)
    expect(await engine.finish(lease)).toBe('queued')
    const seconds = secondsFromNow((await engine.job(jobId)).next_attempt_at)
    expect(seconds).toBeGreaterThan(98)
    expect(seconds).toBeLessThanOrEqual(100)
  })

  it('leaves a job due at once when a step could run but was not started', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.fail(lease, 'stripe_customer', RETRYABLE, 500)
    expect(await engine.finish(lease)).toBe('queued')
    expect(only(await engine.claim()).jobId).toBe(jobId)
  })

  it('under a running step makes that step due again', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    expect(await engine.finish(lease)).toBe('queued')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'retrying', attempts: 1 })
    expect(await engine.claim()).toHaveLength(1)
  })

  it('waits for a retry of one branch although another failed for good', async () => {
    const { lease } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.fail(lease, 'stripe_customer', FINAL)
    await engine.start(lease, 'neon_project')
    await engine.fail(lease, 'neon_project', RETRYABLE, 5)
    expect(await engine.finish(lease)).toBe('queued')
  })
})

describe('a retry', () => {
  async function failedJob(failing: Parameters<Engine['run']>[1] = { neon_project: FINAL }) {
    const { lease, ...tenant } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    const before = await fingerprint(project.sql)
    expect(await engine.retry(jobId)).toBe('running')
    expect(await fingerprint(project.sql)).toEqual(before)
    expect(await engine.retry(jobId, ['stripe'])).toBe('running')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'running', attempts: 1 })
    expect(await refusal(engine.complete(lease, 'stripe_customer'))).toBeUndefined()
  })

  it('of named services, asked for while a worker is at it, gets its turn when that one has finished', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer')
    expect(await engine.retry(jobId, ['stripe'])).toBe('running')
    expect(await engine.run(lease), 'finished, and queued again').toBe('queued')
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({ status: 'pending' })
    expect(await engine.step(jobId, 'neon_project')).toMatchObject({ status: 'succeeded' })
    expect(await engine.run(only(await engine.claim())), 'once, not for ever').toBe('succeeded')
  })

  it('takes a job away from a dead worker', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.expireLease(jobId)
    expect(await engine.retry(jobId)).toBe('queued')
    expect(await refusal(engine.complete(lease, 'stripe_customer'))).toBe('TP001')
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('of one service, of a job with a dead worker, leaves no step of the other running', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'neon_project')
    await engine.expireLease(jobId)
    expect(await engine.retry(jobId, ['stripe'])).toBe('queued')
    const successor = only(await engine.claim())
    expect(await engine.ready(jobId)).toEqual(['stripe_customer', 'neon_project'])
    expect(await engine.run(successor)).toBe('succeeded')
  })

  it('makes a job due now that is waiting for a late attempt', async () => {
    const { lease, jobId } = await claimedJob()
    expect(await engine.run(lease, { stripe_customer: RETRYABLE })).toBe('queued')
    expect(await engine.claim()).toEqual([])
    expect(await engine.retry(jobId)).toBe('queued')
    expect(only(await engine.claim()).jobId).toBe(jobId)
  })

  it('of a step whose answer is open comes with fresh attempts, but not before that has settled', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer')
    await engine.start(lease, 'neon_project')
    const due = await engine.fail(lease, 'neon_project', RETRYABLE, 0, { settles: 600 })
    expect(secondsFromNow(due)).toBeGreaterThan(590)
    await engine.finish(lease)
    for (const services of [null, ['neon'], null]) {
      expect(await engine.retry(jobId, services)).toBe('queued')
      expect(await engine.step(jobId, 'neon_project')).toMatchObject({
        status: 'retrying',
        attempts: 0,
        next_attempt_at: due,
        error: { code: RETRYABLE.code },
      })
      expect((await engine.job(jobId)).next_attempt_at).toEqual(due)
      expect(await engine.claim()).toEqual([])
    }
    await engine.passTime(jobId)
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('of a step that waits longer than its answer is open brings it forward to that time', async () => {
    const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
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
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'neon_project')
    await engine.retry(jobId, ['neon'])
    await engine.fail(lease, 'neon_project', FINAL, 0, { settles: 600 })
    expect(await engine.run(lease)).toBe('queued')
    expect(secondsFromNow((await engine.job(jobId)).next_attempt_at)).toBeGreaterThan(590)
    expect(await engine.claim()).toEqual([])
  })

  it('of another step goes on at once while an answer is open, and the job then waits without being claimed', async () => {
    const { lease, jobId } = await claimedJob()
    await engine.start(lease, 'neon_project')
    await engine.fail(lease, 'neon_project', RETRYABLE, 0, { settles: 600 })
    await engine.run(lease, { stripe_customer: FINAL })
    expect(await engine.retry(jobId)).toBe('queued')
    expect(await engine.run(only(await engine.claim()))).toBe('queued')
    expect((await engine.step(jobId, 'stripe_customer')).status).toBe('succeeded')
    expect(await engine.claim()).toEqual([])
  })

  it('asked for by request_provisioning does not deadlock with the worker', async () => {
    const { lease, jobId, organizationId } = await claimedJob()
    await engine.start(lease, 'stripe_customer')
    let request: Promise<string | undefined> | undefined
    await project.sql.begin(async (tx) => {
      await tx`select provisioning.hold_lease(${jobId}, ${lease.token})`
      request = refusal(project.sql`select * from provisioning.request_provisioning(${organizationId})`)
      await waitUntilWaiting(1)
      expect(await refusal(new Engine(tx).complete(lease, 'stripe_customer'))).toBeUndefined()
    })
    expect(await request).toBeUndefined()
    expect((await engine.step(jobId, 'stripe_customer')).status).toBe('succeeded')
  })
})

describe('an undo and a provisioning of one organization', () => {
  /** A cancelled provisioning whose undo has failed. */
  async function failedUndo() {
    const { jobId, organizationId } = await claimedJob()
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
      await waitUntilWaiting(1)
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
      await waitUntilWaiting(1)
    })
    expect(await requested).toBe('TP423')
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
      if (outcome === 'retrying') await engine.fail(lease, step, RETRYABLE, 60)
      if (outcome === 'failed') await engine.fail(lease, step, FINAL)
    }
  }

  const WHOLE_NEON = {
    neon_project: 'done',
    tenant_schema: 'done',
    credentials: 'done',
    verify_connection: 'done',
  } as const

  it.each<[Record<string, Outcome>, boolean, { stripe: string; neon: string; overall: string }]>([
    [{ stripe_customer: 'started' }, false, { stripe: 'running', neon: 'pending', overall: 'provisioning' }],
    [{ stripe_customer: 'done' }, false, { stripe: 'ready', neon: 'pending', overall: 'provisioning' }],
    [{ neon_project: 'done' }, false, { stripe: 'pending', neon: 'running', overall: 'provisioning' }],
    [{ neon_project: 'retrying' }, false, { stripe: 'pending', neon: 'retrying', overall: 'provisioning' }],
    [{ neon_project: 'retrying' }, true, { stripe: 'pending', neon: 'retrying', overall: 'provisioning' }],
    [
      { neon_project: 'done', tenant_schema: 'failed' },
      false,
      { stripe: 'pending', neon: 'failed', overall: 'provisioning' },
    ],
    [WHOLE_NEON, false, { stripe: 'pending', neon: 'ready', overall: 'provisioning' }],
    [
      { ...WHOLE_NEON, stripe_customer: 'failed' },
      true,
      { stripe: 'failed', neon: 'ready', overall: 'failed' },
    ],
    [{ ...WHOLE_NEON, stripe_customer: 'done' }, true, { stripe: 'ready', neon: 'ready', overall: 'ready' }],
    [{}, true, { stripe: 'pending', neon: 'pending', overall: 'pending' }],
  ])('after %j (run ended: %s) is %j', async (outcomes, ended, expected) => {
    const { lease, organizationId } = await claimedJob()
    await play(lease, outcomes)
    if (ended) await engine.finish(lease)
    const { s, at, neon } = await status(organizationId)
    expect(s).toEqual({ ...expected, graphql: 'not_requested', changed_at: expect.any(String) })
    expect(neon, 'organization_databases.status').toBe(expected.neon)
    expect(at !== null).toBe(expected.overall === 'ready')
  })

  it('moves changed_at when a state changes, and only then', async () => {
    const { lease, organizationId } = await claimedJob()
    await play(lease, { stripe_customer: 'done', neon_project: 'done' })
    const { s: before } = await status(organizationId)
    await play(lease, { tenant_schema: 'done', credentials: 'done' })
    await project.sql`select provisioning.refresh_status(${organizationId})`
    expect((await status(organizationId)).s, 'neon goes on running').toEqual(before)
    await play(lease, { verify_connection: 'done' })
    const { s: after } = await status(organizationId)
    expect(Date.parse(after.changed_at ?? '')).toBeGreaterThan(Date.parse(before.changed_at ?? ''))
  })

  it('keeps the time of the first success through later retries', async () => {
    const { lease, organizationId, jobId } = await claimedJob()
    await engine.run(lease)
    const first = await status(organizationId)
    await engine.retry(jobId, ['stripe'])
    expect((await status(organizationId)).s).toMatchObject({ stripe: 'pending', overall: 'provisioning' })
    await engine.run(only(await engine.claim()))
    expect((await status(organizationId)).at).toEqual(first.at)
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

describe('history', () => {
  it.each(['provisioning_events', 'audit_logs'])(
    'in %s cannot be changed, even by its owner',
    async (table) => {
      const { organizationId, user } = await createTenant(project)
      await project.sql`select provisioning.audit(${organizationId}, 'test', 'user', ${user.id})`
      const before = await fingerprint(project.sql)
      const target = project.sql(`public.${table}`)
      const mine = project.sql`organization_id = ${organizationId}`
      expect(await refusal(project.sql`update ${target} set metadata = '{}' where ${mine}`)).toBe('42501')
      expect(await refusal(project.sql`delete from ${target} where ${mine}`)).toBe('42501')
      expect(await refusal(project.sql`truncate ${target}`)).toBe('42501')
      expect(await fingerprint(project.sql)).toEqual(before)
    },
  )
})
