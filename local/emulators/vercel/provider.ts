import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { EndingFault } from '../http/faults.ts'
import type { Provider } from '../http/server.ts'
import type { VercelApi } from './api.ts'
import { invalidToken, notFound, rateLimited, VercelApiError } from './errors.ts'
import { matchRoute } from './routes.ts'

export interface VercelLimits {
  /** For each operation; Infinity switches it off. Vercel has other numbers for each: https://vercel.com/docs/limits */
  readonly requestsPerMinute: number
  readonly maxProjects: number
}

interface VercelProviderParts {
  readonly api: VercelApi
  readonly limits: VercelLimits
  readonly clock: Clock
  readonly apiKey: string
}

const MINUTE_MS = 60_000

/** Vercel's API as HTTP sees it: token, rate limits, errors in `{error: {code, message}}`. */
export class VercelProvider implements Provider {
  readonly #parts: VercelProviderParts
  readonly #windows = new Map<string, { used: number; endsAt: number }>()

  constructor(parts: VercelProviderParts) {
    this.#parts = parts
  }

  /** Starts the rate limits anew. */
  resetLimits(): void {
    this.#windows.clear()
  }

  identify(method: string, path: string): string | undefined {
    return matchRoute(method, path)?.operation
  }

  requestId(): string {
    return `fra1::${crypto.randomUUID()}`
  }

  async respond(request: ProviderRequest): Promise<Reply> {
    try {
      if (request.headers.authorization !== `Bearer ${this.#parts.apiKey}`) throw invalidToken()
      const matched = matchRoute(request.method, request.path)
      if (!matched) throw notFound('Endpoint')
      const headers = this.#limitRate(matched.operation)
      const reply = await this.#parts.api.perform(matched, request)
      return withHeaders(request, { ...reply, headers: { ...headers, ...reply.headers } })
    } catch (error) {
      if (!(error instanceof VercelApiError)) throw error
      return errorReply(request, error)
    }
  }

  faultReply(request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply {
    const { status, retryAfterSeconds: retry } = fault
    const error =
      status === 429
        ? rateLimited(1, this.#parts.clock() + (retry ?? 1) * 1000)
        : new VercelApiError(
            status,
            status < 500 ? 'bad_request' : 'internal_server_error',
            'An injected fault.',
          )
    const reply = errorReply(request, error)
    return fault.body === undefined ? reply : { ...reply, body: fault.body }
  }

  bugReply(request: ProviderRequest, error: unknown): Reply {
    return errorReply(
      request,
      new VercelApiError(500, 'internal_server_error', `The emulator failed: ${String(error)}`),
    )
  }

  /** @returns the headers that tell of it @throws VercelApiError 429 */
  #limitRate(operation: string): Record<string, string> {
    const { requestsPerMinute: total } = this.#parts.limits
    if (!Number.isFinite(total)) return {}
    const now = this.#parts.clock()
    const present = this.#windows.get(operation)
    const window = present && present.endsAt > now ? present : { used: 0, endsAt: now + MINUTE_MS }
    this.#windows.set(operation, window)
    if (window.used >= total) throw rateLimited(total, window.endsAt)
    window.used++
    return {
      'x-ratelimit-limit': String(total),
      'x-ratelimit-remaining': String(total - window.used),
      'x-ratelimit-reset': String(Math.ceil(window.endsAt / 1000)),
    }
  }
}

function errorReply(request: ProviderRequest, error: VercelApiError): Reply {
  return withHeaders(request, { status: error.status, headers: error.headers, body: error.body() })
}

function withHeaders({ requestId }: ProviderRequest, reply: Reply): Reply {
  return { ...reply, headers: { 'x-vercel-id': requestId, ...reply.headers } }
}
