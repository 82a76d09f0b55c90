import { sqlState } from './database/client.ts'
import { Problem, type ProblemCode } from './http/problem.ts'

/** What the `provisioning` functions refuse, by SQLSTATE. Their messages are for the caller. */
export const REFUSALS: Readonly<Record<string, ProblemCode>> = {
  TP300: 'several_accounts',
  TP400: 'invalid_argument',
  TP402: 'size_not_in_plan',
  TP403: 'forbidden',
  TP404: 'organization_not_found',
  TP405: 'not_expected',
  TP409: 'region_is_fixed',
  TP410: 'nothing_to_cancel',
  TP411: 'too_many_organizations',
  TP412: 'already_member',
  TP413: 'move_not_possible',
  TP422: 'unknown_choice',
  TP423: 'undo_in_progress',
  TP424: 'user_not_eligible',
  TP425: 'service_just_redone',
  TP426: 'former_password_valid',
  TP428: 'confirmation_required',
  TP429: 'too_many_attempts',
  TP440: 'key_not_found',
  TP441: 'key_has_ended',
  TP451: 'under_legal_hold',
  TP452: 'owner_is_needed',
  PT404: 'database_not_found',
  PT429: 'too_many_attempts',
  '42501': 'forbidden',
}

/** An undo waits for the calls of stopped workers to end, then takes moments. */
export const UNDO_SECONDS = 60

/** A refusal by the database as the caller is told it; undefined for any other error. */
export function refusalAsProblem(error: unknown): Problem | undefined {
  const code = REFUSALS[sqlState(error) ?? '']
  if (!code || !(error instanceof Error)) return undefined
  return new Problem(code, error.message, [], secondsOf(code, error))
}

function secondsOf(code: ProblemCode, error: Error): number | undefined {
  if (code === 'undo_in_progress') return UNDO_SECONDS
  if (code !== 'too_many_attempts' && code !== 'service_just_redone') return undefined
  // As provisioning.refuse_until raises it.
  return 'detail' in error ? Number(error.detail) : undefined
}
