import { type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { pipeline, Transform } from 'node:stream'
import { bodyTooLarge, MAX_BODY_BYTES } from './exchange.ts'

/** The server behind broke off, or was not there, before it had answered. */
export class UpstreamBrokenError extends Error {}
/** The server behind did not begin its answer in time. */
export class UpstreamTimeoutError extends Error {}

export interface ProxyTarget {
  readonly port: number
  /** Path and query as the server behind shall see them. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** How long it may take until its answer begins, in milliseconds. */
  readonly timeoutMs: number
  /** Headers added to the answer. */
  readonly responseHeaders?: Readonly<Record<string, string>>
  /** Called when the answer begins. */
  readonly begun?: () => void
}

/**
 * Streams a request to a server on 127.0.0.1 and its answer back; neither body is held in memory.
 * @throws Refusal (413), UpstreamBrokenError, UpstreamTimeoutError; each before anything was sent to the client.
 */
export function proxy(
  incoming: IncomingMessage,
  response: ServerResponse,
  target: ProxyTarget,
): Promise<void> {
  if (Number(incoming.headers['content-length'] ?? 0) > MAX_BODY_BYTES) {
    incoming.resume()
    return Promise.reject(bodyTooLarge())
  }
  return new Promise((resolve, reject) => {
    const upstream = request({
      host: '127.0.0.1',
      port: target.port,
      path: target.path,
      method: incoming.method,
      headers: {
        ...endToEnd(target.headers),
        // Node frames the bodies of POST, PUT and PATCH alone by itself.
        ...(incoming.headers['transfer-encoding'] ? { 'transfer-encoding': 'chunked' } : {}),
      },
      // One connection a request: a kept one may belong to a process that has just been replaced.
      agent: false,
    })
    const fail = (error: Error) => {
      clearTimeout(timer)
      upstream.destroy()
      incoming.resume()
      reject(error)
    }
    const timer = setTimeout(() => fail(new UpstreamTimeoutError()), target.timeoutMs)
    upstream.once('error', (error) => fail(new UpstreamBrokenError(error.message)))
    upstream.once('response', (answer) => {
      clearTimeout(timer)
      target.begun?.()
      response.writeHead(answer.statusCode ?? 502, { ...endToEnd(answer.headers), ...target.responseHeaders })
      // Server-sent events: the client must see the headers before the first event.
      response.flushHeaders()
      // A cut answer cuts the client's connection too, which is the only way left to tell it.
      pipeline(answer, response, () => resolve())
    })
    response.once('close', () => {
      clearTimeout(timer)
      upstream.destroy()
      resolve()
    })
    // Not a pipeline: that would destroy the client's connection on an error, and with it the way to tell it.
    incoming.pipe(limitBody().once('error', fail)).pipe(upstream)
  })
}

function limitBody(): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > MAX_BODY_BYTES) done(bodyTooLarge())
      else done(null, chunk)
    },
  })
}

const HOP_BY_HOP = new Set(
  'connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade expect'.split(
    ' ',
  ),
)

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name)),
  )
}
