import { setTimeout as sleep } from 'node:timers/promises'
import { supabaseClient } from '../../tools/supabase-client.ts'
import type { Benchmark, BenchmarkOptions, Measurement } from './benchmark.ts'
import { type BenchProject, FUNCTION, withProject } from './project.ts'
import { median, percentile } from './statistics.ts'
import { signUpAndWait, untilReady } from './tenants.ts'

const ATTACKERS = 6
/** A check that is due must have been made by then. */
const IN_TIME_SECONDS = 40
const APART_MS = 1_000
/** Quiet and attack in turns, so that what else the machine does is in both. */
const ROUNDS = 2
/** Acts are limited by the minute: then as many are let through as in the round before. */
const ROUND_MS = 61_000
const TICK_MS = 5_000

/**
 * Six organizations that retry, resize and cancel as fast as they are answered, beside tenants whose health is due and people who
 * sign up: how much longer these wait for their tenant than in the quiet, and how many of those are checked within 40 s.
 * The rate limits are those of the product, since what the attack uses up is the providers' calls.
 */
export const neighbours: Benchmark = {
  name: 'neighbours',
  summary: 'sign-ups and health checks beside organizations that loop',
  defaultRuns: 1,
  aims: [
    { metric: 'bystander_ready_ratio', is: 'at most', value: 1.3 },
    { metric: 'checks_in_time_percent', is: 'at least', value: 95 },
  ],
  run: async (options) => {
    const amounts = options.quick ? { tenants: 5, signUps: 3 } : { tenants: 79, signUps: 15 }
    const needs = {
      spareDatabases: 1 + ATTACKERS + amounts.tenants + 2 * ROUNDS * options.runs * amounts.signUps,
      authConnections: 2,
    }
    return withProject(needs, options, async (project) => {
      options.progress(`signing up ${amounts.tenants} tenants and ${ATTACKERS} attackers`)
      for (let made = 0; made <= amounts.tenants; made++) await signUpAndWait(project, options.signal)
      const attackers: Attacker[] = []
      while (attackers.length < ATTACKERS) attackers.push(await signUpAttacker(project, options.signal))
      await restoreRateLimits(project)
      const rounds: Measured[] = []
      while (rounds.length < options.runs * ROUNDS) {
        const startedAt = performance.now()
        rounds.push(await measure(project, attackers, amounts.signUps, options))
        const leftMs = ROUND_MS - (performance.now() - startedAt)
        if (rounds.length < options.runs * ROUNDS && !options.quick)
          await sleep(Math.max(0, leftMs), undefined, { signal: options.signal })
      }
      return summarize(rounds)
    })
  },
}

interface Attacker {
  readonly organizationId: string
  readonly accessToken: string
}

async function signUpAttacker(project: BenchProject, signal: AbortSignal): Promise<Attacker> {
  const client = supabaseClient(project.services.url, project.keys.publishableKey)
  const { data, error } = await client.auth.signUp({
    email: `${crypto.randomUUID()}@example.com`,
    password: crypto.randomUUID(),
  })
  if (!data.session || !data.user) throw new Error(`An attacker could not sign up: ${error?.message}`)
  await untilReady(project.superuser, data.user.id, signal)
  // On a plan that has all sizes, so that resizing is not refused for its size.
  const [row] = await project.superuser<{ id: string }[]>`
    update public.organizations set plan = 'enterprise' where owner_id = ${data.user.id} returning id`
  if (!row) throw new Error('An attacker has no organization.')
  return { organizationId: row.id, accessToken: data.session.access_token }
}

/** Those of the migrations, which the project of a benchmark has lifted. */
async function restoreRateLimits({ superuser }: BenchProject): Promise<void> {
  await superuser`update provisioning.rate_limits set burst = case when scope = '*' then 100 else 20 end,
    per_second = case when scope = '*' then 10 else 20 end where provider = 'neon'`
  await superuser`update provisioning.rate_limits set burst = 12, per_second = 13 where provider = 'stripe_test'`
  await superuser`delete from provisioning.token_buckets`
}

interface Measured {
  readonly quiet: readonly number[]
  readonly attacked: readonly number[]
  readonly quietChecks: Checks
  readonly attackedChecks: Checks
  readonly asked: number
  readonly refused: number
}

interface Checks {
  readonly inTimePercent: number
  /** From being due to the check of the last tenant; IN_TIME_SECONDS when not all were made. */
  readonly seconds: number
}

async function measure(
  project: BenchProject,
  attackers: readonly Attacker[],
  signUps: number,
  options: BenchmarkOptions,
): Promise<Measured> {
  options.progress('the quiet')
  const quiet = await watch(project, attackers, signUps, options)
  options.progress('the attack')
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, options.signal])
  const looping = Promise.all(attackers.map((attacker) => loop(project, attacker, signal)))
  try {
    // Until whatever was left of the rate limits is used up.
    await sleep(3_000, undefined, { signal: options.signal })
    const attacked = await watch(project, attackers, signUps, options)
    stop.abort()
    const replies = await looping
    const sum = (of: (reply: Replies) => number) => replies.reduce((total, reply) => total + of(reply), 0)
    return {
      quiet: quiet.readyMs,
      attacked: attacked.readyMs,
      quietChecks: quiet.checks,
      attackedChecks: attacked.checks,
      asked: sum(({ asked }) => asked),
      refused: sum(({ refused }) => refused),
    }
  } finally {
    stop.abort()
    await looping
  }
}

interface Replies {
  readonly asked: number
  readonly refused: number
}

/** One organization that asks again as soon as it is answered, whatever the answer is. */
async function loop(
  { services }: BenchProject,
  { organizationId, accessToken }: Attacker,
  signal: AbortSignal,
): Promise<Replies> {
  const acts = [
    { services: ['neon', 'stripe'] },
    { databaseSize: 'medium' },
    { cancel: true },
    {},
    { databaseSize: 'small' },
  ]
  let [asked, refused] = [0, 0]
  while (!signal.aborted) {
    const reply = await fetch(`${services.url}/functions/v1/${FUNCTION}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${accessToken}` },
      body: JSON.stringify({ organizationId, ...acts[asked % acts.length] }),
    })
    await reply.text()
    asked++
    if (reply.status === 429) refused++
  }
  return { asked, refused }
}

/** Every tenant but the attackers' is due, and people sign up one after the other. */
async function watch(
  project: BenchProject,
  attackers: readonly Attacker[],
  signUps: number,
  { signal }: BenchmarkOptions,
): Promise<{ readyMs: number[]; checks: Checks }> {
  const due = await makeDue(project, attackers, signal)
  const [checks, readyMs] = await Promise.all([
    untilChecked(project, due, signal),
    signUpOneAfterAnother(project, signUps, signal),
  ])
  return { checks, readyMs }
}

async function signUpOneAfterAnother(
  project: BenchProject,
  count: number,
  signal: AbortSignal,
): Promise<number[]> {
  const readyMs: number[] = []
  while (readyMs.length < count) {
    readyMs.push(await signUpAndWait(project, signal))
    await sleep(APART_MS, undefined, { signal })
  }
  return readyMs
}

interface Due {
  readonly ids: readonly string[]
  readonly at: Date
}

/**
 * As if the fleet's list had just shown all of them awake. A check that is under way began before that and would not count, but puts
 * the next one off: so none may be.
 */
async function makeDue(
  { superuser }: BenchProject,
  attackers: readonly Attacker[],
  signal: AbortSignal,
): Promise<Due> {
  const others = attackers.map(({ organizationId }) => organizationId)
  for (;;) {
    const rows = await superuser<{ id: string; at: Date }[]>`
      update public.tenant_health set next_check_at = clock_timestamp(), awake = true, leased_until = null
      where organization_id <> all (${others}::uuid[]) and not exists (
        select from public.tenant_health h where h.leased_until > clock_timestamp() and h.organization_id <> all (${others}::uuid[]))
      returning organization_id as id, clock_timestamp() as at`
    const [first] = rows
    if (first) return { ids: rows.map(({ id }) => id), at: first.at }
    await sleep(50, undefined, { signal })
  }
}

async function untilChecked(
  { superuser }: BenchProject,
  { ids, at }: Due,
  signal: AbortSignal,
): Promise<Checks> {
  const startedAt = performance.now()
  let tickedAt = Number.NEGATIVE_INFINITY
  for (;;) {
    if (performance.now() - tickedAt > TICK_MS) {
      tickedAt = performance.now()
      await superuser`select provisioning.health_tick()`
    }
    const [row] = await superuser<{ checked: number }[]>`
      select count(*)::int as checked from public.tenant_health
      where organization_id = any (${[...ids]}) and checked_at >= ${at}`
    const checked = row?.checked ?? 0
    const seconds = (performance.now() - startedAt) / 1000
    if (checked >= ids.length || seconds >= IN_TIME_SECONDS)
      return { inTimePercent: (100 * checked) / ids.length, seconds: Math.min(seconds, IN_TIME_SECONDS) }
    await sleep(100, undefined, { signal })
  }
}

function summarize(rounds: readonly Measured[]): Measurement {
  const all = (values: (round: Measured) => readonly number[]) => rounds.flatMap(values)
  const [quiet, attacked] = [all((round) => round.quiet), all((round) => round.attacked)]
  const worst = (percent: (round: Measured) => number) => Math.min(...rounds.map(percent))
  const longest = (seconds: (round: Measured) => number) => Math.max(...rounds.map(seconds))
  const sum = (of: (round: Measured) => number) => rounds.reduce((total, round) => total + of(round), 0)
  const metrics = {
    bystander_ready_quiet_p50_ms: percentile(quiet, 50),
    bystander_ready_attacked_p50_ms: percentile(attacked, 50),
    bystander_ready_quiet_p95_ms: percentile(quiet, 95),
    bystander_ready_attacked_p95_ms: percentile(attacked, 95),
    bystander_ready_ratio: median(attacked) / median(quiet),
    checks_in_time_quiet_percent: worst(({ quietChecks }) => quietChecks.inTimePercent),
    checks_in_time_percent: worst(({ attackedChecks }) => attackedChecks.inTimePercent),
    all_checked_quiet_s: longest(({ quietChecks }) => quietChecks.seconds),
    all_checked_attacked_s: longest(({ attackedChecks }) => attackedChecks.seconds),
    acts_asked: sum(({ asked }) => asked),
    acts_refused_percent: (100 * sum(({ refused }) => refused)) / sum(({ asked }) => asked),
  }
  // Without acts beside the bystanders nothing was measured.
  return metrics.acts_asked > 0 ? { metrics } : { metrics, problems: ['The attackers were not answered.'] }
}
