import { z } from 'zod'
import { UNSTORABLE_MESSAGE, unstorableKey } from '../kernel/database/storable.ts'

const MAX_LETTERS = 16_384

/** Metadata of a user as a caller gives it: a JSON object that the database can keep, and not a large one. */
export const userMetadata = z
  .record(z.string(), z.json(), 'is not an object')
  .refine((given) => unstorableKey(given) === undefined, UNSTORABLE_MESSAGE)
  .refine(
    (given) => JSON.stringify(given).length <= MAX_LETTERS,
    `is longer than ${MAX_LETTERS} letters as JSON`,
  )
