import { sqlStateBehind } from './pooler-refusal.ts'

/** What a reason makes of a tenant's status; `info` is told and changes nothing. */
export type Severity = 'info' | 'degraded' | 'unhealthy'

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy' | 'sleeping' | 'unknown'

export interface Reason {
  readonly code: ReasonCode
  readonly severity: Severity
  /** A sentence that a person can act on. Never a secret. */
  readonly message: string
}

/** Why a database cannot be used. Each is unhealthy, and recognised from what provider, network or server say. */
const troubles = {
  project_deleted:
    'The Neon project does not exist any more. Recover it at console.neon.tech within 7 days of its deletion, or retry the service neon.',
  compute_disabled: 'The Neon compute is disabled. Enable it at console.neon.tech.',
  quota_suspended:
    'The quota of the Neon project is used up, so its compute is suspended. Raise the plan’s quota and retry the service neon, or wait for the next billing period.',
  login_refused:
    'The database refuses the login: password or role have changed. Retry the service neon, which makes it anew.',
  login_locked_out:
    'The login that checks the database may not log in any more. Retry the service neon, which makes it anew.',
  database_missing: 'The database does not exist any more on the server of the tenant.',
  too_many_connections: 'The database has no connection left. Close idle ones, or use the pooled host.',
  unreachable: 'The database cannot be reached: its host does not answer or is not known.',
  timeout: 'The database did not answer in time.',
  certificate_expired: 'The certificate of the database’s host has expired.',
  certificate_invalid: 'The certificate of the database’s host is not valid for it.',
  connection_lost: 'The connection was lost during the check.',
  credentials_missing:
    'The password of the database is not in Vault. Retry the service neon, which sets a new one.',
  answer_too_large:
    'The database answers a check with far more than was asked for, so the connection was cut. Look for what its owner put in the place of the catalogue.',
  measurement_invalid:
    'The database says what cannot be of its own statistics. Look for what its owner put in the place of the catalogue.',
  result_refused:
    'What the check found could not be written down. The function’s log says why; please report it.',
  check_failed: 'The check ended with an error of the database.',
} as const satisfies Record<string, string>

export type TroubleCode = keyof typeof troubles

/** What a measurement can be judged as, see evaluate.ts. */
export type FindingCode =
  | 'slow_queries'
  | 'slow_connect'
  | 'connections_high'
  | 'cache_hits_low'
  | 'long_query'
  | 'storage_high'
  | 'storage_fills_up'
  | 'certificate_expires'
  | 'schema_outdated'
  | 'schema_drift'

export type ReasonCode = TroubleCode | FindingCode

/** @param detail what is known beyond the code, such as the quota's name or an SQLSTATE */
export function trouble(code: TroubleCode, detail?: string): Reason {
  const message = troubles[code]
  return { code, severity: 'unhealthy', message: detail ? `${message} (${detail})` : message }
}

/** What does not pass while a compute sleeps: only a connection can tell that it is over. */
const LASTING: readonly ReasonCode[] = [
  'certificate_expires',
  'schema_drift',
  'login_refused',
  'login_locked_out',
  'database_missing',
  'credentials_missing',
  'certificate_expired',
  'certificate_invalid',
]

export function outlastsSleep({ code }: Reason): boolean {
  return LASTING.includes(code)
}

/** What the provider tells of a single project alone: its list shows such a compute as one that sleeps. */
const UNLISTED: readonly ReasonCode[] = ['project_deleted', 'compute_disabled', 'quota_suspended']

export function isUnlisted({ code }: Reason): boolean {
  return UNLISTED.includes(code)
}

/** The worst of them; healthy when none speaks against it. */
export function statusFrom(reasons: readonly Reason[]): 'healthy' | 'degraded' | 'unhealthy' {
  if (reasons.some(({ severity }) => severity === 'unhealthy')) return 'unhealthy'
  return reasons.some(({ severity }) => severity === 'degraded') ? 'degraded' : 'healthy'
}

/**
 * Names what a connection or a query failed with: SQLSTATE, system error or TLS error, or what Neon's proxy says in words.
 * @param where which host is meant, in words
 */
export function troubleOf(error: unknown, where?: string): Reason {
  const said = error instanceof Error ? error.message : ''
  const code = sqlStateBehind(error instanceof Error && 'code' in error ? String(error.code) : '', said)
  const name = nameOf(code, said)
  const detail = [WITH_CODE.includes(name) ? code : '', where ?? ''].filter(Boolean).join(', ')
  return trouble(name, detail || undefined)
}

/** The code of the error helps with these. */
const WITH_CODE: readonly TroubleCode[] = [
  'certificate_invalid',
  'unreachable',
  'connection_lost',
  'check_failed',
]

function nameOf(code: string, said: string): TroubleCode {
  if (/quota/i.test(said)) return 'quota_suspended'
  if (/endpoint has been disabled/i.test(said)) return 'compute_disabled'
  if (/endpoint could not be found/i.test(said)) return 'project_deleted'
  if (/not permitted to log in/i.test(said)) return 'login_locked_out'
  if (code === '28P01' || code === '28000') return 'login_refused'
  if (code === '3D000') return 'database_missing'
  if (code === 'ANSWER_TOO_LARGE') return 'answer_too_large'
  if (code === 'MEASUREMENT_INVALID') return 'measurement_invalid'
  if (code === '53300') return 'too_many_connections'
  if (
    /EXPIRED/.test(code) ||
    /certificate has expired|CertExpired|invalid peer certificate: Expired/i.test(said)
  )
    return 'certificate_expired'
  if (/^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code) || /certificate/i.test(said))
    return 'certificate_invalid'
  if (/TIMEOUT|ETIMEDOUT|DEADLINE|57014|55P03/.test(code)) return 'timeout'
  if (/^(ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENET)/.test(code)) return 'unreachable'
  if (/^(ECONN|EPIPE|CONNECTION_|57P0|08)/.test(code)) return 'connection_lost'
  return 'check_failed'
}
