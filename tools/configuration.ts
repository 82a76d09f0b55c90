import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { withFunctionNames } from './function-names.ts'
import { projectRoot } from './project.ts'

const port = (standard: number) => z.coerce.number().int().min(1).max(65535).default(standard)

const schema = z.object({
  /** Relative to the project's root. */
  LOCAL_DIRECTORY: z.string().default('.local'),
  LOCAL_API_PORT: port(54321),
  LOCAL_DB_PORT: port(54322),
  LOCAL_CONSOLE_PORT: port(54323),
  LOCAL_NEON_PORT: port(54331),
  LOCAL_NEON_POSTGRES_PORT: port(54332),
  LOCAL_STRIPE_PORT: port(54333),
  LOCAL_N8N_PORT: port(54339),
  LOCAL_SUPABASE_PORT: port(54334),
  LOCAL_SUPABASE_POSTGRES_PORT: port(54335),
  LOCAL_GITHUB_PORT: port(54336),
  LOCAL_VERCEL_PORT: port(54338),
  STRIPE_SECRET_KEY: z.string().min(1).optional(),
  NEON_API_KEY: z.string().min(1).optional(),
  NEON_ORG_ID: z.string().min(1).optional(),
  MANAGEMENT_TOKEN: z.string().min(1).optional(),
  MANAGEMENT_ORG_ID: z.string().min(1).optional(),
  GITHUB_TOKEN: z.string().min(1).optional(),
  GITHUB_ORG: z.string().min(1).optional(),
  GITHUB_TEMPLATE_REPOSITORY: z.string().min(1).optional(),
  VERCEL_TOKEN: z.string().min(1).optional(),
  VERCEL_TEAM_ID: z.string().min(1).optional(),
  N8N_URL: z.string().min(1).optional(),
  N8N_API_KEY: z.string().min(1).optional(),
  METRICS_KEY: z.string().min(1).optional(),
})

export type Configuration = z.infer<typeof schema>

/** The local stack's settings: .env, overridden by the environment. @throws Error that names what is wrong. */
export async function readConfiguration(
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Configuration> {
  const file = await readFile(path.join(projectRoot, '.env'), 'utf8').catch(() => '')
  // A name with nothing behind it, as in a form that was not filled in, is a setting that was not made.
  const parsed = schema.safeParse(withFunctionNames({ ...parseEnv(file), ...environment }))
  const problems = parsed.success
    ? repeatedPorts(parsed.data)
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  if (parsed.success && problems.length === 0) return parsed.data
  throw new Error(`The configuration in .env or the environment is not usable: ${problems.join('; ')}`)
}

function repeatedPorts(configuration: Configuration): string[] {
  const users = new Map<unknown, string>()
  const problems: string[] = []
  for (const [name, value] of Object.entries(configuration).filter(([name]) => name.endsWith('_PORT'))) {
    const other = users.get(value)
    if (other) problems.push(`${name} and ${other} are both ${value}`)
    users.set(value, name)
  }
  return problems
}
