import { z } from 'zod'
import type { AssertLease } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import { retryAfterSeconds } from '../../kernel/http/retry-after.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { boundedFetch } from '../bounded-fetch.ts'
import { type GuardedProvider, guardProvider, WORTH_WAITING_SECONDS } from '../guard.ts'
import type { VercelEnvironment } from './environment.ts'
import { failure, vercelFailures } from './failures.ts'

/*
 * Vercel's own client, @vercel/sdk, is not used: it has 52 MB, of which a function may have 20, and with Deno 2.1 its import takes
 * 6 seconds and 500 MB of memory, or 1.3 seconds and 180 MB for single calls. It also refuses replies in which a field is missing
 * that nobody here needs.
 */

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
export const VERCEL_TIMEOUT_MS = 20_000
/** A page of 100 projects with their newest deployments. */
const MAX_REPLY_BYTES = 8 * 1024 * 1024
/** A create whose reply was lost may still be at work; looking sooner could miss what it makes. */
const SETTLE_SECONDS = 5
const RATE_PAUSE_SECONDS = 10
const LONGEST_PAUSE_SECONDS = 3_600
const PAGE = 100
/** In the metadata of a deployment: the organization that it was started for. */
const MARK = 'tenantOrganization'

export interface VercelProject {
  readonly id: string
  readonly name: string
  /** GitHub's number of the repository that it is linked to; undefined for none. */
  readonly repositoryId: string | undefined
}

export interface ListedProject extends VercelProject {
  /** ISO 8601. */
  readonly createdAt: string
}

export interface ProjectPage {
  readonly projects: readonly ListedProject[]
  /** Where the next page begins; undefined behind the last one. */
  readonly nextCursor?: string
}

export type Target = 'production' | 'preview' | 'development'

export interface EnvironmentVariable {
  readonly key: string
  readonly value: string
  /** plain: everybody in the team reads it. encrypted: likewise, but asks for it. sensitive: nobody reads it again. */
  readonly type: 'plain' | 'encrypted' | 'sensitive'
  readonly target: readonly Target[]
}

export interface Deployment {
  readonly id: string
  readonly state: 'building' | 'ready' | 'failed' | 'canceled'
  /** Its own address, without the scheme. */
  readonly host: string
  /** Where the project is found; undefined until the deployment is ready. */
  readonly productionHost: string | undefined
  readonly createdAtMs: number
  /** What Vercel says of a failure. */
  readonly problem: string
}

/** The calls of Vercel's API that are needed. Whatever takes `before` runs it right before the request. */
export interface VercelProvider {
  projectById(id: string): Promise<Result<VercelProject | undefined>>
  /** Names are unique in a team. */
  findProject(name: string): Promise<Result<VercelProject | undefined>>
  /** Linked to the repository OWNER/NAME. Fails with vercel_name_taken, and never makes a second one of the name. */
  createProject(name: string, repository: string, before: AssertLease): Promise<Result<VercelProject>>
  /** Makes or changes these, each for its targets. */
  setVariables(
    projectId: string,
    variables: readonly EnvironmentVariable[],
    before: AssertLease,
  ): Promise<Result<void>>
  /** Succeeds for one that is gone already. */
  deleteProject(id: string, before: AssertLease): Promise<Result<void>>
  deployment(id: string): Promise<Result<Deployment | undefined>>
  /** The newest of the project's last 100 deployments that was started with this mark. */
  findDeployment(projectId: string, mark: string): Promise<Result<Deployment | undefined>>
  /** Starts another one at every call: the caller has looked, and never repeats it blindly. */
  startDeployment(spec: DeploymentSpec, before: AssertLease): Promise<Result<Deployment>>
  /** A page of up to 100 of all projects of the team. */
  projectPage(cursor?: string): Promise<Result<ProjectPage>>
}

export interface DeploymentSpec {
  readonly project: VercelProject
  /** By which it is found, such as the organization's id. */
  readonly mark: string
  readonly branch: string
}

/** @param signal ends what is under way */
export type ConnectVercel = (signal?: AbortSignal) => VercelProvider

export function connectVercel(environment: VercelEnvironment, sql: Database): ConnectVercel {
  const { VERCEL_TOKEN: token, VERCEL_TEAM_ID: team, VERCEL_API_URL: baseUrl } = environment
  if (!token) return withoutKey
  const provider = guardProvider({
    sql,
    provider: 'vercel',
    failures: vercelFailures,
    leftAlone: (why) => failure('vercel_paused', why),
    maxWaitSeconds: WORTH_WAITING_SECONDS,
    classify,
  })
  return (signal) => providerOf(provider, createApi({ token, team, baseUrl, signal }))
}

const projectReply = z
  .object({
    id: z.string(),
    name: z.string(),
    link: z.object({ repoId: z.union([z.number(), z.string()]).optional() }).nullish(),
    createdAt: z.number().default(0),
  })
  .transform(
    ({ id, name, link, createdAt }): ListedProject => ({
      id,
      name,
      repositoryId: link?.repoId === undefined ? undefined : String(link.repoId),
      createdAt: new Date(createdAt).toISOString(),
    }),
  )

const projectsReply = z.object({
  projects: z.array(projectReply),
  pagination: z.object({ next: z.union([z.number(), z.string()]).nullish() }).optional(),
})

const STATES: Readonly<Record<string, Deployment['state']>> = {
  READY: 'ready',
  ERROR: 'failed',
  CANCELED: 'canceled',
  DELETED: 'canceled',
}

const deploymentReply = z
  .object({
    id: z.string().optional(),
    uid: z.string().optional(),
    readyState: z.string().optional(),
    state: z.string().optional(),
    url: z.string().nullish(),
    alias: z.array(z.string()).default([]),
    createdAt: z.number().optional(),
    created: z.number().optional(),
    errorMessage: z.string().nullish(),
    meta: z.record(z.string(), z.unknown()).default({}),
  })
  .refine(({ id, uid }) => id !== undefined || uid !== undefined)
  .transform((reply) => {
    // Whatever else there is, and may come, is on its way to one of these.
    const state = STATES[reply.readyState ?? reply.state ?? ''] ?? 'building'
    const deployment: Deployment = {
      id: reply.id ?? reply.uid ?? '',
      state,
      host: reply.url ?? '',
      productionHost: state === 'ready' ? (shortest(reply.alias) ?? reply.url ?? undefined) : undefined,
      createdAtMs: reply.createdAt ?? reply.created ?? Date.now(),
      problem: reply.errorMessage ?? '',
    }
    return { deployment, mark: reply.meta[MARK] }
  })

const deploymentsReply = z.object({ deployments: z.array(deploymentReply) })

/** The others carry the names of branch and team. */
function shortest(hosts: readonly string[]): string | undefined {
  return hosts.toSorted((one, other) => one.length - other.length)[0]
}

function providerOf({ attempt }: GuardedProvider, api: Api): VercelProvider {
  const ask = <T>(
    route: string,
    schema: z.ZodType<T>,
    request: Request,
    before?: AssertLease,
  ): Promise<Result<T>> =>
    attempt(async (call) =>
      success(await call(route, async () => read(schema, await api(route, request)), before)),
    )
  const askIfAny = <T>(
    route: string,
    schema: z.ZodType<T>,
    request: Request,
  ): Promise<Result<T | undefined>> =>
    attempt(async (call) =>
      success(
        await call(route, async () => {
          const reply = await api(route, request).catch(goneIsNone)
          return reply === undefined ? undefined : read(schema, reply)
        }),
      ),
    )
  const projectById = (project: string) =>
    askIfAny('GET /v9/projects/{id}', projectReply, { path: `/v9/projects/${encodeURIComponent(project)}` })
  const deployment = async (id: string): Promise<Result<Deployment | undefined>> => {
    const path = `/v13/deployments/${encodeURIComponent(id)}`
    const found = await askIfAny('GET /v13/deployments/{id}', deploymentReply, { path })
    return found.ok ? success(found.value?.deployment) : found
  }
  return {
    projectById,
    // The address takes a name, too. One that looks like an id of another project is none of ours.
    findProject: async (name) => {
      const found = await projectById(name)
      return found.ok && found.value?.name !== name ? success(undefined) : found
    },
    createProject: async (name, repository, before) =>
      withSettleTime(
        await ask(
          'POST /v11/projects',
          projectReply,
          { path: '/v11/projects', body: { name, gitRepository: { type: 'github', repo: repository } } },
          before,
        ),
      ),
    setVariables: (projectId, variables, before) =>
      ask(
        'POST /v10/projects/{id}/env',
        z.unknown().transform(() => undefined),
        {
          path: `/v10/projects/${encodeURIComponent(projectId)}/env`,
          query: { upsert: 'true' },
          body: variables,
          hidden: variables.map(({ value }) => value),
        },
        before,
      ),
    deleteProject: (id, before) =>
      attempt(async (call) => {
        const route = 'DELETE /v9/projects/{id}'
        const request = { path: `/v9/projects/${encodeURIComponent(id)}` }
        await call(route, () => api(route, request).catch(goneIsNone), before)
        return success(undefined)
      }),
    deployment,
    findDeployment: async (projectId, wanted) => {
      const query = { projectId, limit: String(PAGE) }
      const found = await ask('GET /v7/deployments', deploymentsReply, { path: '/v7/deployments', query })
      if (!found.ok) return found
      const ours = found.value.deployments.filter(({ mark }) => mark === wanted)
      const newest = ours.toSorted(
        (one, other) => other.deployment.createdAtMs - one.deployment.createdAtMs,
      )[0]
      // The list names no domains.
      return newest ? deployment(newest.deployment.id) : success(undefined)
    },
    startDeployment: async ({ project, mark, branch }, before) => {
      const body = {
        name: project.name,
        project: project.id,
        target: 'production',
        gitSource: { type: 'github', repoId: Number(project.repositoryId), ref: branch },
        meta: { [MARK]: mark },
      }
      const request = { path: '/v13/deployments', body }
      const started = await ask('POST /v13/deployments', deploymentReply, request, before)
      return withSettleTime(started.ok ? success(started.value.deployment) : started)
    },
    projectPage: async (cursor) => {
      const query = { limit: String(PAGE), ...(cursor ? { from: cursor } : {}) }
      const page = await ask('GET /v10/projects', projectsReply, { path: '/v10/projects', query })
      if (!page.ok) return page
      const next = page.value.pagination?.next
      return success({
        projects: page.value.projects,
        ...(next === undefined || next === null ? {} : { nextCursor: String(next) }),
      })
    },
  }
}

interface Request {
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** What stands in the body and must be in no message. */
  readonly hidden?: readonly string[]
}

/** @param route begins with the method @throws Refused, NoAnswer */
type Api = (route: string, request: Request) => Promise<unknown>

/** A reply that is no success. */
class Refused extends Error {
  readonly status: number
  readonly code: string
  readonly invalidToken: boolean
  readonly retryAfter: number | undefined
  constructor(
    status: number,
    { code, message, invalidToken }: z.infer<typeof errorReply>['error'],
    retryAfter: number | undefined,
  ) {
    super(message)
    this.status = status
    this.code = code
    this.invalidToken = invalidToken
    this.retryAfter = retryAfter
  }
}

/** There was no answer, or not all of it. */
class NoAnswer extends Error {}

/** A reply that is not as Vercel describes it: a proxy's page, for example. */
class NotAsDescribed extends Error {}

const errorReply = z.object({
  error: z.object({
    code: z.string().default(''),
    message: z.string().default(''),
    invalidToken: z.boolean().default(false),
    limit: z.object({ reset: z.number() }).optional(),
  }),
})
const NOTHING_SAID: z.infer<typeof errorReply>['error'] = { code: '', message: '', invalidToken: false }

interface Connection {
  readonly token: string
  readonly team: string | undefined
  readonly baseUrl: string
  readonly signal: AbortSignal | undefined
}

function createApi({ token, team, baseUrl, signal }: Connection): Api {
  const send = boundedFetch(VERCEL_TIMEOUT_MS, MAX_REPLY_BYTES, signal)
  return async (route, { path, query = {}, body, hidden = [] }) => {
    const parameters = new URLSearchParams({ ...query, ...(team ? { teamId: team } : {}) })
    const [method = 'GET'] = route.split(' ')
    const reply = await send(`${baseUrl}${path}?${parameters}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      // Followed, an answer that leads elsewhere would take the token along.
      redirect: 'manual',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch(() => {
      throw new NoAnswer('no answer came')
    })
    const document = parsed(await reply.text())
    if (reply.ok) return document
    const said = errorReply.safeParse(document).data?.error ?? NOTHING_SAID
    throw new Refused(
      reply.status,
      { ...said, message: withoutValues(said.message, hidden) },
      pauseIn(reply.headers, said.limit?.reset),
    )
  }
}

/** What a provider says, without these values, should it quote what it was given. */
export function withoutValues(text: string, values: readonly string[]): string {
  return values.reduce((left, value) => (value === '' ? left : left.replaceAll(value, '***')), text)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new NotAsDescribed('the reply is not as described')
}

function goneIsNone(error: unknown): undefined {
  if (error instanceof Refused && error.status === 404) return undefined
  throw error
}

/** @param reset seconds since the Unix epoch */
function pauseIn(headers: Headers, reset: number | undefined): number | undefined {
  const retryAfter = retryAfterSeconds(headers.get('retry-after') ?? undefined)
  if (retryAfter !== undefined) return retryAfter
  const end =
    reset ?? (headers.has('x-ratelimit-reset') ? Number(headers.get('x-ratelimit-reset')) : Number.NaN)
  return Number.isFinite(end) ? Math.max(1, end - Date.now() / 1000) : undefined
}

function withSettleTime<T>(created: Result<T>): Result<T> {
  if (created.ok || !leavesOpen(created.failure, vercelFailures)) return created
  return failed({ ...created.failure, settleSeconds: SETTLE_SECONDS })
}

function classify(error: unknown): Failure {
  if (error instanceof NoAnswer) return failure('vercel_unreachable', undefined, SETTLE_SECONDS)
  if (error instanceof NotAsDescribed) return failure('vercel_unavailable', error.message, SETTLE_SECONDS)
  if (!(error instanceof Refused)) throw error
  const { status, code, message: said, invalidToken, retryAfter } = error
  if (status === 401 || invalidToken) return failure('vercel_key_rejected')
  if (status === 429) {
    const seconds = Math.min(retryAfter ?? RATE_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    return failure('vercel_rate_limited', undefined, seconds)
  }
  if (status < 500 && /\b(upgrade|plan|quota|limit)\b/i.test(said))
    return failure('vercel_plan_refused', said)
  if (status === 402 || (status < 500 && /\b(billing|payments?)\b/i.test(said)))
    return failure('vercel_payment_required', said)
  if (status === 403) return failure('vercel_permission_missing', said)
  if (status === 409 && code === 'conflict' && /already exists/i.test(said))
    return failure('vercel_name_taken', said)
  if (status < 500 && /github (app|integration|account)|git repository/i.test(said))
    return failure('vercel_github_not_linked', said)
  if (status < 500) return failure('vercel_request_refused', `${status} ${said}`.trim())
  return failure('vercel_unavailable', `status ${status}`, Math.max(retryAfter ?? 0, SETTLE_SECONDS))
}

function withoutKey(): VercelProvider {
  const refuse = () => Promise.resolve(failed(failure('vercel_key_missing')))
  return {
    projectById: refuse,
    findProject: refuse,
    createProject: refuse,
    setVariables: refuse,
    deleteProject: refuse,
    deployment: refuse,
    findDeployment: refuse,
    startDeployment: refuse,
    projectPage: refuse,
  }
}
