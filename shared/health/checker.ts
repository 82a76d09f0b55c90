import { createDrain, type Taken, type Workload } from '../engine/drain.ts'
import type { Database } from '../kernel/database/client.ts'
import type { Failure } from '../kernel/failures.ts'
import { inLane } from '../kernel/lane.ts'
import { log } from '../kernel/log.ts'
import type { Result } from '../kernel/result.ts'
import { type DatabaseWatch, throughEach } from '../services/database/watch.ts'
import { ExpectedSchemas } from './expected-schemas.ts'
import { type FleetRead, type ListedWatch, readFleetPage } from './fleet.ts'
import { type CheckResult, type ClaimedTenant, HealthStore } from './health-store.ts'
import { ResultWriter, writeResults } from './result-writer.ts'
import { waitOutShortPauses } from './short-pauses.ts'
import { checkDueTenant, checkTenant } from './tenant-check.ts'

/** Under this name begin_call knows the calls of health. */
const SHARE = 'health'
/** After an answer of the provider that says nothing of the tenant. */
const TRY_AGAIN_SECONDS = 30
/**
 * Our own connections keep a compute awake. One that nobody else uses is therefore left alone for so long, until the list shows
 * that it sleeps.
 */
const LEFT_ALONE_SECONDS = 60

export interface HealthChecker {
  /** Starts checking what is due, unless this process is at it already. Resolves when that has ended. */
  ring(): Promise<void>
  /** Checks one tenant now. @returns undefined when it has no database to check */
  check(organizationId: string, deep: boolean): Promise<Result<CheckResult> | undefined>
}

/**
 * Checks due tenants, settings.health_concurrency at once, each within its own time limit, so that a dead one delays nobody. The
 * share of a drain is settings.health_worker_max_tenants and health_worker_max_seconds. What it has claimed and not written
 * when it dies falls due again.
 * @param watches the hosts of the databases; the list of at most one is read page by page
 * @param now milliseconds, of the clock that the provider's times are compared with
 */
export function createHealthChecker(
  sql: Database,
  watches: readonly DatabaseWatch[],
  now: () => number = Date.now,
): HealthChecker {
  const store = new HealthStore(sql)
  const schemas = new ExpectedSchemas(store)
  // What somebody asks for is not taken from the share of what is due.
  const waiting = watches.map(waitOutShortPauses)
  const shared = watches.map((watch) => waitOutShortPauses(withItsShare(watch)))
  const checks = createDrain(() => openChecks({ store, schemas, watches: shared, now }))
  return {
    ring: () => checks.ring(),
    async check(organizationId, deep) {
      const tenant = await store.claimOne(organizationId)
      if (!tenant) return undefined
      const settings = await store.settings()
      const watch = watchOf(waiting, tenant.tier)
      const result = await checkTenant({ store, schemas, watch, settings, now }, tenant, deep)
      if (result.ok) await writeResults(store, [result.value])
      else await store.release([organizationId], pauseAfter(result.failure), true)
      return result
    },
  }
}

/** Of the provider's rate limits, a share is for checks that are due alone (provisioning.provider_shares). */
function withItsShare(watch: DatabaseWatch): DatabaseWatch {
  return throughEach(watch, (request) => inLane(SHARE, request))
}

function watchOf(watches: readonly DatabaseWatch[], tier: string): DatabaseWatch {
  const watch = watches.find((each) => each.tier === tier)
  if (!watch) throw new Error(`no service watches the databases of the tier "${tier}"`)
  return watch
}

function hasList(watch: DatabaseWatch): watch is ListedWatch {
  return watch.list !== undefined
}

function pauseAfter({ pauseSeconds, retryAfterSeconds }: Failure): number {
  return Math.max(pauseSeconds ?? TRY_AGAIN_SECONDS, retryAfterSeconds ?? 0)
}

interface CheckerMeans {
  readonly store: HealthStore
  readonly schemas: ExpectedSchemas
  readonly watches: readonly DatabaseWatch[]
  readonly now: () => number
}

async function openChecks({ store, schemas, watches, now }: CheckerMeans): Promise<Workload> {
  const settings = await store.settings()
  const { concurrency, maxTenants, maxSeconds } = settings
  const listed = watches.find(hasList)
  const writer = new ResultWriter(store)
  const troubles = new Set<string>()
  let fleet: FleetRead | undefined

  /** @returns the seconds until it is worth asking the provider again */
  const noteTrouble = (trouble: Failure): number => {
    if (!troubles.has(trouble.code)) log.error('health checks are put off', { code: trouble.code })
    troubles.add(trouble.code)
    return pauseAfter(trouble)
  }

  const check = async (tenant: ClaimedTenant): Promise<void> => {
    const watch = watchOf(watches, tenant.tier)
    const result = await checkDueTenant({ store, schemas, watch, settings, now }, tenant)
    if (!result.ok) await store.release([tenant.organizationId], noteTrouble(result.failure), true)
    else if (result.value === 'left_alone')
      await store.release([tenant.organizationId], LEFT_ALONE_SECONDS, false)
    else writer.add(result.value)
  }

  const run = async (tenant: ClaimedTenant): Promise<void> => {
    // The tenant falls due again when its lease has run out.
    await check(tenant).catch((error: unknown) =>
      log.error('the check ended early', { organization: tenant.organizationId }, error),
    )
  }

  const claim = async (room: number, awakeOnly: boolean): Promise<Taken> => {
    const tenants = await store.claim(room, awakeOnly)
    return { pieces: tenants.map(run), more: tenants.length > 0 }
  }

  /** More is false when the provider does not answer: there is no use in going on. */
  const readPage = async (watch: ListedWatch, read: FleetRead): Promise<Taken> => {
    const page = await readFleetPage(store, watch, read, now)
    fleet = page.ok ? page.value : undefined
    if (!page.ok) await store.abandon(read.token, noteTrouble(page.failure))
    return { pieces: [], more: page.ok }
  }

  return {
    limits: { concurrency, maxPieces: maxTenants, maxSeconds, lingerMs: 0, lookAgainMs: 0 },
    /** Those that are known to be awake first; then whoever else is due, in the way that costs the fewest calls. */
    async take(room) {
      const awake = await claim(room, true)
      if (awake.more || !listed) return awake
      if (fleet === undefined) {
        const plan = await store.plan()
        if (plan.mode === 'each') return claim(room, false)
        if (plan.mode !== 'fleet') return { pieces: [], more: false }
        fleet = { token: plan.token, cursor: plan.cursor ?? undefined }
      }
      return readPage(listed, fleet)
    },
    async leave() {
      if (fleet) await store.abandon(fleet.token, 0)
    },
    close: () => writer.flush(),
    ringSuccessor: () => store.ring(),
  }
}
