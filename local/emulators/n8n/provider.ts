import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { EndingFault } from '../http/faults.ts'
import type { Provider } from '../http/server.ts'
import { TokenBucket } from '../http/token-bucket.ts'
import type { N8nApi } from './api.ts'
import { forbidden, N8nApiError } from './errors.ts'

export interface N8nLimits {
  /** n8n itself has none; its cloud, and whatever stands before an n8n of one's own, may. Infinity switches it off. */
  readonly requestsPerSecond: number
  /** As plans of the cloud have. */
  readonly activeWorkflows: number
}

/** Who made a key: it may do what that person may. */
export type Role = 'owner' | 'member'

interface N8nProviderParts {
  readonly api: N8nApi
  readonly limits: N8nLimits
  readonly clock: Clock
  /** Undefined for a key that nobody has. */
  readonly roleOf: (key: string) => Role | undefined
}

/** Each path of the public API that is emulated, with n8n's name of the operation for each method. */
const ROUTES: readonly (readonly [path: RegExp, operations: Readonly<Record<string, string>>])[] = [
  [/^\/workflows$/, { GET: 'getWorkflows', POST: 'createWorkflow' }],
  [/^\/workflows\/([^/]+)$/, { GET: 'getWorkflow', PUT: 'updateWorkflow', DELETE: 'deleteWorkflow' }],
  [/^\/workflows\/([^/]+)\/activate$/, { POST: 'activateWorkflow' }],
  [/^\/workflows\/([^/]+)\/deactivate$/, { POST: 'deactivateWorkflow' }],
  [/^\/workflows\/([^/]+)\/tags$/, { GET: 'getWorkflowTags', PUT: 'updateWorkflowTags' }],
  [/^\/tags$/, { GET: 'getTags', POST: 'createTag' }],
  [/^\/tags\/([^/]+)$/, { GET: 'getTag', DELETE: 'deleteTag' }],
  [/^\/credentials$/, { GET: 'getCredentials', POST: 'createCredential' }],
  [/^\/credentials\/([^/]+)$/, { PATCH: 'updateCredential', DELETE: 'deleteCredential' }],
  [/^\/credentials\/schema\/([^/]+)$/, { GET: 'getCredentialType' }],
]

const BASE_PATH = '/api/v1'

/** What a person who neither owns nor administers the instance may not do. */
const FOR_OWNERS: readonly (string | undefined)[] = ['getCredentials', 'deleteTag']

/** n8n's public API as HTTP sees it: addresses, key, errors in `{message}`. */
export class N8nProvider implements Provider {
  readonly #parts: N8nProviderParts
  #bucket: TokenBucket

  constructor(parts: N8nProviderParts) {
    this.#parts = parts
    this.#bucket = this.#newBucket()
  }

  /** Starts the rate limit anew, with a full bucket. */
  resetLimits(): void {
    this.#bucket = this.#newBucket()
  }

  identify(method: string, path: string): string | undefined {
    return routeOf(path)?.operations[method]
  }

  requestId(): string {
    return crypto.randomUUID()
  }

  async respond(request: ProviderRequest): Promise<Reply> {
    try {
      return this.#perform(request)
    } catch (error) {
      if (!(error instanceof N8nApiError)) throw error
      return errorReply(error)
    }
  }

  faultReply(_request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply {
    const retry = fault.retryAfterSeconds
    const headers: Record<string, string> = retry === undefined ? {} : { 'retry-after': String(retry) }
    if (fault.body !== undefined) return { status: fault.status, headers, body: fault.body }
    return errorReply(new N8nApiError(fault.status, 'injected fault', headers))
  }

  bugReply(_request: ProviderRequest, error: unknown): Reply {
    return errorReply(new N8nApiError(500, `The emulator failed: ${String(error)}`))
  }

  /** In the order in which n8n refuses: the address, its method, the key, what the key may, the body. */
  #perform(request: ProviderRequest): Reply {
    const waitSeconds = this.#bucket.take()
    if (waitSeconds > 0)
      throw new N8nApiError(429, 'Too many requests', { 'retry-after': String(Math.ceil(waitSeconds)) })
    const route = routeOf(request.path)
    if (route === undefined) throw new N8nApiError(404, 'not found')
    if (request.operation === undefined) throw new N8nApiError(405, `${request.method} method not allowed`)
    const key = request.headers['x-n8n-api-key']
    if (typeof key !== 'string') throw new N8nApiError(401, "'X-N8N-API-KEY' header required")
    const role = this.#parts.roleOf(key)
    if (role === undefined) throw new N8nApiError(401, 'unauthorized')
    if (role === 'member' && FOR_OWNERS.includes(request.operation)) throw forbidden()
    return this.#parts.api.perform(request, route.id)
  }

  #newBucket(): TokenBucket {
    const { requestsPerSecond } = this.#parts.limits
    return new TokenBucket(requestsPerSecond, requestsPerSecond, this.#parts.clock)
  }
}

function routeOf(
  path: string,
): { readonly operations: Readonly<Record<string, string>>; readonly id: string } | undefined {
  if (!path.startsWith(`${BASE_PATH}/`)) return undefined
  for (const [pattern, operations] of ROUTES) {
    const match = pattern.exec(path.slice(BASE_PATH.length))
    if (match) return { operations, id: decodeURIComponent(match[1] ?? '') }
  }
  return undefined
}

function errorReply({ status, headers, message }: N8nApiError): Reply {
  return { status, headers, body: { message } }
}
