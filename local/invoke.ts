import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { createClient, FunctionsHttpError } from '@supabase/supabase-js'
import { runCommand } from './command.ts'
import { stackFile } from './directories.ts'

const HELP = `npm run functions:invoke -- NAME ['{"json": "body"}']

Calls an Edge Function with supabase-js and prints its reply. Uses the running local stack, or any project when
SUPABASE_URL and SUPABASE_SECRET_KEY are set.

Example: npm run functions:invoke -- provision-tenant-resources '{"organizationId": "…", "wait": true}'

Exit codes: 0 the function answered 2xx, 1 it refused or could not be reached, 2 the arguments are wrong.`

await runCommand(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  })
  const [name, text = '{}', ...rest] = positionals
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const body = parseBody(text)
  if (!name || rest.length > 0 || body === undefined) {
    console.error(body === undefined ? `The body is not a JSON object: ${text}\n\n${HELP}` : HELP)
    return 2
  }
  const { url, secretKey } = await project()
  const { data, error } = await createClient(url, secretKey).functions.invoke(name, { body })
  if (!error) {
    console.log(JSON.stringify(data, null, 2))
    return 0
  }
  console.error(
    error instanceof FunctionsHttpError
      ? await describe(error.context)
      : `${name} cannot be reached at ${url}.`,
  )
  return 1
})

function parseBody(text: string): Record<string, unknown> | undefined {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body } : undefined
  } catch {
    return undefined
  }
}

async function project(): Promise<{ url: string; secretKey: string }> {
  const { SUPABASE_URL: url, SUPABASE_SECRET_KEY, SUPABASE_SERVICE_ROLE_KEY } = process.env
  const secretKey = SUPABASE_SECRET_KEY ?? SUPABASE_SERVICE_ROLE_KEY
  if (url && secretKey) return { url, secretKey }
  const running = await readFile(stackFile, 'utf8').catch(() => undefined)
  if (running) return JSON.parse(running)
  throw new Error(
    'There is no project to call: run `npm start` first, or set SUPABASE_URL and SUPABASE_SECRET_KEY.',
  )
}

async function describe(reply: Response): Promise<string> {
  const text = await reply.text()
  try {
    const { title, detail, code } = JSON.parse(text)
    return `${reply.status} ${title} (${code}): ${detail}`
  } catch {
    return `${reply.status}: ${text.slice(0, 500)}`
  }
}
