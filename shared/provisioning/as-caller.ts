import type postgres from 'postgres'
import { type Database, sqlState } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'

/**
 * Evaluates an SQL expression that yields a job's id, with claims that name the caller, so that the audit log does too.
 * One statement, and so one transaction: postgres.js ends the whole process when a connection is lost within `begin`.
 * @throws Problem for what the `provisioning` functions refuse: TP404, TP409, TP422, TP428.
 */
export async function jobIdAsCaller(
  sql: Database,
  caller: Caller,
  jobId: postgres.PendingQuery<postgres.Row[]>,
): Promise<string> {
  const claims =
    caller.type === 'user' ? { sub: caller.userId, role: 'authenticated' } : { role: 'service_role' }
  try {
    const [row] = await sql<{ jobId: string }[]>`
      with claims as materialized (select set_config('request.jwt.claims', ${JSON.stringify(claims)}, true) as set)
      select ${jobId} as "jobId" from claims where claims.set is not null`
    if (!row) throw new Error('no job came back')
    return row.jobId
  } catch (error) {
    throw asProblem(error)
  }
}

function asProblem(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  switch (sqlState(error)) {
    case 'TP404':
      return new Problem('organization_not_found', error.message)
    case 'TP409':
      return new Problem('region_is_fixed', error.message)
    case 'TP428':
      return new Problem('confirmation_required', error.message)
    case 'TP422':
      return new Problem('unknown_choice', error.message)
    default:
      return error
  }
}
