import { PgSimplifyInflectionPreset } from '@graphile/simplify-inflection'
import { exportSchemaAsString } from 'graphile-export'
import { printSchema } from 'graphql'
import { makeSchema } from 'postgraphile'
import { makePgService } from 'postgraphile/adaptors/pg'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'
import { PostGraphileConnectionFilterPreset } from 'postgraphile-plugin-connection-filter'

const DISABLED = [
  // Global ids would double the ways to name a row.
  'NodePlugin',
  'PgMutationPayloadEdgePlugin',
  // These would lead back to the root, past the limit of root fields.
  'QueryQueryPlugin',
  'MutationPayloadQueryPlugin',
  // The filters say all that conditions do.
  'PgConditionArgumentPlugin',
  'PgConditionCustomFieldsPlugin',
]

/** Without global ids, the column id has its name for itself. */
const plainIds: GraphileConfig.Plugin = {
  name: 'PlainIdsPlugin',
  inflection: {
    replace: {
      _attributeName: (previous, _options, details) =>
        previous?.({ ...details, skipRowId: true }) ?? details.attributeName,
    },
  },
}

/** The GraphQL schema of a database, as code that makes it without looking at the database, and as SDL. */
export interface ExportedSchema {
  readonly code: string
  readonly sdl: string
}

/**
 * Reads a database's catalogue and makes its GraphQL schema: what the login may not touch is not in it.
 * @param url of a login that is a member of the role as which requests run, and of nothing else
 */
export async function makeGraphqlSchema(url: string): Promise<ExportedSchema> {
  const service = makePgService({ connectionString: url, schemas: ['public'] })
  try {
    const { schema } = await makeSchema({
      extends: [PostGraphileAmberPreset, PgSimplifyInflectionPreset, PostGraphileConnectionFilterPreset],
      plugins: [plainIds],
      disablePlugins: DISABLED,
      pgServices: [service],
      schema: {
        connectionFilterRelations: true,
        connectionFilterAllowNullInput: true,
        connectionFilterAllowEmptyObjectInput: true,
      },
    })
    const { code } = await exportSchemaAsString(schema, { mode: 'graphql-js' })
    return { code, sdl: `${printSchema(schema)}\n` }
  } finally {
    await service.release?.()
  }
}
