import { deliverAlerts } from '../alerts/deliver.ts'
import type { Database } from '../kernel/database/client.ts'
import type { Failure } from '../kernel/failures.ts'
import { oneAtATime } from '../kernel/one-at-a-time.ts'
import type { Result } from '../kernel/result.ts'
import { type FleetRead, readFleetPage } from './fleet.ts'
import { type CheckResult, type ClaimedTenant, type HealthSettings, HealthStore } from './health-store.ts'
import { ResultWriter, writeResults } from './result-writer.ts'
import { waitOutShortPauses } from './short-pauses.ts'
import { checkDueTenant, checkTenant, type HealthProvider } from './tenant-check.ts'

/** After an answer of the provider that says nothing of the tenant. */
const TRY_AGAIN_SECONDS = 30
/** A compute that only checks keep awake is not connected to; it is seen in the list when it sleeps. */
const LEFT_ALONE_SECONDS = 60

export interface HealthChecker {
  /** Starts checking what is due, unless this process is at it already. Resolves when that has ended. */
  ring(): Promise<void>
  /** Checks one tenant now. @returns undefined when it has no database to check */
  check(organizationId: string, deep: boolean): Promise<Result<CheckResult> | undefined>
}

/**
 * Checks due tenants, several at once, each within its own time limit, so that a dead one delays nobody. One drain runs in a
 * process at a time; it stops after its share (settings.health_worker_max_tenants, health_worker_max_seconds) and rings for a
 * successor when work is left. What it has claimed and not written when it dies falls due again.
 * @param now milliseconds, of the clock that the provider's times are compared with
 */
export function createHealthChecker(
  sql: Database,
  provider: HealthProvider,
  now: () => number = Date.now,
): HealthChecker {
  const store = new HealthStore(sql)
  const neon = waitOutShortPauses(provider)
  const checks = oneAtATime(() => new Drain(store, neon, now).run())
  const deliveries = oneAtATime(() => deliverAlerts(sql))
  return {
    // Apart from each other: a webhook that does not answer must not keep the next tick from checking.
    ring: () => Promise.all([checks(), deliveries()]).then(() => undefined),
    async check(organizationId, deep) {
      const tenant = await store.claimOne(organizationId)
      if (!tenant) return undefined
      const { timeoutMs } = await store.settings()
      const result = await checkTenant({ store, neon, timeoutMs, now }, tenant, deep)
      if (result.ok) await writeResults(store, [result.value])
      else await store.release([organizationId], pauseAfter(result.failure), true)
      return result
    },
  }
}

function pauseAfter({ pauseSeconds, retryAfterSeconds }: Failure): number {
  return Math.max(pauseSeconds ?? TRY_AGAIN_SECONDS, retryAfterSeconds ?? 0)
}

class Drain {
  readonly #store: HealthStore
  readonly #neon: HealthProvider
  readonly #now: () => number
  readonly #active = new Set<Promise<void>>()
  readonly #startedAt = performance.now()
  readonly #writer: ResultWriter
  readonly #troubles = new Set<string>()
  #fleet: FleetRead | undefined
  #claimed = 0

  constructor(store: HealthStore, neon: HealthProvider, now: () => number) {
    this.#store = store
    this.#neon = neon
    this.#now = now
    this.#writer = new ResultWriter(store)
  }

  async run(): Promise<void> {
    const settings = await this.#store.settings()
    let workLeft = true
    try {
      while (workLeft && this.#withinShare(settings)) {
        const room = Math.min(settings.concurrency - this.#active.size, settings.maxTenants - this.#claimed)
        workLeft = room > 0 ? await this.#takeWork(room, settings) : true
        if (room <= 0 || (!workLeft && this.#active.size > 0)) {
          await Promise.race(this.#active)
          workLeft = true
        }
      }
    } finally {
      if (this.#fleet) await this.#store.abandon(this.#fleet.token, 0)
      await Promise.all(this.#active)
      await this.#writer.flush()
    }
    if (workLeft) await this.#store.ring()
  }

  #withinShare({ maxTenants, maxSeconds }: HealthSettings): boolean {
    return this.#claimed < maxTenants && performance.now() - this.#startedAt < maxSeconds * 1000
  }

  /** Those that are known to be awake first; then whoever else is due, in the way that costs the fewest calls. */
  async #takeWork(room: number, settings: HealthSettings): Promise<boolean> {
    if ((await this.#claim(room, true, settings)) > 0) return true
    if (this.#fleet === undefined) {
      const plan = await this.#store.plan()
      if (plan.mode === 'each') return (await this.#claim(room, false, settings)) > 0
      if (plan.mode !== 'fleet') return false
      this.#fleet = { token: plan.token, cursor: plan.cursor ?? undefined }
    }
    return this.#readPage(this.#fleet)
  }

  async #claim(room: number, awakeOnly: boolean, { timeoutMs }: HealthSettings): Promise<number> {
    const tenants = await this.#store.claim(room, awakeOnly)
    this.#claimed += tenants.length
    for (const tenant of tenants) this.#start(tenant, timeoutMs)
    return tenants.length
  }

  #start(tenant: ClaimedTenant, timeoutMs: number): void {
    const { organizationId } = tenant
    const check: Promise<void> = this.#check(tenant, timeoutMs)
      // The tenant falls due again when its lease has run out.
      .catch((error: unknown) =>
        console.error(`the check of organization ${organizationId} ended early:`, error),
      )
      .finally(() => this.#active.delete(check))
    this.#active.add(check)
  }

  async #check(tenant: ClaimedTenant, timeoutMs: number): Promise<void> {
    const means = { store: this.#store, neon: this.#neon, timeoutMs, now: this.#now }
    const result = await checkDueTenant(means, tenant)
    if (!result.ok)
      await this.#store.release([tenant.organizationId], this.#noteTrouble(result.failure), true)
    else if (result.value === 'left_alone')
      await this.#store.release([tenant.organizationId], LEFT_ALONE_SECONDS, false)
    else this.#writer.add(result.value)
  }

  /** @returns the seconds until it is worth asking the provider again */
  #noteTrouble(trouble: Failure): number {
    if (!this.#troubles.has(trouble.code)) console.error(`health checks are put off: ${trouble.message}`)
    this.#troubles.add(trouble.code)
    return pauseAfter(trouble)
  }

  /** @returns false when the provider does not answer: there is no use in going on */
  async #readPage(fleet: FleetRead): Promise<boolean> {
    const page = await readFleetPage(this.#store, this.#neon, fleet, this.#now)
    this.#fleet = page.ok ? page.value : undefined
    if (page.ok) return true
    await this.#store.abandon(fleet.token, this.#noteTrouble(page.failure))
    return false
  }
}
