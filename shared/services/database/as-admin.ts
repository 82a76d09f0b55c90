import type postgres from 'postgres'
import type { Result } from '../../kernel/result.ts'
import { type TenantLimits, withTenantDatabase } from '../../tenant-database/connection.ts'
import type { DatabaseStepContext } from './step.ts'

/**
 * Works in the tenant's database as the role that came with it. A password that is refused was perhaps read just before a rotation: it is
 * read again once, and tried when it is another.
 */
export async function asAdmin<T>(
  context: DatabaseStepContext,
  work: (sql: postgres.Sql) => Promise<T>,
  limits: TenantLimits = {},
): Promise<Result<T>> {
  const { hosted, tenant } = context
  const password = await hosted.adminPassword(context)
  if (!password.ok) return password
  const address = { ...tenant, roleName: hosted.adminRole }
  const tried = await withTenantDatabase(
    { ...context, tenant: address },
    password.value,
    'direct',
    work,
    limits,
  )
  if (tried.ok || tried.failure.code !== 'tenant_database_login_refused') return tried
  const newer = await hosted.adminPassword(context, password.value)
  if (!newer.ok || newer.value === password.value) return tried
  return withTenantDatabase({ ...context, tenant: address }, newer.value, 'direct', work, limits)
}
