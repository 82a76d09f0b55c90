import { setTimeout as sleep } from 'node:timers/promises'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { signUp } from '../support/sign-up.ts'
import type { Aim, Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { median, percentile } from './statistics.ts'
import { readPhases, signUpAndWait, untilReady } from './tenants.ts'

/** Latencies as the real services have them, in milliseconds. */
const NEON_TIMINGS = { createMs: 1000, operationMs: 500, wakeMs: 750, readMs: 100 }
const STRIPE_TIMINGS = { requestMs: 200 }
const AT_ONCE = 5
/** Shorter than the time for which one doorbell stands for all who follow. */
const APART_MS = 100

/**
 * From just before the insert of a user to a tenant that is ready, by the database's clock: first with providers that
 * answer at once, which leaves our own time and that of the local stack, also in pairs and beside transactions that are rolled
 * back or stay open, then with latencies like the real providers'.
 */
export const ready: Benchmark = {
  name: 'ready',
  summary: 'from a sign-up to a tenant that is ready',
  defaultRuns: 3,
  aims: [
    ...['', '_100_ms_apart', '_beside_rollbacks', '_beside_open_import'].flatMap((where): Aim[] => [
      { metric: `ready_p50_ms${where}`, is: 'at most', value: 50 },
      { metric: `ready_p99_ms${where}`, is: 'at most', value: 250 },
    ]),
    { metric: 'overhead_over_critical_path_percent', is: 'at most', value: 10 },
    { metric: 'overhead_over_critical_path_percent_5_at_once', is: 'at most', value: 10 },
  ],
  run: async (options) => {
    const amounts = options.quick
      ? { quick: 5, gateway: 2, slow: 1, rounds: 1 }
      : { quick: 200, gateway: 20, slow: 5, rounds: 3 }
    // The scenarios with company take half as many sign-ups each.
    const perRun = 3 * amounts.quick + amounts.gateway + amounts.slow + amounts.rounds * AT_ONCE
    const needs = { spareDatabases: 1 + options.runs * perRun, authConnections: AT_ONCE }
    return withProject(needs, options, async (project) => {
      await signUpAndWait(project, options.signal)
      const runs: Metrics[] = []
      while (runs.length < options.runs) {
        options.progress(`run ${runs.length + 1} of ${options.runs}`)
        runs.push({
          ...(await measureAtOnce(project, amounts, options)),
          ...(await measureInCompany(project, amounts, options)),
          ...(await measureWithLatencies(project, amounts, options)),
        })
      }
      return { metrics: mediansOf(runs) }
    })
  },
}

interface Amounts {
  /** Sign-ups one after another, providers answering at once. */
  readonly quick: number
  readonly gateway: number
  /** Sign-ups one after another with the providers' latencies. */
  readonly slow: number
  readonly rounds: number
}

async function measureAtOnce(
  project: BenchProject,
  amounts: Amounts,
  options: BenchmarkOptions,
): Promise<Metrics> {
  setLatencies(project, false)
  const inserted = await oneAfterAnother(amounts.quick, () => signUpAndWait(project, options.signal))
  await tellPhases(project, amounts.quick, 'providers that answer at once', options)
  const client = supabaseClient(project.services.url, project.keys.publishableKey)
  const registered = await oneAfterAnother(amounts.gateway, async () => {
    const sentAt = performance.now()
    const { data, error } = await client.auth.signUp({
      email: `${crypto.randomUUID()}@example.com`,
      password: crypto.randomUUID(),
    })
    if (error || !data.user) throw new Error(`The sign-up through the gateway failed: ${error?.message}`)
    // Clocks of two processes are not compared: what the call took, and what came after the user's own row.
    const repliedAfterMs = performance.now() - sentAt
    const readyMs = await untilReady(project.superuser, data.user.id, options.signal)
    return { repliedAfterMs, readyMs }
  })
  return {
    ready_p50_ms: percentile(inserted, 50),
    ready_p99_ms: percentile(inserted, 99),
    gateway_sign_up_reply_p50_ms: percentile(
      registered.map(({ repliedAfterMs }) => repliedAfterMs),
      50,
    ),
    gateway_ready_p50_ms: percentile(
      registered.map(({ readyMs }) => readyMs),
      50,
    ),
  }
}

/** Sign-ups whose doorbell another one has rung, or might be in the way of. */
async function measureInCompany(
  project: BenchProject,
  amounts: Amounts,
  options: BenchmarkOptions,
): Promise<Metrics> {
  const count = Math.ceil(amounts.quick / 2)
  const one = () => signUpAndWait(project, options.signal)
  // The second of a pair relies on the doorbell of the first, whose worker may just have ended.
  const pairs = await oneAfterAnother(Math.ceil(count / 2), async () => {
    const first = one()
    const second = sleep(APART_MS).then(one)
    const both = await Promise.all([first, second])
    await sleep(Math.random() * 2 * APART_MS)
    return both
  })
  const rollbacks = await beside(
    () => rolledBackSignUp(project),
    () => oneAfterAnother(count, one),
  )
  const openImport = await besideOpenImport(project, () => oneAfterAnother(count, one))
  return {
    ...percentiles('_100_ms_apart', pairs.flat()),
    ...percentiles('_beside_rollbacks', rollbacks),
    ...percentiles('_beside_open_import', openImport),
  }
}

function percentiles(where: string, values: readonly number[]): Metrics {
  return {
    [`ready_p50_ms${where}`]: percentile(values, 50),
    [`ready_p99_ms${where}`]: percentile(values, 99),
  }
}

async function rolledBackSignUp({ auth }: BenchProject): Promise<void> {
  await auth
    .begin(async (tx) => {
      await signUp(tx)
      throw new RolledBack()
    })
    .catch((error: unknown) => {
      if (!(error instanceof RolledBack)) throw error
    })
  await sleep(APART_MS / 2)
}

class RolledBack extends Error {}

/** Repeats the company's part as long as the work lasts. */
async function beside<T>(company: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  let over = false
  const accompany = async () => {
    while (!over) await company()
  }
  const [result] = await Promise.all([
    work().finally(() => {
      over = true
    }),
    accompany(),
  ])
  return result
}

/** One transaction in which somebody signs up every now and then, rolled back when the work is done. */
async function besideOpenImport<T>({ auth }: BenchProject, work: () => Promise<T>): Promise<T> {
  const outcome: { result?: T } = {}
  await auth
    .begin(async (tx) => {
      outcome.result = await beside(async () => {
        await signUp(tx)
        await sleep(APART_MS / 2)
      }, work)
      throw new RolledBack()
    })
    .catch((error: unknown) => {
      if (!(error instanceof RolledBack)) throw error
    })
  if (outcome.result === undefined) throw new Error('Nothing was measured beside the import.')
  return outcome.result
}

async function measureWithLatencies(
  project: BenchProject,
  amounts: Amounts,
  options: BenchmarkOptions,
): Promise<Metrics> {
  setLatencies(project, true)
  const wakeUpsBefore = project.services.neon?.stats.wakeUps ?? 0
  const alone = await oneAfterAnother(amounts.slow, () => signUpAndWait(project, options.signal))
  await tellPhases(project, amounts.slow, 'latencies like the real providers’', options)
  const atOnce = await oneAfterAnother(amounts.rounds, () =>
    Promise.all(Array.from({ length: AT_ONCE }, () => signUpAndWait(project, options.signal))),
  )
  const together = atOnce.flat()
  await tellPhases(project, together.length, `the same, ${AT_ONCE} at once`, options)
  const wakeUps = (project.services.neon?.stats.wakeUps ?? 0) - wakeUpsBefore
  const criticalMs = criticalPathMs(wakeUps / (alone.length + together.length))
  const overhead = (values: readonly number[]) => (median(values) / criticalMs - 1) * 100
  return {
    critical_path_ms: criticalMs,
    ready_with_latencies_p50_ms: median(alone),
    overhead_over_critical_path_percent: overhead(alone),
    overhead_over_critical_path_percent_5_at_once: overhead(together),
  }
}

/**
 * What no order of the calls can avoid, in milliseconds: the longer of
 *   Neon:   one lookup by name + the creation + its operations + one wake for each that happened per tenant,
 *   Stripe: one lookup + the creation, which run beside it.
 * The emulator's compute is awake when the operations that created it have ended, so that as a rule no wake is added.
 * Asking whether the operations have ended counts as overhead: a connection could wait for the compute instead.
 */
export function criticalPathMs(wakeUpsPerTenant: number): number {
  const { readMs, createMs, operationMs, wakeMs } = NEON_TIMINGS
  const neonMs = readMs + createMs + operationMs + wakeUpsPerTenant * wakeMs
  const stripeMs = 2 * STRIPE_TIMINGS.requestMs
  return Math.max(neonMs, stripeMs)
}

function setLatencies({ services: { neon, stripe } }: BenchProject, realistic: boolean): void {
  neon?.setTimings(realistic ? NEON_TIMINGS : { createMs: 0, operationMs: 0, wakeMs: 0, readMs: 0 })
  stripe?.setTimings(realistic ? STRIPE_TIMINGS : { requestMs: 0 })
}

async function oneAfterAnother<T>(count: number, measure: () => Promise<T>): Promise<T[]> {
  const results: T[] = []
  while (results.length < count) results.push(await measure())
  return results
}

async function tellPhases(
  { superuser }: BenchProject,
  tenants: number,
  when: string,
  { progress }: BenchmarkOptions,
): Promise<void> {
  const phases = await readPhases(superuser, tenants)
  progress(`${when}: ${phases.map(({ phase, ms }) => `${phase} ${ms.toFixed(1)} ms`).join(', ')}`)
}

function mediansOf(runs: readonly Metrics[]): Metrics {
  const names = Object.keys(runs[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]))
}
