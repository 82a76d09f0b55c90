import { connect, createServer, type Server, type Socket } from 'node:net'
import { listen, PORT_USES } from '../../../tools/ports.ts'
import type { ComputeFleet } from './compute-fleet.ts'
import { ConnectionRefusal } from './errors.ts'
import type { ProjectRecord } from './project.ts'
import type { ProjectStore } from './project-store.ts'
import { fatalError, readOpeningMessage, startupPacket } from './startup-packet.ts'

export interface ComputeProxy {
  readonly port: number
  stop(): Promise<void>
}

interface Address {
  readonly host: string
  /** 0 takes a free one to listen on. */
  readonly port: number
}

interface Startup {
  readonly protocol: number
  readonly parameters: ReadonlyMap<string, string>
  /** What the client sent right behind the startup packet. */
  readonly rest: Buffer
}

const LISTEN_BACKLOG = 4096
/** Time that a client has for its startup packet. */
const OPENING_TIMEOUT_MS = 30_000
const ENDPOINT_OPTION = /(?:^|\s)(?:endpoint|project)(?:=|%3D)(\S+)/

/**
 * Stands between tenants and the server as Neon's proxy does: it finds the project, wakes its compute, and from
 * then on passes bytes. Without TLS there is no host name to go by, so the project is found by the startup option
 * `endpoint=ep-…` or else by its database, whose name has to be unique then.
 * @throws PortTakenError
 */
export async function startComputeProxy(
  store: ProjectStore,
  fleet: ComputeFleet,
  server: Address,
  at: Address,
): Promise<ComputeProxy> {
  const sockets = new Set<Socket>()
  const proxy = createServer({ noDelay: true }, (client) => {
    sockets.add(client)
    client.once('close', () => sockets.delete(client))
    client.on('error', () => client.destroy())
    void admit(client).catch((error: unknown) => refuse(client, error))
  })
  const admit = async (client: Socket) => {
    const startup = await readStartup(client, (packet) => forwardCancel(server, packet))
    if (startup === undefined) return
    const project = findProject(store, startup.parameters)
    const ready = await fleet.admit(project, client)
    if (client.destroyed) return
    bridge(client, connect({ ...server, noDelay: true }), ready, startup)
  }
  const assigned = await listen(proxy, { ...at, backlog: LISTEN_BACKLOG }, PORT_USES.tenants)
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

function findProject(store: ProjectStore, parameters: ReadonlyMap<string, string>): ProjectRecord {
  const role = parameters.get('user') ?? ''
  const database = parameters.get('database') ?? role
  const endpointId = ENDPOINT_OPTION.exec(parameters.get('options') ?? '')?.[1]
  if (endpointId !== undefined) return projectOfEndpoint(store, endpointId, role, database)
  const projects = store.byDatabase(database)
  const [project] = projects
  if (project === undefined) {
    const isKnown = store.all().some((each) => each.deletedAt === undefined && each.role.name === role)
    throw isKnown ? noSuchDatabase(database) : wrongPassword(role)
  }
  if (projects.length > 1) throw ambiguous(database, projects.length)
  if (physicalRole(project, role) === undefined) throw wrongPassword(role)
  return project
}

function projectOfEndpoint(
  store: ProjectStore,
  endpointId: string,
  role: string,
  database: string,
): ProjectRecord {
  const project = store.byEndpoint(endpointId.replace(/-pooler$/, ''))
  if (project === undefined || project.deletedAt !== undefined) {
    throw new ConnectionRefusal(
      'XX000',
      "The requested endpoint could not be found, or you don't have access to it. Please check the provided ID and try again.",
    )
  }
  if (physicalRole(project, role) === undefined) throw wrongPassword(role)
  if (project.database.name !== database) throw noSuchDatabase(database)
  return project
}

/**
 * What a role is called on the server. One that the project made by SQL can log in when it is named after the database,
 * as in `NAME_app`: from within, the database has its physical name, and so such a role too.
 */
function physicalRole({ role, database, physicalName }: ProjectRecord, name: string): string | undefined {
  if (name === role.name) return physicalName
  return name.startsWith(`${database.name}_`)
    ? `${physicalName}${name.slice(database.name.length)}`
    : undefined
}

const wrongPassword = (role: string) =>
  new ConnectionRefusal('28P01', `password authentication failed for user '${role}'`)

const noSuchDatabase = (database: string) =>
  new ConnectionRefusal('3D000', `database "${database}" does not exist`)

const ambiguous = (database: string, count: number) =>
  new ConnectionRefusal(
    '08P01',
    `Endpoint ID is not specified. ${count} projects have a database "${database}", and the ` +
      "emulator cannot tell them apart by host name. Pass the endpoint ID as a parameter: '?options=endpoint%3D<endpoint-id>', " +
      'or create projects with unique names of databases.',
  )

function bridge(client: Socket, server: Socket, project: ProjectRecord, startup: Startup): void {
  const parameters = new Map(startup.parameters)
  const role = parameters.get('user') ?? ''
  parameters.set('user', physicalRole(project, role) ?? role)
  parameters.set('database', project.physicalName)
  const options = (parameters.get('options') ?? '').replace(ENDPOINT_OPTION, '').trim()
  if (options === '') parameters.delete('options')
  else parameters.set('options', options)
  server.once('connect', () => {
    server.write(Buffer.concat([startupPacket(startup.protocol, parameters), startup.rest]))
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
