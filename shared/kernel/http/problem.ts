import { log } from '../log.ts'
import { requestId } from './request-id.ts'

/** Every error that a function can answer with. `code` is for programs and never changes its meaning. */
const problems = {
  invalid_json: [400, 'The body is not JSON'],
  invalid_body: [400, 'The body is not valid'],
  invalid_argument: [400, 'An argument is not valid'],
  invalid_query: [400, 'The GraphQL operation is not valid'],
  query_too_complex: [400, 'The GraphQL operation asks for too much'],
  unauthorized: [401, 'Not authenticated'],
  forbidden: [403, 'Not allowed'],
  size_not_in_plan: [403, 'The plan does not have this size or tier'],
  organization_not_found: [404, 'No such organization'],
  user_not_found: [404, 'No such user'],
  key_not_found: [404, 'No such key'],
  database_not_found: [404, 'No database yet'],
  not_expected: [404, 'No organization expects you'],
  method_not_allowed: [405, 'Method not allowed'],
  not_acceptable: [406, 'Not acceptable'],
  nothing_to_cancel: [409, 'There is nothing to cancel'],
  region_is_fixed: [409, 'The region cannot be changed'],
  move_not_possible: [409, 'The tenant cannot be moved'],
  undo_in_progress: [409, 'An undo is at work'],
  former_password_valid: [409, 'The former password is still valid'],
  already_member: [409, 'A member already'],
  owner_is_needed: [409, 'The only owner of an organization'],
  too_many_organizations: [409, 'The user owns enough organizations'],
  key_has_ended: [409, 'The key has ended'],
  body_too_large: [413, 'The body is too large'],
  unknown_choice: [422, 'Not offered'],
  user_not_eligible: [422, 'Not a user to provision'],
  user_too_old: [422, 'Not a new user'],
  confirmation_required: [428, 'Confirm that you mean it'],
  under_legal_hold: [451, 'The organization is under a legal hold'],
  several_accounts: [409, 'Several accounts have this address'],
  service_just_redone: [429, 'The service was done again just now'],
  schema_drift: [409, 'The database is not as its schema says'],
  already_exists: [409, 'There is such a row already'],
  value_refused: [422, 'The database refuses a value'],
  answer_too_large: [413, 'The answer is too large'],
  unknown_document: [400, 'No such document'],
  too_many_requests: [429, 'Too many requests'],
  too_many_attempts: [429, 'Too many attempts'],
  too_many_waiting: [429, 'Too many are waiting'],
  internal_error: [500, 'Something went wrong'],
  tenant_not_ready: [503, 'The tenant is not ready'],
  tenant_moving: [503, 'The tenant is moving to another database'],
  tenant_schema_behind: [503, 'The tenant’s database is behind'],
  tenant_database_unavailable: [503, 'The tenant’s database does not answer'],
  tenant_database_busy: [503, 'The tenant’s database is busy'],
  tenant_database_too_slow: [504, 'The tenant’s database took too long'],
  database_unavailable: [503, 'The database does not answer'],
  provider_unavailable: [503, 'A provider does not answer'],
  not_configured: [503, 'Not configured'],
  project_copied: [503, 'A copy of another project'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemCode = keyof typeof problems
export const PROBLEM_CODES = Object.keys(problems)

export interface Issue {
  readonly path: string
  readonly message: string
}

/** An answer in the making: thrown by whatever finds the problem, turned into a reply in one place. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly issues: readonly Issue[]
  /** When it is worth trying again, for the Retry-After header. */
  readonly retryAfterSeconds: number | undefined
  /** The request in which it was found; told to the caller, and written to the log. */
  readonly requestId = requestId()
  constructor(
    code: ProblemCode,
    detail: string,
    issues: readonly Issue[] = [],
    retryAfterSeconds: number | undefined = undefined,
  ) {
    super(detail)
    this.code = code
    this.issues = issues
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** One line in the log for an answer that refuses; nothing in it comes from the caller. */
export function logRefusal({ requestId, code }: Pick<Problem, 'requestId' | 'code'>): void {
  log.warn('refused', { request: requestId, code })
}

/**
 * RFC 9457: {type, title, status, detail, code, requestId, issues?} as application/problem+json. The log has the reply under its
 * requestId, which is in the header x-request-id as well.
 */
export function problemReply(problem: Problem, headers: HeadersInit = {}): Response {
  logRefusal(problem)
  const [status, title] = problems[problem.code]
  const body = {
    type: `urn:tenant-provisioning:problem:${problem.code}`,
    title,
    status,
    detail: problem.message,
    code: problem.code,
    requestId: problem.requestId,
    ...(problem.issues.length > 0 ? { issues: problem.issues } : {}),
  }
  const reply = new Response(JSON.stringify(body), { status, headers })
  reply.headers.set('content-type', 'application/problem+json')
  reply.headers.set('x-request-id', problem.requestId)
  if (problem.retryAfterSeconds !== undefined)
    reply.headers.set('retry-after', String(problem.retryAfterSeconds))
  return reply
}
