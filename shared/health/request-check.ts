import type { Database } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'
import type { HealthChecker } from './checker.ts'
import type { HealthReport, HealthStore } from './health-store.ts'

export interface HealthRequests {
  readonly sql: Database
  readonly checker: HealthChecker
  readonly store: HealthStore
}

/**
 * A check that somebody asks for: any member for their own tenant, operators and the backend for all. Others than the backend
 * are limited to settings.health_requests_per_minute a tenant. @returns what is known afterwards @throws Problem
 */
export async function requestHealthCheck(
  { sql, checker, store }: HealthRequests,
  caller: Caller,
  organizationId: string,
  deep: boolean,
): Promise<HealthReport> {
  await authorize(sql, caller, organizationId)
  const seconds = caller.type === 'user' ? await store.countRequest(organizationId) : 0
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

async function authorize(sql: Database, caller: Caller, organizationId: string): Promise<void> {
  const userId = caller.type === 'user' ? caller.userId : null
  const [row] = await sql<{ exists: boolean; allowed: boolean }[]>`
    select exists (select from public.organizations where id = ${organizationId}) as exists,
      provisioning.role_in(${organizationId}, ${userId}) is not null
        or exists (select from provisioning.operators where user_id = ${userId}) as allowed`
  if (!row?.exists) throw new Problem('organization_not_found', `There is no organization ${organizationId}.`)
  if (caller.type === 'user' && !row.allowed)
    throw new Problem('forbidden', 'Only members of the organization, and operators, may do this.')
}
