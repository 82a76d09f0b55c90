import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { readConfiguration } from './configuration.ts'
import { stackFile } from './stack-directory.ts'

export interface ProjectAddress {
  readonly url: string
  readonly secretKey: string
  /** What to do when it does not answer. */
  readonly hint: string
  readonly isLocal: boolean
}

const runningStack = z.object({ url: z.url(), secretKey: z.string().min(1) })

/**
 * The project that a command is for: SUPABASE_URL (or VITE_SUPABASE_URL, as an application has it) with SUPABASE_SECRET_KEY (or the
 * legacy SUPABASE_SERVICE_ROLE_KEY), else the running local stack. @throws Error that says what to set
 */
export async function findProject(environment: NodeJS.ProcessEnv = process.env): Promise<ProjectAddress> {
  const { VITE_SUPABASE_URL: applicationUrl, VITE_SUPABASE_ANON_KEY: applicationKey } = environment
  const secretKey = (environment.SUPABASE_SECRET_KEY || environment.SUPABASE_SERVICE_ROLE_KEY)?.trim()
  const url = (environment.SUPABASE_URL || applicationUrl)?.trim()
  if (url && secretKey) return remoteProject(url, secretKey)
  if (url && applicationKey)
    throw new Error(
      'VITE_SUPABASE_ANON_KEY is for browsers, and may not look after tenants: set SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY), too.',
    )
  if (environment.SUPABASE_URL)
    throw new Error(
      'SUPABASE_URL is set, SUPABASE_SECRET_KEY is not: set both, or neither for the local stack.',
    )
  const running = await readFile(stackFile(await readConfiguration(environment)), 'utf8').catch(
    () => undefined,
  )
  if (running)
    return {
      ...runningStack.parse(JSON.parse(running)),
      hint: 'the local stack is not running, see `npm start`.',
      isLocal: true,
    }
  throw new Error(
    'There is no project to work on: run `npm start` in another terminal first, or set SUPABASE_URL and SUPABASE_SECRET_KEY.',
  )
}

function remoteProject(url: string, secretKey: string): ProjectAddress {
  if (!z.url({ protocol: /^https?$/ }).safeParse(url).success)
    throw new Error('SUPABASE_URL is not an address such as https://YOUR-PROJECT.supabase.co.')
  // fetch would quote a header that it cannot send, key and all.
  if (!/^[\x21-\x7e]+$/.test(secretKey))
    throw new Error('SUPABASE_SECRET_KEY holds characters that no key has: copy it again.')
  if (secretKey.startsWith('sb_publishable_'))
    throw new Error('SUPABASE_SECRET_KEY is a publishable key; this needs the secret one (sb_secret_…).')
  return { url: url.replace(/(?<!\/)\/+$/, ''), secretKey, hint: 'check SUPABASE_URL.', isLocal: false }
}
