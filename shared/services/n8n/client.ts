import { z } from 'zod'
import type { AssertLease } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import type { Failure } from '../../kernel/failures.ts'
import { retryAfterSeconds } from '../../kernel/http/retry-after.ts'
import { sendOnce } from '../../kernel/http/send-once.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { type GuardedCall, guardProvider, WORTH_WAITING_SECONDS } from '../guard.ts'
import type { N8nEnvironment } from './environment.ts'
import { failure, n8nFailures } from './failures.ts'
import type { NewWorkflow } from './fill-template.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
export const N8N_TIMEOUT_MS = 20_000
/** A create whose reply was lost may still be at work; looking sooner could miss what it makes. */
const SETTLE_SECONDS = 5
/** The most that n8n lists at once. */
const PAGE = 250
/** Workflows come with all their nodes. */
const WORKFLOW_PAGE = 50
const MAX_REPLY_BYTES = 8 * 1024 * 1024
/** 100,000 clients have fewer tags and credentials than these hold. */
const MAX_PAGES = 1_000

const named = z.object({ id: z.string(), name: z.string() })
const tag = named.extend({ createdAt: z.string().optional() })
const workflow = named.extend({
  active: z.boolean(),
  isArchived: z.boolean().default(false),
  createdAt: z.string().default(''),
  tags: z.array(z.object({ id: z.string() })).default([]),
})
const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ data: z.array(item), nextCursor: z.string().nullish() })

export type Named = z.infer<typeof named>
export type Tag = z.infer<typeof tag>
export type Workflow = z.infer<typeof workflow>

export interface NewCredential {
  readonly name: string
  readonly type: string
  readonly data: Readonly<Record<string, string>>
}

export interface TagPage {
  readonly tags: readonly Tag[]
  readonly nextCursor: string | null
}

/** n8n's public API, as far as a client's workflows need it. Whatever takes `before` runs it right before the request. */
export interface N8nClient {
  /** Where people see a workflow. */
  workflowUrl(id: string): string
  /** Where they see all. */
  readonly homeUrl: string
  /** A tag's name is unique. Undefined when n8n says that it is taken, or cannot be. */
  createTag(name: string, before: AssertLease): Promise<Result<Tag | undefined>>
  findTag(name: string): Promise<Result<Tag | undefined>>
  tagPage(cursor: string | null): Promise<Result<TagPage>>
  /** Succeeds for one that is gone, as each of these does. */
  deleteTag(id: string, before: AssertLease): Promise<Result<void>>
  /** Those whose name begins with the text, and those that carry the tag, the oldest first. */
  clientWorkflows(beginning: string, tagName: string): Promise<Result<Workflow[]>>
  createWorkflow(workflow: NewWorkflow, before: AssertLease): Promise<Result<Workflow>>
  /** Puts exactly this tag on it. */
  tagWorkflow(id: string, tagId: string, before: AssertLease): Promise<Result<void>>
  activateWorkflow(id: string, before: AssertLease): Promise<Result<void>>
  deactivateWorkflow(id: string, before: AssertLease): Promise<Result<void>>
  deleteWorkflow(id: string, before: AssertLease): Promise<Result<void>>
  /** Those whose name begins with the text. n8n shows credentials to its owner and to admins alone. */
  clientCredentials(beginning: string): Promise<Result<Named[]>>
  createCredential(credential: NewCredential, before: AssertLease): Promise<Result<Named>>
  /** Gives it other data; its id, and so the workflows that use it, stay. */
  updateCredential(
    id: string,
    changes: Pick<NewCredential, 'type' | 'data'>,
    before: AssertLease,
  ): Promise<Result<void>>
  deleteCredential(id: string, before: AssertLease): Promise<Result<void>>
}

/** A reply that is no success. */
class Refused extends Error {
  readonly route: string
  readonly status: number
  readonly retryAfter: number | undefined
  constructor(route: string, status: number, message: string, retryAfter: number | undefined) {
    super(message)
    this.route = route
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** There was an answer, and it was not n8n's. */
class NotN8n extends Error {}

/** There was no answer, or not all of it. */
class NoAnswer extends Error {}

type Send = (route: string, request: Sent) => Promise<unknown>

interface Sent {
  /** In the place of {id}. */
  readonly id?: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** @param signal ends what is under way */
export type ConnectN8n = (signal?: AbortSignal) => N8nClient

export function connectN8n({ N8N_URL: url, N8N_API_KEY: key }: N8nEnvironment, sql: Database): ConnectN8n {
  if (!url || !key) return withoutKey
  const { attempt } = guardProvider({
    sql,
    provider: 'n8n',
    failures: n8nFailures,
    leftAlone: (why) => failure('n8n_paused', why),
    maxWaitSeconds: WORTH_WAITING_SECONDS,
    classify,
  })
  return (signal) => clientOf(url, attempt, (route, request) => send(url, key, signal, route, request))
}

type Attempt = <T>(work: (call: GuardedCall) => Promise<Result<T>>) => Promise<Result<T>>

function clientOf(url: string, attempt: Attempt, send: Send): N8nClient {
  const once = <T>(
    route: string,
    request: Sent,
    reply: z.ZodType<T>,
    before?: AssertLease,
  ): Promise<Result<T>> =>
    attempt(async (call) =>
      success(await call(route, async () => read(reply, await send(route, request)), before)),
    )
  const change = async (route: string, request: Sent, before: AssertLease): Promise<Result<void>> => {
    const done = await once(route, request, z.unknown(), before)
    return done.ok ? success(undefined) : done
  }
  /** What is gone already is as it should be. */
  const remove = async (route: string, id: string, before: AssertLease): Promise<Result<void>> => {
    const gone = (error: unknown) => {
      if (error instanceof Refused && error.status === 404) return undefined
      throw error
    }
    return attempt(async (call) => {
      await call(route, () => send(route, { id }).catch(gone), before)
      return success(undefined)
    })
  }
  const all = <T>(route: string, item: z.ZodType<T>, query: Readonly<Record<string, string>>) =>
    attempt(async (call) => success(await readPages(call, send, route, item, query)))

  return {
    workflowUrl: (id) => `${url}/workflow/${encodeURIComponent(id)}`,
    homeUrl: `${url}/home/workflows`,
    createTag: async (name, before) => {
      const route = 'POST /tags'
      const taken = (error: unknown) => {
        if (error instanceof Refused && error.status === 409) return undefined
        throw error
      }
      const create = () => send(route, { body: { name } }).then((made) => read(tag, made), taken)
      return attempt(async (call) => success(await call(route, create, before)))
    },
    findTag: async (name) => {
      const tags = await all('GET /tags', tag, { limit: String(PAGE) })
      return tags.ok ? success(tags.value.find((each) => each.name === name)) : tags
    },
    tagPage: async (cursor) => {
      const query = { limit: String(PAGE), ...(cursor === null ? {} : { cursor }) }
      const page = await once('GET /tags', { query }, pageOf(tag))
      return page.ok ? success({ tags: page.value.data, nextCursor: page.value.nextCursor ?? null }) : page
    },
    deleteTag: (id, before) => remove('DELETE /tags/{id}', id, before),
    clientWorkflows: async (beginning, tagName) => {
      const query = { limit: String(WORKFLOW_PAGE), excludePinnedData: 'true' }
      const byName = await all('GET /workflows', workflow, { ...query, name: beginning })
      if (!byName.ok) return byName
      const byTag = await all('GET /workflows', workflow, { ...query, tags: tagName })
      if (!byTag.ok) return byTag
      // n8n finds the text anywhere in a name, in small and in capital letters.
      const ours = byName.value.filter(({ name }) => name.startsWith(beginning))
      const found = new Map([...ours, ...byTag.value].map((each) => [each.id, each]))
      return success([...found.values()].sort((one, other) => (one.createdAt < other.createdAt ? -1 : 1)))
    },
    createWorkflow: (body, before) => once('POST /workflows', { body }, workflow, before),
    tagWorkflow: (id, tagId, before) =>
      change('PUT /workflows/{id}/tags', { id, body: [{ id: tagId }] }, before),
    activateWorkflow: (id, before) => change('POST /workflows/{id}/activate', { id }, before),
    deactivateWorkflow: (id, before) => remove('POST /workflows/{id}/deactivate', id, before),
    deleteWorkflow: (id, before) => remove('DELETE /workflows/{id}', id, before),
    clientCredentials: async (beginning) => {
      const found = await all('GET /credentials', named, { limit: String(PAGE) })
      return found.ok ? success(found.value.filter(({ name }) => name.startsWith(beginning))) : found
    },
    createCredential: (body, before) => once('POST /credentials', { body }, named, before),
    updateCredential: (id, body, before) => change('PATCH /credentials/{id}', { id, body }, before),
    deleteCredential: (id, before) => remove('DELETE /credentials/{id}', id, before),
  }
}

async function readPages<T>(
  call: GuardedCall,
  send: Send,
  route: string,
  item: z.ZodType<T>,
  query: Readonly<Record<string, string>>,
): Promise<T[]> {
  const found: T[] = []
  let cursor: string | undefined
  let pages = 0
  do {
    pages++
    const asked = { ...query, ...(cursor === undefined ? {} : { cursor }) }
    const page = await call(route, async () => {
      if (pages > MAX_PAGES) throw new NotN8n('the list does not end')
      return read(pageOf(item), await send(route, { query: asked }))
    })
    found.push(...page.data)
    cursor = page.nextCursor || undefined
  } while (cursor !== undefined)
  return found
}

/** @throws NotN8n */
function read<T>(schema: z.ZodType<T>, reply: unknown): T {
  const parsed = schema.safeParse(reply)
  if (parsed.success) return parsed.data
  throw new NotN8n('the answer has another form')
}

/** @throws Refused, NotN8n, NoAnswer */
async function send(
  url: string,
  key: string,
  signal: AbortSignal | undefined,
  route: string,
  { id = '', query = {}, body }: Sent,
): Promise<unknown> {
  const [method = 'GET', path = ''] = route.split(' ')
  const address = new URL(`${url}/api/v1${path.replace('{id}', encodeURIComponent(id))}`)
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value)
  const timeout = AbortSignal.timeout(N8N_TIMEOUT_MS)
  const init: RequestInit = {
    method,
    headers: {
      'x-n8n-api-key': key,
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    // The key would go along to wherever the answer leads.
    redirect: 'manual',
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }
  try {
    const reply = await sendOnce(address, init)
    const text = await readBounded(reply)
    if (reply.status === 0 || (reply.status >= 300 && reply.status < 400))
      throw new NotN8n('it leads elsewhere')
    const value = parsed(text)
    if (reply.ok && value === undefined) throw new NotN8n('the answer is no JSON')
    if (reply.ok) return value
    throw new Refused(
      route,
      reply.status,
      messageIn(value),
      retryAfterSeconds(reply.headers.get('retry-after')),
    )
  } catch (error) {
    if (error instanceof Refused || error instanceof NotN8n) throw error
    throw new NoAnswer(error instanceof Error ? error.message : String(error))
  }
}

/** @throws NotN8n when there is more than any list of n8n's has */
async function readBounded(reply: Response): Promise<string> {
  if (!reply.body) return ''
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for await (const chunk of reply.body) {
    size += chunk.length
    // Leaving the loop ends the connection.
    if (size > MAX_REPLY_BYTES) throw new NotN8n('the answer is too long')
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function messageIn(value: unknown): string {
  const { message } = z.object({ message: z.string() }).partial().safeParse(value).data ?? {}
  return message?.slice(0, 300) ?? ''
}

const PLAN = /\b(?:plan|quota|licen[cs]ed?|upgrade)\b/i

function classify(error: unknown): Failure {
  if (error instanceof NoAnswer) return failure('n8n_unreachable', undefined, SETTLE_SECONDS)
  if (error instanceof NotN8n) return failure('n8n_address_wrong', error.message)
  if (!(error instanceof Refused)) throw error
  const { route, status, message, retryAfter } = error
  if (status === 401) return failure('n8n_key_rejected', message)
  if (status === 402 || (status < 500 && status !== 429 && PLAN.test(message)))
    return failure('n8n_plan_limit_reached', message)
  if (status === 403) return failure('n8n_permission_missing', message)
  if (status === 429) return failure('n8n_rate_limited', undefined, retryAfter)
  if (status >= 500)
    return failure('n8n_unavailable', `status ${status}`, Math.max(retryAfter ?? 0, SETTLE_SECONDS))
  if (status === 404 || status === 405) return failure(notThere(route), message)
  if (route.endsWith('/activate')) return failure('n8n_activation_refused', message)
  return failure('n8n_workflow_refused', message)
}

/** What it means that n8n does not know an address: the list is missing, or one thing in it. */
function notThere(route: string): keyof typeof n8nFailures {
  if (route === 'GET /credentials' || route === 'PATCH /credentials/{id}') return 'n8n_version_too_old'
  return route.includes('{id}') ? 'n8n_workflow_gone' : 'n8n_address_wrong'
}

function withoutKey(): N8nClient {
  const refuse = () => Promise.resolve(failed(failure('n8n_key_missing')))
  return {
    workflowUrl: () => '',
    homeUrl: '',
    createTag: refuse,
    findTag: refuse,
    tagPage: refuse,
    deleteTag: refuse,
    clientWorkflows: refuse,
    createWorkflow: refuse,
    tagWorkflow: refuse,
    activateWorkflow: refuse,
    deactivateWorkflow: refuse,
    deleteWorkflow: refuse,
    clientCredentials: refuse,
    createCredential: refuse,
    updateCredential: refuse,
    deleteCredential: refuse,
  }
}
