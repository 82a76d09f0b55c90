import http from 'node:http'
import https from 'node:https'
import { errorCode } from './session.ts'

export interface QueuedRequest {
  readonly id: string
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, unknown>> | null
  readonly body: Buffer | null
  readonly timeout_milliseconds: number
}

/** A row of net._http_response, but for its time. */
export interface StoredResponse {
  readonly id: string
  readonly status_code: number | null
  readonly content_type: string | null
  readonly headers: Readonly<Record<string, string>> | null
  readonly content: string | null
  readonly timed_out: boolean
  readonly error_msg: string | null
}

interface Message {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | null
}

interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

// libcurl's default.
const MAX_REDIRECTS = 30

export class HttpClient {
  readonly #plain = new http.Agent({ keepAlive: true })
  readonly #secure = new https.Agent({ keepAlive: true })

  /**
   * Sends one request as pg_net does through libcurl: follows redirects, decompresses nothing, and turns every
   * failure into a response with `error_msg`. Never rejects.
   * @param halt Ends the request when the worker has to stop.
   */
  async send(request: QueuedRequest, halt: AbortSignal): Promise<StoredResponse> {
    const { id, timeout_milliseconds: timeoutMs } = request
    if (timeoutMs <= 0)
      return failure(id, `timeout_milliseconds must be greater than 0, but it is ${timeoutMs}`)
    const started = performance.now()
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      const reply = await this.#follow(firstMessage(request), AbortSignal.any([timeout, halt]))
      return success(id, reply)
    } catch (error) {
      if (timeout.aborted) return { ...failure(id, timeoutMessage(timeoutMs, started)), timed_out: true }
      return failure(
        id,
        halt.aborted ? 'The pg_net worker was stopped during the request' : curlMessage(error),
      )
    }
  }

  /** Closes the connections that are kept alive. */
  close(): void {
    this.#plain.destroy()
    this.#secure.destroy()
  }

  async #follow(first: Message, signal: AbortSignal): Promise<Reply> {
    let message = first
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const reply = await this.#exchange(message, signal)
      const next = redirected(message, reply)
      if (!next) return reply
      message = next
    }
    throw new Error('Number of redirects hit maximum amount')
  }

  /** A server may close an idle connection just when it is used again; as libcurl does, that is tried once more. */
  async #exchange(message: Message, signal: AbortSignal): Promise<Reply> {
    try {
      return await this.#exchangeOnce(message, signal)
    } catch (error) {
      if (!(error instanceof StaleConnectionError)) throw error
      return await this.#exchangeOnce(message, signal)
    }
  }

  #exchangeOnce({ url, method, headers, body }: Message, signal: AbortSignal): Promise<Reply> {
    const secure = url.protocol === 'https:'
    const agent = secure ? this.#secure : this.#plain
    const start = secure ? https.request : http.request
    return new Promise((resolve, reject) => {
      const outgoing = start(url, { method, headers, agent, signal }, (incoming) => {
        readReply(incoming).then(resolve, reject)
      })
      outgoing.on('error', (error) => {
        const stale = outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errorCode(error))
        reject(stale ? new StaleConnectionError() : error)
      })
      outgoing.end(body ?? undefined)
    })
  }
}

class StaleConnectionError extends Error {}

async function readReply(incoming: http.IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return { status: incoming.statusCode ?? 0, headers: headersAsSent(incoming), body: Buffer.concat(chunks) }
}

/** Names keep the case in which the server sent them; of a repeated one the last value counts, as in jsonb. */
function headersAsSent({ rawHeaders }: http.IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers[rawHeaders[i] ?? ''] = rawHeaders[i + 1] ?? ''
  return headers
}

function firstMessage(request: QueuedRequest): Message {
  if (!URL.canParse(request.url)) throw new Error('URL using bad/illegal format or missing URL')
  const url = new URL(request.url)
  if (!['http:', 'https:'].includes(url.protocol)) throw new Error('Unsupported protocol')
  return {
    url,
    method: request.method.toUpperCase(),
    headers: {
      'User-Agent': 'pg_net/0.20.0',
      Accept: '*/*',
      ...textHeaders(request.headers),
      // Without it Node sends the body of a DELETE in no frame, and servers ignore it.
      ...(request.body && { 'Content-Length': String(request.body.length) }),
    },
    body: request.body,
  }
}

function textHeaders(headers: QueuedRequest['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers ?? {})
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}

/** The message that a redirect asks for. As in libcurl, 301 to 303 turn a POST into a GET; DELETE stays DELETE. */
function redirected(message: Message, reply: Reply): Message | undefined {
  const location = headerValue(reply.headers, 'location')
  if (![301, 302, 303, 307, 308].includes(reply.status) || location === undefined) return undefined
  const url = new URL(location, message.url)
  const toGet = reply.status <= 303 && message.method === 'POST'
  const dropped = new Set([
    ...(toGet ? ['content-type', 'content-length'] : []),
    ...(url.host === message.url.host ? [] : ['authorization', 'cookie']),
  ])
  return {
    url,
    method: toGet ? 'GET' : message.method,
    headers: Object.fromEntries(
      Object.entries(message.headers).filter(([name]) => !dropped.has(name.toLowerCase())),
    ),
    body: toGet ? null : message.body,
  }
}

function headerValue(headers: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1]
}

function success(id: string, reply: Reply): StoredResponse {
  return {
    id,
    status_code: reply.status,
    content_type: headerValue(reply.headers, 'content-type') ?? null,
    headers: reply.headers,
    // Postgres text cannot hold a zero byte; pg_net, written in C, stops there too.
    content: reply.body.toString('utf8').split('\0', 1)[0] || null,
    timed_out: false,
    error_msg: null,
  }
}

function failure(id: string, message: string): StoredResponse {
  return {
    id,
    status_code: null,
    content_type: null,
    headers: null,
    content: null,
    timed_out: false,
    error_msg: message,
  }
}

function timeoutMessage(timeoutMs: number, started: number): string {
  return `Timeout of ${timeoutMs} ms reached. Total time: ${(performance.now() - started).toFixed(6)} ms`
}

/** What libcurl says of the same trouble. */
function curlMessage(error: unknown): string {
  switch (errorCode(error)) {
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return "Couldn't connect to server"
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return "Couldn't resolve host name"
    case 'ECONNRESET':
      return 'Server returned nothing (no headers, no data)'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}
