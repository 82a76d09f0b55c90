import { createHash } from 'node:crypto'
import type { TransactionSql } from 'postgres'
import { equalInConstantTime } from '../../../shared/kernel/http/constant-time.ts'
import { AuthError } from './errors.ts'
import type { SignInMethod } from './sessions.ts'

/** In front of what a mailed link carries, so that whoever opens it is led on with a code and not with a session. */
const PREFIX = 'pkce_'
/** How long a code can be exchanged, in seconds: Auth's default. */
const LIFETIME_SECONDS = 300

/** What a client has made up for one flow: it keeps the verifier and sends its hash. */
export interface Challenge {
  readonly challenge: string
  readonly method: 's256' | 'plain'
}

/** What the mail is for, as a flow and the session at its end name it. */
export type FlowMethod = Exclude<SignInMethod, 'password' | 'otp' | 'anonymous'>

interface PkceBody {
  readonly code_challenge?: string | null | undefined
  readonly code_challenge_method?: string | null | undefined
}

/** @returns undefined for a client that wants the session itself @throws AuthError (validation_failed) */
export function challengeOf(body: PkceBody): Challenge | undefined {
  const challenge = body.code_challenge ?? ''
  const method = (body.code_challenge_method ?? '').toLowerCase()
  if (challenge === '' && method === '') return undefined
  if (challenge === '' || method === '')
    throw invalid('PKCE flow requires code_challenge_method and code_challenge')
  // RFC 7636, section 4.2.
  if (challenge.length < 43 || challenge.length > 128)
    throw invalid('code challenge has to be between 43 and 128 characters')
  if (!/^[\w.~-]+$/.test(challenge))
    throw invalid(
      'code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes',
    )
  if (method !== 's256' && method !== 'plain') throw invalid(`unsupported code_challenge method "${method}"`)
  return { challenge, method }
}

const invalid = (message: string) => new AuthError('validation_failed', message)

export const flowToken = (hash: string) => `${PREFIX}${hash}`

export const isOfFlow = (token: string) => token.startsWith(PREFIX)

/** Notes that a code will be due when the mail that goes out now is answered. */
export async function beginFlow(
  sql: TransactionSql,
  userId: string,
  flow: FlowMethod,
  { challenge, method }: Challenge,
): Promise<void> {
  await sql`
    insert into auth.flow_state (id, user_id, auth_code, code_challenge_method, code_challenge, provider_type,
      authentication_method, created_at, updated_at)
    values (gen_random_uuid(), ${userId}, ${crypto.randomUUID()}, ${method}, ${challenge}, ${flow}, ${flow}, now(), now())`
}

/** The code of the newest flow of the user for this. @throws AuthError (flow_state_not_found) */
export async function issueCode(sql: TransactionSql, userId: string, flow: FlowMethod): Promise<string> {
  const [row] = await sql<{ code: string }[]>`
    update auth.flow_state set auth_code_issued_at = now(), updated_at = now()
    where id = (select f.id from auth.flow_state f where f.user_id = ${userId} and f.authentication_method = ${flow}
      order by f.created_at desc limit 1)
    returning auth_code as code`
  if (!row)
    throw new AuthError(
      'flow_state_not_found',
      'No associated flow state found. No valid flow state found for user.',
      {},
      400,
    )
  return row.code
}

/**
 * Takes a code, once, from whoever has the verifier. Auth counts the time of a magic link from when it was opened, and of the other mails
 * from when they were asked for. @throws AuthError
 */
export async function redeemCode(
  sql: TransactionSql,
  code: string,
  verifier: string,
): Promise<{ userId: string; method: FlowMethod }> {
  const [flow] = await sql<
    {
      id: string
      userId: string
      method: FlowMethod
      challenge: string
      challengeMethod: string
      expired: boolean
    }[]
  >`
    select id, user_id as "userId", authentication_method as method, code_challenge as challenge,
      code_challenge_method as "challengeMethod",
      now() > case authentication_method when 'magiclink' then coalesce(auth_code_issued_at, created_at) else created_at end
        + make_interval(secs => ${LIFETIME_SECONDS}) as expired
    from auth.flow_state where auth_code = ${code} and user_id is not null for update`
  if (!flow) throw new AuthError('flow_state_not_found', 'invalid flow state, no valid flow state found')
  if (flow.expired) throw new AuthError('flow_state_expired', 'invalid flow state, flow state has expired')
  const shown =
    flow.challengeMethod === 'plain' ? verifier : createHash('sha256').update(verifier).digest('base64url')
  if (!equalInConstantTime(flow.challenge, shown))
    throw new AuthError('bad_code_verifier', 'code challenge does not match previously saved code verifier')
  await sql`delete from auth.flow_state where id = ${flow.id}`
  return flow
}
