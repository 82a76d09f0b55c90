import { z } from 'zod'
import { connect, type Database } from '../database/client.ts'
import type { Environment } from '../environment.ts'
import { checkBody, readBody } from '../http/body.ts'
import { type Caller, createAuthenticator } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'
import { handlePost, jsonReply } from '../http/serve.ts'
import { inBackground } from '../platform.ts'
import { createNeonProvider } from '../providers/neon.ts'
import { createDoorbellVerifier, doorbellSchema } from '../provisioning/doorbell.ts'
import { createHealthChecker, type HealthChecker } from './checker.ts'
import { HealthStore } from './health-store.ts'
import { requestHealthCheck } from './request-check.ts'

/** Without an organization: check whatever is due. */
const bodySchema = z.strictObject({
  organizationId: z.uuid().optional(),
  /** Connect even if that wakes a sleeping database. */
  deep: z.boolean().default(false),
})

/**
 * Checks tenants' databases. It takes a signed doorbell from the database, answered 202 at once; {organizationId, deep?} from
 * the backend, an operator or a member of that organization, answered with what was found; or {} from the backend, which
 * rings for whatever is due.
 */
export function createHealthFunction(environment: Environment): (request: Request) => Promise<Response> {
  const sql = connect(environment)
  // No waiting in the queue of calls: provisioning comes first.
  const checker = createHealthChecker(sql, createNeonProvider(environment, sql, 0))
  const authenticate = createAuthenticator(environment)
  const isGenuine = createDoorbellVerifier(sql)

  const answerDoorbell = async (body: unknown): Promise<Response> => {
    if (typeof body !== 'object' || body === null || !('signature' in body))
      throw new Problem(
        'unauthorized',
        'Send a secret key as apikey, or a user’s access token as Authorization: Bearer.',
      )
    if (!(await isGenuine(checkBody(body, doorbellSchema))))
      throw new Problem('unauthorized', 'The doorbell’s signature is wrong, has expired or was used before.')
    return ring(checker)
  }

  return handlePost(async (request) => {
    // The database rings without credentials: its signature is in the body.
    if (!request.headers.has('apikey') && !request.headers.has('authorization'))
      return answerDoorbell(await readBody(request, z.unknown()))
    const caller = await authenticate(request)
    return answerCaller(sql, checker, caller, await readBody(request, bodySchema))
  })
}

function ring(checker: HealthChecker): Response {
  inBackground(checker.ring())
  return jsonReply({ accepted: true }, 202)
}

async function answerCaller(
  sql: Database,
  checker: HealthChecker,
  caller: Caller,
  { organizationId, deep }: z.infer<typeof bodySchema>,
): Promise<Response> {
  if (organizationId !== undefined)
    return jsonReply(
      await requestHealthCheck({ sql, checker, store: new HealthStore(sql) }, caller, organizationId, deep),
    )
  if (caller.type !== 'service')
    throw new Problem(
      'invalid_body',
      'Wrong: organizationId: is needed, the whole fleet is for the project’s own backend',
      [{ path: 'organizationId', message: 'is needed, the whole fleet is for the project’s own backend' }],
    )
  return ring(checker)
}
