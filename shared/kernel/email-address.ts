import { z } from 'zod'

/**
 * An e-mail address as Auth may have one. Auth takes more than the usual patterns do, such as ann@intranet or letters of any
 * script, and whoever has signed up must be found by their address. Only what Postgres cannot store is refused.
 */
export const emailAddress = z
  .string()
  .max(320)
  .regex(/^[^\p{Cc}\p{Cs}@]+@[^\p{Cc}\p{Cs}]+$/u, 'is not an e-mail address')
