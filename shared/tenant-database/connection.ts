import type postgres from 'postgres'
import { networkError } from '../kernel/database/socket.ts'
import { failed, type Result, success } from '../kernel/result.ts'
import type { TenantAddress } from './address.ts'
import { failure } from './failures.ts'
import { openTenantSession, type SessionLimits } from './session.ts'

/** What provisioning asks of a tenant's database is small; the files of the schema bring a limit of their own. */
const LIMITS: SessionLimits = {
  // A sleeping Neon compute takes 1–2 s to wake, rarely more.
  connectMs: 15_000,
  lifeMs: 90_000,
  maxBytes: 256 * 1024,
  statementMs: 5_000,
  lockMs: 3_000,
}

/** Where the usual ones do not do. */
export type TenantLimits = Partial<SessionLimits>

/**
 * Opens one connection to a tenant's own database, does the work and closes it. Login, network and TLS trouble is a
 * failure, and so is what its owner can do to hinder us; what else the work itself throws passes through.
 * @param through the pooled host is what applications use; the direct one is for schema changes.
 */
export async function withTenantDatabase<T>(
  { tenant, signal }: { readonly tenant: TenantAddress; readonly signal: AbortSignal },
  password: string,
  through: 'direct' | 'pooled',
  work: (sql: postgres.Sql) => Promise<T>,
  limits: TenantLimits = {},
): Promise<Result<T>> {
  const session = openTenantSession(tenant, password, through, { ...LIMITS, ...limits })
  const stop = () => session.cut(networkError('DEADLINE', 'the work was given up'))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return success(await work(session.sql))
  } catch (error) {
    const connectionFailure = classify(error)
    if (!connectionFailure) throw error
    return failed(connectionFailure)
  } finally {
    signal.removeEventListener('abort', stop)
    await session.close()
  }
}

function classify(error: unknown) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  // The last one: the login is set to load a library that the server does not have.
  if (/^(28P01|28000|3D000|58P01)$/.test(code)) return failure('tenant_database_login_refused')
  if (/^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code))
    return failure('tenant_database_not_encrypted', code)
  if (code === 'ANSWER_TOO_LARGE') return failure('tenant_database_answer_too_large')
  if (code === '55P03') return failure('tenant_database_locked')
  if (code === 'DEADLINE' || code === '57014') return failure('tenant_database_too_slow')
  if (/^(CONNECT|ECONN|ENOTFOUND|EHOST|ENET|ETIMEDOUT|EPIPE|CONNECTION_|57|53|08)/.test(code))
    return failure('tenant_database_unreachable', code)
  return undefined
}
