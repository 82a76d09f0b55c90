import { sqlState } from './database/client.ts'
import { Problem, type ProblemCode } from './http/problem.ts'

/** What the `provisioning` functions refuse, by SQLSTATE. Their messages are for the caller. */
const REFUSALS: Readonly<Record<string, ProblemCode>> = {
  TP403: 'forbidden',
  TP404: 'organization_not_found',
  TP409: 'region_is_fixed',
  TP410: 'nothing_to_cancel',
  TP422: 'unknown_choice',
  TP423: 'undo_in_progress',
  TP428: 'confirmation_required',
  TP451: 'under_legal_hold',
  PT404: 'database_not_found',
  '42501': 'forbidden',
}

/** An undo waits for the calls of stopped workers to end, then takes moments. */
export const UNDO_SECONDS = 60

/** A refusal by the database as the caller is told it; undefined for any other error. */
export function refusalAsProblem(error: unknown): Problem | undefined {
  const code = REFUSALS[sqlState(error) ?? '']
  if (!code || !(error instanceof Error)) return undefined
  return new Problem(code, error.message, [], code === 'undo_in_progress' ? UNDO_SECONDS : undefined)
}
