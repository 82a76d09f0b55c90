import type postgres from 'postgres'
import { LeaseLost } from '../../shared/engine/jobs.ts'
import type { Step, StepContext } from '../../shared/engine/step.ts'

/** What a worker writes before the end of a step. */
type Write = 'planResource' | 'unplanResource' | 'saveRecord' | 'saveOutput' | 'assertLease'
const WRITES: readonly Write[] = ['planResource', 'unplanResource', 'saveRecord', 'saveOutput', 'assertLease']

/** Lets a worker die at any place of its steps: before and behind each write, and each step. */
export class MortalWorker {
  readonly #sql: postgres.Sql
  /** How many more places it passes before it dies; undefined for one that lives. */
  #placesLeft: number | undefined

  constructor(sql: postgres.Sql) {
    this.#sql = sql
  }

  /**
   * Nothing that it would do comes after that, and another takes the job over.
   * @param isOpen whether the job has work to do yet @returns whether it has come so far
   */
  async dieAt(place: number, isOpen: () => Promise<boolean>, work: () => Promise<void>): Promise<boolean> {
    this.#placesLeft = place
    try {
      while (this.#placesLeft > 0 && (await isOpen())) await work()
      return this.#placesLeft <= 0
    } finally {
      this.#placesLeft = undefined
      await this.#sql`update provisioning.job_leases set expires_at = now() - interval '1 second'`
      await this.#sql`select provisioning.sweep()`
    }
  }

  mortal(steps: Readonly<Record<string, Step>>): Readonly<Record<string, Step>> {
    return Object.fromEntries(
      Object.entries(steps).map(([name, step]) => [
        name,
        async (context: StepContext) => {
          this.#pass()
          const outcome = await step(this.#wrap(context))
          this.#pass()
          return outcome
        },
      ]),
    )
  }

  #pass(): void {
    if (this.#placesLeft === undefined) return
    this.#placesLeft -= 1
    if (this.#placesLeft <= 0) throw new LeaseLost('the worker has died')
  }

  #wrap(context: StepContext): StepContext {
    const writes = WRITES.map((name) => {
      const write: (...parts: never[]) => Promise<void> = context[name]
      const mortal = async (...parts: never[]) => {
        this.#pass()
        await write(...parts)
        this.#pass()
      }
      return [name, mortal]
    })
    return { ...context, ...Object.fromEntries(writes) }
  }
}
