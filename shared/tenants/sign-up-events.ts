import { z } from 'zod'
import { checkBody } from '../kernel/http/body.ts'

const eventOnUsers = {
  schema: z.literal('auth', 'is not auth: this webhook is on another table'),
  table: z.literal('users', 'is not users: this webhook is on another table'),
}

/** What a database webhook sends. Supabase may add fields and columns: nothing but the id is used. */
const databaseEvent = z.discriminatedUnion('type', [
  z.looseObject({
    ...eventOnUsers,
    type: z.enum(['INSERT', 'UPDATE']),
    record: z.looseObject({ id: z.guid().toLowerCase() }),
  }),
  z.looseObject({ ...eventOnUsers, type: z.literal('DELETE') }),
])

const byHand = z.strictObject({ userId: z.guid().toLowerCase() })

/** What an auth hook sends, as far as it is looked at. */
export const hookSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  user: z.looseObject({ id: z.guid().toLowerCase() }),
})

/**
 * The user whom a request with a secret key is about: a database webhook's event on auth.users, or {userId}.
 * @returns undefined for a user who was deleted, which is the delete trigger's affair. @throws Problem
 */
export function reportedUser(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !('type' in body)) return checkBody(body, byHand).userId
  const event = checkBody(body, databaseEvent)
  return event.type === 'DELETE' ? undefined : event.record.id
}
