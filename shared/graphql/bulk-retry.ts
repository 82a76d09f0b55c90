import { z } from 'zod'
import type { MutationResolvers } from '../generated/resolver-types.ts'
import { check } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { RETRY_TENANTS } from './reads/tenants.ts'
import { tenantFilterOf } from './tenant-queries.ts'

const MOST = 500

const outcome = z.looseObject({ by_reason: z.array(z.looseObject({})) })

export const bulkMutations = {
  retryTenants: async (_, { filter, dryRun, first }, { reader }) =>
    camelCased(
      outcome.parse(
        await reader.call(RETRY_TENANTS, {
          filter: tenantFilterOf(filter),
          dryRun,
          first: check('first', z.int().min(1, 'is at least 1').max(MOST, `is at most ${MOST}`), first),
        }),
      ),
    ),
} satisfies MutationResolvers<GraphqlContext>
