import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type PlatformWorker, startPlatformWorker } from '../../local/platform-worker/worker.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: postgres.Sql
let admin: postgres.Sql
let worker: PlatformWorker
let offsetMs = 0
/** How often the scheduler has looked at its clock: once when it looks what is due, and once for each run that has ended. */
let looks = 0

const startWorker = () =>
  startPlatformWorker({
    databaseUrl: database.url('supabase_admin'),
    clock: () => {
      looks += 1
      return Date.now() + offsetMs
    },
    cronPollMs: 20,
  })

beforeAll(async () => {
  database = await createTestDatabase('platform')
  sql = postgres(database.url(), { max: 2, onnotice: () => undefined })
  admin = postgres(database.url('supabase_admin'), { max: 1, onnotice: () => undefined })
  worker = await startWorker()
  await sql`create extension pg_cron with schema pg_catalog`
  await sql`create table public.runs (name text, by text default current_user, path text default current_setting('search_path'), at timestamptz default clock_timestamp())`
})

afterEach(async () => {
  await sql`select cron.unschedule(jobid) from cron.job`
  await worker.pauseCron()
  worker.resumeCron()
  await sql`truncate public.runs`
  await sql`delete from cron.job_run_details`
})

afterAll(async () => {
  await worker.stop()
  await Promise.all([sql.end(), admin.end()])
  await database.drop()
})

const schedule = (name: string, when: string, command: string) =>
  sql`select cron.schedule(${name}, ${when}, ${command}) as jobid`

interface Run {
  readonly status: string
  readonly return_message: string | null
  readonly job_pid: number | null
  readonly start_time: Date | null
  readonly end_time: Date | null
}

const ended = (atLeast: number): Promise<Run[]> =>
  vi.waitFor(
    async () => {
      const rows = await sql<Run[]>`
        select * from cron.job_run_details where status in ('succeeded', 'failed') order by runid`
      expect(rows.length).toBeGreaterThanOrEqual(atLeast)
      return [...rows]
    },
    { timeout: 20_000, interval: 20 },
  )

/** Lets the scheduler see the present time, then moves its clock. */
async function moveClock(milliseconds: number): Promise<void> {
  const before = looks
  await sleep(100)
  await expect.poll(() => looks, { interval: 5 }).toBeGreaterThan(before + 2)
  offsetMs += milliseconds
}

describe('cron.schedule', () => {
  it('updates the job of the same name and user', async () => {
    const [first] = await schedule('job', '0 10 * * *', 'select 1')
    const [second] = await schedule('job', '30 seconds', 'select 2')
    expect(second).toEqual(first)
    expect(await sql`select schedule, command, username, active from cron.job`).toEqual([
      { schedule: '30 seconds', command: 'select 2', username: 'postgres', active: true },
    ])
  })

  it.each([
    '60 seconds',
    '0 seconds',
    '30 minutes',
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '1/20 * * * *',
    '*/0 * * * *',
    '30-10 * * * *',
    '* * * foo *',
    '* * L * *',
    '@never',
  ])('refuses the schedule %j', async (invalid) => {
    await expect(schedule('job', invalid, 'select 1')).rejects.toMatchObject({
      code: '22023',
      message: `invalid schedule: ${invalid}`,
    })
    await expect(sql`select cron.schedule(${invalid}, 'select 1')`).rejects.toMatchObject({ code: '22023' })
    expect(await sql`select from cron.job`).toHaveLength(0)
  })

  it.each([
    ['* * * * *', '2026-03-01 00:00Z', true],
    ['5 4 * * *', '2026-03-01 04:05Z', true],
    ['5 4 * * *', '2026-03-01 04:06Z', false],
    ['*/20 * * * *', '2026-03-01 10:40Z', true],
    ['*/20 * * * *', '2026-03-01 10:41Z', false],
    ['10-20/5,50 * * * *', '2026-03-01 10:15Z', true],
    ['10-20/5,50 * * * *', '2026-03-01 10:50Z', true],
    ['10-20/5,50 * * * *', '2026-03-01 10:16Z', false],
    ['0 0 * jan-MAR mon', '2026-03-02 00:00Z', true],
    ['0 0 * jan-MAR mon', '2026-04-06 00:00Z', false],
    ['0 0 * * 7', '2026-03-01 00:00Z', true],
    ['0 0 * * 0', '2026-03-01 00:00Z', true],
    ['0 0 13 * fri', '2026-02-20 00:00Z', true],
    ['0 0 13 * fri', '2026-01-13 00:00Z', true],
    ['0 0 13 * fri', '2026-01-14 00:00Z', false],
    ['0 0 $ * *', '2028-02-29 00:00Z', true],
    ['0 0 $ * *', '2028-02-28 00:00Z', false],
    ['@hourly', '2026-03-01 07:00Z', true],
  ])('understands that %j at %s is %s', async (when, minute, due) => {
    const [row] = await admin`
      select cron._runs_due(${when}, ${minute}::timestamptz - interval '1 minute', ${minute}::timestamptz) as runs`
    expect(row?.runs).toBe(due ? 1 : 0)
  })

  it('is undone by name or id, and says when there is nothing to undo', async () => {
    const [job] = await schedule('job', '* * * * *', 'select 1')
    expect(await sql`select cron.unschedule('job') as done`).toEqual([{ done: true }])
    await expect(sql`select cron.unschedule('job')`).rejects.toThrow(
      "could not find valid entry for job 'job'",
    )
    await expect(sql`select cron.unschedule(${job?.jobid}::bigint)`).rejects.toThrow(
      'could not find valid entry',
    )
  })
})

describe('rights on pg_cron', () => {
  it('lets postgres read cron.job, but change it through functions only', async () => {
    const [job] = await schedule('job', '* * * * *', 'select 1')
    await expect(sql`update cron.job set active = false`).rejects.toMatchObject({ code: '42501' })
    await expect(sql`delete from cron.job`).rejects.toMatchObject({ code: '42501' })
    await expect(
      sql`insert into cron.job (schedule, command) values ('* * * * *', '')`,
    ).rejects.toMatchObject({
      code: '42501',
    })
    await sql`select cron.alter_job(${job?.jobid}, active => false, schedule => '5 seconds')`
    expect(await sql`select active, schedule, command from cron.job`).toEqual([
      { active: false, schedule: '5 seconds', command: 'select 1' },
    ])
    await expect(sql`select cron.alter_job(${job?.jobid}, username => 'authenticator')`).rejects.toThrow(
      'superuser',
    )
  })

  it('shows and gives a user only their own jobs, and cannot be told another name', async () => {
    await schedule('job', '* * * * *', 'select 1')
    await sql`grant usage on schema cron to authenticator`
    const user = postgres(database.url('authenticator'), { max: 1, onnotice: () => undefined })
    try {
      await user`select cron.schedule('job', '* * * * *', 'select 2')`
      expect(await user`select command, username from cron.job`).toEqual([
        { command: 'select 2', username: 'authenticator' },
      ])
      const [other] = await sql`select jobid from cron.job where username = 'postgres'`
      await expect(user`select cron.unschedule(${other?.jobid}::bigint)`).rejects.toMatchObject({
        code: '42501',
      })
      await expect(
        user`insert into cron._request (operation, job_name, caller) values ('unschedule', 'job', 'postgres')`,
      ).rejects.toMatchObject({ code: '42501' })
      await user`select cron.unschedule('job')`
    } finally {
      await user.end()
      await sql`revoke usage on schema cron from authenticator`
    }
    expect(await sql`select username from cron.job`).toEqual([{ username: 'postgres' }])
  })

  it('takes the owner of a definer function as the user of the job', async () => {
    await sql`create function public.schedule_it() returns bigint language sql security definer set search_path = ''
      as $$ select cron.schedule('definer', '* * * * *', 'select 1') $$`
    await sql.begin(async (tx) => {
      await tx`set local role service_role`
      await tx`select public.schedule_it()`
    })
    expect(await sql`select username from cron.job`).toEqual([{ username: 'postgres' }])
  })
})

describe('the pg_cron worker', () => {
  it('runs an interval job as its user, again and again', async () => {
    await schedule('often', '1 seconds', `insert into public.runs (name) values ('often')`)
    const runs = await ended(2)
    expect(runs[0]).toMatchObject({ status: 'succeeded', return_message: 'INSERT 0 1' })
    expect(runs[0]?.job_pid).toBeGreaterThan(0)
    expect(runs[0]?.start_time?.getTime()).toBeLessThanOrEqual(runs[0]?.end_time?.getTime() ?? 0)
    const [first, second] = await sql`select by, path, at from public.runs order by at`
    // The search path is the role's own setting, which only a log-in applies.
    expect(first).toMatchObject({ by: 'postgres', path: expect.stringContaining('public, extensions') })
    expect(second?.at - first?.at).toBeGreaterThan(900)
  })

  it('runs a five-field job once when its minute comes', async () => {
    offsetMs = Date.UTC(2030, 0, 1, 10, 30, 0) - Date.now()
    worker.resumeCron()
    await schedule('minute', '31 10 * * *', `insert into public.runs (name) values ('minute')`)
    await moveClock(30_000)
    await sleep(100)
    expect(await sql`select from public.runs`).toHaveLength(0)
    await moveClock(30_000)
    await ended(1)
    await moveClock(60_000)
    await sleep(150)
    expect(await sql`select from public.runs`).toHaveLength(1)
  })

  it('records what a failing command said', async () => {
    await schedule('fails', '* * * * *', 'select 1 / 0')
    await moveClock(60_000)
    expect((await ended(1))[0]).toMatchObject({
      status: 'failed',
      return_message: 'ERROR:  division by zero',
    })
  })

  it('counts rows, and reports the last of several statements', async () => {
    await schedule('several', '* * * * *', 'create temporary table t (); select generate_series(1, 3)')
    await moveClock(60_000)
    expect((await ended(1))[0]).toMatchObject({ status: 'succeeded', return_message: '3 rows' })
  })

  it('gives a job no way to become the superuser', async () => {
    await schedule(
      'escape',
      '* * * * *',
      "reset session authorization; reset role; select pg_read_file('PG_VERSION')",
    )
    await moveClock(60_000)
    expect((await ended(1))[0]).toMatchObject({
      status: 'failed',
      return_message: expect.stringContaining('permission denied'),
    })
  })

  it('queues a run that comes due while the last one is still running', async () => {
    await schedule('slow', '* * * * *', `insert into public.runs (name) values ('slow'); select pg_sleep(1)`)
    await moveClock(60_000)
    await moveClock(60_000)
    await expect
      .poll(() => sql`select from cron.job_run_details where status in ('starting', 'running')`, {
        interval: 20,
      })
      .toHaveLength(1)
    const [first, second] = await ended(2)
    expect(second?.start_time?.getTime()).toBeGreaterThanOrEqual(first?.end_time?.getTime() ?? Infinity)
  })

  it('leaves an inactive job alone', async () => {
    const [job] = await schedule('idle', '* * * * *', 'select 1')
    await sql`select cron.alter_job(${job?.jobid}, active => false)`
    await moveClock(60_000)
    await sleep(150)
    expect(await sql`select from cron.job_run_details`).toHaveLength(0)
  })

  it('marks runs of a dead worker as failed, and records the run that outlives its connection', async () => {
    await admin`insert into cron.job_run_details (jobid, status) values (0, 'running')`
    await schedule('survivor', '* * * * *', 'select pg_sleep(3)')
    await moveClock(60_000)
    await expect
      .poll(() => sql`select from cron.job_run_details where status = 'running'`, { interval: 20 })
      .toHaveLength(2)
    await admin`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name in ('pg_cron worker', 'pg_net worker')`
    const [abandoned, survivor] = await ended(2)
    expect(abandoned).toMatchObject({ status: 'failed', return_message: 'server restarted' })
    expect(survivor).toMatchObject({ status: 'succeeded', return_message: '1 row' })
    await moveClock(60_000)
    expect(await ended(3)).toHaveLength(3)
  })

  it('fails the run whose own connection is terminated', async () => {
    await schedule('killed', '* * * * *', 'select pg_sleep(10)')
    await moveClock(60_000)
    await expect
      .poll(async () => {
        const [row] =
          await admin`select pg_terminate_backend(job_pid) as done from cron.job_run_details where status = 'running'`
        return row?.done
      })
      .toBe(true)
    expect((await ended(1))[0]).toMatchObject({ status: 'failed' })
  })
})
