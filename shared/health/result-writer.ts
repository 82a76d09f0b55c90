import { sqlState } from '../kernel/database/client.ts'
import { log } from '../kernel/log.ts'
import type { CheckResult, HealthStore } from './health-store.ts'
import { trouble } from './reasons.ts'

const BATCH = 50
const LONGEST_WAIT_MS = 250

/** Writes results in bulk: when there are enough of them, or the first has waited for a moment. */
export class ResultWriter {
  readonly #store: HealthStore
  #waiting: CheckResult[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(store: HealthStore) {
    this.#store = store
  }

  add(result: CheckResult): void {
    this.#waiting.push(result)
    if (this.#waiting.length >= BATCH) void this.flush()
    else this.#timer ??= setTimeout(() => void this.flush(), LONGEST_WAIT_MS)
  }

  /** Resolves when everything that was added is written, or its failure is in the log: then the tenants fall due again. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const results = this.#waiting.splice(0)
    this.#writing = this.#writing.then(() => writeResults(this.#store, results))
    return this.#writing
  }
}

/**
 * Writes results. Those that the database refuses together are written one by one, so that one that cannot be written keeps no
 * other from being seen; it is written down as that. Never throws: what cannot be written at all is in the log.
 */
export async function writeResults(
  store: Pick<HealthStore, 'record'>,
  results: readonly CheckResult[],
): Promise<void> {
  try {
    await store.record(results)
  } catch (error) {
    const [only, ...others] = results
    if (only && others.length === 0) await writeRefusal(store, only, error)
    else if (sqlState(error) === undefined) logUnwritten(results, error)
    else for (const result of results) await writeResults(store, [result])
  }
}

async function writeRefusal(
  store: Pick<HealthStore, 'record'>,
  { organizationId, checkedAt, connected, probe }: CheckResult,
  refusal: unknown,
): Promise<void> {
  logUnwritten([{ organizationId }], refusal)
  if (sqlState(refusal) === undefined) return
  const reasons = [trouble('result_refused')]
  await store
    .record([{ organizationId, checkedAt, probe, connected, status: 'unhealthy', reasons, metrics: {} }])
    .catch((error: unknown) => logUnwritten([{ organizationId }], error))
}

/** A line of the log names so many organizations. */
const NAMED = 20

function logUnwritten(results: readonly Pick<CheckResult, 'organizationId'>[], error: unknown): void {
  const organizations = results.slice(0, NAMED).map(({ organizationId }) => organizationId)
  log.error('health checks could not be written', { checks: results.length, organizations }, error)
}
