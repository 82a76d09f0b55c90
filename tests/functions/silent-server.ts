import { connect, createServer, type Socket } from 'node:net'
import { listen } from '../../tools/ports.ts'

/** How a database falls silent: it lets nobody in, or it lets in, does what it is told, and answers nothing. */
export type Silence = 'at once' | 'behind the login'

export interface SilentServer extends AsyncDisposable {
  readonly port: number
  /** How many connections have come to the point at which no answer comes any more. */
  readonly silenced: number
}

/** ReadyForQuery: the login is over, and the server waits for a statement. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5])

/** Stands before a Postgres. Whoever connects gets no answer from some moment on, and the connection stays open. */
export async function startSilentServer(
  silence: Silence,
  behind: { readonly host: string; readonly port: number },
): Promise<SilentServer> {
  const sockets = new Set<Socket>()
  let silenced = 0
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
  }
  const letIn = (client: Socket) => {
    const database = connect(behind)
    keep(database)
    client.once('close', () => database.destroy())
    client.pipe(database)
    let answers = Buffer.alloc(0)
    let isReady = false
    database.on('data', (answer: Buffer) => {
      if (isReady) return
      client.write(answer)
      answers = Buffer.concat([answers, answer])
      isReady = answers.includes(READY)
      if (isReady) silenced++
    })
  }
  const server = createServer((client) => {
    keep(client)
    if (silence === 'behind the login') return letIn(client)
    silenced++
    client.resume()
  })
  const port = await listen(server, { port: 0 }, { purpose: 'silent database', setting: 'none' })
  return {
    port,
    get silenced() {
      return silenced
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
