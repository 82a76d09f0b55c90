import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect, createServer, type Server } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { z } from 'zod'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import { type PostgresServer, SUPERUSER } from '../../local/postgres/server.ts'
import { createTenantDatabase, TENANT_DATABASE } from '../../local/tenant-graphql/tenant-database.ts'
import { tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { freePort } from '../../tools/ports.ts'
import { projectRoot } from '../../tools/project.ts'
import { type Benchmark, type BenchmarkOptions, interruptible, type Metrics } from './benchmark.ts'
import { WITHOUT_DISK_WAITS, withConnections, withServer } from './servers.ts'
import { median, percentile } from './statistics.ts'
import { insertTenants } from './synthetic-fleet.ts'

const DATABASE = 'postgres'
const CLIENTS = 8
const CONTACTS = 1_000
const ROUND_TRIP_MS = 20
const PASSWORD = 'bench'
const QUERY = `query ($first: Int!) { contacts(first: $first, orderBy: [LAST_NAME_ASC]) { nodes { id firstName lastName email status
  company { id name } activities(first: 3, orderBy: [CREATED_AT_DESC]) { nodes { id type subject createdAt } } } } }`
const OWN_ID = '{ organizations(first: 2) { nodes { id } } }'

const memoryUsage = z.object({ rss: z.number(), heapUsed: z.number(), external: z.number() })

const require = createRequire(import.meta.url)
const DENOS = {
  'Deno 2.9': path.join(path.dirname(require.resolve('deno/package.json')), 'deno'),
  'Deno 2.1': path.join(path.dirname(require.resolve('deno-2.1/package.json')), 'deno'),
}

/**
 * 50 contacts with their company and last three activities, over HTTP and with the key checked, beside the same answer by
 * hand-written SQL with the same checks in the same process. All tenants' rows are in one database, and each tenant's connections
 * are its own. Of both versions of Deno the worse figure counts.
 */
export const tenantGraphql: Benchmark = {
  name: 'tenant-graphql',
  summary: 'a tenant’s GraphQL endpoint beside hand-written SQL',
  defaultRuns: 1,
  aims: [
    { metric: 'p50_ratio_to_hand_written_sql', is: 'at most', value: 1.7 },
    { metric: 'throughput_ratio_to_hand_written_sql', is: 'at least', value: 0.55 },
    { metric: 'rss_1000_tenants_mb', is: 'at most', value: 200 },
  ],
  run: (options) =>
    withServer(WITHOUT_DISK_WAITS, async (server) => {
      const tenants = options.quick ? 60 : (options.tenants ?? 1_000)
      const keys = await prepare(server, tenants, options)
      const slow = await startDelay(server.port, ROUND_TRIP_MS / 2)
      try {
        const measured: Metrics[] = []
        const details: string[] = []
        const problems: string[] = []
        for (const [name, program] of Object.entries(DENOS)) {
          options.progress(`measuring on ${name}`)
          const bench = { server, program, keys, problems, slowPort: slow.port }
          const { metrics, memory } = await measure(bench, options)
          measured.push(metrics)
          details.push(
            `memory on ${name}, MB of the process (V8's objects, and buffers beside): ${memory.join('; ')}`,
          )
        }
        return { metrics: worse(measured), details, problems }
      } finally {
        slow.server.close()
      }
    }),
}

/** Of each figure the worse one: the lower throughput, the higher of everything else. */
function worse(measured: readonly Metrics[]): Metrics {
  const names = Object.keys(measured[0] ?? {})
  return Object.fromEntries(
    names.map((name) => {
      const values = measured.map((each) => each[name] ?? Number.NaN)
      return [name, name.startsWith('throughput') ? Math.min(...values) : Math.max(...values)]
    }),
  )
}

/** @returns a key of each tenant, by organization */
async function prepare(
  server: PostgresServer,
  tenants: number,
  { progress, signal }: BenchmarkOptions,
): Promise<[organizationId: string, key: string][]> {
  progress('creating the project')
  await createPlatformDatabase(server, DATABASE)
  await migrate(server.url(DATABASE, 'postgres'))
  await createTenantDatabase(server, tenantSchemaFiles)
  progress(`making ${tenants} tenants`)
  return withConnections(server.url(DATABASE, SUPERUSER), 1, (project) =>
    withConnections(server.url(TENANT_DATABASE, SUPERUSER), 1, async (tenant) => {
      await insertTenants(project, tenants)
      await project`update provisioning.settings set tenant_requests_per_minute = 1000000`
      await project`update public.organization_databases set host = '127.0.0.1', pooled_host = '127.0.0.1', port = ${server.port},
        database_name = ${TENANT_DATABASE}, ssl_mode = 'disable', schema_version = ${tenantSchemaFiles.length}, graphql_enabled = true`
      await project`select provisioning.keep_secret(provisioning.login_secret(organization_id, 'graphql'), ${PASSWORD}, 'bench')
        from public.organization_databases`
      await tenant.unsafe(`alter role ${TENANT_DATABASE}_graphql login password '${PASSWORD}'`)
      const rows = await interruptible(
        project<{ id: string; key: string }[]>`
          select id, provisioning.insert_api_key(id, 'bench', 'read', null, null) ->> 'key' as key from public.organizations
          order by length(name), name`,
        signal,
      )
      await fill(
        tenant,
        rows.map(({ id }) => id),
      )
      return rows.map(({ id, key }): [string, string] => [id, key])
    }),
  )
}

async function fill(tenant: postgres.Sql, ids: readonly string[]): Promise<void> {
  await tenant`insert into public.organizations (id, name, slug)
    select id, 'Tenant', id::text from unnest(${ids}::uuid[]) id`
  const [first = ''] = ids
  await tenant.unsafe(`
    insert into public.companies (organization_id, name) select '${first}', 'Company ' || n from generate_series(1, 100) n;
    insert into public.contacts (organization_id, first_name, last_name, email, company_id)
      select '${first}', 'First ' || n, 'Last ' || lpad(n::text, 5, '0'), 'contact' || n || '@example.com', c.id
      from generate_series(1, ${CONTACTS}) n
      join (select id, row_number() over (order by id) as place from public.companies) c on c.place = 1 + n % 100;
    insert into public.activities (organization_id, contact_id, type, subject, created_at)
      select '${first}', c.id, 'call', 'Call ' || n, now() - n * interval '1 hour'
      from public.contacts c cross join generate_series(1, 5) n;
    analyze;`)
}

interface Bench {
  readonly server: PostgresServer
  readonly program: string
  readonly keys: readonly [organizationId: string, key: string][]
  readonly problems: string[]
  readonly slowPort: number
}

interface Measured {
  readonly metrics: Metrics
  /** How much there is after each phase. */
  readonly memory: readonly string[]
}

async function measure(bench: Bench, { quick, signal }: BenchmarkOptions): Promise<Measured> {
  const cold: number[] = []
  const key = bench.keys[0]?.[1] ?? ''
  for (let start = 0; start < (quick ? 1 : 3); start++)
    await withFunction(bench, async (url) => {
      cold.push(await timeOf(() => ask(`${url}/graphql`, key, { query: QUERY, variables: { first: 50 } })))
    })
  return withFunction(bench, async (url) => {
    const memory: string[] = []
    const note = async (phase: string): Promise<number> => {
      const { rss, heapUsed, external } = memoryUsage.parse(await (await fetch(`${url}/memory`)).json())
      const [all = 0, ...parts] = [rss, heapUsed, external].map((bytes) => bytes / 1024 / 1024)
      memory.push(`${phase} ${all.toFixed(0)} (${parts.map((each) => each.toFixed(0)).join(', ')})`)
      return all
    }
    await note('started')
    const seconds = quick ? 0.5 : 3
    const byGraphql = () => ask(`${url}/graphql`, key, { query: QUERY, variables: { first: 50 } })
    const byHand = () => ask(`${url}/by-hand`, key, { first: 50 })
    await expectSame(await byGraphql(), await byHand(), bench.problems)
    await note('first query')
    for (let round = 0; round < (quick ? 1 : 2); round++)
      for (const work of [byGraphql, byHand]) await load(work, quick ? 0.3 : 1.5, signal)
    const rounds = { graphql: [] as Load[], byHand: [] as Load[] }
    for (let round = 0; round < (quick ? 1 : 4); round++) {
      rounds.graphql.push(await load(byGraphql, seconds, signal))
      rounds.byHand.push(await load(byHand, seconds, signal))
    }
    const [graphql, hand] = [together(rounds.graphql), together(rounds.byHand)]
    await note(`${CLIENTS} clients`)
    await askAll(url, bench, signal)
    const rss = await note(`${bench.keys.length} tenants`)
    const metrics = {
      p50_ratio_to_hand_written_sql: percentile(graphql.times, 50) / percentile(hand.times, 50),
      throughput_ratio_to_hand_written_sql: graphql.perSecond / hand.perSecond,
      rss_1000_tenants_mb: rss,
      warm_p50_ms: percentile(graphql.times, 50),
      warm_p99_ms: percentile(graphql.times, 99),
      throughput_per_second: graphql.perSecond,
      cold_ms: median(cold),
      p50_at_20_ms_round_trip_ms: await atDistance(bench, byGraphql, signal),
    }
    return { metrics, memory }
  })
}

interface Load {
  readonly times: readonly number[]
  readonly perSecond: number
}

function together(loads: readonly Load[]): Load {
  return {
    times: loads.flatMap(({ times }) => times),
    perSecond: median(loads.map(({ perSecond }) => perSecond)),
  }
}

async function load(work: () => Promise<unknown>, seconds: number, signal: AbortSignal): Promise<Load> {
  const times: number[] = []
  const startedAt = performance.now()
  const client = async () => {
    while (performance.now() - startedAt < seconds * 1000 && !signal.aborted) times.push(await timeOf(work))
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  signal.throwIfAborted()
  return { times, perSecond: (times.length / (performance.now() - startedAt)) * 1000 }
}

/** Every tenant asks once for its own id, all in one process, and once more. */
async function askAll(url: string, { keys, problems }: Bench, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const left = [...keys]
    const client = async () => {
      for (let next = left.pop(); next && !signal.aborted; next = left.pop()) {
        const [organizationId, key] = next
        const answer = await ask(`${url}/graphql`, key, { query: OWN_ID })
        if (answer !== `{"data":{"organizations":{"nodes":[{"id":"${organizationId}"}]}}}`)
          problems.push(`A tenant was answered ${answer.slice(0, 200)}.`)
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))
  }
}

/** With a database that is so far away that a round trip takes 20 ms. */
async function atDistance(
  { server, slowPort, keys }: Bench,
  work: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<number> {
  const move = (port: number) =>
    withConnections(
      server.url(DATABASE, SUPERUSER),
      1,
      (project) =>
        project`update public.organization_databases set port = ${port} where organization_id = ${keys[0]?.[0] ?? ''}`,
    )
  await move(slowPort)
  // What is known of a key is good for so long.
  await sleep(1_000)
  try {
    await load(work, 0.5, signal)
    return percentile((await load(work, 2, signal)).times, 50)
  } finally {
    await move(server.port)
  }
}

/** Passes everything on with a delay, in both directions. */
async function startDelay(port: number, delayMs: number): Promise<{ server: Server; port: number }> {
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true)
      from.on('data', (chunk) => setTimeout(() => to.write(chunk), delayMs))
      from.on('close', () => setTimeout(() => to.destroy(), delayMs))
      from.on('error', () => to.destroy())
    }
  })
  const own = await freePort()
  server.listen(own, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: own }
}

async function withFunction<T>({ server, program }: Bench, work: (url: string) => Promise<T>): Promise<T> {
  const port = await freePort()
  const args = [
    'run',
    // The heap of a hosted function, whose limit V8 knows from the beginning; without it V8 collects later, as this machine is larger.
    '--v8-flags=--max-heap-size=256',
    '--no-prompt',
    '--no-lock',
    '--cached-only',
    '--allow-net',
    '--allow-env',
    '--allow-sys',
    `--allow-read=${projectRoot}`,
    `--config=${path.join(projectRoot, 'deno.json')}`,
    path.join(projectRoot, 'tests/benchmarks/tenant-graphql-server.ts'),
    String(port),
  ]
  const child = spawn(program, args, {
    env: {
      ...process.env,
      SUPABASE_URL: 'http://127.0.0.1:1',
      SUPABASE_DB_URL: server.url(DATABASE, 'postgres'),
      SUPABASE_SECRET_KEYS: '{"default":"sb_secret_bench"}',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  try {
    const url = `http://127.0.0.1:${port}`
    await untilListening(child, url)
    return await work(url)
  } finally {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
}

async function untilListening(child: ChildProcess, url: string): Promise<void> {
  while (child.exitCode === null) {
    const reply = await fetch(`${url}/memory`).catch(() => undefined)
    await reply?.body?.cancel()
    if (reply) return
    await sleep(20)
  }
  throw new Error('The function ended before it listened.')
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

/** @throws Error unless it is answered without errors */
async function ask(url: string, key: string, body: object): Promise<string> {
  const reply = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await reply.text()
  if (!reply.ok || text.includes('"errors"'))
    throw new Error(`The endpoint answered ${reply.status}: ${text.slice(0, 300)}`)
  return text
}

/** Times are written in different ways. */
async function expectSame(one: string, other: string, problems: string[]): Promise<void> {
  const plain = (text: string) =>
    JSON.stringify(JSON.parse(text, (name, value) => (name === 'createdAt' ? undefined : value)))
  if (plain(one) !== plain(other)) problems.push('GraphQL and the hand-written SQL answer differently.')
}
