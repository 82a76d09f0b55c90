import { readFile } from 'node:fs/promises'
import type postgres from 'postgres'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import type { Benchmark, BenchmarkOptions, Measurement } from './benchmark.ts'
import { withConnections, withServer } from './servers.ts'
import { installSignUpLoad, signUpOnEach } from './sign-up-load.ts'
import { median } from './statistics.ts'

const FEW_TENANTS = 1000
const MANY_TENANTS = 300_000

/**
 * Memory as a project of that size has it. No checkpoint comes in between, and no autovacuum: both would fall on one of the
 * two sides by chance. After a checkpoint the first change of each page writes the whole page into the log. At the pace of real
 * sign-ups that meets nearly every page, whatever the number of tenants; here it would meet many tenants alone, because few have
 * few pages. So it is off.
 */
const SETTINGS = {
  shared_buffers: '512MB',
  checkpoint_timeout: '1h',
  max_wal_size: '32GB',
  full_page_writes: 'off',
  autovacuum: 'off',
}

const SIDES = ['few', 'many'] as const
type Side = (typeof SIDES)[number]

/** What operators look for: a name that many have, the beginning of one, a whole address, and what nobody is called. */
const SEARCHES = { '': 'ann', _two_letters: 'an', _address: 'user271@example', _nobody: 'zq' }

const CLAIM = `select * from provisioning.claim_jobs('{provision}', 10)`
const BEGIN = `select provisioning.prepare_job(job_id, lease_token) from provisioning.claim_jobs('{provision}', 10)`
const METRICS = 'select count(*) from provisioning.metrics()'
const RETENTION = 'select provisioning.apply_retention()'
const pageOf = (filter: string) =>
  `select public.list_tenants('${filter}', sort, 50) from (values ('-created_at'), ('name')) sorts (sort)`

/**
 * The same work with 1,000 and with 300,000 tenants and their history, about 30 rows each. The two databases take turns on one
 * server. `…_ratio` is what many tenants make of a time with few; sign-ups are whole transactions, all else is timed inside the
 * database and taken back. `begin` is the claim of ten jobs with the rows that a worker makes before the first step. `backfill_look_s` is one look at every user for missing rows.
 */
export const growth: Benchmark = {
  name: 'growth',
  summary: 'the same work with 1,000 tenants and with 300,000 and their history',
  defaultRuns: 7,
  aims: [
    { metric: 'sign_up_ratio', is: 'at most', value: 1.3 },
    { metric: 'claim_ratio', is: 'at most', value: 1.2 },
    { metric: 'tenant_page_ratio', is: 'at most', value: 1.3 },
    { metric: 'search_ms', is: 'at most', value: 30 },
    { metric: 'metrics_ms', is: 'at most', value: 100 },
    { metric: 'backfill_look_s', is: 'at most', value: 10 },
  ],
  run: (options) => withServer(SETTINGS, (server) => measureIn(server, options)),
}

async function measureIn(server: PostgresServer, options: BenchmarkOptions): Promise<Measurement> {
  const tenants = {
    few: options.quick ? 50 : FEW_TENANTS,
    many: options.tenants ?? (options.quick ? 500 : MANY_TENANTS),
  }
  for (const side of SIDES) await prepareDatabase(server, side, tenants[side], options)
  return withConnections(server.url('few'), 1, (few) =>
    withConnections(server.url('many'), 1, (many) =>
      withConnections(server.url('few', 'supabase_auth_admin'), 1, (fewUsers) =>
        withConnections(server.url('many', 'supabase_auth_admin'), 1, (manyUsers) =>
          measure({ few: { sql: few, auth: fewUsers }, many: { sql: many, auth: manyUsers } }, options),
        ),
      ),
    ),
  )
}

async function prepareDatabase(
  server: PostgresServer,
  name: Side,
  tenants: number,
  { progress, signal }: BenchmarkOptions,
): Promise<void> {
  progress(`making ${tenants.toLocaleString('en')} tenants with their history`)
  await createPlatformDatabase(server, name)
  await migrate(server.url(name, 'postgres'))
  await withConnections(server.url(name), 1, async (superuser) => {
    await installSignUpLoad(superuser)
    await superuser.unsafe(await readFile(new URL('growth-fleet.sql', import.meta.url), 'utf8'))
    // Sent as text: a procedure that commits needs to be the whole message.
    await superuser.unsafe(`call growth.fill(${tenants})`).simple()
    signal.throwIfAborted()
    await superuser.unsafe('vacuum analyze').simple()
    await superuser.unsafe('checkpoint').simple()
  })
}

interface Database {
  readonly sql: postgres.Sql
  readonly auth: postgres.Sql
}
type Databases = Readonly<Record<Side, Database>>
/** Milliseconds. */
type Times = Readonly<Record<Side, number[]>>

async function measure(databases: Databases, options: BenchmarkOptions): Promise<Measurement> {
  const { quick, progress } = options
  const signUps = quick ? 20 : 400
  const times = quick ? 3 : 20
  progress('signing up')
  const signUp = await takeTurns(databases, options, async ({ auth }) => [
    (await signUpOnEach(auth, 1, signUps)) / signUps,
  ])
  progress('claiming, listing, searching')
  // What was taken back is still there until it is cleared away, and no autovacuum does so here.
  const clean = () => Promise.all(SIDES.map((side) => databases[side].sql.unsafe('vacuum analyze').simple()))
  await clean()
  const claim = await takeTurns(databases, options, ({ sql }) => time(sql, CLAIM, times))
  await clean()
  const begin = await takeTurns(databases, options, ({ sql }) => time(sql, BEGIN, times))
  await clean()
  const page = await takeTurns(databases, options, ({ sql }) =>
    time(sql, pageOf('{}'), times, 'service_role'),
  )
  const metrics = await takeTurns(databases, options, ({ sql }) => time(sql, METRICS, times))
  await setRetention(databases)
  const retention = await takeTurns(databases, options, ({ sql }) => time(sql, RETENTION, 3))
  const { sql } = databases.many
  progress('looking for missing rows')
  const lookMs = await time(sql, 'select growth.look_for_missing_rows()', 1)
  return {
    metrics: {
      sign_up_ratio: ratio(signUp),
      claim_ratio: ratio(claim),
      tenant_page_ratio: ratio(page),
      ...(await searchTimes(sql, times)),
      backfill_look_s: median(lookMs) / 1000,
      begin_ratio: ratio(begin),
      retention_ratio: ratio(retention),
      sign_up_ms: median(signUp.many),
      claim_ms: median(claim.many),
      begin_ms: median(begin.many),
      tenant_page_ms: median(page.many),
      metrics_ms: median(metrics.many),
      retention_ms: median(retention.many),
      size_mb: await sizeMb(sql),
    },
  }
}

/** Runs the work on both databases in turn, in an order that changes: a drift of the machine's speed must not favour one. */
async function takeTurns(
  databases: Databases,
  { runs, signal }: BenchmarkOptions,
  work: (database: Database) => Promise<readonly number[]>,
): Promise<Times> {
  const times: Times = { few: [], many: [] }
  // Once more than is counted: the first finds nothing in memory.
  for (let run = 0; run <= runs; run++) {
    signal.throwIfAborted()
    for (const side of run % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const took = await work(databases[side])
      if (run > 0) times[side].push(...took)
    }
  }
  return times
}

const ratio = ({ few, many }: Times) => median(many) / median(few)

async function time(sql: postgres.Sql, statement: string, times: number, role = 'none'): Promise<number[]> {
  const [row] = await sql<{ took: number[] }[]>`select growth.time(${statement}, ${times}, ${role}) as took`
  return row?.took ?? []
}

async function searchTimes(sql: postgres.Sql, times: number): Promise<Record<string, number>> {
  const metrics: Record<string, number> = {}
  for (const [name, query] of Object.entries(SEARCHES)) {
    const statement = `select * from public.search_profiles('${query}')`
    metrics[`search${name}_ms`] = median(await time(sql, statement, times, 'service_role'))
    const page = pageOf(`{"search": "${query}"}`)
    metrics[`tenant_search${name}_ms`] = median(await time(sql, page, times, 'service_role'))
  }
  return metrics
}

/** So that a run has something to do: everything older than 100 days. */
async function setRetention(databases: Databases): Promise<void> {
  for (const side of SIDES)
    await databases[side]
      .sql`update provisioning.settings set events_retention_days = 100, jobs_retention_days = 100,
      alerts_retention_days = 100, audit_retention_days = 100`
}

async function sizeMb(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ mb: number }[]>`
    select pg_database_size(current_database())::float8 / 1e6 as mb`
  return row?.mb ?? Number.NaN
}
