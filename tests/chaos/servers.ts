import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type PostgresServer, startPostgres } from '../../local/postgres/server.ts'
import { THROWAWAY_SETTINGS } from '../../local/postgres/throwaway.ts'
import { freePort } from '../../tools/ports.ts'

/** A Postgres server that can be crashed and comes back on the same port with the same data. */
export interface RestartableServer {
  readonly port: number
  readonly logFile: string
  /** As it runs now; another one after a restart. */
  current(): PostgresServer
  url(database: string, role?: string): string
  /** Crashes it (immediate mode: no checkpoint, recovery at the next start) and starts it again after a while. */
  restart(downMs: number): Promise<void>
  /** Stops it for good and removes its data. */
  remove(): Promise<void>
}

export async function startServer(): Promise<RestartableServer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-chaos-'))
  const port = await freePort()
  // Without fsync a crash of the machine would lose data, a crash of Postgres does not: the kernel has what was written.
  const start = () =>
    startPostgres({ directory, port, settings: { ...THROWAWAY_SETTINGS, log_checkpoints: 'off' } })
  const removeFiles = () => rm(directory, { recursive: true, force: true })
  let server = await start().catch(async (error: unknown) => {
    await removeFiles()
    throw error
  })
  const end = () => endAtExit(server)
  process.once('exit', end)
  return {
    port,
    logFile: server.logFile,
    current: () => server,
    url: (database, role) => server.url(database, role),
    restart: async (downMs) => {
      await server.stop('immediate')
      await new Promise((resolve) => setTimeout(resolve, downMs))
      server = await start()
    },
    remove: async () => {
      await server.stop('immediate')
      process.off('exit', end)
      await removeFiles()
    },
  }
}

/** The server has a process group of its own and would outlive this process. */
function endAtExit({ dataDir }: PostgresServer): void {
  try {
    const [pid] = readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n')
    process.kill(Number(pid), 'SIGQUIT')
  } catch {
    // It is down already.
  }
}
