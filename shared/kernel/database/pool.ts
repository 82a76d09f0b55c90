import postgres from 'postgres'
import { onlyOnce, openSocket } from './socket.ts'

/** What our code asks of a database: statements, each a transaction of its own, and JSON as a parameter. */
export type Database = Pick<postgres.Sql, 'json' | 'end'> &
  (<T extends readonly (object | undefined)[] = postgres.Row[]>(
    strings: TemplateStringsArray,
    ...values: readonly postgres.ParameterOrFragment<never>[]
  ) => postgres.PendingQuery<T>)

export interface PoolLimits {
  readonly connections: number
  readonly connectMs: number
  /** A connection that is not used for so long is closed. */
  readonly idleMs: number
  /** Nor is one used for longer than that, so that the servers behind a pooler share the load. */
  readonly lifeMs: number
}

export type ClientOptions = postgres.Options<Record<string, postgres.PostgresType>>

type Statement = PromiseLike<unknown>

interface Connection {
  /** Sends a statement, whose own promise says what becomes of it. */
  readonly send: (statement: Statement) => void
  readonly openedAt: number
  idleTimer: ReturnType<typeof setTimeout> | undefined
  end(timeoutSeconds: number): Promise<void>
}

/**
 * A pool in which each connection has a client of its own and one statement at a time, and is given up together with its client
 * when it is lost: postgres.js does not survive that, see onlyOnce. A statement whose connection is lost fails; no other does.
 */
export function openPool(url: string, options: ClientOptions, limits: PoolLimits): Database {
  // Makes statements and never connects; where they go, the pool decides.
  const maker = postgres(url, { ...options, max: 1 })
  const open = new Set<Connection>()
  const idle: Connection[] = []
  const waiting: Statement[] = []
  const refuse = senderOf(maker)
  let isEnded = false

  const dispatch = (statement: Statement): void => {
    const mayConnect = !isEnded && open.size < limits.connections
    const connection = idle.pop() ?? (mayConnect ? connect() : undefined)
    if (connection) run(connection, statement)
    else if (isEnded) refuse(statement)
    else waiting.push(statement)
  }
  const connect = (): Connection => {
    const connection = openConnection(url, options, limits, () => giveUp(connection))
    open.add(connection)
    return connection
  }
  const run = (connection: Connection, statement: Statement): void => {
    clearTimeout(connection.idleTimer)
    connection.send(statement)
    statement.then(
      () => release(connection),
      (error: unknown) => (isAnswer(error) ? release(connection) : giveUp(connection)),
    )
  }
  const release = (connection: Connection): void => {
    if (!open.has(connection)) return
    const isOld = performance.now() - connection.openedAt > limits.lifeMs
    const next = isOld ? undefined : waiting.shift()
    if (isOld) giveUp(connection)
    else if (next) run(connection, next)
    else {
      idle.push(connection)
      connection.idleTimer = setTimeout(() => giveUp(connection), limits.idleMs)
    }
  }
  const giveUp = (connection: Connection): void => {
    clearTimeout(connection.idleTimer)
    const place = idle.indexOf(connection)
    if (place >= 0) idle.splice(place, 1)
    if (!open.delete(connection)) return
    void connection.end(0)
    const next = waiting.shift()
    if (next) dispatch(next)
  }
  const end: Database['end'] = async ({ timeout = 5 } = {}) => {
    isEnded = true
    await maker.end({ timeout: 0 })
    for (const statement of waiting.splice(0)) refuse(statement)
    for (const { idleTimer } of open) clearTimeout(idleTimer)
    idle.splice(0)
    await Promise.all([...open].map((connection) => connection.end(timeout)))
  }
  const statement = <T extends readonly (object | undefined)[] = postgres.Row[]>(
    strings: TemplateStringsArray,
    ...values: readonly postgres.ParameterOrFragment<never>[]
  ) => Object.assign(maker<T>(strings, ...values), { handler: dispatch })
  return Object.assign(statement, { json: maker.json, end })
}

/** The server has refused a statement, and goes on with the next. */
function isAnswer(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.severity === 'ERROR'
}

function openConnection(
  url: string,
  options: ClientOptions,
  { connectMs }: PoolLimits,
  onLost: () => void,
): Connection {
  const own = {
    ...options,
    max: 1,
    // The pool sees to these.
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: connectMs / 1000,
    onclose: onLost,
    socket: onlyOnce(({ host: [host = ''], port: [port = 0] }: Target) => openSocket(host, port, connectMs)),
  }
  const client = postgres(url, own)
  return {
    send: senderOf(client),
    openedAt: performance.now(),
    idleTimer: undefined,
    end: (timeout) => client.end({ timeout }),
  }
}

/** As postgres.js has read it from the URL. */
interface Target {
  readonly host: readonly string[]
  readonly port: readonly number[]
}

/** Each statement of postgres.js carries the function that sends it, which belongs to the client that made it. */
function senderOf(client: postgres.Sql<Record<string, unknown>>): (statement: Statement) => void {
  const handler: unknown = Reflect.get(client`select 1`, 'handler')
  if (typeof handler !== 'function') throw new Error('postgres.js has changed: see database/pool.ts')
  return (statement) => void handler(statement)
}
