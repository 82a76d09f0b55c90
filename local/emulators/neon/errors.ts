import type { SuspendingQuota } from './project.ts'

/** A refusal in Neon's terms; becomes `{request_id, code, message}` with this status. */
export class NeonApiError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, code = '', headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

export const notFound = (what: string) => new NeonApiError(404, `${what} not found`)

export const projectBusy = () =>
  new NeonApiError(
    423,
    'project already has running conflicting operations, scheduling of new ones is prohibited',
  )

export const projectsLimitExceeded = (limit: number, have: number) =>
  new NeonApiError(422, `projects limit of ${limit} exceeded, got ${have}`, 'PROJECTS_LIMIT_EXCEEDED')

export const branchesLimitExceeded = (limit: number) =>
  new NeonApiError(422, `branches limit of ${limit} exceeded`, 'BRANCHES_LIMIT_EXCEEDED')

/** Neon's wording for this one is not known. */
export const branchNameTaken = (name: string) =>
  new NeonApiError(409, `branch with the name ${JSON.stringify(name)} already exists`)

export const suspendTimeoutRefused = () =>
  new NeonApiError(412, 'modifying the suspend interval is not permitted on this account')

export const historyRefused = (wanted: number, most: number) =>
  new NeonApiError(
    400,
    `requested history retention seconds exceeds allowed maximum; requested_history_retention_seconds:"${wanted}", max:"${most}"`,
  )

/** Neon's wording for this one is not known. */
export const computeUnitsRefused = (most: number) =>
  new NeonApiError(400, `autoscaling limits exceed the maximum of ${most} compute units that the plan allows`)

const QUOTA_NAMES: Readonly<Record<SuspendingQuota, string>> = {
  active_time_seconds: 'active time',
  compute_time_seconds: 'compute time',
  written_data_bytes: 'written data',
  data_transfer_bytes: 'data transfer',
}

/** Neon's wording for a project whose quota is used up, in replies and in refused connections alike. */
export const quotaMessage = (quota: SuspendingQuota) =>
  `Your account or project has exceeded the ${QUOTA_NAMES[quota]} quota. Upgrade your plan to increase limits.`
