import type { Database } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'
import { valueAsCaller } from './as-caller.ts'

export interface ProvisioningWishes {
  /** Absent services mean all that are not ready. */
  readonly services?: readonly string[] | undefined
  readonly databaseSize?: string | undefined
  readonly dataRegion?: string | undefined
}

/** Starts or retries. @returns the job @throws Problem for what is not offered or not possible now */
export function requestProvisioning(
  sql: Database,
  caller: Caller,
  organizationId: string,
  { services, databaseSize, dataRegion }: ProvisioningWishes,
): Promise<string> {
  const userId = caller.type === 'user' ? caller.userId : null
  return valueAsCaller<string>(
    sql,
    caller,
    sql`(select job_id from provisioning.request_provisioning(${organizationId},
      ${services ? [...services] : null}, ${databaseSize ?? null}, ${dataRegion ?? null}, ${userId}))`,
  )
}

/** Lets the backend pass, and the owners and admins of the organization. @throws Problem for everybody else */
export async function authorizeManager(sql: Database, caller: Caller, organizationId: string): Promise<void> {
  const userId = caller.type === 'user' ? caller.userId : null
  const [row] = await sql<{ exists: boolean; role: string | null }[]>`
    select exists (select from public.organizations where id = ${organizationId}) as exists,
      provisioning.role_in(${organizationId}, ${userId}) as role`
  if (!row?.exists) throw new Problem('organization_not_found', `There is no organization ${organizationId}.`)
  if (caller.type === 'user' && row.role !== 'owner' && row.role !== 'admin')
    throw new Problem('forbidden', 'Only owners and admins of the organization may do this.')
}
