import { z } from 'zod'
import { waitForOutcome } from '../engine/wait-for-outcome.ts'
import { inBackground } from '../kernel/background.ts'
import { createAuthenticator } from '../kernel/caller.ts'
import { connect } from '../kernel/database/client.ts'
import { createDoorbellReader } from '../kernel/doorbell.ts'
import type { Environment } from '../kernel/environment.ts'
import { readBody } from '../kernel/http/body.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handlePost, jsonReply } from '../kernel/http/serve.ts'
import { createProjectCheck } from '../kernel/own-project.ts'
import { createSharedReads } from '../kernel/shared-reads.ts'
import { createWaitingRoom } from '../kernel/waiting-room.ts'
import type { ConnectOptions, Service } from '../services/service.ts'
import { createReconciler, type Inventories } from './reconciler.ts'
import { RunStore } from './runs.ts'

/** Below the 150 s within which a function must have replied. */
const WAIT_LIMIT_MS = 120_000
const WAIT_POLL_MS = 150

const bodySchema = z.strictObject({
  /** Report only, also where settings.reconcile_delete allows more. */
  dryRun: z.boolean().default(true),
  /** Reply when the run has ended instead of at once. */
  wait: z.boolean().default(false),
})

/**
 * Compares the providers' lists with our rows. It takes a signed doorbell from the database, answered 202 at once,
 * and goes on with the open run; or {dryRun?, wait?} with a secret key, answered with the report of the run, 202 while it is running
 * and 200 when the caller waited for its end. One run is open at a time: a second request is told of the same one.
 */
export function createReconcileFunction(
  environment: Environment,
  services: readonly Service[],
): (request: Request) => Promise<Response> {
  const sql = connect(environment)
  const runs = new RunStore(sql)
  const inventories = inventoriesOf(services, { variables: environment.variables, sql })
  const reconciler = createReconciler({ runs, inventories })
  const authenticate = createAuthenticator(environment)
  const readDoorbell = createDoorbellReader(sql, 'Send a secret key as apikey.')
  const waitingRoom = createWaitingRoom(environment)
  const assertOwnProject = createProjectCheck(environment, sql)
  const reports = createRunReports(runs)

  return handlePost(async (request) => {
    if (await readDoorbell(request)) {
      await assertOwnProject()
      inBackground(reconciler.ring())
      return jsonReply({ accepted: true }, 202)
    }
    const caller = await authenticate(request)
    if (caller.type !== 'service')
      throw new Problem('forbidden', 'Reconciliation is for the project’s own backend, with a secret key.')
    await assertOwnProject()
    const { dryRun, wait } = await readBody(request, bodySchema)
    const leave = wait ? waitingRoom.enter(caller) : undefined
    try {
      const runId = await runs.start(dryRun)
      inBackground(reconciler.ring())
      const report = await waitForOutcome({
        read: () => reports.read(runId),
        readLater: (signal) => reports.readLater(runId, signal),
        hasEnded: ({ status }) => status !== 'running',
        limitMs: wait ? WAIT_LIMIT_MS : 0,
        signal: request.signal,
      })
      return jsonReply(report, report.status === 'running' ? 202 : 200)
    } finally {
      leave?.()
    }
  })
}

/** Those who wait for a run share a poll. */
function createRunReports(runs: RunStore) {
  const read = async (runId: string) => {
    const found = await runs.report(runId)
    if (!found) throw new Error(`run ${runId} is gone`)
    return found
  }
  const later = createSharedReads(WAIT_POLL_MS, async (runIds: readonly string[]) => {
    const distinct = [...new Set(runIds)]
    const reports = await Promise.all(distinct.map(read))
    const byId = new Map(distinct.map((runId, index) => [runId, reports[index]]))
    return runIds.map((runId) => byId.get(runId))
  })
  return { read, readLater: (runId: string, signal: AbortSignal) => later.next(runId, signal) }
}

/** @throws Error that lists the variables that are missing or wrong */
function inventoriesOf(services: readonly Service[], options: ConnectOptions): Inventories {
  return Object.assign({}, ...services.map((service) => service.connect(options).inventories))
}
