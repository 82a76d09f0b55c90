import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { startPlatformWorker } from '../../local/platform-worker/worker.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import type { Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { processCpuMs } from './cpu.ts'
import { withConnections, withServer } from './servers.ts'
import { installSignUpLoad, signUpOnEach } from './sign-up-load.ts'
import { median } from './statistics.ts'

const CLIENTS = 4
const WITHOUT = 'platform'
const WITH = 'migrated'

/**
 * `insert into auth.users` with the bundle against the same insert without it, while pg_net delivers the doorbells to a
 * server that does nothing. The loop runs in the database; the two sides take turns on one server, so that whatever
 * slows the machine slows both. Metrics: `added_ms_per_row` is the median of (with − without), `_4_clients` the same as
 * one of four clients at once sees it; `cpu_ms_per_row` is user and system time of the backend alone.
 */
export const signUp: Benchmark = {
  name: 'sign-up',
  summary: 'what the bundle adds to an insert into auth.users, fsync on',
  defaultRuns: 7,
  aims: [
    { metric: 'added_ms_per_row', is: 'at most', value: 0.05 },
    { metric: 'sign_ups_per_second', is: 'at least', value: 5000 },
  ],
  run: (options) =>
    withServer({}, async (server) => {
      const { url, close } = await startDoorbellSink()
      try {
        options.progress('creating the two databases')
        await prepareDatabases(server, url)
        return { metrics: await measure(server, options) }
      } finally {
        await close()
      }
    }),
}

async function prepareDatabases(server: PostgresServer, functionsUrl: string): Promise<void> {
  for (const name of [WITHOUT, WITH]) await createPlatformDatabase(server, name)
  await migrate(server.url(WITH, 'postgres'), { functionsUrl })
  for (const name of [WITHOUT, WITH]) await withConnections(server.url(name), 1, installSignUpLoad)
}

/** Answers every doorbell 202 at once, as the function does. */
async function startDoorbellSink(): Promise<{ url: string; close: () => Promise<void> }> {
  const server: Server = createServer((request, response) => {
    request.resume()
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"accepted":true}')
  })
  await new Promise<void>((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve)
  })
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url: `http://127.0.0.1:${port}/functions/v1`, close }
}

async function measure(server: PostgresServer, options: BenchmarkOptions): Promise<Metrics> {
  const worker = await startPlatformWorker({ databaseUrl: server.url(WITH) })
  try {
    return await withConnections(server.url(WITH), 1, (superuser) =>
      withConnections(server.url(WITHOUT, 'supabase_auth_admin'), CLIENTS, (without) =>
        withConnections(server.url(WITH, 'supabase_auth_admin'), CLIENTS, (withBundle) =>
          compare({ without, with: withBundle, superuser }, options),
        ),
      ),
    )
  } finally {
    await worker.stop()
  }
}

interface Sides {
  readonly without: postgres.Sql
  readonly with: postgres.Sql
  /** Of the database with the bundle. */
  readonly superuser: postgres.Sql
}

type Side = 'without' | 'with'

async function compare(sides: Sides, options: BenchmarkOptions): Promise<Metrics> {
  const { quick, signal, progress } = options
  const rows = quick ? 50 : 2000
  const alone: Record<Side, Sample[]> = { without: [], with: [] }
  const together: Record<Side, Sample[]> = { without: [], with: [] }
  progress('warming up')
  for (const side of ['without', 'with'] as const) await sample(sides, side, CLIENTS, quick ? 10 : 500)
  for (let run = 0; run < options.runs; run++) {
    signal.throwIfAborted()
    progress(`run ${run + 1} of ${options.runs}`)
    // The order changes from run to run: a drift of the machine's speed must not favour one side.
    const order = run % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)
    for (const side of order) alone[side].push(await sample(sides, side, 1, rows))
    for (const side of order) together[side].push(await sample(sides, side, CLIENTS, rows / 2))
  }
  return summarize(alone, together)
}

interface Sample {
  /** As one client sees it. */
  readonly msPerRow: number
  readonly rowsPerSecond: number
  readonly cpuMsPerRow: number | undefined
}

async function sample(sides: Sides, side: Side, clients: number, rows: number): Promise<Sample> {
  const auth = sides[side]
  const pids = await backendPids(auth)
  const cpuBefore = await totalCpuMs(pids)
  const tookMs = await signUpOnEach(auth, clients, rows)
  const cpuAfter = await totalCpuMs(pids)
  await untilDoorbellsAreSent(sides.superuser)
  return {
    msPerRow: tookMs / rows,
    rowsPerSecond: (clients * rows * 1000) / tookMs,
    cpuMsPerRow:
      cpuBefore === undefined || cpuAfter === undefined
        ? undefined
        : (cpuAfter - cpuBefore) / (clients * rows),
  }
}

async function backendPids(auth: postgres.Sql): Promise<number[]> {
  const rows = await auth<{ pid: number }[]>`
    select pid from pg_stat_activity where usename = current_user and datname = current_database()`
  return rows.map(({ pid }) => pid)
}

async function totalCpuMs(pids: readonly number[]): Promise<number | undefined> {
  const each = await Promise.all(pids.map(processCpuMs))
  return each.reduce<number | undefined>(
    (sum, ms) => (sum === undefined || ms === undefined ? undefined : sum + ms),
    0,
  )
}

/** What is still in the queue would be worked off during the next measurement. */
async function untilDoorbellsAreSent(superuser: postgres.Sql): Promise<void> {
  const left = async () => (await superuser`select from net.http_request_queue limit 1`).count
  while ((await left()) > 0) await sleep(20)
  // The last batch left the queue when it was taken; its answers come right after.
  await sleep(100)
}

function summarize(alone: Record<Side, Sample[]>, together: Record<Side, Sample[]>): Metrics {
  const paired = (
    samples: Record<Side, Sample[]>,
    combine: (withBundle: number, without: number) => number,
  ) =>
    median(
      samples.with.map(({ msPerRow }, run) =>
        combine(msPerRow, samples.without[run]?.msPerRow ?? Number.NaN),
      ),
    )
  const cpu = (name: string, samples: readonly Sample[]) => {
    const known = samples.flatMap(({ cpuMsPerRow }) => cpuMsPerRow ?? [])
    // A mean, because the system counts CPU time in steps of 10 ms.
    return known.length === 0 ? {} : { [name]: known.reduce((sum, value) => sum + value, 0) / known.length }
  }
  return {
    added_ms_per_row: paired(alone, (withBundle, without) => withBundle - without),
    sign_ups_per_second: median(together.with.map(({ rowsPerSecond }) => rowsPerSecond)),
    ratio_to_bare_insert: paired(alone, (withBundle, without) => withBundle / without),
    bare_ms_per_row: median(alone.without.map(({ msPerRow }) => msPerRow)),
    added_ms_per_row_4_clients: paired(together, (withBundle, without) => withBundle - without),
    bare_inserts_per_second_4_clients: median(together.without.map(({ rowsPerSecond }) => rowsPerSecond)),
    ...cpu('cpu_ms_per_row_with', alone.with),
    ...cpu('cpu_ms_per_row_without', alone.without),
  }
}
