import { log, withLogFields } from '../kernel/log.ts'
import { createDrain, type Drain, type Taken, type Workload } from './drain.ts'
import { type Job, JobStore } from './jobs.ts'
import { type JobRunner, runJob } from './run-job.ts'

/**
 * A claim takes as long for one job as for several, and claims of all workers come one after another. So beside work that nobody
 * waits for, so many places are waited for, for so long.
 */
const ENOUGH_PLACES = 5
const GATHER_MS = 20

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
  const count = ({ lane, kind }: Job, by: 1 | -1) => {
    for (const name of [lane, `${lane}/${kind}`]) running.set(name, (running.get(name) ?? 0) + by)
  }
  const isPatient = () => settings.patientLanes.some((lane) => (running.get(lane) ?? 0) > 0)

  const run = async (job: Job): Promise<void> => {
    count(job, 1)
    // The rows say where the job stands; its lease runs out and the next worker resumes it.
    await withLogFields(
      { trace: job.id, job: job.id, kind: job.kind, organization: job.organizationId },
      () =>
        runJob(runner, job, settings)
          .catch((error: unknown) => log.error('the job was interrupted', {}, error))
          .finally(() => count(job, -1)),
    )
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
      if (claimed.length > 0) log.info('claimed jobs', { worker, jobs: claimed.map(({ id }) => id) })
      return { pieces: claimed.map(run), more: claimed.length > 0 }
    },
    gatherMs: (room) => (room < ENOUGH_PLACES && isPatient() ? GATHER_MS : 0),
    secondsUntilDue: () => jobs.secondsUntilDue(kinds),
    ringSuccessor: () => jobs.ringForDueWork(kinds),
  }
}
