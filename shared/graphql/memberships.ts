import type { MutationResolvers, QueryResolvers } from '../generated/resolver-types.ts'
import { emailAddress } from '../kernel/email-address.ts'
import { unlessJustRefused } from '../kernel/remembered-refusals.ts'
import { check, decodeTimeCursor, organizationId, pageSize } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import {
  ACCEPT_MEMBERSHIP,
  DECLINE_MEMBERSHIP,
  EXPECT_MEMBER,
  EXPECTED_MEMBERS,
  MEMBERS,
  MY_EXPECTATIONS,
  WITHDRAW_EXPECTATION,
} from './reads/memberships.ts'

export const membershipQueries = {
  members: (_, { organizationId: id, first, after }, { reader }) =>
    reader.readOf(MEMBERS, organizationId(id), { first: pageSize(first), after: decodeTimeCursor(after) }),

  expectedMembers: (_, { organizationId: id }, { reader }) =>
    reader.call(EXPECTED_MEMBERS, { organizationId: organizationId(id) }),

  // The backend is nobody whom an organization could expect.
  myExpectations: (_, __, { reader, caller }) => (caller.type === 'user' ? reader.read(MY_EXPECTATIONS) : []),
} satisfies QueryResolvers<GraphqlContext>

export const membershipMutations = {
  expectMember: (_, wanted, { reader, caller }) => {
    const wishes = {
      organizationId: organizationId(wanted.organizationId),
      email: check('email', emailAddress, wanted.email),
      role: wanted.role,
      endsAt: wanted.endsAt?.toISOString() ?? null,
    }
    return unlessJustRefused(caller, wishes, () => reader.call(EXPECT_MEMBER, wishes))
  },

  withdrawExpectation: (_, wanted, { reader }) =>
    reader.call(WITHDRAW_EXPECTATION, {
      organizationId: organizationId(wanted.organizationId),
      email: check('email', emailAddress, wanted.email),
    }),

  acceptMembership: async (_, wanted, { reader }) => ({
    organizationId: await reader.call(ACCEPT_MEMBERSHIP, {
      organizationId: organizationId(wanted.organizationId),
    }),
  }),

  declineMembership: async (_, wanted, { reader }) => ({
    organizationId: await reader.call(DECLINE_MEMBERSHIP, {
      organizationId: organizationId(wanted.organizationId),
    }),
  }),
} satisfies MutationResolvers<GraphqlContext>
