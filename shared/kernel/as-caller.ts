import type postgres from 'postgres'
import type { Caller } from './caller.ts'
import type { Database } from './database/client.ts'
import { refusalAsProblem } from './refusals.ts'

/**
 * Evaluates an SQL expression with claims that name the caller, so that the audit log does too.
 * One statement, and so one transaction: postgres.js ends the whole process when a connection is lost within `begin`.
 * @throws Problem for what the `provisioning` functions refuse, see refusals.ts
 */
export async function valueAsCaller<T>(
  sql: Database,
  caller: Caller,
  value: postgres.PendingQuery<postgres.Row[]>,
): Promise<T> {
  const claims =
    caller.type === 'user' ? { sub: caller.userId, role: 'authenticated' } : { role: 'service_role' }
  try {
    const [row] = await sql<{ value: T }[]>`
      with claims as materialized (select set_config('request.jwt.claims', ${JSON.stringify(claims)}, true) as set)
      select ${value} as value from claims where claims.set is not null`
    if (!row) throw new Error('no value came back')
    return row.value
  } catch (error) {
    throw refusalAsProblem(error) ?? error
  }
}

export type TenantRole = 'owner' | 'admin' | 'member' | 'operator'

/** Lets the backend pass, and users with one of the roles. @throws Problem organization_not_found or forbidden */
export async function authorize(
  sql: Database,
  caller: Caller,
  organizationId: string,
  roles: readonly TenantRole[],
): Promise<void> {
  await valueAsCaller(sql, caller, sql`provisioning.assert_may(${organizationId}, ${[...roles]})`)
}
