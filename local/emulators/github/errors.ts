/** A refusal in GitHub's terms; becomes `{message, documentation_url, status}` with this status. */
export class GithubApiError extends Error {
  readonly status: number
  readonly errors: readonly unknown[] | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    message: string,
    more: { readonly errors?: readonly unknown[]; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.errors = more.errors
    this.headers = more.headers ?? {}
  }

  body(): unknown {
    return {
      message: this.message,
      ...(this.errors === undefined ? {} : { errors: this.errors }),
      documentation_url: 'https://docs.github.com/rest',
      status: String(this.status),
    }
  }
}

/** Also for what a token may not see: GitHub does not tell that it is there. */
export const notFound = () => new GithubApiError(404, 'Not Found')

export const badCredentials = () => new GithubApiError(401, 'Bad credentials')

/** By which of its kinds of token somebody has too few rights. */
export type Caller = 'personal access token' | 'integration'

export const notAccessible = (caller: Caller) =>
  new GithubApiError(403, `Resource not accessible by ${caller}`)

export const nameExists = () =>
  new GithubApiError(422, 'Could not clone: Name already exists on this account', {
    errors: ['Could not clone: Name already exists on this account'],
  })

export const readOnly = () => new GithubApiError(403, 'Repository was archived so is read-only.')

export const wrongJson = () => new GithubApiError(400, 'Problems parsing JSON')

/** @param problems of the fields of the body, in words */
export const validationFailed = (problems: readonly string[]) =>
  new GithubApiError(422, 'Validation Failed', { errors: problems })

export function primaryLimit(resetAt: number): GithubApiError {
  return new GithubApiError(
    403,
    'API rate limit exceeded for user ID 1. If you reach out to GitHub Support for help, please include the request ID.',
    {
      headers: {
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Math.ceil(resetAt / 1000)),
      },
    },
  )
}

export function secondaryLimit(retryAfterSeconds: number): GithubApiError {
  return new GithubApiError(
    403,
    'You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach out to GitHub Support for help, please include the request ID.',
    { headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfterSeconds))) } },
  )
}
