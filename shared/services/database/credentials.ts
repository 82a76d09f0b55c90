import { type Result, success } from '../../kernel/result.ts'
import { LOGINS, type Login, OUR_LOGINS, shownLogin } from '../../tenant-database/roles.ts'
import { connectAs } from './as-login.ts'
import { renewLogins } from './renew-logins.ts'
import type { DatabaseStep, DatabaseStepContext } from './step.ts'

/** With these a login gets a new password: Vault does not hold its own, or holds another. */
const WITHOUT_PASSWORD = ['credentials_missing', 'tenant_database_login_refused']

/**
 * Makes the roles of the tenant's database and its logins. A login that is in Vault and works stays as it is; a crash after Vault
 * has a password and before it is valid leaves one that does not work, and is replaced.
 */
export const credentials: DatabaseStep = async (context) => {
  const renewed = await loginsWithoutPassword(context)
  if (!renewed.ok) return { type: 'failed', failure: renewed.failure }
  const shown = shownLogin(context.tenant)
  const made = await renewLogins(context, renewed.value, shown, shown)
  if (!made.ok) return { type: 'failed', failure: made.failure }
  return { type: 'succeeded', output: { storedIn: 'vault', renewed: renewed.value.length } }
}

/** Those that Vault knows nothing of, or that are refused with what it knows: somebody has changed it, or it is another's. */
async function loginsWithoutPassword(context: DatabaseStepContext): Promise<Result<readonly Login[]>> {
  if (!context.tenant.credentialsSecretId) return success(LOGINS)
  const missing: Login[] = []
  for (const login of [...OUR_LOGINS, shownLogin(context.tenant)]) {
    const connected = await connectAs(context, login, 'direct')
    if (connected.ok) continue
    if (!WITHOUT_PASSWORD.includes(connected.failure.code)) return connected
    missing.push(login)
  }
  return success(missing)
}
