import { ApiError, type ProjectAccess, withToken } from '../components/tenants/lib/api.ts'

/** What is asked of a tenant's own GraphQL endpoint (docs/graphql-endpoint.md). */
export interface TenantQuestion {
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>>
}

/** What went wrong in a query: of a part of it, when there are data beside. */
export interface TenantError {
  readonly message: string
  readonly code: string
  readonly requestId: string | undefined
  /** Line and column in the text of the query. */
  readonly at: { readonly line: number; readonly column: number } | undefined
  readonly path: string
}

export interface TenantAnswer {
  readonly data: unknown
  readonly errors: readonly TenantError[]
  /** From the question to the whole answer, in milliseconds. */
  readonly tookMs: number
  /** How much of it went into opening a connection, in which a sleeping database wakes; 0 where one was open. */
  readonly connectMs: number
  readonly schemaVersion: number | undefined
  readonly versionsBehind: number
}

interface Reply {
  readonly data?: unknown
  readonly errors?: readonly {
    readonly message?: string
    readonly path?: readonly (string | number)[]
    readonly locations?: readonly { readonly line: number; readonly column: number }[]
    readonly extensions?: { readonly code?: string; readonly requestId?: string }
  }[]
  // Of a refusal, which is no GraphQL (RFC 9457).
  readonly detail?: string
  readonly code?: string
  readonly requestId?: string
}

export const endpointOf = (url: string) => `${url}/functions/v1/tenant-graphql`

/**
 * Asks as the member who is signed in, or as the program that an API key is for.
 * @throws ApiError when the endpoint lets nobody in, or cannot be reached
 */
export async function askTenant(
  { url, getAccessToken }: ProjectAccess,
  organizationId: string,
  apiKey: string | undefined,
  question: TenantQuestion,
  signal?: AbortSignal,
): Promise<TenantAnswer> {
  const startedAt = performance.now()
  const send = (bearer: string) =>
    fetch(endpointOf(url), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${bearer}`,
        'content-type': 'application/json',
        'x-organization-id': organizationId,
      },
      body: JSON.stringify(question),
      ...(signal ? { signal } : {}),
    })
  const getToken = apiKey === undefined ? getAccessToken : async () => apiKey
  const response = await withToken(getToken, signal, send)
  const reply: Reply = await response.json().catch(() => ({}))
  const tookMs = performance.now() - startedAt
  if (reply.data === undefined && !reply.errors) throw refusal(response, reply, apiKey !== undefined)
  const header = (name: string) => Number(response.headers.get(name) ?? 0)
  return {
    data: reply.data ?? null,
    errors: (reply.errors ?? []).map(({ message = '', path = [], locations, extensions }) => ({
      message,
      code: extensions?.code ?? 'internal_error',
      requestId: extensions?.requestId,
      at: locations?.[0],
      path: path.join('.'),
    })),
    tookMs,
    connectMs: header('x-database-connect-ms'),
    schemaVersion: header('x-tenant-schema-version') || undefined,
    versionsBehind: header('x-tenant-schema-behind'),
  }
}

function refusal(
  { status, headers }: Response,
  { detail, code, requestId }: Reply,
  isKey: boolean,
): ApiError {
  if (status === 401 && !isKey) return new ApiError('You are signed out.', 'signed_out')
  if (!code) return new ApiError(`The project answered ${status}.`, 'unreachable')
  const seconds = Number(headers.get('retry-after') ?? 0)
  return new ApiError(detail ?? '', code, {
    ...(seconds > 0 ? { retryAfterSeconds: seconds } : {}),
    ...(requestId ? { requestId } : {}),
  })
}

/** What a person is told of an error in a query. What is wrong with the query itself, the endpoint says best. */
export function tenantErrorText({ code, message }: TenantError): string {
  if (code === 'forbidden') return 'Your rights in this database do not allow this.'
  return message || 'The query was not answered.'
}
