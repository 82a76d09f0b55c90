import type { Operation } from './operation'

/** Where a project is, and who asks: what every component takes. */
export interface ProjectAccess {
  /** Of the project, such as https://abc.supabase.co, without a slash at its end. */
  readonly url: string
  /**
   * Asked before every request, because tokens end after an hour. Null when nobody is signed in. It is asked again with the token that the
   * project has refused, and may give another one, which is tried once.
   */
  readonly getAccessToken: (refused?: string) => Promise<string | null>
}

/** A refusal by the API, or why it could not be asked. */
export class ApiError extends Error {
  /** Of the API's catalogue (docs/api.md), or `offline`, `unreachable` or `signed_out`. */
  readonly code: string
  readonly retryAfterSeconds: number | undefined
  readonly requestId: string | undefined
  constructor(message: string, code: string, more: { retryAfterSeconds?: number; requestId?: string } = {}) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.retryAfterSeconds = more.retryAfterSeconds
    this.requestId = more.requestId
  }
}

interface Reply<Result> {
  readonly data?: Result | null
  readonly errors?: readonly {
    readonly message: string
    readonly extensions?: { code?: string; retryAfterSeconds?: number; requestId?: string }
  }[]
}

/** @throws ApiError */
export async function request<Result, Variables>(
  access: ProjectAccess,
  operation: Operation<Result, Variables>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Result> {
  const response = await post(access, operation, variables, 'application/json', signal)
  const reply: Reply<Result> = await response.json().catch(() => ({}))
  return resultOf(reply, response)
}

/** The request alone: its answer may be JSON or a stream. @throws ApiError */
export async function post<Result, Variables>(
  { url, getAccessToken }: ProjectAccess,
  operation: Operation<Result, Variables>,
  variables: Variables,
  accept: string,
  signal?: AbortSignal,
): Promise<Response> {
  return withToken(getAccessToken, signal, (token) =>
    fetch(`${url}/functions/v1/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept },
      body: JSON.stringify({ query: operation, variables }),
      ...(signal ? { signal } : {}),
    }),
  )
}

/** Sends something as the person who is signed in; once more with another token, when the first is refused. @throws ApiError */
export async function withToken(
  getAccessToken: ProjectAccess['getAccessToken'],
  signal: AbortSignal | undefined,
  send: (token: string) => Promise<Response>,
): Promise<Response> {
  const token = await getAccessToken()
  if (token === null) throw new ApiError('You are signed out.', 'signed_out')
  try {
    const response = await send(token)
    if (response.status !== 401) return response
    const next = await getAccessToken(token)
    return next === null || next === token ? response : await send(next)
  } catch (cause) {
    throw failedFetch(cause, signal)
  }
}

/** Why a request has no answer; what was thrown, where it was ended on purpose. */
export function failedFetch(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return cause
  return navigator.onLine
    ? new ApiError('The project did not answer.', 'unreachable')
    : new ApiError('You are offline.', 'offline')
}

/** @throws ApiError for the first error */
export function resultOf<Result>(reply: Reply<Result>, response: Response): Result {
  const [error] = reply.errors ?? []
  if (error) throw new ApiError(error.message, error.extensions?.code ?? 'internal_error', error.extensions)
  if (reply.data) return reply.data
  if (response.status === 401) throw new ApiError('You are signed out.', 'signed_out')
  throw new ApiError(`The project answered ${response.status}.`, 'unreachable')
}
