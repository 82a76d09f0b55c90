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

/** The end of the sentence of schema_outdated. */
export const OUTDATED = 'Provision it again to bring it up to date.'

/** Why a database cannot be used. Each is unhealthy, and recognised from what provider, network or server say. */
const troubles = {
  project_deleted: 'The project of the database does not exist any more.',
  project_failed: 'The project of the database did not come up.',
  project_hangs: 'The database has been changing for longer than is usual.',
  compute_disabled: 'The compute of the database is disabled.',
  quota_suspended: 'The quota of the database is used up, so it is suspended.',
  login_refused: 'The database refuses the login: password or role have changed.',
  login_locked_out: 'The login that checks the database may not log in any more.',
  database_missing: 'The database does not exist any more on the server of the tenant.',
  too_many_connections: 'The database has no connection left. Close idle ones, or use the pooled host.',
  unreachable: 'The database cannot be reached: its host does not answer or is not known.',
  timeout: 'The database did not answer in time.',
  certificate_expired: 'The certificate of the database’s host has expired.',
  certificate_invalid: 'The certificate of the database’s host is not valid for it.',
  connection_lost: 'The connection was lost during the check.',
  credentials_missing: 'The password of the database is not in Vault.',
  answer_too_large:
    'The database answers a check with far more than was asked for, so the connection was cut. Look for what its owner put in the place of the catalogue.',
  measurement_invalid:
    'The database says what cannot be of its own statistics. Look for what its owner put in the place of the catalogue.',
  result_refused:
    'What the check found could not be written down. The function’s log says why; please report it.',
  check_failed: 'The check ended with an error of the database.',
} as const satisfies Record<string, string>

export type TroubleCode = keyof typeof troubles

/** What the host of a database says, and what does not keep it from being used for good. */
const notices = {
  project_paused: 'The project of the database is paused. Only its owner wakes it.',
  project_changing: 'The database takes nobody until it has changed.',
  project_unhealthy: 'The host of the database says that it is not healthy.',
  services_unhealthy: 'Services beside the database are not healthy.',
} as const satisfies Record<string, string>

export type NoticeCode = keyof typeof notices

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

export type ReasonCode = TroubleCode | NoticeCode | FindingCode

/** @param detail what is known beyond the code, such as the quota's name or an SQLSTATE */
export function trouble(code: TroubleCode, detail?: string): Reason {
  const message = troubles[code]
  return { code, severity: 'unhealthy', message: detail ? `${message} (${detail})` : message }
}

/** @param detail as of trouble */
export function notice(code: NoticeCode, detail?: string): Reason {
  const message = notices[code]
  const severity = code === 'project_paused' ? 'info' : 'degraded'
  return { code, severity, message: detail ? `${message} (${detail})` : message }
}

const sentences: Readonly<Record<string, string>> = { ...troubles, ...notices, schema_outdated: OUTDATED }

/** A reason in the words of whoever hosts the database, with what to do about it there. */
export function inWordsOf(words: Readonly<Record<string, string>>, reason: Reason): Reason {
  const usual = sentences[reason.code]
  const theirs = words[reason.code]
  if (usual === undefined || theirs === undefined || !reason.message.includes(usual)) return reason
  return { ...reason, message: reason.message.replace(usual, () => theirs) }
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
 * Names what a connection or a query failed with: SQLSTATE, system error or TLS error, or what a proxy such as Neon's says in words.
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
  if (/^(28P01|28000|58P01)$/.test(code)) return 'login_refused'
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
