import { createRequire } from 'node:module'
import path from 'node:path'
import { projectRoot } from './project.ts'
import { runProgram } from './run-program.ts'

const require = createRequire(import.meta.url)

interface CliOptions {
  /** The database to work on. Its password goes by the environment: `ps` shows arguments to everybody. */
  readonly databaseUrl?: string
  readonly env?: NodeJS.ProcessEnv
  /** The directory that has supabase/config.toml; without it, this one. */
  readonly workdir?: string
}

/** Runs the Supabase CLI of package.json in a project and returns what it printed. @throws Error with that */
export async function supabaseCli(
  args: readonly string[],
  { databaseUrl, env = {}, workdir = projectRoot }: CliOptions = {},
): Promise<string> {
  const packageFile = packageOfTheCli()
  const { bin } = require(packageFile) as { bin: { supabase: string } }
  const remote = databaseUrl === undefined ? undefined : withoutPassword(databaseUrl)
  return runProgram(
    process.execPath,
    [
      path.resolve(path.dirname(packageFile), bin.supabase),
      '--workdir',
      workdir,
      ...args,
      ...(remote ? [`--remote=${remote.url}`] : []),
    ],
    { env: { ...process.env, SUPABASE_TELEMETRY_DISABLED: '1', ...(remote?.env ?? {}), ...env } },
  )
}

/** Ours, or where this is installed as a package, that of the project. */
function packageOfTheCli(): string {
  for (const from of [require, createRequire(path.join(process.cwd(), 'package.json'))])
    try {
      return from.resolve('supabase/package.json')
    } catch {}
  throw new Error('The Supabase CLI is not installed here: npm install --save-dev supabase')
}

function withoutPassword(databaseUrl: string): { url: string; env: NodeJS.ProcessEnv } {
  const url = new URL(databaseUrl)
  if (url.password === '') return { url: databaseUrl, env: {} }
  const env = { PGPASSWORD: decodeURIComponent(url.password) }
  url.password = ''
  return { url: url.href, env }
}
