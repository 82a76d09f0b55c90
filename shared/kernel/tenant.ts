/** What the steps know of an organization, as provisioning.tenant() returns it. */
export interface Tenant {
  readonly organizationId: string
  readonly organizationName: string
  readonly billingEmail: string | null
  readonly ownerId: string
  readonly plan: string
  readonly stripeCustomerId: string | null
  /** Neon's region id, such as aws-eu-central-1. */
  readonly region: string
  readonly size: string
  readonly neonProjectId: string | null
  readonly host: string | null
  readonly pooledHost: string | null
  readonly port: number | null
  readonly databaseName: string | null
  readonly roleName: string | null
  readonly sslMode: string
  readonly schemaVersion: number | null
  readonly credentialsSecretId: string | null
  readonly limits: TenantLimits
}

export interface TenantLimits {
  readonly minComputeUnits: number
  readonly maxComputeUnits: number
  /** 0 is Neon's default of 300 s, -1 never. */
  readonly suspendTimeoutSeconds: number
  readonly historyRetentionSeconds: number
  /** Neon's quota object; an absent limit is unlimited. */
  readonly quota: Readonly<Record<string, number>>
}

/** The name of a tenant's Neon project. Deterministic, because Neon has no idempotency keys and is searched by it. */
export function projectName(organizationId: string): string {
  return `org-${organizationId}`
}

/** Role and database of a tenant; unique over all tenants, so that a mixed-up host can never open another's data. */
export function tenantRoleName(organizationId: string): string {
  return `tenant_${organizationId.replaceAll('-', '')}`
}

/** True for a host on this machine, where a connection without TLS is acceptable. */
export function isLocalHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
