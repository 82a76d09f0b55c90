import { z } from 'zod'

export const neonEnvironment = z.object({
  /** Without it, each call fails with neon_key_missing. */
  NEON_API_KEY: z.string().min(1).optional(),
  NEON_API_URL: z.url().default('https://console.neon.tech/api/v2'),
  /** Organization that new projects belong to; needed with a personal API key. */
  NEON_ORG_ID: z.string().min(1).optional(),
})

export type NeonEnvironment = z.infer<typeof neonEnvironment>
