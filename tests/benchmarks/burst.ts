import { setTimeout as sleep } from 'node:timers/promises'
import type { Benchmark, BenchmarkOptions, Measurement, Metrics } from './benchmark.ts'
import { familyCpuMs, processCpuMs } from './cpu.ts'
import { type BenchProject, FUNCTION, withProject } from './project.ts'
import { WITHOUT_DISK_WAITS } from './servers.ts'
import { signUpOnEach } from './sign-up-load.ts'
import { median } from './statistics.ts'
import { readPhases, signUpAndWait } from './tenants.ts'

const CONNECTIONS = 8
const POLL_MS = 250
const MEMORY_POLL_MS = 50
/** Twelve sweeps without a single tenant becoming ready: nothing is moving any more. */
const STUCK_AFTER_MS = 120_000

/**
 * A thousand sign-ups as quickly as eight connections can insert them, providers answering at once. A tenant counts as
 * lost when it is not ready although nothing has moved for two minutes, or its job has failed. The CPU metrics are per
 * tenant: of the function's process, of the project's Postgres server, and of this process, which is gateway, pg_net and
 * providers in one.
 */
export const burst: Benchmark = {
  name: 'burst',
  summary: 'a thousand sign-ups at once, until every tenant is ready',
  defaultRuns: 1,
  aims: [
    { metric: 'ready', is: 'at least', value: 1000 },
    { metric: 'lost', is: 'at most', value: 0 },
    { metric: 'tenants_per_second', is: 'at least', value: 40 },
  ],
  run: async (options) => {
    const signUps = options.quick ? 24 : 1000
    const runs: Metrics[] = []
    while (runs.length < options.runs) {
      // One more for the sign-up that warms things up.
      const needs = {
        spareDatabases: signUps + 1,
        authConnections: CONNECTIONS,
        settings: WITHOUT_DISK_WAITS,
      }
      runs.push(await withProject(needs, options, (project) => measure(project, signUps, options)))
    }
    return summarize(runs, signUps)
  },
}

async function measure(project: BenchProject, signUps: number, options: BenchmarkOptions): Promise<Metrics> {
  await signUpAndWait(project, options.signal)
  const before = await readCounters(project)
  const memory = samplePeakMemory(project)
  options.progress(`${signUps} sign-ups`)
  const insertedMs = await signUpOnEach(project.auth, CONNECTIONS, signUps / CONNECTIONS)
  options.progress(`inserted in ${(insertedMs / 1000).toFixed(2)} s; waiting for the tenants`)
  const outcome = await untilNothingMoves(project, signUps, options)
  const after = await readCounters(project)
  const phases = await readPhases(project.superuser, signUps)
  options.progress(phases.map(({ phase, ms }) => `${phase} ${ms.toFixed(0)} ms`).join(', '))
  return {
    ready: outcome.ready,
    lost: signUps - outcome.ready,
    jobs_failed: outcome.failed,
    tenants_per_second: outcome.ready / outcome.seconds,
    seconds: outcome.seconds,
    worker_peak_mb: memory.stop(),
    doorbells: after.doorbells - before.doorbells,
    surplus_neon_projects: after.neonProjects - before.neonProjects - signUps,
    insert_ms: insertedMs,
    ...perTenant('function_cpu_ms_per_tenant', before.functionMs, after.functionMs, signUps),
    ...perTenant('database_cpu_ms_per_tenant', before.databaseMs, after.databaseMs, signUps),
    ...perTenant('local_stack_cpu_ms_per_tenant', before.stackMs, after.stackMs, signUps),
  }
}

interface Counters {
  readonly doorbells: number
  readonly neonProjects: number
  readonly functionMs: number | undefined
  readonly databaseMs: number | undefined
  readonly stackMs: number | undefined
}

async function readCounters({ superuser, services, postgresPid }: BenchProject): Promise<Counters> {
  const [row] = await superuser<
    { rung: string }[]
  >`select last_value as rung from net.http_request_queue_id_seq`
  const worker = services.gateway.functions.processes().find(({ name }) => name === FUNCTION)
  const { user, system } = process.cpuUsage()
  return {
    doorbells: Number(row?.rung ?? 0),
    neonProjects: services.neon?.stats.projects ?? 0,
    functionMs: worker && (await processCpuMs(worker.pid)),
    databaseMs: await familyCpuMs(postgresPid),
    stackMs: (user + system) / 1000,
  }
}

/** Empty where the system does not tell CPU times. */
function perTenant(
  name: string,
  beforeMs: number | undefined,
  afterMs: number | undefined,
  tenants: number,
): Metrics {
  if (beforeMs === undefined || afterMs === undefined) return {}
  return { [name]: (afterMs - beforeMs) / tenants }
}

function samplePeakMemory({ services }: BenchProject): { stop(): number } {
  let peak = 0
  const timer = setInterval(() => {
    void services.gateway.functions.memoryMb(FUNCTION).then((megabytes = 0) => {
      peak = Math.max(peak, megabytes)
    })
  }, MEMORY_POLL_MS)
  return {
    stop() {
      clearInterval(timer)
      return peak
    },
  }
}

interface Outcome {
  readonly ready: number
  readonly failed: number
  /** From the first sign-up to the last tenant that became ready, by the database's clock. */
  readonly seconds: number
}

async function untilNothingMoves(
  project: BenchProject,
  signUps: number,
  { signal, progress }: BenchmarkOptions,
): Promise<Outcome> {
  let outcome = await readOutcome(project, signUps)
  let movedAt = performance.now()
  let toldAt = movedAt
  while (outcome.ready + outcome.failed < signUps && performance.now() - movedAt < STUCK_AFTER_MS) {
    await sleep(POLL_MS, undefined, { signal })
    const now = await readOutcome(project, signUps)
    if (now.ready !== outcome.ready) movedAt = performance.now()
    outcome = now
    if (performance.now() - toldAt < 5000) continue
    toldAt = performance.now()
    progress(`${outcome.ready} of ${signUps} are ready`)
  }
  return outcome
}

async function readOutcome({ superuser }: BenchProject, signUps: number): Promise<Outcome> {
  const [row] = await superuser<Outcome[]>`
    with burst as (
      select j.organization_id, j.status, j.created_at from public.provisioning_jobs j
      where j.kind = 'provision' order by j.created_at desc limit ${signUps}
    )
    select count(o.provisioned_at)::int as ready, count(*) filter (where b.status = 'failed')::int as failed,
      coalesce(extract(epoch from max(o.provisioned_at) - min(b.created_at)), 0)::float8 as seconds
    from burst b join public.organizations o on o.id = b.organization_id`
  if (!row) throw new Error('The tenants could not be counted.')
  return row
}

function summarize(runs: readonly Metrics[], signUps: number): Measurement {
  const values = (name: string) => runs.map((run) => run[name] ?? Number.NaN)
  // One lost tenant in one run of many is not to disappear in a median.
  const worst = {
    ready: Math.min(...values('ready')),
    lost: Math.max(...values('lost')),
    jobs_failed: Math.max(...values('jobs_failed')),
    surplus_neon_projects: Math.max(...values('surplus_neon_projects')),
    worker_peak_mb: Math.max(...values('worker_peak_mb')),
  }
  const medians = Object.fromEntries(
    Object.keys(runs[0] ?? {}).map((name) => [name, median(values(name))] as const),
  )
  return {
    metrics: { ...medians, ...worst },
    problems: [
      ...(worst.lost > 0 ? [`${worst.lost} of ${signUps} tenants never became ready.`] : []),
      ...(worst.jobs_failed > 0 ? [`${worst.jobs_failed} jobs failed, although the providers did not.`] : []),
      ...(worst.surplus_neon_projects > 0
        ? [`${worst.surplus_neon_projects} Neon projects belong to no tenant.`]
        : []),
    ],
  }
}
