import { z } from 'zod'
import { UNSTORABLE_MESSAGE, unstorableKey } from '../kernel/database/storable.ts'
import { Problem } from '../kernel/http/problem.ts'

const MAX_PAGE = 100

/** Services, sizes and regions are words; which ones there are is the database's to say. */
export const word = z.string().regex(/^[\w-]{1,50}$/, 'is not a word of letters, digits and hyphens')

/** @throws Problem that names the argument */
export function organizationId(id: string): string {
  return check('organizationId', z.guid('is not the id of an organization'), id).toLowerCase()
}

/** @throws Problem unless it is a page of 1 to 100 */
export function pageSize(first: number): number {
  return check('first', z.int().min(1, 'is at least 1').max(MAX_PAGE, `is at most ${MAX_PAGE}`), first)
}

/** Checks what GraphQL's types cannot say. @throws Problem that names the argument */
export function check<T>(argument: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.map(({ path, message }) => ({
    path: [argument, ...path].join('.'),
    message,
  }))
  throw new Problem(
    'invalid_argument',
    `Wrong: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    issues,
  )
}

/** @throws Problem for a text that Postgres cannot keep */
export function assertStorable(value: unknown): void {
  const path = unstorableKey(value)
  if (path === undefined) return
  throw new Problem('invalid_argument', `Wrong: ${path}: ${UNSTORABLE_MESSAGE}`, [
    { path, message: UNSTORABLE_MESSAGE },
  ])
}

/** The place in a list in the order of time, as an opaque text: [moment, id] of a row. */
export type Position = readonly [at: string, id: string]

/** An ISO 8601 moment with its offset, of the years and offsets that Postgres reads as well. */
export const isoMoment = z.iso
  .datetime({ offset: true })
  .max(40)
  .refine((text) => !text.startsWith('0000') && !/[+-](1[6-9]|2\d):?\d\d$/.test(text))

const position = z.tuple([isoMoment, z.guid()])

export function encodeCursor(position: Position): string {
  const bytes = new TextEncoder().encode(JSON.stringify(position))
  return btoa(String.fromCharCode(...bytes))
}

/** @throws Problem for anything that is not a cursor of a list in the order of time */
export function decodeTimeCursor(cursor: string | null | undefined): Position | null {
  if (cursor === null || cursor === undefined) return null
  const parsed = position.safeParse(parseCursor(cursor))
  if (parsed.success) return parsed.data
  throw new Problem('invalid_argument', 'Wrong: after: is not a cursor of this list', [
    { path: 'after', message: 'is not a cursor of this list' },
  ])
}

function parseCursor(cursor: string): unknown {
  try {
    const bytes = Uint8Array.from(atob(cursor), (character) => character.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
