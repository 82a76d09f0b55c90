import type postgres from 'postgres'
import type { Result } from '../../kernel/result.ts'
import { type TenantLimits, withTenantDatabase } from '../../tenant-database/connection.ts'
import type { DatabaseStepContext } from './step.ts'

/** Works in the tenant's database as the role that came with it. */
export async function asAdmin<T>(
  context: DatabaseStepContext,
  work: (sql: postgres.Sql) => Promise<T>,
  limits: TenantLimits = {},
): Promise<Result<T>> {
  const { hosted, tenant } = context
  const password = await hosted.adminPassword(context)
  if (!password.ok) return password
  const address = { ...tenant, roleName: hosted.adminRole }
  return withTenantDatabase({ ...context, tenant: address }, password.value, 'direct', work, limits)
}
