import { z } from 'zod'

/** Function secrets may not begin with SUPABASE_, so that these are called otherwise than the vendor's own tools call them. */
export const supabaseEnvironment = z.object({
  /** A personal access token, sbp_…: what is SUPABASE_MANAGEMENT_TOKEN elsewhere. Without it, each call fails with supabase_key_missing. */
  MANAGEMENT_TOKEN: z.string().min(1).optional(),
  /** The slug of the organization that new projects belong to: what is SUPABASE_ORG_ID elsewhere. */
  MANAGEMENT_ORG_ID: z
    .string()
    .regex(/^[\w-]+$/)
    .optional(),
  MANAGEMENT_API_URL: z.url().default('https://api.supabase.com'),
})

/** What the vendor's tools, and people's environments, call these variables. */
export const SUPABASE_NAMES_ELSEWHERE = {
  SUPABASE_MANAGEMENT_TOKEN: 'MANAGEMENT_TOKEN',
  SUPABASE_ORG_ID: 'MANAGEMENT_ORG_ID',
} as const

export type SupabaseEnvironment = z.infer<typeof supabaseEnvironment>
