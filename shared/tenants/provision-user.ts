import type postgres from 'postgres'
import { valueAsCaller } from '../kernel/as-caller.ts'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { UNDO_SECONDS } from '../kernel/refusals.ts'

interface Outcome {
  readonly outcome:
    | 'accepted'
    | 'user_not_found'
    | 'user_too_old'
    | 'not_eligible'
    | 'too_many_attempts'
    | 'undo_in_progress'
  readonly job_id: string | null
  /** Of too_many_attempts. */
  readonly retry_after_seconds: number
  readonly message: string | null
}

/**
 * Makes the tenant of somebody who has signed up just now, known by e-mail address. For the backend alone: it would tell
 * anybody else which addresses have an account. @returns the job @throws Problem
 */
export async function provisionUser(
  sql: Database,
  caller: Caller,
  email: string,
  metadata: Readonly<Record<string, postgres.JSONValue>>,
): Promise<string> {
  if (caller.type !== 'service')
    throw new Problem(
      'forbidden',
      'Provisioning by e-mail address is for the project’s own backend, with a secret key.',
    )
  const result = await valueAsCaller<Outcome>(
    sql,
    caller,
    sql`(select to_jsonb(p) from provisioning.provision_user(${email}, ${sql.json(metadata)}) p)`,
  )
  if (result.job_id === null) throw refusal(result, email)
  return result.job_id
}

function refusal({ outcome, retry_after_seconds: seconds, message }: Outcome, email: string): Problem {
  switch (outcome) {
    case 'too_many_attempts':
      return new Problem(
        'too_many_attempts',
        `${email} was asked for too often. Try again in ${seconds} s.`,
        [],
        seconds,
      )
    case 'undo_in_progress':
      return new Problem('undo_in_progress', message ?? 'An undo is at work.', [], UNDO_SECONDS)
    case 'user_not_found':
      return new Problem('user_not_found', `Nobody has signed up as ${email}.`)
    case 'user_too_old':
      return new Problem(
        'user_too_old',
        `${email} signed up too long ago for this (settings.user_calls_max_age_minutes). Send the organizationId instead.`,
      )
    default:
      return new Problem(
        'user_not_eligible',
        `${email} is anonymous, or has still to confirm the address (settings.provision_on).`,
      )
  }
}
