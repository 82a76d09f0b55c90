import type { HealthState, ProvisioningState, StepState } from '../generated/operations'
import type { Tone } from './parts'

export const STATE_TONES: Readonly<Record<ProvisioningState, Tone>> = {
  PENDING: 'neutral',
  PROVISIONING: 'info',
  READY: 'success',
  FAILED: 'danger',
  CANCELLED: 'neutral',
}
export const STATE_WORDS: Readonly<Record<ProvisioningState, string>> = {
  PENDING: 'Waiting to begin',
  PROVISIONING: 'In progress',
  READY: 'Ready',
  FAILED: 'Failed',
  CANCELLED: 'Cancelled',
}
export const STEP_WORDS: Readonly<Record<StepState, string>> = {
  PENDING: 'Waiting',
  RUNNING: 'In progress',
  RETRYING: 'Will be tried again',
  SUCCEEDED: 'Done',
  FAILED: 'Failed',
  CANCELLED: 'Cancelled',
}
export const HEALTH_TONES: Readonly<Record<HealthState, Tone>> = {
  UNKNOWN: 'neutral',
  HEALTHY: 'success',
  DEGRADED: 'warning',
  UNHEALTHY: 'danger',
  SLEEPING: 'info',
}
export const HEALTH_WORDS: Readonly<Record<HealthState, string>> = {
  UNKNOWN: 'Not checked yet',
  HEALTHY: 'Healthy',
  DEGRADED: 'Degraded',
  UNHEALTHY: 'Unhealthy',
  SLEEPING: 'Sleeping',
}
