import postgres from 'postgres'
import { failed, type Result, success } from '../kernel/result.ts'
import type { TenantAddress } from './address.ts'
import { failure } from './failures.ts'

/** A sleeping Neon compute takes 1–2 s to wake, rarely more. */
const CONNECT_TIMEOUT_SECONDS = 15

/**
 * Opens one connection to a tenant's own database, does the work and closes it. Login, network and TLS trouble is a
 * failure; what the work itself throws passes through.
 * @param through the pooled host is what applications use; the direct one is for schema changes.
 */
export async function withTenantDatabase<T>(
  { tenant, signal }: { readonly tenant: TenantAddress; readonly signal: AbortSignal },
  password: string,
  through: 'direct' | 'pooled',
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<Result<T>> {
  const sql = postgres(connectionOptions(tenant, password, through))
  const stop = () => void sql.end({ timeout: 0 })
  signal.addEventListener('abort', stop, { once: true })
  try {
    return success(await work(sql))
  } catch (error) {
    const connectionFailure = classify(error)
    if (!connectionFailure) throw error
    return failed(connectionFailure)
  } finally {
    signal.removeEventListener('abort', stop)
    await sql.end({ timeout: 5 })
  }
}

/** One connection, over verified TLS unless the host is local. */
export function connectionOptions(
  tenant: TenantAddress,
  password: string,
  through: 'direct' | 'pooled',
): postgres.Options<Record<string, never>> {
  return {
    host: (through === 'pooled' ? tenant.pooledHost : tenant.host) ?? '',
    port: tenant.port ?? 5432,
    database: tenant.databaseName ?? '',
    username: tenant.roleName ?? '',
    password,
    ssl: tenant.sslMode === 'disable' ? false : 'verify-full',
    max: 1,
    prepare: false,
    fetch_types: false,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    onnotice: () => undefined,
    connection: { application_name: 'tenant-provisioning' },
  }
}

function classify(error: unknown) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === '28P01' || code === '28000' || code === '3D000')
    return failure('tenant_database_login_refused')
  if (/^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code))
    return failure('tenant_database_not_encrypted', code)
  if (/^(CONNECT|ECONN|ENOTFOUND|EHOST|ENET|ETIMEDOUT|EPIPE|CONNECTION_|57P0|53300|08)/.test(code))
    return failure('tenant_database_unreachable', code)
  return undefined
}
