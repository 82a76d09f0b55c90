import { OUTDATED, type Reason, type Severity, statusFrom } from './reasons.ts'

/** A row of provisioning.health_thresholds, with the plan's storage quota. */
export interface Thresholds {
  readonly latency_degraded_ms: number
  readonly latency_unhealthy_ms: number
  readonly connect_degraded_ms: number
  readonly connections_degraded_percent: number
  readonly connections_unhealthy_percent: number
  readonly cache_hit_degraded_percent: number
  readonly longest_query_degraded_seconds: number
  readonly storage_degraded_percent: number
  readonly storage_unhealthy_percent: number
  readonly storage_degraded_days_left: number
  readonly certificate_degraded_days: number
  /** Null is unlimited. */
  readonly quota_bytes: number | null
}

/** What one check measured. Units are in the names; what could not be measured is absent. */
export interface Metrics {
  /** Round trip of `select 1` on an open connection through the pooler. */
  readonly latency_ms?: number
  /** From nothing to a session: network, TLS, login. */
  readonly connect_ms?: number
  readonly pooled_connect_ms?: number
  readonly transactions_per_second?: number
  /** Blocks found in memory, of all that were read since the statistics were reset: 0 to 1. */
  readonly cache_hit_ratio?: number
  readonly longest_query_seconds?: number
  readonly connections?: number
  readonly max_connections?: number
  readonly size_bytes?: number
  readonly quota_bytes?: number
  readonly growth_bytes_per_day?: number
  readonly schema_version?: number
  /** ISO 8601. */
  readonly certificate_expires_at?: string
  /** Who has issued it, as the certificate has it. */
  readonly certificate_issuer?: string
  /** ISO 8601: when the catalogue was last compared with what the files of the schema have made. */
  readonly schema_looked_at?: string
  /** What was found then, such as a column that is missing; absent when nothing was. */
  readonly schema_differences?: readonly string[]
  /** ISO 8601: when the services beside the database were last asked for, and which were ill then. */
  readonly services_looked_at?: string
  readonly ill_services?: readonly string[]
  /** What its host called the state that it is in until it can be used again, and since when, in ISO 8601. */
  readonly changing?: { readonly said: string; readonly since: string } | null
  /** For the rates of the next check. */
  readonly counters?: Counters
  readonly sample?: SizeSample
}

export interface Counters {
  readonly at: string
  readonly transactions: number
  readonly statsReset: string | null
}

export interface SizeSample {
  readonly at: string
  readonly bytes: number
}

/** Below so many blocks the cache hit ratio says nothing: a database that has just woken begins with an empty cache. */
export const MEANINGFUL_BLOCKS = 50_000

const DAY_MS = 86_400_000

/** Judges what was measured. Pure: the same measurements give the same reasons. */
export function evaluate(
  metrics: Metrics,
  thresholds: Thresholds,
  latestSchemaVersion: number,
  now: number,
): { status: 'healthy' | 'degraded' | 'unhealthy'; reasons: Reason[] } {
  const reasons = [
    slowQueries(metrics, thresholds),
    slowConnect(metrics, thresholds),
    connections(metrics, thresholds),
    cacheHits(metrics, thresholds),
    longQuery(metrics, thresholds),
    ...storage(metrics, thresholds),
    certificate(metrics, thresholds, now),
    schema(metrics, latestSchemaVersion),
    drift(metrics),
  ].filter((reason) => reason !== undefined)
  return { status: statusFrom(reasons), reasons }
}

/** How full the storage is, also known of a database that sleeps. */
export function storage(
  { size_bytes: size, growth_bytes_per_day: growth = 0 }: Metrics,
  thresholds: Thresholds,
): Reason[] {
  const { quota_bytes: quota } = thresholds
  if (size === undefined || !quota) return []
  const percent = (size / quota) * 100
  const severity = level(percent, thresholds.storage_degraded_percent, thresholds.storage_unhealthy_percent)
  const full: Reason[] = severity
    ? [
        {
          code: 'storage_high',
          severity,
          message: `${whole(percent)} % of the storage quota is used (${mebibytes(size)} of ${mebibytes(quota)}).`,
        },
      ]
    : []
  const daysLeft = growth > 0 ? (quota - size) / growth : Number.POSITIVE_INFINITY
  const fills: Reason[] =
    daysLeft > 0 && daysLeft < thresholds.storage_degraded_days_left
      ? [
          {
            code: 'storage_fills_up',
            severity: 'degraded',
            message: `The storage quota will be used up in ${Math.max(1, Math.round(daysLeft))} days at the present growth of ${mebibytes(growth)} a day.`,
          },
        ]
      : []
  return [...full, ...fills]
}

function slowQueries({ latency_ms: latency }: Metrics, thresholds: Thresholds): Reason | undefined {
  if (latency === undefined) return undefined
  const severity = level(latency, thresholds.latency_degraded_ms, thresholds.latency_unhealthy_ms)
  return severity && { code: 'slow_queries', severity, message: `A round trip takes ${whole(latency)} ms.` }
}

function slowConnect(
  { pooled_connect_ms: pooled, connect_ms: direct }: Metrics,
  thresholds: Thresholds,
): Reason | undefined {
  const slowest = Math.max(pooled ?? 0, direct ?? 0)
  if (slowest < thresholds.connect_degraded_ms) return undefined
  return { code: 'slow_connect', severity: 'degraded', message: `Connecting takes ${whole(slowest)} ms.` }
}

function connections(
  { connections: used, max_connections: max }: Metrics,
  thresholds: Thresholds,
): Reason | undefined {
  if (used === undefined || !max) return undefined
  const percent = (used / max) * 100
  const severity = level(
    percent,
    thresholds.connections_degraded_percent,
    thresholds.connections_unhealthy_percent,
  )
  return (
    severity && {
      code: 'connections_high',
      severity,
      message: `${used} of ${max} connections are in use (${whole(percent)} %).`,
    }
  )
}

function cacheHits({ cache_hit_ratio: ratio }: Metrics, thresholds: Thresholds): Reason | undefined {
  if (ratio === undefined || ratio * 100 >= thresholds.cache_hit_degraded_percent) return undefined
  return {
    code: 'cache_hits_low',
    severity: 'degraded',
    message: `Only ${whole(ratio * 100)} % of the blocks are found in memory; a larger database size would help.`,
  }
}

function longQuery({ longest_query_seconds: seconds }: Metrics, thresholds: Thresholds): Reason | undefined {
  if (seconds === undefined || seconds < thresholds.longest_query_degraded_seconds) return undefined
  return {
    code: 'long_query',
    severity: 'degraded',
    message: `A query has been running for ${whole(seconds)} s.`,
  }
}

function certificate(
  { certificate_expires_at: expiresAt }: Metrics,
  thresholds: Thresholds,
  now: number,
): Reason | undefined {
  if (expiresAt === undefined) return undefined
  const days = (Date.parse(expiresAt) - now) / DAY_MS
  if (days >= thresholds.certificate_degraded_days) return undefined
  return {
    code: 'certificate_expires',
    severity: 'degraded',
    message: `The certificate of the database’s host expires in ${Math.max(0, Math.floor(days))} days.`,
  }
}

/** Not a fault of the tenant: after a deployment all of them are behind for a while. */
function schema({ schema_version: version }: Metrics, latest: number): Reason | undefined {
  if (version === undefined || version >= latest) return undefined
  return {
    code: 'schema_outdated',
    severity: 'info',
    message: `The schema is at version ${version} of ${latest}. ${OUTDATED}`,
  }
}

const DIFFERENCES_NAMED = 3

function drift({ schema_differences: differences = [] }: Metrics): Reason | undefined {
  if (differences.length === 0) return undefined
  const more = differences.length - DIFFERENCES_NAMED
  return {
    code: 'schema_drift',
    severity: 'degraded',
    message: `The schema was changed by hand: ${differences.slice(0, DIFFERENCES_NAMED).join(', ')}${more > 0 ? `, and ${more} more` : ''}. Undo that, or make it a file of the tenant schema.`,
  }
}

function level(value: number, degraded: number, unhealthy: number): Severity | undefined {
  if (value >= unhealthy) return 'unhealthy'
  return value >= degraded ? 'degraded' : undefined
}

const whole = (value: number) => String(Math.round(value))
const mebibytes = (bytes: number) => `${whole(bytes / 2 ** 20)} MiB`
