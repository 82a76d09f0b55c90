import { setTimeout as sleep } from 'node:timers/promises'
import type { Benchmark, BenchmarkOptions, Measurement, Metrics } from './benchmark.ts'
import { familyCpuMs, processCpuMs } from './cpu.ts'
import { withOneTable } from './one-table.ts'
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

/** Of two cores in a second. */
const CPU_MS_PER_SECOND = 2000

/**
 * A thousand sign-ups as quickly as eight connections can insert them, providers answering at once. A tenant counts as
 * lost when it is not ready although nothing has moved for two minutes, or its job has failed.
 *
 * Everything runs on the same cores here, and most of their time goes to what is not ours: the server of the tenants' databases
 * stands for Neon's, and this process is gateway, pg_net and providers in one. So beside the tenants a second, which depend on the
 * size of the tenant schema, there is what the project itself has spent, and how many tenants a second that would be if it
 * were all. The CPU metrics are per tenant. The names with `one_table` are of a second burst, with a tenant schema of one table.
 */
export const burst: Benchmark = {
  name: 'burst',
  summary: 'a thousand sign-ups at once, until every tenant is ready',
  defaultRuns: 1,
  aims: [
    { metric: 'ready', is: 'at least', value: 1000 },
    { metric: 'lost', is: 'at most', value: 0 },
    { metric: 'tenants_per_second', is: 'at least', value: 40 },
    { metric: 'own_tenants_per_second_on_two_cores', is: 'at least', value: 40 },
    { metric: 'one_table_lost', is: 'at most', value: 0 },
    { metric: 'one_table_tenants_per_second', is: 'at least', value: 40 },
  ],
  run: async (options) => {
    const signUps = options.quick ? 24 : 1000
    const runs: Metrics[] = []
    while (runs.length < options.runs)
      runs.push({
        ...(await burstOf(signUps, options)),
        ...named('one_table', await withOneTable((importMap) => burstOf(signUps, options, importMap))),
      })
    return summarize(runs, signUps)
  },
}

function burstOf(signUps: number, options: BenchmarkOptions, importMap?: string): Promise<Metrics> {
  const needs = {
    // One more for the sign-up that warms things up.
    spareDatabases: signUps + 1,
    authConnections: CONNECTIONS,
    settings: WITHOUT_DISK_WAITS,
    ...(importMap === undefined ? {} : { importMap }),
  }
  return withProject(needs, options, (project) => measure(project, signUps, options))
}

function named(prefix: string, metrics: Metrics): Metrics {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`${prefix}_${name}`, value]))
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
    ...cpuMetrics(before.cpu, after.cpu, signUps),
  }
}

/** In milliseconds. */
interface Cpu {
  /** Of the function's process. */
  readonly function: number
  /** Of the project's Postgres server. */
  readonly database: number
  readonly tenantDatabases: number
  readonly localStack: number
}

/** Empty where the system does not tell CPU times. */
function cpuMetrics(before: Cpu | undefined, after: Cpu | undefined, tenants: number): Metrics {
  if (!before || !after) return {}
  const spent = (part: keyof Cpu) => (after[part] - before[part]) / tenants
  const own = spent('function') + spent('database')
  return {
    own_tenants_per_second_on_two_cores: CPU_MS_PER_SECOND / own,
    own_cpu_ms_per_tenant: own,
    function_cpu_ms_per_tenant: spent('function'),
    database_cpu_ms_per_tenant: spent('database'),
    tenant_databases_cpu_ms_per_tenant: spent('tenantDatabases'),
    local_stack_cpu_ms_per_tenant: spent('localStack'),
  }
}

interface Counters {
  readonly doorbells: number
  readonly neonProjects: number
  readonly cpu: Cpu | undefined
}

async function readCounters(project: BenchProject): Promise<Counters> {
  const [row] = await project.superuser<
    { rung: string }[]
  >`select last_value as rung from net.http_request_queue_id_seq`
  return {
    doorbells: Number(row?.rung ?? 0),
    neonProjects: project.services.neon?.stats.projects ?? 0,
    cpu: await readCpu(project),
  }
}

async function readCpu({ services, postgresPid, tenantsPid }: BenchProject): Promise<Cpu | undefined> {
  const worker = services.gateway.functions.processes().find(({ name }) => name === FUNCTION)
  const [ofFunction, database, tenantDatabases] = await Promise.all([
    worker && processCpuMs(worker.pid),
    familyCpuMs(postgresPid),
    familyCpuMs(tenantsPid),
  ])
  if (ofFunction === undefined || database === undefined || tenantDatabases === undefined) return undefined
  const { user, system } = process.cpuUsage()
  return { function: ofFunction, database, tenantDatabases, localStack: (user + system) / 1000 }
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

/** One lost tenant in one run of many is not to disappear in a median. */
const WORST: Readonly<Record<string, (...values: number[]) => number>> = {
  ready: Math.min,
  lost: Math.max,
  jobs_failed: Math.max,
  surplus_neon_projects: Math.max,
  worker_peak_mb: Math.max,
}

function summarize(runs: readonly Metrics[], signUps: number): Measurement {
  const metrics: Metrics = Object.fromEntries(
    Object.keys(runs[0] ?? {}).map((name) => {
      const values = runs.map((run) => run[name] ?? Number.NaN)
      const worst = WORST[name.replace(/^one_table_/, '')]
      return [name, worst ? worst(...values) : median(values)] as const
    }),
  )
  const sum = (name: string) => (metrics[name] ?? 0) + (metrics[`one_table_${name}`] ?? 0)
  const [lost, failed, surplus] = [sum('lost'), sum('jobs_failed'), sum('surplus_neon_projects')]
  return {
    metrics,
    problems: [
      ...(lost > 0 ? [`${lost} of ${2 * signUps} tenants never became ready.`] : []),
      ...(failed > 0 ? [`${failed} jobs failed, although the providers did not.`] : []),
      ...(surplus > 0 ? [`${surplus} Neon projects belong to no tenant.`] : []),
    ],
  }
}
