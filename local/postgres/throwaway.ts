import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freePort } from '../../tools/ports.ts'
import { migrate } from './migrate.ts'
import { createPlatformDatabase } from './platform.ts'
import { startPostgres } from './server.ts'

/** Settings for data that lives as long as one command: losing it to a power cut is fine. */
export const THROWAWAY_SETTINGS = { fsync: 'off', full_page_writes: 'off' }

/** Gives the work the URL (as `postgres`) of a freshly migrated database, and removes it afterwards. */
export async function withThrowawayDatabase<T>(work: (databaseUrl: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-'))
  const server = await startPostgres({ directory, port: await freePort(), settings: THROWAWAY_SETTINGS })
  try {
    await createPlatformDatabase(server, 'postgres')
    const url = server.url('postgres', 'postgres')
    await migrate(url)
    return await work(url)
  } finally {
    await server.stop('immediate')
    await rm(directory, { recursive: true, force: true })
  }
}
