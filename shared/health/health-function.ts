import { z } from 'zod'
import { inBackground } from '../kernel/background.ts'
import { type Caller, createAuthenticator } from '../kernel/caller.ts'
import { connect, type Database } from '../kernel/database/client.ts'
import { createDoorbellReader } from '../kernel/doorbell.ts'
import type { Environment } from '../kernel/environment.ts'
import { readBody } from '../kernel/http/body.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handlePost, jsonReply } from '../kernel/http/serve.ts'
import { createProjectCheck } from '../kernel/own-project.ts'
import { databaseWatches } from '../services/registry.ts'
import { createHealthChecker, type HealthChecker } from './checker.ts'
import { HealthStore } from './health-store.ts'
import { requestHealthCheck } from './request-check.ts'

/** Without an organization: check whatever is due. */
const bodySchema = z.strictObject({
  organizationId: z.guid().toLowerCase().optional(),
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
  const checker = createHealthChecker(sql, databaseWatches({ variables: environment.variables, sql }))
  const authenticate = createAuthenticator(environment)
  const readDoorbell = createDoorbellReader(sql)
  const assertOwnProject = createProjectCheck(environment, sql)

  return handlePost(async (request) => {
    const caller = (await readDoorbell(request)) ? undefined : await authenticate(request)
    await assertOwnProject()
    if (!caller) return ring(checker)
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
