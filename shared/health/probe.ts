import { checkServerIdentity } from 'node:tls'
import type postgres from 'postgres'
import { z } from 'zod'
import { networkError } from '../kernel/database/socket.ts'
import { serverOf, type TenantAddress } from '../tenant-database/address.ts'
import { openTenantSession, type SessionHooks, type SessionLimits } from '../tenant-database/session.ts'
import { issuerOf, type ShownCertificate, shownCertificate } from './certificate.ts'
import { type Counters, MEANINGFUL_BLOCKS, type Metrics } from './evaluate.ts'
import type { ExpectedSchema } from './expected-schemas.ts'
import { type Reason, trouble, troubleOf } from './reasons.ts'
import { lookAtSchema } from './schema-look.ts'

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
      readonly sessionOpened: boolean
    }

/**
 * Connects through the pooler and directly, measures, and closes both; wakes a sleeping compute. Ends after `timeoutMs` at the
 * latest. Never throws: what goes wrong is a reason.
 * @param previous what the last connection measured, for rates and growth
 * @param expected what the schema is compared with; without it, what is known of the schema stays
 */
export async function probeDatabase(
  address: TenantAddress,
  password: string,
  previous: Metrics,
  timeoutMs: number,
  expected?: ExpectedSchema,
): Promise<Probe> {
  const seen: Seen = { sessionOpened: false, certificateExpiresAt: undefined, certificateIssuer: undefined }
  const measurementMs = timeoutMs * MEASUREMENT_SHARE
  const sessions = (['pooled', 'direct'] as const).map((through) =>
    openTenantSession(address, password, through, limitsWithin(measurementMs), hooksFor(seen)),
  )
  const [pooled, direct] = sessions
  if (!pooled || !direct) throw new Error('two sessions were opened')
  const deadline = performance.now() + timeoutMs
  try {
    const results = await Promise.allSettled([
      measureLatency(pooled.sql),
      measureServer(direct.sql, previous).then(async (measured) => ({
        ...measured,
        ...(await lookAtSchema(direct.sql, expected, previous)),
      })),
    ])
    return await nameRefusal(judge(results, seen), address, deadline - performance.now())
  } finally {
    for (const session of sessions) void session.close()
  }
}

/** A check reads two rows of numbers. */
const MAX_BYTES = 64 * 1024

function limitsWithin(ms: number): SessionLimits {
  return { connectMs: ms, lifeMs: ms, maxBytes: MAX_BYTES, statementMs: Math.ceil(ms), lockMs: Math.ceil(ms) }
}

/** What is noted while connections are made. */
interface Seen {
  sessionOpened: boolean
  certificateExpiresAt: string | undefined
  certificateIssuer: string | undefined
}

function hooksFor(seen: Seen): SessionHooks {
  return {
    // The first thing that a server says in a session; a login that is refused never gets so far.
    onSession: () => {
      seen.sessionOpened = true
    },
    // Node and Deno (2.9) both call it.
    checkServerIdentity: (host, certificate) => {
      if (certificate.valid_to) seen.certificateExpiresAt = new Date(certificate.valid_to).toISOString()
      seen.certificateIssuer = issuerOf(certificate)
      return checkServerIdentity(host, certificate)
    },
  }
}

function judge(
  results: readonly PromiseSettledResult<Metrics>[],
  { sessionOpened, certificateExpiresAt, certificateIssuer }: Seen,
): Probe {
  const [pooled, direct] = results.map((result) => (result.status === 'fulfilled' ? result.value : {}))
  const metrics = {
    ...pooled,
    ...direct,
    ...(certificateExpiresAt ? { certificate_expires_at: certificateExpiresAt } : {}),
    ...(certificateIssuer ? { certificate_issuer: certificateIssuer } : {}),
  }
  const broken = results.filter((result) => result.status === 'rejected')
  // The direct host's, if it is in trouble too: Postgres says why, while a pooler may only let us wait.
  const last = broken.at(-1)
  if (!last) return { ok: true, metrics }
  return {
    ok: false,
    reason: troubleOf(last.reason, whichHost(results, broken.length)),
    metrics,
    sessionOpened,
  }
}

/** Looks again at a certificate that was refused, because not every platform says why. */
async function nameRefusal(probe: Probe, address: TenantAddress, timeoutMs: number): Promise<Probe> {
  if (probe.ok || probe.reason.code !== 'certificate_invalid') return probe
  const servers = (['pooled', 'direct'] as const).map((through) => serverOf(address, through))
  const shown = await Promise.all(servers.map(({ host, port }) => shownCertificate(host, port, timeoutMs)))
  const expired = shown.some((each) => each?.end !== undefined && each.end < Date.now())
  if (expired) return { ...probe, reason: trouble('certificate_expired') }
  const why = whyRefused(shown.filter((each) => each !== undefined))
  return why ? { ...probe, reason: { ...probe.reason, message: `${probe.reason.message} ${why}` } } : probe
}

/** Which of the hosts was refused is not known here, so only what is true of both is said of an issuer. */
function whyRefused(shown: readonly ShownCertificate[]): string | undefined {
  if (shown.some(({ isForHost }) => !isForHost)) return 'It is made out for another host.'
  const [issuer, ...others] = new Set(shown.map((each) => each.issuer))
  return issuer && others.length === 0 ? `It was issued by ${issuer}, which is not trusted here.` : undefined
}

/** In words, when only one of the two is in trouble. */
function whichHost([pooled]: readonly PromiseSettledResult<unknown>[], broken: number): string | undefined {
  if (broken !== 1) return undefined
  return pooled?.status === 'rejected' ? 'only the pooled host' : 'only the direct host'
}

/** A pooler keeps settings of a session from us and from each other, so each statement brings its own. */
const ROUND_TRIP = `begin; set local search_path = pg_catalog, pg_temp; select 1; commit`

/** The first message waits for network, TLS, login and a waking compute; the second one only for its round trip. */
async function measureLatency(sql: postgres.Sql): Promise<Metrics> {
  const startedAt = performance.now()
  await sql.unsafe(ROUND_TRIP)
  const connectedAt = performance.now()
  await sql.unsafe(ROUND_TRIP)
  const latency = performance.now() - connectedAt
  return {
    latency_ms: rounded(latency),
    pooled_connect_ms: rounded(Math.max(0, connectedAt - startedAt - latency)),
  }
}

/** Beyond these no Postgres can be; what the owner of a database makes it say may be anything. */
const counter = z.coerce.number().min(0).max(Number.MAX_SAFE_INTEGER)
const connectionCount = z.int().min(0).max(1_000_000)
const time = z.date().min(new Date('2020-01-01T00:00:00Z')).max(new Date('2100-01-01T00:00:00Z'))

const serverRow = z.object({
  now: time,
  size: counter,
  transactions: counter,
  hits: counter,
  reads: counter,
  statsReset: time.nullable(),
  connections: connectionCount,
  maxConnections: connectionCount,
  // A query may have begun after ours.
  longestSeconds: z.number().min(-DAY_MS).max(1_000_000_000).nullable(),
})

type ServerRow = z.infer<typeof serverRow>

async function measureServer(sql: postgres.Sql, previous: Metrics): Promise<Metrics> {
  const startedAt = performance.now()
  const [answer] = await sql`
    select now(), pg_catalog.pg_database_size(d.datname) as size, d.xact_commit + d.xact_rollback as transactions,
      d.blks_hit as hits, d.blks_read as reads, d.stats_reset as "statsReset",
      pg_catalog.current_setting('max_connections')::int as "maxConnections",
      (select count(*)::int from pg_catalog.pg_stat_activity a
        where a.datname = d.datname and a.backend_type = 'client backend') as connections,
      (select max(extract(epoch from now() - a.query_start))::float8 from pg_catalog.pg_stat_activity a
        where a.datname = d.datname and a.state = 'active' and a.backend_type = 'client backend'
          and a.pid <> pg_catalog.pg_backend_pid()) as "longestSeconds"
    from pg_catalog.pg_stat_database d where d.datname = pg_catalog.current_database()`
  const connectMs = performance.now() - startedAt
  const parsed = serverRow.safeParse(answer)
  if (!parsed.success)
    throw networkError('MEASUREMENT_INVALID', 'the database says what cannot be of its statistics')
  const row = parsed.data
  const blocks = row.hits + row.reads
  return {
    connect_ms: rounded(connectMs),
    size_bytes: row.size,
    connections: row.connections,
    max_connections: row.maxConnections,
    longest_query_seconds: rounded(Math.max(0, row.longestSeconds ?? 0)),
    ...(blocks >= MEANINGFUL_BLOCKS ? { cache_hit_ratio: Number((row.hits / blocks).toFixed(4)) } : {}),
    ...rate(row, previous.counters),
    ...growth(row.now, row.size, previous),
  }
}

/** Transactions since the last check, unless the statistics were reset in between. */
function rate({ now, transactions, statsReset }: ServerRow, before: Counters | undefined): Metrics {
  const counters = {
    at: now.toISOString(),
    transactions,
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
