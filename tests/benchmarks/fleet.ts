import { createApiClient } from '@neondatabase/api-client'
import postgres from 'postgres'
import { type NeonEmulator, startNeonEmulator } from '../../local/emulators/neon/emulator.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import { createWorker } from '../../shared/engine/worker.ts'
import { type SchemaFile, tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { databaseSteps } from '../../shared/services/database/index.ts'
import { createMigrateSchema } from '../../shared/services/database/migrate-schema.ts'
import { knowAwake } from '../../shared/services/neon/awake.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonHost } from '../../shared/services/neon/host.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { makeRoles, type Passwords } from '../../shared/tenant-database/roles.ts'
import type { Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { WITHOUT_DISK_WAITS, withConnections, withServer } from './servers.ts'
import { median } from './statistics.ts'
import { insertTenants } from './synthetic-fleet.ts'

const DATABASE = 'fleet'
const NEON_KEY = 'napi_benchmark'
const UNLIMITED = Number.POSITIVE_INFINITY
const MADE_AT_ONCE = 4
/** Each takes 4 batch jobs at a time, so that two of them do 8. */
const WORKERS = 2

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
  return withServer({}, (server) =>
    withServer(WITHOUT_DISK_WAITS, async (theirs) => {
      await createPlatformDatabase(server, DATABASE)
      await migrate(server.url(DATABASE, 'postgres'), { functionsUrl: 'http://127.0.0.1:9/functions/v1' })
      const emulator = await startNeonEmulator({
        adminUrl: theirs.url('template1'),
        apiKey: NEON_KEY,
        limits: { requestsPerMinute: UNLIMITED, requestsPerSecondPerRoute: UNLIMITED },
        validateReplies: false,
      })
      const sql = connect({ SUPABASE_DB_URL: server.url(DATABASE, 'postgres') })
      try {
        return await withConnections(server.url(DATABASE), MADE_AT_ONCE, async (superuser) => {
          const applyMs = await makeFleet(superuser, emulator, tenants, options)
          const { wakeUps } = emulator.stats
          options.progress(`migrating ${tenants} tenants`)
          await superuser`select provisioning.start_fleet_migration(${ONE_COLUMN.version}, 5, 8, 0)`
          const before = process.cpuUsage()
          const tookSeconds = await workUntilDone(superuser, sql, emulator, options.signal)
          const { user, system } = process.cpuUsage(before)
          return {
            fleet_1000_s: tookSeconds * (1_000 / tenants),
            // Of this process, which is the workers and the emulator's proxy.
            cpu_ms_per_tenant: (user + system) / 1000 / tenants,
            apply_0001_ms: median(applyMs),
            wake_ups: emulator.stats.wakeUps - wakeUps,
          }
        })
      } finally {
        await sql.end({ timeout: 1 })
        await emulator.stop()
      }
    }),
  )
}

/** @returns milliseconds that each new database took for all files */
async function makeFleet(
  superuser: postgres.Sql,
  emulator: NeonEmulator,
  tenants: number,
  { progress, signal }: BenchmarkOptions,
): Promise<number[]> {
  await insertTenants(superuser, tenants)
  const took: number[] = []
  let next = 1
  const make = async (): Promise<void> => {
    for (let number = next++; number <= tenants; number = next++) {
      signal.throwIfAborted()
      if (number % 50 === 0) progress(`making ${tenants} tenants: ${number}`)
      took.push(await makeTenant(superuser, emulator, number))
    }
  }
  await Promise.all(Array.from({ length: MADE_AT_ONCE }, make))
  return took
}

async function makeTenant(superuser: postgres.Sql, emulator: NeonEmulator, number: number): Promise<number> {
  const neon = createApiClient({ apiKey: NEON_KEY, baseURL: emulator.url })
  const role = `tenant_${number}`
  const { data } = await neon.createProject({
    project: { name: `org-${number}`, branch: { role_name: role, database_name: role } },
  })
  const [connection] = data.connection_uris
  const [endpoint] = data.endpoints
  if (!connection || !endpoint) throw new Error('the emulator made a project without a compute')
  const { host, pooler_host: pooledHost, password } = connection.connection_parameters
  const connectAs = (username: string, secret: string) =>
    postgres({
      ...{
        host: '127.0.0.1',
        port: emulator.postgresPort,
        database: role,
        username,
        password: secret,
        max: 1,
      },
      ...{ fetch_types: false, onnotice: () => undefined, connection: { search_path: 'pg_catalog' } },
    })
  let passwords: Passwords = {}
  const api = connectAs(role, password)
  await makeRoles(api, ['schema'], async (made) => {
    passwords = made
  }).finally(() => api.end())
  const schema = connectAs(`${role}_schema`, passwords.schema ?? '')
  await schema`select 1`
  const startedAt = performance.now()
  const applied = await applyTenantSchema(schema)
  const tookMs = performance.now() - startedAt
  await schema.end()
  if (!applied.ok) throw new Error(`the files of the tenant schema: ${applied.failure.message}`)
  await superuser`
    with secret as (
      select vault.create_secret(${passwords.schema ?? ''}, provisioning.login_secret(md5(${`tenant${number}`})::uuid, 'schema'))
    )
    update public.organization_databases d set neon_project_id = ${data.project.id}, neon_endpoint_id = ${endpoint.id},
      host = ${host}, pooled_host = ${pooledHost}, port = ${emulator.postgresPort}, database_name = ${role},
      role_name = ${`${role}_app_1`}, ssl_mode = 'disable', schema_version = ${applied.value}, status = 'active'
    from secret where d.organization_id = md5(${`tenant${number}`})::uuid`
  return tookMs
}

/**
 * As functions would that are rung again as long as something is due.
 * @returns seconds from the beginning of the run to its end, by the database's clock
 */
async function workUntilDone(
  superuser: postgres.Sql,
  sql: Database,
  emulator: NeonEmulator,
  signal: AbortSignal,
): Promise<number> {
  const provider = createNeonProvider({ NEON_API_KEY: NEON_KEY, NEON_API_URL: emulator.url }, sql)
  const migrate = createMigrateSchema([...tenantSchemaFiles, ONE_COLUMN])
  const steps = databaseSteps([neonHost(provider, knowAwake(provider))], migrate)
  await superuser`insert into provisioning.workers values ('fleet', 'nowhere')`
  await superuser`update provisioning.job_kinds set worker = 'fleet' where kind = 'migrate_schema'`
  const workers = Array.from({ length: WORKERS }, () => createWorker({ sql, steps }, 'fleet'))
  for (;;) {
    signal.throwIfAborted()
    await Promise.all(workers.map((worker) => worker.ring()))
    const [run] = await superuser<{ state: string; reason: string | null; seconds: number }[]>`
      select state, stopped_because as reason, extract(epoch from ended_at - started_at)::float8 as seconds
      from provisioning.fleet_migrations order by id desc limit 1`
    if (run?.state === 'done') return run.seconds
    if (run?.state === 'stopped') throw new Error(run.reason ?? 'the migration was stopped')
  }
}
