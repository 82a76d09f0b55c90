import { z } from 'zod'
import type { MutationResolvers } from '../generated/resolver-types.ts'
import { unlessJustRefused } from '../kernel/remembered-refusals.ts'
import { check, organizationId, word } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import {
  CREATE_ORGANIZATION,
  DELETE_ORGANIZATION,
  MY_ORGANIZATIONS,
  UPDATE_ORGANIZATION,
} from './reads/organizations.ts'

const name = z.string().max(200)
const billingEmail = z.string().max(320)
const withId = z.looseObject({ id: z.string() })

export const organizationMutations = {
  createOrganization: async (_, wanted, { reader, caller }) => {
    const wishes = {
      name: check('name', name, wanted.name),
      dataRegion: check('dataRegion', word.nullish(), wanted.dataRegion) ?? null,
      databaseSize: check('databaseSize', word.nullish(), wanted.databaseSize) ?? null,
      tier: check('tier', word.nullish(), wanted.tier) ?? null,
    }
    // There is no organization yet to remember a refusal under.
    const act = { organizationId: 'new', ...wishes }
    return {
      organizationId: await unlessJustRefused(caller, act, () => reader.call(CREATE_ORGANIZATION, wishes)),
    }
  },

  updateOrganization: async (_, wanted, { reader, caller }) => {
    const wishes = {
      organizationId: organizationId(wanted.organizationId),
      changes: {
        ...(typeof wanted.name === 'string' ? { name: check('name', name, wanted.name) } : {}),
        ...(wanted.billingEmail === undefined
          ? {}
          : { billingEmail: check('billingEmail', billingEmail.nullable(), wanted.billingEmail) }),
      },
    }
    return {
      organizationId: await unlessJustRefused(caller, wishes, () => reader.call(UPDATE_ORGANIZATION, wishes)),
    }
  },

  deleteOrganization: (_, wanted, { reader, caller }) => {
    const wishes = {
      organizationId: organizationId(wanted.organizationId),
      confirm: check('confirm', name.nullish(), wanted.confirm) ?? null,
      dryRun: wanted.dryRun,
    }
    return unlessJustRefused(caller, wishes, () => reader.call(DELETE_ORGANIZATION, wishes))
  },
} satisfies MutationResolvers<GraphqlContext>

/** The organization as its members see it; null for those who are none, such as the backend. */
export async function ownOrganization(
  { organizationId: id }: { readonly organizationId?: string | null | undefined },
  _: unknown,
  { reader }: GraphqlContext,
) {
  const mine = z.array(withId).parse(await reader.read(MY_ORGANIZATIONS))
  return mine.find((organization) => organization.id === id) ?? null
}
