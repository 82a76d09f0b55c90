import { type Result, success } from '../kernel/result.ts'
import type { DatabaseNow, DatabaseUsage, DatabaseWatch } from '../services/database/watch.ts'
import { latestSchemaVersion } from '../tenant-database/latest-schema-version.ts'
import { withPassword } from '../tenant-database/stored-password.ts'
import { evaluate, type Metrics, storage } from './evaluate.ts'
import type { ExpectedSchemas } from './expected-schemas.ts'
import type { CheckResult, ClaimedTenant, HealthSettings, HealthStore } from './health-store.ts'
import { probeDatabase } from './probe.ts'
import { inWordsOf, notice, outlastsSleep, type Reason, statusFrom, trouble } from './reasons.ts'
import { isSchemaDue, knownOfSchema } from './schema-look.ts'
import { illServices, knownOfServices, lookAtServices } from './service-look.ts'

export interface TenantCheck {
  readonly store: HealthStore
  readonly schemas: ExpectedSchemas
  /** Of the host of the tenant's database. */
  readonly watch: DatabaseWatch
  readonly settings: Pick<HealthSettings, 'timeoutMs' | 'servicesMs' | 'changingMs'>
  /** Milliseconds, of the clock that the provider's times are compared with. */
  readonly now: () => number
}

/**
 * Where a host's answers are shared, somebody who asks gets none that is older, and no database is called unhealthy by one: not
 * newer, or an outage of all databases would need a call for each few of them.
 */
const FRESH_MS = 5_000

/** What the provider sees of a connection of ours may last so much longer than the check's beginning. */
const OWN_ACTIVITY_SECONDS = 15

/** States that speak against a database, and that are looked at once more before they do. */
const TROUBLED: ReadonlySet<DatabaseNow['state']> = new Set(['changing', 'failed'])

/**
 * Checks a tenant that is due, unless nobody but checks has used its compute for so long that it would be asleep without
 * them: then it is left alone until it is. @returns like checkTenant
 */
export async function checkDueTenant(
  check: TenantCheck,
  tenant: ClaimedTenant,
): Promise<Result<CheckResult | 'left_alone'>> {
  if (tenant.hostedAs === null) return checkTenant(check, tenant, false)
  const listed = await check.watch.state(tenant.hostedAs)
  // What was shared may have been too old: a database that has just become ready was still being made then.
  const found =
    listed.ok && TROUBLED.has(listed.value.state) && !check.watch.list
      ? await check.watch.state(tenant.hostedAs, Date.now() - FRESH_MS)
      : listed
  if (!found.ok) return found
  if (found.value.state === 'active' && isAwakeForUsAlone(tenant, found.value, check.now()))
    return success('left_alone')
  return examine(check, { ...tenant, hostedAs: tenant.hostedAs }, found.value, tenant.deepCheckDue, false)
}

/**
 * Checks one tenant: asks the provider how its compute is, and connects only when it is awake, or when it is wanted (`deep`)
 * or due that a sleeping one is woken. @returns a failure when the provider cannot be asked, which says nothing of the tenant
 */
export async function checkTenant(
  check: TenantCheck,
  tenant: ClaimedTenant,
  deep: boolean,
): Promise<Result<CheckResult>> {
  const { hostedAs } = tenant
  if (hostedAs === null)
    return success(unusable(check.watch, tenant, new Date().toISOString(), [trouble('project_deleted')]))
  const found = await check.watch.state(hostedAs, Date.now() - FRESH_MS)
  return found.ok
    ? examine(check, { ...tenant, hostedAs }, found.value, deep || tenant.deepCheckDue, true)
    : found
}

type HostedTenant = ClaimedTenant & { readonly hostedAs: string }

async function examine(
  check: TenantCheck,
  tenant: HostedTenant,
  found: DatabaseNow,
  mayWake: boolean,
  asked: boolean,
): Promise<Result<CheckResult>> {
  const { watch } = check
  const at = new Date().toISOString()
  const without = withoutConnection(check, tenant, found, at)
  if (without) return success(without)
  if (watch.list && found.state === 'idle' && !mayWake) {
    const usage = await watch.list.usage(tenant.hostedAs)
    return usage.ok ? success(asleep(watch, tenant, at, usage.value)) : usage
  }
  const result = await connect(check, tenant, found, at, asked)
  if (result.status === 'unhealthy' && !watch.list) {
    // What was shared may have been too old: it may have been put to rest, or deleted, before we came.
    const again = await watch.state(tenant.hostedAs, Date.now() - FRESH_MS)
    if (!again.ok) return again
    const since = withoutConnection(check, tenant, again.value, at)
    if (since) return success(since)
  }
  const usedSecondsAgo = usedByOthers(tenant, found, check.now())
  return success(usedSecondsAgo === undefined ? result : { ...result, usedSecondsAgo })
}

/** What is known of a database that is not to be connected to; undefined of any other. */
function withoutConnection(
  { watch, settings }: TenantCheck,
  tenant: ClaimedTenant,
  { state, said }: DatabaseNow,
  at: string,
): CheckResult | undefined {
  switch (state) {
    case 'gone':
      return unusable(watch, tenant, at, [trouble('project_deleted')])
    case 'disabled':
      return unusable(watch, tenant, at, [trouble('compute_disabled')])
    case 'failed':
      return unusable(watch, tenant, at, [trouble('project_failed', said)])
    case 'paused':
      return asleep(watch, tenant, at, {}, [notice('project_paused')])
    case 'changing': {
      const changing = changingSince(tenant.metrics, said ?? state, at)
      const hangs = Date.parse(at) - Date.parse(changing.since) >= settings.changingMs
      const detail = `${changing.said} since ${changing.since.slice(0, 16).replace('T', ' ')} UTC`
      const reason = hangs ? trouble('project_hangs', detail) : notice('project_changing', detail)
      const result = unusable(watch, tenant, at, [reason])
      return { ...result, metrics: { ...result.metrics, changing } }
    }
    default:
      return undefined
  }
}

function changingSince({ changing }: Metrics, said: string, at: string) {
  return changing?.said === said ? changing : { said, since: at }
}

/** Seconds since somebody else used it; undefined when the provider saw nobody but us since the last connection. */
function usedByOthers(
  { probedSecondsAgo }: ClaimedTenant,
  { lastActiveAt }: DatabaseNow,
  now: number,
): number | undefined {
  if (lastActiveAt === undefined) return undefined
  const activeSecondsAgo = Math.max(0, (now - Date.parse(lastActiveAt)) / 1000)
  return activeSecondsAgo < probedSecondsAgo - OWN_ACTIVITY_SECONDS ? activeSecondsAgo : undefined
}

/** Every connection starts the suspend timeout anew, so checks alone could keep a compute awake, and paid for, for ever. */
function isAwakeForUsAlone(tenant: ClaimedTenant, found: DatabaseNow, now: number): boolean {
  // Where nobody counts its use, it does not sleep for want of it.
  if (found.lastActiveAt === undefined) return false
  // What does not let us in has no session of ours that could keep it awake.
  if (!tenant.lastProbeConnected || tenant.suspendTimeoutSeconds === -1) return false
  return (usedByOthers(tenant, found, now) ?? tenant.usedSecondsAgo) > tenant.suspendTimeoutSeconds
}

type Sleeper = Pick<ClaimedTenant, 'organizationId' | 'reasons' | 'metrics' | 'thresholds'>

/** What is known of a database that sleeps: nothing is wrong with that, unless it cannot be used when it wakes. */
export function asleep(
  { words }: DatabaseWatch,
  { organizationId, reasons: known, metrics: { size_bytes: measured, changing }, thresholds }: Sleeper,
  checkedAt: string,
  { storageBytes, exhaustedQuota }: DatabaseUsage,
  why: readonly Reason[] = [],
): CheckResult {
  // What a host calls storage may include history, which the quota does not count.
  const size = measured ?? storageBytes
  const metrics = { ...(size === undefined ? {} : { size_bytes: size }), ...ended(changing) }
  const reasons = [
    ...why,
    ...(exhaustedQuota ? [trouble('quota_suspended', exhaustedQuota)] : []),
    ...known.filter(outlastsSleep),
    ...storage(metrics, thresholds),
  ].map((reason) => inWordsOf(words, reason))
  const status = statusFrom(reasons)
  return {
    organizationId,
    checkedAt,
    probe: 'state',
    status: status === 'healthy' ? 'sleeping' : status,
    reasons,
    metrics,
    connected: false,
  }
}

async function connect(
  check: TenantCheck,
  tenant: HostedTenant,
  { state, said }: DatabaseNow,
  checkedAt: string,
  asked: boolean,
): Promise<CheckResult> {
  const { store, schemas, watch, settings } = check
  const { organizationId, thresholds, schemaVersion } = tenant
  const expected = isSchemaDue(tenant, asked, Date.now()) ? await schemas.of(tenant) : undefined
  const probed = await withPassword(
    () => store.password(organizationId),
    (password) => probeDatabase(tenant, password, tenant.metrics, settings.timeoutMs, expected),
    (tried) => !tried.ok && tried.reason.code === 'login_refused',
  )
  const ailing = state === 'ailing' ? [notice('project_unhealthy', said)] : []
  if (!probed.ok) return unusable(watch, tenant, checkedAt, [trouble('credentials_missing'), ...ailing])
  const probe = probed.value
  // One that cannot be used has trouble enough, and an outage of all would ask for the services of all.
  const services =
    probe.ok || asked
      ? await lookAtServices(watch, tenant, asked, settings.servicesMs)
      : knownOfServices(tenant.metrics)
  const metrics = {
    ...probe.metrics,
    ...services,
    ...(thresholds.quota_bytes === null ? {} : { quota_bytes: thresholds.quota_bytes }),
    ...(schemaVersion === null ? {} : { schema_version: schemaVersion }),
  }
  const besides = [...ailing, ...illServices(metrics)]
  if (!probe.ok) {
    const result = unusable(watch, tenant, checkedAt, [probe.reason, ...besides])
    return {
      ...result,
      probe: 'connection',
      metrics: { ...result.metrics, ...knownOfServices(metrics), ...probe.metrics },
      connected: probe.sessionOpened,
    }
  }
  const found = evaluate(metrics, thresholds, latestSchemaVersion, Date.now()).reasons
  const reasons = [...found, ...besides].map((reason) => inWordsOf(watch.words, reason))
  return {
    organizationId,
    checkedAt,
    probe: 'connection',
    status: statusFrom(reasons),
    reasons,
    metrics,
    connected: true,
  }
}

/** What was measured of size and transactions stays, for the rates of the next check. */
function unusable(
  { words }: DatabaseWatch,
  { organizationId, metrics }: ClaimedTenant,
  checkedAt: string,
  reasons: readonly Reason[],
): CheckResult {
  return {
    organizationId,
    checkedAt,
    probe: 'state',
    status: statusFrom(reasons) === 'unhealthy' ? 'unhealthy' : 'degraded',
    reasons: reasons.map((reason) => inWordsOf(words, reason)),
    metrics: kept(metrics),
    connected: false,
  }
}

function kept(metrics: Metrics): Metrics {
  const { counters, sample, size_bytes: size, growth_bytes_per_day: growth, changing } = metrics
  return {
    ...knownOfSchema(metrics),
    ...knownOfServices(metrics),
    ...(counters ? { counters } : {}),
    ...(sample ? { sample } : {}),
    ...(size === undefined ? {} : { size_bytes: size }),
    ...(growth === undefined ? {} : { growth_bytes_per_day: growth }),
    ...ended(changing),
  }
}

/** What is added to what is known would leave it there. */
function ended(changing: Metrics['changing']): Metrics {
  return changing ? { changing: null } : {}
}
