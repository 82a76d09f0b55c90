import { authorize, type TenantRole } from '../kernel/as-caller.ts'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import type { HealthChecker } from './checker.ts'
import type { HealthReport, HealthStore } from './health-store.ts'

export interface HealthRequests {
  readonly sql: Database
  readonly checker: HealthChecker
  readonly store: HealthStore
}

const MAY_LOOK: readonly TenantRole[] = ['owner', 'admin', 'member', 'operator']
/** It costs compute time, and a closer look at a database that may be hostile. */
const MAY_WAKE: readonly TenantRole[] = ['owner', 'admin', 'operator']

/**
 * A check that somebody asks for: any member for their own tenant, operators and the backend for all; a deep one is not for plain
 * members. Members and operators are limited to settings.health_requests_per_minute a tenant each. @returns what is known afterwards @throws Problem
 */
export async function requestHealthCheck(
  { sql, checker, store }: HealthRequests,
  caller: Caller,
  organizationId: string,
  deep: boolean,
): Promise<HealthReport> {
  await authorize(sql, caller, organizationId, deep ? MAY_WAKE : MAY_LOOK)
  const seconds = caller.type === 'user' ? await store.countRequest(organizationId, caller.userId) : 0
  if (seconds > 0)
    throw new Problem(
      'too_many_attempts',
      `This tenant was checked often just now. Try again in ${seconds} s.`,
      [],
      seconds,
    )
  const result = await checker.check(organizationId, deep)
  if (result === undefined)
    throw new Problem(
      'database_not_found',
      'The organization has no database yet; its provisioning_status says why.',
    )
  if (!result.ok)
    throw new Problem(
      'provider_unavailable',
      result.failure.message,
      [],
      Math.ceil(result.failure.pauseSeconds ?? 30),
    )
  const report = await store.report(organizationId)
  if (!report) throw new Problem('organization_not_found', 'The organization was deleted in the meantime.')
  return report
}
