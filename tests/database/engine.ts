import type postgres from 'postgres'
import type { NewUser } from '../support/sign-up.ts'
import { createTenant, only, type Project, refusal, type Tenant } from './project.ts'

export interface Lease {
  readonly jobId: string
  readonly token: string
  readonly attempts: number
}

export interface StepRow {
  readonly step: string
  readonly service: string
  readonly status: string
  readonly attempts: number
  readonly next_attempt_at: Date | null
  readonly settles_at: Date | null
  readonly output: Readonly<Record<string, unknown>>
  readonly error: Readonly<Record<string, unknown>> | null
  readonly started_at: Date | null
  readonly finished_at: Date | null
}

export interface JobRow {
  readonly status: string
  readonly attempts: number
  readonly next_attempt_at: Date
  readonly lease_token: string | null
  readonly lease_expires_at: Date | null
  readonly last_error: Readonly<Record<string, unknown>> | null
  readonly finished_at: Date | null
  readonly rerun_services: readonly string[] | null
}

const RETRYABLE = { code: 'stripe_unavailable', message: 'Stripe did not answer.', retryable: true }
export const NEON_DOWN = { code: 'neon_unavailable', message: 'Neon did not answer.', retryable: true }
export const FINAL = { code: 'stripe_refused', message: 'Stripe refused the request.', retryable: false }

/** The engine's SQL functions, as a worker calls them. */
export class Engine {
  readonly #sql: postgres.ISql

  constructor(sql: postgres.ISql) {
    this.#sql = sql
  }

  /** Claims, and prepares what it has got. */
  async claim(
    limit = 1,
    kinds: readonly string[] = ['provision'],
    running: Readonly<Record<string, number>> = {},
  ): Promise<Lease[]> {
    const leases = await this.#sql<Lease[]>`select job_id as "jobId", lease_token as token, attempts
      from provisioning.claim_jobs(${[...kinds]}, ${limit}, ${JSON.stringify(running)}::text::jsonb)`
    for (const { jobId, token } of leases)
      await this.#sql`select provisioning.prepare_job(${jobId}, ${token})`
    return leases
  }

  async extend({ jobId, token }: Lease): Promise<Date> {
    return only(
      await this.#sql<{ until: Date }[]>`select provisioning.extend_lease(${jobId}, ${token}) as until`,
    ).until
  }

  async ready(jobId: string): Promise<string[]> {
    return (await this.#sql<{ step: string }[]>`select provisioning.ready_steps(${jobId}) as step`).map(
      ({ step }) => step,
    )
  }

  /** @returns the number of the attempt; undefined when the step may not start */
  async start({ jobId, token }: Lease, step: string): Promise<number | undefined> {
    const [row] = await this.#sql<{ attempt: number }[]>`
      select attempt from provisioning.start_step(${jobId}, ${token}, ${step})`
    return row?.attempt
  }

  async complete({ jobId, token }: Lease, step: string, output = {}): Promise<string[]> {
    const rows = await this.#sql<{ step: string }[]>`
      select provisioning.complete_step(${jobId}, ${token}, ${step}, ${JSON.stringify(output)}::text::jsonb) as step`
    return rows.map(({ step: ready }) => ready)
  }

  /** @returns when the next attempt is due; null when there is none */
  async fail(
    { jobId, token }: Lease,
    step: string,
    error = RETRYABLE,
    retryAfter = 0,
    { settles = 0, output = {} } = {},
  ): Promise<Date | null> {
    return only(
      await this.#sql<{ next: Date | null }[]>`select provisioning.fail_step(${jobId}, ${token}, ${step},
        ${JSON.stringify(error)}::text::jsonb, ${retryAfter}, ${JSON.stringify(output)}::text::jsonb, ${settles}) as next`,
    ).next
  }

  async defer({ jobId, token }: Lease, step: string, seconds: number, settles = 0): Promise<void> {
    await this.#sql`select provisioning.defer_step(${jobId}, ${token}, ${step},
      clock_timestamp() + make_interval(secs => ${seconds}), ${JSON.stringify(RETRYABLE)}::text::jsonb, '{}', ${settles})`
  }

  async saveOutput({ jobId, token }: Lease, step: string, output: object): Promise<void> {
    await this
      .#sql`select provisioning.save_output(${jobId}, ${token}, ${step}, ${JSON.stringify(output)}::text::jsonb)`
  }

  async finish({ jobId, token }: Lease): Promise<string> {
    return only(
      await this.#sql<{ status: string }[]>`select status from provisioning.finish_job(${jobId}, ${token})`,
    ).status
  }

  async retry(jobId: string, services: readonly string[] | null = null): Promise<string> {
    return only(
      await this.#sql<{ status: string }[]>`
        select provisioning.retry_job(${jobId}, ${services && [...services]}) as status`,
    ).status
  }

  /** Cancels the provisioning of the job's organization. @returns the SQLSTATE of a refusal, and whether it was ready before */
  async cancel(jobId: string): Promise<{ code: string | undefined; wasReady: boolean }> {
    const { id, wasReady } = only(
      await this.#sql<{ id: string; wasReady: boolean }[]>`
        select o.id, o.provisioned_at is not null as "wasReady" from public.organizations o
        join public.provisioning_jobs j on j.organization_id = o.id where j.id = ${jobId}`,
    )
    const code = await refusal(this.#sql`select provisioning.cancel_provisioning(${id})`)
    return { code, wasReady }
  }

  async step(jobId: string, step: string): Promise<StepRow> {
    return only(
      await this.#sql<StepRow[]>`
        select * from public.provisioning_steps where job_id = ${jobId} and step = ${step}`,
    )
  }

  async steps(jobId: string): Promise<StepRow[]> {
    return this.#sql<StepRow[]>`
      select * from provisioning.steps_of(${jobId})`
  }

  async job(jobId: string): Promise<JobRow> {
    return only(
      await this.#sql<JobRow[]>`
        select j.*, l.token as lease_token, l.expires_at as lease_expires_at
        from public.provisioning_jobs j left join provisioning.job_leases l on l.job_id = j.id where j.id = ${jobId}`,
    )
  }

  async events(jobId: string): Promise<{ event_type: string; resource_type: string; metadata: object }[]> {
    return this.#sql<{ event_type: string; resource_type: string; metadata: object }[]>`
      select event_type, resource_type, metadata from public.provisioning_events
      where job_id = ${jobId} and event_type <> 'sign_up' order by completed_at`
  }

  /** The worker dies, and its lease runs out. */
  async expireLease(jobId: string): Promise<void> {
    await this
      .#sql`update provisioning.job_leases set expires_at = now() - interval '1 s' where job_id = ${jobId}`
  }

  /** Time passes until everything that was put off is due. */
  async passTime(jobId: string): Promise<void> {
    await this.#sql`update public.provisioning_steps set next_attempt_at = now() - interval '1 s'
      where job_id = ${jobId} and status = 'retrying'`
    await this.#sql`update public.provisioning_steps set settles_at = now() - interval '1 s'
      where job_id = ${jobId} and settles_at is not null`
    await this.#sql`update public.provisioning_jobs set next_attempt_at = now() - interval '1 s'
      where id = ${jobId} and status = 'queued'`
  }

  /** Runs every step that can run, each to the outcome that it is given (success, unless it is named). */
  async run(lease: Lease, failing: Readonly<Record<string, typeof RETRYABLE>> = {}): Promise<string> {
    for (let ready = await this.ready(lease.jobId); ready.length > 0; ready = await this.ready(lease.jobId)) {
      for (const step of ready) {
        if ((await this.start(lease, step)) === undefined) continue
        const error = failing[step]
        if (error) await this.fail(lease, step, error, 60)
        else await this.complete(lease, step)
      }
    }
    return this.finish(lease)
  }
}

/** A new tenant whose job is the only open one, so that a claim takes it. */
export async function createOnlyJob(project: Project, user: Partial<NewUser> = {}): Promise<Tenant> {
  await closeOpenJobs(project)
  return createTenant(project, user)
}

export async function closeOpenJobs({ sql }: Project): Promise<void> {
  await sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where status in ('queued', 'running')`
}

export async function claimedJob(project: Project) {
  const tenant = await createOnlyJob(project)
  return { ...tenant, lease: only(await new Engine(project.sql).claim()) }
}

export async function withSettings<T>(
  { sql }: Project,
  settings: Record<string, number | string>,
  work: () => Promise<T>,
): Promise<T> {
  const before = only(await sql`select * from provisioning.settings`)
  await sql`update provisioning.settings set ${sql(settings)}`
  try {
    return await work()
  } finally {
    await sql`update provisioning.settings set ${sql(before, ...Object.keys(settings))}`
  }
}

/** Claims of several workers, held back at the door until all of them stand there. */
export async function claimAtOnce(
  project: Project,
  workers: number,
  limit: number,
  kinds?: readonly string[],
): Promise<Lease[]> {
  const gate = await project.superuser.reserve()
  await gate`select pg_advisory_lock(1)`
  const claims = Array.from({ length: workers }, () =>
    project.sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock_shared(1)`
      return { leases: await new Engine(tx).claim(limit, kinds) }
    }),
  )
  await waitUntilWaiting(project, workers)
  await gate`select pg_advisory_unlock(1)`
  gate.release()
  return (await Promise.all(claims)).flatMap(({ leases }) => leases)
}

export async function waitUntilWaiting({ superuser }: Project, sessions: number): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const { waiting } = only(
      await superuser<{ waiting: number }[]>`select count(*)::int as waiting from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (waiting >= sessions) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`${sessions} sessions were to wait for a lock`)
}

export const secondsFromNow = (time: Date | null) =>
  time === null ? Number.NaN : (time.getTime() - Date.now()) / 1000

export interface KindOfJob {
  readonly kind: string
  readonly worksOn: readonly string[]
  readonly lane?: string
  readonly maxRunning?: number
  /** The only step's service. */
  readonly service?: string
}

/** A kind of job of the test's own, with one step. */
export async function addKind(
  { sql }: Project,
  { kind, worksOn, lane = 'request', maxRunning, service = 'neon' }: KindOfJob,
): Promise<void> {
  await sql`insert into provisioning.job_kinds (kind, label, worker, lane, max_running, works_on, purpose)
    values (${kind}, ${kind}, 'provisioning', ${lane}, ${maxRunning ?? null}, ${[...worksOn]}, 'maintain')`
  await sql`insert into provisioning.step_definitions (kind, tier, step, service, position)
    values (${kind}, 'database', ${`${kind}_step`}, ${service}, 1)`
}

export async function enqueue(
  { sql }: Project,
  organizationId: string,
  kind: string,
  lane: string | null = null,
): Promise<string> {
  return only(
    await sql<{ id: string }[]>`
      select provisioning.enqueue(${organizationId}, ${kind}, p_lane => ${lane}) as id`,
  ).id
}
