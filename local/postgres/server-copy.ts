import { randomUUID } from 'node:crypto'
import { chown, copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { z } from 'zod'
import { freePort } from '../../tools/ports.ts'
import { type PostgresServer, reachableDirectory, startPostgres, unprivileged } from './server.ts'

/** What belongs to the running server, or is made anew by one that starts. */
const LEFT_OUT =
  /^(postmaster\.(pid|opts)|pg_(wal|replslot|dynshmem|notify|serial|snapshots|stat_tmp|subtrans)|base)$/
const EMPTY_DIRECTORIES = [
  'pg_wal/archive_status',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
]
/** Databases are copied one by one: the server may hold many. The other ones cannot be used in the copy. */
const SETTINGS = {
  ignore_invalid_pages: 'on',
  autovacuum: 'off',
  fsync: 'off',
  max_connections: '50',
  shared_buffers: '32MB',
  shared_preload_libraries: '',
}

const backupStart = z.tuple([z.object({ wal: z.string(), data: z.string() })])
const backupEnd = z.tuple([z.object({ wal: z.string(), label: z.string() })])

/**
 * Copies a running server with these databases as they are now, and starts the copy on a free port. All roles and names are the
 * same there, and what is done in one of the two is not seen in the other. It is a base backup as Postgres describes it.
 * @param adminUrl a superuser's, of a server that startPostgres has started
 * @param directory holds the copy
 */
export async function startServerCopy(
  adminUrl: string,
  databases: readonly string[],
  directory: string,
): Promise<PostgresServer> {
  const place = await reachableDirectory(directory)
  const target = path.join(place, 'data')
  await mkdir(target, { recursive: true, mode: 0o700 })
  const sql = postgres(adminUrl, { max: 1, prepare: false, onnotice: () => undefined })
  let source: string
  try {
    // Or a checkpoint in between removes the log that the copy needs. It goes with the connection.
    await sql`select pg_create_physical_replication_slot(${`copy_${randomUUID().replaceAll('-', '')}`}, true, true)`
    const [{ wal: first, data }] = backupStart.parse(
      await sql`select pg_walfile_name(pg_backup_start('copy', true)) as wal, current_setting('data_directory') as data`,
    )
    source = path.dirname(data)
    const wanted = await sql<{ oid: string }[]>`select oid::text from pg_database
      where datname = any (${[...databases, 'template0', 'template1', 'postgres']})`
    await copyTree(data, target, (name) => !LEFT_OUT.test(name))
    for (const { oid } of wanted) await copyTree(path.join(data, 'base', oid), path.join(target, 'base', oid))
    const [{ wal: last, label }] = backupEnd.parse(
      await sql`select pg_walfile_name(lsn) as wal, labelfile as label from pg_backup_stop(false)`,
    )
    for (const name of EMPTY_DIRECTORIES)
      await mkdir(path.join(target, name), { recursive: true, mode: 0o700 })
    await copyTree(
      path.join(data, 'pg_wal'),
      path.join(target, 'pg_wal'),
      (name) => /^[0-9A-F]{24}$/.test(name) && name >= first && name <= last,
    )
    await writeFile(path.join(target, 'backup_label'), label)
    await giveAway(target)
  } catch (error) {
    await rm(place, { recursive: true, force: true })
    throw error
  } finally {
    await sql.end({ timeout: 5 })
  }
  return startPostgres({
    directory: place,
    binariesIn: source,
    port: await freePort(),
    settings: SETTINGS,
  })
}

/** What goes while it is copied, the server's log brings to its end. @param isWanted asked of the names at the top */
async function copyTree(
  from: string,
  to: string,
  isWanted: (name: string) => boolean = () => true,
): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (!isWanted(entry.name)) continue
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)]
    if (entry.isDirectory()) await copyTree(source, target)
    else if (entry.isFile()) await copyFile(source, target).catch(ignoreGone)
  }
}

function ignoreGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}

/** Postgres wants to own what it works with. */
async function giveAway(directory: string): Promise<void> {
  const { uid, gid } = unprivileged()
  if (uid === undefined || gid === undefined) return
  await chown(directory, uid, gid)
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true }))
    await chown(path.join(entry.parentPath, entry.name), uid, gid)
}
