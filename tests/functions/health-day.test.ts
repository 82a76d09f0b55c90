import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHealthChecker, type HealthChecker } from '../../shared/health/checker.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonWatch } from '../../shared/services/neon/watch.ts'
import { startTestProject, type TestProject } from '../support/project.ts'
import { addTenants, type HealthTenant, healthRole, untilUnused, useDatabase } from './health-project.ts'

/** npm run test:long passes a whole day. */
const HOURS = Number(process.env.HEALTH_HOURS ?? 8)
/** Of pg_cron. */
const TICK_SECONDS = 30
const TICKS = (HOURS * 3_600) / TICK_SECONDS
const CAP_SECONDS = 900
/** When one tenant's role loses its right to log in, and when it gets it back. */
const LOCKED_OUT = { from: TICKS / 2, until: TICKS / 2 + 120 }
const DELETED_AT = TICKS * 0.9
/** For sleepers, of which a row is kept in a while. */
const RECORD_MINUTES = 61
const NEON_KEY = 'napi_localemulator'

let project: TestProject
let workerSql: Database
let checker: HealthChecker
/** How far the simulated clock is ahead of the real one. */
let aheadMs = -2 * 3_600_000

let sleepers: HealthTenant[]
let users: HealthTenant[]
let lockedOut: HealthTenant
let deleted: HealthTenant
const connections: postgres.Sql[] = []

/** Checks of each tenant over these hours, and what they cost. */
const checks = new Map<string, number>()
let drains = 0
let cost = { wakeUps: 0, calls: 0 }

const simulatedNow = () => Date.now() + aheadMs

beforeAll(async () => {
  project = await startTestProject({ neon: { clock: simulatedNow } })
  const tenants = await addTenants(project, 18)
  await untilUnused(project)
  aheadMs = 0
  const [locked, lost, ...others] = tenants
  if (!locked || !lost) throw new Error('there are too few tenants')
  lockedOut = locked
  deleted = lost
  users = [locked, ...others.slice(0, 3)]
  sleepers = others.slice(3)
  for (const tenant of users) connections.push(await useDatabase(project, tenant))
  // The wall clock stands still here, so that a row for each of its hours would be one for each check.
  await project.sql`update provisioning.settings set health_deep_check_hours = 168, health_sleeping_record_minutes = ${RECORD_MINUTES}`
  await project.sql`update public.tenant_health set next_check_at = now()`
  workerSql = connect({ SUPABASE_DB_URL: project.databaseUrl() })
  const neon = createNeonProvider(
    { NEON_API_KEY: NEON_KEY, NEON_API_URL: project.neonEmulator.url },
    workerSql,
    0,
  )
  checker = createHealthChecker(workerSql, [neonWatch(neon)], simulatedNow)
  await countChecks()
  await simulateHours()
}, 120_000)

afterAll(async () => {
  await Promise.all(connections.map((sql) => sql.end({ timeout: 1 })))
  await workerSql?.end({ timeout: 1 })
  await project?.stop()
})

async function simulateHours(): Promise<void> {
  const role = await healthRole(project, lockedOut)
  const events = new Map<number, () => Promise<unknown>>([
    [LOCKED_OUT.from, async () => project.superuser`alter role ${project.superuser(role)} nologin`],
    [LOCKED_OUT.until, async () => project.superuser`alter role ${project.superuser(role)} login`],
    [DELETED_AT, async () => project.neon.deleteProject(deleted.projectId)],
  ])
  const { calls, wakeUps } = project.neonEmulator.stats
  for (let tick = 0; tick < TICKS; ) {
    await events.get(tick)?.()
    drains++
    await checker.ring()
    tick += await passTime(tick, [...events.keys()])
  }
  const { stats } = project.neonEmulator
  cost = { wakeUps: stats.wakeUps - wakeUps, calls: total(stats.calls) - total(calls) - 1 }
  for (const { id, count } of await project.sql<{ id: string; count: number }[]>`
    select organization_id as id, count(*)::int as count from public.counted group by 1`)
    checks.set(id, count)
}

/** Notes every result that is written. */
async function countChecks(): Promise<void> {
  await project.superuser.unsafe(`
    create table public.counted (organization_id uuid);
    create function public.count_check() returns trigger language plpgsql security definer as $$
    begin
      insert into public.counted values (new.organization_id);
      return null;
    end $$;
    create trigger counted after update on public.tenant_health for each row
      when (new.checked_at > coalesce(old.checked_at, '-infinity')) execute function public.count_check();
    grant select on public.counted to postgres`)
}

const total = (calls: Readonly<Record<string, number>>) =>
  Object.values(calls).reduce((sum, count) => sum + count, 0)

/** Moves on to the next tick that finds something due, or has an event. @returns how many ticks that were */
async function passTime(tick: number, events: readonly number[]): Promise<number> {
  const [row] = await project.sql<{ seconds: number }[]>`
    select coalesce(min(extract(epoch from next_check_at - now())), 0)::float8 as seconds from public.tenant_health`
  const nextEvent = Math.min(TICKS, ...events.filter((event) => event > tick))
  const ticks = Math.max(1, Math.min(Math.ceil((row?.seconds ?? 0) / TICK_SECONDS), nextEvent - tick))
  const seconds = ticks * TICK_SECONDS
  aheadMs += seconds * 1000
  await project.sql`
    with health as (
      update public.tenant_health set next_check_at = next_check_at - make_interval(secs => ${seconds}),
        checked_at = checked_at - make_interval(secs => ${seconds}), recorded_at = recorded_at - make_interval(secs => ${seconds}),
        connected_at = connected_at - make_interval(secs => ${seconds}), probed_at = probed_at - make_interval(secs => ${seconds}),
        counted_at = counted_at - make_interval(secs => ${seconds}), leased_until = leased_until - make_interval(secs => ${seconds}),
        used_at = used_at - make_interval(secs => ${seconds}), listed_at = listed_at - make_interval(secs => ${seconds})
    ), alerts as (
      update public.tenant_alerts set opened_at = opened_at - make_interval(secs => ${seconds}),
        escalated_at = escalated_at - make_interval(secs => ${seconds}),
        resolved_at = resolved_at - make_interval(secs => ${seconds})
    )
    update provisioning.fleet_read set started_at = started_at - make_interval(secs => ${seconds}),
      finished_at = finished_at - make_interval(secs => ${seconds}),
      lease_expires_at = lease_expires_at - make_interval(secs => ${seconds})`
  return ticks
}

const checksOf = ({ organizationId }: HealthTenant) => checks.get(organizationId) ?? 0
const rowsOf = async ({ organizationId }: HealthTenant) => {
  const [row] = await project.sql<{ rows: number; unhealthy: number }[]>`
    select count(*)::int as rows, (count(*) filter (where status = 'unhealthy'))::int as unhealthy
    from public.tenant_health_checks where organization_id = ${organizationId}`
  return row ?? { rows: 0, unhealthy: 0 }
}
const alertsOf = ({ organizationId }: HealthTenant) =>
  project.sql`select severity, resolved_at is not null as resolved, metadata -> 'codes' as codes from public.tenant_alerts
    where organization_id = ${organizationId} and kind = 'tenant_health'`

describe(`over ${HOURS} hours`, () => {
  it('no sleeper is woken', () => {
    expect(cost.wakeUps).toBe(0)
  })

  it('everybody who is calm is checked about as often as the cap says', () => {
    const expected = (HOURS * 3_600) / CAP_SECONDS
    for (const tenant of [...sleepers, ...users.slice(1)]) {
      expect(checksOf(tenant)).toBeGreaterThan(expected - 5)
      expect(checksOf(tenant)).toBeLessThan(expected * 1.4)
    }
  })

  it('the one that is locked out for an hour is checked at the base interval meanwhile', async () => {
    const ticks = LOCKED_OUT.until - LOCKED_OUT.from
    const { unhealthy } = await rowsOf(lockedOut)
    // The calm one was looked at within a quarter of an hour, and then at every tick.
    expect(unhealthy).toBeGreaterThan(ticks - CAP_SECONDS / TICK_SECONDS - 5)
    expect(unhealthy).toBeLessThanOrEqual(ticks + 1)
  })

  it('exactly one alert opens for it, and is resolved', async () => {
    expect(await alertsOf(lockedOut)).toEqual([
      { severity: 'critical', resolved: true, codes: ['login_locked_out'] },
    ])
  })

  it('exactly one alert opens for the one that is deleted, and stays open', async () => {
    expect(await alertsOf(deleted)).toEqual([
      { severity: 'critical', resolved: false, codes: ['project_deleted'] },
    ])
  })

  it('nobody else gets one', async () => {
    for (const tenant of [...sleepers, ...users.slice(1)]) expect(await alertsOf(tenant)).toEqual([])
  })

  it('a sleeper leaves a row as often as the settings say, and a calm one that is awake a row a check', async () => {
    const expected = (HOURS * 60) / RECORD_MINUTES
    for (const tenant of sleepers) {
      const { rows } = await rowsOf(tenant)
      // A check comes up to a quarter of an hour after the row is due.
      expect(rows).toBeGreaterThanOrEqual(Math.floor(expected * 0.78))
      expect(rows).toBeLessThanOrEqual(Math.ceil(expected) + 2)
    }
    for (const tenant of users.slice(1))
      expect((await rowsOf(tenant)).rows).toBeLessThanOrEqual(checksOf(tenant) + 1)
  })

  it('the provider is asked no more than a few times for each tick that has work', () => {
    expect(drains).toBeLessThan(TICKS / 2)
    expect(cost.calls).toBeLessThan(drains * 4)
  })
})
