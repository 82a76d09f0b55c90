import { z } from 'zod'

/** Where a tenant's own database is, as provisioning.tenant() says it. */
export const tenantAddress = z.object({
  host: z.string().nullable(),
  pooledHost: z.string().nullable(),
  port: z.number().nullable(),
  databaseName: z.string().nullable(),
  roleName: z.string().nullable(),
  sslMode: z.string(),
})

export type TenantAddress = z.infer<typeof tenantAddress>
