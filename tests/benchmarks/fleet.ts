import { createServer } from 'node:http'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { type NeonEmulator, startNeonEmulator } from '../../local/emulators/neon/emulator.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { createWorker } from '../../shared/engine/worker.ts'
import { type SchemaFile, tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { databaseSteps } from '../../shared/services/database/index.ts'
import { createMigrateSchema } from '../../shared/services/database/migrate-schema.ts'
import { knowAwake } from '../../shared/services/neon/awake.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonHost } from '../../shared/services/neon/host.ts'
import { listen, PORT_USES } from '../../tools/ports.ts'
import type { Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { familyCpuMs } from './cpu.ts'
import { FOR_MANY_COPIES, postmasterPid, withConnections, withDirectory, withServer } from './servers.ts'
import { median } from './statistics.ts'
import { endpointIdOf, insertTenants, writeProjects } from './synthetic-fleet.ts'
import { applyAllFiles, copyTenant, type FleetTenant, projectOf } from './tenant-fleet.ts'

const DATABASE = 'fleet'
const NEON_KEY = 'napi_benchmark'
const UNLIMITED = Number.POSITIVE_INFINITY
const CONCURRENCY = 8
const LOOK_MS = 50
/** As many databases get all files, one after the other. */
const APPLIED = 9

const newest = tenantSchemaFiles.length
const ONE_COLUMN: SchemaFile = {
  version: newest + 1,
  name: `${String(newest + 1).padStart(4, '0')}_one_column.sql`,
  sql: 'alter table public.contacts add column of_the_benchmark text;',
}

/**
 * A file with one column for 1,000 real databases, 8 at once, from the request to the last row; and what all files cost a new
 * database. The databases are made before, and used by somebody, so that their computes are awake.
 */
export const fleet: Benchmark = {
  name: 'fleet',
  summary: 'a one-column migration of 1,000 tenants',
  defaultRuns: 1,
  aims: [
    { metric: 'fleet_1000_s', is: 'at most', value: 15 },
    { metric: 'apply_0001_ms', is: 'at most', value: 400 },
    { metric: 'wake_ups', is: 'at most', value: 0 },
  ],
  run: async (options) => {
    const tenants = options.quick ? 20 : (options.tenants ?? 1_000)
    const runs: Metrics[] = []
    while (runs.length < options.runs) runs.push(await measure(tenants, options))
    const names = Object.keys(runs[0] ?? {})
    return {
      metrics: Object.fromEntries(
        names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]),
      ),
    }
  },
}

function measure(tenants: number, options: BenchmarkOptions): Promise<Metrics> {
  return withFunctions((functions) =>
    withServer({}, (server) =>
      withServer(FOR_MANY_COPIES, (theirs) =>
        withDirectory(async (directory) => {
          await createPlatformDatabase(server, DATABASE)
          await migrate(server.url(DATABASE, 'postgres'), { functionsUrl: functions.url })
          options.progress('applying all files')
          const { tookMs, physicalName } = await applyAllFiles(theirs, options.quick ? 2 : APPLIED)
          const made = await copyTenant(theirs, physicalName, tenants, options)
          const stateFile = path.join(directory, 'neon.jsonl')
          await writeProjects(stateFile, made.map(projectOf))
          const emulator = await startNeonEmulator({
            adminUrl: theirs.url('template1'),
            apiKey: NEON_KEY,
            stateFile,
            limits: { requestsPerMinute: UNLIMITED, requestsPerSecondPerRoute: UNLIMITED },
            validateReplies: false,
          })
          const sql = connect({ SUPABASE_DB_URL: server.url(DATABASE, 'postgres') })
          try {
            return await withConnections(server.url(DATABASE), 1, async (superuser) => {
              await insertFleet(superuser, emulator, made)
              options.progress(`migrating ${tenants} tenants`)
              const before = await spent(server, theirs)
              const tookSeconds = await workUntilDone(superuser, sql, emulator, functions, options.signal)
              const after = await spent(server, theirs)
              const perTenant = after.map((ms, place) => (ms - (before[place] ?? Number.NaN)) / tenants)
              const [worker = Number.NaN, project = Number.NaN, databases = Number.NaN] = perTenant
              return {
                fleet_1000_s: tookSeconds * (1_000 / tenants),
                cpu_ms_per_tenant: worker + project + databases,
                worker_cpu_ms_per_tenant: worker,
                project_cpu_ms_per_tenant: project,
                databases_cpu_ms_per_tenant: databases,
                apply_0001_ms: median(tookMs),
                wake_ups: emulator.stats.wakeUps,
              }
            })
          } finally {
            await sql.end({ timeout: 1 })
            await emulator.stop()
          }
        }),
      ),
    ),
  )
}

/**
 * Processor time in ms, elsewhere than on Linux of this process alone: of this process, which is the worker and the emulator with
 * its proxy; of the project's Postgres; and of that of all tenants' databases.
 */
async function spent(...servers: readonly PostgresServer[]): Promise<number[]> {
  const { user, system } = process.cpuUsage()
  const theirs = servers.map(async (server) => (await familyCpuMs(await postmasterPid(server))) ?? 0)
  return [(user + system) / 1000, ...(await Promise.all(theirs))]
}

/** The rows of tenants that are ready, with the password of the owner of their schema in Vault. */
async function insertFleet(
  superuser: postgres.Sql,
  { postgresPort }: NeonEmulator,
  made: readonly FleetTenant[],
): Promise<void> {
  await insertTenants(superuser, made.length)
  const rows = made.map(({ number, password }) => ({ number, password, endpoint: endpointIdOf(number) }))
  await superuser`
    with tenants as (
      select md5('tenant' || t.number)::uuid as id, 'tenant_' || t.number as name, t.endpoint,
        vault.create_secret(t.password, provisioning.login_secret(md5('tenant' || t.number)::uuid, 'schema'))
      from jsonb_to_recordset(${superuser.json(rows)}) as t (number integer, password text, endpoint text)
    )
    update public.organization_databases d set neon_endpoint_id = t.endpoint, host = '127.0.0.1', pooled_host = '127.0.0.1',
      port = ${postgresPort}, database_name = t.name, role_name = t.name || '_app_1', ssl_mode = 'disable',
      schema_version = ${newest}
    from tenants t where d.organization_id = t.id`
}

/**
 * As the function would that is rung, and rings its successor.
 * @returns seconds from the beginning of the run to its end, by the database's clock
 */
async function workUntilDone(
  superuser: postgres.Sql,
  sql: Database,
  emulator: NeonEmulator,
  functions: Functions,
  signal: AbortSignal,
): Promise<number> {
  const provider = createNeonProvider({ NEON_API_KEY: NEON_KEY, NEON_API_URL: emulator.url }, sql)
  const migrate = createMigrateSchema([...tenantSchemaFiles, ONE_COLUMN])
  const steps = databaseSteps([neonHost(provider, knowAwake(provider))], migrate)
  const worker = createWorker({ sql, steps }, 'provisioning')
  let working = Promise.resolve()
  functions.onDoorbell(() => {
    working = worker.ring()
  })
  await superuser`select provisioning.start_fleet_migration(${ONE_COLUMN.version}, 5, ${CONCURRENCY}, 0)`
  working = worker.ring()
  for (;;) {
    signal.throwIfAborted()
    await sleep(LOOK_MS)
    const [run] = await superuser<{ state: string; reason: string | null; seconds: number }[]>`
      select state, stopped_because as reason, extract(epoch from ended_at - started_at)::float8 as seconds
      from provisioning.fleet_migrations order by id desc limit 1`
    if (run?.state === 'stopped') throw new Error(run.reason ?? 'the migration was stopped')
    if (run?.state !== 'done') continue
    await working
    return run.seconds
  }
}

interface Functions {
  readonly url: string
  onDoorbell(ring: () => void): void
}

/** An address at which doorbells are heard, in the place of the Edge Functions. */
async function withFunctions<T>(work: (functions: Functions) => Promise<T>): Promise<T> {
  let ring = (): void => undefined
  const server = createServer((request, response) => {
    request.resume()
    ring()
    response.writeHead(202).end()
  })
  const port = await listen(server, { host: '127.0.0.1', port: 0 }, PORT_USES.api)
  try {
    const onDoorbell = (heard: () => void) => {
      ring = heard
    }
    return await work({ url: `http://127.0.0.1:${port}`, onDoorbell })
  } finally {
    server.close()
    server.closeAllConnections()
  }
}
