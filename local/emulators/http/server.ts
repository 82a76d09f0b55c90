import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { listen, type PortUse } from '../../../tools/ports.ts'
import { answerControl, type ControlledEmulator } from './control.ts'
import type { ProviderRequest, Reply } from './exchange.ts'
import {
  type EndingFault,
  type FaultDecision,
  faultActionSchema,
  InvalidFaultError,
  parseFault,
} from './faults.ts'

/** What a vendor's API adds to the shared HTTP layer. */
export interface Provider {
  identify(method: string, path: string): string | undefined
  requestId(headers: IncomingMessage['headers']): string
  respond(request: ProviderRequest): Promise<Reply>
  /** The reply of a `status` fault. */
  faultReply(request: ProviderRequest, fault: Extract<EndingFault, { type: 'status' }>): Reply
  /** The reply when the emulator itself failed. */
  bugReply(request: ProviderRequest, error: unknown): Reply
}

export interface EmulatorServer {
  readonly port: number
  /** Resolves when no request is under way, also of those whose client has gone. */
  idle(): Promise<void>
  /** Answers requests under way for at most a second, then closes every connection. */
  stop(): Promise<void>
}

const MAX_BODY_BYTES = 1024 * 1024
const LISTEN_BACKLOG = 4096
const STOP_GRACE_MS = 1000

/** Serves a provider on 127.0.0.1, with faults and with control under /_emulator/. @throws PortTakenError */
export async function startEmulatorServer(
  provider: Provider,
  emulator: ControlledEmulator,
  use: PortUse,
  port = 0,
): Promise<EmulatorServer> {
  const underWay = new Set<Promise<void>>()
  // A vendor's load balancer keeps connections for minutes; five seconds would cut clients off between requests.
  const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, (request, response) => {
    const exchange = serve(provider, emulator, request, response).catch(() => {
      request.socket.destroy()
    })
    underWay.add(exchange)
    void exchange.finally(() => underWay.delete(exchange))
  })
  return {
    port: await listen(server, { port, backlog: LISTEN_BACKLOG }, use),
    idle: async () => {
      while (underWay.size > 0) await Promise.all(underWay)
    },
    stop: () => stopServer(server, underWay),
  }
}

async function stopServer(server: Server, underWay: ReadonlySet<Promise<void>>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const grace = new AbortController()
  await Promise.race([
    Promise.all(underWay),
    sleep(STOP_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined),
  ])
  grace.abort()
  server.closeAllConnections()
  await closed
}

async function serve(
  provider: Provider,
  emulator: ControlledEmulator,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const request = await readRequest(provider, incoming)
  const control = answerControl(emulator, request)
  if (control !== undefined) return send(response, await control)
  emulator.count(request.operation ?? 'unknown')
  const decision = decideFaults(emulator, request)
  if ('status' in decision) return send(response, decision)
  // Unreferenced: a long delay must not keep a stopped emulator's process alive.
  if (decision.delayMs > 0) await sleep(decision.delayMs, undefined, { ref: false })
  await end(provider, request, decision.ending, response)
}

async function end(
  provider: Provider,
  request: ProviderRequest,
  fault: EndingFault | undefined,
  response: ServerResponse,
): Promise<void> {
  switch (fault?.type) {
    case undefined:
      return send(response, await respond(provider, request))
    case 'status':
      return send(response, provider.faultReply(request, fault))
    case 'hang':
      return
    case 'reset':
      return cut(response)
    case 'act_then_reset':
      await respond(provider, request)
      return cut(response)
    case 'act_then_wait': {
      const reply = await respond(provider, request)
      await sleep(fault.ms, undefined, { ref: false })
      return send(response, reply)
    }
    case 'act_then_hang':
      await respond(provider, request)
  }
}

async function respond(provider: Provider, request: ProviderRequest): Promise<Reply> {
  try {
    return await provider.respond(request)
  } catch (error) {
    return provider.bugReply(request, error)
  }
}

/** The rules' faults or, when the request carries its own in `x-emulator-fault`, that one. */
function decideFaults(emulator: ControlledEmulator, request: ProviderRequest): FaultDecision | Reply {
  const own = request.headers['x-emulator-fault']
  if (own === undefined) return emulator.faults.decide(request)
  try {
    const action = parseFault(faultActionSchema, JSON.parse(String(own)))
    return action.type === 'latency'
      ? { delayMs: action.ms, ending: undefined }
      : { delayMs: 0, ending: action }
  } catch (error) {
    if (!(error instanceof InvalidFaultError || error instanceof SyntaxError)) throw error
    return { status: 400, body: { error: `x-emulator-fault: ${error.message}` } }
  }
}

async function readRequest(provider: Provider, incoming: IncomingMessage): Promise<ProviderRequest> {
  const { method = 'GET', url = '/', headers } = incoming
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  return {
    method,
    path,
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
    headers,
    body: await readBody(incoming),
    operation: provider.identify(method, path),
    requestId: provider.requestId(headers),
  }
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Error(`A body may have at most ${MAX_BODY_BYTES} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(response: ServerResponse, reply: Reply): void {
  const body = reply.body === undefined ? '' : JSON.stringify(reply.body)
  response.writeHead(reply.status, {
    ...(body === '' ? {} : { 'content-type': 'application/json' }),
    'content-length': Buffer.byteLength(body),
    ...reply.headers,
  })
  response.end(body)
}

function cut(response: ServerResponse): void {
  response.socket?.resetAndDestroy()
}
