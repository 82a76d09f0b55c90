import { z } from 'zod'
import type { QueryResolvers } from '../generated/resolver-types.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { FLEET_VERSIONS, PROVIDERS } from './reads/fleet.ts'

const rows = z.array(z.looseObject({}))

const fleet = z.looseObject({
  versions: z.array(z.object({ version: z.int().nullable(), tenants: z.int() })),
  run: z.looseObject({ tenants: z.record(z.string(), z.int()), errors: rows }).nullable(),
})

/** What operators ask about all tenants together, and about the providers. */
export const fleetQueries = {
  providers: async (_, __, { operatorReader }) =>
    rows.parse(await operatorReader.read(PROVIDERS)).map(camelCased),

  fleetVersions: async (_, __, { operatorReader }) => {
    const { versions, run } = fleet.parse(await operatorReader.read(FLEET_VERSIONS))
    return { versions, migration: run && migrationOf(run) }
  },
} satisfies QueryResolvers<GraphqlContext>

function migrationOf({ tenants, errors, ...run }: NonNullable<z.infer<typeof fleet>['run']>) {
  return {
    ...camelCased(run),
    tenants: Object.entries(tenants).map(([state, count]) => ({ state, count })),
    errors: errors.map(camelCased),
  }
}
