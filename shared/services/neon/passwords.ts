import type { Login } from '../../tenant-database/roles.ts'
import type { NeonStepContext } from './step.ts'

/** @returns undefined when Vault does not hold it */
export async function storedPassword(
  { sql, tenant }: NeonStepContext,
  login: Login,
): Promise<string | undefined> {
  const [row] = await sql<{ password: string }[]>`
    select s.decrypted_secret as password from vault.decrypted_secrets s
    where s.name = provisioning.login_secret(${tenant.organizationId}, ${login})`
  return row?.password
}
