import type { GraphQLSchema } from 'graphql'
import { exportedSchemas } from '../generated/tenant-graphql/versions.ts'
import { Problem } from '../kernel/http/problem.ts'

export type ExportedSchemas = typeof exportedSchemas

/** The schema that serves a tenant, and whether it is an older one. */
export interface ServedSchema {
  readonly schema: GraphQLSchema
  readonly version: number
  /** Versions between this one and the newest. */
  readonly behind: number
}

/** Migrating one tenant takes seconds; a whole fleet in its order may take longer. */
const MIGRATED_IN_SECONDS = 30

/** Plans of so many operations are kept; new ones take some 10 ms, and each a few hundred kB. */
const CACHES = {
  queryCacheMaxLength: 50,
  operationsCacheMaxLength: 50,
  operationOperationPlansCacheMaxLength: 5,
}

/**
 * Loads the schema of a database's version when somebody needs it first. A database that is ahead of this deployment is served by
 * the newest schema that it has. @throws Problem `tenant_schema_behind` for one that is further behind than there are schemas
 */
export function createVersions(
  exported: ExportedSchemas = exportedSchemas,
): (schemaVersion: number) => Promise<ServedSchema> {
  const newest = Math.max(...Object.keys(exported).map(Number))
  const loaded = new Map<number, Promise<GraphQLSchema>>()
  return async (schemaVersion) => {
    const version = Math.min(schemaVersion, newest)
    const load = exported[version]
    if (!load)
      throw new Problem(
        'tenant_schema_behind',
        'The tenant’s database has to be brought up to date first.',
        [],
        MIGRATED_IN_SECONDS,
      )
    const known = loaded.get(version) ?? load().then(({ schema }) => withBoundedCaches(schema))
    loaded.set(version, known)
    return { schema: await known, version, behind: newest - version }
  }
}

function withBoundedCaches(schema: GraphQLSchema): GraphQLSchema {
  const own: unknown = schema.extensions.grafast
  schema.extensions = { ...schema.extensions, grafast: { ...(own ?? {}), ...CACHES } }
  return schema
}
