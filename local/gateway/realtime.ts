import { createHash } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { jsonOf } from './rest/errors.ts'

/** RFC 6455, section 1.3. */
const HANDSHAKE_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** A join brings filters and a token; nobody sends more. */
const MAX_MESSAGE_BYTES = 64 * 1024
const TEXT = 1
const CLOSE = 8

/** Which requests come to the server's event `upgrade`; all others are answered as if they had not asked. */
export function isRealtime(request: { readonly url?: string | undefined }): boolean {
  return request.url?.startsWith('/realtime/v1/websocket') ?? false
}

/**
 * Lets clients of Realtime in and refuses each channel with the reason, which a client shows. One that is refused the connection
 * itself says "transport failure" only, and tries again for ever.
 * @returns ends the connections, for which the server would wait when it closes
 */
export function refuseChannels(server: Server, reason: string): () => void {
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key'] ?? ''}${HANDSHAKE_GUID}`)
      .digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    let received: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      for (let frame = readFrame(received); frame; frame = readFrame(received)) {
        received = received.subarray(frame.length)
        if (frame.opcode === CLOSE) return socket.end(encodeFrame(CLOSE, Buffer.alloc(0)))
        const answer = frame.opcode === TEXT ? answerTo(frame.payload.toString('utf8'), reason) : undefined
        if (answer !== undefined) socket.write(encodeFrame(TEXT, Buffer.from(answer)))
      }
      if (received.length > MAX_MESSAGE_BYTES) socket.destroy()
      return undefined
    })
  })
  return () => {
    for (const socket of sockets) socket.destroy()
  }
}

const ref = z
  .string()
  .nullish()
  .transform((value) => value ?? null)
/** Phoenix's protocol: version 2 sends arrays, version 1 objects. */
const messageSchema = z.union([
  z.tuple([ref, ref, z.string(), z.string()], z.unknown()),
  z.object({ join_ref: ref, ref, topic: z.string(), event: z.string() }),
])

/** Undefined for what wants no answer. */
function answerTo(text: string, reason: string): string | undefined {
  const parsed = messageSchema.safeParse(jsonOf(text))
  if (!parsed.success) return undefined
  const message = parsed.data
  const event = Array.isArray(message) ? message[3] : message.event
  if (event !== 'phx_join' && event !== 'heartbeat' && event !== 'phx_leave') return undefined
  const payload =
    event === 'phx_join' ? { status: 'error', response: { reason } } : { status: 'ok', response: {} }
  return JSON.stringify(
    Array.isArray(message)
      ? [message[0], message[1], message[2], 'phx_reply', payload]
      : { ...message, event: 'phx_reply', payload },
  )
}

interface Frame {
  readonly opcode: number
  readonly payload: Buffer
  /** Of the whole frame, in bytes. */
  readonly length: number
}

/** The first frame of what has come from a client (RFC 6455, section 5.2); undefined while a part of it is missing. */
function readFrame(data: Buffer): Frame | undefined {
  if (data.length < 2) return undefined
  const short = data.readUInt8(1) & 0x7f
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
  // Clients mask what they send with the four bytes before it.
  const start = 2 + lengthBytes + 4
  if (data.length < start) return undefined
  const size =
    lengthBytes === 0 ? short : lengthBytes === 2 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2))
  if (data.length < start + size) return undefined
  const mask = data.subarray(start - 4, start)
  const payload = Buffer.from(data.subarray(start, start + size))
  for (const [index, byte] of payload.entries()) payload[index] = byte ^ (mask[index % 4] ?? 0)
  return { opcode: data.readUInt8(0) & 0x0f, payload, length: start + size }
}

function encodeFrame(opcode: number, payload: Buffer): Buffer {
  const head = payload.length < 126 ? Buffer.alloc(2) : Buffer.alloc(4)
  head.writeUInt8(0x80 | opcode, 0)
  if (payload.length < 126) head.writeUInt8(payload.length, 1)
  else {
    head.writeUInt8(126, 1)
    head.writeUInt16BE(payload.length, 2)
  }
  return Buffer.concat([head, payload])
}
