import type { ExecutionResult } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import { z } from 'zod'
import { createJobReports } from '../engine/job-reports.ts'
import { createAuthenticator } from '../kernel/caller.ts'
import { connect, type Database } from '../kernel/database/client.ts'
import type { Environment } from '../kernel/environment.ts'
import { readBody } from '../kernel/http/body.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handlePost, jsonReply } from '../kernel/http/serve.ts'
import { createProjectCheck } from '../kernel/own-project.ts'
import { createWaitingRoom } from '../kernel/waiting-room.ts'
import { DEFAULT_TIMING, type GraphqlContext, type GraphqlTiming } from './context.ts'
import { present } from './errors.ts'
import { limits } from './limits.ts'
import { createProgressPoll } from './progress-poll.ts'
import { Reader } from './reader.ts'
import { schema } from './schema.ts'

const body = z.strictObject({
  query: z.string().min(1, 'is missing'),
  variables: z.record(z.string(), z.json()).nullish(),
  operationName: z.string().nullish(),
  extensions: z.record(z.string(), z.json()).nullish(),
})

/** How often a job is looked at that a mutation waits for. */
const JOB_POLL_MS = 200

export interface GraphqlDependencies {
  readonly sql: Database
  readonly timing: GraphqlTiming
}

/**
 * The GraphQL API over HTTP: POST {query, variables?, operationName?} with a user's access token or a secret key; answered as
 * JSON, or as server-sent events to whoever accepts them. Without credentials it answers 401 as problem+json; every GraphQL
 * error has a code of the catalogue in http/problem.ts.
 */
export function createGraphqlFunction(
  environment: Environment,
  { sql = connect(environment), timing = DEFAULT_TIMING }: Partial<GraphqlDependencies> = {},
): (request: Request) => Promise<Response> {
  const authenticate = createAuthenticator(environment)
  const assertOwnProject = createProjectCheck(environment, sql)
  const yoga = createGraphqlServer()
  const waiting = {
    room: createWaitingRoom(environment),
    jobs: createJobReports(sql, Math.min(timing.pollMs, JOB_POLL_MS)),
    progress: createProgressPoll(sql, timing.pollMs),
  }
  return handlePost(async (request) => {
    const caller = await authenticate(request)
    const accept = acceptable(request)
    const operation = JSON.stringify(await readBody(request, body))
    const unchecked = await assertOwnProject().then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof Problem) throw error
        return present(error)
      },
    )
    if (unchecked) return jsonReply({ errors: [unchecked] })
    const context = {
      caller,
      reader: new Reader(sql, caller),
      operatorReader: new Reader(sql, caller, { asOperator: true }),
      sql,
      environment,
      timing,
      waiting,
      signal: request.signal,
    }
    const reply = await yoga.fetch(plainRequest(request, operation, accept), context)
    if (reply.status === 406) throw notAcceptable()
    reply.headers.set('cache-control', 'no-store')
    return reply
  })
}

function createGraphqlServer() {
  return createYoga<GraphqlContext>({
    schema,
    graphqlEndpoint: '*',
    cors: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    logging: false,
    // The platform's own, on Node as well: yoga's stand-ins there do not pass on that a client has gone.
    fetchAPI: { Headers, ReadableStream, Request, Response, TextEncoder },
    maskedErrors: { maskError: present },
    plugins: [...limits, codedErrors],
  })
}

/** Errors that never pass `maskError`, because they were found before anything ran. */
const codedErrors: Plugin<GraphqlContext> = {
  onExecutionResult({ result, setResult }) {
    if (!isSingleResult(result) || !result.errors) return
    setResult({ ...result, errors: result.errors.map(present) })
  },
}

function isSingleResult(result: unknown): result is ExecutionResult {
  return typeof result === 'object' && result !== null && !(Symbol.asyncIterator in result)
}

/** The body was read and checked already, within its limit. */
function plainRequest(request: Request, operation: string, accept: string): Request {
  return new Request(request.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: operation,
  })
}

const ANSWERS = /^\s*(\*\/\*|application\/(\*|json|graphql-response\+json)|text\/(\*|event-stream))\s*(;|$)/i

/** Yoga looks at it when the operation has run: a mutation must not be done and refused. @throws Problem */
function acceptable(request: Request): string {
  const types = (request.headers.get('accept') || 'application/json').split(',')
  const known = types.filter((type) => ANSWERS.test(type) && !/charset=(?!utf-8)/i.test(type))
  if (known.length === 0) throw notAcceptable()
  return known.join(',')
}

function notAcceptable(): Problem {
  return new Problem(
    'not_acceptable',
    'Queries and mutations are answered as application/json, subscriptions as text/event-stream. Accept that.',
  )
}
