import type postgres from 'postgres'
import { failed, type Result, success } from '../../kernel/result.ts'
import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { failure } from '../../tenant-database/failures.ts'
import type { NeonStepContext } from './step.ts'
import { tenantRoleName } from './tenant.ts'

/** Works in the tenant's database as the role that Neon's API has made. */
export async function asApi<T>(
  context: NeonStepContext,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<Result<T>> {
  const password = await apiPassword(context)
  if (!password.ok) return password
  const { tenant } = context
  const address = { ...tenant, roleName: tenantRoleName(tenant.organizationId) }
  return withTenantDatabase({ ...context, tenant: address }, password.value, 'direct', work)
}

/** Known from the step that made or found the project when that ran just now; asked of Neon when it ran earlier. */
async function apiPassword(context: NeonStepContext): Promise<Result<string>> {
  const known = context.secrets.get('apiPassword')
  if (known) return success(known)
  const { neonProjectId, databaseName, organizationId } = context.tenant
  if (!neonProjectId || !databaseName) return failed(failure('credentials_missing'))
  const role = tenantRoleName(organizationId)
  const connection = await context.neon.connection(neonProjectId, databaseName, role)
  return connection.ok ? success(connection.value.password) : connection
}
