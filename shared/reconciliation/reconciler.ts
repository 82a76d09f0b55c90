import { setTimeout as sleep } from 'node:timers/promises'
import type { Failure } from '../kernel/failures.ts'
import { oneAtATime } from '../kernel/one-at-a-time.ts'
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

export interface Reconciler {
  /**
   * Goes on with the open run from where its rows say it stands, for settings.worker_max_seconds; then rings for a successor.
   * Does nothing when no run is open. In one process this happens once at a time, and two processes hinder each other only
   * in speed. Resolves when the work has ended.
   */
  continue(): Promise<void>
}

export function createReconciler(options: ReconcilerOptions): Reconciler {
  return { continue: oneAtATime(() => continueOpenRun(options)) }
}

async function continueOpenRun(options: ReconcilerOptions): Promise<void> {
  const { runs } = options
  const run = await runs.open()
  if (!run) return
  const deadline = performance.now() + run.workerMaxSeconds * 1000
  const outcome = await advance(options, run, () => performance.now() < deadline)
  if (outcome === 'time is up') await runs.ring()
}

/** `superseded`: another worker is at the run, and this one leaves it to that. */
type Outcome = 'done' | 'time is up' | 'superseded'

async function advance(options: ReconcilerOptions, run: Run, inTime: () => boolean): Promise<Outcome> {
  const read = await readLists(options, run.id, inTime)
  if (read !== 'done') return read
  if (!run.compared && !(await options.runs.compare(run.id))) return 'superseded'
  const errors: string[] = []
  const deleted = await deleteFindings(options, run.id, inTime, errors)
  if (deleted !== 'done') return deleted
  await options.runs.finish(run.id, errors.join(' ') || null)
  return 'done'
}

async function readLists(
  { runs, inventories }: ReconcilerOptions,
  runId: string,
  inTime: () => boolean,
): Promise<Outcome> {
  for (;;) {
    const list = await runs.openList(runId)
    if (!list) return 'done'
    if (!inTime()) return 'time is up'
    const inventory = inventories[list.resourceKind]
    if (!inventory) {
      await runs.endList(runId, list, `No service of this deployment lists ${list.resourceKind}.`)
      continue
    }
    const page = await readPage(inventory, list)
    if (!page.ok) await runs.endList(runId, list, page.failure.message)
    else if (!(await runs.savePage(runId, list, page.value))) return 'superseded'
  }
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

/** @param errors receives what could not be deleted, and why; it is tried again by the next run */
async function deleteFindings(
  { runs, inventories }: ReconcilerOptions,
  runId: string,
  inTime: () => boolean,
  errors: string[],
): Promise<Outcome> {
  for (const finding of await runs.deletable(runId)) {
    if (!inTime()) return 'time is up'
    const deleted = await deleteFinding(runs, inventoryOf(inventories, finding.resourceKind), runId, finding)
    if (!deleted.ok) errors.push(`${finding.resourceId} was not deleted: ${deleted.failure.message}`)
  }
  return 'done'
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
