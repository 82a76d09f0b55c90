import { valueAsCaller } from '../kernel/as-caller.ts'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'

export interface ProvisioningWishes {
  /** Absent services mean all that are not ready. */
  readonly services?: readonly string[] | undefined
  readonly databaseSize?: string | undefined
  readonly dataRegion?: string | undefined
  readonly tier?: string | undefined
  /** The organization's from now on, with the same transaction. */
  readonly clientName?: string | undefined
  readonly orgEmail?: string | undefined
}

/** Starts or retries. @returns the job @throws Problem for what is not offered or not possible now */
export function requestProvisioning(
  sql: Database,
  caller: Caller,
  organizationId: string,
  { services, databaseSize, dataRegion, tier, clientName, orgEmail }: ProvisioningWishes,
): Promise<string> {
  const userId = caller.type === 'user' ? caller.userId : null
  const changes = {
    ...(clientName === undefined ? {} : { name: clientName }),
    ...(orgEmail === undefined ? {} : { billingEmail: orgEmail }),
  }
  const organization =
    Object.keys(changes).length > 0
      ? sql`provisioning.update_organization_as_caller(${organizationId}, ${sql.json(changes)})`
      : sql`${organizationId}::uuid`
  return valueAsCaller<string>(
    sql,
    caller,
    sql`(select job_id from provisioning.request_provisioning(${organization},
      ${services ? [...services] : null}, ${databaseSize ?? null}, ${dataRegion ?? null}, ${userId}, ${tier ?? null}))`,
  )
}
