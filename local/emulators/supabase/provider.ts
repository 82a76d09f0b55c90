import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { EndingFault } from '../http/faults.ts'
import type { Provider } from '../http/server.ts'
import type { SupabaseApi } from './api.ts'
import type { SupabaseContract } from './contract.ts'
import { SupabaseApiError, tooManyRequests, unauthorized } from './errors.ts'
import type { SupabaseLimits } from './options.ts'
import { RateLimit } from './rate-limit.ts'

/** Of a project's services it alone is there, and tells whether a key is one of the project's. */
const DATA_API = /^\/projects\/([a-z]{20})\/rest\/v1\/$/

export interface SupabaseProviderParts {
  readonly api: SupabaseApi
  readonly contract: SupabaseContract
  readonly limits: SupabaseLimits
  readonly clock: Clock
  readonly accessToken: string
  readonly validateReplies: boolean
}

/** The Management API as HTTP sees it: token, rate limit, contract, errors in `{message}`. */
export class SupabaseProvider implements Provider {
  readonly #parts: SupabaseProviderParts
  readonly #rateLimit: RateLimit

  constructor(parts: SupabaseProviderParts) {
    this.#parts = parts
    this.#rateLimit = new RateLimit(() => parts.limits.requestsPerMinute, parts.clock)
  }

  /** Begins to count requests anew. */
  resetLimits(): void {
    this.#rateLimit.reset()
  }

  identify(method: string, path: string): string | undefined {
    return this.#parts.contract.match(method, path)?.name
  }

  requestId(_headers: IncomingHttpHeaders): string {
    return crypto.randomUUID()
  }

  async respond(request: ProviderRequest): Promise<Reply> {
    try {
      return await this.#perform(request)
    } catch (error) {
      if (!(error instanceof SupabaseApiError)) throw error
      return errorReply(error)
    }
  }

  faultReply(_request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply {
    const retry = fault.retryAfterSeconds
    const headers: Record<string, string> = retry === undefined ? {} : { 'x-ratelimit-reset': String(retry) }
    if (fault.body !== undefined) return { status: fault.status, headers, body: fault.body }
    return errorReply(new SupabaseApiError(fault.status, 'injected fault', headers))
  }

  bugReply(_request: ProviderRequest, error: unknown): Reply {
    return errorReply(new SupabaseApiError(500, `The emulator failed: ${String(error)}`))
  }

  async #perform(request: ProviderRequest): Promise<Reply> {
    const ref = DATA_API.exec(request.path)?.[1]
    if (ref !== undefined) return this.#parts.api.askDataApi(ref, String(request.headers.apikey ?? ''))
    if (request.headers.authorization !== `Bearer ${this.#parts.accessToken}`) throw unauthorized()
    const { api, contract, validateReplies } = this.#parts
    const operation = contract.match(request.method, request.path)
    const headers = this.#limitRate(operation?.path.ref)
    if (operation === undefined) throw new SupabaseApiError(404, `Cannot ${request.method} ${request.path}`)
    const input = contract.checkInput(operation, request.query, parseBody(request.body))
    if ('problem' in input) throw new SupabaseApiError(400, input.problem, headers)
    const reply = await api.perform(operation, request.method, input)
    const problem = validateReplies
      ? contract.replyProblem(operation.name, reply.status, reply.body)
      : undefined
    if (problem !== undefined)
      throw new SupabaseApiError(500, `The emulator's reply breaks the contract: ${problem}`)
    return { ...reply, headers: { ...headers, ...reply.headers } }
  }

  /** @returns the headers that say what is left. The vendor sends no Retry-After. @throws SupabaseApiError 429 */
  #limitRate(ref = 'organization'): Record<string, string> {
    const { limit, remaining, resetSeconds, isRefused } = this.#rateLimit.take(ref)
    if (!Number.isFinite(limit)) return {}
    const headers = {
      'x-ratelimit-limit': String(limit),
      'x-ratelimit-remaining': String(remaining),
      'x-ratelimit-reset': String(resetSeconds),
    }
    if (isRefused) throw tooManyRequests(headers)
    return headers
  }
}

function errorReply({ status, message, headers }: SupabaseApiError): Reply {
  return { status, headers, body: { message } }
}

function parseBody(body: string): unknown {
  if (body === '') return undefined
  try {
    return JSON.parse(body)
  } catch {
    throw new SupabaseApiError(400, 'Unexpected token in JSON')
  }
}
