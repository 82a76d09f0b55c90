import type { z } from 'zod'
import { inBackground } from '../kernel/background.ts'
import { type Caller, createAuthenticator } from '../kernel/caller.ts'
import { connect, type Database } from '../kernel/database/client.ts'
import { createDoorbellReader } from '../kernel/doorbell.ts'
import type { Environment } from '../kernel/environment.ts'
import { readBody } from '../kernel/http/body.ts'
import { handlePost, jsonReply } from '../kernel/http/serve.ts'
import { createProjectCheck } from '../kernel/own-project.ts'
import { createWaitingRoom } from '../kernel/waiting-room.ts'
import { createJobReports, type JobReports } from './job-reports.ts'
import { hasEnded } from './reports.ts'
import type { Step, StepSource } from './step.ts'
import { waitForOutcome } from './wait-for-outcome.ts'
import { createWorker } from './worker.ts'

/** Below the 150 s within which a function must have replied. */
const WAIT_LIMIT_MS = 120_000
const WAIT_POLL_MS = 150

/** Whoever asks may wait for the outcome. */
export interface Waitable {
  readonly wait: boolean
}

export interface JobFunction<Body extends Waitable> {
  /** The worker that this function is, as in provisioning.workers. It runs the kinds of job that job_kinds gives it. */
  readonly worker: string
  /** The body of a request that is not a doorbell. */
  readonly body: z.ZodType<Body>
  /**
   * Checks that the caller may, and does what was asked in one transaction.
   * @returns the job to run, or a finished reply. @throws Problem
   */
  request(sql: Database, caller: Caller, body: Body): Promise<{ jobId: string } | Response>
}

/**
 * An Edge Function that runs jobs. It takes two kinds of body: a signed doorbell from the database, answered 202 at once;
 * or a request with a secret key or a user's access token, answered 202 with the job, or 200 with its outcome when the
 * caller waits. The work goes on after the reply.
 * @param services who does the work of the steps @throws Error that lists the variables that are missing or wrong
 */
export function createJobFunction<Body extends Waitable>(
  environment: Environment,
  definition: JobFunction<Body>,
  services: readonly StepSource[],
): (request: Request) => Promise<Response> {
  const sql = connect(environment)
  const steps = stepsOf(services.map((service) => service.connect({ variables: environment.variables, sql })))
  const worker = createWorker({ sql, steps }, definition.worker)
  const authenticate = createAuthenticator(environment)
  const readDoorbell = createDoorbellReader(sql)
  const assertOwnProject = createProjectCheck(environment, sql)
  const ring = () => inBackground(worker.ring())
  const reports = createJobReports(sql, WAIT_POLL_MS)
  const waitingRoom = createWaitingRoom(environment)

  const answerCaller = async (request: Request, caller: Caller, body: Body): Promise<Response> => {
    // Before anything is done: whoever has no place may ask again as if nothing had been asked.
    const leave = body.wait ? waitingRoom.enter(caller) : undefined
    try {
      const outcome = await definition.request(sql, caller, body)
      if (outcome instanceof Response) return outcome
      ring()
      if (body.wait) return await replyWithOutcome(reports, outcome.jobId, request.signal, ring)
      return jsonReply(await reports.read(outcome.jobId), 202)
    } finally {
      leave?.()
    }
  }

  return handlePost(async (request) => {
    if (await readDoorbell(request)) {
      await assertOwnProject()
      ring()
      return jsonReply({ accepted: true }, 202)
    }
    // The caller is checked before the body is read.
    const caller = await authenticate(request)
    await assertOwnProject()
    return answerCaller(request, caller, await readBody(request, definition.body))
  })
}

/** @throws Error when two services have a step of the same name */
function stepsOf(sources: readonly { readonly steps: Readonly<Record<string, Step>> }[]) {
  const steps = sources.flatMap((source) => Object.entries(source.steps))
  const byName = Object.fromEntries(steps)
  if (Object.keys(byName).length < steps.length)
    throw new Error(`two steps have the same name: ${steps.map(([name]) => name).join(', ')}`)
  return byName
}

/** 200 with the outcome, or 202 with how things stand when the job needs longer than a function may take. */
async function replyWithOutcome(
  reports: JobReports,
  jobId: string,
  signal: AbortSignal,
  ring: () => void,
): Promise<Response> {
  const report = await waitForOutcome({
    read: () => reports.read(jobId),
    readLater: (stopped) => reports.readLater(jobId, stopped),
    hasEnded,
    limitMs: WAIT_LIMIT_MS,
    signal,
    onWaiting: ({ nextAttemptAt }) => {
      if (nextAttemptAt && Date.parse(nextAttemptAt) <= Date.now()) ring()
    },
  })
  return jsonReply(report, hasEnded(report) ? 200 : 202)
}
