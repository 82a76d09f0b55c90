import type { Database } from '../../kernel/database/client.ts'
import type { Login } from '../../tenant-database/roles.ts'

/** Of a login in a tenant's database. @returns undefined when Vault does not hold it, or cannot decrypt it */
export async function storedPassword(
  sql: Database,
  organizationId: string,
  login: Login,
): Promise<string | undefined> {
  const [row] = await sql<{ password: string | null }[]>`
    select provisioning.vault_secret(provisioning.login_secret(${organizationId}, ${login})) as password`
  return row?.password ?? undefined
}
