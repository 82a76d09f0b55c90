import type postgres from 'postgres'
import { type Database, sqlState } from '../kernel/database/client.ts'
import type { Failure } from '../kernel/failures.ts'
import { type SignedDoorbell, sendDoorbell } from './send-doorbell.ts'

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'

export interface Job {
  readonly id: string
  readonly organizationId: string
  readonly kind: string
  /** As in provisioning.tiers. */
  readonly tier: string
  readonly lane: string
  readonly request: Readonly<Record<string, unknown>>
  readonly leaseToken: string
}

/** Names, ids and versions; it is shown to members, so never a secret. Null removes what an earlier attempt left. */
export type StepOutput = Readonly<Record<string, postgres.JSONValue>>

export interface StartedStep {
  readonly step: string
  readonly attempt: number
  readonly output: StepOutput
  readonly tenant: Readonly<Record<string, unknown>>
}

export interface Settings {
  readonly workerConcurrency: number
  readonly workerMaxJobs: number
  readonly workerMaxSeconds: number
  readonly workerLingerMs: number
  readonly workerLookAgainMs: number
  readonly leaseSeconds: number
  readonly stepMaxSeconds: number
  /** Those in which nobody waits: their work gives way to that of others. */
  readonly patientLanes: readonly string[]
}

/** What a step writes beside its own row: an SQL expression that is evaluated in the same statement. */
export type SideRecord = postgres.PendingQuery<postgres.Row[]>

/** Another worker holds the job now; nothing that this one does may be written any more. */
export class LeaseLost extends Error {}

/** The engine's functions, one method each. Every write carries the lease token and throws LeaseLost when it is stale. */
export class JobStore {
  readonly #sql: Database

  constructor(sql: Database) {
    this.#sql = sql
  }

  /** @returns the settings of workers, and the kinds of job that this one runs */
  async settings(worker: string): Promise<Settings & { readonly kinds: readonly string[] }> {
    const [row] = await this.#sql<(Settings & { kinds: string[] })[]>`
      select worker_concurrency as "workerConcurrency", worker_max_jobs as "workerMaxJobs",
        worker_max_seconds as "workerMaxSeconds", worker_linger_milliseconds as "workerLingerMs",
        worker_look_again_milliseconds as "workerLookAgainMs", lease_seconds as "leaseSeconds",
        step_max_seconds as "stepMaxSeconds",
        to_jsonb(array(select l.lane from provisioning.lanes l where l.handicap_seconds > 0)) as "patientLanes",
        to_jsonb(array(select k.kind from provisioning.job_kinds k where k.worker = ${worker} order by k.kind)) as kinds
      from provisioning.settings`
    if (!row) throw new Error('provisioning.settings has lost its row; insert the defaults again')
    return row
  }

  /** @param running how many jobs of each lane, and of each kind in it, the worker has already: `batch`, `batch/update_details` */
  async claim(
    kinds: readonly string[],
    limit: number,
    running: Readonly<Record<string, number>>,
  ): Promise<Job[]> {
    return this.#sql<Job[]>`
      select job_id as id, organization_id as "organizationId", kind, tier, lane, request, lease_token as "leaseToken"
      from provisioning.claim_jobs(${[...kinds]}, ${limit}, ${this.#sql.json(running)})`
  }

  async extendLease(job: Job): Promise<void> {
    await fenced(() => this.#sql`select provisioning.extend_lease(${job.id}, ${job.leaseToken})`)
  }

  /** Comes right after the claim. @returns the steps that may start now, which have begun */
  async prepare(job: Job): Promise<StartedStep[]> {
    return fenced(
      () => this.#sql<StartedStep[]>`
      with started as materialized (
        select ready.step, begun.attempt, begun.output, begun.tenant
        from provisioning.prepare_job(${job.id}, ${job.leaseToken}) as ready (step)
        cross join lateral provisioning.start_step(${job.id}, ${job.leaseToken}, ready.step, false) as begun
      ), refreshed as materialized (
        select provisioning.refresh_status(${job.organizationId}) from (select count(*) from started) as all_started
      )
      select s.step, s.attempt, s.output, s.tenant from started s cross join refreshed`,
    )
  }

  /**
   * Writes a step's success together with its record, and begins the steps that may start now, all in one statement: each
   * one more costs a round trip.
   * @param begun not begun again, this one included
   * @param isLast no other step is at work: when none begins either, the job is given back in the same statement
   */
  async completeStep(
    job: Job,
    step: string,
    { output, record }: { readonly output: StepOutput; readonly record?: SideRecord },
    begun: ReadonlySet<string>,
    isLast: boolean,
  ): Promise<{ readonly next: readonly StartedStep[]; readonly finished: boolean }> {
    const [row] = await fenced(
      () => this.#sql<{ next: StartedStep[]; finished: boolean }[]>`
      with done as materialized (
        select ${record ?? this.#sql`null`} as recorded, (
          select coalesce(jsonb_agg(jsonb_build_object('step', ready.step, 'attempt', begun.attempt, 'output', begun.output,
            'tenant', begun.tenant)), '[]')
          from provisioning.complete_step(${job.id}, ${job.leaseToken}, ${step}, ${this.#sql.json(output)}, false) as ready (step)
          cross join lateral provisioning.start_step(${job.id}, ${job.leaseToken}, ready.step, false) as begun
          where ready.step <> all (${[step, ...begun]})) as next
      )
      select d.recorded, d.next, case when ${isLast} and d.next = '[]'
        then (select f.status is not null from provisioning.finish_job(${job.id}, ${job.leaseToken}) f)
        else (select false from provisioning.refresh_status(${job.organizationId})) end as finished
      from done d`,
    )
    return row ?? { next: [], finished: false }
  }

  /** Writes a record before the end of its step, and renews the lease. */
  async saveRecord(job: Job, record: SideRecord): Promise<void> {
    await fenced(
      () => this.#sql`select provisioning.extend_lease(${job.id}, ${job.leaseToken}), ${record} as recorded`,
    )
  }

  /** Adds to the output of a running step before its end, for attempts that come after a crash. */
  async saveOutput(job: Job, step: string, output: StepOutput): Promise<void> {
    await fenced(
      () =>
        this
          .#sql`select provisioning.save_output(${job.id}, ${job.leaseToken}, ${step}, ${this.#sql.json(output)})`,
    )
  }

  /** That something outside may exist from now on; renews the lease. */
  async planResource(job: Job, kind: string, name: string, details: StepOutput): Promise<void> {
    await fenced(
      () =>
        this
          .#sql`select provisioning.plan_resource(${job.id}, ${job.leaseToken}, ${kind}, ${name}, ${this.#sql.json(details)})`,
    )
  }

  /** That the last request for it has made nothing. */
  async unplanResource(job: Job, kind: string, details: StepOutput): Promise<void> {
    await fenced(
      () =>
        this
          .#sql`select provisioning.unplan_resource(${job.id}, ${job.leaseToken}, ${kind}, ${this.#sql.json(details)})`,
    )
  }

  async failStep(
    job: Job,
    step: string,
    { retryAfterSeconds, settleSeconds, ...failure }: Failure,
    output: StepOutput = {},
  ): Promise<void> {
    await fenced(
      () => this.#sql`select provisioning.fail_step(${job.id}, ${job.leaseToken}, ${step},
      ${this.#sql.json({ ...failure })}, ${retryAfterSeconds ?? 0}, ${this.#sql.json(output)}, ${settleSeconds ?? 0})`,
    )
  }

  async deferStep(
    job: Job,
    step: string,
    seconds: number,
    { code, message, retryable, settleSeconds }: Failure,
    output: StepOutput,
  ): Promise<void> {
    await fenced(
      () => this.#sql`select provisioning.defer_step(${job.id}, ${job.leaseToken}, ${step},
      clock_timestamp() + make_interval(secs => ${seconds}), ${this.#sql.json({ code, message, retryable })},
      ${this.#sql.json(output)}, ${settleSeconds ?? 0})`,
    )
  }

  async finish(job: Job): Promise<void> {
    await fenced(() => this.#sql`select provisioning.finish_job(${job.id}, ${job.leaseToken})`)
  }

  /** Seconds until the next job falls due, 0 when one is; undefined when none is open. */
  async secondsUntilDue(kinds: readonly string[]): Promise<number | undefined> {
    const [row] = await this.#sql<{ seconds: number }[]>`
      select greatest(0, extract(epoch from due - clock_timestamp()))::float8 as seconds
      from provisioning.next_due_at(${[...kinds]}) as due where due is not null`
    return row?.seconds
  }

  /**
   * Starts another invocation when a job is due or may be in a moment. It is called directly: pg_net sleeps for a second after
   * each batch, in which nobody would work. pg_net is asked where that call is not answered.
   */
  async ringForDueWork(kinds: readonly string[]): Promise<void> {
    const doorbells = await this.#sql<SignedDoorbell[]>`
      select url, body from provisioning.successor_doorbells(${[...kinds]})`
    const heard = await Promise.all(doorbells.map(sendDoorbell))
    if (heard.includes(false)) await this.#sql`select provisioning.ring_for_due_work(${[...kinds]})`
  }
}

/** Of two transactions that wait for each other, Postgres ends one, which has done nothing then: it is sent once more. */
const DEADLOCK = '40P01'

async function fenced<T>(send: () => Promise<T>): Promise<T> {
  return send()
    .catch((error: unknown) => {
      if (sqlState(error) !== DEADLOCK) throw error
      return send()
    })
    .catch((error: unknown) => {
      if (sqlState(error) === 'TP001') throw new LeaseLost('the lease was lost')
      throw error
    })
}
