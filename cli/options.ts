import { InvalidArgumentError } from 'commander'

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

/** For options that may be repeated, or hold several words with commas. */
export function words(text: string, before: readonly string[] | undefined): string[] {
  const added = text.split(',').map((word) => word.trim())
  if (added.some((word) => !/^[\w-]+$/.test(word)))
    throw new InvalidArgumentError('It must be words, with commas between them.')
  return [...(before ?? []), ...added]
}
