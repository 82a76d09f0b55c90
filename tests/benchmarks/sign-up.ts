import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type postgres from 'postgres'
import { type Mapping, mappingMigrations } from '../../cli/install/mapping.ts'
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
/** Of the second part, which is only reported: indexes are deeper there, and random keys touch more pages. */
const MANY_TENANTS = 60_000
/** Nothing is written back during the measurement but where it says so: a checkpoint makes whole pages go into the log. */
const SETTINGS = { checkpoint_timeout: '1h', max_wal_size: '16GB' }

/**
 * `insert into auth.users` with the bundle against the same insert without it. The loop runs in the database; the two
 * sides take turns on one server, so that whatever slows the machine slows both. Doorbells go to a server that does
 * nothing, and pg_cron rests: nobody works on the jobs. Metrics: `added_ms` is the median of (with − without) with one
 * client, `ratio_to_bare_insert` of their quotient; `throughput_ratio_4_clients` compares sign-ups a second of four clients
 * at once; `wal_bytes` is all that a sign-up writes, the bare insert's share included; `multixacts_per_sign_up` and
 * `rings_per_second` are those of the four clients. The same with 60,000 tenants, each sample
 * right after a checkpoint.
 */
export const signUp: Benchmark = {
  name: 'sign-up',
  summary: 'what the bundle adds to an insert into auth.users, fsync on',
  defaultRuns: 7,
  aims: [
    { metric: 'ratio_to_bare_insert', is: 'at most', value: 2.5 },
    { metric: 'throughput_ratio_4_clients', is: 'at least', value: 0.33 },
    { metric: 'wal_bytes', is: 'at most', value: 4500 },
    { metric: 'multixacts_per_sign_up', is: 'at most', value: 0 },
    { metric: 'rings_per_second', is: 'at most', value: 5 },
  ],
  run: (options) => run(options, { theirs: '', mapping: {}, tenants: MANY_TENANTS }),
}

/** What a sign-up of the quick start makes, and of projects in which everybody gets a company. */
const THEIRS = `
  create table public.people (id uuid primary key references auth.users (id) on delete cascade, full_name text, avatar_url text);
  create table public.companies (id uuid primary key default gen_random_uuid(), name text not null,
    owner_id uuid references auth.users (id) on delete cascade);
  create table public.company_members (company_id uuid references public.companies (id) on delete cascade,
    user_id uuid references auth.users (id) on delete cascade, role text, primary key (company_id, user_id));
  create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
    declare
      v_company uuid;
    begin
      insert into public.people (id, full_name) values (new.id, new.raw_user_meta_data ->> 'full_name');
      insert into public.companies (name, owner_id) values (coalesce(new.email, 'Company'), new.id) returning id into v_company;
      insert into public.company_members (company_id, user_id, role) values (v_company, new.id, 'owner');
      return new;
    end $$;
  create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();`

const PROFILES = { table: 'public.people', user: 'id', name: ['full_name'], avatar: 'avatar_url' }

/** As sign-up, beside a trigger of the project that makes a profile and a company, both of which are read instead of ours. */
export const signUpMapped: Benchmark = {
  name: 'sign-up-mapped',
  summary: 'the same where the project’s own profiles and companies are read',
  defaultRuns: 5,
  aims: [
    { metric: 'ratio_to_bare_insert', is: 'at most', value: 2.8 },
    { metric: 'profiles_ratio_to_bare_insert', is: 'at most', value: 2.8 },
    { metric: 'multixacts_per_sign_up', is: 'at most', value: 0 },
  ],
  run: async (options) => {
    const { metrics: profiles } = await run(options, { theirs: THEIRS, mapping: { profiles: PROFILES } })
    const tenants = { table: 'public.companies', id: 'id', name: 'name', owner: 'owner_id' }
    const members = {
      table: 'public.company_members',
      organization: 'company_id',
      user: 'user_id',
      role: 'role',
    }
    const { metrics } = await run(options, {
      theirs: THEIRS,
      mapping: { profiles: PROFILES, tenants, members },
    })
    return {
      metrics: {
        ...metrics,
        profiles_added_ms: profiles.added_ms ?? Number.NaN,
        profiles_ratio_to_bare_insert: profiles.ratio_to_bare_insert ?? Number.NaN,
        profiles_wal_bytes: profiles.wal_bytes ?? Number.NaN,
      },
    }
  },
}

interface Setting {
  /** SQL of the project, in both databases. */
  readonly theirs: string
  readonly mapping: Mapping
  /** Of the second part, which is left out without. */
  readonly tenants?: number
}

const run = (options: BenchmarkOptions, setting: Setting): Promise<{ metrics: Metrics }> =>
  withServer(SETTINGS, async (server) => {
    const { url, close } = await startDoorbellSink()
    try {
      options.progress('creating the two databases')
      await prepareDatabases(server, url, setting)
      return { metrics: await measure(server, options, setting) }
    } finally {
      await close()
    }
  })

async function prepareDatabases(
  server: PostgresServer,
  functionsUrl: string,
  { theirs, mapping }: Setting,
): Promise<void> {
  for (const name of [WITHOUT, WITH]) {
    await createPlatformDatabase(server, name)
    await withConnections(server.url(name, 'postgres'), 1, (sql) => sql.unsafe(theirs))
  }
  await migrate(server.url(WITH, 'postgres'), { functionsUrl })
  await withConnections(server.url(WITH, 'postgres'), 1, async (sql) => {
    for (const { text } of mappingMigrations(Object.keys(mapping).length > 0 ? [mapping] : []))
      await sql.unsafe(text)
  })
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

async function measure(
  server: PostgresServer,
  options: BenchmarkOptions,
  setting: Setting,
): Promise<Metrics> {
  const worker = await startPlatformWorker({ databaseUrl: server.url(WITH) })
  try {
    await worker.pauseCron()
    return await withConnections(server.url(WITH), 1, (superuser) =>
      withConnections(server.url(WITHOUT, 'supabase_auth_admin'), CLIENTS, (without) =>
        withConnections(server.url(WITH, 'supabase_auth_admin'), CLIENTS, (withBundle) =>
          measureBoth({ without, with: withBundle, superuser }, options, setting.tenants),
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

const SIDES = ['without', 'with'] as const
type Side = (typeof SIDES)[number]
type Samples = Readonly<Record<Side, Sample[]>>

async function measureBoth(
  sides: Sides,
  options: BenchmarkOptions,
  manyTenants: number | undefined,
): Promise<Metrics> {
  options.progress('warming up')
  for (const side of SIDES) await sample(sides, side, CLIENTS, options.quick ? 10 : 500)
  const few = await compare(sides, options, async () => undefined)
  if (manyTenants === undefined) return few
  const tenants = options.quick ? 40 : manyTenants
  options.progress(`signing ${tenants} users up on either side`)
  for (const side of SIDES) await signUpOnEach(sides[side], CLIENTS, tenants / CLIENTS)
  const many = await compare(sides, options, () => checkpoint(sides.superuser))
  const { ratio_to_bare_insert, throughput_ratio_4_clients, added_ms, wal_bytes } = many
  return {
    ...few,
    added_ms_60000_tenants: added_ms,
    ratio_to_bare_insert_60000_tenants: ratio_to_bare_insert,
    throughput_ratio_4_clients_60000_tenants: throughput_ratio_4_clients,
    wal_bytes_60000_tenants: wal_bytes,
  }
}

async function compare(sides: Sides, options: BenchmarkOptions, beforeEach: () => Promise<void>) {
  const { quick, signal, progress, runs } = options
  const rows = quick ? 50 : 2000
  const alone: Samples = { without: [], with: [] }
  const together: Samples = { without: [], with: [] }
  const multixactBefore = await nextMultixact(sides.superuser)
  for (let run = 0; run < runs; run++) {
    signal.throwIfAborted()
    progress(`run ${run + 1} of ${runs}`)
    // The order changes from run to run: a drift of the machine's speed must not favour one side.
    const order = run % 2 === 0 ? SIDES : SIDES.toReversed()
    for (const side of order) {
      await beforeEach()
      alone[side].push(await sample(sides, side, 1, rows))
    }
    for (const side of order) {
      await beforeEach()
      together[side].push(await sample(sides, side, CLIENTS, rows / 2))
    }
  }
  const multixacts = (await nextMultixact(sides.superuser)) - multixactBefore
  return {
    ...summarize(alone, together),
    multixacts_per_sign_up: multixacts / ((runs * CLIENTS * rows) / 2),
  }
}

interface Sample {
  /** As one client sees it. */
  readonly msPerRow: number
  readonly rowsPerSecond: number
  readonly walBytesPerRow: number
  readonly ringsPerSecond: number
  readonly cpuMsPerRow: number | undefined
}

async function sample(sides: Sides, side: Side, clients: number, rows: number): Promise<Sample> {
  const auth = sides[side]
  const pids = await backendPids(auth)
  const before = await readCounters(sides.superuser)
  const cpuBefore = await totalCpuMs(pids)
  const tookMs = await signUpOnEach(auth, clients, rows)
  const cpuAfter = await totalCpuMs(pids)
  const after = await readCounters(sides.superuser)
  // What is still in the queue would be worked off during the next measurement.
  await sides.superuser`truncate net.http_request_queue`
  const made = clients * rows
  return {
    msPerRow: tookMs / rows,
    rowsPerSecond: (made * 1000) / tookMs,
    walBytesPerRow: (after.walBytes - before.walBytes) / made,
    ringsPerSecond: ((after.rings - before.rings) * 1000) / tookMs,
    cpuMsPerRow:
      cpuBefore === undefined || cpuAfter === undefined ? undefined : (cpuAfter - cpuBefore) / made,
  }
}

async function readCounters(superuser: postgres.Sql): Promise<{ walBytes: number; rings: number }> {
  const [row] = await superuser<{ walBytes: number; rings: number }[]>`
    select (pg_current_wal_insert_lsn() - '0/0')::float8 as "walBytes",
      coalesce(pg_sequence_last_value('net.http_request_queue_id_seq'), 0)::float8 as rings`
  if (!row) throw new Error('The counters could not be read.')
  return row
}

async function checkpoint(superuser: postgres.Sql): Promise<void> {
  await superuser`checkpoint`
}

/** The server tells the number only as of its last checkpoint, so this makes one. */
async function nextMultixact(superuser: postgres.Sql): Promise<number> {
  await checkpoint(superuser)
  const [row] = await superuser<{ next: number }[]>`
    select next_multixact_id::text::float8 as next from pg_control_checkpoint()`
  if (!row) throw new Error('The multixact number could not be read.')
  return row.next
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

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function summarize(alone: Samples, together: Samples) {
  const paired = (
    samples: Samples,
    measured: (sample: Sample) => number,
    combine: (withBundle: number, without: number) => number,
  ) =>
    median(
      samples.with.map((withBundle, run) => {
        const without = samples.without[run]
        return without === undefined ? Number.NaN : combine(measured(withBundle), measured(without))
      }),
    )
  const ms = ({ msPerRow }: Sample) => msPerRow
  const rate = ({ rowsPerSecond }: Sample) => rowsPerSecond
  const cpu = (name: string, samples: readonly Sample[]) => {
    const known = samples.flatMap(({ cpuMsPerRow }) => cpuMsPerRow ?? [])
    // A mean, because the system counts CPU time in steps of 10 ms.
    return known.length === 0 ? {} : { [name]: mean(known) }
  }
  return {
    added_ms: paired(alone, ms, (withBundle, without) => withBundle - without),
    ratio_to_bare_insert: paired(alone, ms, (withBundle, without) => withBundle / without),
    throughput_ratio_4_clients: paired(together, rate, (withBundle, without) => withBundle / without),
    wal_bytes: median(alone.with.map(({ walBytesPerRow }) => walBytesPerRow)),
    rings_per_second: mean(together.with.map(({ ringsPerSecond }) => ringsPerSecond)),
    sign_ups_per_second_4_clients: median(together.with.map(rate)),
    bare_ms: median(alone.without.map(ms)),
    bare_inserts_per_second_4_clients: median(together.without.map(rate)),
    bare_wal_bytes: median(alone.without.map(({ walBytesPerRow }) => walBytesPerRow)),
    ...cpu('cpu_ms_with', alone.with),
    ...cpu('cpu_ms_without', alone.without),
  }
}
