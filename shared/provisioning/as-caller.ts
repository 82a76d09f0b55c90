import type postgres from 'postgres'
import { type Database, sqlState } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'

/** An undo waits for the calls of stopped workers to end, then takes moments. */
const UNDO_SECONDS = 60

/**
 * Evaluates an SQL expression with claims that name the caller, so that the audit log does too.
 * One statement, and so one transaction: postgres.js ends the whole process when a connection is lost within `begin`.
 * @throws Problem for what the `provisioning` functions refuse: TP404, TP409, TP410, TP422, TP423, TP428.
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
    case 'TP410':
      return new Problem('nothing_to_cancel', error.message)
    case 'TP423':
      return new Problem('undo_in_progress', error.message, [], UNDO_SECONDS)
    case 'TP428':
      return new Problem('confirmation_required', error.message)
    case 'TP422':
      return new Problem('unknown_choice', error.message)
    default:
      return error
  }
}
