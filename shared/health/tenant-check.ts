import { type Result, success } from '../kernel/result.ts'
import type { Compute, NeonProvider, ProjectUsage } from '../services/neon/client.ts'
import { latestSchemaVersion } from '../tenant-database/latest-schema-version.ts'
import { withPassword } from '../tenant-database/stored-password.ts'
import { evaluate, type Metrics, storage } from './evaluate.ts'
import type { ExpectedSchemas } from './expected-schemas.ts'
import type { CheckResult, ClaimedTenant, HealthStore } from './health-store.ts'
import { probeDatabase } from './probe.ts'
import { outlastsSleep, type Reason, statusFrom, trouble } from './reasons.ts'
import { isSchemaDue, knownOfSchema } from './schema-look.ts'

/** What health asks of the provider. */
export type HealthProvider = Pick<NeonProvider, 'compute' | 'usage' | 'projectPage'>

export interface TenantCheck {
  readonly store: HealthStore
  readonly schemas: ExpectedSchemas
  readonly neon: HealthProvider
  readonly timeoutMs: number
  /** Milliseconds, of the clock that the provider's times are compared with. */
  readonly now: () => number
}

/** What the provider sees of a connection of ours may last so much longer than the check's beginning. */
const OWN_ACTIVITY_SECONDS = 15

/**
 * Checks a tenant that is due, unless nobody but checks has used its compute for so long that it would be asleep without
 * them: then it is left alone until it is. @returns like checkTenant
 */
export async function checkDueTenant(
  check: TenantCheck,
  tenant: ClaimedTenant,
): Promise<Result<CheckResult | 'left_alone'>> {
  if (tenant.neonProjectId === null) return checkTenant(check, tenant, false)
  const compute = await check.neon.compute(tenant.neonProjectId)
  if (!compute.ok) return compute
  if (compute.value.state === 'active' && isAwakeForUsAlone(tenant, compute.value, check.now()))
    return success('left_alone')
  return examine(check, tenant, tenant.neonProjectId, compute.value, tenant.deepCheckDue, false)
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
  const { neonProjectId } = tenant
  if (neonProjectId === null)
    return success(unusable(tenant, new Date().toISOString(), trouble('project_deleted')))
  const compute = await check.neon.compute(neonProjectId)
  return compute.ok
    ? examine(check, tenant, neonProjectId, compute.value, deep || tenant.deepCheckDue, true)
    : compute
}

async function examine(
  check: TenantCheck,
  tenant: ClaimedTenant,
  projectId: string,
  compute: Compute,
  mayWake: boolean,
  asked: boolean,
): Promise<Result<CheckResult>> {
  const at = new Date().toISOString()
  if (compute.state === 'gone') return success(unusable(tenant, at, trouble('project_deleted')))
  if (compute.state === 'disabled') return success(unusable(tenant, at, trouble('compute_disabled')))
  if (compute.state !== 'idle' || mayWake) {
    const usedSecondsAgo = usedByOthers(tenant, compute, check.now())
    const result = await connect(check, tenant, at, asked)
    return success(usedSecondsAgo === undefined ? result : { ...result, usedSecondsAgo })
  }
  const usage = await check.neon.usage(projectId)
  return usage.ok ? success(asleep(tenant, at, usage.value)) : usage
}

/** Seconds since somebody else used it; undefined when the provider saw nobody but us since the last connection. */
function usedByOthers(
  { probedSecondsAgo }: ClaimedTenant,
  { lastActiveAt }: Compute,
  now: number,
): number | undefined {
  if (lastActiveAt === undefined) return undefined
  const activeSecondsAgo = Math.max(0, (now - Date.parse(lastActiveAt)) / 1000)
  return activeSecondsAgo < probedSecondsAgo - OWN_ACTIVITY_SECONDS ? activeSecondsAgo : undefined
}

/** Every connection starts the suspend timeout anew, so checks alone could keep a compute awake, and paid for, for ever. */
function isAwakeForUsAlone(tenant: ClaimedTenant, compute: Compute, now: number): boolean {
  // What does not let us in has no session of ours that could keep it awake.
  if (!tenant.lastProbeConnected || tenant.suspendTimeoutSeconds === -1) return false
  return (usedByOthers(tenant, compute, now) ?? tenant.usedSecondsAgo) > tenant.suspendTimeoutSeconds
}

type Sleeper = Pick<ClaimedTenant, 'organizationId' | 'reasons' | 'metrics' | 'thresholds'>

/** What is known of a database that sleeps: nothing is wrong with that, unless it cannot be used when it wakes. */
export function asleep(
  { organizationId, reasons: known, metrics: { size_bytes: measured }, thresholds }: Sleeper,
  checkedAt: string,
  { storageBytes, exhaustedQuota }: ProjectUsage,
): CheckResult {
  // What Neon calls storage includes history, which the quota does not count.
  const size = measured ?? storageBytes
  const metrics = size === undefined ? {} : { size_bytes: size }
  const reasons = [
    ...(exhaustedQuota ? [trouble('quota_suspended', exhaustedQuota)] : []),
    ...known.filter(outlastsSleep),
    ...storage(metrics, thresholds),
  ]
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
  { store, schemas, timeoutMs }: TenantCheck,
  tenant: ClaimedTenant,
  checkedAt: string,
  asked: boolean,
): Promise<CheckResult> {
  const expected = isSchemaDue(tenant, asked, Date.now()) ? await schemas.of(tenant.schemaVersion) : undefined
  const probed = await withPassword(
    () => store.password(tenant.organizationId),
    (password) => probeDatabase(tenant, password, tenant.metrics, timeoutMs, expected),
    (tried) => !tried.ok && tried.reason.code === 'login_refused',
  )
  if (!probed.ok) return unusable(tenant, checkedAt, trouble('credentials_missing'))
  const probe = probed.value
  const { quota_bytes: quota } = tenant.thresholds
  const metrics = {
    ...probe.metrics,
    ...(quota === null ? {} : { quota_bytes: quota }),
    ...(tenant.schemaVersion === null ? {} : { schema_version: tenant.schemaVersion }),
  }
  if (!probe.ok) {
    const result = unusable(tenant, checkedAt, probe.reason)
    return {
      ...result,
      probe: 'connection',
      metrics: { ...result.metrics, ...probe.metrics },
      connected: probe.sessionOpened,
    }
  }
  const { status, reasons } = evaluate(metrics, tenant.thresholds, latestSchemaVersion, Date.now())
  const { organizationId } = tenant
  return { organizationId, checkedAt, probe: 'connection', status, reasons, metrics, connected: true }
}

/** What was measured of size and transactions stays, for the rates of the next check. */
function unusable(
  { organizationId, metrics }: ClaimedTenant,
  checkedAt: string,
  reason: Reason,
): CheckResult {
  return {
    organizationId,
    checkedAt,
    probe: 'state',
    status: 'unhealthy',
    reasons: [reason],
    metrics: kept(metrics),
    connected: false,
  }
}

function kept(metrics: Metrics): Metrics {
  const { counters, sample, size_bytes: size, growth_bytes_per_day: growth } = metrics
  return {
    ...knownOfSchema(metrics),
    ...(counters ? { counters } : {}),
    ...(sample ? { sample } : {}),
    ...(size === undefined ? {} : { size_bytes: size }),
    ...(growth === undefined ? {} : { growth_bytes_per_day: growth }),
  }
}
