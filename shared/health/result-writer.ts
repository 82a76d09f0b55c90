import type { CheckResult, HealthStore } from './health-store.ts'

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
    this.#writing = this.#writing
      .then(() => this.#store.record(results))
      .catch((error: unknown) =>
        console.error(`${results.length} health checks could not be written:`, error),
      )
    return this.#writing
  }
}
