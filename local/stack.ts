import { readFileSync } from 'node:fs'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Variables } from '../shared/kernel/environment.ts'
import { services } from '../shared/services/registry.ts'
import type { Configuration } from '../tools/configuration.ts'
import { makePrivate } from '../tools/local-directory.ts'
import { assertPortFree, PORT_USES, type PortUse } from '../tools/ports.ts'
import { claimDirectory } from './directories.ts'
import { type EmulatorOptions, emulators, isEmulated } from './emulators/registry.ts'
import type { FunctionLogLine } from './gateway/functions/processes.ts'
import { createProjectKeys, type ProjectKeys } from './gateway/keys.ts'
import { migrate } from './postgres/migrate.ts'
import { createPlatformDatabase, isPlatformDatabase } from './postgres/platform.ts'
import { type PostgresServer, startPostgres } from './postgres/server.ts'
import { type ProjectServices, startProjectServices } from './project-services.ts'

export interface StackOptions extends EmulatorOptions {
  /** Holds everything that a second start finds again. */
  readonly directory: string
  readonly configuration: Configuration
  /** Adds the demo data of seed.sql. */
  readonly seed?: boolean
  readonly watch?: boolean
  readonly functionsLog?: (line: FunctionLogLine) => void
  /** Ports that have to be free too, because something beside the stack is about to take them. */
  readonly otherPorts?: readonly (readonly [port: number, use: PortUse])[]
  readonly postgresSettings?: Readonly<Record<string, string>>
  /** Told what is being done, in a few words each. */
  readonly progress?: (what: string) => void
  /** Ends the start-up between two of its stages; what had started is stopped again. */
  readonly signal?: AbortSignal
}

export interface Stack extends ProjectServices {
  readonly keys: ProjectKeys
  readonly postgres: PostgresServer
  /** URL of the project's database as a role; without one, as `postgres`. */
  databaseUrl(role?: string): string
}

const DATABASE = 'postgres'

/**
 * Starts a whole project without Docker: Postgres with the migrations applied, gateway, functions, pg_net and pg_cron
 * workers and provider emulators. @throws PortTakenError, or Error with what the failing part said.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  try {
    return await startStages(options)
  } catch (error) {
    // Ctrl-C reaches the programs that a stage runs, too: their failure is not the news then.
    options.signal?.throwIfAborted()
    throw error
  }
}

async function startStages(options: StackOptions): Promise<Stack> {
  const { configuration } = options
  const progress = (what: string) => {
    options.signal?.throwIfAborted()
    options.progress?.(what)
  }
  await makePrivate(options.directory)
  const orphan = await claimDirectory(options.directory)
  if (orphan) progress(`stopped the database that a killed start left behind (process ${orphan})`)
  await assertPortsFree(configuration)
  for (const [port, use] of options.otherPorts ?? []) await assertPortFree(port, use)
  progress('starting Postgres')
  const postgres = await startDatabase(options)
  try {
    if (!(await isPlatformDatabase(postgres, DATABASE))) {
      progress('creating the project’s database')
      await createPlatformDatabase(postgres, DATABASE)
    }
    progress('applying migrations')
    await migrate(postgres.url(DATABASE, 'postgres'), {
      functionsUrl: `http://127.0.0.1:${configuration.LOCAL_API_PORT}/functions/v1`,
      seed: options.seed ?? false,
    })
    progress('starting gateway, functions and providers')
    const keys = await projectKeys(path.join(options.directory, 'keys.json'))
    const services = await startServices(options, keys)
    const stack: Stack = {
      ...services,
      keys,
      postgres,
      databaseUrl: (role = 'postgres') => postgres.url(DATABASE, role),
      stop: async (how) => {
        await services.stop(how)
        await postgres.stop()
      },
    }
    await warmUp(services.url)
    if (options.signal?.aborted) await stack.stop()
    options.signal?.throwIfAborted()
    return stack
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

/** Starts Postgres so that it does not outlive this process, however that ends; only SIGKILL leaves no time for it. */
async function startDatabase(options: StackOptions): Promise<PostgresServer> {
  const { LOCAL_DB_PORT: port } = options.configuration
  const postgres = await startPostgres({
    directory: options.directory,
    port,
    ...(options.postgresSettings ? { settings: options.postgresSettings } : {}),
  }).catch(async (error: unknown) => {
    // The first start unpacks for seconds before Postgres listens.
    await assertPortFree(port, PORT_USES.database)
    throw error
  })
  const [pid] = readFileSync(path.join(postgres.dataDir, 'postmaster.pid'), 'utf8').split('\n')
  const end = () => process.kill(Number(pid), 'SIGQUIT')
  process.once('exit', end)
  return {
    ...postgres,
    stop: async (mode) => {
      await postgres.stop(mode)
      process.off('exit', end)
    },
  }
}

async function assertPortsFree(configuration: Configuration): Promise<void> {
  await assertPortFree(configuration.LOCAL_DB_PORT, PORT_USES.database)
  await assertPortFree(configuration.LOCAL_API_PORT, PORT_USES.api)
  const keys = keysOf(configuration)
  for (const { name, secret } of services)
    if (isEmulated(name) && !keys[secret])
      for (const [port, use] of emulators[name].ports(configuration)) await assertPortFree(port, use)
}

/** The services' own variables, as far as they are set. */
function keysOf(configuration: Configuration): Variables {
  const given = new Map(Object.entries(configuration))
  const names = services.flatMap(({ variables }) => variables)
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = given.get(name)
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

/** At their ports and in the stack's directory, and otherwise as the options say. */
function emulatorOptions(options: StackOptions): EmulatorOptions {
  const { configuration, directory } = options
  const names = services.map(({ name }) => name).filter(isEmulated)
  return Object.assign(
    {},
    ...names.map((name) => ({
      [name]: { ...emulators[name].atHome(configuration, directory), ...options[name] },
    })),
  )
}

function startServices(options: StackOptions, keys: ProjectKeys): Promise<ProjectServices> {
  const { configuration, directory } = options
  return startProjectServices({
    postgresPort: configuration.LOCAL_DB_PORT,
    database: DATABASE,
    keys,
    apiPort: configuration.LOCAL_API_PORT,
    ...emulatorOptions(options),
    variables: keysOf(configuration),
    watch: options.watch ?? false,
    mailDirectory: path.join(directory, 'mail'),
    ...(options.functionsLog ? { functionsLog: options.functionsLog } : {}),
  })
}

/** Starts the function's process, which would otherwise be the first sign-up's wait. */
async function warmUp(url: string): Promise<void> {
  await fetch(`${url}/functions/v1/provision-tenant-resources`, { method: 'OPTIONS' })
}

/** A project keeps its keys for life: tokens that were issued yesterday are still good. */
async function projectKeys(file: string): Promise<ProjectKeys> {
  const stored = await readFile(file, 'utf8').catch(() => undefined)
  if (stored) return JSON.parse(stored)
  const keys = await createProjectKeys()
  await writeFile(file, JSON.stringify(keys, null, 2))
  await chmod(file, 0o600)
  return keys
}
