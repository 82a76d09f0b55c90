/** Every error that a function can answer with. `code` is for programs and never changes its meaning. */
const problems = {
  invalid_json: [400, 'The body is not JSON'],
  invalid_body: [400, 'The body is not valid'],
  unauthorized: [401, 'Not authenticated'],
  forbidden: [403, 'Not allowed'],
  organization_not_found: [404, 'No such organization'],
  method_not_allowed: [405, 'Method not allowed'],
  region_is_fixed: [409, 'The region cannot be changed'],
  body_too_large: [413, 'The body is too large'],
  unknown_choice: [422, 'Not offered'],
  confirmation_required: [428, 'Confirm that you mean it'],
  internal_error: [500, 'Something went wrong'],
  database_unavailable: [503, 'The database does not answer'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemCode = keyof typeof problems

export interface Issue {
  readonly path: string
  readonly message: string
}

/** An answer in the making: thrown by whatever finds the problem, turned into a reply in one place. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly issues: readonly Issue[]
  constructor(code: ProblemCode, detail: string, issues: readonly Issue[] = []) {
    super(detail)
    this.code = code
    this.issues = issues
  }
}

/** RFC 9457: {type, title, status, detail, code, issues?} as application/problem+json. */
export function problemReply(problem: Problem, headers: HeadersInit = {}): Response {
  const [status, title] = problems[problem.code]
  const body = {
    type: `urn:tenant-provisioning:problem:${problem.code}`,
    title,
    status,
    detail: problem.message,
    code: problem.code,
    ...(problem.issues.length > 0 ? { issues: problem.issues } : {}),
  }
  const reply = new Response(JSON.stringify(body), { status, headers })
  reply.headers.set('content-type', 'application/problem+json')
  return reply
}
