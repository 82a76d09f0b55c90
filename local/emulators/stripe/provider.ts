import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { EndingFault } from '../http/faults.ts'
import type { Provider } from '../http/server.ts'
import { TokenBucket } from '../http/token-bucket.ts'
import type { StripeApi } from './api.ts'
import { randomText, requestIdAlphabet } from './customer.ts'
import { StripeApiError } from './errors.ts'

export interface StripeLimits {
  /** Infinity switches it off. 25 in a sandbox, 100 in live mode. */
  readonly requestsPerSecond: number
}

interface StripeProviderParts {
  /** Undefined for a key that nobody has. */
  readonly apiOf: (key: string) => StripeApi | undefined
  readonly limits: StripeLimits
  readonly clock: Clock
  readonly onReplay: () => void
}

/** Used when a request names none, as an account's default version is. */
const DEFAULT_VERSION = '2026-10-28.endive'
const CUSTOMER_PATH = /^\/v1\/customers\/[^/]+$/

/** Stripe's API as HTTP sees it: key, rate limit, headers, errors in `{error: {…}}`. */
export class StripeProvider implements Provider {
  readonly #parts: StripeProviderParts
  /** Each account and mode has one. */
  #buckets = new WeakMap<StripeApi, TokenBucket>()

  constructor(parts: StripeProviderParts) {
    this.#parts = parts
  }

  /** Starts the rate limits anew, with full buckets. */
  resetLimits(): void {
    this.#buckets = new WeakMap()
  }

  /** The ids of Stripe's own OpenAPI file. */
  identify(method: string, path: string): string | undefined {
    if (path === '/v1/customers') return { GET: 'GetCustomers', POST: 'PostCustomers' }[method]
    if (path === '/v1/customers/search' && method === 'GET') return 'GetCustomersSearch'
    if (!CUSTOMER_PATH.test(path)) return undefined
    return {
      GET: 'GetCustomersCustomer',
      POST: 'PostCustomersCustomer',
      DELETE: 'DeleteCustomersCustomer',
    }[method]
  }

  requestId(): string {
    return `req_${randomText(requestIdAlphabet, 14)}`
  }

  async respond(request: ProviderRequest): Promise<Reply> {
    try {
      const api = this.#authenticate(request.headers)
      this.#limitRate(api)
      const reply = await api.perform(request)
      if (reply.headers?.['idempotent-replayed'] !== undefined) this.#parts.onReplay()
      return withHeaders(request, reply)
    } catch (error) {
      if (!(error instanceof StripeApiError)) throw error
      return errorReply(request, error)
    }
  }

  faultReply(request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply {
    const retry = fault.retryAfterSeconds
    const headers: Record<string, string> = retry === undefined ? {} : { 'retry-after': String(retry) }
    const error = fault.status === 429 ? rateLimited() : injected(fault.status)
    const reply = errorReply(request, error, headers)
    const result = fault.body === undefined ? reply : { ...reply, body: fault.body }
    if (fault.remembered)
      this.#parts.apiOf(givenKey(request.headers.authorization))?.remember(request, result)
    return result
  }

  bugReply(request: ProviderRequest, error: unknown): Reply {
    const text = `The emulator failed: ${String(error)}`
    return errorReply(request, new StripeApiError(500, text, { type: 'api_error' }))
  }

  /** @throws StripeApiError 401 */
  #authenticate({ authorization }: IncomingHttpHeaders): StripeApi {
    const key = givenKey(authorization)
    const api = this.#parts.apiOf(key)
    if (api) return api
    const headers = { 'www-authenticate': 'Bearer realm="Stripe"' }
    const message =
      key === ''
        ? "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        : `Invalid API Key provided: ${masked(key)}`
    throw new StripeApiError(401, message, {}, { headers })
  }

  #limitRate(api: StripeApi): void {
    const bucket = this.#buckets.get(api) ?? this.#newBucket()
    this.#buckets.set(api, bucket)
    if (bucket.take() > 0) throw rateLimited()
  }

  #newBucket(): TokenBucket {
    const { requestsPerSecond } = this.#parts.limits
    return new TokenBucket(requestsPerSecond, requestsPerSecond, this.#parts.clock)
  }
}

/** Bearer, or the key as the user name of Basic authentication. */
function givenKey(authorization = ''): string {
  const [scheme = '', value = ''] = authorization.split(' ')
  if (scheme.toLowerCase() === 'bearer') return value
  if (scheme.toLowerCase() !== 'basic') return ''
  return Buffer.from(value, 'base64').toString().split(':')[0] ?? ''
}

/** `sk_test_****1234`, as Stripe shows a key that it refuses. */
function masked(key: string): string {
  const prefix = /^(?:sk|rk|pk)_(?:test|live)_/.exec(key)?.[0] ?? ''
  const hidden = Math.max(0, key.length - prefix.length - 4)
  return `${prefix}${'*'.repeat(hidden)}${key.slice(prefix.length + hidden)}`
}

/** Stripe names no time to wait. */
function rateLimited(): StripeApiError {
  return new StripeApiError(
    429,
    'Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.',
    { code: 'rate_limit' },
    { headers: { 'stripe-rate-limited-reason': 'global-rate' } },
  )
}

function injected(status: number): StripeApiError {
  const type = status >= 500 ? 'api_error' : 'invalid_request_error'
  return new StripeApiError(status, 'An injected fault.', { type })
}

function errorReply(
  request: ProviderRequest,
  error: StripeApiError,
  headers: Record<string, string> = {},
): Reply {
  return withHeaders(request, {
    status: error.status,
    headers: { ...error.headers, ...headers },
    body: error.body(request.requestId),
  })
}

function withHeaders(request: ProviderRequest, reply: Reply): Reply {
  const key = request.headers['idempotency-key']
  return {
    ...reply,
    headers: {
      'request-id': request.requestId,
      'stripe-version': String(request.headers['stripe-version'] ?? DEFAULT_VERSION),
      ...(typeof key === 'string' ? { 'idempotency-key': key } : {}),
      ...reply.headers,
    },
  }
}
