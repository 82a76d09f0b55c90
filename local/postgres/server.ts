import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { knownArrays } from '../../shared/kernel/database/array-types.ts'
import { makePrivate, NOBODY } from '../../tools/local-directory.ts'
import { runProgram } from '../../tools/run-program.ts'
import { exists, installBinaries, installExtensions, type PostgresBinaries } from './binaries.ts'

/** Password of every role on the local server; it listens on 127.0.0.1 only, as `supabase start` does. */
export const LOCAL_PASSWORD = 'postgres'
/** The only superuser, as on a hosted project. The role `postgres` is not one. */
export const SUPERUSER = 'supabase_admin'
/**
 * Names the directory that makeTemplate has filled; then servers use its binaries and begin with a copy of its data. A run of the
 * tests starts dozens: each would unpack and initialise for more than a second.
 */
export const TEMPLATE_VARIABLE = 'POSTGRES_TEMPLATE'

const extensionsFolder = fileURLToPath(new URL('../extensions/', import.meta.url))
const EXTENSION_FILES = [
  'pg_net/pg_net.control',
  'pg_net/pg_net--0.20.0.sql',
  'pg_cron/pg_cron.control',
  'pg_cron/pg_cron--1.6.4.sql',
  'supabase_vault/supabase_vault.control',
  'supabase_vault/supabase_vault--0.3.1.sql',
].map((file) => path.join(extensionsFolder, file))

export interface PostgresServer {
  readonly port: number
  readonly dataDir: string
  readonly logFile: string
  /** True when this call created the data directory. */
  readonly created: boolean
  url(database: string, role?: string): string
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

export interface ServerOptions {
  /** Holds the binaries and the data. */
  readonly directory: string
  readonly port: number
  /** The directory of another server whose binaries are used, instead of a copy of them in the own one. */
  readonly binariesIn?: string
  /** Extra settings, as for `postgres -c`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Starts an embedded Postgres 17 on 127.0.0.1, creating its data directory the first time. */
export async function startPostgres(options: ServerOptions): Promise<PostgresServer> {
  const directory = await reachableDirectory(options.directory)
  const template = process.env[TEMPLATE_VARIABLE]
  const binaries = await completeBinaries(options.binariesIn ?? template ?? directory)
  const dataDir = path.join(directory, 'data')
  const created = !(await exists(path.join(dataDir, 'PG_VERSION')))
  if (created)
    await buildDataDirectory(dataDir, (building) =>
      template === undefined
        ? initialise(binaries, building)
        : copyData(path.join(template, 'data'), building),
    )
  await refuseSecondServer(dataDir)
  const logFile = path.join(directory, 'postgres.log')
  const child = await spawnServer(binaries, dataDir, logFile, options)
  const server: PostgresServer = {
    port: options.port,
    dataDir,
    logFile,
    created,
    url: (database, role = SUPERUSER) => databaseUrl(options.port, database, role),
    stop: (mode = 'fast') => stopServer(child, mode),
  }
  await waitUntilReady(server, child)
  return server
}

export function databaseUrl(port: number, database: string, role: string, password = LOCAL_PASSWORD): string {
  return `postgresql://${role}:${password}@127.0.0.1:${port}/${database}`
}

/**
 * Postgres refuses to run as root, so root's server runs as nobody, who may not be able to enter the wanted
 * directory (a checkout below /root, say). The data then lives in the system's directory for temporary files
 * that survive a reboot.
 */
export async function reachableDirectory(wanted: string): Promise<string> {
  await makePrivate(wanted)
  if (process.getuid?.() !== 0) return wanted
  const reachable = await runProgram('/bin/ls', [wanted], { uid: NOBODY, gid: NOBODY, cwd: '/' }).then(
    () => true,
    () => false,
  )
  if (reachable) return wanted
  const base = (await exists('/var/tmp')) ? '/var/tmp' : tmpdir()
  const fallback = path.join(base, `tenant-provisioning${wanted.replaceAll(path.sep, '-')}`)
  await makePrivate(fallback)
  return fallback
}

/** Postgres and PgBouncer refuse to run as root. */
export function unprivileged(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
}

/** Fills a directory with binaries and the data of a server that was never started. @returns where that is, see TEMPLATE_VARIABLE */
export async function makeTemplate(wanted: string): Promise<string> {
  const directory = await reachableDirectory(wanted)
  const binaries = await completeBinaries(directory)
  await buildDataDirectory(path.join(directory, 'data'), (building) => initialise(binaries, building))
  return directory
}

async function completeBinaries(directory: string): Promise<PostgresBinaries> {
  const binaries = await installBinaries(directory)
  await installExtensions(binaries, EXTENSION_FILES)
  return binaries
}

/** Built beside it and renamed, so that an interrupted one is never mistaken for a complete one. */
async function buildDataDirectory(
  dataDir: string,
  build: (building: string) => Promise<unknown>,
): Promise<void> {
  const building = `${dataDir}.${process.pid}`
  await mkdir(building, { recursive: true, mode: 0o700 })
  const { uid, gid } = unprivileged()
  if (uid !== undefined && gid !== undefined) await chown(building, uid, gid)
  try {
    await build(building)
    await rename(building, dataDir)
  } finally {
    await rm(building, { recursive: true, force: true })
  }
}

function copyData(from: string, to: string): Promise<string> {
  return runProgram('/bin/cp', ['-R', `${from}/.`, to], { ...unprivileged(), cwd: '/' })
}

async function initialise(binaries: PostgresBinaries, building: string): Promise<void> {
  const passwordFile = `${building}.password`
  const handle = await open(passwordFile, 'w', 0o644)
  await handle.writeFile(LOCAL_PASSWORD)
  await handle.close()
  try {
    await runProgram(
      binaries.initdb,
      ['-D', building, '-U', SUPERUSER, '-A', 'scram-sha-256', '--pwfile', passwordFile].concat([
        '-E',
        'UTF8',
        '--locale',
        'C',
        // Upper and lower case beyond ASCII, as a hosted project has them.
        '--locale-provider',
        'builtin',
        '--builtin-locale',
        'C.UTF-8',
        '--no-sync',
        '--no-instructions',
      ]),
      { ...unprivileged(), cwd: '/' },
    )
  } finally {
    await rm(passwordFile, { force: true })
  }
}

/** Postgres itself refuses too, but says it only in its log. */
export async function refuseSecondServer(dataDir: string): Promise<void> {
  const pidFile = path.join(dataDir, 'postmaster.pid')
  if (!(await exists(pidFile))) return
  const [pid = '', , , port = ''] = (await readFile(pidFile, 'utf8')).split('\n')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return
  }
  throw new Error(
    `The local database is already running (process ${pid}, port ${port}). ` +
      'Stop the other `npm start` with Ctrl-C first; if there is none, end that process.',
  )
}

async function spawnServer(
  binaries: PostgresBinaries,
  dataDir: string,
  logFile: string,
  options: ServerOptions,
): Promise<ChildProcess> {
  const settings = {
    port: String(options.port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '300',
    // `create database` waits for every backend, also for one whose client has begun to log in and does not go on.
    authentication_timeout: '10s',
    shared_buffers: '256MB',
    max_wal_size: '4GB',
    wal_level: 'replica',
    ...options.settings,
  }
  const log = await open(logFile, 'a')
  try {
    // Its own process group: Ctrl-C must not end the server before its clients have stopped.
    return spawn(
      binaries.postgres,
      ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      { ...unprivileged(), cwd: '/', stdio: ['ignore', log.fd, log.fd], detached: true },
    )
  } finally {
    await log.close()
  }
}

async function waitUntilReady(server: PostgresServer, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 30_000
  while (Date.now() < deadline) {
    if (child.exitCode !== null) {
      const log = (await readFile(server.logFile, 'utf8')).trim().split('\n').slice(-3).join('\n')
      throw new Error(`Postgres did not start: ${log}`)
    }
    const sql = postgres(server.url('template1'), {
      max: 1,
      connect_timeout: 2,
      ...knownArrays,
      onnotice: () => undefined,
    })
    const ready = await sql`select 1`.then(
      () => true,
      () => false,
    )
    await sql.end({ timeout: 1 })
    if (ready) return
    await sleep(20)
  }
  await stopServer(child, 'immediate')
  throw new Error(`Postgres did not answer within 30 s; its log is ${server.logFile}`)
}

async function stopServer(child: ChildProcess, mode: 'fast' | 'immediate'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
  await exited
}
