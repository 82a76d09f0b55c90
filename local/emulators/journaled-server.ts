import type { PortUse } from '../../tools/ports.ts'
import type { ControlledEmulator } from './http/control.ts'
import { type EmulatorServer, type Provider, startEmulatorServer } from './http/server.ts'
import type { Journal } from './journal.ts'

/** A provider whose state is its journal alone. The journal is closed with the server, also when that does not start. */
export async function startJournaledServer(
  journal: Journal,
  ...server: [provider: Provider, emulator: ControlledEmulator, use: PortUse, port?: number]
): Promise<EmulatorServer> {
  const { port, idle, stop } = await startEmulatorServer(...server).catch((error: unknown) => {
    journal.close()
    throw error
  })
  let stopped: Promise<void> | undefined
  return {
    port,
    idle,
    stop: () => {
      stopped ??= stop().finally(() => journal.close())
      return stopped
    },
  }
}
