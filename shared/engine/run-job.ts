import { type Database, sqlState } from '../kernel/database/client.ts'
import { failure } from '../kernel/failures.ts'
import { inLane } from '../kernel/lane.ts'
import { log, withLogFields } from '../kernel/log.ts'
import { withinDeadline } from './deadline.ts'
import { type Job, type JobStore, LeaseLost, type Settings, type StartedStep } from './jobs.ts'
import type { Step, StepContext, StepOutcome, SucceededStep } from './step.ts'

export interface JobRunner {
  readonly jobs: JobStore
  readonly sql: Database
  readonly steps: Readonly<Record<string, Step>>
}

export type RunLimits = Pick<Settings, 'leaseSeconds' | 'stepMaxSeconds'>

/**
 * Runs every step of a claimed job that can run now, independent ones side by side, each outcome committed at once, and
 * gives the lease back. Losing the lease ends the run silently: whoever holds it goes on from the rows.
 */
export async function runJob(runner: JobRunner, job: Job, limits: RunLimits): Promise<void> {
  const lost = new AbortController()
  const heartbeat = setInterval(
    () => {
      runner.jobs.extendLease(job).catch((error: unknown) => {
        if (error instanceof LeaseLost) lost.abort(error)
      })
    },
    (limits.leaseSeconds * 1000) / 3,
  )
  try {
    const finished = await runReadySteps(runner, job, lost.signal, limits.stepMaxSeconds * 1000)
    if (!finished) await runner.jobs.finish(job)
  } catch (error) {
    if (!(error instanceof LeaseLost)) throw error
    log.warn('another worker holds the lease now')
  } finally {
    clearInterval(heartbeat)
  }
}

interface Run {
  readonly job: Job
  readonly lease: AbortSignal
  readonly stepMaxMs: number
  readonly secrets: StepContext['secrets']
  /** A step that has failed is not begun again in the same run. */
  readonly begun: Set<string>
  /** Those that are at work, until their outcome is written. */
  readonly atWork: Set<string>
  /** The last outcome was written together with the end of the job. */
  finished: boolean
}

/** @returns whether the job was given back with the outcome of its last step */
async function runReadySteps(
  runner: JobRunner,
  job: Job,
  lease: AbortSignal,
  stepMaxMs: number,
): Promise<boolean> {
  const run: Run = {
    ...{ job, lease, stepMaxMs, secrets: new Map(), begun: new Set(), atWork: new Set() },
    finished: false,
  }
  const follow = async (steps: readonly StartedStep[]): Promise<void> => {
    for (const { step } of steps) {
      run.begun.add(step)
      run.atWork.add(step)
    }
    await settleAll(
      steps.map(async (step) => {
        const next = await withLogFields({ step: step.step, attempt: step.attempt }, () =>
          runStep(runner, run, step).finally(() => run.atWork.delete(step.step)),
        )
        await follow(next)
      }),
    )
  }
  await follow(await prepare(runner.jobs, job))
  return run.finished
}

/** A job whose preparation fails has done nothing: it is given back at once, and need not wait until its lease runs out. */
async function prepare(jobs: JobStore, job: Job): Promise<StartedStep[]> {
  try {
    return await jobs.prepare(job)
  } catch (error) {
    if (!(error instanceof LeaseLost)) await jobs.finish(job).catch(() => undefined)
    throw error
  }
}

/** Waits for all before it throws: a step that is still at work must not outlive the run. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  const broken = results.find((result) => result.status === 'rejected')
  if (broken) throw broken.reason
}

/** @returns the steps that have begun because this one succeeded */
async function runStep(
  { jobs, sql, steps }: JobRunner,
  run: Run,
  { step: name, ...started }: StartedStep,
): Promise<readonly StartedStep[]> {
  const { job, lease, stepMaxMs, secrets } = run
  const outcome = await withinDeadline(stepMaxMs, lease, (signal) =>
    attempt(
      steps[name],
      name,
      { job, ...started, sql, signal, secrets, ...meansOf(jobs, job, name, signal) },
      lease,
    ),
  )
  if (!outcome) {
    if (lease.aborted) throw new LeaseLost('the lease was lost')
    log.warn('the step failed', { code: 'step_timed_out' })
    await jobs.failStep(job, name, failure('step_timed_out'))
    return []
  }
  if (outcome.type === 'succeeded') {
    const next = await attemptToComplete(jobs, run, name, outcome)
    // The output is left out, because it describes a record that has not been written.
    if (!next) await jobs.failStep(job, name, failure('step_crashed'))
    return next ?? []
  }
  if (outcome.type === 'deferred')
    await jobs.deferStep(job, name, outcome.seconds, outcome.reason, outcome.output ?? {})
  else if (outcome.failure.pauseSeconds === undefined) {
    log.warn('the step failed', { code: outcome.failure.code })
    await jobs.failStep(job, name, outcome.failure, outcome.output)
  } else
    await jobs.deferStep(
      job,
      name,
      spread(Math.max(outcome.failure.pauseSeconds, outcome.failure.retryAfterSeconds ?? 0)),
      outcome.failure,
      outcome.output ?? {},
    )
  return []
}

type Means = Pick<
  StepContext,
  'saveOutput' | 'saveRecord' | 'planResource' | 'unplanResource' | 'assertLease'
>

/** What a step writes before its end. Nothing that creates is begun when the step was told to end. */
function meansOf(jobs: JobStore, job: Job, name: string, signal: AbortSignal): Means {
  return {
    saveOutput: (output) => jobs.saveOutput(job, name, output),
    saveRecord: async (record) => {
      signal.throwIfAborted()
      await jobs.saveRecord(job, record)
    },
    planResource: async (kind, resource, details = {}) => {
      signal.throwIfAborted()
      await jobs.planResource(job, kind, resource, details)
    },
    unplanResource: (kind, details = {}) => jobs.unplanResource(job, kind, details),
    assertLease: async () => {
      signal.throwIfAborted()
      await jobs.extendLease(job)
    },
  }
}

/** All who wait for a provider would come back in the same moment; up to a fifth later each, they come one after another. */
function spread(seconds: number): number {
  return seconds + Math.random() * Math.max(1, seconds / 5)
}

async function attempt(
  step: Step | undefined,
  name: string,
  context: StepContext,
  lease: AbortSignal,
): Promise<StepOutcome> {
  try {
    if (!step) throw new Error(`there is no step "${name}" in this deployment`)
    return await inLane(context.job.lane, () => step(context))
  } catch (error) {
    if (error instanceof LeaseLost) throw error
    if (lease.aborted) throw new LeaseLost('the lease was lost')
    if (context.signal.aborted) return { type: 'failed', failure: failure('step_timed_out') }
    log.error('the step crashed', {}, error)
    return { type: 'failed', failure: failure('step_crashed') }
  }
}

/** @returns the steps that have begun; undefined when the database refuses the record, which is this step's failure alone */
async function attemptToComplete(
  jobs: JobStore,
  run: Run,
  name: string,
  outcome: SucceededStep,
): Promise<readonly StartedStep[] | undefined> {
  const complete = async (isLast: boolean) => {
    const { next, finished } = await jobs.completeStep(run.job, name, outcome, run.begun, isLast)
    run.finished = finished
    return next
  }
  try {
    // Whatever refuses the end of the job is no failure of the step.
    return run.atWork.size > 1
      ? await complete(false)
      : await complete(true).catch(unlessLost(() => complete(false)))
  } catch (error) {
    if (error instanceof LeaseLost || sqlState(error) === undefined) throw error
    log.error('the record of the step was refused', {}, error)
    return undefined
  }
}

/** For what the database has refused, and so undone: another way to try it. */
function unlessLost<T>(otherwise: () => Promise<T>): (error: unknown) => Promise<T> {
  return (error) => {
    if (error instanceof LeaseLost || sqlState(error) === undefined) throw error
    return otherwise()
  }
}
