import type { Benchmark, BenchmarkOptions, Measurement } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { median, percentile } from './statistics.ts'
import { signUpAndWait } from './tenants.ts'

const BACKLOG = 10_000
/** Of the bench's own: one step that calls no provider, so that batch jobs end as quickly as any can. */
const TIER = 'bench'

/**
 * From a sign-up to a tenant that is ready, with nothing else to do and with 10,000 batch jobs waiting, of which the workers take as
 * many as the lane allows. Both alternate within a run, so that what else the machine does meets both.
 */
export const lanes: Benchmark = {
  name: 'lanes',
  summary: 'a sign-up beside 10,000 batch jobs',
  defaultRuns: 3,
  aims: [{ metric: 'backlog_ratio', is: 'at most', value: 1.3 }],
  run: async (options) => {
    const rounds = options.quick ? 1 : 5
    const signUps = options.quick ? 2 : 30
    const needs = { spareDatabases: 1 + 2 * options.runs * rounds * signUps, authConnections: 1 }
    return withProject(needs, options, async (project) => {
      await addTier(project)
      await signUpAndWait(project, options.signal)
      const runs: Measured[] = []
      while (runs.length < options.runs) {
        options.progress(`run ${runs.length + 1} of ${options.runs}`)
        runs.push(await measure(project, rounds, signUps, options))
      }
      return summarize(runs)
    })
  },
}

interface Measured {
  readonly quiet: readonly number[]
  readonly withBacklog: readonly number[]
  readonly batchJobsPerSecond: number
}

async function addTier({ superuser }: BenchProject): Promise<void> {
  await superuser`insert into provisioning.tiers (tier, label, services) values (${TIER}, 'Bench', '{neon}')`
  await superuser`insert into provisioning.step_definitions (kind, tier, step, service, position)
    values ('provision', ${TIER}, 'delete_credentials', 'neon', 1)`
}

async function measure(
  project: BenchProject,
  rounds: number,
  signUps: number,
  options: BenchmarkOptions,
): Promise<Measured> {
  const quiet: number[] = []
  const withBacklog: number[] = []
  let batchJobs = 0
  let seconds = 0
  for (let round = 0; round < rounds; round++) {
    await takeBacklogAway(project)
    for (let n = 0; n < signUps; n++) quiet.push(await signUpAndWait(project, options.signal))
    await makeBacklog(project)
    const startedAt = performance.now()
    for (let n = 0; n < signUps; n++) withBacklog.push(await signUpAndWait(project, options.signal))
    seconds += (performance.now() - startedAt) / 1000
    batchJobs += await doneOfBacklog(project)
  }
  await takeBacklogAway(project)
  return { quiet, withBacklog, batchJobsPerSecond: batchJobs / seconds }
}

/** Fills up to 10,000 waiting jobs, due since a moment ago, as a backfill leaves them. */
async function makeBacklog({ superuser }: BenchProject): Promise<void> {
  await superuser`insert into public.provisioning_jobs (organization_id, kind, tier, lane)
    select gen_random_uuid(), 'provision', ${TIER}, 'batch' from generate_series(1, ${BACKLOG})`
  await superuser`analyze public.provisioning_jobs`
  await superuser`select provisioning.ring_doorbell('provisioning')`
}

async function takeBacklogAway({ superuser }: BenchProject): Promise<void> {
  for (;;) {
    await superuser`delete from public.provisioning_jobs where tier = ${TIER} and status <> 'running'`
    const [row] = await superuser<{ left: number }[]>`
      select count(*)::int as left from public.provisioning_jobs where tier = ${TIER}`
    if (row?.left === 0) break
  }
  await superuser`vacuum analyze public.provisioning_jobs`
}

async function doneOfBacklog({ superuser }: BenchProject): Promise<number> {
  const [row] = await superuser<{ done: number }[]>`
    select count(*)::int as done from public.provisioning_jobs where tier = ${TIER} and status = 'succeeded'`
  return row?.done ?? 0
}

function summarize(runs: readonly Measured[]): Measurement {
  const of = (value: (run: Measured) => number) => median(runs.map(value))
  const metrics = {
    ready_p50_quiet_ms: of(({ quiet }) => percentile(quiet, 50)),
    ready_p50_with_backlog_ms: of(({ withBacklog }) => percentile(withBacklog, 50)),
    ready_p95_quiet_ms: of(({ quiet }) => percentile(quiet, 95)),
    ready_p95_with_backlog_ms: of(({ withBacklog }) => percentile(withBacklog, 95)),
    backlog_ratio: of(({ quiet, withBacklog }) => percentile(withBacklog, 95) / percentile(quiet, 95)),
    batch_jobs_per_second: of(({ batchJobsPerSecond }) => batchJobsPerSecond),
  }
  // Without batch jobs at work beside the sign-ups nothing was measured.
  return metrics.batch_jobs_per_second > 0 ? { metrics } : { metrics, problems: ['No batch job was done.'] }
}
