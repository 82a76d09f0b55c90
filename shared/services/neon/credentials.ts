import { LeaseLost } from '../../engine/jobs.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { readSeal } from '../../kernel/seal.ts'
import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { failure } from '../../tenant-database/failures.ts'
import { LOGINS, type Login, makeRoles, type Passwords, SHOWN_LOGIN } from '../../tenant-database/roles.ts'
import { connectAs, SCHEMA_PASSWORD } from './as-login.ts'
import type { NeonStep, NeonStepContext } from './step.ts'
import { tenantRoleName } from './tenant.ts'

/** With these a login gets a new password: Vault does not hold its own, or holds another. */
const WITHOUT_PASSWORD = ['credentials_missing', 'tenant_database_login_refused']

/**
 * Makes the roles of the tenant's database and its logins, whose passwords are in Vault before they are valid. One that is in
 * Vault and works stays as it is; a crash between the two leaves one that does not work, and is replaced.
 *
 * Vault takes them from the holder of the lease only, and renews it. The tenant's server ends our transaction when it idles for a
 * few seconds, long before that lease can run out. So a worker that has lost the job without knowing it changes no password behind
 * its successor's back.
 */
export const credentials: NeonStep = async (context) => {
  const { sql, job, tenant } = context
  const renewed = await loginsWithoutPassword(context)
  if (!renewed.ok) return { type: 'failed', failure: renewed.failure }
  const password = await apiPassword(context)
  if (!password.ok) return { type: 'failed', failure: password.failure }
  const seal = await readSeal(sql)
  const keep = async (passwords: Passwords) => {
    const sealed = await seal(JSON.stringify(passwords))
    await context
      .saveRecord(
        sql`provisioning.store_credentials(${job.id}, ${job.leaseToken}, ${SHOWN_LOGIN}, ${sealed})`,
      )
      .catch(notTheTenants)
    if (passwords.schema) context.secrets.set(SCHEMA_PASSWORD, passwords.schema)
  }
  const made = await withTenantDatabase(
    { ...context, tenant: { ...tenant, roleName: tenantRoleName(tenant.organizationId) } },
    password.value,
    'direct',
    (tenantSql) => makeRoles(tenantSql, renewed.value, keep),
  )
  if (!made.ok) return { type: 'failed', failure: made.failure }
  return { type: 'succeeded', output: { storedIn: 'vault', renewed: renewed.value.length } }
}

/** Without its code, which would be taken for that of an error in the tenant's database. */
function notTheTenants(error: unknown): never {
  if (error instanceof LeaseLost) throw error
  const reason = error instanceof Error ? error.message : String(error)
  throw new Error(`Vault did not take the passwords: ${reason}`, { cause: error })
}

/** Those that Vault knows nothing of, or that are refused with what it knows: somebody has changed it, or it is another's. */
async function loginsWithoutPassword(context: NeonStepContext): Promise<Result<readonly Login[]>> {
  if (!context.tenant.credentialsSecretId) return success(LOGINS)
  const missing: Login[] = []
  for (const login of LOGINS) {
    const connected = await connectAs(context, login, 'direct')
    if (connected.ok) continue
    if (!WITHOUT_PASSWORD.includes(connected.failure.code)) return connected
    missing.push(login)
  }
  return success(missing)
}

/** Known from the step that made or found the project when that ran just now; asked of Neon when it ran earlier. */
async function apiPassword(context: NeonStepContext): Promise<Result<string>> {
  const known = context.secrets.get('apiPassword')
  if (known) return success(known)
  const { neonProjectId, databaseName, organizationId } = context.tenant
  if (!neonProjectId || !databaseName) return failed(failure('credentials_missing'))
  const connection = await context.neon.connection(
    neonProjectId,
    databaseName,
    tenantRoleName(organizationId),
  )
  return connection.ok ? success(connection.value.password) : connection
}
