import { z } from 'zod'
import { check } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { PAUSE, PAUSES, RESUME } from './reads/pauses.ts'

const rows = z.array(z.looseObject({}))
const word = z.string().max(50).nullish()
const sentence = z.string().trim().min(1, 'is empty').max(500)

interface Scope {
  readonly scope: string
  readonly name?: string | null
}

export const pauseQueries = {
  pauses: async (_: unknown, __: unknown, { reader }: GraphqlContext) =>
    rows.parse(await reader.call(PAUSES)).map(camelCased),
}

export const pauseMutations = {
  pauseWork: (_: unknown, wanted: Scope & { reason: string }, { reader }: GraphqlContext) =>
    reader.call(PAUSE, { ...scopeOf(wanted), reason: check('reason', sentence, wanted.reason) }),

  resumeWork: (_: unknown, wanted: Scope, { reader }: GraphqlContext) => reader.call(RESUME, scopeOf(wanted)),
}

function scopeOf({ scope, name }: Scope) {
  return { scope, name: check('name', word, name) ?? '' }
}
