import { z } from 'zod'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import type { ProjectAddress } from '../../tools/project-address.ts'
import { supabaseCli } from '../../tools/supabase-cli.ts'
import type { Finding } from './finding.ts'

const ABOUT = { area: 'advisors', check: 'security and performance' }

const adviceSchema = z.looseObject({
  results: z.array(
    z.looseObject({
      title: z.string(),
      level: z.string(),
      detail: z.string().nullish(),
      remediation: z.string().nullish(),
    }),
  ),
})

/** What the Supabase advisors say of the database itself. They need a connection to it: SUPABASE_DB_URL, or the local stack. */
export async function advisorFindings(
  project: ProjectAddress,
  environment: NodeJS.ProcessEnv,
  stop: AbortSignal,
): Promise<Finding[]> {
  const url = await databaseUrl(project, environment)
  if (!url)
    return [
      {
        ...ABOUT,
        status: 'skipped',
        found:
          'They need a connection to the database: set SUPABASE_DB_URL (Dashboard, Connect), or look at Dashboard, Advisors.',
      },
    ]
  try {
    const output = await supabaseCli(['db', 'advisors', '--level', 'warn', '--output-format', 'json'], {
      databaseUrl: url,
    })
    return found(output)
  } catch (error) {
    // Ctrl-C ends the Supabase CLI too.
    stop.throwIfAborted()
    const message = maskSecrets(error instanceof Error ? error.message : String(error))
    return [
      {
        ...ABOUT,
        status: 'warning',
        found: `They could not be run: ${message}`,
        fix: 'Check SUPABASE_DB_URL.',
      },
    ]
  }
}

async function databaseUrl(
  project: ProjectAddress,
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (environment.SUPABASE_DB_URL) return environment.SUPABASE_DB_URL
  if (!project.isLocal) return undefined
  const { LOCAL_DB_PORT: port } = await readConfiguration(environment)
  return `postgresql://postgres:postgres@127.0.0.1:${port}/postgres?sslmode=disable`
}

function found(output: string): Finding[] {
  const { results } = adviceSchema.parse(JSON.parse(output))
  if (results.length === 0) return [{ ...ABOUT, status: 'ok', found: 'nothing at warning level or above' }]
  return results.map(({ title, level, detail, remediation }) => ({
    area: ABOUT.area,
    check: title,
    status: level === 'ERROR' ? ('failed' as const) : ('warning' as const),
    found: detail ?? title,
    ...(remediation ? { fix: remediation } : {}),
  }))
}
