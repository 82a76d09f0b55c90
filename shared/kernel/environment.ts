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

/**
 * Checked here, and told without the value: whoever parses it later quotes it in the error, password and all. A password with one
 * of these characters ends the authority, or begins something else.
 */
const databaseUrl = z.string().refine(isDatabaseUrl, {
  message:
    'is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE. In the password write characters such as # ? / % ^ percent-encoded: # is %23, ^ is %5E',
})

function isDatabaseUrl(text: string): boolean {
  const url = URL.parse(text)
  if (!url || !/^postgres(ql)?:$/.test(url.protocol) || url.hash !== '') return false
  try {
    decodeURIComponent(url.password)
    return url.username !== '' && url.hostname !== ''
  } catch {
    return false
  }
}

const HOOK_SECRETS = /^v1,whsec_[A-Za-z0-9+/]+={0,2}(\|v1,whsec_[A-Za-z0-9+/]+={0,2})*$/

const schema = z.object({
  SUPABASE_URL: z.url(),
  SUPABASE_DB_URL: z.string().min(1),
  /** A pooler in transaction mode, used instead of SUPABASE_DB_URL when set. */
  DATABASE_POOLER_URL: databaseUrl.optional(),
  SUPABASE_PUBLISHABLE_KEYS: namedKeys,
  SUPABASE_SECRET_KEYS: namedKeys,
  SUPABASE_JWKS: z.string().default('{"keys":[]}'),
  SUPABASE_ANON_KEY: z.string().optional(),
  SUPABASE_SERVICE_ROLE_KEY: z.string().optional(),
  /** How many callers may wait for an outcome or listen to progress at once, each with one request. */
  WAITING_PER_USER: z.coerce.number().int().positive().default(20),
  WAITING_PER_PROCESS: z.coerce.number().int().positive().default(500),
  /** Secrets of the auth hook that calls handle-new-user, as Supabase Auth has them: several while one is replaced. */
  HANDLE_NEW_USER_HOOK_SECRET: z
    .string()
    .regex(HOOK_SECRETS, 'is not v1,whsec_ and base64 (several are separated by |)')
    .optional(),
})

/** Environment variables by name. */
export type Variables = Readonly<Record<string, string | undefined>>

export type Environment = z.infer<typeof schema> & {
  /** All of them: each service reads its own. */
  readonly variables: Variables
}

/** Reads and checks the project's own variables, once. @throws Error that lists each one that is missing or wrong. */
export function readEnvironment(variables: Variables): Environment {
  return { ...readVariables(schema, variables), variables }
}

/** A variable with nothing in it, as in a form that was not filled in, is not set. @throws Error that lists each that is missing or wrong. */
export function readVariables<Values>(wanted: z.ZodType<Values>, variables: Variables): Values {
  const set = Object.entries(variables).filter(([, value]) => value !== '')
  const parsed = wanted.safeParse(Object.fromEntries(set))
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`The function's environment is incomplete: ${problems.join('; ')}`)
}
