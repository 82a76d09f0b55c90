import type { PostgrestError, SupabaseClient } from '@supabase/supabase-js'
import { z } from 'zod'
import type { Database } from '../shared/generated/database-types.ts'
import { printable, printableJson } from '../tools/printable.ts'
import type { ProjectAddress } from '../tools/project-address.ts'
import { supabaseClient } from '../tools/supabase-client.ts'
import { readTenant, type Tenant } from './tenant.ts'

/** The project refused, or could not be reached. The message is for people, the code for programs. */
export class ProjectError extends Error {
  readonly code: string
  readonly status: number
  constructor(message: string, code: string, status: number) {
    super(printable(message))
    this.code = printable(code)
    this.status = status
  }
}

/**
 * A project as its backend sees it: with the secret key, over the Data API and the functions. What it answers is the text of many
 * people, so it comes as it may be printed.
 */
export interface Api {
  readonly project: ProjectAddress
  readonly client: SupabaseClient<Database>
  /** All about whom the subject (e-mail address, slug or id) means; its verdict says when nobody does. */
  describe(subject: string): Promise<Tenant>
  /** The same, for commands that need one. @throws ProjectError `not_found` */
  find(subject: string): Promise<Tenant & { organization_id: string }>
  /** What a query of the client brought. @throws ProjectError, or Interrupted on Ctrl-C */
  read<T>(what: string, query: Query<T>): Promise<T>
  /** The same for a call that changes something: Ctrl-C waits for it, so that what was done is known. @throws ProjectError */
  change<T>(what: string, query: Query<T>): Promise<T>
  /** An Edge Function's reply. @throws ProjectError with the code of its problem, or Interrupted on Ctrl-C */
  invoke(name: string, body: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>
}

interface Answer<T> {
  readonly data: T | null
  readonly error: PostgrestError | null
  readonly status: number
}

interface Query<T> extends PromiseLike<Answer<T>> {
  abortSignal(signal: AbortSignal): PromiseLike<Answer<T>>
}

/** How long an answer is waited for; a server may accept a call and never answer. */
export interface TimeLimits {
  /** Of the Data API, whose statements end after seconds. */
  readonly dataMs: number
  /** Of a function, which the platform ends after 150 s. */
  readonly functionMs: number
}

const TIME_LIMITS: TimeLimits = { dataMs: 60_000, functionMs: 180_000 }

export function connectApi(project: ProjectAddress, stop: AbortSignal, limits = TIME_LIMITS): Api {
  const client = supabaseClient(project.url, project.secretKey)
  const ask = async <T>(what: string, query: Query<T>, ...ends: AbortSignal[]): Promise<T> => {
    const limit = AbortSignal.timeout(limits.dataMs)
    const { data, error, status } = await query.abortSignal(AbortSignal.any([limit, ...ends]))
    // An answer that has come all the same is kept: it says what was done.
    if (error) {
      for (const end of ends) end.throwIfAborted()
      if (limit.aborted) throw unanswered(project, what, limits.dataMs)
      throw dataApiError(project, what, error, status)
    }
    if (data === null) throw new ProjectError(`${what}: the answer is empty.`, 'empty', status)
    return printableJson(data)
  }
  const read = <T>(what: string, query: Query<T>) => ask(what, query, stop)
  const describe = async (subject: string) =>
    readTenant(await read('The tenant', client.rpc('describe_tenant', { subject })))
  return {
    project,
    client,
    read,
    change: (what, query) => ask(what, query),
    describe,
    find: async (subject) => {
      const tenant = await describe(subject)
      const { organization_id: organizationId, verdict } = tenant
      if (organizationId !== null) return { ...tenant, organization_id: organizationId }
      throw new ProjectError([verdict.summary, verdict.fix].filter(Boolean).join(' '), 'not_found', 404)
    },
    invoke: async (name, body) => {
      const limit = AbortSignal.timeout(limits.functionMs)
      const signal = AbortSignal.any([limit, stop])
      const { data, error } = await client.functions.invoke(name, { body: { ...body }, signal })
      if (error) {
        stop.throwIfAborted()
        if (limit.aborted) throw unanswered(project, `The function ${name}`, limits.functionMs)
        throw await functionError(project, name, error.context)
      }
      return printableJson(z.record(z.string(), z.unknown()).parse(data))
    },
  }
}

function unanswered({ url }: ProjectAddress, what: string, limitMs: number): ProjectError {
  return new ProjectError(
    `${what}: ${url} takes calls, but has not answered in ${limitMs / 1000} s. Whether the call was carried out is not known; try again, and look at the load and the logs of the project when it stays so.`,
    'no_answer',
    0,
  )
}

function unreachable({ url, hint }: ProjectAddress): ProjectError {
  return new ProjectError(`${url} cannot be reached: ${hint}`, 'unreachable', 0)
}

function dataApiError(
  project: ProjectAddress,
  what: string,
  { code, message, hint }: PostgrestError,
  status: number,
): ProjectError {
  if (status === 0 || (!code && /fetch failed/i.test(message))) return unreachable(project)
  if (status === 401)
    return new ProjectError(
      'The project does not accept the key: check SUPABASE_SECRET_KEY.',
      'unauthorized',
      status,
    )
  if (code === 'PGRST202' || code === 'PGRST205')
    return new ProjectError(
      `The project lacks what this command needs (${message}): apply the migrations with \`npx supabase db push --remote\` (with version 2 of the Supabase CLI \`--linked\`).`,
      code,
      status,
    )
  return new ProjectError(
    [`${what}: ${withWait(message)}`, hint].filter(Boolean).join(' '),
    code || 'data_api',
    status,
  )
}

/** What a limit puts off comes with the seconds: at the end of our own sentences, and else in the header Retry-After alone. */
function withWait(reason: string, retryAfter: string | null = null): string {
  const ending = /\s{0,3}\b(?:or )?try again in (\d{1,9}) s\.$/i.exec(reason)
  const seconds = ending?.[1] ?? (/^\d{1,6}$/.test(retryAfter ?? '') ? retryAfter : undefined)
  if (!seconds) return reason
  const before = ending ? reason.slice(0, ending.index).replace(/,$/, '.') : reason
  return `${before} Wait ${seconds} s, then give the command again.`
}

const refusal = z
  .object({
    title: z.string(),
    detail: z.string(),
    message: z.string(),
    msg: z.string(),
    code: z.union([z.string(), z.number()]),
    requestId: z.string(),
    issues: z.array(z.object({ path: z.string(), message: z.string() })),
  })
  .partial()

/** Functions refuse with problem+json, the platform before them with {code, message} or {msg}. */
async function functionError(project: ProjectAddress, name: string, reply: unknown): Promise<ProjectError> {
  if (!(reply instanceof Response)) return unreachable(project)
  const body = await reply.text()
  const {
    title,
    detail,
    message,
    msg,
    code,
    requestId,
    issues = [],
  } = refusal.safeParse(parsed(body)).data ?? {}
  if (reply.status === 404 && !detail)
    return new ProjectError(
      `The function ${name} is not there: deploy it with \`supabase functions deploy --use-api\`.`,
      'function_not_found',
      404,
    )
  if (reply.status === 401 && !detail)
    return new ProjectError(
      `The platform refused the key before ${name} saw it: deploy it with its section in config.toml (verify_jwt = false), or check SUPABASE_SECRET_KEY.`,
      'unauthorized',
      401,
    )
  const reason =
    detail ?? message ?? msg ?? title ?? `${name} answered ${reply.status}: ${body.slice(0, 300)}`
  const listed = issues.map((issue) => `${issue.path} ${issue.message}`).join('; ')
  const logged = reply.status >= 500 && requestId ? ` Its id in the log: ${requestId}` : ''
  const whole = listed ? `${reason} (${listed})` : reason
  return new ProjectError(
    withWait(whole, reply.headers.get('retry-after')) + logged,
    String(code ?? reply.status),
    reply.status,
  )
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
