import { z } from 'zod'
import { type DatabaseTenant, databaseTenant } from '../database/tenant.ts'

/** As in provisioning.resource_kinds. */
export const NEON_PROJECT = 'neon_project'

export interface TenantLimits {
  readonly minComputeUnits: number
  readonly maxComputeUnits: number
  /** 0 is Neon's default of 300 s, -1 never; undefined after the account's plan refused it. */
  readonly suspendTimeoutSeconds: number | undefined
  /** Undefined after the account's plan refused it without naming the most that it has. */
  readonly historyRetentionSeconds: number | undefined
  /** Neon's quota object; an absent limit is unlimited. */
  readonly quota: Readonly<Record<string, number>>
}

/** After which a compute sleeps when nobody has set another time. */
const DEFAULT_SUSPEND_SECONDS = 300

/** @param seconds as Neon has it; 0 is how the API writes the default */
export function isDefaultSuspendTimeout(seconds: number | undefined): boolean {
  return seconds === 0 || seconds === DEFAULT_SUSPEND_SECONDS
}

/** The suspend timeout in seconds; undefined when it is the one that every Neon account has anyway. */
export function suspendTimeoutToAskFor({ suspendTimeoutSeconds }: TenantLimits): number | undefined {
  return isDefaultSuspendTimeout(suspendTimeoutSeconds) ? undefined : suspendTimeoutSeconds
}

/** What Neon's steps need to know of an organization. */
export interface NeonTenant extends DatabaseTenant {
  /** Neon's region id, such as aws-eu-central-1. */
  readonly region: string
  readonly size: string
  readonly neonProjectId: string | null
  readonly limits: TenantLimits
}

const facts = z.looseObject({
  database: z.looseObject({
    neon_project_id: z.string().nullable(),
    region: z.string(),
    size: z.string(),
  }),
  size: z.object({
    min_compute_units: z.number(),
    max_compute_units: z.number(),
    suspend_timeout_seconds: z.number(),
  }),
  plan: z.object({
    quota_active_time_seconds: z.number().nullable(),
    quota_compute_time_seconds: z.number().nullable(),
    quota_written_data_bytes: z.number().nullable(),
    quota_data_transfer_bytes: z.number().nullable(),
    quota_logical_size_bytes: z.number().nullable(),
    history_retention_seconds: z.number(),
  }),
})
type Facts = z.infer<typeof facts>

/** Reads it from what provisioning.tenant() has. */
export const neonTenant: z.ZodType<NeonTenant> = facts.transform(({ database, size, plan, ...rest }) => ({
  ...databaseTenant.parse({ ...rest, database }),
  region: database.region,
  size: database.size,
  neonProjectId: database.neon_project_id,
  limits: {
    minComputeUnits: size.min_compute_units,
    maxComputeUnits: size.max_compute_units,
    suspendTimeoutSeconds: size.suspend_timeout_seconds,
    historyRetentionSeconds: plan.history_retention_seconds,
    quota: quotaOf(plan),
  },
}))

function quotaOf(plan: Facts['plan']): Record<string, number> {
  const limits = {
    active_time_seconds: plan.quota_active_time_seconds,
    compute_time_seconds: plan.quota_compute_time_seconds,
    written_data_bytes: plan.quota_written_data_bytes,
    data_transfer_bytes: plan.quota_data_transfer_bytes,
    logical_size_bytes: plan.quota_logical_size_bytes,
  }
  return Object.fromEntries(
    Object.entries(limits).flatMap(([name, limit]) => (limit === null ? [] : [[name, limit]])),
  )
}

/** The name of a tenant's Neon project. Deterministic, because Neon has no idempotency keys and is searched by it. */
export function projectName(organizationId: string): string {
  return `org-${organizationId}`
}

/**
 * The database of a tenant and the role that Neon's API makes for it; unique over all tenants, so that a mixed-up host can never
 * open another's data.
 */
export function tenantRoleName(organizationId: string): string {
  return `tenant_${organizationId.replaceAll('-', '')}`
}
