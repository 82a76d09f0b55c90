import type postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { queuedDoorbells } from './doorbells.ts'
import { HealthFleet, INTERVAL_MS, result } from './health-fleet.ts'
import { createTenant, only, openProject, type Project } from './project.ts'

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

describe('a result', () => {
  it('is written for a whole batch at once, with what follows from it', async () => {
    const ids = await fleet.add(3)
    const [calm = '', troubled = '', asleep = ''] = ids
    const written = await fleet.record([
      result(calm, 'healthy', { metrics: { latency_ms: 3, size_bytes: 4711 } }),
      result(troubled, 'unhealthy'),
      result(asleep, 'sleeping'),
    ])
    expect(written).toBe(3)
    expect(await fleet.of(calm)).toMatchObject({
      status: 'healthy',
      copied: 'healthy',
      metrics: { latency_ms: 3 },
    })
    expect(await fleet.of(troubled)).toMatchObject({
      status: 'unhealthy',
      copied: 'unhealthy',
      reasons: [{ code: 'timeout' }],
    })
    expect(await fleet.of(asleep)).toMatchObject({ status: 'sleeping', copied: 'sleeping' })
    expect(await fleet.checksOf(calm)).toEqual([{ probe: 'connection', status: 'healthy', latency_ms: 3 }])
  })

  it.each([-5_000, 0])('that is %d ms newer than what is known changes nothing', async (newer) => {
    const id = await fleet.addOne()
    const at = Date.now()
    await fleet.record([result(id, 'healthy', { at })])
    const before = await fleet.of(id)
    expect(await fleet.record([result(id, 'unhealthy', { at: at + newer })])).toBe(0)
    expect(await fleet.of(id)).toEqual({ ...before, due_in: expect.any(Number) })
    expect(await fleet.checksOf(id)).toHaveLength(1)
  })

  it('of the newest check wins, whichever of two workers writes first', async () => {
    const ids = await fleet.add(20)
    const at = Date.now()
    const older = ids.map((id) => result(id, 'unhealthy', { at: at - INTERVAL_MS }))
    const newer = ids.map((id) => result(id, 'healthy', { at })).reverse()
    await Promise.all([fleet.record(older), fleet.record(newer), fleet.record(older)])
    for (const id of ids) expect(await fleet.of(id)).toMatchObject({ status: 'healthy', calm_checks: 1 })
  })

  it('that comes twice in one batch counts once, the newer one', async () => {
    const id = await fleet.addOne()
    const at = Date.now()
    const written = await fleet.record([
      result(id, 'healthy', { at }),
      result(id, 'unhealthy', { at: at - 1000 }),
      result(id, 'degraded', { at: at - 2000 }),
    ])
    expect(written).toBe(1)
    expect(await fleet.of(id)).toMatchObject({ status: 'healthy', calm_checks: 1, troubled_checks: 0 })
  })

  it('of a tenant that is gone is left out, and the others are written', async () => {
    const id = await fleet.addOne()
    expect(await fleet.record([result(crypto.randomUUID(), 'healthy'), result(id, 'healthy')])).toBe(1)
  })

  it('of a sleeper keeps what was measured when it was awake', async () => {
    const id = await fleet.addOne()
    await fleet.record([
      result(id, 'healthy', { at: Date.now() - 1000, metrics: { latency_ms: 3, size_bytes: 1 } }),
    ])
    await fleet.record([result(id, 'sleeping', { metrics: { size_bytes: 2 } })])
    expect((await fleet.of(id)).metrics).toEqual({ latency_ms: 3, size_bytes: 2 })
  })

  it('is written also when cron has made no partition for today', async () => {
    const id = await fleet.addOne()
    await project.sql`update provisioning.health_state set rolled_up_until = 'infinity'`
    await project.sql`select provisioning.drop_health_partitions(now() + interval '1 year')`
    expect(await fleet.record([result(id, 'healthy')])).toBe(1)
    expect(await fleet.checksOf(id)).toHaveLength(1)
  })

  it('of a day whose partition is gone is written all the same, and the rest of its batch', async () => {
    const [late = '', prompt = ''] = await fleet.add(2)
    const written = await fleet.record([
      result(late, 'healthy', { at: Date.now() - 20 * 86_400_000 }),
      result(prompt, 'healthy'),
    ])
    expect(written).toBe(2)
    for (const id of [late, prompt]) expect(await fleet.checksOf(id)).toHaveLength(1)
  })

  it('tells apart when a connection was made, tried, and when others used the database', async () => {
    const id = await fleet.addOne()
    await fleet.backdate([id], 3600)
    const at = Date.now() - 10_000
    const seconds = (date: Date) => Math.round((date.getTime() - at) / 1000)
    await fleet.record([result(id, 'healthy', { at, used_seconds_ago: 60 })])
    const connected = await fleet.of(id)
    expect([connected.connected_at, connected.probed_at, connected.used_at].map(seconds)).toEqual([0, 0, -60])
    await fleet.record([result(id, 'unhealthy', { at: at + 5000 })])
    const refused = await fleet.of(id)
    expect([refused.connected_at, refused.probed_at, refused.used_at].map(seconds)).toEqual([0, 5, -60])
    await fleet.record([result(id, 'sleeping', { at: at + 6000, used_seconds_ago: 600 })])
    const asleep = await fleet.of(id)
    expect([asleep.connected_at, asleep.probed_at, asleep.used_at].map(seconds)).toEqual([0, 5, -60])
  })
})

describe('the interval', () => {
  it('doubles with every calm check, up to the cap, with a tenth of chance', async () => {
    const id = await fleet.addOne()
    const intervals: number[] = []
    const base = Date.now() - 8 * INTERVAL_MS
    for (let check = 0; check < 8; check++) {
      await fleet.record([result(id, check % 2 ? 'healthy' : 'sleeping', { at: base + check * INTERVAL_MS })])
      intervals.push((await fleet.of(id)).due_in)
    }
    const wanted = [30, 60, 120, 240, 480, 900, 900, 900]
    for (const [check, seconds] of wanted.entries()) {
      expect(intervals[check], `check ${check + 1}`).toBeLessThanOrEqual(seconds)
      expect(intervals[check], `check ${check + 1}`).toBeGreaterThan(seconds * 0.9 - 2)
    }
  })

  it.each(['degraded', 'unhealthy', 'unknown'] as const)(
    'of a tenant that was calm for long is the base one once it is %s',
    async (status) => {
      const id = await fleet.addOne()
      await fleet.recordAll(
        id,
        Array.from({ length: 6 }, () => 'healthy' as const),
        Date.now() - 60_000,
      )
      await fleet.record([result(id, status)])
      expect((await fleet.of(id)).due_in).toBeLessThanOrEqual(30)
      expect((await fleet.of(id)).due_in).toBeGreaterThan(25)
    },
  )

  it('follows the settings', async () => {
    await fleet.set({ health_interval_seconds: 10, health_interval_cap_seconds: 15 })
    const id = await fleet.addOne()
    await fleet.recordAll(id, ['healthy', 'healthy', 'healthy'])
    expect((await fleet.of(id)).due_in).toBeLessThanOrEqual(15)
    expect((await fleet.of(id)).due_in).toBeGreaterThan(12)
  })
})

describe('rows in tenant_health_checks', () => {
  it('are left by every connection', async () => {
    const id = await fleet.addOne()
    await fleet.recordAll(id, ['healthy', 'healthy', 'degraded', 'degraded'])
    expect(await fleet.checksOf(id)).toHaveLength(4)
  })

  it('are left by a sleeper when it falls asleep, and then as often as the settings say', async () => {
    await fleet.set({ health_sleeping_record_minutes: 10 })
    const id = await fleet.addOne()
    const hour = Math.floor(Date.now() / 3_600_000 - 1) * 3_600_000
    await fleet.record([result(id, 'healthy', { at: hour })])
    for (const minute of [1, 2, 10, 11, 12, 13, 21, 22])
      await fleet.record([result(id, 'sleeping', { at: hour + minute * 60_000 })])
    expect((await fleet.checksOf(id)).map(({ status }) => status)).toEqual([
      'healthy',
      'sleeping',
      'sleeping',
      'sleeping',
    ])
  })

  it.each([
    [60, 24],
    [120, 12],
  ])(
    'are left by a sleeper who is checked every 14 minutes of a day, with %d minutes in the settings: %d',
    async (minutes, rows) => {
      await fleet.set({ health_sleeping_record_minutes: minutes })
      const id = await fleet.addOne()
      const day = Math.floor(Date.now() / 86_400_000 - 2) * 86_400_000
      for (let at = day; at < day + 86_400_000; at += 14 * 60_000)
        await fleet.record([result(id, 'sleeping', { at })])
      expect(await fleet.checksOf(id)).toHaveLength(rows)
    },
  )

  it('are left by a change that only the provider told of', async () => {
    const id = await fleet.addOne()
    await fleet.record([result(id, 'sleeping', { at: Date.now() - 2000 })])
    await fleet.record([result(id, 'unhealthy', { at: Date.now() - 1000, probe: 'state' })])
    await fleet.record([result(id, 'sleeping')])
    expect((await fleet.checksOf(id)).map(({ status }) => status)).toEqual([
      'sleeping',
      'unhealthy',
      'sleeping',
    ])
  })
})

describe('claiming', () => {
  it('gives every due tenant to one of many workers, and none again before its lease has run out', async () => {
    const ids = await fleet.add(60)
    const claims = await Promise.all(Array.from({ length: 8 }, () => fleet.claim(20)))
    const claimed = claims.flat()
    expect(new Set(claimed).size).toBe(claimed.length)
    const rest = await fleet.claim(100)
    expect([...claimed, ...rest].sort()).toEqual([...ids].sort())
    expect(await fleet.claim(100)).toEqual([])
    expect((await fleet.of(ids[0] ?? '')).due_in).toBeGreaterThan(110)
    await fleet.backdate(ids, 121)
    expect(await fleet.claim(100)).toHaveLength(60)
  })

  it('does not wait for a tenant that another worker is just claiming', async () => {
    const [first, second] = await fleet.add(2)
    await project.sql.begin(async (tx) => {
      await tx`select from public.tenant_health where organization_id = ${first ?? ''} for update`
      expect(await fleet.claim(10)).toEqual([second])
    })
  })

  it('takes those that the list showed awake first, and only them when told so', async () => {
    const ids = await fleet.add(4)
    const [, awake = '', alsoAwake = ''] = ids
    await project.sql`update public.tenant_health set awake = true where organization_id = any (${[awake, alsoAwake]})`
    expect(await fleet.claim(1)).toHaveLength(1)
    expect(await fleet.claim(10, true)).toHaveLength(1)
    expect(await fleet.claim(10, true)).toEqual([])
    expect(await fleet.claim(10)).toHaveLength(2)
  })

  it('never takes who is not due, except by name', async () => {
    const [id = '', other = ''] = await fleet.add(2)
    await fleet.backdate([id, other], -600)
    expect(await fleet.claim(10)).toEqual([])
    const named = await project.sql<{ id: string }[]>`
      select organization_id as id from provisioning.claim_health_checks(1, false, ${id})`
    expect(named).toEqual([{ id }])
    expect((await fleet.of(other)).due_in).toBeGreaterThan(500)
  })

  it('is undone by a release, a little later for each', async () => {
    const ids = await fleet.add(30)
    await fleet.claim(30)
    await project.sql`select provisioning.release_health_checks(${ids}, 50, true)`
    const due = await Promise.all(ids.map(async (id) => (await fleet.of(id)).due_in))
    expect(Math.min(...due)).toBeGreaterThan(48)
    expect(Math.max(...due)).toBeLessThanOrEqual(60)
    expect(new Set(due.map((seconds) => Math.round(seconds * 10))).size).toBeGreaterThan(5)
  })

  it('is undone without forgetting who is awake, except of those who are left alone', async () => {
    const [paused = '', leftAlone = ''] = await fleet.add(2)
    await project.sql`update public.tenant_health set awake = true`
    await fleet.claim(2)
    await project.sql`select provisioning.release_health_checks(${[paused]}, 0, true)`
    await project.sql`select provisioning.release_health_checks(${[leftAlone]}, 0, false)`
    expect(await fleet.of(paused)).toMatchObject({ awake: true, leased_until: null })
    expect(await fleet.of(leftAlone)).toMatchObject({ awake: false, leased_until: null })
    expect(await fleet.claim(10, true)).toEqual([paused])
  })

  it.each([
    ['a success', true, 169, true],
    ['a failure', false, 169, true],
    ['a success', true, 167, false],
    ['a failure', false, 167, false],
  ])(
    'says after %s (%s) %d hours ago whether a sleeper is to be woken: %s',
    async (_, connected, hours, due) => {
      const id = await fleet.addOne()
      const at = Date.now() - hours * 3_600_000
      await fleet.backdate([id], 200 * 3_600_000)
      await project.sql`select provisioning.make_health_partitions(now() - interval '8 days')`
      await fleet.record([result(id, connected ? 'healthy' : 'unhealthy', { at })])
      await project.sql`update public.tenant_health set next_check_at = now()`
      const { deep } = only(
        await project.sql<{ deep: boolean }[]>`
          select deep_check_due as deep from provisioning.claim_health_checks(1, false)`,
      )
      expect(deep).toBe(due)
    },
  )

  it('never asks to wake one where the settings say so', async () => {
    await fleet.set({ health_deep_check_hours: 0 })
    const id = await fleet.addOne()
    await fleet.backdate([id], 10_000_000)
    const { deep } = only(
      await project.sql<
        { deep: boolean }[]
      >`select deep_check_due as deep from provisioning.claim_health_checks(1, false)`,
    )
    expect(deep).toBe(false)
  })
})

/** Runs `second` in a transaction that `first` keeps waiting, and `then` in that of `first`: neither may be ended as a deadlock. */
async function crossing(
  first: (tx: postgres.ISql) => Promise<unknown>,
  second: (tx: postgres.ISql) => Promise<unknown>,
  then: (tx: postgres.ISql) => Promise<unknown>,
): Promise<void> {
  const [one, other] = await Promise.all([project.sql.reserve(), project.sql.reserve()])
  try {
    const { pid } = only(await other<{ pid: number }[]>`select pg_backend_pid() as pid`)
    await one`begin`
    await first(one)
    const waiting = second(other).catch((error: unknown) => error)
    await expect
      .poll(
        async () =>
          only(await project.sql`select cardinality(pg_blocking_pids(${pid})) as blockers`).blockers,
        { timeout: 10_000 },
      )
      .toBe(1)
    await then(one)
    await one`commit`
    expect(await waiting).not.toBeInstanceOf(Error)
  } finally {
    await one`rollback`
    one.release()
    other.release()
  }
}

describe('results that are written', () => {
  const record = (id: string) => (tx: postgres.ISql) =>
    tx`select provisioning.record_health_checks(${JSON.stringify([result(id, 'unhealthy')])}::text::jsonb)`

  it.each<[string, (id: string) => [first: string, then: string]]>([
    [
      'while its connection is verified',
      (id) => [
        `update public.organization_databases set ssl_verified_at = now() where organization_id = '${id}'`,
        `select provisioning.begin_health_checks('${id}', 'database')`,
      ],
    ],
    [
      'while its project is forgotten',
      (id) => [
        `update public.organization_databases set neon_project_id = null where organization_id = '${id}'`,
        `delete from public.tenant_health where organization_id = '${id}'`,
      ],
    ],
    [
      'while its organization is deleted',
      (id) => [
        `delete from public.organization_databases where organization_id = '${id}'`,
        `delete from public.organizations where id = '${id}'`,
      ],
    ],
  ])('of a tenant %s wait for that', async (_, statementsOf) => {
    const id = await fleet.addOne()
    const [first, then] = statementsOf(id)
    await crossing(
      (tx) => tx.unsafe(first),
      record(id),
      (tx) => tx.unsafe(then),
    )
  })

  it('while a page of the list is dealt with lock its tenants in the same order', async () => {
    const ids = await fleet.add(20)
    const { token } = await fleet.plan()
    // The rows lie in the order in which they were added, which is not that of their ids.
    const [lowest = ''] = [...ids].sort()
    const before = ids.filter((id) => id > lowest && ids.indexOf(id) < ids.indexOf(lowest))
    const higher = before.length > 0 ? before : ids.filter((id) => id !== lowest)
    await crossing(
      (tx) => tx`select from public.tenant_health where organization_id = ${lowest} for update`,
      (tx) =>
        tx`select provisioning.advance_fleet_read(${token}, null, false, 20, ${[...ids].reverse()}, ${[]}::uuid[])`,
      (tx) => tx`select from public.tenant_health where organization_id = any (${higher}) for update`,
    )
  })
})

describe('a tick', () => {
  const tick = async () =>
    only(await project.sql<{ rung: number }[]>`select provisioning.health_tick() as rung`).rung

  it('does nothing when nothing is due', async () => {
    const ids = await fleet.add(3)
    await fleet.backdate(ids, -600)
    expect(await tick()).toBe(0)
    expect(await queuedDoorbells(project.sql)).toEqual([])
  })

  it.each([
    [1, 1],
    [100, 1],
    [101, 2],
    [1000, 4],
  ])('with %d due tenants rings %d times, each time another doorbell', async (due, rings) => {
    await fleet.add(due)
    expect(await tick()).toBe(rings)
    const queued = await queuedDoorbells(project.sql)
    expect(queued).toHaveLength(rings)
    expect(new Set(queued.map(({ body }) => body.signature)).size).toBe(rings)
    for (const { url } of queued) expect(url).toMatch(/\/check-tenant-health$/)
  })

  it('is run by cron every 30 seconds', async () => {
    const jobs =
      await project.sql`select schedule, command from cron.job where jobname = 'tenant-provisioning-health-tick'`
    expect(jobs).toEqual([{ schedule: '30 seconds', command: 'select provisioning.health_tick()' }])
  })
})

describe('with 5,000 tenants, of whom 20 are due, no table is read as a whole by', () => {
  const TENANTS = 5000
  let due: string[]

  beforeAll(async () => {
    await fleet.clear()
    await fleet.backdate(await fleet.add(TENANTS), -3600)
    await project.superuser.unsafe('vacuum analyze')
  })

  beforeEach(async () => {
    await fleet.clear()
    await project.sql`insert into public.tenant_health (organization_id, next_check_at, probed_at)
      select id, now() + interval '1 hour', now() from public.organizations where slug like 'tenant-%'`
    due = (
      await project.sql<
        { id: string }[]
      >`update public.tenant_health set next_check_at = now() - interval '1 minute'
        where organization_id in (select organization_id from public.tenant_health limit 20) returning organization_id as id`
    ).map(({ id }) => id)
    await project.superuser.unsafe('analyze public.tenant_health')
  })

  it.each<[string, (tx: postgres.TransactionSql) => Promise<unknown>]>([
    ['health_tick', async (tx) => tx`select provisioning.health_tick()`],
    ['claim_health_checks', async (tx) => tx`select * from provisioning.claim_health_checks(10, false)`],
    ['plan_health_checks', async (tx) => tx`select * from provisioning.plan_health_checks()`],
    [
      'record_health_checks',
      async (tx) => {
        const results = JSON.stringify(due.map((id) => result(id, 'healthy')))
        await tx`select provisioning.record_health_checks(${results}::text::jsonb)`
      },
    ],
    [
      'fleet_tenants',
      async (tx) => tx`select * from provisioning.fleet_tenants(array(
        select 'project-' || n from generate_series(1, 20) n))`,
    ],
  ])('%s', async (_, work) => {
    expect(await rowsScanned(work)).toEqual({})
  })

  /** Rows that the work read by sequential scans of whole tables; it is rolled back. */
  async function rowsScanned(work: (tx: postgres.TransactionSql) => Promise<unknown>): Promise<object> {
    const scanned: Record<string, number> = {}
    const soFar = (tx: postgres.TransactionSql) => tx<{ name: string; rows: number }[]>`
      select relname as name, seq_tup_read::int as rows from pg_stat_xact_user_tables
      where schemaname in (${PUBLIC_SCHEMA}, 'provisioning')`
    const rollback = new Error('measured')
    await project.sql
      .begin(async (tx) => {
        const before = new Map((await soFar(tx)).map(({ name, rows }) => [name, rows]))
        await work(tx)
        for (const { name, rows } of await soFar(tx))
          if (rows - (before.get(name) ?? 0) > 100) scanned[name] = rows - (before.get(name) ?? 0)
        throw rollback
      })
      .catch((error: unknown) => {
        if (error !== rollback) throw error
      })
    return scanned
  }
})

describe('the health of an organization', () => {
  it('is followed from its first connection on, as healthy', async () => {
    const id = await fleet.addOne()
    await project.sql`delete from public.tenant_health`
    await project.sql`select provisioning.begin_health_checks(${id}, 'database')`
    const health = await fleet.of(id)
    expect(health).toMatchObject({ status: 'healthy', copied: 'healthy' })
    expect(health.due_in).toBeGreaterThan(25)
  })

  it('is looked at again soon after its database was connected to anew, and keeps what is known of it', async () => {
    const id = await fleet.addOne()
    await fleet.record([result(id, 'unhealthy')])
    await project.sql`select provisioning.begin_health_checks(${id}, 'database')`
    const health = await fleet.of(id)
    expect(health).toMatchObject({ status: 'unhealthy', copied: 'unhealthy' })
    expect(health.due_in).toBeLessThanOrEqual(0)
  })

  it('goes with the organization, and its alert is resolved', async () => {
    const tenant = await createTenant(project)
    const { organizationId } = tenant
    await project.sql`insert into public.tenant_health (organization_id) values (${organizationId})`
    await fleet.recordAll(organizationId, ['unhealthy', 'unhealthy', 'unhealthy'])
    await project.sql`delete from public.organizations where id = ${organizationId}`
    expect(
      await project.sql`select from public.tenant_health where organization_id = ${organizationId}`,
    ).toHaveLength(0)
    const alerts = await project.sql`select resolved_at is not null as resolved from public.tenant_alerts
      where organization_id = ${organizationId} and kind = 'tenant_health'`
    expect(alerts).toEqual([{ resolved: true }])
    expect(await fleet.record([result(organizationId, 'healthy')])).toBe(0)
  })
})
