import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import { jsonOf } from './rest/errors.ts'

/** A join brings filters and a token; nobody sends more. */
const MAX_MESSAGE_BYTES = 64 * 1024

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
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES })
  sockets.on('connection', (socket) => {
    // A message that is too long, or no frame at all: the library ends the connection after telling of it.
    socket.on('error', () => undefined)
    socket.on('message', (data) => {
      const answer = answerTo(String(data), reason)
      if (answer !== undefined) socket.send(answer)
    })
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request))
  })
  return () => {
    for (const socket of sockets.clients) socket.terminate()
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
