import path from 'node:path'
import type { Variables } from '../shared/kernel/environment.ts'
import { services } from '../shared/services/registry.ts'
import type { Service } from '../shared/services/service.ts'
import { emulatorKey, emulatorVariables } from '../tools/emulators.ts'
import { projectRoot } from '../tools/project.ts'
import {
  type EmulatorName,
  type EmulatorOptions,
  type Emulators,
  emulators,
  isEmulated,
} from './emulators/registry.ts'
import type { AuthSettings } from './gateway/auth/context.ts'
import type { FunctionLogLine } from './gateway/functions/processes.ts'
import { type Gateway, startGateway } from './gateway/gateway.ts'
import type { ProjectKeys } from './gateway/keys.ts'
import { type PlatformWorker, startPlatformWorker } from './platform-worker/worker.ts'
import { databaseUrl, SUPERUSER } from './postgres/server.ts'

export interface ProjectOptions extends EmulatorOptions {
  readonly postgresPort: number
  /** A database with the migrations applied. */
  readonly database: string
  readonly keys: ProjectKeys
  /** 0 or none takes a free one. */
  readonly apiPort?: number
  /** A service whose key is among them is used for real; the others are emulated. */
  readonly variables?: Variables
  readonly watch?: boolean
  readonly auth?: Partial<AuthSettings>
  /** Keeps the mail that Auth would send. */
  readonly mailDirectory?: string
  /** A real Auth server in the place of the stand-in; the database then has its schema. */
  readonly authServer?: string
  /**
   * Of a pooler in transaction mode in front of the same server: the functions use it for the project's database, and the pooled
   * hosts of tenants lead through it.
   */
  readonly poolerPort?: number
  readonly functionsLog?: (line: FunctionLogLine) => void
  /** In the place of supabase/functions/import_map.json. */
  readonly importMap?: string
}

/** Where none is set: nobody but this machine reaches the local stack. */
export const LOCAL_METRICS_KEY = 'metrics-key-of-the-local-stack-alone'

/** What runs around a project's database: providers, gateway with functions, and the workers of pg_net and pg_cron. */
export interface ProjectServices extends Emulators {
  readonly url: string
  readonly gateway: Gateway
  readonly worker: PlatformWorker
  /** Stops in the order in which nothing is cut off: sender, functions, providers. */
  stop(options?: { readonly dropTenants?: boolean }): Promise<void>
}

/** Starts all of it on 127.0.0.1. What had started is stopped again when a later part fails. */
export async function startProjectServices(options: ProjectOptions): Promise<ProjectServices> {
  const started: (() => Promise<unknown>)[] = []
  const stopAll = async () => {
    for (const stop of started.reverse()) await stop()
  }
  try {
    let dropTenants = false
    const running: Emulators = {}
    for (const service of emulatedServices(options)) {
      const emulator = await startEmulator(service, options, running)
      Object.assign(running, { [service.name]: emulator })
      started.push(() => emulator.stop({ drop: dropTenants }))
    }
    const gateway = await startProjectGateway(options, functionEnvironment(options, running))
    started.push(() => gateway.stop())
    const worker = await startPlatformWorker({
      databaseUrl: databaseUrl(options.postgresPort, options.database, SUPERUSER),
    })
    started.push(() => worker.stop())
    return {
      url: gateway.url,
      gateway,
      worker,
      ...running,
      stop: async (how = {}) => {
        dropTenants = how.dropTenants ?? false
        await stopAll()
      },
    }
  } catch (error) {
    await stopAll()
    throw error
  }
}

type EmulatedService = Service & { readonly name: EmulatorName }

/** A service whose key is given is used for real. */
function emulatedServices({ variables = {} }: ProjectOptions): EmulatedService[] {
  const missing = services.filter(({ secret, emulator }) => emulator && !variables[secret])
  return missing.filter((service): service is EmulatedService => isEmulated(service.name))
}

function startEmulator<Name extends EmulatorName>(
  service: Service & { readonly name: Name },
  options: ProjectOptions,
  running: Emulators,
) {
  const adminUrl = databaseUrl(options.postgresPort, 'template1', SUPERUSER)
  const server = { adminUrl, ...(options.poolerPort === undefined ? {} : { poolerPort: options.poolerPort }) }
  return emulators[service.name].start(emulatorKey(service), server, options[service.name] ?? {}, running)
}

function startProjectGateway(options: ProjectOptions, functionEnv: Record<string, string>): Promise<Gateway> {
  return startGateway({
    port: options.apiPort ?? 0,
    host: '127.0.0.1',
    database: (role) => databaseUrl(options.postgresPort, options.database, role),
    keys: options.keys,
    functionsDir: path.join(projectRoot, 'supabase/functions'),
    configFile: path.join(projectRoot, 'supabase/config.toml'),
    functionEnv,
    watch: options.watch ?? false,
    ...(options.auth ? { auth: options.auth } : {}),
    ...(options.mailDirectory === undefined ? {} : { mailDirectory: options.mailDirectory }),
    ...(options.authServer === undefined ? {} : { authServer: options.authServer }),
    ...(options.functionsLog ? { functionsLog: options.functionsLog } : {}),
    ...(options.importMap === undefined ? {} : { importMap: options.importMap }),
  })
}

/** The secrets that a hosted project would have been given with `supabase secrets set`. */
function functionEnvironment(options: ProjectOptions, running: Emulators): Record<string, string> {
  const { variables = {} } = options
  const environment: Record<string, string> = { METRICS_KEY: variables.METRICS_KEY ?? LOCAL_METRICS_KEY }
  if (options.poolerPort !== undefined)
    environment.DATABASE_POOLER_URL = databaseUrl(options.poolerPort, options.database, 'postgres')
  for (const service of services) {
    for (const name of service.variables) if (variables[name]) environment[name] = variables[name]
    const emulator = isEmulated(service.name) ? running[service.name] : undefined
    if (emulator) Object.assign(environment, emulatorVariables(service, emulator.url))
  }
  return environment
}
