import type { Socket } from 'node:net'
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { Client } from 'pg'
import { networkError, openSocket } from '../kernel/database/socket.ts'
import { serverOf, type TenantAddress } from '../tenant-database/address.ts'
import { encrypt } from '../tenant-database/session.ts'

/** What is asked of a tenant's database, in the form that PostGraphile's plans use. */
export interface Statement {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly arrayMode?: boolean
}

export interface Rows {
  readonly rows: readonly unknown[]
  readonly rowCount: number | null
}

/** A connection into a tenant's database. Statements are sent at once, whether or not those before them are answered. */
export interface Connection {
  query(statement: Statement): Promise<Rows>
  /** Several statements without parameters, in one message. */
  run(statements: string): Promise<void>
  /** From now on so many bytes may come, and so long it may take; the connection is cut in the middle of what exceeds that. */
  limit(limits: UseLimits): void
  /** The use has ended, and what comes from now on is of nobody's request. */
  unlimit(): void
  readonly isLost: boolean
  /** What ended it; what waits for an answer fails with this. */
  cut(error: Error): void
  /** Takes leave. */
  end(): void
}

export interface UseLimits {
  readonly maxBytes: number
  /** As performance.now() has it. */
  readonly endsAt: number
  /** Told as createBudget says; false cuts the connection. */
  readonly onBytes: (count: number, soFar: number) => boolean
}

export interface ConnectLimits {
  readonly connectMs: number
  readonly onLost: () => void
}

/**
 * Opens a connection over verified TLS, unless the host is local, through the pooled host. Everything in the database is its
 * owner's, so it is cut off when it says or takes too much. A connection that is lost fails what waits for it, and nothing else.
 * @throws an error with a code: CONNECT_TIMEOUT, of TLS, an SQLSTATE, or what the network says
 */
export async function openConnection(
  address: TenantAddress,
  password: string,
  { connectMs, onLost }: ConnectLimits,
): Promise<Connection> {
  const { host, port, user } = serverOf(address, 'pooled')
  const plain = await openSocket(host, port, connectMs)
  const socket = address.sslMode === 'disable' ? plain : await encrypt(plain, host, { connectMs }, undefined)
  const client = new Client({
    stream: () => connected(socket),
    ssl: false,
    host,
    user,
    database: address.databaseName ?? '',
    password,
    pipeline: true,
    application_name: 'tenant-graphql',
  })
  const connection = guard(client, socket, onLost)
  const timer = setTimeout(
    () => connection.cut(networkError('CONNECT_TIMEOUT', `${host} has not let us in`)),
    connectMs,
  )
  connection.limit({ maxBytes: MAX_GREETING_BYTES, endsAt: Number.POSITIVE_INFINITY, onBytes: () => true })
  try {
    await client.connect()
  } catch (error) {
    connection.cut(error instanceof Error ? error : new Error(String(error)))
    throw connection.cause ?? error
  } finally {
    clearTimeout(timer)
    connection.unlimit()
  }
  return connection
}

/** What a server says when somebody logs in, at most. */
const MAX_GREETING_BYTES = 64 * 1024
/** What may come in between uses: settings that have changed, and that the server goes away. */
const MAX_IDLE_BYTES = 64 * 1024

/** A stream that pg does not have to connect, since it is. */
function connected(socket: Socket): Socket {
  return Object.assign(socket, {
    connect: () => {
      setImmediate(() => socket.emit('connect'))
      return socket
    },
  })
}

function guard(
  client: Client,
  socket: Socket,
  onLost: () => void,
): Connection & { readonly cause: Error | undefined } {
  let cause: Error | undefined
  let isLost = false
  let bytes = 0
  let limits: UseLimits | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const lose = () => {
    if (isLost) return
    isLost = true
    clearTimeout(timer)
    onLost()
  }
  const cut = (error: Error) => {
    cause ??= error
    lose()
    socket.destroy(error)
  }
  // Without listeners an error would end the whole process.
  client.on('error', (error) => cut(error))
  client.on('end', lose)
  socket.on('error', (error) => cut(error))
  socket.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length
    if (limits?.onBytes(chunk.length, bytes) === false)
      cut(networkError('BUSY', 'the answers of all tenants together are too large'))
    if (bytes > (limits?.maxBytes ?? MAX_IDLE_BYTES))
      cut(networkError('ANSWER_TOO_LARGE', `the server said more than ${bytes} bytes`))
  })
  const failed = (error: unknown): never => {
    throw cause ?? error
  }
  return {
    query: ({ text, values, arrayMode }) =>
      client
        .query({ text, values: [...(values ?? [])], ...(arrayMode ? { rowMode: 'array' } : {}) })
        .then(({ rows, rowCount }) => ({ rows, rowCount }), failed),
    run: (statements) => client.query(statements).then(() => undefined, failed),
    limit(wanted) {
      bytes = 0
      limits = wanted
      const left = wanted.endsAt - performance.now()
      if (Number.isFinite(left))
        timer = setTimeout(
          () => cut(networkError('DEADLINE', 'the request took too long')),
          Math.max(0, left),
        )
    },
    unlimit() {
      clearTimeout(timer)
      limits?.onBytes(-bytes, 0)
      limits = undefined
      bytes = 0
    },
    get isLost() {
      return isLost
    },
    get cause() {
      return cause
    },
    cut,
    end() {
      lose()
      client.end().catch(() => undefined)
      // Whoever does not answer the goodbye is left.
      const leaving = setTimeout(() => socket.destroy(), LEAVE_MS)
      socket.once('close', () => clearTimeout(leaving))
    },
  }
}

const LEAVE_MS = 1_000
