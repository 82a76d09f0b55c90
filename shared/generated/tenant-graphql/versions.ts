// Written by `npm run tenant-graphql`.
import type * as version from './version.d.mts'

/** The GraphQL schemas of tenants’ databases, by the version of tenant-schema/ that a database is at. */
export const exportedSchemas: Readonly<Record<number, () => Promise<typeof version>>> = {
  1: () => import('./v1.mjs'),
}
