import type postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runAs } from '../support/roles.ts'
import { HealthFleet, type Status } from './health-fleet.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

let project: Project
let fleet: HealthFleet

beforeAll(async () => {
  project = await openProject()
  fleet = new HealthFleet(project)
})

beforeEach(() => fleet.clear())

afterAll(async () => {
  await project.close()
})

interface Partition {
  readonly name: string
  readonly from: string
  readonly to: string
}

/** Partitions of a table in the order of time, their bounds in UTC. */
async function partitionsOf(table: string, sql: postgres.ISql = project.sql): Promise<Partition[]> {
  return sql<Partition[]>`
    select name, to_char(lower at time zone 'utc', 'YYYY-MM-DD HH24:MI') as from,
      to_char(upper at time zone 'utc', 'YYYY-MM-DD HH24:MI') as to
    from (
      select c.relname as name, bound[1]::timestamptz as lower, bound[2]::timestamptz as upper
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$FROM \\('(.+)'\\) TO \\('(.+)'\\)$re$) bound
      where i.inhparent = ${`public.${table}`}::regclass) p
    order by lower`
}

class Rollback extends Error {}

/** Does something in a transaction that is rolled back. */
async function tentatively(work: (tx: postgres.TransactionSql) => Promise<void>): Promise<void> {
  await project.sql
    .begin(async (tx) => {
      await work(tx)
      throw new Rollback()
    })
    .catch((error: unknown) => {
      if (!(error instanceof Rollback)) throw error
    })
}

const make = (tx: postgres.ISql, at: string) =>
  tx<{ made: number }[]>`select provisioning.make_health_partitions(${at}) as made`

describe('partitions', () => {
  it('are there when the migrations have run: today and three days ahead, and three months', async () => {
    // The migrations of a run that goes on at midnight were of the day before.
    const { began, now } = only(
      await project.superuser<
        { began: Date; now: Date }[]
      >`select pg_postmaster_start_time() as began, now()`,
    )
    const days = await partitionsOf('tenant_health_checks')
    expect(days).toHaveLength(4)
    expect([began, now].map((at) => `${at.toISOString().slice(0, 10)} 00:00`)).toContain(days[0]?.from)
    expect(await partitionsOf('tenant_health_hourly')).toHaveLength(3)
  })

  it.each([
    ['the end of a year', '2031-12-30 23:30+00', ['20311230', '20311231', '20320101', '20320102']],
    ['a leap day', '2032-02-28 00:00+00', ['20320228', '20320229', '20320301', '20320302']],
    [
      'a day that has begun elsewhere',
      '2031-06-30 23:00-05',
      ['20310701', '20310702', '20310703', '20310704'],
    ],
  ])('are made across %s', async (_, at, days) => {
    await tentatively(async (tx) => {
      await make(tx, at)
      const made = (await partitionsOf('tenant_health_checks', tx)).slice(-4)
      expect(made.map(({ name }) => name)).toEqual(days.map((day) => `tenant_health_checks_${day}`))
    })
  })

  it('are made of whole months, last, this and next', async () => {
    await tentatively(async (tx) => {
      await make(tx, '2032-01-31 12:00+00')
      expect((await partitionsOf('tenant_health_hourly', tx)).slice(-3)).toEqual([
        { name: 'tenant_health_hourly_20311201', from: '2031-12-01 00:00', to: '2032-01-01 00:00' },
        { name: 'tenant_health_hourly_20320101', from: '2032-01-01 00:00', to: '2032-02-01 00:00' },
        { name: 'tenant_health_hourly_20320201', from: '2032-02-01 00:00', to: '2032-03-01 00:00' },
      ])
    })
  })

  it.each(['Europe/Berlin', 'America/St_Johns', 'Pacific/Auckland'])(
    'follow each other without a gap where clocks change, as in %s',
    async (zone) => {
      await tentatively(async (tx) => {
        await tx`select set_config('timezone', ${zone}, true)`
        for (const day of [
          '2031-03-07',
          '2031-03-28',
          '2031-04-04',
          '2031-09-26',
          '2031-10-24',
          '2031-10-31',
        ])
          for (const later of [0, 1, 2, 3])
            await make(tx, `${new Date(Date.parse(day) + later * 86_400_000).toISOString()}`)
        const days = (await partitionsOf('tenant_health_checks', tx)).filter(({ from }) => from > '2031')
        for (const { name, from, to } of days) {
          expect(name).toBe(`tenant_health_checks_${from.slice(0, 10).replaceAll('-', '')}`)
          expect(from).toMatch(/ 00:00$/)
          expect(Date.parse(`${to}Z`) - Date.parse(`${from}Z`)).toBe(86_400_000)
        }
      })
    },
  )

  it('that are there already are not made again', async () => {
    await project.sql`select provisioning.make_health_partitions()`
    expect(only(await project.sql`select provisioning.make_health_partitions() as made`)).toEqual({ made: 0 })
  })

  it('may be made by several at once', async () => {
    const before = await partitionsOf('tenant_health_checks')
    const made = await Promise.all(Array.from({ length: 8 }, () => make(project.sql, '2033-05-05 00:00+00')))
    // Four days and three months, each by one of them.
    expect(made.flat().reduce((sum, each) => sum + each.made, 0)).toBe(7)
    expect(await partitionsOf('tenant_health_checks')).toHaveLength(before.length + 4)
    await project.sql`drop table provisioning.tenant_health_checks_20330505, provisioning.tenant_health_checks_20330506,
      provisioning.tenant_health_checks_20330507, provisioning.tenant_health_checks_20330508,
      provisioning.tenant_health_hourly_20330401, provisioning.tenant_health_hourly_20330501,
      provisioning.tenant_health_hourly_20330601`
  })

  it('are dropped when all of them is older than the settings keep, and no other table is touched', async () => {
    await tentatively(async (tx) => {
      await tx`create table provisioning.elsewhere (at timestamptz) partition by range (at)`
      await tx`create table provisioning.elsewhere_2020 partition of provisioning.elsewhere
        for values from ('2020-01-01') to ('2021-01-01')`
      await make(tx, '2031-05-10 12:00+00')
      const rolledUp = (until: string) => tx`update provisioning.health_state set rolled_up_until = ${until}`
      await rolledUp('2031-05-10 23:00+00')
      const drop = async (at: string) => {
        await tx`select provisioning.drop_health_partitions(${at})`
        const days = await partitionsOf('tenant_health_checks', tx)
        const months = await partitionsOf('tenant_health_hourly', tx)
        return [days[0]?.name.slice(-8), months[0]?.name.slice(-8)]
      }
      // Seven days, and ninety.
      expect(await drop('2031-05-17 23:59+00')).toEqual(['20310510', '20310401'])
      // The last hour of the day is not yet in the trends.
      expect(await drop('2031-05-18 00:00+00')).toEqual(['20310510', '20310401'])
      await rolledUp('2031-08-01 00:00+00')
      expect(await drop('2031-05-18 00:00+00')).toEqual(['20310511', '20310401'])
      expect(await drop('2031-07-29 23:59+00')).toEqual([undefined, '20310401'])
      expect(await drop('2031-07-30 00:00+00')).toEqual([undefined, '20310501'])
      expect(await tx`select from pg_class where relname = 'elsewhere_2020'`).toHaveLength(1)
    })
  })

  it('are made without keeping anybody from reading and writing meanwhile', async () => {
    const id = await fleet.addOne()
    await tentatively(async (tx) => {
      const { made } = only(await make(tx, '2034-05-05 00:00+00'))
      expect(made).toBe(7)
      // Another connection, which is refused rather than kept waiting.
      await project.sql.begin(async (other) => {
        await other`set local lock_timeout = '2s'`
        await other`select from public.tenant_health_checks limit 1`
        await other`select from public.tenant_health_hourly limit 1`
        await other`insert into public.tenant_health_checks (organization_id, checked_at, probe, status)
          values (${id}, now(), 'state', 'sleeping')`
      })
    })
  })

  it('that are in use are not dropped now: nobody is kept waiting behind the drop', async () => {
    await make(project.sql, '2020-05-05 00:00+00')
    const drop = async () =>
      only(
        await project.sql<{ dropped: number }[]>`
          select provisioning.drop_health_partitions('2020-05-13 00:00+00') as dropped`,
      ).dropped
    const reader = await project.sql.reserve()
    await reader`begin`
    await reader`select from public.tenant_health_checks limit 1`
    expect(await drop()).toBe(0)
    await reader`commit`
    reader.release()
    expect(await drop()).toBe(1)
    await project.sql`select provisioning.drop_health_partitions('2021-01-01 00:00+00')`
  })

  it('have row-level security of their own, and nobody but their owner may read them', async () => {
    const partitions = await project.sql<{ name: string; secured: boolean }[]>`
      select c.relname as name, c.relrowsecurity as secured from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent in ('public.tenant_health_checks'::regclass, 'public.tenant_health_hourly'::regclass)`
    expect(partitions.length).toBeGreaterThan(5)
    for (const { name, secured } of partitions) {
      expect(secured, name).toBe(true)
      for (const role of ['anon', 'authenticated', 'service_role']) {
        const { readable } = only(
          await project.sql`select has_table_privilege(${role}, ${`provisioning.${name}`}, 'select') as readable`,
        )
        expect(readable, `${role} ${name}`).toBe(false)
      }
    }
  })

  it('and trends are kept up by cron, in transactions apart from each other', async () => {
    const jobs = await project.sql<{ schedule: string; command: string }[]>`
      select schedule, command from cron.job where command ~ 'health' and jobname <> 'tenant-provisioning-health-tick' order by jobname`
    expect(jobs).toEqual([
      { schedule: '3 * * * *', command: 'select provisioning.make_health_partitions()' },
      { schedule: '33 * * * *', command: 'select provisioning.drop_health_partitions()' },
      { schedule: '*/5 * * * *', command: 'select provisioning.roll_up_health()' },
    ])
    for (const { command } of jobs) await project.sql.unsafe(command)
  })
})

/** Tomorrow at midnight UTC: a day that has a partition and lies ahead of whatever else is written. */
const MIDNIGHT = Math.floor(Date.now() / 86_400_000 + 1) * 86_400_000
const at = (hour: number, minute = 0) => new Date(MIDNIGHT + (hour * 60 + minute) * 60_000)

interface Check {
  readonly minute: number
  readonly status?: Status
  readonly latency?: number
  readonly connections?: number
  readonly cache?: number
  readonly size?: number
}

async function insertChecks(id: string, hour: number, checks: readonly Check[]): Promise<void> {
  for (const {
    minute,
    status = 'healthy',
    latency = null,
    connections = null,
    cache = null,
    size = null,
  } of checks)
    await project.sql`
      insert into public.tenant_health_checks (organization_id, checked_at, probe, status, latency_ms, connections, cache_hit_ratio,
        size_bytes)
      values (${id}, ${at(hour, minute)}, 'connection', ${status}, ${latency}, ${connections}, ${cache}, ${size})`
}

const rollUpOnce = async (hour: number, minute = 5) =>
  only(await project.sql<{ rows: number }[]>`select provisioning.roll_up_health(${at(hour, minute)}) as rows`)
    .rows
/** As cron calls it in the course of time: as often as there are hours in a day. @returns the rows of all calls */
const rollUp = async (hour: number, minute = 5) => {
  let rows = 0
  for (let call = 0; call < 24; call++) rows += await rollUpOnce(hour, minute)
  return rows
}
const rolledUpUntil = (hour: number) =>
  project.sql`update provisioning.health_state set rolled_up_until = ${at(hour)}`
const trendsOf = (id: string) =>
  project.sql<Record<string, unknown>[]>`
    select ((extract(epoch from hour) - ${MIDNIGHT / 1000}) / 3600)::int as hour, checks, available,
      round(availability::numeric, 4)::float8 as availability, min_latency_ms, median_latency_ms, p95_latency_ms,
      connections, cache_hit_ratio, size_bytes
    from public.tenant_health_hourly where organization_id = ${id} order by hour`

describe('the roll-up', () => {
  beforeEach(() => rolledUpUntil(10))

  it('tells minimum, median and 95th percentile, most connections, mean of the cache and size of an hour exactly', async () => {
    const id = await fleet.addOne()
    const latencies = [40, 10, 100, 30, 20]
    await insertChecks(
      id,
      10,
      latencies.map((latency, index) => ({
        minute: index * 10,
        latency,
        connections: 7 - index,
        cache: index === 0 ? 0.5 : 1,
        size: 1000 + index,
      })),
    )
    expect(await rollUp(11)).toBe(1)
    expect(await trendsOf(id)).toEqual([
      {
        hour: 10,
        checks: 5,
        available: 5,
        availability: 1,
        min_latency_ms: 10,
        median_latency_ms: 30,
        p95_latency_ms: 88,
        connections: 7,
        cache_hit_ratio: 0.9,
        size_bytes: '1004',
      },
    ])
  })

  it('weighs availability by time, because trouble is looked at more often than calm', async () => {
    const id = await fleet.addOne()
    const outage = Array.from({ length: 15 }, (_, minute) => ({
      minute: 30 + minute,
      status: 'unhealthy' as const,
    }))
    await insertChecks(id, 10, [{ minute: 0 }, ...outage, { minute: 45, status: 'degraded' }])
    await rollUp(11)
    expect(await trendsOf(id)).toMatchObject([{ checks: 17, available: 2, availability: 0.75 }])
  })

  it('counts a sleeper as available, and leaves out what could not be found out', async () => {
    const [sleeper = '', unknown = ''] = await fleet.add(2)
    await insertChecks(sleeper, 10, [{ minute: 20, status: 'sleeping', size: 5 }])
    await insertChecks(unknown, 10, [{ minute: 20, status: 'unknown' }])
    await rollUp(11)
    expect(await trendsOf(sleeper)).toMatchObject([
      { checks: 1, available: 1, availability: 1, median_latency_ms: null, size_bytes: '5' },
    ])
    expect(await trendsOf(unknown)).toEqual([])
  })

  it('keeps tenants and hours apart, and leaves the hour that is not over', async () => {
    const [one = '', other = ''] = await fleet.add(2)
    await insertChecks(one, 10, [{ minute: 59, latency: 1 }])
    await insertChecks(one, 11, [{ minute: 0, latency: 2 }])
    await insertChecks(one, 12, [{ minute: 0, latency: 3 }])
    await insertChecks(other, 11, [{ minute: 0, latency: 4, status: 'unhealthy' }])
    expect(await rollUp(12, 30)).toBe(3)
    expect(await trendsOf(one)).toMatchObject([
      { hour: 10, min_latency_ms: 1 },
      { hour: 11, min_latency_ms: 2 },
    ])
    expect(await trendsOf(other)).toMatchObject([{ hour: 11, available: 0, availability: 0 }])
  })

  it('catches up after hours in which nobody called it', async () => {
    const id = await fleet.addOne()
    for (const hour of [10, 13, 19]) await insertChecks(id, hour, [{ minute: 7, latency: hour }])
    expect(await rollUp(20)).toBe(3)
    expect((await trendsOf(id)).map(({ hour }) => hour)).toEqual([10, 13, 19])
  })

  it('takes one hour a call, so that no transaction is long', async () => {
    const id = await fleet.addOne()
    for (const hour of [10, 11, 12]) await insertChecks(id, hour, [{ minute: 7, latency: hour }])
    for (const hours of [[10], [10, 11], [10, 11, 12], [10, 11, 12]]) {
      await rollUpOnce(20)
      expect((await trendsOf(id)).map(({ hour }) => hour)).toEqual(hours)
    }
  })

  it('changes nothing when it is called again, or for an hour before', async () => {
    const id = await fleet.addOne()
    await insertChecks(id, 10, [{ minute: 7, latency: 3 }])
    await rollUp(11)
    const before = await trendsOf(id)
    expect(await rollUp(11, 59)).toBe(0)
    expect(await rollUp(9)).toBe(0)
    await rolledUpUntil(10)
    expect(await rollUp(11)).toBe(0)
    expect(await trendsOf(id)).toEqual(before)
  })

  it('brings an hour up to date for a result that came in late', async () => {
    const id = await fleet.addOne()
    await insertChecks(id, 10, [{ minute: 7, latency: 3 }])
    await rollUp(11)
    await insertChecks(id, 10, [{ minute: 59, latency: 5 }])
    expect(await rollUp(12)).toBe(1)
    expect(await trendsOf(id)).toMatchObject([{ hour: 10, checks: 2, median_latency_ms: 4 }])
  })

  it('may be called by several at once', async () => {
    const ids = await fleet.add(10)
    for (const id of ids) await insertChecks(id, 10, [{ minute: 7, latency: 3 }])
    const rows = await Promise.all([rollUpOnce(11), rollUpOnce(11), rollUpOnce(11)])
    expect(rows.sort()).toEqual([0, 0, 10])
  })
})

describe('a member', () => {
  it('reads the checks and trends of the own organization alone, with every column, and changes none', async () => {
    const mine = await createTenant(project)
    const stranger = await createTenant(project)
    await project.sql`insert into public.tenant_health (organization_id) values (${mine.organizationId})`
    await insertChecks(mine.organizationId, 10, [{ minute: 7 }])
    await rolledUpUntil(10)
    await rollUp(11)
    for (const table of ['tenant_health', 'tenant_health_checks', 'tenant_health_hourly']) {
      const rows = (userId: string) =>
        runAs(
          project.api,
          { role: 'authenticated', userId },
          (tx) => tx`select * from ${tx(`public.${table}`)}`,
        )
      expect(await rows(mine.user.id), table).toHaveLength(1)
      expect(await rows(stranger.user.id), table).toHaveLength(0)
      const change = runAs(
        project.api,
        { role: 'authenticated', userId: mine.user.id },
        (tx) => tx`delete from ${tx(`public.${table}`)} where organization_id = ${mine.organizationId}`,
      )
      expect(await refusal(change), table).toBe('42501')
    }
  })
})
