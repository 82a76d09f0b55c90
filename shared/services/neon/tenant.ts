import { z } from 'zod'
import { tenantAddress } from '../../tenant-database/address.ts'

const tenantLimits = z.object({
  minComputeUnits: z.number(),
  maxComputeUnits: z.number(),
  /** 0 is Neon's default of 300 s, -1 never. */
  suspendTimeoutSeconds: z.number(),
  historyRetentionSeconds: z.number(),
  /** Neon's quota object; an absent limit is unlimited. */
  quota: z.record(z.string(), z.number()),
})

export type TenantLimits = z.infer<typeof tenantLimits>

/** What Neon's steps need to know of an organization. */
export const neonTenant = tenantAddress.extend({
  organizationId: z.string(),
  /** Neon's region id, such as aws-eu-central-1. */
  region: z.string(),
  size: z.string(),
  neonProjectId: z.string().nullable(),
  credentialsSecretId: z.string().nullable(),
  limits: tenantLimits,
})

export type NeonTenant = z.infer<typeof neonTenant>

/** The name of a tenant's Neon project. Deterministic, because Neon has no idempotency keys and is searched by it. */
export function projectName(organizationId: string): string {
  return `org-${organizationId}`
}

/** Role and database of a tenant; unique over all tenants, so that a mixed-up host can never open another's data. */
export function tenantRoleName(organizationId: string): string {
  return `tenant_${organizationId.replaceAll('-', '')}`
}
