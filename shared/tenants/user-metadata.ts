import { z } from 'zod'
import { UNSTORABLE_MESSAGE, unstorableKey } from '../kernel/database/storable.ts'

/** Metadata of a user as a caller gives it: a JSON object that the database can keep. */
export const userMetadata = z
  .record(z.string(), z.json(), 'is not an object')
  .refine((given) => unstorableKey(given) === undefined, UNSTORABLE_MESSAGE)
