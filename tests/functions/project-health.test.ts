import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import type { ProjectRecord } from '../../local/emulators/supabase/project.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { createHealthChecker, type HealthChecker } from '../../shared/health/checker.ts'
import { connectSupabase } from '../../shared/services/supabase/client.ts'
import { supabaseEnvironment } from '../../shared/services/supabase/environment.ts'
import { supabaseWatch, WATCH_FRESH_MS } from '../../shared/services/supabase/watch.ts'
import { withDirectory } from '../benchmarks/servers.ts'
import { ProjectTier } from './project-tier.ts'

let tier: ProjectTier
let checker: HealthChecker

beforeAll(async () => {
  tier = await ProjectTier.open()
  checker = checkerOf(tier)
})

afterAll(() => tier?.[Symbol.asyncDispose]())

afterEach(async () => {
  tier.emulator.faults.clear()
  await tier.sql`update provisioning.settings set health_changing_minutes = 10, health_services_minutes = 360`
})

/** As a function has it, with a list that is as old as this at most. */
function checkerOf({ variables, database }: ProjectTier, freshMs = 0, now = Date.now): HealthChecker {
  const connect = connectSupabase(supabaseEnvironment.parse(variables), database, now, 0, freshMs)
  return createHealthChecker(database, [supabaseWatch(connect, () => performance.now() * SPEED)])
}

/** Of the pace at which services are asked for. */
const SPEED = 1_000

interface Health {
  readonly status: string
  readonly reasons: readonly { readonly code: string; readonly severity: string; readonly message: string }[]
  readonly metrics: Readonly<Record<string, unknown>>
  readonly copied: string
}

async function healthOf(id: string): Promise<Health> {
  const [row] = await tier.sql<Health[]>`
    select h.status, h.reasons, h.metrics, d.health_status as copied from public.tenant_health h
    join public.organization_databases d using (organization_id) where h.organization_id = ${id}`
  if (!row) throw new Error('the tenant is not watched')
  return row
}

async function readyTenant(): Promise<{ id: string; ref: string }> {
  const id = await tier.tenant()
  expect(await tier.workToEnd(id)).toBe('succeeded')
  return { id, ref: (await tier.resource(id))?.ref ?? '' }
}

/** Only these are due. */
async function makeDue(ids: readonly string[]): Promise<void> {
  await tier.sql`update public.tenant_health set next_check_at = case when organization_id = any (${[...ids]})
    then now() - interval '1 second' else now() + interval '1 day' end, leased_until = null, counted_at = null`
}

/** A check whose turn it is. */
async function sweep(...ids: readonly string[]): Promise<Health> {
  await makeDue(ids)
  await checker.ring()
  return healthOf(ids[0] ?? '')
}

async function during<T>(emulator: ProjectTier['emulator'], work: () => Promise<T>) {
  const before = emulator.stats
  const value = await work()
  const calls = Object.entries(emulator.stats.calls).map(
    ([name, count]) => [name, count - (before.calls[name] ?? 0)] as const,
  )
  return {
    value,
    calls: Object.fromEntries(calls.filter(([, count]) => count > 0)),
    connections: emulator.stats.connections - before.connections,
  }
}

const openAlerts = async (id: string) =>
  (await tier.alerts(id)).filter(({ kind, open }) => kind === 'tenant_health' && open).length

describe('a project that is up', () => {
  test('is watched from its first connection on, and measured as any tenant’s database is', async () => {
    const { id } = await readyTenant()
    expect(await healthOf(id)).toMatchObject({ status: 'healthy', copied: 'healthy' })
    const { value, calls } = await during(tier.emulator, () => sweep(id))
    expect(value).toMatchObject({ status: 'healthy', reasons: [], copied: 'healthy' })
    expect(value.metrics).toMatchObject({
      latency_ms: expect.any(Number),
      connect_ms: expect.any(Number),
      pooled_connect_ms: expect.any(Number),
      connections: expect.any(Number),
      max_connections: expect.any(Number),
      size_bytes: expect.any(Number),
      schema_looked_at: expect.any(String),
      services_looked_at: expect.any(String),
    })
    expect(value.metrics).not.toHaveProperty('schema_differences')
    expect(value.metrics).not.toHaveProperty('quota_bytes')
    expect(calls).toEqual({ v1ListAllProjects: 1, v1GetServicesHealth: 1 })
  })

  test('is asked for its services at a slower pace than for itself', async () => {
    const { id } = await readyTenant()
    await sweep(id)
    const { calls } = await during(tier.emulator, () => sweep(id))
    expect(calls).toEqual({ v1ListAllProjects: 1 })
  })

  test('is found to have another schema than its files have made, as its neighbours at Neon are', async () => {
    const { id } = await readyTenant()
    const [row] = await tier.sql<{ name: string }[]>`
      select database_name as name from public.organization_databases where organization_id = ${id}`
    const superuser = postgres(databaseUrl(inject('postgresPort'), row?.name ?? '', SUPERUSER), { max: 1 })
    await superuser`alter table public.contacts add column by_hand text`.finally(() => superuser.end())
    expect(await sweep(id)).toMatchObject({
      status: 'degraded',
      reasons: [{ code: 'schema_drift', message: expect.stringContaining('by_hand') }],
    })
  })

  test('whose services are ill says which, and is asked again until they are well', async () => {
    const { id, ref } = await readyTenant()
    tier.emulator.changeProject(ref, { unhealthy: ['auth'] })
    expect(await sweep(id)).toMatchObject({
      status: 'degraded',
      reasons: [
        {
          code: 'services_unhealthy',
          message: expect.stringMatching(/Restart it at supabase\.com.*\(auth is UNHEALTHY\)$/),
        },
      ],
    })
    tier.emulator.changeProject(ref, { unhealthy: [] })
    // Five minutes have not passed.
    expect(await sweep(id)).toMatchObject({ reasons: [{ code: 'services_unhealthy' }] })
    const check = await checker.check(id, false)
    expect(check).toMatchObject({ ok: true, value: { status: 'healthy', reasons: [] } })
  })

  test('that its host calls unhealthy is connected to all the same', async () => {
    const { id, ref } = await readyTenant()
    tier.emulator.changeProject(ref, { status: 'ACTIVE_UNHEALTHY' })
    const health = await sweep(id)
    expect(health).toMatchObject({
      status: 'degraded',
      metrics: { latency_ms: expect.any(Number) },
      reasons: [
        { code: 'project_unhealthy', message: expect.stringContaining('status.supabase.com') },
        { code: 'services_unhealthy' },
      ],
    })
  })

  test('opens an alert when its database is broken, which ends when it is mended', async () => {
    const { id } = await readyTenant()
    await tier.sql`update public.organization_databases set port = 9, pooled_port = 9 where organization_id = ${id}`
    for (let times = 0; times < 3; times++)
      expect(await sweep(id)).toMatchObject({ status: 'unhealthy', reasons: [{ code: 'unreachable' }] })
    expect(await openAlerts(id)).toBe(1)
    await tier.sql`update public.organization_databases set port = ${tier.emulator.postgresPort}, pooled_port = null
      where organization_id = ${id}`
    for (let times = 0; times < 2; times++) expect(await sweep(id)).toMatchObject({ status: 'healthy' })
    expect(await openAlerts(id)).toBe(0)
  })

  test('tells to retry its own service where a login is refused', async () => {
    const { id } = await readyTenant()
    await tier.sql`select vault.update_secret(id, 'another') from vault.secrets
      where name = provisioning.login_secret(${id}, 'health')`
    expect(await sweep(id)).toMatchObject({
      reasons: [{ code: 'login_refused', message: expect.stringContaining('Retry the service database') }],
    })
    await tier.retry(id)
    await tier.workToEnd(id)
    expect(await sweep(id)).toMatchObject({ status: 'healthy' })
  })
})

test('of many projects the services are asked for at a pace, unless somebody waits', async () => {
  const { ref } = await readyTenant()
  const watch = supabaseWatch(connectSupabase(supabaseEnvironment.parse(tier.variables), tier.database))
  const { calls } = await during(tier.emulator, async () => {
    for (let times = 0; times < 20; times++) await watch.illServices?.(ref, false)
  })
  expect(calls).toEqual({ v1GetServicesHealth: 1 })
  expect(await watch.illServices?.(ref, true)).toEqual({ ok: true, value: [] })
})

describe('a project that is paused', () => {
  test('sleeps: it is neither connected to nor restored, not even on demand', async () => {
    const { id, ref } = await readyTenant()
    await sweep(id)
    tier.emulator.changeProject(ref, { status: 'INACTIVE' })
    const { calls, connections } = await during(tier.emulator, async () => {
      for (let times = 0; times < 4; times++)
        expect(await sweep(id)).toMatchObject({
          status: 'sleeping',
          copied: 'sleeping',
          reasons: [
            { code: 'project_paused', severity: 'info', message: expect.stringContaining('restore it') },
          ],
        })
      // Even when a connection would wake, and be wanted.
      await tier.sql`update public.tenant_health set probed_at = now() - interval '1 year' where organization_id = ${id}`
      expect(await sweep(id)).toMatchObject({ status: 'sleeping' })
      expect(await checker.check(id, true)).toMatchObject({ ok: true, value: { status: 'sleeping' } })
    })
    expect(calls).toEqual({ v1ListAllProjects: 6 })
    expect(connections).toBe(0)
    expect(await openAlerts(id)).toBe(0)
    expect(await sweep(id)).toMatchObject({ metrics: { size_bytes: expect.any(Number) } })
  })

  test('while a check is on its way is not called unhealthy for that', async () => {
    const { id, ref } = await readyTenant()
    // A list that is kept for long, and was read some time before the pause.
    let ago = 10_000
    const slow = checkerOf(tier, 3_600_000, () => Date.now() - ago)
    await slow.check(id, false)
    ago = 0
    tier.emulator.changeProject(ref, { status: 'INACTIVE' })
    await makeDue([id])
    await slow.ring()
    expect(await healthOf(id)).toMatchObject({ status: 'sleeping', reasons: [{ code: 'project_paused' }] })
  })
})

describe('a project that changes', () => {
  test.each(['RESTORING', 'COMING_UP', 'PAUSING'] as const)(
    'and is %s is left alone, and is unhealthy when that takes too long',
    async (status) => {
      const { id, ref } = await readyTenant()
      tier.emulator.changeProject(ref, { status })
      const { value, connections } = await during(tier.emulator, () => sweep(id))
      expect(value).toMatchObject({
        status: 'degraded',
        reasons: [{ code: 'project_changing', message: expect.stringContaining(`(${status} since `) }],
      })
      expect(connections).toBe(0)
      await tier.sql`update public.tenant_health set metrics = jsonb_set(metrics, '{changing,since}', '"2026-01-02T03:04:05.000Z"')
        where organization_id = ${id}`
      expect(await sweep(id)).toMatchObject({
        status: 'unhealthy',
        reasons: [
          {
            code: 'project_hangs',
            message: expect.stringMatching(/Supabase’s support\. \(\w+ since 2026-01-02 03:04 UTC\)$/),
          },
        ],
      })
      tier.emulator.changeProject(ref, { status: null })
      const well = await sweep(id)
      expect(well).toMatchObject({ status: 'healthy', reasons: [] })
      tier.emulator.changeProject(ref, { status })
      expect(await sweep(id)).toMatchObject({ reasons: [{ code: 'project_changing' }] })
    },
  )

  test('and has come up since is not judged by the list from before that', async () => {
    const { id, ref } = await readyTenant()
    let behindMs = 10_000
    const patient = checkerOf(tier, 60_000, () => Date.now() - behindMs)
    tier.emulator.changeProject(ref, { status: 'COMING_UP' })
    await makeDue([id])
    await patient.ring()
    expect(await healthOf(id)).toMatchObject({ reasons: [{ code: 'project_changing' }] })
    tier.emulator.changeProject(ref, { status: null })
    // The list is ten seconds old, and still good for everybody else.
    behindMs = 0
    await makeDue([id])
    await patient.ring()
    expect(await healthOf(id)).toMatchObject({ status: 'healthy', reasons: [] })
  })

  test('for another reason than before begins anew', async () => {
    const { id, ref } = await readyTenant()
    tier.emulator.changeProject(ref, { status: 'PAUSING' })
    await sweep(id)
    await tier.sql`update public.tenant_health set metrics = jsonb_set(metrics, '{changing,since}', '"2026-01-02T03:04:05.000Z"')
      where organization_id = ${id}`
    tier.emulator.changeProject(ref, { status: 'INACTIVE' })
    await sweep(id)
    tier.emulator.changeProject(ref, { status: 'PAUSING' })
    expect(await sweep(id)).toMatchObject({ reasons: [{ code: 'project_changing' }] })
  })
})

test('a project that failed to come up is unhealthy, with what to do about it', async () => {
  const { id, ref } = await readyTenant()
  tier.emulator.changeProject(ref, { status: 'INIT_FAILED' })
  expect(await sweep(id)).toMatchObject({
    status: 'unhealthy',
    reasons: [{ code: 'project_failed', message: expect.stringMatching(/support.*\(INIT_FAILED\)$/) }],
  })
})

test('a project that somebody deleted at Supabase is unhealthy, after it was asked for by its ref', async () => {
  const { id, ref } = await readyTenant()
  await fetch(`${tier.emulator.url}/v1/projects/${ref}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${tier.variables.MANAGEMENT_TOKEN}` },
  })
  const { value, calls } = await during(tier.emulator, () => sweep(id))
  expect(value).toMatchObject({
    status: 'unhealthy',
    reasons: [{ code: 'project_deleted', message: expect.stringContaining('Retry the service supabase') }],
  })
  expect(calls).toEqual({ v1ListAllProjects: 1, v1GetProject: 1 })
})

test('while Supabase asks for fewer requests nothing is said of anybody, and its pause is kept', async () => {
  const { id } = await readyTenant()
  const before = await sweep(id)
  tier.emulator.faults.add({
    match: { operation: 'v1ListAllProjects' },
    action: { type: 'status', status: 429, retryAfterSeconds: 120 },
    times: 1,
  })
  const { calls } = await during(tier.emulator, () => sweep(id))
  expect(calls).toEqual({ v1ListAllProjects: 1 })
  expect((await healthOf(id)).status).toBe(before.status)
  const [row] = await tier.sql<{ due: number }[]>`
    select extract(epoch from next_check_at - now())::float8 as due from public.tenant_health where organization_id = ${id}`
  expect(row?.due).toBeGreaterThan(115)
})

describe('a thousand projects', () => {
  const COUNT = 1_000
  const refOf = (number: number) =>
    `${'a'.repeat(16)}${String(number)
      .padStart(4, '0')
      .replace(/\d/g, (digit) => 'bcdefghijk'.charAt(Number(digit)))}`

  function recordOf(number: number, status: ProjectRecord['forcedStatus']): ProjectRecord {
    return {
      ref: refOf(number),
      numericId: number,
      name: `client-${number}-prod`,
      region: 'eu-central-1',
      instanceSize: 'micro',
      createdAt: Date.now() - 1_000_000,
      transition: { via: 'COMING_UP', to: 'ACTIVE_HEALTHY', endsAt: Date.now() - 500_000 },
      forcedStatus: status,
      unhealthy: [],
      keys: [],
      secrets: [],
      physicalName: `supabase_${number.toString(16).padStart(16, '0')}`,
    }
  }

  async function addTenants({ sql, emulator }: ProjectTier): Promise<void> {
    const owner = crypto.randomUUID()
    await sql`insert into auth.users (id, email) values (${owner}, 'owner-of-many@example.com')`
    await sql`update provisioning.settings set organizations_per_user = 1000000`
    const refs = Array.from({ length: COUNT }, (_, index) => refOf(index + 1))
    await sql`
      with made as (
        insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
        select 'Client', 'many-' || ref, ${owner}, 'eu-central-1', 'eu-central-1', '{}' from unnest(${refs}::text[]) ref
        returning id, slug
      ), located as (
        insert into public.organization_databases (organization_id, supabase_project_ref, region, size, host, pooled_host, port,
          database_name, ssl_mode)
        select id, replace(slug, 'many-', ''), 'eu-central-1', 'small', '127.0.0.1', '127.0.0.1', ${emulator.postgresPort},
          'nowhere', 'disable' from made
      ), secrets as (
        select vault.create_secret('a password', provisioning.login_secret(id, 'health')) from made
      )
      insert into public.tenant_health (organization_id, tier, in_fleet_list, awake, next_check_at)
      select id, 'project', false, true, now() - interval '1 second' from made where (select count(*) from secrets) > 0`
  }

  const anyDue = async ({ sql }: ProjectTier) =>
    (
      await sql`select from public.tenant_health where next_check_at <= now() and leased_until is null limit 1`
    ).length > 0

  /** Drains follow one another, as ticks would have it. */
  async function sweepAll(many: ProjectTier, status: ProjectRecord['forcedStatus']) {
    const fleet = checkerOf(many, WATCH_FRESH_MS)
    await many.sql`update public.tenant_health set next_check_at = now() - interval '1 second', leased_until = null,
      metrics = '{}'`
    const result = await during(many.emulator, async () => {
      while (await anyDue(many)) await fleet.ring()
    })
    const rows = await many.sql`
      select h.status, h.reasons -> 0 ->> 'code' as code, count(*)::int from public.tenant_health h group by 1, 2`
    return { ...result, rows, status }
  }

  test('are looked at with as few calls as one, whether they are paused or broken', async () => {
    await withDirectory(async (directory) => {
      const open = async (status: ProjectRecord['forcedStatus']) => {
        const stateFile = path.join(directory, `${status}.jsonl`)
        const lines = Array.from({ length: COUNT }, (_, index) => recordOf(index + 1, status)).map((value) =>
          JSON.stringify([{ type: 'project', id: value.ref, value }]),
        )
        await writeFile(stateFile, `${lines.join('\n')}\n`)
        return ProjectTier.open({ stateFile })
      }
      {
        await using paused = await open('INACTIVE')
        await addTenants(paused)
        const { calls, connections, rows } = await sweepAll(paused, 'INACTIVE')
        expect(rows).toEqual([{ status: 'sleeping', code: 'project_paused', count: COUNT }])
        expect(connections).toBe(0)
        expect(Object.keys(calls)).toEqual(['v1ListAllProjects'])
        expect(calls.v1ListAllProjects).toBeLessThanOrEqual(5)
      }
      {
        await using broken = await open('ACTIVE_UNHEALTHY')
        await addTenants(broken)
        // As it is where nobody tunes it: 120 calls a minute, of which health has a tenth.
        await broken.sql`update provisioning.rate_limits set burst = 40, per_second = 1.3 where provider = 'supabase'`
        const { calls, rows } = await sweepAll(broken, 'ACTIVE_UNHEALTHY')
        expect(rows).toEqual([{ status: 'unhealthy', code: 'database_missing', count: COUNT }])
        const made = Object.values(calls).reduce((sum, count) => sum + count, 0)
        expect(made).toBeLessThanOrEqual(30)
        expect(calls).not.toHaveProperty('v1GetProject')
      }
    })
  }, 120_000)
})
