import { LeaseLost } from '../../engine/jobs.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { readSeal } from '../../kernel/seal.ts'
import { type Login, makeRoles, type Passwords, type ShownLogin } from '../../tenant-database/roles.ts'
import { asAdmin } from './as-admin.ts'
import { SCHEMA_PASSWORD } from './as-login.ts'
import type { DatabaseStepContext } from './step.ts'

/**
 * Makes what is missing of the tenant's roles and gives these logins new passwords, which are in Vault before they are valid.
 *
 * Vault takes them from the holder of the lease only, and renews it. The tenant's server ends our transaction when it idles for a
 * few seconds, long before that lease can run out. So a worker that has lost the job without knowing it changes no password behind
 * its successor's back.
 * @param shown the login that people have, or are to have
 * @param recorded what Vault's record says from now on that they have; null leaves that as it is
 */
export async function renewLogins(
  context: DatabaseStepContext,
  renewed: readonly Login[],
  shown: ShownLogin,
  recorded: ShownLogin | null,
): Promise<Result<void>> {
  const { sql, job } = context
  const seal = await readSeal(sql)
  const keep = async (passwords: Passwords) => {
    const sealed = await seal(JSON.stringify(passwords))
    await context
      .saveRecord(sql`provisioning.store_credentials(${job.id}, ${job.leaseToken}, ${recorded}, ${sealed})`)
      .catch(notTheTenants)
    if (passwords.schema) context.secrets.set(SCHEMA_PASSWORD, passwords.schema)
  }
  const made = await asAdmin(context, (tenantSql) => makeRoles(tenantSql, renewed, keep, shown))
  return made.ok ? success(undefined) : failed(made.failure)
}

/** Without its code, which would be taken for that of an error in the tenant's database. */
export function notTheTenants(error: unknown): never {
  if (error instanceof LeaseLost) throw error
  const reason = error instanceof Error ? error.message : String(error)
  throw new Error(`Vault did not take the passwords: ${reason}`, { cause: error })
}
