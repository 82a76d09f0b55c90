import { setTimeout as sleep } from 'node:timers/promises'
import { signUp } from '../support/sign-up.ts'
import type { ChaosOptions } from './chaos.ts'
import { type ChaosProject, withProject } from './project.ts'
import { waitForQuiet } from './storm.ts'
import { makeDatabases } from './tenant-databases.ts'

export interface DeadProviderReport {
  readonly jobs: number
  readonly deadSeconds: number
  /** Calls that a provider got which answered 503 to each. */
  readonly callsWhileDead: number
  readonly callsByOperation: Readonly<Record<string, number>>
  /** Stripe was well all the time. */
  readonly customersMadeMeanwhile: number
  readonly readyAfterwards: number
  readonly secondsUntilReady: number
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
    project.neon.faults.add({ action: { type: 'status', status: 503 } })
    progress(`${jobs} sign-ups; Neon is dead for ${DEAD_SECONDS} s`)
    await Promise.all(Array.from({ length: jobs }, () => signUp(project.auth)))
    await sleep(DEAD_SECONDS * 1_000, undefined, { signal })
    const callsByOperation = project.neon.stats.calls
    const customersMadeMeanwhile = project.stripe.stats.calls.PostCustomers ?? 0
    project.neon.faults.clear()
    progress('Neon answers again')
    const aliveAt = performance.now()
    await waitForQuiet(project, { limitMs: 300_000 + jobs * 1_000, signal, progress })
    return {
      jobs,
      deadSeconds: DEAD_SECONDS,
      callsWhileDead: Object.values(callsByOperation).reduce((sum, count) => sum + count, 0),
      callsByOperation,
      customersMadeMeanwhile,
      readyAfterwards: await countReady(project),
      secondsUntilReady: Math.round((performance.now() - aliveAt) / 1_000),
    }
  })
}

async function countReady({ superuser }: ChaosProject): Promise<number> {
  const { count } = await superuser`
    select from public.organizations where provisioning_status ->> 'overall' = 'ready'`
  return count
}
