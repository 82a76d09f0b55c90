import { setTimeout as sleep } from 'node:timers/promises'
import { signUp } from '../support/sign-up.ts'
import type { Benchmark, BenchmarkOptions, Metrics } from './benchmark.ts'
import { type BenchProject, FUNCTION, withProject } from './project.ts'
import { median } from './statistics.ts'

/** The providers' clocks run so many times as fast: a project comes up in a good minute. */
const CLOCK_FACTOR = 6
const AT_ONCE = 10
const POLL_MS = 50
const ALL_SERVICES = ['stripe', 'supabase', 'database', 'graphql', 'github', 'vercel', 'n8n']
const TIMEOUT_MS = 300_000
const PROJECT_MS = { createMs: 1_500, comingUpMs: 75_000, servicesMs: 15_000 }
const REPOSITORY_MS = { createMs: 1_000, fillMs: 3_000 }
const DEPLOYMENT_MS = { createMs: 500, queueMs: 3_000, buildMs: 30_000 }
/** They come one after another. */
const OWN_SECONDS =
  [PROJECT_MS, REPOSITORY_MS, DEPLOYMENT_MS].flatMap(Object.values<number>).reduce((sum, ms) => sum + ms, 0) /
  CLOCK_FACTOR /
  1000

const scaled = (timings: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(timings).map(([name, ms]) => [name, ms / CLOCK_FACTOR]))

/**
 * A tenant of the tier `project`, with all seven providers emulated: the time from its sign-up to ready beyond what the providers
 * take themselves, waiting for the next look included; a second run of a job that is finished; and how often providers are called,
 * for one tenant and for each of ten at once, and for looking at the health of all.
 */
export const projectTier: Benchmark = {
  name: 'project-tier',
  summary: 'from a sign-up to a Supabase project of its own, beyond the providers’ time',
  defaultRuns: 3,
  aims: [
    { metric: 'overhead_s', is: 'at most', value: 5 },
    { metric: 'rerun_s', is: 'at most', value: 1 },
  ],
  run: (options) =>
    withProject({ spareDatabases: 0, authConnections: 1 }, options, async (project) => {
      await project.superuser`update provisioning.settings set default_tier = 'project'`
      project.services.supabase?.setTimings(scaled(PROJECT_MS))
      project.services.github?.setTimings(scaled(REPOSITORY_MS))
      project.services.vercel?.setTimings(scaled(DEPLOYMENT_MS))
      const runs: Metrics[] = []
      while (runs.length < (options.quick ? 1 : options.runs)) {
        options.progress(`run ${runs.length + 1} of ${options.runs}`)
        runs.push(await measure(project, options))
      }
      const names = Object.keys(runs[0] ?? {})
      return {
        metrics: Object.fromEntries(
          names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]),
        ),
      }
    }),
}

async function measure(project: BenchProject, { signal }: BenchmarkOptions): Promise<Metrics> {
  const before = calls(project)
  const [one] = await makeReady(project, 1, signal)
  const forOne = calls(project) - before
  const again = performance.now()
  await rerun(project, one?.organizationId ?? '')
  const rerunSeconds = (performance.now() - again) / 1000
  const callsBefore = calls(project)
  const many = await makeReady(project, AT_ONCE, signal)
  const callsOfMany = calls(project) - callsBefore
  return {
    overhead_s: (one?.seconds ?? Number.NaN) - OWN_SECONDS,
    rerun_s: rerunSeconds,
    provider_calls: forOne,
    overhead_s_10_at_once: Math.max(...many.map(({ seconds }) => seconds)) - OWN_SECONDS,
    provider_calls_each_of_10_at_once: callsOfMany / AT_ONCE,
    health_calls_of_all: await checkAll(project, signal),
  }
}

/** Everybody's health at once. @returns the calls of Supabase, the services of one project included */
async function checkAll(project: BenchProject, signal: AbortSignal): Promise<number> {
  const { superuser } = project
  const before = calls(project)
  await superuser`update public.tenant_health set next_check_at = now(), checked_at = null`
  await superuser`select provisioning.health_tick()`
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const [row] = await superuser<
      { left: number }[]
    >`select count(*)::int as left from public.tenant_health where checked_at is null`
    if (row?.left === 0) {
      const ill =
        await superuser`select organization_id, reasons from public.tenant_health where status <> 'healthy'`
      if (ill.length > 0) throw new Error(`not all are healthy: ${JSON.stringify(ill)}`)
      return calls(project) - before
    }
    if (performance.now() > deadline) throw new Error('the databases were not checked within five minutes')
    await sleep(POLL_MS, undefined, { signal })
  }
}

/** @returns seconds from each sign-up to ready, by the database's clock */
async function makeReady(project: BenchProject, count: number, signal: AbortSignal) {
  const ids: string[] = []
  for (let made = 0; made < count; made++)
    ids.push((await signUp(project.auth, { metadata: { data_region: 'eu' } })).id)
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const rows = await project.superuser<
      { organizationId: string; seconds: number | null; overall: string }[]
    >`
      select o.id as "organizationId", o.provisioning_status ->> 'overall' as overall,
        extract(epoch from o.provisioned_at - u.created_at)::float8 as seconds
      from public.organizations o join auth.users u on u.id = o.owner_id where u.id = any (${ids})`
    const failed = rows.find(({ overall }) => overall === 'failed')
    if (failed) throw new Error(`${failed.organizationId} has failed: ${await reasonOf(project, failed)}`)
    const ready = rows.flatMap(({ organizationId, seconds }) =>
      seconds === null ? [] : [{ organizationId, seconds }],
    )
    if (ready.length === count) return ready
    if (performance.now() > deadline)
      throw new Error(`${ready.length} of ${count} are ready after five minutes`)
    await sleep(POLL_MS, undefined, { signal })
  }
}

async function reasonOf(project: BenchProject, { organizationId }: { organizationId: string }) {
  const rows = await project.superuser`
    select step, error from public.provisioning_steps where organization_id = ${organizationId} and error is not null`
  return JSON.stringify(rows)
}

/** Everything is looked at again, and nothing is to be made. @throws Error when the job has another end */
async function rerun({ services, keys }: BenchProject, organizationId: string): Promise<void> {
  const reply = await fetch(`${services.url}/functions/v1/${FUNCTION}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', apikey: keys.secretKey },
    body: JSON.stringify({ organizationId, services: ALL_SERVICES, wait: true }),
  })
  const answer = await reply.text()
  if (reply.status !== 200) throw new Error(`The second run answered ${reply.status}: ${answer}`)
}

/** Of all providers, since they were started. */
function calls({ services }: BenchProject): number {
  const { stripe, supabase, github, vercel, n8n } = services
  return [stripe, supabase, github, vercel, n8n]
    .flatMap((emulator) => Object.values(emulator?.stats.calls ?? {}))
    .reduce((sum, count) => sum + count, 0)
}
