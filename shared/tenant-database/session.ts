import { isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as startTls } from 'node:tls'
import postgres from 'postgres'
import { networkError, onlyOnce, openSocket } from '../kernel/database/socket.ts'
import { serverOf, type TenantAddress } from './address.ts'
import { authoritiesOf } from './authorities.ts'

/** A Postgres client asks for TLS with this; a server that offers it answers `S`. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47])
const OFFERS_TLS = 83

/** What a session with a tenant's database may cost us at most, whatever its owner has made of it. */
export interface SessionLimits {
  readonly connectMs: number
  /** From the beginning to the end; the connection is cut then, whatever the server is at. */
  readonly lifeMs: number
  /** What the server may say altogether: rows, errors and notices. The connection is cut in the middle of what exceeds it. */
  readonly maxBytes: number
  /** What one statement may take, and of that waiting for a lock. */
  readonly statementMs: number
  readonly lockMs: number
}

export interface SessionHooks {
  /** The login was accepted, and the server has opened a session. */
  readonly onSession?: () => void
  /** Only listens in; what the platform checks by itself is checked in any case. */
  readonly checkServerIdentity?: ConnectionOptions['checkServerIdentity']
}

export interface TenantSession {
  readonly sql: postgres.Sql
  /** Ends it at once, whatever the server is at. What waits for an answer fails with the error. */
  cut(error: Error): void
  /** Takes leave; resolves when the connection is closed, after a second at the latest. */
  close(): Promise<void>
}

const LEAVE_SECONDS = 1

/**
 * Prepares a session with a tenant's own database, of one connection over verified TLS unless the host is local; the first
 * statement opens it. Its owner controls everything in it: settings of the role, views in the place of tables, triggers,
 * locks. So the session brings its own settings, and is cut when it costs more than the limits.
 * @param through the pooled host is what applications use; the direct one is for schema changes.
 */
export function openTenantSession(
  tenant: TenantAddress,
  password: string,
  through: 'direct' | 'pooled',
  limits: SessionLimits,
  { onSession, checkServerIdentity }: SessionHooks = {},
): TenantSession {
  const { host, port, user } = serverOf(tenant, through)
  let socket: Socket | undefined
  let cause: Error | undefined
  const cut = (error: Error) => {
    cause ??= error
    socket?.destroy(error)
  }
  const life = setTimeout(
    () => cut(networkError('DEADLINE', `the session took more than ${limits.lifeMs} ms`)),
    limits.lifeMs,
  )
  const open = async (): Promise<Socket> => {
    const plain = await openSocket(host, port, limits.connectMs)
    socket = plain
    socket = tenant.sslMode === 'disable' ? plain : await encrypt(plain, host, limits, checkServerIdentity)
    socket.once('close', () => clearTimeout(life))
    if (cause) socket.destroy(cause)
    count(socket, limits.maxBytes, cut)
    return socket
  }
  const options = {
    host,
    port,
    database: tenant.databaseName ?? '',
    username: user,
    password,
    socket: onlyOnce(open),
    ssl: false,
    max: 1,
    max_lifetime: null,
    prepare: false,
    fetch_types: false,
    connect_timeout: limits.connectMs / 1000,
    onnotice: () => undefined,
    ...(onSession ? { onparameter: onSession } : {}),
    connection: {
      application_name: 'tenant-provisioning',
      ...(through === 'direct' ? { options: settingsOf(limits) } : {}),
    },
  } as const
  const sql = postgres(options)
  return {
    sql,
    cut,
    close: async () => {
      await sql.end({ timeout: cause ? 0 : LEAVE_SECONDS })
      clearTimeout(life)
      socket?.destroy()
    },
  }
}

/**
 * As startup options, because these beat `alter role … set` and `alter database … set`. A pooler in transaction mode refuses
 * them: there, each statement brings what it needs with `set local`.
 */
function settingsOf({ statementMs, lockMs }: SessionLimits): string {
  const settings = {
    role: 'none',
    // Temporary tables and types are found first wherever their schema is not named.
    search_path: 'pg_catalog,pg_temp',
    statement_timeout: statementMs,
    lock_timeout: lockMs,
    idle_in_transaction_session_timeout: statementMs,
    default_transaction_read_only: 'off',
    default_transaction_isolation: 'read\\ committed',
    standard_conforming_strings: 'on',
    client_min_messages: 'error',
    DateStyle: 'ISO',
    TimeZone: 'UTC',
  }
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ')
}

function count(socket: Socket, maxBytes: number, cut: (error: Error) => void): void {
  let bytes = 0
  socket.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length
    if (bytes > maxBytes) cut(networkError('ANSWER_TOO_LARGE', `the server said more than ${maxBytes} bytes`))
  })
}

/** @throws an error with the code of a TLS error, or CONNECT_TIMEOUT */
export function encrypt(
  plain: Socket,
  host: string,
  { connectMs }: Pick<SessionLimits, 'connectMs'>,
  checkServerIdentity: SessionHooks['checkServerIdentity'],
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer)
      plain.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(networkError('CONNECT_TIMEOUT', 'TLS was not started')), connectMs)
    const lost = () => fail(networkError('CONNECTION_CLOSED', 'the connection was closed before TLS'))
    plain.once('error', fail)
    plain.once('close', lost)
    plain.once('data', (answer) => {
      if (answer[0] !== OFFERS_TLS || answer.length > 1)
        return fail(networkError('ERR_TLS_NOT_OFFERED', 'the server offers no TLS'))
      const authorities = authoritiesOf(host)
      const secure = startTls({
        socket: plain,
        ...(authorities ? { ca: [...authorities] } : {}),
        ...(isIP(host) ? { host } : { servername: host }),
        ...(checkServerIdentity ? { checkServerIdentity } : {}),
      })
      secure.once('error', fail)
      secure.once('close', lost)
      secure.once('secureConnect', () => {
        clearTimeout(timer)
        plain.off('close', lost)
        secure.off('error', fail)
        secure.off('close', lost)
        resolve(secure)
      })
      return undefined
    })
    plain.write(SSL_REQUEST)
  })
}
