import { z } from 'zod'
import type { TenantAddress } from '../../tenant-database/address.ts'

/** What is to be known of an organization to work inside its database. */
export interface DatabaseTenant extends TenantAddress {
  readonly organizationId: string
  readonly credentialsSecretId: string | null
  /** Of the tenant schema, as it was applied; null before the first. */
  readonly schemaVersion: number | null
  /** The one that the tenant moves to. Its passwords are beside those of the one that is in use. */
  readonly isComing: boolean
}

const facts = z.object({
  organizationId: z.string(),
  database: z.object({
    host: z.string().nullable(),
    pooled_host: z.string().nullable(),
    port: z.number().nullable(),
    pooled_port: z.number().nullable(),
    pooler_tenant: z.string().nullable(),
    database_name: z.string().nullable(),
    role_name: z.string().nullable(),
    ssl_mode: z.string(),
    credentials_secret_id: z.string().nullable(),
    schema_version: z.number().nullable(),
    is_coming: z.boolean().default(false),
  }),
})

/** Reads it from what provisioning.tenant() has. */
export const databaseTenant: z.ZodType<DatabaseTenant> = facts.transform(({ organizationId, database }) => ({
  organizationId,
  credentialsSecretId: database.credentials_secret_id,
  schemaVersion: database.schema_version,
  isComing: database.is_coming,
  host: database.host,
  pooledHost: database.pooled_host,
  port: database.port,
  pooledPort: database.pooled_port,
  poolerTenant: database.pooler_tenant,
  databaseName: database.database_name,
  roleName: database.role_name,
  sslMode: database.ssl_mode,
}))
