import { createHmac } from 'node:crypto'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Api, createApiClient, type ProjectListItem } from '@neondatabase/api-client'
import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import Stripe from 'stripe'
import { inject } from 'vitest'
import type { N8nEmulator, N8nEmulatorOptions } from '../../local/emulators/n8n/emulator.ts'
import type { NeonEmulator, NeonEmulatorOptions } from '../../local/emulators/neon/emulator.ts'
import type { StripeEmulator, StripeEmulatorOptions } from '../../local/emulators/stripe/emulator.ts'
import type { FunctionLogLine } from '../../local/gateway/functions/processes.ts'
import { type Gateway, startGateway } from '../../local/gateway/gateway.ts'
import { createProjectKeys, type ProjectKeys } from '../../local/gateway/keys.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { type ProjectServices, startProjectServices } from '../../local/project-services.ts'
import type { Database } from '../../shared/generated/database-types.ts'
import { projectRoot } from '../../tools/project.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { AUTH_SERVER } from './auth-servers.ts'
import { createTestDatabase, SEARCH_PATH, type TestDatabase } from './database.ts'
import { makeDue, openProviders, ringForDueJobs } from './pass-time.ts'

export const FUNCTION = 'provision-tenant-resources'

/** The keys that local/project-services.ts gives to the functions and to the emulators. */
export const STRIPE_KEY = 'sk_test_localemulator'
const NEON_KEY = 'napi_localemulator'
export const N8N_KEY = 'n8n_api_localemulator'

/** Retries come soon, and no circuit breaker opens: its pauses would hide what a test looks at. */
const QUICK_SETTINGS = { backoff_base_seconds: 0.05, breaker_failures: 1_000 }

export interface TestProjectOptions {
  readonly neon?: Partial<NeonEmulatorOptions>
  readonly stripe?: Partial<StripeEmulatorOptions>
  readonly n8n?: Partial<N8nEmulatorOptions>
  /** Columns of provisioning.settings; QUICK_SETTINGS apply where these say nothing else. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** Whether pg_cron sweeps every ten seconds. Default false: a test rings by hand. */
  readonly cron?: boolean
}

export interface SignedUp {
  readonly client: SupabaseClient<Database>
  readonly userId: string
  readonly email: string
  readonly organizationId: string
  readonly jobId: string
  readonly accessToken: string
}

export interface StepState {
  readonly status: string
  readonly attempts: number
  readonly nextAttemptAt: Date | null
  readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean } | null
}

/** How the newest provision job of an organization stands. */
export interface Provisioning {
  readonly jobId: string
  readonly overall: string
  readonly services: Readonly<Record<string, string>>
  readonly status: string
  readonly attempts: number
  readonly nextAttemptAt: Date
  readonly error: { readonly code: string; readonly message: string; readonly step?: string } | null
  readonly steps: Readonly<Record<string, StepState>>
}

export interface FunctionReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Undefined when the body is not JSON. */
  readonly body: Record<string, unknown> | undefined
}

export interface FunctionCall {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** A string is sent as it is; anything else as JSON. */
  readonly body?: unknown
  /** Default: the project's own gateway. */
  readonly gateway?: Gateway
}

/**
 * A whole project with a database, services and provider accounts of its own; with the real Auth server that AUTH_SERVER names and
 * through the real PgBouncer that PGBOUNCER names, if they name one.
 */
export interface TestProject extends AsyncDisposable {
  readonly services: ProjectServices
  readonly neonEmulator: NeonEmulator
  readonly stripeEmulator: StripeEmulator
  readonly n8nEmulator: N8nEmulator
  readonly keys: ProjectKeys
  /** As `postgres`, which owns everything of ours. */
  readonly sql: postgres.Sql
  readonly superuser: postgres.Sql
  /** With the secret key. */
  readonly admin: SupabaseClient<Database>
  /** The vendors' own clients, on the emulators. */
  readonly neon: Api<unknown>
  readonly stripe: Stripe
  /** What the functions wrote to their log. */
  readonly log: readonly FunctionLogLine[]
  signUp(metadata?: Readonly<Record<string, string>>): Promise<SignedUp>
  /** A signed-in user's own organization and newest provision job. */
  describeUser(client: SupabaseClient<Database>): Promise<SignedUp>
  provisioning(organizationId: string): Promise<Provisioning>
  /** @throws Error with the job's state when it is not reached in time */
  waitFor(organizationId: string, overall?: string, timeoutMs?: number): Promise<Provisioning>
  /** The same for one step, by its status. */
  waitForStep(organizationId: string, step: string, status: string): Promise<StepState>
  /**
   * As if a long time had passed for one organization, or for all: whatever waits, for a retry, a grace period, stopped workers or
   * a provider, is due now, and its workers are rung. What a worker puts off later waits again.
   */
  passTime(organizationId?: string): Promise<void>
  /** Lets time pass until the probe answers. @throws Error that names what was waited for */
  whileTimePasses<T>(
    what: string,
    probe: () => Promise<T | undefined> | T | undefined,
    organizationId?: string,
  ): Promise<T>
  sweep(): Promise<void>
  /** Lets the leases of running jobs run out, as if their workers had been silent for long, and the sweep find them. */
  expireLeases(): Promise<void>
  /** Does something while no doorbell leaves the database; they leave afterwards. */
  whileHeld<T>(work: () => Promise<T>): Promise<T>
  call(call: FunctionCall): Promise<FunctionReply>
  /** Asks as the project's backend, with the secret key. */
  request(body: Readonly<Record<string, unknown>>): Promise<FunctionReply>
  /** What ring_doorbell sends; another one each time. */
  signDoorbell(expiresAt?: number): Promise<Record<string, unknown>>
  /** Everything at the providers that carries exactly this organization's id. */
  resources(organizationId: string): Promise<{ projects: ProjectListItem[]; customers: Stripe.Customer[] }>
  /**
   * Another gateway, with function processes of its own, on the same database and providers. The variables replace
   * those of the functions; undefined removes one.
   */
  startSecondGateway(functionEnv?: Readonly<Record<string, string | undefined>>): Promise<Gateway>
  databaseUrl(role?: string): string
  stop(): Promise<void>
}

/** Clones a migrated database and starts everything around it. Stops what had started when a part fails. */
export async function startTestProject(options: TestProjectOptions = {}): Promise<TestProject> {
  const cleanUps: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  }
  try {
    const database = await createTestDatabase('migrated', AUTH_SERVER !== undefined)
    cleanUps.push(() => database.drop())
    const sql = pool(database.url(), 8, cleanUps)
    const superuser = pool(database.url(SUPERUSER), 2, cleanUps)
    await adoptCronJobs(superuser, database.name)
    const keys = await createProjectKeys()
    const log: FunctionLogLine[] = []
    const services = await startProjectServices(serviceOptions(options, database, keys, log))
    cleanUps.push(() => services.stop({ dropTenants: true }))
    if (!options.cron) await services.worker.pauseCron()
    await configure(sql, services.url, { ...QUICK_SETTINGS, ...options.settings })
    return assemble({ database, sql, superuser, keys, log, services, cleanUps }, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** Of one thing that is waited for: a busy machine needs many times what one does that does nothing else. */
const WAIT_MS = 50_000

/** Polls until the probe answers. @throws Error that names what was waited for */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = WAIT_MS,
): Promise<T> {
  const startedAt = Date.now()
  for (;;) {
    const found = await probe()
    if (found !== undefined) return found
    const waitedMs = Date.now() - startedAt
    if (waitedMs > timeoutMs) throw new Error(`in ${timeoutMs / 1000} s there was no ${what}`)
    // What takes long may be noticed a little later; who asks without end takes the processor from those that do it.
    await sleep(waitedMs < 300 ? 15 : waitedMs < 1_000 ? 40 : 80)
  }
}

function pool(url: string, max: number, cleanUps: (() => Promise<unknown>)[]): postgres.Sql {
  const sql = postgres(url, {
    max,
    onnotice: () => undefined,
    connection: { application_name: 'tests', search_path: SEARCH_PATH },
  })
  cleanUps.push(() => sql.end({ timeout: 1 }))
  return sql
}

function serviceOptions(
  options: TestProjectOptions,
  database: TestDatabase,
  keys: ProjectKeys,
  log: FunctionLogLine[],
) {
  const unlimited = Number.POSITIVE_INFINITY
  return {
    postgresPort: inject('postgresPort'),
    database: database.name,
    keys,
    neon: {
      ...options.neon,
      limits: { requestsPerMinute: unlimited, requestsPerSecondPerRoute: unlimited, ...options.neon?.limits },
    },
    stripe: { ...options.stripe, limits: { requestsPerSecond: unlimited, ...options.stripe?.limits } },
    n8n: options.n8n ?? {},
    // The least that pgcrypto takes: hundreds of sign-ups spend more time on their passwords than on anything else.
    auth: { bcryptCost: 4 },
    functionsLog: (line: FunctionLogLine) => void log.push(line),
    ...(AUTH_SERVER === undefined ? {} : { authServer: AUTH_SERVER }),
    ...poolerOptions(),
  }
}

function poolerOptions(): { readonly poolerPort?: number } {
  const poolerPort = inject('poolerPort')
  return poolerPort === undefined ? {} : { poolerPort }
}

/** pg_cron notes the database in which a job was scheduled, and a clone's jobs still name the template. */
async function adoptCronJobs(superuser: postgres.Sql, database: string): Promise<void> {
  await superuser`update cron.job set database = ${database}`
}

async function configure(
  sql: postgres.Sql,
  url: string,
  settings: Readonly<Record<string, string | number>>,
): Promise<void> {
  await sql`
    select vault.update_secret(id, ${`${url}/functions/v1`}) from vault.secrets where name = 'functions_base_url'`
  // A worker that looks again by itself would find what tests hold back from it; so each sign-up rings instead.
  const prompt = { worker_linger_milliseconds: 0, doorbell_interval_milliseconds: 0 }
  await sql`update provisioning.settings set ${sql({ ...prompt, ...settings })}`
  // The emulators have no limits here either, unless a test sets both.
  await sql`update provisioning.rate_limits set burst = 1000000, per_second = 1000000`
}

interface Parts {
  readonly database: TestDatabase
  readonly sql: postgres.Sql
  readonly superuser: postgres.Sql
  readonly keys: ProjectKeys
  readonly log: readonly FunctionLogLine[]
  readonly services: ProjectServices
  readonly cleanUps: (() => Promise<unknown>)[]
}

function assemble(parts: Parts, stop: () => Promise<void>): TestProject {
  const { database, sql, superuser, keys, log, services } = parts
  const { neon: neonEmulator, stripe: stripeEmulator, n8n: n8nEmulator } = services
  if (!neonEmulator || !stripeEmulator || !n8nEmulator) throw new Error('a test project runs on emulators')
  const { url } = services
  const neon = createApiClient({ apiKey: NEON_KEY, baseURL: neonEmulator.url })
  const { host, port } = stripeEmulator
  const stripe = new Stripe(STRIPE_KEY, { host, port, protocol: 'http', maxNetworkRetries: 0 })
  const call = (wanted: FunctionCall) => callFunction(wanted, wanted.gateway?.url ?? url)
  const provisioning = (organizationId: string) => readProvisioning(sql, organizationId)
  const sign = createDoorbellSigner(sql)
  const sweep = async () => void (await sql`select provisioning.sweep()`)
  const passTime = async (organizationId?: string) => {
    await openProviders(sql)
    await makeDue(sql, organizationId)
    await ringForDueJobs(sql)
  }
  return {
    services,
    neonEmulator,
    stripeEmulator,
    n8nEmulator,
    keys,
    sql,
    superuser,
    admin: supabaseClient(url, keys.secretKey),
    neon,
    stripe,
    log,
    signUp: (metadata) => signUp(sql, supabaseClient(url, keys.publishableKey), metadata),
    describeUser: (client) => describeUser(sql, client),
    provisioning,
    waitFor: (organizationId, overall = 'ready', timeoutMs = WAIT_MS) =>
      waitForOverall(sql, organizationId, overall, timeoutMs),
    waitForStep: (organizationId, step, status) =>
      until(`step ${step} in status ${status}`, async () => {
        const found = (await provisioning(organizationId)).steps[step]
        return found?.status === status ? found : undefined
      }),
    sweep,
    passTime,
    whileTimePasses: (what, probe, organizationId) =>
      until(what, async () => {
        const found = await probe()
        if (found !== undefined) return found
        await passTime(organizationId)
        // A worker that has been rung needs a moment; who asks without end takes the processor from it.
        await sleep(100)
        return undefined
      }),
    expireLeases: async () => {
      await sql`update provisioning.job_leases set expires_at = now() - interval '1 second'`
      await sweep()
    },
    whileHeld: async (work) => {
      await services.worker.pauseHttp()
      return work().finally(() => services.worker.resumeHttp())
    },
    call,
    request: (body) => call({ body, headers: { apikey: keys.secretKey } }),
    signDoorbell: sign,
    resources: (organizationId) => findResources(neon, stripe, organizationId),
    startSecondGateway: (functionEnv) => startSecondGateway(parts, functionEnv),
    databaseUrl: (role) => database.url(role),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function signUp(
  sql: postgres.Sql,
  client: SupabaseClient<Database>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<SignedUp> {
  const email = `${crypto.randomUUID()}@example.com`
  const { error } = await client.auth.signUp({
    email,
    password: 'correct horse battery staple',
    options: { data: { ...metadata } },
  })
  if (error) throw error
  return describeUser(sql, client)
}

async function describeUser(sql: postgres.Sql, client: SupabaseClient<Database>): Promise<SignedUp> {
  const { session } = (await client.auth.getSession()).data
  if (!session) throw new Error('the client is not signed in')
  const [row] = await sql<{ organizationId: string; jobId: string }[]>`
    select p.organization_id as "organizationId", j.id as "jobId" from public.profiles p
    join public.provisioning_jobs j on j.organization_id = p.organization_id and j.kind = 'provision'
    where p.id = ${session.user.id} order by j.created_at desc limit 1`
  if (!row) throw new Error('the user has no organization with a provision job')
  const { access_token: accessToken, user } = session
  return { client, userId: user.id, email: user.email ?? '', accessToken, ...row }
}

async function readProvisioning(sql: postgres.Sql, organizationId: string): Promise<Provisioning> {
  const [row] = await sql<(Omit<Provisioning, 'steps'> & { stepList: (StepState & { step: string })[] })[]>`
    select j.id as "jobId", o.provisioning_status ->> 'overall' as overall, o.provisioning_status as services,
      j.status, j.attempts, j.next_attempt_at as "nextAttemptAt", j.last_error as error,
      (select jsonb_agg(jsonb_build_object('step', s.step, 'status', s.status, 'attempts', s.attempts,
        'nextAttemptAt', s.next_attempt_at, 'error', s.error)) from provisioning.steps_of(j.id) s
      ) as "stepList"
    from public.organizations o join public.provisioning_jobs j on j.organization_id = o.id and j.kind = 'provision'
    where o.id = ${organizationId} order by j.created_at desc limit 1`
  if (!row) throw new Error(`organization ${organizationId} has no provision job`)
  const { stepList, ...job } = row
  const steps = stepList.map(({ step, nextAttemptAt, ...state }) => [
    step,
    { ...state, nextAttemptAt: nextAttemptAt === null ? null : new Date(nextAttemptAt) },
  ])
  return { ...job, steps: Object.fromEntries(steps) }
}

async function waitForOverall(
  sql: postgres.Sql,
  organizationId: string,
  overall: string,
  timeoutMs: number,
): Promise<Provisioning> {
  let state: Provisioning | undefined
  const reached = async () => {
    state = await readProvisioning(sql, organizationId)
    return state.overall === overall ? state : undefined
  }
  return until(`${overall} organization`, reached, timeoutMs).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(state, null, 2)}`)
  })
}

async function callFunction(call: FunctionCall, url: string): Promise<FunctionReply> {
  const { method = 'POST', headers = {}, body } = call
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const reply = await fetch(`${url}/functions/v1/${FUNCTION}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(text === undefined ? {} : { body: text }),
  })
  const replied = await reply.text()
  return { status: reply.status, headers: reply.headers, text: replied, body: parseObject(replied) }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function createDoorbellSigner(sql: postgres.Sql): TestProject['signDoorbell'] {
  return async (expiresAt = Date.now() + 60_000) => {
    const ringId = crypto.randomUUID()
    const [row] = await sql<{ key: string }[]>`
      select provisioning.vault_secret('provisioning_doorbell_key') as key`
    const signature = createHmac('sha256', row?.key ?? '')
      .update(`${ringId}.${expiresAt}`)
      .digest('hex')
    return { ringId, expiresAt, signature }
  }
}

async function findResources(neon: Api<unknown>, stripe: Stripe, organizationId: string) {
  const { data } = await neon.listProjects({ search: organizationId, limit: 400 })
  const customers: Stripe.Customer[] = []
  for await (const customer of stripe.customers.list({ limit: 100 }))
    if (customer.metadata.organization_id === organizationId) customers.push(customer)
  return { projects: data.projects.filter(({ name }) => name === `org-${organizationId}`), customers }
}

async function startSecondGateway(
  { database, keys, services, cleanUps }: Parts,
  functionEnv: Readonly<Record<string, string | undefined>> = {},
): Promise<Gateway> {
  const { poolerPort } = poolerOptions()
  const variables: Record<string, string | undefined> = {
    ...(poolerPort === undefined
      ? {}
      : { DATABASE_POOLER_URL: databaseUrl(poolerPort, database.name, 'postgres') }),
    STRIPE_SECRET_KEY: STRIPE_KEY,
    STRIPE_API_URL: services.stripe?.url,
    NEON_API_KEY: NEON_KEY,
    NEON_API_URL: services.neon?.url,
    N8N_API_KEY: N8N_KEY,
    N8N_URL: services.n8n?.url,
    ...functionEnv,
  }
  const gateway = await startGateway({
    port: 0,
    host: '127.0.0.1',
    database: (role) => databaseUrl(inject('postgresPort'), database.name, role),
    keys,
    functionsDir: path.join(projectRoot, 'supabase/functions'),
    configFile: path.join(projectRoot, 'supabase/config.toml'),
    functionEnv: Object.fromEntries(
      Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  })
  cleanUps.push(() => gateway.stop())
  return gateway
}
