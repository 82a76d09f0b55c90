import { createDrain, type Drain, type Taken, type Workload } from './drain.ts'
import { type Job, JobStore } from './jobs.ts'
import { type JobRunner, runJob } from './run-job.ts'

/**
 * Drains due jobs of the kinds that job_kinds gives this worker, settings.worker_concurrency at once; its share is
 * settings.worker_max_jobs and _max_seconds.
 */
export function createWorker(runner: Omit<JobRunner, 'jobs'>, worker: string): Drain {
  const jobs = new JobStore(runner.sql)
  return createDrain(() => openJobs({ ...runner, jobs }, worker))
}

async function openJobs(runner: JobRunner, worker: string): Promise<Workload> {
  const { jobs } = runner
  const { kinds, ...settings } = await jobs.settings(worker)
  const running = new Map<string, number>()
  const count = ({ lane }: Job, by: 1 | -1) => running.set(lane, (running.get(lane) ?? 0) + by)

  const run = async (job: Job): Promise<void> => {
    count(job, 1)
    // The rows say where the job stands; its lease runs out and the next worker resumes it.
    await runJob(runner, job, settings)
      .catch((error: unknown) => console.error(`job ${job.id} was interrupted:`, error))
      .finally(() => count(job, -1))
  }

  return {
    limits: {
      concurrency: settings.workerConcurrency,
      maxPieces: settings.workerMaxJobs,
      maxSeconds: settings.workerMaxSeconds,
      lingerMs: settings.workerLingerMs,
      lookAgainMs: settings.workerLookAgainMs,
    },
    async take(room): Promise<Taken> {
      const claimed = await jobs.claim(kinds, room, Object.fromEntries(running))
      return { pieces: claimed.map(run), more: claimed.length > 0 }
    },
    secondsUntilDue: () => jobs.secondsUntilDue(kinds),
    ringSuccessor: () => jobs.ringForDueWork(kinds),
  }
}
