import type postgres from 'postgres'
import { arrayLiteral } from '../../shared/kernel/database/array-types.ts'
import { type CronJob, type RunReport, runJob } from './cron-job.ts'
import { type ExclusiveSession, isExtensionMissing, pause } from './session.ts'

export interface CronSchedulerOptions {
  readonly databaseUrl: string
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly pollMs: number
  readonly maxRunningJobs: number
  readonly stopping: AbortSignal
  /** Aborted some time after `stopping`: ends jobs that are still running. */
  readonly halt: AbortSignal
}

interface DueJob extends CronJob {
  readonly interval_seconds: number | null
  readonly runs_due: number
  readonly runs_at_start: boolean
}

/** What the scheduler remembers of a job between two looks at cron.job. */
interface Task {
  pendingRuns: number
  lastStartAt: number
  running: boolean
}

interface RecordedReport {
  readonly runId: string
  readonly at: number
  readonly report: RunReport
}

const EXTENSION_POLL_MS = 200
const MINUTE_MS = 60_000

/**
 * The launcher of pg_cron. A job never overlaps itself: runs of a five-field job that come due meanwhile are
 * queued, an interval job is queued once, and both are measured from the last start.
 */
export class CronScheduler {
  readonly #options: CronSchedulerOptions
  readonly #tasks = new Map<string, Task>()
  readonly #runs = new Map<string, Promise<void>>()
  #reports: RecordedReport[] = []
  #lastMinute: number | undefined
  #paused = false
  #tick: Promise<void> = Promise.resolve()

  constructor(options: CronSchedulerOptions) {
    this.#options = options
  }

  /** Starts no more jobs; resolves when those that are running have ended and are recorded. */
  async pause(): Promise<void> {
    this.#paused = true
    await this.#tick.catch(() => undefined)
    await Promise.all(this.#runs.values())
    while (this.#reports.length > 0 && !this.#options.stopping.aborted)
      await pause(this.#options.pollMs, this.#options.stopping)
  }

  /** Minutes that passed during the pause are not made up for, as after a restart. */
  resume(): void {
    this.#lastMinute = undefined
    this.#paused = false
  }

  /** Runs due jobs until the session is lost or the worker stops. */
  async serve({ sql, lost }: ExclusiveSession): Promise<void> {
    const { stopping, pollMs } = this.#options
    let abandonedMarked = false
    while (!stopping.aborted) {
      lost.throwIfAborted()
      try {
        if (!abandonedMarked) await this.#markAbandonedRuns(sql)
        abandonedMarked = true
        this.#tick = this.#runTick(sql)
        await this.#tick
        await pause(pollMs, stopping)
      } catch (error) {
        if (!isExtensionMissing(error)) throw error
        await pause(EXTENSION_POLL_MS, stopping)
      }
    }
    await Promise.all(this.#runs.values())
    await this.#recordReports(sql)
  }

  async #runTick(sql: postgres.Sql): Promise<void> {
    await this.#recordReports(sql)
    if (this.#paused) return
    const now = this.#options.clock()
    const jobs = await this.#queueDueRuns(sql, now)
    for (const job of jobs) await this.#startIfPossible(sql, job, now)
  }

  async #queueDueRuns(sql: postgres.Sql, now: number): Promise<readonly DueJob[]> {
    const thisMinute = Math.floor(now / MINUTE_MS) * MINUTE_MS
    const justStarted = this.#lastMinute === undefined && this.#tasks.size === 0
    const lastMinute = this.#lastMinute ?? thisMinute
    const jobs = await sql<DueJob[]>`
      select
        jobid, command, database, username,
        cron._interval_seconds(schedule) as interval_seconds,
        cron._runs_due(schedule, ${new Date(lastMinute)}, ${new Date(thisMinute)}) as runs_due,
        schedule in ('@reboot', '@restart') as runs_at_start
      from cron.job
      where active
      order by jobid`
    this.#forgetOthers(jobs)
    for (const job of jobs) this.#queueRuns(job, now, justStarted)
    this.#lastMinute = Math.max(lastMinute, thisMinute)
    return jobs
  }

  #forgetOthers(jobs: readonly DueJob[]): void {
    const present = new Set(jobs.map((job) => job.jobid))
    for (const [jobId, task] of this.#tasks) {
      if (present.has(jobId)) continue
      task.pendingRuns = 0
      if (!task.running) this.#tasks.delete(jobId)
    }
  }

  #queueRuns(job: DueJob, now: number, justStarted: boolean): void {
    // The first run of an interval job is due one interval after the scheduler first saw the job.
    const task = this.#tasks.get(job.jobid) ?? { pendingRuns: 0, lastStartAt: now, running: false }
    this.#tasks.set(job.jobid, task)
    task.pendingRuns += job.runs_due
    if (job.runs_at_start && justStarted) task.pendingRuns += 1
    const intervalMs = (job.interval_seconds ?? Number.POSITIVE_INFINITY) * 1000
    if (task.pendingRuns === 0 && now - task.lastStartAt >= intervalMs) task.pendingRuns = 1
  }

  async #startIfPossible(sql: postgres.Sql, job: DueJob, now: number): Promise<void> {
    const task = this.#tasks.get(job.jobid)
    if (!task || task.running || task.pendingRuns === 0) return
    if (this.#runs.size >= this.#options.maxRunningJobs) return
    const [run] = await sql<{ runid: string }[]>`
      insert into cron.job_run_details (jobid, database, username, command, status)
      values (${job.jobid}, ${job.database}, ${job.username}, ${job.command}, 'starting')
      returning runid`
    if (!run) return
    task.pendingRuns -= 1
    task.running = true
    task.lastStartAt = now
    this.#runs.set(run.runid, this.#run(job, run.runid, task))
  }

  async #run(job: DueJob, runId: string, task: Task): Promise<void> {
    await runJob(job, this.#options, (report) => {
      this.#reports.push({ runId, at: this.#options.clock(), report })
    })
    task.running = false
    this.#runs.delete(runId)
  }

  /** Reports wait in memory, so that a run that outlives the scheduler's connection is recorded all the same. */
  async #recordReports(sql: postgres.Sql): Promise<void> {
    for (let next = this.#reports[0]; next; next = this.#reports[0]) {
      const { runId, report } = next
      const at = new Date(next.at)
      await (report.status === 'running'
        ? sql`update cron.job_run_details set status = 'running', job_pid = ${report.jobPid}, start_time = ${at}
              where runid = ${runId}`
        : sql`update cron.job_run_details
              set status = ${report.status}, return_message = ${report.message}, end_time = ${at}
              where runid = ${runId}`)
      this.#reports.shift()
    }
  }

  /** Runs of a worker that is gone. Those that this one still has in hand go on. */
  async #markAbandonedRuns(sql: postgres.Sql): Promise<void> {
    const inHand = [...this.#runs.keys(), ...this.#reports.map(({ runId }) => runId)]
    await sql`
      update cron.job_run_details
      set status = 'failed', return_message = 'server restarted'
      where status in ('starting', 'running') and runid <> all (${arrayLiteral(inHand)}::bigint[])`
  }
}
