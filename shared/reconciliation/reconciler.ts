import { setTimeout as sleep } from 'node:timers/promises'
import { createDrain, type Drain, type Taken, type Workload } from '../engine/drain.ts'
import type { Failure } from '../kernel/failures.ts'
import type { Result } from '../kernel/result.ts'
import type { Inventory, InventoryPage } from '../services/inventory.ts'
import type { Finding, List, Run, RunStore } from './runs.ts'

/** A page is asked for again after what may pass by itself, so that one hiccup does not cost a day's comparison. */
const PAGE_TRIES = 3
const LONGEST_WAIT_SECONDS = 15

export type Inventories = Readonly<Record<string, Inventory>>

export interface ReconcilerOptions {
  readonly runs: RunStore
  /** By kind of resource. */
  readonly inventories: Inventories
}

/**
 * Goes on with the open run from where its rows say it stands, a page, a comparison or a deletion at a time, for
 * settings.worker_max_seconds. Does nothing when no run is open. Two processes hinder each other only in speed.
 */
export function createReconciler(options: ReconcilerOptions): Drain {
  return createDrain(() => openRun(options))
}

const NOTHING: Taken = { pieces: [], more: false }

async function openRun(options: ReconcilerOptions): Promise<Workload> {
  const { runs } = options
  const run = await runs.open()
  const next = run && nextSteps(options, run)
  return {
    limits: {
      concurrency: 1,
      maxPieces: Number.POSITIVE_INFINITY,
      maxSeconds: run?.workerMaxSeconds ?? 0,
      lingerMs: 0,
      lookAgainMs: 0,
    },
    take: async () => next?.() ?? NOTHING,
    ringSuccessor: async () => {
      if (run) await runs.ring()
    },
  }
}

/** @returns a function that begins the next piece of a run, or nothing when this worker has nothing more to do in it */
function nextSteps({ runs, inventories }: ReconcilerOptions, run: Run): () => Promise<Taken> {
  const errors: string[] = []
  let compared = run.compared
  let findings: Finding[] | undefined
  /** The run has ended, another worker is at it, or a piece has broken: then the rows say where to go on. */
  let over = false

  /** @param work returns false when another worker is at the run, and this one leaves it to that */
  const begin = (work: () => Promise<boolean>): Taken => {
    over = true
    const piece = work().then((goesOn) => {
      over = !goesOn
    })
    return { pieces: [piece], more: false }
  }
  return async () => {
    if (over) return NOTHING
    const list = await runs.openList(run.id)
    if (list) return begin(() => readList(runs, inventories[list.resourceKind], run.id, list))
    if (!compared) {
      compared = true
      return begin(() => runs.compare(run.id))
    }
    findings ??= await runs.deletable(run.id)
    const finding = findings.shift()
    if (finding) {
      return begin(async () => {
        const deleted = await deleteFinding(
          runs,
          inventoryOf(inventories, finding.resourceKind),
          run.id,
          finding,
        )
        if (!deleted.ok) errors.push(`${finding.resourceId} was not deleted: ${deleted.failure.message}`)
        return true
      })
    }
    return begin(async () => {
      await runs.finish(run.id, errors.join(' ') || null)
      return false
    })
  }
}

/** @returns false when another worker has read this page */
async function readList(
  runs: RunStore,
  inventory: Inventory | undefined,
  runId: string,
  list: List,
): Promise<boolean> {
  if (!inventory) {
    await runs.endList(runId, list, `No service of this deployment lists ${list.resourceKind}.`)
    return true
  }
  const page = await readPage(inventory, list)
  if (page.ok) return runs.savePage(runId, list, page.value)
  await runs.endList(runId, list, page.failure.message)
  return true
}

async function readPage(inventory: Inventory, { cursor }: List): Promise<Result<InventoryPage>> {
  for (let attempt = 1; ; attempt++) {
    const page = await inventory.page(cursor)
    if (page.ok || !page.failure.retryable || attempt === PAGE_TRIES) return page
    const seconds = waitSeconds(page.failure, attempt)
    if (seconds > LONGEST_WAIT_SECONDS) return page
    await sleep(seconds * 1000)
  }
}

function waitSeconds({ pauseSeconds = 0, retryAfterSeconds = 0 }: Failure, attempt: number): number {
  return Math.max(pauseSeconds, retryAfterSeconds, attempt)
}

/** Thrown in the last moment, when something has come to need the resource, or the cap is reached. */
class DeletionRefused extends Error {}

async function deleteFinding(
  runs: RunStore,
  inventory: Inventory,
  runId: string,
  finding: Finding,
): Promise<Result<void>> {
  const assertDeletable = async () => {
    if (!(await runs.beginDeletion(runId, finding))) throw new DeletionRefused()
  }
  try {
    const deleted = await inventory.remove(finding.resourceId, assertDeletable)
    if (deleted.ok) await runs.completeDeletion(runId, finding)
    return deleted
  } catch (error) {
    if (error instanceof DeletionRefused) return { ok: true, value: undefined }
    throw error
  }
}

function inventoryOf(inventories: Inventories, resourceKind: string): Inventory {
  const inventory = inventories[resourceKind]
  if (!inventory) throw new Error(`no service of this deployment lists "${resourceKind}"`)
  return inventory
}
