import { checkServerIdentity } from 'node:tls'
import postgres from 'postgres'
import type { TenantAddress } from '../tenant-database/address.ts'
import { connectionOptions } from '../tenant-database/connection.ts'
import { certificateEnd } from './certificate.ts'
import { type Counters, MEANINGFUL_BLOCKS, type Metrics } from './evaluate.ts'
import { type Reason, trouble, troubleOf } from './reasons.ts'

/** Growth is told from sizes at least so far apart, and the older one is kept for a day. */
const GROWTH_SAMPLE_MS = 3_600_000
const DAY_MS = 86_400_000
/** Rates over less than this would be noise. */
const SHORTEST_RATE_MS = 1_000
/** Of the time for the whole probe, so that it ends knowing what each of its two connections did. */
const MEASUREMENT_SHARE = 0.9

export type Probe =
  | { readonly ok: true; readonly metrics: Metrics }
  | {
      readonly ok: false
      readonly reason: Reason
      /** Of the host that is not in trouble. */
      readonly metrics: Metrics
      /** A session was opened on one of the hosts at least. */
      readonly letIn: boolean
    }

/**
 * Connects through the pooler and directly, measures, and closes both; wakes a sleeping compute. Ends after `timeoutMs` at the
 * latest. Never throws: what goes wrong is a reason.
 * @param previous what the last connection measured, for rates and growth
 */
export async function probeDatabase(
  address: TenantAddress,
  password: string,
  previous: Metrics,
  timeoutMs: number,
): Promise<Probe> {
  const seen: Seen = { letIn: false, certificateExpiresAt: undefined }
  const clients = (['pooled', 'direct'] as const).map((through) =>
    postgres(clientOptions(address, password, through, timeoutMs, seen)),
  )
  const [pooled, direct] = clients
  if (!pooled || !direct) throw new Error('two clients were made')
  const measurementMs = timeoutMs * MEASUREMENT_SHARE
  const deadline = performance.now() + timeoutMs
  try {
    const results = await Promise.allSettled([
      within(measurementMs, measureLatency(pooled)),
      within(measurementMs, measureServer(direct, previous)),
    ])
    return await nameExpiry(judge(results, seen), address, deadline - performance.now())
  } finally {
    for (const client of clients) void client.end({ timeout: 0 }).catch(() => undefined)
  }
}

/** What is noted while connections are made. */
interface Seen {
  letIn: boolean
  certificateExpiresAt: string | undefined
}

/** @throws an error with the code TIMEOUT */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('too slow'), { code: 'TIMEOUT' })), ms)
  })
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer))
}

function clientOptions(
  address: TenantAddress,
  password: string,
  through: 'direct' | 'pooled',
  timeoutMs: number,
  seen: Seen,
): postgres.Options<Record<string, never>> {
  const options = connectionOptions(address, password, through)
  const ssl = options.ssl
    ? {
        // Only listens in: what the platform checks by itself is checked in any case. Node and Deno (2.9) both call it.
        checkServerIdentity: (host: string, certificate: Parameters<typeof checkServerIdentity>[1]) => {
          if (certificate.valid_to) seen.certificateExpiresAt = new Date(certificate.valid_to).toISOString()
          return checkServerIdentity(host, certificate)
        },
      }
    : false
  // The first thing that a server says in a session; a login that is refused never gets so far.
  const onparameter = () => {
    seen.letIn = true
  }
  return { ...options, ssl, connect_timeout: timeoutMs / 1000, onparameter }
}

function judge(
  results: readonly PromiseSettledResult<Metrics>[],
  { letIn, certificateExpiresAt }: Seen,
): Probe {
  const [pooled, direct] = results.map((result) => (result.status === 'fulfilled' ? result.value : {}))
  const metrics = {
    ...pooled,
    ...direct,
    ...(certificateExpiresAt ? { certificate_expires_at: certificateExpiresAt } : {}),
  }
  const broken = results.filter((result) => result.status === 'rejected')
  const [first] = broken
  if (!first) return { ok: true, metrics }
  return { ok: false, reason: troubleOf(first.reason, whichHost(results, broken.length)), metrics, letIn }
}

/** Looks again at a certificate that was refused, because not every platform says that it has expired. */
async function nameExpiry(
  probe: Probe,
  { host, pooledHost, port }: TenantAddress,
  timeoutMs: number,
): Promise<Probe> {
  if (probe.ok || probe.reason.code !== 'certificate_invalid') return probe
  const hosts = [...new Set([pooledHost, host])].filter((name) => name !== null)
  const ends = await Promise.all(hosts.map((name) => certificateEnd(name, port ?? 5432, timeoutMs)))
  const expired = ends.some((end) => end !== undefined && end < Date.now())
  return expired ? { ...probe, reason: trouble('certificate_expired') } : probe
}

/** In words, when only one of the two is in trouble. */
function whichHost([pooled]: readonly PromiseSettledResult<unknown>[], broken: number): string | undefined {
  if (broken !== 1) return undefined
  return pooled?.status === 'rejected' ? 'only the pooled host' : 'only the direct host'
}

/** The first query waits for network, TLS, login and a waking compute; the second one only for its round trip. */
async function measureLatency(sql: postgres.Sql): Promise<Metrics> {
  const startedAt = performance.now()
  await sql`select 1`
  const connectedAt = performance.now()
  await sql`select 1`
  const latency = performance.now() - connectedAt
  return {
    latency_ms: rounded(latency),
    pooled_connect_ms: rounded(Math.max(0, connectedAt - startedAt - latency)),
  }
}

interface ServerRow {
  readonly now: Date
  readonly size: string
  readonly transactions: string
  readonly hits: string
  readonly reads: string
  readonly statsReset: Date | null
  readonly connections: number
  readonly maxConnections: number
  readonly longestSeconds: number | null
}

async function measureServer(sql: postgres.Sql, previous: Metrics): Promise<Metrics> {
  const startedAt = performance.now()
  const [row] = await sql<ServerRow[]>`
    select now(), pg_database_size(d.datname) as size, d.xact_commit + d.xact_rollback as transactions, d.blks_hit as hits,
      d.blks_read as reads, d.stats_reset as "statsReset", current_setting('max_connections')::int as "maxConnections",
      (select count(*)::int from pg_stat_activity a
        where a.datname = d.datname and a.backend_type = 'client backend') as connections,
      (select max(extract(epoch from now() - a.query_start))::float8 from pg_stat_activity a
        where a.datname = d.datname and a.state = 'active' and a.backend_type = 'client backend'
          and a.pid <> pg_backend_pid()) as "longestSeconds"
    from pg_stat_database d where d.datname = current_database()`
  const connectMs = performance.now() - startedAt
  if (!row) throw new Error('the database has no statistics of itself')
  const version = await schemaVersion(sql)
  const size = Number(row.size)
  const blocks = Number(row.hits) + Number(row.reads)
  return {
    connect_ms: rounded(connectMs),
    size_bytes: size,
    connections: row.connections,
    max_connections: row.maxConnections,
    longest_query_seconds: rounded(row.longestSeconds ?? 0),
    ...(blocks >= MEANINGFUL_BLOCKS
      ? { cache_hit_ratio: Number((Number(row.hits) / blocks).toFixed(4)) }
      : {}),
    ...(version === undefined ? {} : { schema_version: version }),
    ...rate(row, previous.counters),
    ...growth(row.now, size, previous),
  }
}

async function schemaVersion(sql: postgres.Sql): Promise<number | undefined> {
  const rows = await sql<
    { version: number | null }[]
  >`select max(version) as version from provisioning.schema_migrations`.catch((error: unknown) => {
    // No table, no schema, or no right to read it.
    if (error instanceof postgres.PostgresError && /^(42P01|3F000|42501)$/.test(error.code)) return []
    throw error
  })
  return rows[0]?.version ?? undefined
}

/** Transactions since the last check, unless the statistics were reset in between. */
function rate({ now, transactions, statsReset }: ServerRow, before: Counters | undefined): Metrics {
  const counters = {
    at: now.toISOString(),
    transactions: Number(transactions),
    statsReset: statsReset?.toISOString() ?? null,
  }
  if (before === undefined || before.statsReset !== counters.statsReset) return { counters }
  const elapsedMs = now.getTime() - Date.parse(before.at)
  const done = counters.transactions - before.transactions
  // Counted on, so that somebody who asks again and again gets a rate all the same.
  if (elapsedMs < SHORTEST_RATE_MS) return { counters: before }
  if (done < 0) return { counters }
  return { counters, transactions_per_second: rounded((done / elapsedMs) * 1000) }
}

function growth(now: Date, bytes: number, { sample, growth_bytes_per_day: known }: Metrics): Metrics {
  const fresh = { at: now.toISOString(), bytes }
  if (sample === undefined) return { sample: fresh }
  const ageMs = now.getTime() - Date.parse(sample.at)
  if (ageMs < GROWTH_SAMPLE_MS)
    return { sample, ...(known === undefined ? {} : { growth_bytes_per_day: known }) }
  const perDay = Math.round(((bytes - sample.bytes) / ageMs) * DAY_MS)
  return { sample: ageMs > DAY_MS ? fresh : sample, growth_bytes_per_day: perDay }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
