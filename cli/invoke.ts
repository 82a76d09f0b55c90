import { parseArgs } from 'node:util'
import { z } from 'zod'
import { parseUsage, runCommand, UsageError } from '../tools/command.ts'
import { printable, printableJson } from '../tools/printable.ts'
import { findProject } from '../tools/project-address.ts'
import { supabaseClient } from '../tools/supabase-client.ts'

const HELP = `npm run functions:invoke -- NAME ['{"json": "body"}']

Calls an Edge Function with supabase-js and prints its reply. Uses the running local stack, or any project when
SUPABASE_URL and SUPABASE_SECRET_KEY are set.

Example: npm run functions:invoke -- provision-tenant-resources '{"organizationId": "…", "wait": true}'

Exit codes: 0 the function answered 2xx, 1 it refused or could not be reached, 2 the arguments are wrong.`

await runCommand(async () => {
  const { values, positionals } = parseUsage(HELP, () =>
    parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } }),
  )
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const [name, text = '{}', ...rest] = positionals
  if (!name) throw new UsageError('Which function?', HELP)
  if (rest.length > 0) throw new UsageError(`One body is enough; quote it: ${rest.join(' ')}`, HELP)
  const body = parseBody(text)
  const { url, secretKey, hint } = await findProject()
  const { data, error } = await supabaseClient(url, secretKey).functions.invoke(name, { body })
  if (!error) {
    console.log(
      typeof data === 'string' ? printableLines(data) : JSON.stringify(printableJson(data), null, 2),
    )
    return 0
  }
  if (!(error.context instanceof Response)) throw new Error(`${url} cannot be reached: ${hint}`)
  throw new Error(printableLines(await describe(error.context)))
})

/** What a function says may be the text of others. */
function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

function parseBody(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { ...body }
  } catch {
    // Said below, with what was typed.
  }
  throw new UsageError(`The body is not a JSON object: ${text}`, HELP)
}

/** Functions refuse with problem+json, the gateway before them with {code, message}. */
async function describe(reply: Response): Promise<string> {
  const text = await reply.text()
  const refusal = z
    .object({ title: z.string(), detail: z.string(), message: z.string(), code: z.string() })
    .partial()
  const { title, detail, message = title, code } = refusal.safeParse(parseOrNothing(text)).data ?? {}
  if (!message) return `${reply.status}: ${text.slice(0, 500)}`
  return `${reply.status} ${message}${code ? ` (${code})` : ''}${detail ? `: ${detail}` : ''}`
}

function parseOrNothing(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
