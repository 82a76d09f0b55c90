import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { queuedDoorbells } from './doorbells.ts'
import { closeOpenJobs, createOnlyJob, Engine } from './engine.ts'
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

/** Every doorbell is lost. */
const loseDoorbells = () => project.sql`delete from net.http_request_queue`
const sweep = async () =>
  only(await project.sql<{ rung: number }[]>`select provisioning.sweep() as rung`).rung
/** The functions that were rung at, in order. */
const rung = async () =>
  (await queuedDoorbells(project.sql)).map(({ url }) => url.slice(url.lastIndexOf('/') + 1))
const PROVISION = 'provision-tenant-resources'
const REMOVE = 'deprovision-tenant-resources'

describe('a doorbell', () => {
  it('is signed with hex HMAC-SHA256 over ringId.expiresAt under the key in Vault, and names no job', async () => {
    await loseDoorbells()
    await project.sql`select provisioning.send_doorbell('provisioning')`
    const { body } = only(await queuedDoorbells(project.sql))
    const { key } = only(
      await project.sql<{ key: string }[]>`
        select decrypted_secret as key from vault.decrypted_secrets where name = 'provisioning_doorbell_key'`,
    )
    expect(key).toMatch(/^[0-9a-f]{64}$/)
    const { ringId, expiresAt, signature } = body
    expect(body).toEqual({ ringId, expiresAt, signature })
    expect(signature).toBe(createHmac('sha256', key).update(`${ringId}.${expiresAt}`).digest('hex'))
  })

  it('expires after settings.doorbell_ttl_seconds', async () => {
    await loseDoorbells()
    await project.sql`select provisioning.send_doorbell('provisioning')`
    const { body } = only(await queuedDoorbells(project.sql))
    const seconds = (body.expiresAt - Date.now()) / 1000
    expect(seconds).toBeGreaterThan(590)
    expect(seconds).toBeLessThan(605)
  })

  it('is signed differently each time', async () => {
    await loseDoorbells()
    await project.sql`select provisioning.send_doorbell('provisioning') from generate_series(1, 2)`
    const signatures = (await queuedDoorbells(project.sql)).map(({ body }) => body.signature)
    expect(new Set(signatures).size).toBe(2)
  })

  it('is not rung for a worker that there is not', async () => {
    await loseDoorbells()
    const answer = only(await project.sql`select provisioning.ring_doorbell('nobody') as rung`)
    expect(answer).toEqual({ rung: false })
    expect(await rung()).toEqual([])
  })
})

describe('the sweep', () => {
  it('rings again for a job whose doorbell was lost', async () => {
    await createOnlyJob(project)
    await loseDoorbells()
    expect(await sweep()).toBe(1)
    expect(await rung()).toEqual([PROVISION])
    await loseDoorbells()
    expect(await sweep(), 'and again, until somebody comes').toBe(1)
  })

  it('with every doorbell lost, still brings every job to its end', async () => {
    await closeOpenJobs(project)
    const tenants = await Promise.all(Array.from({ length: 10 }, () => createTenant(project)))
    await loseDoorbells()
    for (let sweeps = 0; sweeps < 10 && (await sweep()) > 0; sweeps++) {
      const doorbells = await rung()
      await loseDoorbells()
      for (const _ of doorbells) for (const lease of await engine.claim(1)) await engine.run(lease)
    }
    for (const { jobId } of tenants) expect((await engine.job(jobId)).status).toBe('succeeded')
    expect(await sweep()).toBe(0)
  })

  it('rings for nobody when nothing is due', async () => {
    await closeOpenJobs(project)
    await loseDoorbells()
    const [running, putOff] = [await createTenant(project), await createTenant(project)]
    await loseDoorbells()
    await engine.claim(2)
    await project.sql`update public.provisioning_jobs set status = 'queued',
      next_attempt_at = now() + interval '1 minute' where id = ${putOff.jobId}`
    expect((await engine.job(running.jobId)).status).toBe('running')
    expect(await sweep()).toBe(0)
    expect(await rung()).toEqual([])
  })

  it('rings for a job whose worker died', async () => {
    const { jobId } = await createOnlyJob(project)
    await engine.claim()
    await loseDoorbells()
    expect(await sweep()).toBe(0)
    await engine.expireLease(jobId)
    expect(await sweep()).toBe(1)
    expect(await rung()).toEqual([PROVISION])
  })

  it('rings each worker at most settings.sweep_doorbells times, and no worker because of another’s jobs', async () => {
    await closeOpenJobs(project)
    for (let tenant = 0; tenant < 6; tenant++) await createTenant(project)
    await project.sql`select provisioning.enqueue(gen_random_uuid(), 'deprovision')`
    await project.sql`update public.provisioning_jobs set next_attempt_at = now() where status = 'queued'`
    await loseDoorbells()
    await project.sql`update provisioning.settings set sweep_doorbells = 3`
    expect(await sweep()).toBe(4)
    await project.sql`update provisioning.settings set sweep_doorbells = 4`
    expect((await rung()).sort()).toEqual([REMOVE, PROVISION, PROVISION, PROVISION])
  })

  it('is not kept from ringing by due jobs that no worker runs', async () => {
    await createOnlyJob(project)
    await project.sql`insert into public.provisioning_jobs (organization_id, kind, next_attempt_at)
      select gen_random_uuid(), 'waiting', now() - interval '1 hour' from generate_series(1, 10)`
    await loseDoorbells()
    await sweep()
    expect(await rung()).toEqual([PROVISION])
  })

  it('says when it last ran, and that nothing is wrong', async () => {
    await loseDoorbells()
    await sweep()
    const state = only(
      await project.sql`select problem, now() - last_swept_at < '5 s' as recent from provisioning.dispatch_state`,
    )
    expect(state).toEqual({ problem: null, recent: true })
  })
})

describe('while pg_net does not send', () => {
  /** In pg_net's queue; nothing takes them out. */
  const queued = async () => (await rung()).length
  const state = async () =>
    only(
      await project.sql<{ problem: string | null; holdsBack: boolean }[]>`
        select problem, holds_back as "holdsBack" from provisioning.dispatch_state`,
    )
  const sixSecondsLater = () =>
    project.sql`update provisioning.dispatch_state set unsent_since = unsent_since - interval '6 seconds'`

  it('its queue stays short however often the sweep comes, and the problem and the jobs say why nothing happens', async () => {
    await closeOpenJobs(project)
    await loseDoorbells()
    await sweep()
    const tenants = [await createTenant(project), await createTenant(project), await createTenant(project)]
    const { doorbells } = only(
      await project.sql<
        { doorbells: number }[]
      >`select sweep_doorbells as doorbells from provisioning.settings`,
    )
    for (let times = 0; times < 100; times++) await sweep()
    expect(await queued()).toBeGreaterThan(0)
    expect(await queued()).toBeLessThanOrEqual(doorbells)
    expect((await state()).problem).toMatch(/^pg_net does not send our calls \(since \d{4}-/)
    const { error } = only(
      await project.sql`select last_error ->> 'message' as error from public.provisioning_jobs where id = ${tenants[0]?.jobId ?? ''}`,
    )
    expect(error).toContain('pg_net does not send')
    const [diagnosis] =
      await project.sql`select provisioning.diagnose_provisioning() #>> '{dispatch,problem}' as problem`
    expect(diagnosis?.problem).toContain('pg_net does not send')
  })

  it('nobody rings at all after the next sweep, and everybody again when the calls have gone', async () => {
    await project.sql`update provisioning.settings set doorbell_interval_milliseconds = 0`
    const before = await queued()
    await createTenant(project)
    expect(await queued(), 'one sweep may be mistaken').toBe(before + 1)
    await sixSecondsLater()
    expect(await sweep()).toBe(0)
    expect((await state()).holdsBack).toBe(true)
    await createTenant(project)
    await project.sql`select provisioning.send_doorbell('health')`
    expect(await queued()).toBe(before + 1)
    await loseDoorbells()
    expect(await sweep()).toBeGreaterThan(0)
    expect(await state()).toEqual({ problem: null, holdsBack: false })
    await loseDoorbells()
    await createTenant(project)
    expect(await queued()).toBe(1)
    await project.sql`update provisioning.settings set doorbell_interval_milliseconds = 250`
  })

  it('the calls of others keep nobody from ringing', async () => {
    await project.sql`select net.http_post(url := 'https://others.example/hook') from generate_series(1, 50)`
    await sweep()
    await project.sql`delete from net.http_request_queue where url not like 'https://others%'`
    expect(await sweep()).toBeGreaterThan(0)
    expect((await state()).problem).toBeNull()
    await loseDoorbells()
  })
})

describe('ring_for_due_work', () => {
  const ringForDueWork = async (kinds: string[]) =>
    only(await project.sql`select provisioning.ring_for_due_work(${kinds}) as rung`)

  it('rings the worker of these kinds once when one of their jobs is due', async () => {
    await closeOpenJobs(project)
    await createTenant(project)
    await createTenant(project)
    await loseDoorbells()
    expect(await ringForDueWork(['provision'])).toEqual({ rung: true })
    expect(await rung()).toEqual([PROVISION])
    await loseDoorbells()
    expect(await ringForDueWork(['deprovision'])).toEqual({ rung: null })
    expect(await rung()).toEqual([])
  })
})

describe('pg_cron', () => {
  it('runs the sweep every few seconds and the pruning daily', async () => {
    const jobs = await project.sql<{ jobname: string; schedule: string; command: string }[]>`
      select jobname, schedule, command from cron.job where active order by jobname`
    const scheduled = Object.fromEntries(jobs.map(({ jobname, ...job }) => [jobname, job]))
    expect(scheduled).toMatchObject({
      'tenant-provisioning-sweep': {
        schedule: expect.stringMatching(/^\d+ seconds$/),
        command: 'select provisioning.sweep()',
      },
      'tenant-provisioning-prune': {
        schedule: expect.stringMatching(/^\d+ \d+ \* \* \*$/),
        command: 'select provisioning.prune()',
      },
    })
  })

  it('has jobs whose names all begin alike, so that the query of operations.md shows the runs of each', async () => {
    const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    const query = /select j\.jobname[^;]+;/.exec(page)?.[0] ?? ''
    const jobs = await project.sql<{ name: string }[]>`select jobname as name from cron.job`
    expect(jobs.length).toBeGreaterThan(8)
    await project.superuser`
      insert into cron.job_run_details (jobid, username, status, start_time) select jobid, 'postgres', 'succeeded', now() from cron.job`
    const shown = await project.sql.unsafe<{ jobname: string }[]>(query)
    expect(new Set(shown.map(({ jobname }) => jobname))).toEqual(new Set(jobs.map(({ name }) => name)))
    await project.superuser`delete from cron.job_run_details`
  })

  it('has commands that run as the role that scheduled them', async () => {
    for (const { command } of await project.sql<{ command: string }[]>`select command from cron.job`)
      await project.sql.unsafe(command)
  })

  it('has its run records pruned after settings.cron_history_days', async () => {
    await project.superuser`insert into cron.job_run_details (jobid, username, status, start_time, end_time)
      select 1, 'postgres', label, case label when 'never begun' then null else now() - age end,
        case when label in ('cut off', 'never begun', 'starting') then null else now() - age end
      from (values ('never begun', interval '4 days'), ('cut off', interval '4 days'), ('old', interval '4 days'),
        ('new', interval '2 days'), ('starting', null)) as t (label, age)`
    await project.sql`select provisioning.prune()`
    expect(
      (await project.superuser`select status from cron.job_run_details`).map((row) => row.status),
    ).toEqual(['new', 'starting'])
  })
})
