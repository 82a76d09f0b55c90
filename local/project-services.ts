import path from 'node:path'
import type { Variables } from '../shared/kernel/environment.ts'
import { services } from '../shared/services/registry.ts'
import { EMULATORS, type EmulatorAddress, emulatorVariables } from '../tools/emulators.ts'
import { projectRoot } from '../tools/project.ts'
import { type NeonEmulator, type NeonEmulatorOptions, startNeonEmulator } from './emulators/neon/emulator.ts'
import {
  type StripeEmulator,
  type StripeEmulatorOptions,
  startStripeEmulator,
} from './emulators/stripe/emulator.ts'
import type { FunctionLogLine } from './gateway/functions/processes.ts'
import { type Gateway, startGateway } from './gateway/gateway.ts'
import type { ProjectKeys } from './gateway/keys.ts'
import { type PlatformWorker, startPlatformWorker } from './platform-worker/worker.ts'
import { databaseUrl, SUPERUSER } from './postgres/server.ts'

export interface ProjectOptions {
  readonly postgresPort: number
  /** A database with the migrations applied. */
  readonly database: string
  readonly keys: ProjectKeys
  /** 0 or none takes a free one. */
  readonly apiPort?: number
  readonly neon?: Partial<NeonEmulatorOptions>
  readonly stripe?: Partial<StripeEmulatorOptions>
  /** A service whose key is among them is used for real; the others are emulated. */
  readonly variables?: Variables
  readonly watch?: boolean
  /** Keeps the mail that Auth would send. */
  readonly mailDirectory?: string
  /** A real Auth server in the place of the stand-in; the database then has its schema. */
  readonly authServer?: string
  readonly functionsLog?: (line: FunctionLogLine) => void
}

/** What runs around a project's database: providers, gateway with functions, and the workers of pg_net and pg_cron. */
export interface ProjectServices {
  readonly url: string
  readonly gateway: Gateway
  readonly worker: PlatformWorker
  /** Undefined where the real service is used. */
  readonly neon: NeonEmulator | undefined
  readonly stripe: StripeEmulator | undefined
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
    const neon = isReal(options, 'NEON_API_KEY') ? undefined : await startNeon(options)
    let dropTenants = false
    if (neon) started.push(() => neon.stop({ drop: dropTenants }))
    const stripe = isReal(options, 'STRIPE_SECRET_KEY')
      ? undefined
      : await startStripeEmulator({ apiKey: EMULATORS.stripe.key, ...options.stripe })
    if (stripe) started.push(() => stripe.stop())
    const gateway = await startProjectGateway(
      options,
      functionEnvironment(options, { neon: neon?.url, stripe: stripe?.url }),
    )
    started.push(() => gateway.stop())
    const worker = await startPlatformWorker({
      databaseUrl: databaseUrl(options.postgresPort, options.database, SUPERUSER),
    })
    started.push(() => worker.stop())
    return {
      url: gateway.url,
      gateway,
      worker,
      neon,
      stripe,
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

function startNeon(options: ProjectOptions): Promise<NeonEmulator> {
  return startNeonEmulator({
    adminUrl: databaseUrl(options.postgresPort, 'template1', SUPERUSER),
    apiKey: EMULATORS.neon.key,
    ...options.neon,
  })
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
    ...(options.mailDirectory === undefined ? {} : { mailDirectory: options.mailDirectory }),
    ...(options.authServer === undefined ? {} : { authServer: options.authServer }),
    ...(options.functionsLog ? { functionsLog: options.functionsLog } : {}),
  })
}

function isReal({ variables = {} }: ProjectOptions, secret: string): boolean {
  return Boolean(variables[secret])
}

/**
 * The secrets that a hosted project would have been given with `supabase secrets set`.
 * @param urls of the emulators, by service
 */
function functionEnvironment(
  { variables = {} }: ProjectOptions,
  urls: Readonly<Record<keyof typeof EMULATORS, string | undefined>>,
): Record<string, string> {
  const addresses: Readonly<Record<string, string | undefined>> = urls
  const keys: Readonly<Record<string, EmulatorAddress>> = EMULATORS
  const environment: Record<string, string> = {}
  for (const service of services) {
    for (const name of service.variables) if (variables[name]) environment[name] = variables[name]
    const [url, emulator] = [addresses[service.name], keys[service.name]]
    if (url && emulator) Object.assign(environment, emulatorVariables(service, emulator.key, url))
  }
  return environment
}
