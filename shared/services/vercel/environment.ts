import { z } from 'zod'

export const vercelEnvironment = z.object({
  /** Without it, each call fails with vercel_key_missing. */
  VERCEL_TOKEN: z.string().min(1).optional(),
  /** The team that gets the projects; without it, the account of the token. */
  VERCEL_TEAM_ID: z.string().min(1).optional(),
  VERCEL_API_URL: z.url().default('https://api.vercel.com'),
})

export type VercelEnvironment = z.infer<typeof vercelEnvironment>
