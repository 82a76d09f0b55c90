import { createRequire } from 'node:module'
import path from 'node:path'
import { projectRoot } from '../project.ts'
import { runProgram } from './binaries.ts'

const require = createRequire(import.meta.url)

/** Runs the Supabase CLI of package.json in the project and returns what it printed. */
export async function supabaseCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const packageFile = require.resolve('supabase/package.json')
  const { bin } = require(packageFile) as { bin: { supabase: string } }
  return runProgram(
    process.execPath,
    [path.resolve(path.dirname(packageFile), bin.supabase), '--workdir', projectRoot, ...args],
    { env: { ...process.env, SUPABASE_TELEMETRY_DISABLED: '1', ...env } },
  )
}
