import { z } from 'zod'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { boundedFetch } from '../../shared/services/bounded-fetch.ts'
import { printable } from '../../tools/printable.ts'
import { DeployProblem } from './step.ts'

const TIMEOUT_MS = 30_000
const MAX_REPLY_BYTES = 4 * 1024 * 1024
const MAX_MESSAGE = 300

const projectSchema = z.object({ name: z.string(), status: z.string(), organization_slug: z.string() })
const organizationSchema = z.object({ plan: z.string().optional() })
const secretsSchema = z.array(z.object({ name: z.string(), value: z.string() }))
const functionsSchema = z.array(
  z.object({ slug: z.string(), version: z.number(), ezbr_sha256: z.string().optional() }),
)
const dataApiSchema = z.object({ db_schema: z.string() })

export type DeployedFunction = z.infer<typeof functionsSchema>[number]

/** The calls of the Management API about the project that is deployed to. They throw DeployProblem. */
export interface HostedProject {
  project(): Promise<z.infer<typeof projectSchema>>
  plan(organization: string): Promise<string>
  /** By name, the SHA-256 of each value: the API tells no values. */
  secretDigests(): Promise<ReadonlyMap<string, string>>
  setSecrets(secrets: ReadonlyMap<string, string>): Promise<void>
  functions(): Promise<readonly DeployedFunction[]>
  /** Those that the Data API serves. */
  exposedSchemas(): Promise<readonly string[]>
  exposeSchemas(schemas: readonly string[]): Promise<void>
}

export function hostedProject(apiUrl: string, token: string, ref: string, stop: AbortSignal): HostedProject {
  const send = boundedFetch(TIMEOUT_MS, MAX_REPLY_BYTES, stop)
  const ask = async <T>(schema: z.ZodType<T>, method: string, path: string, body?: object): Promise<T> => {
    const reply = await send(`${apiUrl}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: unknown) => {
      stop.throwIfAborted()
      throw new DeployProblem(
        'management_api_unreachable',
        `The Management API gave no answer: ${reason(error)}`,
        'Look at the network of this machine, and run deploy again.',
      )
    })
    const text = await reply.text()
    if (!reply.ok) throw refusal(reply.status, text, ref)
    const parsed = schema.safeParse(text === '' ? undefined : json(text))
    if (parsed.success) return parsed.data
    throw new DeployProblem(
      'management_api_unknown_reply',
      `The Management API answered ${method} ${path} with what deploy does not know.`,
      'Deploy with the Supabase CLI, as docs/installation.md says, and report this.',
    )
  }
  const base = `/projects/${ref}`
  return {
    project: () => ask(projectSchema, 'GET', base),
    plan: async (organization) =>
      (await ask(organizationSchema, 'GET', `/organizations/${encodeURIComponent(organization)}`)).plan ??
      'unknown',
    secretDigests: async () => {
      const secrets = await ask(secretsSchema, 'GET', `${base}/secrets`)
      return new Map(secrets.map(({ name, value }) => [name, value]))
    },
    setSecrets: async (secrets) => {
      const body = [...secrets].map(([name, value]) => ({ name, value }))
      await ask(z.unknown(), 'POST', `${base}/secrets`, body)
    },
    functions: () => ask(functionsSchema, 'GET', `${base}/functions`),
    exposedSchemas: async () =>
      (await ask(dataApiSchema, 'GET', `${base}/postgrest`)).db_schema.split(',').map((name) => name.trim()),
    exposeSchemas: async (schemas) =>
      void (await ask(z.unknown(), 'PATCH', `${base}/postgrest`, { db_schema: schemas.join(', ') })),
  }
}

function refusal(status: number, text: string, ref: string): DeployProblem {
  if (status === 401)
    return new DeployProblem(
      'access_token_refused',
      'The Management API refuses the access token.',
      'Make a new one (supabase.com/dashboard/account/tokens) and set SUPABASE_ACCESS_TOKEN.',
    )
  if (status === 403)
    return new DeployProblem(
      'access_token_too_weak',
      `The access token may not do this with the project ${ref}.`,
      'Use one of an owner or administrator of its organization.',
    )
  if (status === 404)
    return new DeployProblem(
      'project_not_found',
      `Supabase knows no project ${ref} for this access token.`,
      'Compare --project-ref with the address of the project in the dashboard.',
    )
  if (status === 429)
    return new DeployProblem(
      'management_api_rate_limited',
      'The Management API takes no more calls for now.',
      'Wait a minute and run deploy again: it goes on where it stopped.',
    )
  const said = z.object({ message: z.string() }).safeParse(json(text)).data?.message ?? ''
  return new DeployProblem(
    'management_api_refused',
    `The Management API answered ${status}. ${printable(maskSecrets(said)).slice(0, MAX_MESSAGE)}`.trim(),
    'Mend what the answer names, and run deploy again.',
  )
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const reason = (error: unknown) =>
  maskSecrets(error instanceof Error ? error.message : String(error)).slice(0, MAX_MESSAGE)
