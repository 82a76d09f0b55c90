import { setMaxListeners } from 'node:events'
import { type Check, verify } from './checks.ts'
import { makePlan } from './plan.ts'
import { type ChaosProject, withProject } from './project.ts'
import { Dice } from './random.ts'
import { runStorm, waitForQuiet } from './storm.ts'

export interface ChaosOptions {
  readonly signUps: number
  readonly seed: number
  /** Aborted by Ctrl-C: everything that was started is stopped and removed. */
  readonly signal: AbortSignal
  /** Told what is being done, in a few words. */
  readonly progress: (what: string) => void
  /** Told what the functions printed, line by line, when the run ends. */
  readonly functionLog?: (line: string) => void
}

export interface ChaosReport {
  readonly seed: number
  /** Whether rate limits and circuit breakers were in force. */
  readonly guarded: boolean
  /** How the sign-ups went for those who signed up. */
  readonly signUps: Readonly<Record<string, number>>
  /** What was done to the system, and how often. */
  readonly injected: Readonly<Record<string, number>>
  /** How the engine met it: its events, by type and reason. */
  readonly met: Readonly<Record<string, number>>
  /** Calls that reached the providers. */
  readonly calls: Readonly<Record<string, number>>
  readonly checks: readonly Check[]
  readonly stormSeconds: number
  readonly quietSeconds: number
  readonly seconds: number
}

/** Signs people up while everything breaks, waits until all is quiet and looks whether every promise was kept. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, signUps, signal, progress } = options
  // Everybody who waits listens to it.
  setMaxListeners(0, signal)
  const plan = makePlan(seed, signUps)
  const { guarded } = plan
  const startedAt = performance.now()
  const needs = { seed, guarded, spareDatabases: signUps, defaultSettings: false, signal, progress }
  return withProject(needs, async (project) => {
    const stormAt = performance.now()
    progress(`${signUps} sign-ups in a storm of ${plan.stormMs / 1000} s`)
    const { userIds, ...storm } = await runStorm(project, plan, options)
    const quietAt = performance.now()
    progress('the storm is over; waiting until all is quiet')
    const limitMs = 120_000 + signUps * (guarded ? 1_000 : 400)
    const quiet = await waitForQuiet(project, { limitMs, signal, progress })
    const verifyAt = performance.now()
    progress(quiet ? 'verifying' : 'it does not become quiet; verifying')
    const checks = await verify(project, userIds, new Dice(seed).fork('verify'), signal)
    for (const line of project.functionLog) options.functionLog?.(line)
    return {
      seed,
      guarded,
      signUps: { asked: signUps, ...storm.signUps.toObject() },
      injected: storm.injected.toObject(),
      met: await readMet(project),
      calls: readCalls(project),
      checks,
      stormSeconds: seconds(stormAt, quietAt),
      quietSeconds: seconds(quietAt, verifyAt),
      seconds: seconds(startedAt, performance.now()),
    }
  })
}

export function isClean({ checks }: Pick<ChaosReport, 'checks'>): boolean {
  return checks.every(({ ok }) => ok)
}

function seconds(from: number, to: number): number {
  return Math.round((to - from) / 100) / 10
}

async function readMet({ superuser }: ChaosProject): Promise<Record<string, number>> {
  const rows = await superuser<{ name: string; count: number }[]>`
    select event_type || coalesce(' ' || (metadata ->> 'code'), '') as name, count(*)::int as count
    from public.provisioning_events group by 1 order by 1`
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]))
}

function readCalls({ neon, stripe }: ChaosProject): Record<string, number> {
  return { ...neon.stats.calls, ...stripe.stats.calls, 'Stripe replays': stripe.stats.replays }
}
