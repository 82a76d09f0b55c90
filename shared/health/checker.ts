import { deliverAlerts } from '../alerts/deliver.ts'
import type { Database } from '../database/client.ts'
import type { NeonProvider } from '../providers/neon.ts'
import type { Failure } from '../provisioning/failures.ts'
import type { Result } from '../result.ts'
import { type FleetRead, readFleetPage } from './fleet.ts'
import { type CheckResult, type ClaimedTenant, type HealthSettings, HealthStore } from './health-store.ts'
import { ResultWriter } from './result-writer.ts'
import { checkTenant } from './tenant-check.ts'

/** After an answer of the provider that says nothing of the tenant. */
const TRY_AGAIN_SECONDS = 30

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
 */
export function createHealthChecker(sql: Database, neon: NeonProvider): HealthChecker {
  const store = new HealthStore(sql)
  let current: Promise<void> | undefined
  return {
    ring() {
      current ??= Promise.all([new Drain(store, neon).run(), deliverAlerts(sql)])
        .then(() => undefined)
        .finally(() => {
          current = undefined
        })
      return current
    },
    async check(organizationId, deep) {
      const tenant = await store.claimOne(organizationId)
      if (!tenant) return undefined
      const { timeoutMs } = await store.settings()
      const result = await checkTenant({ store, neon, timeoutMs }, tenant, deep)
      if (result.ok) await store.record([result.value])
      else await store.release([organizationId], result.failure.pauseSeconds ?? TRY_AGAIN_SECONDS)
      return result
    },
  }
}

class Drain {
  readonly #store: HealthStore
  readonly #neon: NeonProvider
  readonly #active = new Set<Promise<void>>()
  readonly #startedAt = performance.now()
  readonly #writer: ResultWriter
  #fleet: FleetRead | undefined
  #claimed = 0

  constructor(store: HealthStore, neon: NeonProvider) {
    this.#store = store
    this.#neon = neon
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
    const check: Promise<void> = checkTenant(
      { store: this.#store, neon: this.#neon, timeoutMs },
      tenant,
      false,
    )
      .then((result) =>
        result.ok ? this.#writer.add(result.value) : this.#putBack(organizationId, result.failure),
      )
      // The tenant falls due again when its lease has run out.
      .catch((error: unknown) =>
        console.error(`the check of organization ${organizationId} ended early:`, error),
      )
      .finally(() => this.#active.delete(check))
    this.#active.add(check)
  }

  #putBack(organizationId: string, { pauseSeconds, retryAfterSeconds }: Failure): Promise<void> {
    return this.#store.release(
      [organizationId],
      Math.max(pauseSeconds ?? TRY_AGAIN_SECONDS, retryAfterSeconds ?? 0),
    )
  }

  /** @returns false when the provider does not answer: there is no use in going on */
  async #readPage(fleet: FleetRead): Promise<boolean> {
    const page = await readFleetPage(this.#store, this.#neon, fleet)
    this.#fleet = page.ok ? page.value : undefined
    if (page.ok) return true
    const { pauseSeconds, retryAfterSeconds } = page.failure
    await this.#store.abandon(
      fleet.token,
      Math.max(pauseSeconds ?? TRY_AGAIN_SECONDS, retryAfterSeconds ?? 0),
    )
    return false
  }
}
