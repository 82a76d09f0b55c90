import { supabaseClient } from '../../tools/supabase-client.ts'
import type { Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { median, percentile } from './statistics.ts'
import { readPhases, signUpAndWait, untilReady } from './tenants.ts'

/** Latencies as the real services have them, in milliseconds. */
const NEON_TIMINGS = { createMs: 1000, operationMs: 500, wakeMs: 750, readMs: 100 }
const STRIPE_TIMINGS = { requestMs: 200 }
const AT_ONCE = 5

/**
 * From just before the insert of a user to a tenant that is ready, by the database's clock: first with providers that
 * answer at once, which leaves our own time and that of the local stack, then with latencies like the real providers'.
 */
export const ready: Benchmark = {
  name: 'ready',
  summary: 'from a sign-up to a tenant that is ready',
  defaultRuns: 3,
  aims: [
    { metric: 'ready_p50_ms', is: 'at most', value: 250 },
    { metric: 'ready_p99_ms', is: 'at most', value: 1000 },
    { metric: 'overhead_over_critical_path_percent', is: 'at most', value: 10 },
    { metric: 'overhead_over_critical_path_percent_5_at_once', is: 'at most', value: 10 },
  ],
  run: async (options) => {
    const amounts = options.quick
      ? { quick: 5, gateway: 2, slow: 1, rounds: 1 }
      : { quick: 200, gateway: 20, slow: 5, rounds: 3 }
    const perRun = amounts.quick + amounts.gateway + amounts.slow + amounts.rounds * AT_ONCE
    const needs = { spareDatabases: 1 + options.runs * perRun, authConnections: AT_ONCE }
    return withProject(needs, options, async (project) => {
      await signUpAndWait(project, options.signal)
      const runs: Metrics[] = []
      while (runs.length < options.runs) {
        options.progress(`run ${runs.length + 1} of ${options.runs}`)
        runs.push({
          ...(await measureAtOnce(project, amounts, options)),
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
