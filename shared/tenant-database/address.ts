/** Where a tenant's own database is. */
export interface TenantAddress {
  readonly host: string | null
  readonly pooledHost: string | null
  readonly port: number | null
  /** Where it is another one than `port`. */
  readonly pooledPort?: number | null
  readonly databaseName: string | null
  readonly roleName: string | null
  /** By which a pooler that many databases share knows this one; it stands behind the role's name then. */
  readonly poolerTenant?: string | null
  readonly sslMode: string
}

export interface TenantServer {
  readonly host: string
  readonly port: number
  readonly user: string
}

/** @param through the pooled address is what applications use; the direct one is for schema changes. */
export function serverOf(address: TenantAddress, through: 'direct' | 'pooled'): TenantServer {
  const { host, pooledHost, port, pooledPort, roleName, poolerTenant } = address
  const pooled = through === 'pooled'
  // The pooler in session mode may stand in for a direct host that cannot be reached.
  const isShared = poolerTenant && (pooled || host === pooledHost)
  return {
    host: (pooled ? pooledHost : host) ?? '',
    port: (pooled ? pooledPort : undefined) ?? port ?? 5432,
    user: `${roleName ?? ''}${isShared ? `.${poolerTenant}` : ''}`,
  }
}
