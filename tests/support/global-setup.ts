import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import { makeTemplate, startPostgres, TEMPLATE_VARIABLE } from '../../local/postgres/server.ts'
import { makePrivate } from '../../tools/local-directory.ts'
import { freePort } from '../../tools/ports.ts'
import { AUTH_SERVER } from './auth-servers.ts'
import { PGBOUNCER, type Pooler, startPooler } from './pooler.ts'
import { makeQuickDirectory } from './quick-directory.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresPort: number
    postgresLog: string
    poolerPort: number | undefined
    /** For what several files of the run share. It is removed when the run ends. */
    runDirectory: string
  }
}

const SETTINGS = {
  // The data lives as long as the run; losing it to a power cut is fine.
  fsync: 'off',
  full_page_writes: 'off',
  max_wal_size: '512MB',
  // Databases that are gone in a minute need nobody who looks after them.
  autovacuum_naptime: '10min',
  checkpoint_timeout: '30min',
  // Of tables that nobody has analyzed yet the planner thinks too much; to start workers takes longer than to read them.
  max_parallel_workers_per_gather: '0',
}

/**
 * One Postgres for the whole run. It holds two databases that test files clone: `platform`, a hosted project
 * before anything was installed, and `migrated`, the same with our migrations applied by the Supabase CLI. Where
 * AUTH_SERVER names a real Auth server, each has a twin with Auth's own schema. Where PGBOUNCER names one, it stands in front.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await makeQuickDirectory('tenant-provisioning-')
  await makePrivate(directory)
  process.env[TEMPLATE_VARIABLE] = await makeTemplate(path.join(directory, 'template'))
  const server = await startPostgres({
    directory,
    port: await freePort(),
    settings: SETTINGS,
  })
  let pooler: Pooler | undefined
  const cleanUp = async () => {
    await pooler?.stop()
    await server.stop('immediate')
    const log = await readFile(server.logFile, 'utf8')
    await rm(directory, { recursive: true, force: true })
    refuseDeadlocks(log)
  }
  try {
    await createPlatformDatabase(server, 'platform')
    await createPlatformDatabase(server, 'migrated')
    await migrate(server.url('migrated', 'postgres'))
    if (AUTH_SERVER !== undefined) {
      await createPlatformDatabase(server, 'platform_auth', AUTH_SERVER)
      await createPlatformDatabase(server, 'migrated_auth', AUTH_SERVER)
      await migrate(server.url('migrated_auth', 'postgres'))
    }
    if (PGBOUNCER !== undefined) pooler = await startPooler(PGBOUNCER, server.port)
  } catch (error) {
    await cleanUp()
    throw error
  }
  project.provide('runDirectory', directory)
  project.provide('postgresPort', server.port)
  project.provide('postgresLog', server.logFile)
  project.provide('poolerPort', pooler?.port)
  return cleanUp
}

/**
 * Locks are taken in one order everywhere. Whoever breaks it seldom fails: the victim's work is tried again, a minute later at
 * worst. Here it is an error of the whole run.
 */
function refuseDeadlocks(log: string): void {
  const told = log
    .split('\n')
    .flatMap((line, index, lines) =>
      line.includes('deadlock detected') ? [lines.slice(index, index + 12).join('\n')] : [],
    )
  if (told.length > 0)
    throw new Error(`Postgres found ${told.length} deadlocks in this run:\n${told.join('\n\n')}`)
}
