import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { listen, PORT_USES } from '../../tools/ports.ts'

/** What becomes of streams: `hang` accepts a request and never answers, `mute` answers and then says nothing. */
export type StreamFate = 'pass' | 'hang' | 'mute'

/** Stands between the pages and their project, and does what networks and clocks do to them. */
export interface Front {
  readonly url: string
  streams: StreamFate
  /** Access tokens that are refused, as if they had expired by the clock of the project. */
  readonly refused: Set<string>
  /** Answers of functions that are given instead of the project's: of the API, or of the tenants' endpoint. */
  readonly answers: Map<string, { readonly status: number; readonly body: unknown }>
  openStreams(): number
  stop(): Promise<void>
}

export async function startFront(target: string): Promise<Front> {
  let open = 0
  const front = {
    streams: 'pass' as StreamFate,
    refused: new Set<string>(),
    answers: new Map<string, { status: number; body: unknown }>(),
  }
  const server = createServer((incoming, outgoing) => {
    const isStream = incoming.headers.accept?.includes('text/event-stream') ?? false
    if (isStream) {
      open += 1
      outgoing.on('close', () => {
        open -= 1
      })
    }
    const token = incoming.headers.authorization?.replace('Bearer ', '') ?? ''
    const instead = front.answers.get(incoming.url ?? '')
    if (incoming.method === 'POST' && instead) return answer(outgoing, instead.status, instead.body)
    if (front.refused.has(token) && incoming.url?.startsWith('/functions/'))
      return answer(outgoing, 401, { code: 'unauthorized', detail: 'The access token has expired.' })
    if (isStream && front.streams === 'hang') return
    if (isStream && front.streams === 'mute') {
      outgoing.writeHead(200, { ...OPEN, 'content-type': 'text/event-stream' }).flushHeaders()
      return
    }
    pass(target, incoming, outgoing)
  })
  const port = await listen(server, { port: 0 }, PORT_USES.console)
  return Object.assign(front, {
    url: `http://127.0.0.1:${port}`,
    openStreams: () => open,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}

const OPEN = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'retry-after' }

function answer(outgoing: ServerResponse, status: number, body: unknown): void {
  outgoing.writeHead(status, { ...OPEN, 'content-type': 'application/json' })
  outgoing.end(JSON.stringify(body))
}

function pass(target: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method, headers } = incoming
  const onward = request(new URL(incoming.url ?? '/', target), { method, headers }, (reply) => {
    outgoing.writeHead(reply.statusCode ?? 502, reply.headers)
    reply.pipe(outgoing)
  })
  outgoing.on('close', () => onward.destroy())
  onward.on('error', () => outgoing.destroy())
  incoming.pipe(onward)
}
