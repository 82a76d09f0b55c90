import type { Database } from '../../kernel/database/client.ts'
import type { Login } from '../../tenant-database/roles.ts'

/** Of a login in a tenant's database. @returns undefined when Vault does not hold it */
export async function storedPassword(
  sql: Database,
  organizationId: string,
  login: Login,
): Promise<string | undefined> {
  const [row] = await sql<{ password: string }[]>`
    select s.decrypted_secret as password from vault.decrypted_secrets s
    where s.name = provisioning.login_secret(${organizationId}, ${login})`
  return row?.password
}
