import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import Stripe from 'stripe'
import type { Database } from '../../shared/generated/database-types.ts'
import { services } from '../../shared/services/registry.ts'
import { stripe as stripeService } from '../../shared/services/stripe/index.ts'
import { bold, dim, green, stopRequest } from '../../tools/command.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import { emulatorKey } from '../../tools/emulators.ts'
import { freePorts } from '../../tools/ports.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { isTrouble, logLine } from '../log-line.ts'
import { reachableDirectory } from '../postgres/server.ts'
import { type Stack, startStack } from '../stack.ts'
import { showEndpoint } from './endpoint.ts'
import { showHealth } from './health.ts'
import { showProjectTier } from './project-tier.ts'
import { withTenantDatabase } from './tenant-database.ts'
import { overallStatus, waitUntilReady, watchSteps } from './watch.ts'

type Client = SupabaseClient<Database>

/** About as long as the real services take. */
const NEON_TIMINGS = { createMs: 800, operationMs: 600, wakeMs: 500, readMs: 60 }
const STRIPE_TIMINGS = { requestMs: 200, searchLagMs: 30_000 }
const MORE_PEOPLE = 10
const TIMEOUT_MS = 60_000

export const TIERS = ['database', 'project'] as const
export type Tier = (typeof TIERS)[number]

/** The main job on a stack of its own, from sign-up to a proven tenant; leaves nothing behind, also on Ctrl-C. */
export async function runDemo(tier: Tier): Promise<number> {
  const stop = stopRequest()
  const directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-demo-'))
  try {
    const stack = await startDemoStack(directory, stop)
    try {
      const shown =
        tier === 'project'
          ? showProjectTier(stack, (email, fullName) => signUp(stack, email, fullName))
          : scenes(stack)
      await Promise.race([shown, interruption(stop)])
    } finally {
      console.log(dim('\n… stopping'))
      await (stop.aborted ? stopInSilence(stack) : stack.stop())
    }
  } finally {
    for (const each of [await reachableDirectory(directory), directory])
      await rm(each, { recursive: true, force: true })
  }
  console.log(`${green('✓')} ${bold('Every sign-up became a ready tenant.')} Try it yourself: npm start`)
  return 0
}

/** supabase-js reports requests that are cut off on standard error, with their stack; who interrupts knows. */
async function stopInSilence(stack: Stack): Promise<void> {
  const report = console.error
  console.error = () => undefined
  await stack.stop().finally(() => {
    console.error = report
  })
}

/** Never resolves. @throws Interrupted */
async function interruption(stop: AbortSignal): Promise<never> {
  if (!stop.aborted) await once(stop, 'abort')
  throw stop.reason
}

async function startDemoStack(directory: string, signal: AbortSignal): Promise<Stack> {
  // Never the real services: what a demo makes there would stay, and cost.
  const withoutKeys = Object.fromEntries(services.map(({ secret }) => [secret, undefined]))
  const configuration = { ...(await readConfiguration()), ...withoutKeys }
  return startStack({
    directory,
    // Free ports, so that the demo runs beside `npm start` and whatever else is there.
    configuration: { ...configuration, ...(await freePorts()) },
    neon: { timings: NEON_TIMINGS },
    stripe: { timings: STRIPE_TIMINGS },
    postgresSettings: { fsync: 'off', full_page_writes: 'off' },
    functionsLog: (line) => {
      if (isTrouble(line)) console.log(`  ${logLine(line)}`)
    },
    progress: (what) => console.log(dim(`… ${what}`)),
    signal,
  })
}

async function scenes(stack: Stack): Promise<void> {
  scene('Ann signs up')
  const ann = await signUp(stack, 'ann@example.com', 'Ann Archer')
  await watchSteps(ann, TIMEOUT_MS)

  scene('What Ann sees, under row level security')
  await showOwnStatus(ann)
  await proveIsolation(stack, ann)

  scene('Her own database, opened with the password from Vault')
  await proveDatabase(ann)

  scene('Outside: one Stripe customer, one Neon project')
  await proveProviders(stack)

  scene(`${MORE_PEOPLE} more people sign up at once`)
  await signUpManyAtOnce(stack)

  scene('A doorbell is dropped')
  await loseDoorbell(stack)

  scene("Ann's database falls ill")
  await showHealth(stack, ann)

  scene('Her GraphQL endpoint, opened with an API key')
  await showEndpoint(stack, ann)
}

function scene(title: string): void {
  console.log(`\n${bold(title)}`)
}

async function signUp(stack: Stack, email: string, fullName: string): Promise<Client> {
  const client = supabaseClient(stack.url, stack.keys.publishableKey)
  const { error } = await client.auth.signUp({
    email,
    password: `${crypto.randomUUID()}`,
    options: { data: { full_name: fullName, data_region: 'eu' } },
  })
  if (error) throw new Error(`The sign-up of ${email} failed: ${error.message}`)
  return client
}

async function showOwnStatus(client: Client): Promise<void> {
  const { data, error } = await client.from('organizations').select('*').single()
  if (error) throw new Error(error.message)
  const { changed_at: _changedAt, ...services } = { ...Object(data.provisioning_status) }
  console.log(`  organization   ${data.name} (${data.slug}), plan ${data.plan}, data in ${data.data_region}`)
  console.log(
    `  status         ${Object.entries(services)
      .map(([name, state]) => `${name} ${state}`)
      .join(', ')}`,
  )
  const { data: wallet } = await client.from('wallets').select('*').single()
  console.log(`  wallet         ${wallet?.available_balance} ${wallet?.currency}`)
}

async function proveIsolation(stack: Stack, ann: Client): Promise<void> {
  const stranger = await signUp(stack, 'bob@example.com', 'Bob Stranger')
  const { data: own } = await ann.from('organizations').select('id').single()
  const { data: seen } = await stranger
    .from('organizations')
    .select('id')
    .eq('id', own?.id ?? '')
  const { error } = await stranger.rpc('database_connection', { organization_id: own?.id ?? '' })
  if (seen?.length !== 0 || !error) throw new Error('Bob can see what belongs to Ann!')
  console.log(`  ${green('✓')} Bob, who is signed in too, sees none of it: 0 rows, and "${error.message}"`)
  await waitUntilReady(stranger, TIMEOUT_MS)
}

async function proveDatabase(client: Client): Promise<void> {
  await withTenantDatabase(client, async (sql, address) => {
    const tables =
      await sql`select table_name from information_schema.tables where table_schema = 'public' order by 1`
    console.log(`  ${green('✓')} ${address}`)
    console.log(
      `  ${green('✓')} ${tables.length} tables: ${tables.map((table) => table.table_name).join(', ')}`,
    )
  })
  const { data: audit } = await client
    .from('audit_logs')
    .select('action')
    .eq('action', 'credentials.revealed')
  console.log(`  ${green('✓')} and the audit log says so: ${audit?.[0]?.action}`)
}

async function proveProviders(stack: Stack): Promise<void> {
  const admin = supabaseClient(stack.url, stack.keys.secretKey)
  const { data: organization } = await admin
    .from('organizations')
    .select('*')
    .eq('billing_email', 'ann@example.com')
    .single()
  const { data: database } = await admin
    .from('organization_databases')
    .select('*')
    .eq('organization_id', organization?.id ?? '')
    .single()
  console.log(`  Neon           ${database?.neon_project_id} in ${database?.region}, size ${database?.size}`)
  if (!stack.stripe) {
    console.log(`  Stripe         ${organization?.stripe_customer_id}`)
    return
  }
  const { host, port } = stack.stripe
  const stripe = new Stripe(emulatorKey(stripeService), { host, port, protocol: 'http' })
  const customers = await stripe.customers.list({ email: 'ann@example.com' })
  const [customer] = customers.data
  if (customers.data.length !== 1 || customer?.id !== organization?.stripe_customer_id)
    throw new Error(`Expected one Stripe customer for Ann, found ${customers.data.length}.`)
  console.log(`  Stripe         ${customer?.id}, ${customer?.name}, ${customer?.email}`)
}

async function signUpManyAtOnce(stack: Stack): Promise<void> {
  const startedAt = performance.now()
  const people = await Promise.all(
    Array.from({ length: MORE_PEOPLE }, (_, index) =>
      signUp(stack, `person${index + 1}@example.com`, 'Sam Same'),
    ),
  )
  const durations = await Promise.all(people.map((client) => waitUntilReady(client, TIMEOUT_MS)))
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  console.log(
    `  ${green('✓')} ${durations.length} of ${MORE_PEOPLE} ready after ${seconds(performance.now() - startedAt)} s`,
  )
  const admin = supabaseClient(stack.url, stack.keys.secretKey)
  const { data } = await admin.from('organizations').select('slug').like('slug', 'sam-sames%').order('slug')
  console.log(
    `  ${green('✓')} all called Sam Same, each with a slug of its own: ${data
      ?.slice(0, 2)
      .map(({ slug }) => slug)
      .join(', ')} …`,
  )
}

async function loseDoorbell(stack: Stack): Promise<void> {
  await stack.worker.pauseHttp()
  const client = await signUp(stack, 'cleo@example.com', 'Cleo Unlucky')
  const sql = postgres(stack.databaseUrl('supabase_admin'), { max: 1 })
  const dropped = await sql`delete from net.http_request_queue`.finally(() => sql.end())
  stack.worker.resumeHttp()
  console.log(
    `  ${dropped.count} call from the database to the function was lost. Cleo's tenant is ${await overallStatus(client)}.`,
  )
  console.log(dim('  The sweep, which pg_cron runs every 10 s, will find the job …'))
  const startedAt = performance.now()
  while ((await overallStatus(client)) === 'pending' && performance.now() - startedAt < TIMEOUT_MS)
    await sleep(100)
  console.log(`  ${green('✓')} found after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  await watchSteps(client, TIMEOUT_MS)
}
