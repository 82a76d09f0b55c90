import { CronScheduler } from './cron-scheduler.ts'
import { HttpSender } from './http-sender.ts'
import { keepSession } from './session.ts'

export interface PlatformWorkerOptions {
  /** Superuser URL of the one database that is served. Jobs log in as their own role with the same password. */
  readonly databaseUrl: string
  /** Milliseconds since 1970, for cron schedules; the real time unless a test shifts it. */
  readonly clock?: () => number
  /** How many requests are taken and sent at once; pg_net.batch_size of a hosted project. */
  readonly batchSize?: number
  /** How long responses are kept. */
  readonly responseTtlMs?: number
  /** How often cron.job is looked at. */
  readonly cronPollMs?: number
  readonly maxRunningJobs?: number
  /** How long stop() waits for requests and jobs that are under way before it ends them. */
  readonly stopGraceMs?: number
  /** Receives unexpected errors; lost connections are not among them. */
  readonly log?: (message: string) => void
}

/** Does what the background workers of pg_net and pg_cron do on a hosted project. */
export interface PlatformWorker {
  /** Ends both parts; what is under way may finish within the grace time, and nothing new is started. */
  stop(): Promise<void>
  /** Leaves requests in the queue; resolves when those under way are answered and stored. */
  pauseHttp(): Promise<void>
  resumeHttp(): void
  /** Starts no more jobs; resolves when those that are running have ended. */
  pauseCron(): Promise<void>
  /** Minutes that passed during the pause are not made up for. */
  resumeCron(): void
}

const SIX_HOURS_MS = 6 * 60 * 60 * 1000

/**
 * Starts serving a database, in this process. Resolves at once: while the server is away, an extension has not
 * been created or another worker serves the database, it keeps trying. Only one worker works at a time.
 */
export async function startPlatformWorker(options: PlatformWorkerOptions): Promise<PlatformWorker> {
  const { databaseUrl, log = (message) => console.error(message) } = options
  const stopping = new AbortController()
  const halt = new AbortController()
  const signals = { stopping: stopping.signal, halt: halt.signal }
  const sender = new HttpSender({
    batchSize: options.batchSize ?? 200,
    responseTtlMs: options.responseTtlMs ?? SIX_HOURS_MS,
    ...signals,
  })
  const scheduler = new CronScheduler({
    databaseUrl,
    clock: options.clock ?? Date.now,
    pollMs: options.cronPollMs ?? 200,
    maxRunningJobs: options.maxRunningJobs ?? 32,
    ...signals,
  })
  const session = { databaseUrl, log, stopping: stopping.signal }
  const parts = Promise.all([
    keepSession({ ...session, part: 'pg_net' }, (held) => sender.serve(held)),
    keepSession({ ...session, part: 'pg_cron' }, (held) => scheduler.serve(held)),
  ])
  const stop = async () => {
    stopping.abort()
    const grace = setTimeout(() => halt.abort(), options.stopGraceMs ?? 2000)
    await parts
    clearTimeout(grace)
    sender.close()
  }
  return {
    stop,
    pauseHttp: () => sender.pause(),
    resumeHttp: () => sender.resume(),
    pauseCron: () => scheduler.pause(),
    resumeCron: () => scheduler.resume(),
  }
}
