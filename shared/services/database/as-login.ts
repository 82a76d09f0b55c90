import type postgres from 'postgres'
import type { Result } from '../../kernel/result.ts'
import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { type Login, loginAddress } from '../../tenant-database/roles.ts'
import { storedPassword, withPassword } from '../../tenant-database/stored-password.ts'
import type { DatabaseStepContext } from './step.ts'

/** To wake, to be let in and to answer once; its owner may have put something slow in the way of the login. */
const ANSWER_LIMITS = { lifeMs: 20_000 }

/** Under this the password of the login `schema` is in the secrets of a run that has just put it into Vault. */
export const SCHEMA_PASSWORD = 'schemaPassword'

type Limits = Parameters<typeof withTenantDatabase>[4]

/** Works in the tenant's database as this login. Fails with `credentials_missing` when Vault does not hold its password. */
export async function asLogin<T>(
  context: DatabaseStepContext,
  login: Login,
  through: 'direct' | 'pooled',
  work: (sql: postgres.Sql) => Promise<T>,
  limits: Limits = {},
): Promise<Result<T>> {
  const { sql, tenant } = context
  const known = login === 'schema' ? context.secrets.get(SCHEMA_PASSWORD) : undefined
  const address = { ...context, tenant: loginAddress(tenant, login) }
  const outcome = await withPassword(
    () => storedPassword(sql, tenant.organizationId, login, tenant.isComing),
    (password) => withTenantDatabase(address, password, through, work, limits),
    (tried) => !tried.ok && tried.failure.code === 'tenant_database_login_refused',
    known,
  )
  return outcome.ok ? outcome.value : outcome
}

/** Whether this login is let in and gets an answer. */
export function connectAs(
  context: DatabaseStepContext,
  login: Login,
  through: 'direct' | 'pooled',
): Promise<Result<unknown>> {
  return asLogin(context, login, through, (sql) => sql`select 1`, ANSWER_LIMITS)
}
