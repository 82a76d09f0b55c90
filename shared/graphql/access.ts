import { z } from 'zod'
import type { MutationResolvers, QueryResolvers } from '../generated/resolver-types.ts'
import { check, organizationId } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { ACCESS_LOGINS, END_ACCESS, REQUEST_ACCESS, REVEAL_ACCESS } from './reads/access.ts'

const loginId = z.guid('is not the id of a login')
const row = z.looseObject({})
const withJob = z.looseObject({ job_id: z.string() })
const ADDRESS = ['host', 'pooled_host', 'port', 'database', 'user', 'ssl_mode', 'password']
const revealed = z.looseObject({})

export const accessQueries = {
  accessLogins: async (_, { organizationId: id }, { reader }) =>
    z
      .array(row)
      .parse(await reader.read(ACCESS_LOGINS, { organizationId: organizationId(id) }))
      .map(camelCased),
} satisfies QueryResolvers<GraphqlContext>

export const accessMutations = {
  requestAccess: async (_, { organizationId: id, role, minutes }, { reader }) => {
    const wishes = { organizationId: organizationId(id), role, minutes }
    const { job_id: jobId, ...login } = withJob.parse(await reader.call(REQUEST_ACCESS, wishes))
    return { jobId, login: camelCased(login) }
  },

  revealAccess: async (_, { id }, { reader }) => {
    const found = revealed.parse(await reader.call(REVEAL_ACCESS, { id: check('id', loginId, id) }))
    const isAddress = ([name]: readonly [string, unknown]) => ADDRESS.includes(name)
    const entries = Object.entries(found)
    return {
      ...camelCased(Object.fromEntries(entries.filter(isAddress))),
      login: camelCased(Object.fromEntries(entries.filter((entry) => !isAddress(entry)))),
    }
  },

  endAccess: async (_, { id }, { reader }) =>
    camelCased(row.parse(await reader.call(END_ACCESS, { id: check('id', loginId, id) }))),
} satisfies MutationResolvers<GraphqlContext>
