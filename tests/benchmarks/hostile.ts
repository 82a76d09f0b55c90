import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApiClient } from '@neondatabase/api-client'
import type { SupabaseClient } from '@supabase/supabase-js'
import type { Database } from '../../shared/generated/database-types.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { POISON, recordOf, shout } from '../hostile/attacks.ts'
import { apiConnection, strongestConnection } from '../support/tenant-logins.ts'
import type { Benchmark, BenchmarkOptions, Measurement } from './benchmark.ts'
import { type BenchProject, FUNCTION, withProject } from './project.ts'
import { median, percentile } from './statistics.ts'
import { signUpAndWait, untilReady } from './tenants.ts'

/** Between two calls of one attacker. Whoever attacks does so from another machine, and here shares the processors with all others. */
const PAUSE_MS = 250
const OPEN_REQUESTS = 30

/**
 * Somebody's sign-up and somebody's health check while tenants attack at once, each in a way of its own, and with nobody
 * else there. Both alternate within a run, so that what else the machine does meets both.
 */
export const hostile: Benchmark = {
  name: 'hostile',
  summary: 'a sign-up and a health check beside nine hostile tenants',
  defaultRuns: 3,
  aims: [
    { metric: 'bystander_ready_ratio', is: 'at most', value: 2 },
    { metric: 'bystander_health_ratio', is: 'at most', value: 2 },
    { metric: 'processes_lost', is: 'at most', value: 0 },
  ],
  run: async (options) => {
    const rounds = options.quick ? 1 : 5
    const each = options.quick ? 2 : 10
    const needs = {
      spareDatabases: 2 + ATTACKS.length + 2 * options.runs * rounds * each,
      authConnections: 2,
    }
    return withProject(needs, options, async (project) => {
      await signUpAndWait(project, options.signal)
      const bystander = await signUpAsUser(project, options.signal)
      const attackers: Attacker[] = []
      while (attackers.length < ATTACKS.length) attackers.push(await signUpAsUser(project, options.signal))
      await checkHealth(project, bystander.organizationId)
      const before = processesOf(project)
      const runs: Measured[] = []
      while (runs.length < options.runs) {
        options.progress(`run ${runs.length + 1} of ${options.runs}`)
        runs.push(await measure(project, bystander, attackers, { rounds, each }, options))
      }
      const after = new Set(processesOf(project))
      return summarize(runs, before.filter((pid) => !after.has(pid)).length)
    })
  },
}

interface Attacker {
  readonly client: SupabaseClient<Database>
  readonly organizationId: string
  readonly token: string
}

async function signUpAsUser(project: BenchProject, signal: AbortSignal): Promise<Attacker> {
  const client = supabaseClient(project.services.url, project.keys.publishableKey)
  const { data, error } = await client.auth.signUp({
    email: `${crypto.randomUUID()}@example.com`,
    password: crypto.randomUUID(),
  })
  if (error || !data.user || !data.session) throw new Error(`The sign-up failed: ${error?.message}`)
  await untilReady(project.superuser, data.user.id, signal)
  const [row] = await project.superuser<{ id: string }[]>`
    select id from public.organizations where owner_id = ${data.user.id}`
  return { client, organizationId: row?.id ?? '', token: data.session.access_token }
}

/** The numbers of the functions' processes: whoever has died and come again has another one. */
function processesOf({ services }: BenchProject): number[] {
  return services.gateway.functions.processes().map(({ pid }) => pid)
}

async function callFunction(
  project: BenchProject,
  name: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
): Promise<unknown> {
  const reply = await fetch(`${project.services.url}/functions/v1/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return reply.json()
}

/** @returns milliseconds */
async function checkHealth(project: BenchProject, organizationId: string): Promise<number> {
  const startedAt = performance.now()
  const answer = await callFunction(
    project,
    'check-tenant-health',
    { apikey: project.keys.secretKey },
    { organizationId, deep: true },
  )
  if (Object(answer).status !== 'healthy') throw new Error(`The bystander is ${JSON.stringify(answer)}.`)
  return performance.now() - startedAt
}

interface Sample {
  readonly ready: number[]
  readonly health: number[]
}

interface Measured {
  readonly quiet: Sample
  readonly attacked: Sample
  readonly attacks: number
}

async function measure(
  project: BenchProject,
  bystander: Attacker,
  attackers: readonly Attacker[],
  { rounds, each }: { readonly rounds: number; readonly each: number },
  { signal }: BenchmarkOptions,
): Promise<Measured> {
  const quiet: Sample = { ready: [], health: [] }
  const attacked: Sample = { ready: [], health: [] }
  const sample = async (into: Sample) => {
    for (let n = 0; n < each; n++) {
      into.ready.push(await signUpAndWait(project, signal))
      into.health.push(await checkHealth(project, bystander.organizationId))
    }
  }
  let attacks = 0
  for (let round = 0; round < rounds; round++) {
    await sample(quiet)
    const stop = new AbortController()
    const work = attackers.map((attacker, n) => attackUntil(stop.signal, project, attacker, n))
    try {
      await sleep(500)
      await sample(attacked)
    } finally {
      stop.abort()
      for (const count of await Promise.all(work)) attacks += count
    }
  }
  return { quiet, attacked, attacks }
}

/** @returns how often it has attacked */
async function attackUntil(
  signal: AbortSignal,
  project: BenchProject,
  attacker: Attacker,
  n: number,
): Promise<number> {
  const attack = ATTACKS[n % ATTACKS.length]
  if (!attack) return 0
  await using way = await attack(project, attacker)
  let count = 0
  while (!signal.aborted) {
    // Whatever it is answered, also nothing: a refusal is what it hopes to get around.
    await way.again(signal).catch(() => undefined)
    count += 1
    await sleep(PAUSE_MS)
  }
  return count
}

interface Way extends AsyncDisposable {
  again(signal: AbortSignal): Promise<unknown>
}
type Attack = (project: BenchProject, attacker: Attacker) => Promise<Way>

const nothing = async () => undefined

/** In rows, of which the server makes no more than it can send: beside our own processes, it has the same processors here. */
const THREE_HUNDRED_MB = "select generate_series(1, 3000000) as version, repeat('a', 100) as checksum"

/** One for each attacker. */
const ATTACKS: readonly Attack[] = [
  /** Holds the lock of the schema files in the own database, and has everything looked at again. */
  async (project, { organizationId }) => {
    const sql = await strongestConnection(insideOf(project), organizationId)
    await sql`select pg_advisory_lock(7221)`
    return {
      again: (signal) => retry(project, organizationId, signal),
      [Symbol.asyncDispose]: () => sql.end({ timeout: 0 }),
    }
  },
  /** Has functions and views in the place of the catalogue, and the own health checked. */
  async (project, { organizationId }) => {
    await asStrongest(project, organizationId, POISON)
    return {
      again: () =>
        callFunction(
          project,
          'check-tenant-health',
          { apikey: project.keys.secretKey },
          { organizationId, deep: true },
        ),
      [Symbol.asyncDispose]: nothing,
    }
  },
  /** Raises an error of 400,000 letters in our session, and has everything looked at again. */
  async (project, { organizationId }) => {
    await asStrongest(project, organizationId, shout(400_000))
    return {
      again: (signal) => retry(project, organizationId, signal),
      [Symbol.asyncDispose]: nothing,
    }
  },
  /** Answers with 300 MB where we look for the record of the schema files, as if that were the owner's, and has it looked for. */
  async (project, { organizationId }) => {
    const sql = await apiConnection(insideOf(project), organizationId)
    await sql.unsafe(recordOf(THREE_HUNDRED_MB)).finally(() => sql.end({ timeout: 1 }))
    return {
      again: (signal) => retry(project, organizationId, signal),
      [Symbol.asyncDispose]: nothing,
    }
  },
  /** Searches for a text of a megabyte. */
  async (_project, { client }) => ({
    again: async () => client.rpc('search_profiles', { query: 'a'.repeat(1_000_000) }),
    [Symbol.asyncDispose]: nothing,
  }),
  /** Writes texts that are too long, or hold what nobody sees. */
  async (_project, { client, organizationId }) => ({
    again: async () => {
      const write = (name: string) => client.from('organizations').update({ name }).eq('id', organizationId)
      await write('x'.repeat(1_000_000))
      await write(`\u202e${crypto.randomUUID()}`)
    },
    [Symbol.asyncDispose]: nothing,
  }),
  /** Asks for more than an answer may hold. */
  async (project, { token }) => {
    const aliases = Array.from({ length: 1_500 }, (_, n) => `a${n}: isOperator`).join(' ')
    return {
      again: () =>
        callFunction(project, 'graphql', { authorization: `Bearer ${token}` }, { query: `{ ${aliases} }` }),
      [Symbol.asyncDispose]: nothing,
    }
  },
  /** Has the own health checked, and the own provisioning done again, as often as it is let. */
  async (project, { token, organizationId }) => ({
    again: async () => {
      const mine = { authorization: `Bearer ${token}` }
      await callFunction(project, 'check-tenant-health', mine, { organizationId, deep: true })
      await callFunction(project, FUNCTION, mine, { organizationId, services: ['neon', 'stripe'] })
    },
    [Symbol.asyncDispose]: nothing,
  }),
  /** Begins requests and never ends them. */
  async (project, { token }) => {
    const { hostname, port } = new URL(project.services.url)
    const sockets: Socket[] = []
    return {
      again: async () => {
        if (sockets.length >= OPEN_REQUESTS) sockets.shift()?.destroy()
        const socket = connect(Number(port), hostname)
        sockets.push(socket)
        socket.on('error', () => undefined)
        socket.write(
          `POST /functions/v1/${FUNCTION} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{`,
        )
      },
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets) socket.destroy()
      },
    }
  },
]

/** What a connection into a tenant's own database needs. */
function insideOf({ superuser, services }: BenchProject) {
  if (!services.neon) throw new Error('The benchmark needs the emulator of Neon.')
  const neon = createApiClient({ apiKey: 'napi_localemulator', baseURL: services.neon.url })
  return { sql: superuser, neon, neonEmulator: services.neon }
}

/** As the strongest login that a tenant can get. */
async function asStrongest(project: BenchProject, organizationId: string, statements: string): Promise<void> {
  const sql = await strongestConnection(insideOf(project), organizationId)
  await sql.unsafe(statements).finally(() => sql.end({ timeout: 1 }))
}

/** Has everything of the service neon looked at again, and waits for the end of it. */
function retry(project: BenchProject, organizationId: string, signal: AbortSignal): Promise<unknown> {
  const wanted = { organizationId, services: ['neon'], wait: true }
  const reply = callFunction(project, FUNCTION, { apikey: project.keys.secretKey }, wanted)
  return Promise.race([reply, ended(signal)])
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function summarize(runs: readonly Measured[], processesLost: number): Measurement {
  const of = (value: (run: Measured) => number) => median(runs.map(value))
  const ratio = (what: keyof Sample, percent: number) =>
    of(({ quiet, attacked }) => percentile(attacked[what], percent) / percentile(quiet[what], percent))
  const metrics = {
    bystander_ready_ratio: ratio('ready', 50),
    bystander_health_ratio: ratio('health', 50),
    processes_lost: processesLost,
    bystander_ready_p95_ratio: ratio('ready', 95),
    bystander_health_p95_ratio: ratio('health', 95),
    ready_p50_quiet_ms: of(({ quiet }) => percentile(quiet.ready, 50)),
    ready_p50_attacked_ms: of(({ attacked }) => percentile(attacked.ready, 50)),
    health_p50_quiet_ms: of(({ quiet }) => percentile(quiet.health, 50)),
    health_p50_attacked_ms: of(({ attacked }) => percentile(attacked.health, 50)),
    attacks: of(({ attacks }) => attacks),
  }
  const problems = [
    ...(metrics.attacks > 0 ? [] : ['Nobody has attacked.']),
    ...(processesLost > 0 ? [`${processesLost} processes of functions were lost.`] : []),
  ]
  return { metrics, problems }
}
