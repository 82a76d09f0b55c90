import { setTimeout as sleep } from 'node:timers/promises'
import { CERTAIN } from './faults.ts'
import { buryWorkers, type Injector, inject } from './injections.ts'
import { insist } from './insist.ts'
import { expireSilentLeases } from './leases.ts'
import type { Injection, Plan } from './plan.ts'
import { type ChaosProject, FUNCTION } from './project.ts'
import { signEverybodyUp } from './sign-ups.ts'
import type { Tally } from './tally.ts'

const POLL_MS = 500

/** What a storm adds to. */
export interface StormTallies {
  /** What was done to the system, and how often. */
  readonly injected: Tally
  /** How the sign-ups went for those who signed up. */
  readonly signUps: Tally
}

/**
 * Signs everybody up while everything goes wrong that the plan holds; ends with everything in working order.
 * @returns the ids of the users whose sign-up was committed
 */
export async function runStorm(
  project: ChaosProject,
  plan: Plan,
  { injected, signUps }: StormTallies,
  { signal, progress }: { signal: AbortSignal; progress: (what: string) => void },
): Promise<readonly string[]> {
  const injector = { project, tally: injected, signal, stopped: new Set<number>(), progress }
  for (const { provider, rule } of CERTAIN[project.tier]) project[provider].faults.add(rule)
  const lanes = Promise.allSettled(plan.lanes.map((lane) => runLane(injector, lane)))
  try {
    const userIds = await signEverybodyUp(project, plan, signUps, signal)
    await lanes
    signal.throwIfAborted()
    await calm(project, signal)
    return userIds
  } finally {
    // Also when somebody stopped it: nothing may be restarted while it is being removed.
    await lanes
  }
}

async function runLane(injector: Injector, lane: readonly Injection[]): Promise<void> {
  const startedAt = performance.now()
  for (const injection of lane) {
    const early = injection.atMs - (performance.now() - startedAt)
    if (early > 0) await sleep(early, undefined, { signal: injector.signal })
    // Statements of injections meet the crashes of others: what could not be done was not done.
    await inject(injector, injection).catch((error: unknown) => {
      injector.signal.throwIfAborted()
      injector.tally.add(`not done, or not wholly: ${injection.type}`)
      injector.progress(`${injection.type}: ${String(error)}`)
    })
  }
}

/** Everything works again, and nobody is left who remembers anything: what is needed must be in the rows. */
async function calm(project: ChaosProject, signal: AbortSignal): Promise<void> {
  const { services, instances } = project
  // Faults end by themselves: each was taken back, or is used up.
  services.worker.resumeCron()
  for (const { functions } of instances) functions.kill(FUNCTION, 'SIGKILL')
  await buryWorkers(project, signal)
  services.worker.resumeHttp()
}

interface Unfinished {
  readonly jobs: number
  readonly signUps: number
  /** How one of the open jobs stands. */
  readonly example: string | null
}

/**
 * Waits until no job is open and no sign-up is left for repair. Leases of dead workers are not waited out.
 * @returns false when that took longer than the limit
 */
export async function waitForQuiet(
  { superuser }: ChaosProject,
  { limitMs, signal, progress }: { limitMs: number; signal: AbortSignal; progress: (what: string) => void },
): Promise<boolean> {
  let toldAt = performance.now()
  for (const startedAt = toldAt; performance.now() - startedAt < limitMs; ) {
    const { jobs, signUps, example } = await insist(() => countUnfinished(superuser), signal)
    if (jobs === 0 && signUps === 0) return true
    if (performance.now() - toldAt > 5_000) {
      toldAt = performance.now()
      progress(`${jobs} jobs and ${signUps} sign-ups are unfinished${example ? `; ${example}` : ''}`)
    }
    await insist(() => expireSilentLeases(superuser), signal)
    await sleep(POLL_MS, undefined, { signal })
  }
  return false
}

async function countUnfinished(sql: ChaosProject['superuser']): Promise<Unfinished> {
  const [row] = await sql<Unfinished[]>`
    select (select count(*)::int from public.provisioning_jobs where status in ('queued', 'running')) as jobs,
      (select count(*)::int from provisioning.sign_up_failures) as "signUps",
      (select format('job %s is %s, due in %s s, %s', id, status,
         round(extract(epoch from coalesce(l.expires_at, next_attempt_at) - now())), last_error)
       from public.provisioning_jobs left join provisioning.job_leases l on l.job_id = id where status in ('queued', 'running') order by created_at limit 1) as example`
  if (!row) throw new Error('The jobs could not be counted.')
  return row
}
