import type { GraphQLError, GraphQLErrorOptions } from 'graphql'
import { createGraphQLError } from 'graphql-yoga'
import { logRefusal, type Problem } from '../kernel/http/problem.ts'
import { requestId } from '../kernel/http/request-id.ts'
import { asProblem } from '../kernel/http/serve.ts'
import { refusalAsProblem } from '../kernel/refusals.ts'

/** The database's refusal as a Problem; anything unexpected goes to the log. */
export function causeAsProblem(error: unknown): Problem {
  return refusalAsProblem(error) ?? asProblem(error)
}

/** Errors that have been through `present`; yoga shows it some of them twice. */
const presented = new WeakSet<GraphQLError>()

/**
 * The error as the caller is told it: `extensions.code` is always from the catalogue in http/problem.ts. Errors that GraphQL
 * itself finds in the operation or its variables keep their message. `extensions.requestId` is what the log has it under.
 */
export function present(error: unknown): GraphQLError {
  if (!isGraphqlError(error)) return remember(presentCause(error))
  return presented.has(error) ? error : remember(presentLocated(error))
}

function remember(shown: GraphQLError): GraphQLError {
  presented.add(shown)
  return shown
}

function presentLocated(error: GraphQLError): GraphQLError {
  const { nodes = null, source = null, positions = null, path = null, message } = error
  const place = { nodes, source, positions, path }
  const cause = originOf(error)
  if (cause !== undefined) return presentCause(cause, place)
  const { http } = error.extensions
  const refused = { code: 'invalid_query', requestId: requestId() } as const
  logRefusal(refused)
  return createGraphQLError(message, {
    ...place,
    extensions: { ...refused, ...(http ? { http } : {}) },
  })
}

function presentCause(cause: unknown, place: GraphQLErrorOptions = {}): GraphQLError {
  const problem = causeAsProblem(cause)
  const { code, requestId, message, issues, retryAfterSeconds } = problem
  logRefusal(problem)
  return createGraphQLError(message, {
    ...place,
    extensions: {
      code,
      requestId,
      ...(issues.length > 0 ? { issues } : {}),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    },
  })
}

/** What was thrown in a resolver; undefined when GraphQL itself raised the error. */
function originOf(error: GraphQLError): unknown {
  const origin = error.originalError
  return isGraphqlError(origin) ? originOf(origin) : origin
}

/** By its name: whoever bundles the function may load the package twice, and `instanceof` knows one of its classes only. */
function isGraphqlError(error: unknown): error is GraphQLError {
  return error instanceof Error && error.name === 'GraphQLError'
}
