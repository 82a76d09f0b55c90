import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

/** Larger bodies are refused with 413; nothing in the bundle comes near. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024

/** A request as one of the APIs sees it: `path` has the API's prefix removed and starts with a slash. */
export interface Call {
  readonly method: string
  readonly url: URL
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** The whole body. @throws Refusal with 413 beyond MAX_BODY_BYTES. */
  readonly body: () => Promise<Buffer>
}

export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** A string goes out as it is (it is JSON already); anything else is serialised; undefined means no body. */
  readonly body?: unknown
}

/** Ends the handling of a request with this reply. */
export class Refusal extends Error {
  readonly reply: Reply
  constructor(
    status: number,
    body: { readonly message: string } & Record<string, unknown>,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(body.message)
    this.reply = { status, headers, body }
  }
}

export async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming) {
    bytes += chunk.length
    // The rest is read and dropped: a client that is cut off while sending would never see the reply.
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (bytes > MAX_BODY_BYTES) throw bodyTooLarge()
  return Buffer.concat(chunks)
}

export function bodyTooLarge(): Refusal {
  return new Refusal(413, { message: `The request body is larger than ${MAX_BODY_BYTES} bytes` })
}

export function send(
  response: ServerResponse,
  reply: Reply,
  extra: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const text =
    reply.body === undefined || typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body)
  const headers = { 'content-type': 'application/json; charset=utf-8', ...extra, ...reply.headers }
  if (text === undefined) {
    const { 'content-type': _none, ...bodiless } = headers
    response.writeHead(reply.status, bodiless).end()
  } else {
    response.writeHead(reply.status, { ...headers, 'content-length': Buffer.byteLength(text) }).end(text)
  }
}

/** The single value of a header that must not repeat. */
export function header(call: Pick<Call, 'headers'>, name: string): string | undefined {
  const value = call.headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** The token of `Authorization: Bearer TOKEN`. */
export function bearer(call: Pick<Call, 'headers'>): string | undefined {
  return /^bearer\s+(\S+)\s*$/i.exec(header(call, 'authorization') ?? '')?.[1]
}
