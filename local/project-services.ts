import path from 'node:path'
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
  /** Keys of real providers; the emulator is used where there is none. */
  readonly realProviders?: {
    readonly stripeKey?: string
    readonly neonKey?: string
    readonly neonOrganization?: string
  }
  readonly watch?: boolean
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

const EMULATED_STRIPE_KEY = 'sk_test_localemulator'
const EMULATED_NEON_KEY = 'napi_localemulator'

/** Starts all of it on 127.0.0.1. What had started is stopped again when a later part fails. */
export async function startProjectServices(options: ProjectOptions): Promise<ProjectServices> {
  const started: (() => Promise<unknown>)[] = []
  const stopAll = async () => {
    for (const stop of started.reverse()) await stop()
  }
  try {
    const neon = options.realProviders?.neonKey ? undefined : await startNeon(options)
    let dropTenants = false
    if (neon) started.push(() => neon.stop({ drop: dropTenants }))
    const stripe = options.realProviders?.stripeKey
      ? undefined
      : await startStripeEmulator({ apiKey: EMULATED_STRIPE_KEY, ...options.stripe })
    if (stripe) started.push(() => stripe.stop())
    const gateway = await startProjectGateway(options, functionEnvironment(options, neon, stripe))
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
    apiKey: EMULATED_NEON_KEY,
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
    ...(options.functionsLog ? { functionsLog: options.functionsLog } : {}),
  })
}

/** The secrets that a hosted project would have been given with `supabase secrets set`. */
function functionEnvironment(
  { realProviders }: ProjectOptions,
  neon: NeonEmulator | undefined,
  stripe: StripeEmulator | undefined,
): Record<string, string> {
  return {
    ...(stripe
      ? { STRIPE_SECRET_KEY: EMULATED_STRIPE_KEY, STRIPE_API_URL: stripe.url }
      : { STRIPE_SECRET_KEY: realProviders?.stripeKey ?? '' }),
    ...(neon
      ? { NEON_API_KEY: EMULATED_NEON_KEY, NEON_API_URL: neon.url }
      : { NEON_API_KEY: realProviders?.neonKey ?? '' }),
    ...(realProviders?.neonOrganization ? { NEON_ORG_ID: realProviders.neonOrganization } : {}),
  }
}
