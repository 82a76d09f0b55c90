import { z } from 'zod'
import { inBackground } from '../kernel/background.ts'
import { createAuthenticator } from '../kernel/caller.ts'
import { connect } from '../kernel/database/client.ts'
import { createDoorbellReader } from '../kernel/doorbell.ts'
import type { Environment } from '../kernel/environment.ts'
import { readBody } from '../kernel/http/body.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handlePost, jsonReply } from '../kernel/http/serve.ts'
import { createProjectCheck } from '../kernel/own-project.ts'
import { createAlertDelivery } from './deliver.ts'

const bodySchema = z.strictObject({})

/**
 * Sends alerts to the webhook. It takes a signed doorbell from the database, or {} from the backend; both are answered 202 at
 * once, and what is due is sent after the reply.
 */
export function createAlertsFunction(environment: Environment): (request: Request) => Promise<Response> {
  const sql = connect(environment)
  const deliveries = createAlertDelivery(sql)
  const authenticate = createAuthenticator(environment)
  const readDoorbell = createDoorbellReader(sql, 'Send a secret key as apikey.')
  const assertOwnProject = createProjectCheck(environment, sql)

  return handlePost(async (request) => {
    if (!(await readDoorbell(request))) {
      const caller = await authenticate(request)
      if (caller.type !== 'service')
        throw new Problem('forbidden', 'Alerts are sent by the project’s own backend, with a secret key.')
      await readBody(request, bodySchema)
    }
    await assertOwnProject()
    inBackground(deliveries.ring())
    return jsonReply({ accepted: true }, 202)
  })
}
