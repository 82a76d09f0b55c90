import { tenantSchemaFiles } from '../generated/tenant-schema-files.ts'

/** The version that a tenant's database has when every file of tenant-schema/ is applied. */
export const latestSchemaVersion = Math.max(0, ...tenantSchemaFiles.map(({ version }) => version))
