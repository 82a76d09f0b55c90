/** Where a tenant's own database is. */
export interface TenantAddress {
  readonly host: string | null
  readonly pooledHost: string | null
  readonly port: number | null
  readonly databaseName: string | null
  readonly roleName: string | null
  readonly sslMode: string
}
