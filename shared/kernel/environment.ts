import { z } from 'zod'

const namedKeys = z
  .string()
  .default('{}')
  .transform((text, context) => {
    try {
      return z.record(z.string(), z.string()).parse(JSON.parse(text))
    } catch {
      context.addIssue({ code: 'custom', message: 'is not a JSON object of names and keys' })
      return z.NEVER
    }
  })

const HOOK_SECRETS = /^v1,whsec_[A-Za-z0-9+/]+={0,2}(\|v1,whsec_[A-Za-z0-9+/]+={0,2})*$/

const schema = z.object({
  SUPABASE_URL: z.url(),
  SUPABASE_DB_URL: z.string().min(1),
  /** A pooler in transaction mode, used instead of SUPABASE_DB_URL when set. */
  DATABASE_POOLER_URL: z.string().min(1).optional(),
  SUPABASE_PUBLISHABLE_KEYS: namedKeys,
  SUPABASE_SECRET_KEYS: namedKeys,
  SUPABASE_JWKS: z.string().default('{"keys":[]}'),
  SUPABASE_ANON_KEY: z.string().optional(),
  SUPABASE_SERVICE_ROLE_KEY: z.string().optional(),
  STRIPE_SECRET_KEY: z.string().min(1).optional(),
  STRIPE_API_URL: z.url().default('https://api.stripe.com'),
  NEON_API_KEY: z.string().min(1).optional(),
  NEON_API_URL: z.url().default('https://console.neon.tech/api/v2'),
  /** Organization that new Neon projects belong to; needed with a personal API key. */
  NEON_ORG_ID: z.string().min(1).optional(),
  /** Secrets of the auth hook that calls handle-new-user, as Supabase Auth has them: several while one is replaced. */
  HANDLE_NEW_USER_HOOK_SECRET: z
    .string()
    .regex(HOOK_SECRETS, 'is not v1,whsec_ and base64 (several are separated by |)')
    .optional(),
})

export type Environment = z.infer<typeof schema>

/** Reads and checks the environment once. @throws Error that lists every variable that is missing or wrong. */
export function readEnvironment(source: Readonly<Record<string, string | undefined>>): Environment {
  const parsed = schema.safeParse(source)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`The function's environment is incomplete: ${problems.join('; ')}`)
}
