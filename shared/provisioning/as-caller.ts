import type postgres from 'postgres'
import { type Database, sqlState } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'

/**
 * Runs work in one transaction whose claims name the caller, so that the audit log does too.
 * @throws Problem for what the `provisioning` functions refuse: TP404, TP409, TP422, TP428.
 */
export async function asCaller(
  sql: Database,
  caller: Caller,
  work: (transaction: postgres.TransactionSql) => Promise<string>,
): Promise<string> {
  const claims =
    caller.type === 'user' ? { sub: caller.userId, role: 'authenticated' } : { role: 'service_role' }
  try {
    return await sql.begin(async (transaction) => {
      await transaction`select set_config('request.jwt.claims', ${JSON.stringify(claims)}, true)`
      return work(transaction)
    })
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
