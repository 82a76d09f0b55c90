import { z } from 'zod'
import { bearerOf } from '../kernel/caller.ts'
import { connect } from '../kernel/database/client.ts'
import { type Environment, readVariables } from '../kernel/environment.ts'
import { equalInConstantTime } from '../kernel/http/constant-time.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handleGet } from '../kernel/http/serve.ts'
import { type Reading, registryOf } from './gauges.ts'

const schema = z.object({
  METRICS_KEY: z
    .string()
    .regex(/^[\w.~+/-]{32,}=*$/, 'is not 32 or more letters, digits and . _ ~ + / -')
    .optional(),
})

/**
 * Answers GET with the state of the whole project in Prometheus's text format, to whoever has METRICS_KEY. That key opens nothing
 * else, and no other key opens this: a monitoring system needs none that can change anything.
 */
export function createMetricsFunction(environment: Environment): (request: Request) => Promise<Response> {
  const { METRICS_KEY: key } = readVariables(schema, environment.variables)
  const sql = connect(environment)

  return handleGet(async (request) => {
    if (key === undefined)
      throw new Problem(
        'not_configured',
        'The function secret METRICS_KEY is not set, so nobody can be let in.',
      )
    if (!equalInConstantTime(bearerOf(request), key))
      throw new Problem('unauthorized', 'Send METRICS_KEY as Authorization: Bearer.')
    const registry = registryOf(
      await sql<Reading[]>`select metric, labels, value from provisioning.metrics()`,
    )
    return new Response(await registry.metrics(), { headers: { 'content-type': registry.contentType } })
  })
}
