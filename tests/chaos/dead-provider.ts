import { setTimeout as sleep } from 'node:timers/promises'
import { signUp } from '../support/sign-up.ts'
import type { ChaosOptions } from './chaos.ts'
import type { Check } from './checks.ts'
import { type ChaosProject, withProject } from './project.ts'
import { waitForQuiet } from './storm.ts'
import { makeDatabases } from './tenant-databases.ts'

export interface DeadProviderFigures {
  readonly jobs: number
  readonly deadSeconds: number
  /** Calls that a provider got which answered 503 to each. */
  readonly callsWhileDead: number
  /** See callsAllowed. */
  readonly callsAllowed: number
  readonly callsByOperation: Readonly<Record<string, number>>
  /** Stripe was well all the time. */
  readonly customersMadeMeanwhile: number
  readonly readyAfterwards: number
  readonly secondsUntilReady: number
}

export interface DeadProviderReport extends DeadProviderFigures {
  readonly checks: readonly Check[]
}

/** Columns of provisioning.settings. */
export interface BreakerSettings {
  readonly breaker_failures: number
  readonly breaker_pause_seconds: number
  readonly breaker_pause_cap_seconds: number
  readonly max_running_jobs: number
}

const DEAD_SECONDS = 60

/**
 * With the bundle's own settings, Neon answers 503 to everything for a minute while all the jobs wait for it: how often
 * is it called, and does everything become ready afterwards?
 */
export async function runDeadProvider(options: ChaosOptions): Promise<DeadProviderReport> {
  const { seed, signUps: jobs, signal, progress } = options
  const needs = {
    seed,
    guarded: true,
    defaultSettings: true,
    signal,
    progress,
  }
  return withProject(needs, async (project) => {
    await makeDatabases(project, jobs, progress)
    const settings = await readSettings(project)
    project.neon.faults.add({ action: { type: 'status', status: 503 } })
    const deadAt = performance.now()
    progress(`${jobs} sign-ups; Neon is dead for ${DEAD_SECONDS} s`)
    await Promise.all(Array.from({ length: jobs }, () => signUp(project.auth)))
    await sleep(DEAD_SECONDS * 1_000, undefined, { signal })
    const callsByOperation = project.neon.stats.calls
    const deadSeconds = (performance.now() - deadAt) / 1_000
    const customersMadeMeanwhile = project.stripe.stats.calls.PostCustomers ?? 0
    project.neon.faults.clear()
    progress('Neon answers again')
    const aliveAt = performance.now()
    await waitForQuiet(project, { limitMs: 300_000 + jobs * 1_000, signal, progress })
    return judged({
      jobs,
      deadSeconds: Math.round(deadSeconds),
      callsWhileDead: Object.values(callsByOperation).reduce((sum, count) => sum + count, 0),
      callsAllowed: callsAllowed(settings, deadSeconds),
      callsByOperation,
      customersMadeMeanwhile,
      readyAfterwards: await countReady(project),
      secondsUntilReady: Math.round((performance.now() - aliveAt) / 1_000),
    })
  })
}

/**
 * How often a provider that answers 503 to everything may be called in this time, however many jobs need it, by what
 * provider_limits.sql promises: the failures that open the breaker, what the other jobs at work have under way by then, and
 * one trial after each pause, which is twice as long as the one before it.
 */
export function callsAllowed(settings: BreakerSettings, seconds: number): number {
  let trials = 0
  let pause = settings.breaker_pause_seconds
  for (let passed = pause; passed <= seconds; passed += pause) {
    trials++
    pause = Math.min(settings.breaker_pause_cap_seconds, pause * 2)
  }
  return settings.breaker_failures + (settings.max_running_jobs - 1) + trials
}

/** The figures, with what must hold of them. */
export function judged(figures: DeadProviderFigures): DeadProviderReport {
  const { jobs, callsWhileDead, callsAllowed: allowed, readyAfterwards } = figures
  const unready = jobs - readyAfterwards
  return {
    ...figures,
    checks: [
      check('Neon gets no more calls than its breaker allows', callsWhileDead <= allowed, [
        `${callsWhileDead} calls for ${jobs} jobs, and ${allowed} are allowed`,
      ]),
      check('every sign-up is ready afterwards', unready === 0, [`${unready} of ${jobs} are not`]),
    ],
  }
}

function check(name: string, ok: boolean, offending: readonly string[]): Check {
  return { name, ok, offending: ok ? [] : offending }
}

async function readSettings({ superuser }: ChaosProject): Promise<BreakerSettings> {
  const [settings] = await superuser<BreakerSettings[]>`
    select breaker_failures, breaker_pause_seconds, breaker_pause_cap_seconds, max_running_jobs from provisioning.settings`
  if (!settings) throw new Error('The database has no settings.')
  return settings
}

async function countReady({ superuser }: ChaosProject): Promise<number> {
  const { count } = await superuser`
    select from public.organizations where provisioning_status ->> 'overall' = 'ready'`
  return count
}
