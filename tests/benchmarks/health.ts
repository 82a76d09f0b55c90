import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { startNeonEmulator } from '../../local/emulators/neon/emulator.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { createHealthChecker } from '../../shared/health/checker.ts'
import { connect } from '../../shared/kernel/database/client.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonWatch } from '../../shared/services/neon/watch.ts'
import type { Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { withConnections, withDirectory, withServer } from './servers.ts'
import { median, percentile } from './statistics.ts'
import { insertTenants, writeSleepingProjects } from './synthetic-fleet.ts'
import { signUpAndWait } from './tenants.ts'

const DATABASE = 'health'
const NEON_KEY = 'napi_benchmark'
const UNLIMITED = Number.POSITIVE_INFINITY

/**
 * What watching over a fleet costs: a scheduling tick while every tenant is due, which is the worst case, and while none is; a
 * sweep of a sleeping fleet against the Neon emulator; checks a second of one worker with real databases; bytes of a tenant's
 * day, and the time that dropping a day takes. Tenants of the first two are rows alone; those of the probes are real.
 */
export const health: Benchmark = {
  name: 'health',
  summary: 'scheduling, sweeping and probing a fleet of tenants',
  defaultRuns: 1,
  aims: [
    { metric: 'tick_p95_ms_at_100000', is: 'at most', value: 20 },
    { metric: 'tick_p95_ratio_100000_to_10000', is: 'at most', value: 2 },
    { metric: 'provider_calls_per_sweep_at_10000_sleeping', is: 'at most', value: 25 },
    { metric: 'wake_ups', is: 'at most', value: 0 },
  ],
  run: async (options) => {
    const amounts: Amounts = options.quick
      ? { small: 500, large: 1_000, ticks: 20, probed: 3, rows: 10_000 }
      : { small: 10_000, large: 100_000, ticks: 300, probed: 60, rows: 1_000_000 }
    const runs: Metrics[] = []
    while (runs.length < options.runs) runs.push(await measure(amounts, options))
    const names = Object.keys(runs[0] ?? {})
    return {
      metrics: Object.fromEntries(
        names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]),
      ),
    }
  },
}

interface Amounts {
  readonly small: number
  readonly large: number
  readonly ticks: number
  /** Real tenants. */
  readonly probed: number
  /** Of the day that is dropped. */
  readonly rows: number
}

async function measure(amounts: Amounts, options: BenchmarkOptions): Promise<Metrics> {
  const fleet = await withServer({}, async (server) => {
    await createPlatformDatabase(server, DATABASE)
    await migrate(server.url(DATABASE, 'postgres'), { functionsUrl: 'http://127.0.0.1:9/functions/v1' })
    return withConnections(server.url(DATABASE), 1, async (superuser) => {
      const small = await measureTicks(superuser, amounts.small, amounts.ticks, options)
      const swept = await measureSweep(server, superuser, amounts.small, options)
      const large = await measureTicks(superuser, amounts.large, amounts.ticks, options)
      return {
        tick_p95_ms_at_10000: small.due,
        tick_p95_ms_at_100000: large.due,
        tick_p95_ratio_100000_to_10000: large.due / small.due,
        idle_tick_p95_ms_at_100000: large.idle,
        ...swept,
        ...(await measureStorage(superuser, amounts.rows, options)),
      }
    })
  })
  return { ...fleet, ...(await measureProbes(amounts.probed, options)) }
}

async function measureTicks(
  superuser: postgres.Sql,
  tenants: number,
  ticks: number,
  { progress, signal }: BenchmarkOptions,
): Promise<{ due: number; idle: number }> {
  progress(`${tenants} tenants: ticks`)
  await insertTenants(superuser, tenants)
  const p95 = async (due: boolean) => {
    await superuser`update public.tenant_health set next_check_at = now() + ${due ? '-1 minute' : '1 day'}::interval`
    await superuser`vacuum analyze public.tenant_health`
    const took: number[] = []
    while (took.length < ticks) {
      signal.throwIfAborted()
      const startedAt = performance.now()
      await superuser`select provisioning.health_tick()`
      took.push(performance.now() - startedAt)
      // pg_net would have sent them.
      await superuser`truncate net.http_request_queue`
    }
    return percentile(took, 95)
  }
  return { due: await p95(true), idle: await p95(false) }
}

/** Every tenant is due and asleep; drains follow each other as ticks would have it, until nothing is due. */
async function measureSweep(
  server: PostgresServer,
  superuser: postgres.Sql,
  tenants: number,
  { progress }: BenchmarkOptions,
): Promise<Metrics> {
  progress(`${tenants} sleeping tenants: a sweep`)
  return withDirectory(async (directory) => {
    const stateFile = path.join(directory, 'neon.jsonl')
    await writeSleepingProjects(stateFile, tenants)
    const emulator = await startNeonEmulator({
      adminUrl: server.url('template1'),
      apiKey: NEON_KEY,
      stateFile,
      limits: { requestsPerMinute: UNLIMITED, requestsPerSecondPerRoute: UNLIMITED },
      validateReplies: false,
    })
    const sql = connect({ SUPABASE_DB_URL: server.url(DATABASE, 'postgres') })
    try {
      const provider = createNeonProvider({ NEON_API_KEY: NEON_KEY, NEON_API_URL: emulator.url }, sql, 0)
      const checker = createHealthChecker(sql, [neonWatch(provider)])
      await superuser`update provisioning.fleet_read set projects = ${tenants}`
      await superuser`update public.tenant_health set next_check_at = now() - interval '1 minute'`
      const startedAt = performance.now()
      while (await anyDue(superuser)) await checker.ring()
      const tookMs = performance.now() - startedAt
      const calls = Object.values(emulator.stats.calls).reduce((sum, count) => sum + count, 0)
      return {
        provider_calls_per_sweep_at_10000_sleeping: calls,
        wake_ups: emulator.stats.wakeUps,
        sweep_s_at_10000_sleeping: tookMs / 1000,
      }
    } finally {
      await sql.end({ timeout: 1 })
      await emulator.stop()
    }
  })
}

async function anyDue(superuser: postgres.Sql): Promise<boolean> {
  const [row] = await superuser<{ due: boolean }[]>`
    select exists (select from public.tenant_health where next_check_at <= now()) as due`
  return row?.due ?? false
}

/** A calm tenant that is awake is checked every quarter of an hour, one that sleeps leaves a row an hour. */
async function measureStorage(
  superuser: postgres.Sql,
  rows: number,
  { progress }: BenchmarkOptions,
): Promise<Metrics> {
  progress('bytes of a day, and dropping one')
  const bytes = async () => {
    const [row] = await superuser<{ bytes: string }[]>`
      select sum(pg_total_relation_size(i.inhrelid)) as bytes from pg_inherits i
      where i.inhparent = 'public.tenant_health_checks'::regclass`
    return Number(row?.bytes ?? 0)
  }
  const dayOf = async (perDay: number, tenants: number, awake: boolean) => {
    const before = await bytes()
    // In the order of time, as they come.
    await superuser`
      insert into public.tenant_health_checks (organization_id, checked_at, probe, status, latency_ms, connect_ms,
        pooled_connect_ms, transactions_per_second, longest_query_seconds, connections, max_connections, size_bytes)
      select md5('stored' || ${awake}::text || t)::uuid, date_trunc('day', now(), 'utc') + c * interval '1 day' / ${perDay},
        case when ${awake} then 'connection' else 'state' end, case when ${awake} then 'healthy' else 'sleeping' end,
        case when ${awake} then 1.5 end, case when ${awake} then 30 end, case when ${awake} then 20 end,
        case when ${awake} then 12 end, case when ${awake} then 0 end, case when ${awake} then 3 end,
        case when ${awake} then 112 end, 8000000
      from generate_series(0, ${perDay - 1}) c, generate_series(1, ${tenants}) t`
    return ((await bytes()) - before) / tenants
  }
  const awake = await dayOf(96, Math.ceil(rows / 96), true)
  const asleep = await dayOf(24, Math.ceil(rows / 10 / 24), false)
  await superuser`update provisioning.health_state set rolled_up_until = 'infinity'`
  await superuser`checkpoint`
  const startedAt = performance.now()
  await superuser`select provisioning.drop_health_partitions(now() + interval '8 days')`
  return {
    bytes_per_awake_tenant_and_day: awake,
    bytes_per_sleeping_tenant_and_day: asleep,
    drop_day_ms: performance.now() - startedAt,
  }
}

/** The real function and real databases, all of them awake; from the doorbell to the last result in its row. */
async function measureProbes(tenants: number, options: BenchmarkOptions): Promise<Metrics> {
  return withProject({ spareDatabases: tenants, authConnections: 1 }, options, async (project) => {
    options.progress(`${tenants} real tenants: probes`)
    for (let made = 0; made < tenants; made++) await signUpAndWait(project, options.signal)
    const rounds: number[] = []
    // The first one starts the function's process.
    for (let round = 0; round < 4; round++) rounds.push(await probeAll(project, options.signal))
    return { probes_per_second: tenants / median(rounds.slice(1)) }
  })
}

/** As if the fleet's list had just shown all of them awake: it is not read again so soon. @returns seconds */
async function probeAll({ superuser }: BenchProject, signal: AbortSignal): Promise<number> {
  await superuser`update public.tenant_health set next_check_at = now(), awake = true`
  const startedAt = performance.now()
  const [begun] = await superuser<{ at: Date }[]>`
    select clock_timestamp() as at from provisioning.ring_doorbell('health')`
  for (;;) {
    const [row] = await superuser<{ waiting: number }[]>`
      select count(*)::int as waiting from public.tenant_health
      where connected_at < ${begun?.at ?? new Date()} - interval '50 ms'`
    if (row?.waiting === 0) return (performance.now() - startedAt) / 1000
    await sleep(5, undefined, { signal })
  }
}
