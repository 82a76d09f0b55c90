import { type AddressInfo, createServer } from 'node:net'

/** A port that something else listens on. The message says which, and how to choose another. */
export class PortTakenError extends Error {
  readonly code = 'PORT_TAKEN'
  constructor(port: number, purpose: string, setting: string) {
    super(
      `Port ${port} (${purpose}) is already in use. Stop the program that uses it, or choose another port: ` +
        `set ${setting}=NUMBER in .env or in front of the command.`,
    )
  }
}

export async function freePort(): Promise<number> {
  return listenBriefly(0)
}

/** Throws PortTakenError unless 127.0.0.1:port can be listened on. */
export async function assertPortFree(port: number, purpose: string, setting: string): Promise<void> {
  await listenBriefly(port).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') throw new PortTakenError(port, purpose, setting)
    throw error
  })
}

function listenBriefly(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const { port: assigned } = server.address() as AddressInfo
      server.close(() => resolve(assigned))
    })
  })
}
