import { z } from 'zod'
import { type Authenticate, bearerOf } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { type Access, accessOfBackend, accessOfKey, accessOfMember } from './access.ts'
import { meansToBeKey, proofOf } from './api-key.ts'
import { createCheckedAccess } from './checked-access.ts'

export const ORGANIZATION_HEADER = 'x-organization-id'

/**
 * Who asks: a program with an API key of the tenant, as a bearer or in the header apikey, or a member with an access token and
 * the organization's id in a header; the project's backend likewise with its secret key. What is in Authorization goes first, because supabase-js sends the project's publishable key
 * in apikey with everything. A key names its tenant by itself; where the header names one too, it must be the same.
 * @returns a function that throws Problem for everybody else; a key with a slip of the pen in it costs no query
 */
export function createCallers(
  sql: Database,
  authenticate: Authenticate,
): (request: Request) => Promise<Access> {
  const remembered = createCheckedAccess()
  return async (request) => {
    const key = keyOf(request)
    if (key !== undefined) {
      const proof = proofOf(key)
      if (!proof) throw new Problem('unauthorized', 'The API key is not complete, or has a mistake in it.')
      const meant = request.headers.get(ORGANIZATION_HEADER)?.toLowerCase()
      return remembered(`${proof.hash} ${meant}`, () => accessOfKey(sql, proof, meant))
    }
    const caller = await authenticate(request)
    const organizationId = z.guid().safeParse(request.headers.get(ORGANIZATION_HEADER))
    if (!organizationId.success)
      throw new Problem(
        'invalid_argument',
        `Say in the header ${ORGANIZATION_HEADER} which organization is meant.`,
      )
    const id = organizationId.data.toLowerCase()
    if (caller.type === 'service') return remembered(`backend/${id}`, () => accessOfBackend(sql, id))
    const { userId } = caller
    return remembered(`${userId}/${id}`, () => accessOfMember(sql, userId, id))
  }
}

function keyOf(request: Request): string | undefined {
  const given = bearerOf(request) || request.headers.get('apikey')
  return given && meansToBeKey(given) ? given : undefined
}
