import { InvalidArgumentError } from 'commander'
import { z } from 'zod'

/** @throws InvalidArgumentError */
export function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 86_400))
    throw new InvalidArgumentError('It must be a number of seconds, up to 86400.')
  return value
}

/** @throws InvalidArgumentError */
export function count(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1.')
  return value
}

/** @returns a parser of whole numbers within these bounds, which throws InvalidArgumentError */
export function numberFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    // What Number() takes for 0, such as an empty variable of a script, is none.
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= least && value <= most))
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
    return value
  }
}

/** How long something old stays valid beside what is new; 0 ends it at once. */
export const graceHours = numberFrom(0, 720)

/** The Data API answers with no more rows than this. */
export const MAX_ROWS = 1000

/** The size of a page. @throws InvalidArgumentError */
export function pageSize(text: string): number {
  if (count(text) > MAX_ROWS)
    throw new InvalidArgumentError(`It must be at most ${MAX_ROWS}; go on with --after.`)
  return count(text)
}

/** An id. @throws InvalidArgumentError */
export function uuid(text: string): string {
  if (!z.guid().safeParse(text).success)
    throw new InvalidArgumentError('It must be an id, as the page before named it.')
  return text
}

/** For options that may be repeated, or hold several words with commas. */
export function words(text: string, before: readonly string[] | undefined): string[] {
  const added = text.split(',').map((word) => word.trim())
  if (added.some((word) => !/^[\w-]+$/.test(word)))
    throw new InvalidArgumentError('It must be words, with commas between them.')
  return [...(before ?? []), ...added]
}
