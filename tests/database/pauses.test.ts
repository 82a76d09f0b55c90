import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Caller, enterRole } from '../support/roles.ts'
import { forgetLastRing, queuedDoorbells } from './doorbells.ts'
import { claimedJob, closeOpenJobs, createOnlyJob, Engine } from './engine.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

beforeEach(async () => {
  await project.sql`delete from provisioning.pauses`
  await closeOpenJobs(project)
})

afterAll(async () => {
  await project.close()
})

const pause = async (scope: string, name = '', reason = 'Maintenance until noon') =>
  only(
    await project.sql<{ changed: boolean }[]>`
      select provisioning.pause(${scope}, ${name}, ${reason}) as changed`,
  ).changed
const resume = async (scope: string, name = '') =>
  only(await project.sql<{ changed: boolean }[]>`select provisioning.resume(${scope}, ${name}) as changed`)
    .changed
const because = async (jobId: string) =>
  only(await project.sql<{ reason: string | null }[]>`select provisioning.paused_because(${jobId}) as reason`)
    .reason
const call = async (provider: string) =>
  only(
    await project.sql<{ taken: boolean; reason: string | null; paused: number | null }[]>`
      select taken, reason, paused_seconds as paused from provisioning.begin_call(${provider}, 'GET /', 5)`,
  )
const sweep = async () => {
  await project.sql`delete from net.http_request_queue`
  return only(await project.sql<{ rung: number }[]>`select provisioning.sweep() as rung`).rung
}
const nextDue = async () =>
  only(await project.sql<{ at: Date | null }[]>`select provisioning.next_due_at('{provision}') as at`).at

describe.each([
  ['everything', '', 'All work is paused: Maintenance until noon'],
  ['kind', 'provision', 'Provisioning is paused: Maintenance until noon'],
])('with %s %s paused', (scope, name, message) => {
  it('no provisioning is claimed or rung for, and whoever waits is told why', async () => {
    const { jobId } = await createOnlyJob(project)
    expect(await because(jobId)).toBeNull()
    await pause(scope, name)
    expect(await engine.claim(10)).toEqual([])
    expect(await nextDue(), 'a worker does not stay for it either').toBeNull()
    expect(await because(jobId)).toBe(message)
    expect(await sweep()).toBe(0)
    const { problem } = only(await project.sql`select problem from provisioning.dispatch_state`)
    expect(problem).toBe(message)
  })

  it('a job at work goes on, and is not taken over when its worker dies', async () => {
    const { lease, jobId } = await claimedJob(project)
    await pause(scope, name)
    expect(await engine.start(lease, 'stripe_customer')).toBe(1)
    await engine.expireLease(jobId)
    expect(await engine.claim(10)).toEqual([])
    await resume(scope, name)
    expect(only(await engine.claim(10)).jobId).toBe(jobId)
  })

  it('everything goes on when it is resumed, rung for at once', async () => {
    const { jobId } = await createOnlyJob(project)
    await pause(scope, name)
    await project.sql`delete from net.http_request_queue`
    await forgetLastRing(project.sql)
    expect(await resume(scope, name)).toBe(true)
    expect(await queuedDoorbells(project.sql)).toHaveLength(1)
    expect(await because(jobId)).toBeNull()
    expect(only(await engine.claim(10)).jobId).toBe(jobId)
    await sweep()
    expect(only(await project.sql`select problem from provisioning.dispatch_state`)).toEqual({
      problem: null,
    })
  })
})

it('with one kind paused, the others are claimed and rung for', async () => {
  await createTenant(project)
  await project.sql`select provisioning.enqueue(gen_random_uuid(), 'deprovision')`
  await pause('kind', 'provision')
  expect(await sweep()).toBe(1)
  expect((await queuedDoorbells(project.sql)).map(({ url }) => url)).toEqual([
    expect.stringMatching(/\/deprovision-tenant-resources$/),
  ])
  expect(await engine.claim(10, ['provision', 'deprovision'])).toHaveLength(1)
})

describe('with a provider paused', () => {
  it('jobs are claimed, but its calls are not made; those to others are', async () => {
    const { jobId } = await createOnlyJob(project)
    await pause('provider', 'neon')
    expect(await call('neon')).toEqual({
      taken: false,
      reason: 'Neon is paused: Maintenance until noon',
      paused: 30,
    })
    expect(await call('stripe_test')).toMatchObject({ taken: true, reason: null })
    expect(await because(jobId)).toBe('Neon is paused: Maintenance until noon')
    expect(only(await engine.claim()).jobId).toBe(jobId)
    await resume('provider', 'neon')
    expect(await call('neon')).toMatchObject({ taken: true, reason: null })
  })

  it('what it has put off is due when it ends, also while another step of the job is at work', async () => {
    const { lease, jobId } = await claimedJob(project)
    await pause('provider', 'neon')
    await engine.start(lease, 'neon_project')
    await engine.start(lease, 'stripe_customer')
    await project.sql`select provisioning.defer_step(${jobId}, ${lease.token}, 'neon_project',
      clock_timestamp() + interval '30 s', '{"code": "neon_paused", "message": "Neon is paused.", "retryable": true}', '{}', 0)`
    expect(await engine.ready(jobId)).toEqual([])
    await resume('provider', 'neon')
    expect(await engine.ready(jobId)).toEqual(['neon_project'])
    expect(await engine.complete(lease, 'stripe_customer')).toContain('neon_project')
  })

  it('a service stands for all of its providers', async () => {
    await pause('provider', 'stripe')
    expect(await call('stripe_test')).toMatchObject({ taken: false })
    expect(await call('stripe_live')).toMatchObject({ taken: false })
  })

  it('a job that has nothing left to do there is not told to wait for it', async () => {
    const { jobId, lease } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.complete(lease, 'stripe_customer')
    await pause('provider', 'stripe')
    expect(await because(jobId)).toBeNull()
    await pause('everything')
    await engine.run(lease)
    expect(await because(jobId), 'nor one that has ended').toBeNull()
  })

  it('everything stops its calls too', async () => {
    await pause('everything')
    expect(await call('neon')).toMatchObject({ taken: false, reason: expect.stringContaining('All work') })
  })
})

describe('a pause', () => {
  const audited = () =>
    project.sql`select action, resource_type, resource_id, metadata ->> 'reason' as reason from public.audit_logs
      where organization_id = '00000000-0000-0000-0000-000000000000' order by created_at desc limit 2`

  it('is audited, and so is its end', async () => {
    await pause('kind', 'undo')
    await resume('kind', 'undo')
    expect(await audited()).toEqual([
      { action: 'work.resumed', resource_type: 'kind', resource_id: 'undo', reason: null },
      {
        action: 'work.paused',
        resource_type: 'kind',
        resource_id: 'undo',
        reason: 'Maintenance until noon',
      },
    ])
  })

  it('that is there already gets the new reason; repeated or ended twice it changes nothing', async () => {
    expect(await pause('everything')).toBe(true)
    expect(await pause('everything')).toBe(false)
    expect(await pause('everything', '', 'Longer')).toBe(true)
    expect(await resume('everything')).toBe(true)
    expect(await resume('everything')).toBe(false)
  })

  it.each([
    ['kind', 'no-such-kind', 'why'],
    ['provider', 'no-such-provider', 'why'],
    ['week', 'monday', 'why'],
    ['everything', '', ' '],
  ])('of %s "%s" with reason "%s" is refused', async (scope, name, reason) => {
    expect(await refusal(pause(scope, name, reason))).toBe('TP422')
  })
})

describe('over the Data API', () => {
  const as = <T>(caller: Caller, work: (tx: Parameters<typeof enterRole>[0]) => Promise<T>) =>
    project.sql.begin(async (tx) => {
      await enterRole(tx, caller)
      return { result: await work(tx) }
    })

  it('the backend pauses, lists and resumes', async () => {
    const { result } = await as({ role: 'service_role' }, async (tx) => {
      await tx`select public.pause_work('provider', 'Neon moves', 'neon')`
      const [row] = await tx`select public.paused_work() as list`
      await tx`select public.resume_work('provider', 'neon')`
      const [after] = await tx`select public.paused_work() as list`
      return { list: row?.list, after: after?.list }
    })
    expect(result).toMatchObject({
      list: [
        {
          scope: 'provider',
          name: 'neon',
          label: 'Neon',
          reason: 'Neon moves',
          message: 'Neon is paused: Neon moves',
        },
      ],
      after: [],
    })
  })

  it('operators do too, and nobody else', async () => {
    const { user } = await createTenant(project)
    const caller: Caller = { role: 'authenticated', userId: user.id }
    const list = () => as(caller, (tx) => tx`select public.paused_work()`)
    expect(await refusal(list())).toBe('TP403')
    expect(await refusal(as(caller, (tx) => tx`select public.pause_work('everything', 'x')`))).toBe('TP403')
    expect(await refusal(as(caller, (tx) => tx`select public.resume_work('everything')`))).toBe('TP403')
    await project.sql`select provisioning.grant_operator(${user.id})`
    expect(await refusal(as(caller, (tx) => tx`select public.pause_work('everything', 'x')`))).toBeUndefined()
    const row = only(await project.sql`select paused_by from provisioning.pauses`)
    expect(row).toEqual({ paused_by: user.id })
    expect(await refusal(as(caller, (tx) => tx`select public.resume_work('everything')`))).toBeUndefined()
  })
})
