import { connect, createServer, type Server, type Socket } from 'node:net'
import { listen, type PortUse } from '../../../tools/ports.ts'
import { ConnectionRefusal } from './connection-refusal.ts'
import { fatalError, readOpeningMessage, startupPacket } from './startup-packet.ts'

export interface PostgresProxy {
  readonly port: number
  stop(): Promise<void>
}

type Parameters = ReadonlyMap<string, string>

/**
 * Whom a provider lets in: waits until the session may begin and says with which startup parameters it begins at the server,
 * where user and database have other names. @throws ConnectionRefusal
 */
export type Admit = (parameters: Parameters, client: Socket) => Promise<Parameters>

interface Address {
  readonly host: string
  /** 0 takes a free one to listen on. */
  readonly port: number
}

interface Startup {
  readonly protocol: number
  readonly parameters: Parameters
  /** What the client sent right behind the startup packet. */
  readonly rest: Buffer
}

const LISTEN_BACKLOG = 4096
/** Time that a client has for its startup packet. */
const OPENING_TIMEOUT_MS = 30_000
export const HOST = '127.0.0.1'
/** The same machine. As at the providers, both hosts have one port. */
export const POOLED_HOST = '127.0.0.2'

export interface ProxyOptions {
  /** A superuser's URL of the server. */
  readonly adminUrl: string
  /** 0 or none takes a free one. */
  readonly port?: number
  /** Of a pooler in front of the same server, to which the pooled host leads. Without, the pooled host is the direct one. */
  readonly poolerPort?: number
  readonly use: PortUse
}

/** Stands before the server and, on another host, before the pooler if there is one. @throws PortTakenError */
export async function startPostgresProxies(
  admit: Admit,
  { adminUrl, port = 0, poolerPort, use }: ProxyOptions,
): Promise<PostgresProxy & { readonly pooledHost: string }> {
  const server = serverAddress(adminUrl)
  const direct = await startProxy(admit, server, { host: HOST, port }, use)
  if (poolerPort === undefined) return { ...direct, pooledHost: HOST }
  const pooler = { host: server.host, port: poolerPort }
  const at = { host: POOLED_HOST, port: direct.port }
  const pooled = await startProxy(admit, pooler, at, use).catch(async (error: unknown) => {
    await direct.stop()
    throw error
  })
  const stop = async () => void (await Promise.all([direct.stop(), pooled.stop()]))
  return { port: direct.port, pooledHost: POOLED_HOST, stop }
}

function serverAddress(adminUrl: string): Address {
  const { hostname, port } = new URL(adminUrl)
  return { host: hostname, port: Number(port || 5432) }
}

/** Passes bytes as soon as a client is admitted. */
async function startProxy(admit: Admit, server: Address, at: Address, use: PortUse): Promise<PostgresProxy> {
  const sockets = new Set<Socket>()
  const proxy = createServer({ noDelay: true }, (client) => {
    sockets.add(client)
    client.once('close', () => sockets.delete(client))
    client.on('error', () => client.destroy())
    void open(client).catch((error: unknown) => refuse(client, error))
  })
  const open = async (client: Socket) => {
    const startup = await readStartup(client, (packet) => forwardCancel(server, packet))
    if (startup === undefined) return
    const parameters = await admit(startup.parameters, client)
    if (client.destroyed) return
    bridge(client, connect({ ...server, noDelay: true }), { ...startup, parameters })
  }
  const assigned = await listen(proxy, { ...at, backlog: LISTEN_BACKLOG }, use)
  return { port: assigned, stop: () => stop(proxy, sockets) }
}

function stop(proxy: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    proxy.close(() => resolve())
    for (const socket of sockets) socket.destroy()
  })
}

/** Resolves to undefined when no session follows: the client left, or only wanted to cancel a query. */
function readStartup(client: Socket, onCancel: (packet: Buffer) => void): Promise<Startup | undefined> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const finish = (result: Startup | undefined) => {
      client.setTimeout(0)
      client.off('data', onData)
      client.off('close', onClose)
      client.pause()
      resolve(result)
    }
    const onClose = () => finish(undefined)
    const onData = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      for (;;) {
        const message = readOpeningMessage(received)
        if (message.type === 'incomplete') return
        if (message.type === 'encryption') {
          received = received.subarray(message.length)
          client.write('N')
          continue
        }
        if (message.type === 'startup') return finish({ ...message, rest: received.subarray(message.length) })
        if (message.type === 'cancel') {
          onCancel(message.packet)
          client.end()
          return finish(undefined)
        }
        return reject(new ConnectionRefusal('08P01', 'invalid startup packet'))
      }
    }
    client.setTimeout(OPENING_TIMEOUT_MS, () => client.destroy())
    client.on('data', onData)
    client.once('close', onClose)
  })
}

/** Process number and key in it are the server's own, so it needs no translation. */
function forwardCancel(server: Address, packet: Buffer): void {
  const socket = connect(server, () => socket.end(packet))
  socket.on('error', () => socket.destroy())
}

function bridge(client: Socket, server: Socket, { protocol, parameters, rest }: Startup): void {
  server.once('connect', () => {
    server.write(Buffer.concat([startupPacket(protocol, parameters), rest]))
    client.pipe(server)
    server.pipe(client)
  })
  server.on('error', (error) => refuse(client, error))
  server.once('close', () => client.destroySoon())
  client.once('close', () => server.destroySoon())
}

function refuse(client: Socket, error: unknown): void {
  if (client.destroyed) return
  const refusal =
    error instanceof ConnectionRefusal
      ? error
      : new ConnectionRefusal('XX000', `Control plane request failed: ${String(error)}`)
  client.end(fatalError(refusal.sqlState, refusal.message))
  client.resume()
}
