import { log } from '../log.ts'
import { Problem, problemReply } from './problem.ts'
import { withRequestId } from './request-id.ts'

type Method = 'GET' | 'POST'

/** What browsers may send and read beside what every function has. */
export interface CorsHeaders {
  readonly allowed: readonly string[]
  readonly exposed: readonly string[]
}

const corsHeaders = (method: Method, { allowed, exposed }: CorsHeaders) => ({
  'access-control-allow-origin': '*',
  'access-control-allow-headers': [
    'authorization',
    'x-client-info',
    'apikey',
    'content-type',
    ...allowed,
  ].join(', '),
  'access-control-allow-methods': `${method}, OPTIONS`,
  'access-control-expose-headers': ['retry-after', 'x-request-id', ...exposed].join(', '),
  // Two hours, the most that Chrome keeps an answer; without, it asks again after five seconds, before the request itself.
  'access-control-max-age': '7200',
})

/**
 * Wraps a handler of POST requests: answers CORS preflights, turns a Problem into problem+json and anything unexpected
 * into a bare 500 whose details go to the log alone. Each refusal has an id, which the log has too.
 */
export function handlePost(
  handler: (request: Request) => Promise<Response>,
  headers: CorsHeaders = { allowed: [], exposed: [] },
): (request: Request) => Promise<Response> {
  return handle('POST', handler, headers)
}

/** The same for a handler of GET requests. */
export function handleGet(
  handler: (request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  return handle('GET', handler, { allowed: [], exposed: [] })
}

function handle(
  method: Method,
  handler: (request: Request) => Promise<Response>,
  headers: CorsHeaders,
): (request: Request) => Promise<Response> {
  const cors = corsHeaders(method, headers)
  return async (request) => {
    if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: cors })
    return withRequestId(() => answer(request, method, handler, cors))
  }
}

async function answer(
  request: Request,
  method: Method,
  handler: (request: Request) => Promise<Response>,
  cors: Readonly<Record<string, string>>,
): Promise<Response> {
  try {
    if (request.method !== method)
      throw new Problem('method_not_allowed', `Use ${method}, not ${request.method}.`)
    const reply = await handler(request)
    for (const [name, value] of Object.entries(cors)) reply.headers.set(name, value)
    return reply
  } catch (error) {
    return problemReply(asProblem(error), cors)
  }
}

/** Anything unexpected goes to the log with the id of the request, and its details nowhere else. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (/^(CONNECT|ECONN|ENOTFOUND|CONNECTION_|57P0|53300)/.test(code)) {
    const problem = new Problem('database_unavailable', 'Nothing was changed. Try again in a moment.')
    log.error('the database does not answer', { request: problem.requestId, code })
    return problem
  }
  const problem = new Problem(
    'internal_error',
    'The request was not finished; the function log has the details under its id.',
  )
  log.error('the request was not finished', { request: problem.requestId }, error)
  return problem
}

export function jsonReply(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
}
