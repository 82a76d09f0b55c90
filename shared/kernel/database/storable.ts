import { z } from 'zod'

export const UNSTORABLE_MESSAGE =
  'contains a character that cannot be stored (NUL, or half of a surrogate pair)'

const REPLACEMENT = '\u{fffd}'

/** Whether Postgres can keep the text, which it cannot with the character NUL or half of a surrogate pair. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** Free text of a request that the database is to keep. */
export const storableText = z.string().refine(isStorable, UNSTORABLE_MESSAGE)

/** @returns the key that cannot be stored, or whose text cannot ('' for the value as a whole); undefined when all can */
export function unstorableKey(value: unknown): string | undefined {
  let found: string | undefined
  JSON.stringify(value, (key, part: unknown) => {
    if (!isStorable(key) || (typeof part === 'string' && !isStorable(part))) found ??= key
    return part
  })
  return found
}

/** The text with a replacement for what cannot be stored. */
export function storable(text: string): string {
  return text.replaceAll('\0', REPLACEMENT).toWellFormed()
}
