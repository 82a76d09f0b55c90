import type postgres from 'postgres'
import { JobStore, LeaseLost } from '../../shared/engine/jobs.ts'
import { runJob } from '../../shared/engine/run-job.ts'
import type { Step, StepContext } from '../../shared/engine/step.ts'
import type { Database } from '../../shared/kernel/database/client.ts'

/**
 * How far apart the places are at which a test lets a worker die. npm run test:long takes each of them, and npm test an odd number, so
 * that they lie before writes and behind them.
 */
export function placesApart(inShort: number): number {
  return Number(process.env.PLACES_APART ?? inShort)
}

/** What a worker writes before the end of a step. */
type Write = 'planResource' | 'unplanResource' | 'saveRecord' | 'saveOutput' | 'assertLease'
const WRITES: readonly Write[] = ['planResource', 'unplanResource', 'saveRecord', 'saveOutput', 'assertLease']

/** A worker in this process, which can be let die at any place of its steps: before and behind each write, and each step. */
export class MortalWorker {
  readonly #sql: postgres.Sql
  readonly #database: Database
  /** How many more places it passes before it dies; undefined for one that lives. */
  #placesLeft: number | undefined
  /** At how many places one has died in each step; undefined where that is no business of the steps. */
  #deathsIn: Map<string, number> | undefined

  /** @param sql as somebody who may write everything @param database as the functions have it */
  constructor(sql: postgres.Sql, database: Database) {
    this.#sql = sql
    this.#database = database
  }

  /**
   * Works on the jobs of these organizations at once, each as far as it goes now, and on nobody else's.
   * @param hurry whether what waits is due at once @returns on how many
   */
  async work(
    organizationIds: readonly string[],
    steps: Readonly<Record<string, Step>>,
    { hurry = true, stepMaxSeconds = 30 }: { hurry?: boolean; stepMaxSeconds?: number } = {},
  ): Promise<number> {
    const ids = [...organizationIds]
    await this.#sql`
      update public.provisioning_jobs j set next_attempt_at = case when j.organization_id = any (${ids})
        then case when ${hurry} then now() else j.next_attempt_at end else now() + interval '1 hour' end
      where j.status = 'queued'`
    if (hurry)
      await this.#sql`
        update public.provisioning_steps set next_attempt_at = now(), settles_at = null
        where organization_id = any (${ids}) and status = 'retrying'`
    const jobs = new JobStore(this.#database)
    const rows = await this.#sql<{ kind: string }[]>`select kind from provisioning.job_kinds`
    const kinds = rows.map(({ kind }) => kind)
    const claimed = await jobs.claim(kinds, ids.length, {})
    const runner = { jobs, sql: this.#database, steps: this.#mortal(steps) }
    await Promise.all(claimed.map((job) => runJob(runner, job, { leaseSeconds: 60, stepMaxSeconds })))
    return claimed.length
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
      await this.#bury()
    }
  }

  /**
   * Lets a worker die in each step at its first place, the next one there at its second, and so on, until one comes through the step.
   * @param deaths at how many places of each step one has died so far, which grows @returns whether this one has died
   */
  async dieInSteps(deaths: Map<string, number>, work: () => Promise<void>): Promise<boolean> {
    this.#deathsIn = deaths
    this.#placesLeft = Number.POSITIVE_INFINITY
    try {
      await work()
      return this.#placesLeft <= 0
    } finally {
      this.#deathsIn = undefined
      await this.#bury()
    }
  }

  async #bury(): Promise<void> {
    this.#placesLeft = undefined
    await this.#sql`update provisioning.job_leases set expires_at = now() - interval '1 second'`
    await this.#sql`select provisioning.sweep()`
  }

  #mortal(steps: Readonly<Record<string, Step>>): Readonly<Record<string, Step>> {
    return Object.fromEntries(
      Object.entries(steps).map(([name, step]) => [
        name,
        async (context: StepContext) => {
          const pass = this.#passer(name)
          pass()
          const outcome = await step(wrapped(context, pass))
          pass()
          return outcome
        },
      ]),
    )
  }

  /** @returns what is called at each place of one attempt of a step */
  #passer(step: string): () => void {
    let passed = 0
    return () => {
      if (this.#placesLeft === undefined) return
      this.#placesLeft -= 1
      passed += 1
      const deaths = this.#deathsIn?.get(step) ?? 0
      if (this.#deathsIn && this.#placesLeft > 0 && passed > deaths) {
        this.#deathsIn.set(step, passed)
        this.#placesLeft = 0
      }
      if (this.#placesLeft <= 0) throw new LeaseLost('the worker has died')
    }
  }
}

function wrapped(context: StepContext, pass: () => void): StepContext {
  const writes = WRITES.map((name) => {
    const write: (...parts: never[]) => Promise<void> = context[name]
    const mortal = async (...parts: never[]) => {
      pass()
      await write(...parts)
      pass()
    }
    return [name, mortal]
  })
  return { ...context, ...Object.fromEntries(writes) }
}
