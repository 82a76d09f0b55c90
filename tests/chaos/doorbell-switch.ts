import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One address for several instances of the functions, which take turns, as they do when they are hosted. */
export interface DoorbellSwitch {
  readonly url: string
  connect(targets: readonly string[]): void
  stop(): Promise<void>
}

/** A platform does not wait long for an instance that stands still, and pg_net waits for all doorbells of a batch. */
const TIMEOUT_MS = 1_000

export async function startDoorbellSwitch(): Promise<DoorbellSwitch> {
  let targets: readonly string[] = []
  let turn = 0
  const server = createServer((incoming, response) => {
    const target = targets[turn++ % targets.length]
    forward(target, incoming, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    connect: (urls) => {
      targets = urls
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function forward(
  target: string | undefined,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (target === undefined) throw new Error('The switch is not connected.')
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  const reply = await fetch(`${target}${incoming.url}`, {
    method: incoming.method ?? 'POST',
    headers: { 'content-type': 'application/json' },
    body: Buffer.concat(chunks),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  const body = await reply.text()
  response.writeHead(reply.status, { 'content-type': 'application/json' }).end(body)
}
