import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { EndingFault } from '../http/faults.ts'
import type { Provider } from '../http/server.ts'
import { TokenBucket } from '../http/token-bucket.ts'
import type { GithubApi } from './api.ts'
import { GithubApiError, notFound, primaryLimit, secondaryLimit } from './errors.ts'
import { matchRoute } from './routes.ts'

export interface GithubLimits {
  /** The primary limit, per token; Infinity switches it off. 5,000 at GitHub. */
  readonly requestsPerHour: number
  /** The secondary one, for requests that change something. 80 a minute at GitHub. */
  readonly changesPerMinute: number
  /** Likewise; 500 an hour at GitHub. */
  readonly changesPerHour: number
  readonly maxRepositories: number
}

interface GithubProviderParts {
  readonly api: GithubApi
  readonly limits: GithubLimits
  readonly clock: Clock
}

const HOUR_MS = 3_600_000
/** What GitHub asks to wait for when it names a time. */
const SECONDARY_PAUSE_SECONDS = 60
/** Asking how much is left is free. */
const UNCOUNTED = '/rate_limit'

/** GitHub's API as HTTP sees it: rate limits, headers, errors in `{message, documentation_url, status}`. */
export class GithubProvider implements Provider {
  readonly #parts: GithubProviderParts
  #changes: readonly TokenBucket[]
  #window: { used: number; endsAt: number }

  constructor(parts: GithubProviderParts) {
    this.#parts = parts
    this.#changes = this.#newBuckets()
    this.#window = this.#newWindow()
  }

  /** Starts the rate limits anew. */
  resetLimits(): void {
    this.#changes = this.#newBuckets()
    this.#window = this.#newWindow()
  }

  identify(method: string, path: string): string | undefined {
    return matchRoute(method, path)?.operation
  }

  requestId(): string {
    return crypto.randomUUID().toUpperCase()
  }

  async respond(request: ProviderRequest): Promise<Reply> {
    try {
      this.#limitRate(request)
      const matched = matchRoute(request.method, request.path)
      if (!matched) throw notFound()
      const origin = `http://${request.headers.host ?? '127.0.0.1'}`
      return this.#withHeaders(request, await this.#parts.api.perform(matched, request, origin))
    } catch (error) {
      if (!(error instanceof GithubApiError)) throw error
      return this.#errorReply(request, error)
    }
  }

  faultReply(request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply {
    const retry = fault.retryAfterSeconds
    const error =
      fault.status === 429
        ? new GithubApiError(429, secondaryLimit(1).message)
        : new GithubApiError(fault.status, 'An injected fault.')
    const headers: Record<string, string> = retry === undefined ? {} : { 'retry-after': String(retry) }
    const reply = this.#errorReply(request, error, headers)
    return fault.body === undefined ? reply : { ...reply, body: fault.body }
  }

  bugReply(request: ProviderRequest, error: unknown): Reply {
    return this.#errorReply(request, new GithubApiError(500, `The emulator failed: ${String(error)}`))
  }

  /** @throws GithubApiError 403 */
  #limitRate({ method, path }: ProviderRequest): void {
    if (path === UNCOUNTED) return
    if (this.#window.endsAt <= this.#parts.clock()) this.#window = this.#newWindow()
    if (this.#window.used >= this.#parts.limits.requestsPerHour) throw primaryLimit(this.#window.endsAt)
    this.#window.used++
    if (method !== 'GET' && this.#changes.some((bucket) => bucket.take() > 0))
      throw secondaryLimit(SECONDARY_PAUSE_SECONDS)
  }

  #newBuckets(): TokenBucket[] {
    const { changesPerMinute, changesPerHour } = this.#parts.limits
    return [
      new TokenBucket(changesPerMinute, changesPerMinute / 60, this.#parts.clock),
      new TokenBucket(changesPerHour, changesPerHour / 3_600, this.#parts.clock),
    ]
  }

  #newWindow() {
    return { used: 0, endsAt: this.#parts.clock() + HOUR_MS }
  }

  #errorReply(request: ProviderRequest, error: GithubApiError, headers: Record<string, string> = {}): Reply {
    return this.#withHeaders(request, {
      status: error.status,
      headers: { ...error.headers, ...headers },
      body: error.body(),
    })
  }

  #withHeaders({ requestId }: ProviderRequest, reply: Reply): Reply {
    const { requestsPerHour } = this.#parts.limits
    const { used, endsAt } = this.#window
    const limit = Number.isFinite(requestsPerHour) ? requestsPerHour : 5_000
    return {
      ...reply,
      headers: {
        'x-github-request-id': requestId,
        'x-ratelimit-limit': String(limit),
        'x-ratelimit-remaining': String(Number.isFinite(requestsPerHour) ? Math.max(0, limit - used) : limit),
        'x-ratelimit-used': String(used),
        'x-ratelimit-reset': String(Math.ceil(endsAt / 1000)),
        'x-ratelimit-resource': 'core',
        ...reply.headers,
      },
    }
  }
}
