import type { NeonProvider } from '../providers/neon.ts'
import { type Result, success } from '../result.ts'
import { latestSchemaVersion } from '../tenant-schema/latest-version.ts'
import { evaluate, storage, type Thresholds } from './evaluate.ts'
import type { CheckResult, ClaimedTenant, HealthStore } from './health-store.ts'
import { probeDatabase } from './probe.ts'
import { type Reason, statusFrom, trouble } from './reasons.ts'

export interface TenantCheck {
  readonly store: HealthStore
  readonly neon: NeonProvider
  readonly timeoutMs: number
}

/**
 * Checks one tenant: asks the provider how its compute is, and connects only when it is awake, or when it is wanted (`deep`)
 * or due that a sleeping one is woken. @returns a failure when the provider cannot be asked, which says nothing of the tenant
 */
export async function checkTenant(
  { store, neon, timeoutMs }: TenantCheck,
  tenant: ClaimedTenant,
  deep: boolean,
): Promise<Result<CheckResult>> {
  const at = new Date().toISOString()
  const { neonProjectId, thresholds } = tenant
  if (neonProjectId === null) return success(unusable(tenant, at, trouble('project_deleted')))
  const state = await neon.computeState(neonProjectId)
  if (!state.ok) return state
  if (state.value === 'gone') return success(unusable(tenant, at, trouble('project_deleted')))
  if (state.value === 'disabled') return success(unusable(tenant, at, trouble('compute_disabled')))
  if (state.value !== 'idle' || deep || tenant.deepCheckDue)
    return success(await connect(store, tenant, at, timeoutMs))
  const usage = await neon.usage(neonProjectId)
  return usage.ok ? success(asleep(tenant, at, usage.value, thresholds)) : usage
}

/** What is known of a database that sleeps: nothing is wrong with that, unless it cannot wake or is nearly full. */
export function asleep(
  { organizationId }: Pick<ClaimedTenant, 'organizationId'>,
  checkedAt: string,
  { storageBytes, exhaustedQuota }: { readonly storageBytes?: number; readonly exhaustedQuota?: string },
  thresholds: Thresholds,
): CheckResult {
  const metrics = storageBytes === undefined ? {} : { size_bytes: storageBytes }
  const reasons = [
    ...(exhaustedQuota ? [trouble('quota_suspended', exhaustedQuota)] : []),
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
  store: HealthStore,
  tenant: ClaimedTenant,
  checkedAt: string,
  timeoutMs: number,
): Promise<CheckResult> {
  const password = await store.password(tenant.credentialsSecretId)
  if (password === undefined) return unusable(tenant, checkedAt, trouble('credentials_missing'))
  const probe = await probeDatabase(tenant, password, tenant.metrics, timeoutMs)
  if (!probe.ok) return { ...unusable(tenant, checkedAt, probe.reason), probe: 'connection' }
  const { quota_bytes: quota } = tenant.thresholds
  const metrics = { ...probe.metrics, ...(quota === null ? {} : { quota_bytes: quota }) }
  const { status, reasons } = evaluate(metrics, tenant.thresholds, latestSchemaVersion, Date.now())
  const { organizationId } = tenant
  return { organizationId, checkedAt, probe: 'connection', status, reasons, metrics, connected: true }
}

/** What was measured before stays, for the rates of the next check. */
function unusable(
  { organizationId, metrics }: ClaimedTenant,
  checkedAt: string,
  reason: Reason,
): CheckResult {
  const { counters, sample } = metrics
  return {
    organizationId,
    checkedAt,
    probe: 'state',
    status: 'unhealthy',
    reasons: [reason],
    metrics: { ...(counters ? { counters } : {}), ...(sample ? { sample } : {}) },
    connected: false,
  }
}
