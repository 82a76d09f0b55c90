import { z } from 'zod'
import type { MutationResolvers, QueryResolvers } from '../generated/resolver-types.ts'
import { check, organizationId } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { API_KEYS, CREATE_API_KEY, RENAME_API_KEY, REROLL_API_KEY, REVOKE_API_KEY } from './reads/keys.ts'

const keyId = z.guid('is not the id of a key')
const row = z.looseObject({})
const withKey = z.looseObject({ key: z.string() })

export const keyQueries = {
  apiKeys: (_, { organizationId: id }, { reader }) =>
    reader.read(API_KEYS, { organizationId: organizationId(id) }),
} satisfies QueryResolvers<GraphqlContext>

export const keyMutations = {
  createApiKey: async (_, wanted, { reader }) =>
    newApiKey(
      await reader.call(CREATE_API_KEY, {
        organizationId: organizationId(wanted.organizationId),
        name: wanted.name,
        scope: wanted.scope,
        expiresAt: wanted.expiresAt?.toISOString() ?? null,
        requestsPerMinute: wanted.requestsPerMinute ?? null,
      }),
    ),

  renameApiKey: async (_, { id, name }, { reader }) =>
    camelCased(row.parse(await reader.call(RENAME_API_KEY, { id: check('id', keyId, id), name }))),

  rerollApiKey: async (_, { id, graceHours }, { reader }) =>
    newApiKey(await reader.call(REROLL_API_KEY, { id: check('id', keyId, id), graceHours })),

  revokeApiKey: async (_, { id }, { reader }) =>
    camelCased(row.parse(await reader.call(REVOKE_API_KEY, { id: check('id', keyId, id) }))),
} satisfies MutationResolvers<GraphqlContext>

function newApiKey(made: unknown) {
  const { key, ...apiKey } = withKey.parse(made)
  return { key, apiKey: camelCased(apiKey) }
}
