import { z } from 'zod'
import type {
  MutationResolvers,
  MutationResumeWorkArgs,
  QueryResolvers,
} from '../generated/resolver-types.ts'
import { check } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { PAUSE, PAUSES, RESUME } from './reads/pauses.ts'

const rows = z.array(z.looseObject({}))
const word = z.string().max(50).nullish()
const sentence = z.string().trim().min(1, 'is empty').max(500)

export const pauseQueries = {
  pauses: async (_, __, { reader }) => rows.parse(await reader.call(PAUSES)).map(camelCased),
} satisfies QueryResolvers<GraphqlContext>

export const pauseMutations = {
  pauseWork: (_, wanted, { reader }) =>
    reader.call(PAUSE, { ...scopeOf(wanted), reason: check('reason', sentence, wanted.reason) }),

  resumeWork: (_, wanted, { reader }) => reader.call(RESUME, scopeOf(wanted)),
} satisfies MutationResolvers<GraphqlContext>

function scopeOf({ scope, name }: MutationResumeWorkArgs) {
  return { scope, name: check('name', word, name) ?? '' }
}
