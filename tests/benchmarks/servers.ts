import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { type PostgresServer, startPostgres } from '../../local/postgres/server.ts'
import { freePort } from '../../tools/ports.ts'

/**
 * Settings for a server that stands for somebody else's machines: its disk must not be what is measured. Nor the vacuum of all
 * databases by one server: with a thousand of them it starts a process every 60 ms, where each tenant has a compute of its own.
 */
export const WITHOUT_DISK_WAITS = { fsync: 'off', full_page_writes: 'off', autovacuum_naptime: '10min' }

/** The same for a thousand databases that are copied: what a copy writes is not written a second time into the log. */
export const FOR_MANY_COPIES = {
  ...WITHOUT_DISK_WAITS,
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '4GB',
  shared_buffers: '512MB',
}

/**
 * Gives the work a Postgres server of its own and removes it with all its data afterwards: a thousand databases are
 * thrown away with their directory instead of being dropped one by one.
 */
export async function withServer<T>(
  settings: Readonly<Record<string, string>>,
  work: (server: PostgresServer) => Promise<T>,
): Promise<T> {
  return withDirectory(async (directory) => {
    const server = await startPostgres({ directory, port: await freePort(), settings })
    try {
      return await work(server)
    } finally {
      await server.stop('immediate')
    }
  })
}

export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-bench-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Gives the work a pool of at most `max` connections, all of them open when the work begins. */
export async function withConnections<T>(
  url: string,
  max: number,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = postgres(url, { max, onnotice: () => undefined, max_lifetime: null })
  try {
    await Promise.all(Array.from({ length: max }, () => sql`select pg_sleep(0.05)`))
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** Process id of the server's first process, whose children are all the others. */
export async function postmasterPid(server: PostgresServer): Promise<number> {
  const [pid] = (await readFile(path.join(server.dataDir, 'postmaster.pid'), 'utf8')).split('\n')
  return Number(pid)
}
