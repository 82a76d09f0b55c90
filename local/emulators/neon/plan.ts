import { computeUnitsRefused, historyRefused, suspendTimeoutRefused } from './errors.ts'
import type { NeonLimits } from './options.ts'

interface WantedSettings {
  readonly suspend_timeout_seconds?: number | undefined
  readonly autoscaling_limit_max_cu?: number | undefined
}

/** @throws NeonApiError 412 or 400 for a compute's settings that the account's plan does not have */
export function checkEndpointPlan(
  { suspendTimeoutIsFree, maxComputeUnits }: NeonLimits,
  wanted: WantedSettings,
): void {
  if (wanted.suspend_timeout_seconds !== undefined && suspendTimeoutIsFree === 0)
    throw suspendTimeoutRefused()
  if ((wanted.autoscaling_limit_max_cu ?? 0) > maxComputeUnits) throw computeUnitsRefused(maxComputeUnits)
}

/** @param wanted seconds. @throws NeonApiError 400 for a longer history than the account's plan keeps */
export function checkHistoryPlan({ maxHistorySeconds }: NeonLimits, wanted: number | undefined): void {
  if (wanted !== undefined && wanted > maxHistorySeconds) throw historyRefused(wanted, maxHistorySeconds)
}
