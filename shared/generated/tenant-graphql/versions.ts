// Written by `npm run tenant-graphql`.
import type { GraphQLSchema } from 'graphql'

/** The GraphQL schemas of tenants’ databases, by the version of tenant-schema/ that a database is at. */
export const exportedSchemas: Readonly<Record<number, () => Promise<{ readonly schema: GraphQLSchema }>>> = {
  1: () => import('./v1.mjs'),
}
