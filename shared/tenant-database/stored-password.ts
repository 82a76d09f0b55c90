import type { Database } from '../kernel/database/client.ts'
import { failed, type Result } from '../kernel/result.ts'
import { failure } from './failures.ts'
import type { Login } from './roles.ts'

/**
 * Of a login in a tenant's database.
 * @param isComing in the one that the tenant moves to
 * @returns undefined when Vault does not hold it, or cannot decrypt it
 */
export async function storedPassword(
  sql: Database,
  organizationId: string,
  login: Login,
  isComing = false,
): Promise<string | undefined> {
  const [row] = await sql<{ password: string | null }[]>`
    select provisioning.vault_secret(provisioning.login_secret(${organizationId}, ${login}, ${isComing})) as password`
  return row?.password ?? undefined
}

/**
 * Does what needs a password. One that is refused was perhaps read just before a rotation: it is read again once, and tried when
 * it is another. Fails with `credentials_missing` when there is none.
 * @param known one that was read before; without, it is read first
 * @param isRefused whether this outcome says that the password was refused
 */
export async function withPassword<T>(
  read: () => Promise<string | undefined>,
  work: (password: string) => Promise<T>,
  isRefused: (outcome: T) => boolean,
  known?: string,
): Promise<Result<T>> {
  const password = known ?? (await read())
  if (password === undefined) return failed(failure('credentials_missing'))
  const outcome = await work(password)
  if (!isRefused(outcome)) return { ok: true, value: outcome }
  const newer = await read()
  return { ok: true, value: newer === undefined || newer === password ? outcome : await work(newer) }
}
