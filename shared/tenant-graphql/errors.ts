import type { GraphQLError, GraphQLFormattedError } from 'graphql'
import { logRefusal, Problem, type ProblemCode } from '../kernel/http/problem.ts'
import { requestId } from '../kernel/http/request-id.ts'
import { asProblem } from '../kernel/http/serve.ts'
import { log } from '../kernel/log.ts'

const DRIFT = 'The owner of the database has changed something that the endpoint needs.'

/** What goes wrong on the way into a tenant's database, as the caller is told it. Nothing that the database says is told. */
const CAUSES: readonly (readonly [codes: RegExp, code: ProblemCode, message: string])[] = [
  [
    /^ANSWER_TOO_LARGE$/,
    'answer_too_large',
    'The answer would be too large. Ask for fewer or shorter values.',
  ],
  [/^BUSY$/, 'tenant_database_busy', 'Too much is asked of the database at once. Try again in a moment.'],
  [
    /^(DEADLINE|57014|55P03|25P03)$/,
    'tenant_database_too_slow',
    'The database did not answer in time, and was stopped.',
  ],
  [
    /^COMMIT_UNKNOWN$/,
    'tenant_database_unavailable',
    'The connection was lost in the end, so that it is not known whether the change was made. Look before you repeat it.',
  ],
  [/^(42501|25006)$/, 'forbidden', 'The database does not allow this.'],
  [/^(42|3F)/, 'schema_drift', DRIFT],
  [/^23505$/, 'already_exists', 'There is another row with this value already.'],
  [
    /^(23|22|P0001|44000)/,
    'value_refused',
    'The database does not take a value that was given, or one that is missing.',
  ],
  [/^(40001|40P01)$/, 'tenant_database_busy', 'Somebody else is changing the same rows. Try again.'],
  [
    /^(CONNECT|ECONN|ENOTFOUND|EHOST|ENET|ETIMEDOUT|EPIPE|CONNECTION_|NO_PASSWORD|XX|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|57|53|58|08|28|3D)/,
    'tenant_database_unavailable',
    'The tenant’s database cannot be reached. Try again in a moment.',
  ],
  // An SQLSTATE: triggers and functions of the owner's may raise any.
  [/^[0-9A-Z]{5}$/, 'value_refused', 'The database refuses this.'],
]

/** Worth another try after so many seconds. */
const RETRY_SECONDS: Partial<Record<ProblemCode, number>> = {
  tenant_database_unavailable: 5,
  tenant_database_busy: 1,
}

/** An error that a tenant's database, or the way there, has caused; undefined for any other. */
export function causeAsProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error
  const cause = codeOf(error)
  const found = CAUSES.find(([codes]) => codes.test(cause))
  if (!found) return undefined
  const [, code, message] = found
  const problem = new Problem(code, message, [], RETRY_SECONDS[code])
  // Operators may know more than callers: a code says nothing of anybody's data.
  log.warn('the database of the tenant refused', { request: problem.requestId, code: cause })
  return problem
}

function drift(): Problem {
  return new Problem('schema_drift', DRIFT)
}

/** SQLSTATE, or the code of a network error. pg says without one that a connection was lost. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  return /Connection terminated|not queryable/.test(error.message) ? 'CONNECTION_CLOSED' : ''
}

/**
 * The error as the caller is told it, with a code of http/problem.ts and the id under which the log has it. What GraphQL itself
 * finds in the operation or its variables keeps its message.
 */
export function present(error: GraphQLError): GraphQLFormattedError {
  const { message, locations, path } = error
  const place = { ...(locations ? { locations } : {}), ...(path ? { path } : {}) }
  const cause = originOf(error)
  if (cause === undefined && path === undefined) {
    const refused = { code: 'invalid_query', requestId: requestId() } as const
    logRefusal(refused)
    return { message, ...place, extensions: refused }
  }
  return { ...presentProblem(problemOf(cause ?? error)), ...place }
}

function problemOf(cause: unknown): Problem {
  const message = cause instanceof Error ? cause.message : ''
  if (/took too long to plan|too complex/.test(message))
    return new Problem('query_too_complex', 'The operation asks for too much. Ask for fewer fields.')
  // A column that may be null by now, or has another type.
  if (/^Cannot return null|cannot represent/i.test(message)) return drift()
  return causeAsProblem(cause) ?? asProblem(cause)
}

export function presentProblem(problem: Problem): GraphQLFormattedError {
  const { code, requestId: id, message, issues, retryAfterSeconds } = problem
  logRefusal(problem)
  return {
    message,
    extensions: {
      code,
      requestId: id,
      ...(issues.length > 0 ? { issues } : {}),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    },
  }
}

/** What was thrown below GraphQL; undefined when GraphQL itself raised the error. */
function originOf(error: GraphQLError): unknown {
  const origin = error.originalError
  return isGraphqlError(origin) ? originOf(origin) : origin
}

function isGraphqlError(error: unknown): error is GraphQLError {
  return error instanceof Error && error.name === 'GraphQLError'
}
