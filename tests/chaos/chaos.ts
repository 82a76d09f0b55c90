import { setMaxListeners } from 'node:events'
import { type Check, verify } from './checks.ts'
import { CERTAIN, type Tier } from './faults.ts'
import { makePlans, type Plan } from './plan.ts'
import { type ChaosProject, withProject } from './project.ts'
import { Dice } from './random.ts'
import { runStorm, type StormTallies, waitForQuiet } from './storm.ts'
import { Tally } from './tally.ts'
import { emptyDatabases, makeDatabases } from './tenant-databases.ts'

export interface ChaosOptions {
  readonly signUps: number
  readonly seed: number
  /** Of everybody who signs up; without, `database`. */
  readonly tier?: Tier
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
  const { tier = 'database' } = options
  const plans = makePlans(seed, signUps, tier)
  const { guarded } = plans[0]
  const startedAt = performance.now()
  const needs = { seed, guarded, defaultSettings: false, tier, signal, progress }
  return withProject(needs, async (project) => {
    const rounds = await runRounds(project, plans, options)
    progress(rounds.quiet ? 'verifying' : 'it does not become quiet; verifying')
    const { userIds, emptied } = rounds
    const checks = await verify({ project, userIds, emptied, dice: new Dice(seed).fork('verify') }, signal)
    for (const line of project.functionLog) options.functionLog?.(line)
    return {
      seed,
      guarded,
      signUps: { asked: signUps, ...rounds.signUps.toObject() },
      injected: rounds.injected.toObject(),
      met: await readMet(project),
      calls: readCalls(project),
      checks,
      stormSeconds: seconds(rounds.stormMs),
      quietSeconds: seconds(rounds.quietMs),
      seconds: seconds(performance.now() - startedAt),
    }
  })
}

interface Rounds extends StormTallies {
  readonly userIds: string[]
  /** See emptyDatabases. */
  readonly emptied: Set<string>
  quiet: boolean
  stormMs: number
  quietMs: number
}

/** One storm after the other, each until all is quiet again; the first that does not become quiet is the last. */
async function runRounds(
  project: ChaosProject,
  plans: readonly Plan[],
  options: ChaosOptions,
): Promise<Rounds> {
  const { signal, progress } = options
  const rounds: Rounds = {
    userIds: [],
    emptied: new Set(),
    injected: new Tally(),
    signUps: new Tally(),
    quiet: true,
    stormMs: 0,
    quietMs: 0,
  }
  for (const [index, plan] of plans.entries()) {
    if (!rounds.quiet) break
    const { length: signUps } = plan.signUps
    if (index > 0) {
      progress('making room for more databases')
      await emptyDatabases(project, rounds.emptied, signal)
    }
    if (project.tier === 'database') await makeDatabases(project, signUps, progress)
    signal.throwIfAborted()
    const round = plans.length > 1 ? `round ${index + 1} of ${plans.length}: ` : ''
    progress(`${round}${signUps} sign-ups in a storm of ${plan.stormMs / 1000} s`)
    const stormAt = performance.now()
    rounds.userIds.push(...(await runStorm(project, plan, rounds, options)))
    const quietAt = performance.now()
    progress('the storm is over; waiting until all is quiet')
    // Supabase allows two calls a second, of which a project needs several.
    const each = project.tier === 'project' ? 10_000 : plan.guarded ? 1_000 : 400
    const limitMs = 120_000 + signUps * each
    rounds.quiet = await waitForQuiet(project, { limitMs, signal, progress })
    tallyCertain(project, rounds.injected)
    rounds.stormMs += quietAt - stormAt
    rounds.quietMs += performance.now() - quietAt
  }
  return rounds
}

/** A rule that is used up is not in the list any more. */
function tallyCertain(project: ChaosProject, injected: Tally): void {
  for (const { provider, name, rule } of CERTAIN[project.tier]) {
    const isLeft = project[provider].faults
      .list()
      .some(({ rule: left }) => JSON.stringify(left) === JSON.stringify(rule))
    if (!isLeft) injected.add(`${provider}: ${name}`)
  }
}

export function isClean({ checks }: Pick<ChaosReport, 'checks'>): boolean {
  return checks.every(({ ok }) => ok)
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10
}

async function readMet({ superuser }: ChaosProject): Promise<Record<string, number>> {
  const rows = await superuser<{ name: string; count: number }[]>`
    select event_type || coalesce(' ' || (metadata ->> 'code'), '') as name, count(*)::int as count
    from public.provisioning_events group by 1 order by 1`
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]))
}

function readCalls(project: ChaosProject): Record<string, number> {
  const { neon, stripe, supabase, github, vercel, n8n, tier } = project
  const others = tier === 'database' ? [neon] : [supabase, github, vercel, n8n]
  const calls = others.map(({ stats }) => stats.calls)
  return Object.assign({}, ...calls, stripe.stats.calls, { 'Stripe replays': stripe.stats.replays })
}
