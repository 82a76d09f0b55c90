import path from 'node:path'
import postgres from 'postgres'
import type { GithubEmulator } from '../../local/emulators/github/emulator.ts'
import type { N8nEmulator } from '../../local/emulators/n8n/emulator.ts'
import type { NeonEmulator } from '../../local/emulators/neon/emulator.ts'
import { type Emulators, isEmulated } from '../../local/emulators/registry.ts'
import type { StripeEmulator } from '../../local/emulators/stripe/emulator.ts'
import type { SupabaseEmulator } from '../../local/emulators/supabase/emulator.ts'
import type { VercelEmulator } from '../../local/emulators/vercel/emulator.ts'
import { type Gateway, startGateway } from '../../local/gateway/gateway.ts'
import { createProjectKeys, type ProjectKeys } from '../../local/gateway/keys.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import { SUPERUSER } from '../../local/postgres/server.ts'
import { type ProjectServices, startProjectServices } from '../../local/project-services.ts'
import { knownArrays } from '../../shared/kernel/database/array-types.ts'
import { services } from '../../shared/services/registry.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { projectRoot } from '../../tools/project.ts'
import { startDoorbellSwitch } from './doorbell-switch.ts'
import type { Tier } from './faults.ts'
import { INSTANCES, LEASE_SECONDS } from './plan.ts'
import { type RestartableServer, startServer } from './servers.ts'

export const FUNCTION = 'provision-tenant-resources'
/** The keys that local/project-services.ts gives to the functions and to the emulators. */
export const STRIPE_KEY = 'sk_test_localemulator'
export const NEON_KEY = 'napi_localemulator'

export const DATABASE = 'postgres'
const UNLIMITED = Number.POSITIVE_INFINITY
/** What the emulators' work takes in all; see `leases.ts` for why it must not be much. */
const NEON_TIMINGS = { createMs: 200, operationMs: 100, wakeMs: 20, readMs: 5 }
const PROJECT_TIMINGS = { createMs: 200, comingUpMs: 800, servicesMs: 200, readMs: 5 }
const STRIPE_TIMINGS = { requestMs: 30, searchLagMs: 2_000 }
/** Retries come quickly; how they are made is as always. */
const QUICK_SETTINGS = {
  lease_seconds: LEASE_SECONDS,
  // Interruptions count, and there are many.
  max_step_attempts: 200,
  backoff_base_seconds: 0.1,
  backoff_cap_seconds: 4,
  breaker_pause_seconds: 1,
  breaker_pause_cap_seconds: 4,
  project_look_seconds: 1,
}

export interface ProjectOptions {
  readonly seed: number
  /** See plan.ts. */
  readonly guarded: boolean
  /** Whether provisioning.settings are the bundle's own, and the sweep comes every ten seconds. */
  readonly defaultSettings: boolean
  readonly tier?: Tier
  readonly signal: AbortSignal
  readonly progress: (what: string) => void
}

/** A project with several instances of its functions, on a database that can crash without taking the tenants' along. */
export interface ChaosProject {
  readonly server: RestartableServer
  /** What is behind the Neon projects. */
  readonly tenants: RestartableServer
  readonly services: ProjectServices
  readonly neon: NeonEmulator
  readonly stripe: StripeEmulator
  readonly supabase: SupabaseEmulator
  readonly github: GithubEmulator
  readonly vercel: VercelEmulator
  readonly n8n: N8nEmulator
  /** Of everybody who signs up. */
  readonly tier: Tier
  /** Each has a process of the function; doorbells go to them in turn. */
  readonly instances: readonly Gateway[]
  readonly superuser: postgres.Sql
  /** The role with which sign-ups are inserted. */
  readonly auth: postgres.Sql
  readonly functionLog: readonly string[]
}

/** Starts a project, lets the work use it, and removes every trace of it. */
export async function withProject<T>(
  options: ProjectOptions,
  work: (project: ChaosProject) => Promise<T>,
): Promise<T> {
  const cleanUps: (() => Promise<unknown>)[] = []
  try {
    return await work(await startProject(options, cleanUps))
  } finally {
    for (const cleanUp of cleanUps.reverse()) await cleanUp()
  }
}

async function startProject(
  options: ProjectOptions,
  cleanUps: (() => Promise<unknown>)[],
): Promise<ChaosProject> {
  const { progress, signal } = options
  progress('starting two Postgres servers')
  const server = await startServer()
  cleanUps.push(() => server.remove())
  const tenants = await startServer()
  cleanUps.push(() => tenants.remove())
  const doorbells = await startDoorbellSwitch()
  cleanUps.push(() => doorbells.stop())
  signal.throwIfAborted()
  progress('applying the migrations')
  await createPlatformDatabase(server.current(), DATABASE)
  await migrate(server.url(DATABASE, 'postgres'), { functionsUrl: `${doorbells.url}/functions/v1` })
  await configure(server, options)
  signal.throwIfAborted()
  progress('starting providers and functions')
  const functionLog: string[] = []
  const parts = { server, tenants, options, functionLog, keys: await createProjectKeys() }
  const running = await startServices(parts)
  cleanUps.push(() => running.stop())
  const { neon, stripe, supabase, github, vercel, n8n } = running
  if (!neon || !stripe || !supabase || !github || !vercel || !n8n)
    throw new Error('The chaos suite runs on emulators.')
  const instances = [running.gateway]
  while (instances.length < INSTANCES) {
    const gateway = await startInstance(parts, running)
    instances.push(gateway)
    cleanUps.push(() => gateway.stop())
  }
  doorbells.connect(instances.map(({ url }) => url))
  const superuser = pool(server, SUPERUSER, 4, cleanUps)
  const auth = pool(server, 'supabase_auth_admin', 8, cleanUps)
  const providers = { neon, stripe, supabase, github, vercel, n8n }
  const { tier = 'database' } = options
  return { server, tenants, services: running, ...providers, tier, instances, superuser, auth, functionLog }
}

/** With which another instance reaches the same emulators. */
function environmentOf(running: Emulators): Record<string, string> {
  const variables = services.map((service) => {
    const emulator = isEmulated(service.name) ? running[service.name] : undefined
    return emulator ? emulatorVariables(service, emulator.url) : {}
  })
  return Object.assign({}, ...variables)
}

interface Parts {
  readonly server: RestartableServer
  readonly tenants: RestartableServer
  readonly options: ProjectOptions
  readonly functionLog: string[]
  readonly keys: ProjectKeys
}

async function configure(server: RestartableServer, options: ProjectOptions): Promise<void> {
  const sql = postgres(server.url(DATABASE, 'postgres'), { max: 1, onnotice: () => undefined })
  try {
    if (options.defaultSettings) return
    await sql`update provisioning.settings set ${sql({ ...QUICK_SETTINGS, default_tier: options.tier ?? 'database' })}`
    if (!options.guarded) await takeGuardsDown(sql)
    // Changed, not made: a bundle without its sweep must not be given one.
    await sql`select cron.alter_job(jobid, schedule := '1 second') from cron.job
      where jobname = 'tenant-provisioning-sweep'`
  } finally {
    await sql.end({ timeout: 5 })
  }
}

async function takeGuardsDown(sql: postgres.Sql): Promise<void> {
  await sql`update provisioning.rate_limits set burst = 1000000, per_second = 1000000`
  await sql`update provisioning.settings set breaker_failures = 1000000`
}

function startServices({ server, tenants, options, functionLog, keys }: Parts): Promise<ProjectServices> {
  const { seed, guarded } = options
  return startProjectServices({
    postgresPort: server.port,
    database: DATABASE,
    keys,
    neon: {
      adminUrl: tenants.url('template1'),
      seed,
      timings: NEON_TIMINGS,
      ...(guarded ? {} : { limits: { requestsPerMinute: UNLIMITED, requestsPerSecondPerRoute: UNLIMITED } }),
    },
    stripe: {
      seed: seed + 1,
      timings: STRIPE_TIMINGS,
      ...(guarded ? {} : { limits: { requestsPerSecond: UNLIMITED } }),
    },
    supabase: {
      adminUrl: tenants.url('template1'),
      seed: seed + 2,
      timings: PROJECT_TIMINGS,
      ...(guarded ? {} : { limits: { requestsPerMinute: UNLIMITED } }),
    },
    github: { seed: seed + 3 },
    vercel: { seed: seed + 4 },
    n8n: { seed: seed + 5 },
    functionsLog: ({ text }) => void functionLog.push(`[0] ${text}`),
  })
}

function startInstance(parts: Parts, running: Emulators): Promise<Gateway> {
  return startGateway({
    port: 0,
    host: '127.0.0.1',
    database: (role) => parts.server.url(DATABASE, role),
    keys: parts.keys,
    functionsDir: path.join(projectRoot, 'supabase/functions'),
    configFile: path.join(projectRoot, 'supabase/config.toml'),
    functionEnv: environmentOf(running),
    functionsLog: ({ text }) => void parts.functionLog.push(`[1] ${text}`),
  })
}

function pool(
  server: RestartableServer,
  role: string,
  max: number,
  cleanUps: (() => Promise<unknown>)[],
): postgres.Sql {
  const sql = postgres(server.url(DATABASE, role), {
    max,
    onnotice: () => undefined,
    // A connection that is begun while the server crashes may hang in the client until then.
    connect_timeout: 2,
    ...knownArrays,
    backoff: () => 0.1,
    connection: { application_name: 'chaos' },
  })
  cleanUps.push(() => sql.end({ timeout: 1 }))
  return sql
}
