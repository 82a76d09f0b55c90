/** A refusal in Vercel's terms; becomes `{error: {code, message, …}}` with this status. */
export class VercelApiError extends Error {
  readonly status: number
  readonly code: string
  readonly more: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    more: Readonly<Record<string, unknown>> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.more = more
    this.headers = headers
  }

  body(): unknown {
    return { error: { code: this.code, message: this.message, ...this.more } }
  }
}

/** 403 and not 401: so Vercel answers a token that nobody has. */
export const invalidToken = () =>
  new VercelApiError(403, 'forbidden', 'Not authorized', { invalidToken: true })

export const notAuthorized = () => new VercelApiError(403, 'forbidden', 'Not authorized')

/** @param what begins with a capital */
export const notFound = (what: string) => new VercelApiError(404, 'not_found', `${what} not found.`)

export const nameTaken = (name: string) =>
  new VercelApiError(409, 'conflict', `Project "${name}" already exists, please use a new name.`)

export const badRequest = (message: string) => new VercelApiError(400, 'bad_request', message)

/** Vercel's GitHub App is not installed for the repository, or the token's owner has not connected GitHub. */
export const githubNotInstalled = (repo: string) =>
  new VercelApiError(
    400,
    'bad_request',
    'To link a GitHub repository, you need to install the GitHub integration first.',
    { action: 'Install GitHub App', link: 'https://github.com/apps/vercel', repo },
  )

/** Vercel's wording for the limit of projects is not known. */
export const paymentRequired = () =>
  new VercelApiError(402, 'payment_required', 'Your plan allows no more projects. Upgrade it to go on.')

export function rateLimited(total: number, resetAt: number): VercelApiError {
  const reset = Math.ceil(resetAt / 1000)
  return new VercelApiError(
    429,
    'rate_limited',
    'Too many requests - try again later.',
    { limit: { remaining: 0, reset, resetMs: Math.ceil(resetAt), total } },
    { 'x-ratelimit-limit': String(total), 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) },
  )
}
