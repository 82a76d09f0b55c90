import { type Job, JobStore, type Settings } from './jobs.ts'
import { type JobRunner, runJob } from './run-job.ts'

/** A retry that is due this soon is waited for; a later one is left to the sweep. */
const WORTH_WAITING_SECONDS = 5

export interface Worker {
  /** Starts draining due jobs, or makes sure that the running drain looks once more. Resolves when it has ended. */
  ring(): Promise<void>
}

/**
 * Drains due jobs of the given kinds, several at once. One drain runs in a process at a time, however often it is rung;
 * it stops claiming after its share (settings.worker_max_jobs, worker_max_seconds), so that it ends well inside the
 * limits of an Edge Function, and rings for its successor when work is left.
 */
export function createWorker(runner: Omit<JobRunner, 'jobs'>, kinds: readonly string[]): Worker {
  const jobs = new JobStore(runner.sql)
  let current: Drain | undefined
  return {
    ring() {
      if (current?.acceptsWork) current.wake()
      else current = new Drain({ ...runner, jobs }, kinds)
      return current.ended
    },
  }
}

class Drain {
  readonly ended: Promise<void>
  readonly #runner: JobRunner
  readonly #kinds: readonly string[]
  readonly #active = new Map<Promise<void>, Job>()
  readonly #startedAt = performance.now()
  #claimed = 0
  #accepting = true
  #rung = false
  #wake: () => void = () => undefined

  constructor(runner: JobRunner, kinds: readonly string[]) {
    this.#runner = runner
    this.#kinds = kinds
    this.ended = this.#run()
  }

  get acceptsWork(): boolean {
    return this.#accepting
  }

  wake(): void {
    this.#rung = true
    this.#wake()
  }

  async #run(): Promise<void> {
    const { jobs } = this.#runner
    try {
      const settings = await jobs.settings()
      while (this.#withinShare(settings)) {
        this.#rung = false
        const claimed = await this.#claim(settings)
        if (claimed === 0 && !(await this.#waitForWork())) return
        if (this.#active.size >= settings.workerConcurrency) await this.#somethingHappens()
      }
      this.#accepting = false
      await jobs.ringForDueWork(this.#kinds)
    } finally {
      this.#accepting = false
      await Promise.all(this.#active.keys())
    }
  }

  #withinShare({ workerMaxJobs, workerMaxSeconds }: Settings): boolean {
    return this.#claimed < workerMaxJobs && performance.now() - this.#startedAt < workerMaxSeconds * 1000
  }

  async #claim(settings: Settings): Promise<number> {
    const { workerConcurrency, workerMaxJobs } = settings
    const room = Math.min(workerConcurrency - this.#active.size, workerMaxJobs - this.#claimed)
    const claimed = await this.#runner.jobs.claim(this.#kinds, room, this.#runningByLane())
    this.#claimed += claimed.length
    for (const job of claimed) this.#start(job, settings)
    return claimed.length
  }

  #runningByLane(): Record<string, number> {
    const running: Record<string, number> = {}
    for (const { lane } of this.#active.values()) running[lane] = (running[lane] ?? 0) + 1
    return running
  }

  #start(job: Job, settings: Settings): void {
    const run: Promise<void> = runJob(this.#runner, job, settings)
      // The rows say where the job stands; its lease runs out and the next worker resumes it.
      .catch((error: unknown) => console.error(`job ${job.id} was interrupted:`, error))
      .finally(() => {
        this.#active.delete(run)
        this.#wake()
      })
    this.#active.set(run, job)
  }

  /** @returns false when nothing is at work, nothing falls due soon and nobody rang */
  async #waitForWork(): Promise<boolean> {
    if (this.#rung) return true
    if (this.#active.size > 0) {
      await this.#somethingHappens()
      return true
    }
    const seconds = await this.#runner.jobs.secondsUntilDue(this.#kinds)
    if (this.#rung) return true
    if (seconds === undefined || seconds > WORTH_WAITING_SECONDS) return false
    // A due job that was not claimed is held back by the cap on running jobs: look again, but not in a tight loop.
    await this.#somethingHappens(Math.max(seconds * 1000, 500))
    return true
  }

  #somethingHappens(withinMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = withinMs === undefined ? undefined : setTimeout(() => this.#wake(), withinMs)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = () => undefined
        resolve()
      }
    })
  }
}
