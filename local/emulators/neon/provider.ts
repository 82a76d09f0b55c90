import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { EndingFault } from '../http/faults.ts'
import type { Provider } from '../http/server.ts'
import { TokenBucket } from '../http/token-bucket.ts'
import type { NeonApi } from './api.ts'
import type { MatchedOperation, NeonContract } from './contract.ts'
import { NeonApiError, notFound } from './errors.ts'
import type { NeonLimits } from './options.ts'

export interface NeonProviderParts {
  readonly api: NeonApi
  readonly contract: NeonContract
  readonly limits: NeonLimits
  readonly clock: Clock
  readonly apiKey: string
  readonly validateReplies: boolean
}

const BASE_PATH = '/api/v2'
const REQUEST_ID = /^[\x20-\x7e]{1,128}$/

/** Neon's API as HTTP sees it: key, rate limits, contract, errors in `{request_id, code, message}`. */
export class NeonProvider implements Provider {
  readonly #parts: NeonProviderParts
  #account: TokenBucket
  readonly #routes = new Map<string, TokenBucket>()

  constructor(parts: NeonProviderParts) {
    this.#parts = parts
    this.#account = this.#accountBucket()
  }

  /** Starts the rate limits anew, with full buckets. */
  resetLimits(): void {
    this.#account = this.#accountBucket()
    this.#routes.clear()
  }

  identify(method: string, path: string): string | undefined {
    return this.#match(method, path)?.id
  }

  requestId(headers: IncomingHttpHeaders): string {
    const given = headers['x-request-id']
    return typeof given === 'string' && REQUEST_ID.test(given) ? given : crypto.randomUUID()
  }

  async respond(request: ProviderRequest): Promise<Reply> {
    try {
      const reply = await this.#perform(request)
      return { ...reply, headers: { ...reply.headers, 'x-request-id': request.requestId } }
    } catch (error) {
      if (!(error instanceof NeonApiError)) throw error
      return this.#errorReply(request, error)
    }
  }

  faultReply(request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply {
    const retry = fault.retryAfterSeconds
    const headers: Record<string, string> = retry === undefined ? {} : { 'retry-after': String(retry) }
    if (fault.body !== undefined) return { status: fault.status, headers, body: fault.body }
    return this.#errorReply(request, new NeonApiError(fault.status, 'injected fault', '', headers))
  }

  bugReply(request: ProviderRequest, error: unknown): Reply {
    return this.#errorReply(request, new NeonApiError(500, `The emulator failed: ${String(error)}`))
  }

  async #perform(request: ProviderRequest): Promise<Reply> {
    this.#authenticate(request)
    const operation = this.#match(request.method, request.path)
    if (operation === undefined) throw notFound('route')
    this.#limitRate(operation.id)
    const { api, contract, validateReplies } = this.#parts
    const input = contract.checkInput(operation, request.query, parseBody(request.body))
    if ('problem' in input) throw new NeonApiError(400, input.problem)
    const reply = await api.perform(operation, request.method, input)
    const problem = validateReplies
      ? contract.replyProblem(operation.id, reply.status, reply.body)
      : undefined
    if (problem !== undefined)
      throw new NeonApiError(500, `The emulator's reply breaks the contract: ${problem}`)
    return reply
  }

  #authenticate({ headers }: ProviderRequest): void {
    if (headers.authorization === `Bearer ${this.#parts.apiKey}`) return
    throw new NeonApiError(401, 'supplied credentials do not pass authentication')
  }

  #limitRate(operationId: string): void {
    const waitSeconds = Math.max(this.#account.take(), this.#routeBucket(operationId).take())
    if (waitSeconds === 0) return
    const headers = { 'retry-after': String(Math.ceil(waitSeconds)) }
    throw new NeonApiError(429, 'you have exceeded the rate limit', '', headers)
  }

  #accountBucket(): TokenBucket {
    const { requestsPerMinute } = this.#parts.limits
    return new TokenBucket(requestsPerMinute, requestsPerMinute / 60, this.#parts.clock)
  }

  #routeBucket(operationId: string): TokenBucket {
    const known = this.#routes.get(operationId)
    if (known !== undefined) return known
    const perSecond = this.#parts.limits.requestsPerSecondPerRoute
    const bucket = new TokenBucket(perSecond, perSecond, this.#parts.clock)
    this.#routes.set(operationId, bucket)
    return bucket
  }

  #match(method: string, path: string): MatchedOperation | undefined {
    if (!path.startsWith(`${BASE_PATH}/`)) return undefined
    return this.#parts.contract.match(method, path.slice(BASE_PATH.length))
  }

  #errorReply(request: ProviderRequest, error: NeonApiError): Reply {
    return {
      status: error.status,
      headers: { ...error.headers, 'x-request-id': request.requestId },
      body: { request_id: request.requestId, code: error.code, message: error.message },
    }
  }
}

function parseBody(body: string): unknown {
  if (body === '') return undefined
  try {
    return JSON.parse(body)
  } catch {
    throw new NeonApiError(400, 'the request body is not valid JSON')
  }
}
