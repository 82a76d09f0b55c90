import { z } from 'zod'
import type { AssertLease } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import { retryAfterSeconds } from '../../kernel/http/retry-after.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { boundedFetch } from '../bounded-fetch.ts'
import { type GuardedCall, type GuardedProvider, guardProvider, WORTH_WAITING_SECONDS } from '../guard.ts'
import type { GithubEnvironment } from './environment.ts'
import { failure, githubFailures } from './failures.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
export const GITHUB_TIMEOUT_MS = 20_000
/** A page of 100 repositories has about 600 kB. */
const MAX_REPLY_BYTES = 4 * 1024 * 1024
/** A create whose reply was lost may still be at work; looking sooner could miss the repository that it makes. */
const SETTLE_SECONDS = 5
/** What GitHub wants when it names no time: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
const SECONDARY_PAUSE_SECONDS = 60
const LONGEST_PAUSE_SECONDS = 3_600
const PAGE = 100
/** The most that GitHub lists of variables at once. */
const VARIABLES_PAGE = 30
/** A token of an installation is replaced so long before it ends. */
const TOKEN_RESERVE_MS = 5 * 60_000

export interface Repository {
  /** GitHub's number of it, which no other repository ever has. */
  readonly id: string
  readonly owner: string
  readonly name: string
  /** OWNER/NAME. */
  readonly fullName: string
  readonly url: string
  readonly description: string
  readonly defaultBranch: string
  readonly archived: boolean
  /** OWNER/NAME of the template that it was made of, as far as GitHub tells. */
  readonly template: string | undefined
}

/** What a repository's list entry says of it. */
export interface ListedRepository {
  readonly id: string
  readonly description: string
  readonly archived: boolean
  /** ISO 8601. */
  readonly createdAt: string
}

export interface RepositoryPage {
  readonly repositories: readonly ListedRepository[]
  /** Where the next page begins; undefined behind the last one. */
  readonly nextCursor?: string
}

/** The calls of GitHub's API that are needed. Whatever takes `before` runs it right before each request that changes something. */
export interface GithubProvider {
  readonly organization: string
  /** OWNER/NAME. */
  readonly template: string
  /** The organization's repository that has exactly this name now; not one that had it before. */
  findRepository(name: string): Promise<Result<Repository | undefined>>
  /** Whatever it is called by now, and whose. */
  repositoryById(id: string): Promise<Result<Repository | undefined>>
  /** A private one, of the template. Fails with github_name_taken, and never makes a second one of the name. */
  createRepository(name: string, description: string, before: AssertLease): Promise<Result<Repository>>
  /** Whether the template's content has arrived. */
  isFilled(repository: Repository): Promise<Result<boolean>>
  setArchived(repository: Repository, archived: boolean, before: AssertLease): Promise<Result<void>>
  /** Succeeds for one that is gone already. */
  deleteRepository(repository: Repository, before: AssertLease): Promise<Result<void>>
  /** Gives the repository these Actions variables; calls nothing for those that it has. */
  setVariables(
    repository: Repository,
    variables: Readonly<Record<string, string>>,
    before: AssertLease,
  ): Promise<Result<void>>
  /** Gives the repository these Actions secrets. GitHub shows none, so each is written anew. */
  setSecrets(
    repository: Repository,
    secrets: Readonly<Record<string, string>>,
    before: AssertLease,
  ): Promise<Result<void>>
  /** A page of up to 100 of all repositories of the organization. */
  repositoryPage(cursor?: string): Promise<Result<RepositoryPage>>
}

/** @param signal ends what is under way */
export type ConnectGithub = (signal?: AbortSignal) => GithubProvider

export function connectGithub(environment: GithubEnvironment, sql: Database): ConnectGithub {
  const { GITHUB_ORG: organization, GITHUB_TEMPLATE_REPOSITORY: template } = environment
  const credentials = credentialsIn(environment)
  if (!credentials) return () => refuseWith('github_key_missing')
  if (!organization) return () => refuseWith('github_organization_unset')
  const provider = guardProvider({
    sql,
    provider: 'github',
    failures: githubFailures,
    leftAlone: (why) => failure('github_paused', why),
    maxWaitSeconds: WORTH_WAITING_SECONDS,
    classify,
  })
  const tokens = tokenSource(credentials, organization)
  return (signal) => {
    const connection = { organization, template, tokens, signal, baseUrl: environment.GITHUB_API_URL }
    return providerOf(provider, connection)
  }
}

type Credentials = { readonly token: string } | { readonly appId: string; readonly privateKey: string }

function credentialsIn({
  GITHUB_TOKEN: token,
  GITHUB_APP_ID: appId,
  GITHUB_APP_PRIVATE_KEY: privateKey,
}: GithubEnvironment): Credentials | undefined {
  if (token) return { token }
  return appId && privateKey ? { appId, privateKey } : undefined
}

interface Connection {
  readonly organization: string
  readonly template: string | undefined
  readonly tokens: TokenSource
  readonly signal: AbortSignal | undefined
  readonly baseUrl: string
}

/** One of the calls that GitHub's description has; its parameters and its reply are checked by the types that are made of it. */
type Api = typeof import('@octokit/request').request

/** Makes one call and reads its reply; one that is not as GitHub describes it is an outage. */
function ask<T>(
  call: GuardedCall,
  route: string,
  schema: z.ZodType<T>,
  request: () => Promise<{ readonly data: unknown }>,
  before?: AssertLease,
): Promise<T> {
  return call(route, async () => read(schema, (await request()).data), before)
}

/** The same for a request whose answer may be that there is none. */
function askIfAny<T>(
  call: GuardedCall,
  route: string,
  schema: z.ZodType<T>,
  request: () => Promise<{ readonly data: unknown } | undefined>,
): Promise<T | undefined> {
  return call(route, async () => {
    const reply = await request()
    return reply && read(schema, reply.data)
  })
}

const repositoryReply = z
  .object({
    id: z.union([z.number(), z.bigint()]),
    name: z.string(),
    full_name: z.string(),
    owner: z.object({ login: z.string() }),
    html_url: z.string(),
    description: z.string().nullable(),
    default_branch: z.string(),
    archived: z.boolean(),
    template_repository: z.object({ full_name: z.string() }).nullish(),
  })
  .transform(
    (reply): Repository => ({
      id: String(reply.id),
      owner: reply.owner.login,
      name: reply.name,
      fullName: reply.full_name,
      url: reply.html_url,
      description: reply.description ?? '',
      defaultBranch: reply.default_branch,
      archived: reply.archived,
      template: reply.template_repository?.full_name,
    }),
  )

const listedReply = z.array(
  z
    .object({
      id: z.union([z.number(), z.bigint()]),
      description: z.string().nullable(),
      archived: z.boolean().default(false),
      created_at: z.string().nullish(),
    })
    .transform(({ id, description, archived, created_at: createdAt }) => ({
      id: String(id),
      description: description ?? '',
      archived,
      createdAt: createdAt ?? new Date(0).toISOString(),
    })),
)
const variablesReply = z.object({ variables: z.array(z.object({ name: z.string(), value: z.string() })) })
const publicKeyReply = z.object({ key_id: z.string(), key: z.string() })

function providerOf({ attempt }: GuardedProvider, connection: Connection): GithubProvider {
  const { organization, template } = connection
  /** The package is loaded by the first call: who has no such tenant pays nothing for it. */
  const within = <T>(work: (call: GuardedCall, api: Api) => Promise<Result<T>>): Promise<Result<T>> =>
    attempt(async (call) => work(call, await connect(connection, call)))
  return {
    organization,
    template: template ?? '',
    findRepository: (name) =>
      within(async (call, api) => {
        const route = 'GET /repos/{owner}/{repo}'
        const found = await askIfAny(call, route, repositoryReply, () =>
          orUndefined(api(route, { owner: organization, repo: name })),
        )
        // GitHub leads on from a name that a repository had before.
        return success(found && isNamed(found, organization, name) ? found : undefined)
      }),
    repositoryById: (id) => within((call, api) => repositoryById(call, api, id)),
    createRepository: async (name, description, before) => {
      if (!template) return failed(failure('github_template_unset'))
      const [owner = '', repo = ''] = template.split('/')
      const created = await within(async (call, api) => {
        const route = 'POST /repos/{template_owner}/{template_repo}/generate'
        const made = await ask(
          call,
          route,
          repositoryReply,
          () =>
            api(route, {
              template_owner: owner,
              template_repo: repo,
              owner: organization,
              name,
              description,
              private: true,
              include_all_branches: false,
            }).catch(templateNotFound),
          before,
        )
        return success(made)
      })
      return withSettleTime(created)
    },
    isFilled: ({ owner, name: repo, defaultBranch: branch }) =>
      within(async (call, api) => {
        const route = 'GET /repos/{owner}/{repo}/branches/{branch}'
        const found = await call(route, () => orUndefined(api(route, { owner, repo, branch })))
        return success(found !== undefined)
      }),
    setArchived: ({ owner, name: repo }, archived, before) =>
      within(async (call, api) => {
        const route = 'PATCH /repos/{owner}/{repo}'
        await call(route, () => api(route, { owner, repo, archived }), before)
        return success(undefined)
      }),
    deleteRepository: ({ owner, name: repo }, before) =>
      within(async (call, api) => {
        const route = 'DELETE /repos/{owner}/{repo}'
        await call(route, () => orUndefined(api(route, { owner, repo })), before)
        return success(undefined)
      }),
    setVariables: (repository, variables, before) =>
      within((call, api) => setVariables(call, api, repository, variables, before)),
    setSecrets: (repository, secrets, before) =>
      within((call, api) => setSecrets(call, api, repository, secrets, before)),
    repositoryPage: (cursor) =>
      within(async (call, api) => {
        const page = Number(cursor ?? 1)
        const route = 'GET /orgs/{org}/repos'
        const repositories = await ask(call, route, listedReply, () =>
          api(route, { org: organization, per_page: PAGE, page }),
        )
        return success({
          repositories,
          ...(repositories.length < PAGE ? {} : { nextCursor: String(page + 1) }),
        })
      }),
  }
}

async function connect({ tokens, signal, baseUrl }: Connection, call: GuardedCall): Promise<Api> {
  const { request } = await import('@octokit/request')
  const options = { fetch: boundedFetch(GITHUB_TIMEOUT_MS, MAX_REPLY_BYTES, signal) }
  const api = request.defaults({
    baseUrl,
    headers: { 'x-github-api-version': '2022-11-28' },
    request: options,
  })
  const authorization = await tokens(api, call)
  return api.defaults({ headers: { authorization } })
}

async function repositoryById(
  call: GuardedCall,
  api: Api,
  id: string,
): Promise<Result<Repository | undefined>> {
  // Not in the description: GitHub leads there from the former name of a repository.
  const route = 'GET /repositories/{id}'
  return success(await askIfAny(call, route, repositoryReply, () => orUndefined(api(route, { id }))))
}

async function setVariables(
  call: GuardedCall,
  api: Api,
  { owner, name: repo }: Repository,
  wanted: Readonly<Record<string, string>>,
  before: AssertLease,
): Promise<Result<void>> {
  const where = { owner, repo }
  const listing = 'GET /repos/{owner}/{repo}/actions/variables'
  const { variables } = await ask(call, listing, variablesReply, () =>
    api(listing, { ...where, per_page: VARIABLES_PAGE }),
  )
  const present = new Map(variables.map(({ name, value }) => [name, value]))
  for (const [name, value] of Object.entries(wanted)) {
    if (present.get(name) === value) continue
    const change = () =>
      api('PATCH /repos/{owner}/{repo}/actions/variables/{name}', { ...where, name, value })
    const create = () =>
      api('POST /repos/{owner}/{repo}/actions/variables', { ...where, name, value }).catch(
        // Behind the first page, or made meanwhile.
        (error: unknown) => (statusOf(error) === 409 ? change() : rethrow(error)),
      )
    if (present.has(name)) await call('PATCH /repos/{owner}/{repo}/actions/variables/{name}', change, before)
    else await call('POST /repos/{owner}/{repo}/actions/variables', create, before)
  }
  return success(undefined)
}

async function setSecrets(
  call: GuardedCall,
  api: Api,
  { owner, name: repo }: Repository,
  wanted: Readonly<Record<string, string>>,
  before: AssertLease,
): Promise<Result<void>> {
  const where = { owner, repo }
  const reading = 'GET /repos/{owner}/{repo}/actions/secrets/public-key'
  const { key_id, key } = await ask(call, reading, publicKeyReply, () => api(reading, where))
  const { sealBox } = await import('./sealed-box.ts')
  for (const [secret_name, value] of Object.entries(wanted)) {
    const encrypted_value = sealBox(value, key)
    const route = 'PUT /repos/{owner}/{repo}/actions/secrets/{secret_name}'
    await call(route, () => api(route, { ...where, secret_name, encrypted_value, key_id }), before)
  }
  return success(undefined)
}

/** What goes into the authorization header. */
type TokenSource = (api: Api, call: GuardedCall) => Promise<string>

/** An App's token lasts an hour; all steps of this process share it. */
function tokenSource(credentials: Credentials, organization: string): TokenSource {
  if ('token' in credentials) return async () => `Bearer ${credentials.token}`
  let held: { readonly token: string; readonly endsAt: number } | undefined
  return async (api, call) => {
    if (!held || held.endsAt - TOKEN_RESERVE_MS < Date.now())
      held = await installationToken(api, call, credentials, organization)
    return `Bearer ${held.token}`
  }
}

const installationReply = z.object({ id: z.number() })
const tokenReply = z.object({ token: z.string(), expires_at: z.string() })

async function installationToken(
  api: Api,
  call: GuardedCall,
  { appId, privateKey }: Extract<Credentials, { appId: string }>,
  organization: string,
): Promise<{ token: string; endsAt: number }> {
  const { appToken } = await import('./app-token.ts')
  const headers = { authorization: `Bearer ${signedBy(appToken, appId, privateKey)}` }
  const finding = 'GET /orgs/{org}/installation'
  const { id } = await ask(call, finding, installationReply, () =>
    api(finding, { org: organization, headers }).catch(
      refusedWith(404, () => failure('github_app_not_installed')),
    ),
  )
  const creating = 'POST /app/installations/{installation_id}/access_tokens'
  const { token, expires_at: endsAt } = await ask(call, creating, tokenReply, () =>
    api(creating, { installation_id: id, headers }),
  )
  return { token, endsAt: Date.parse(endsAt) }
}

/** What is no key cannot sign; what the library says of it may quote it. */
function signedBy(
  sign: (appId: string, privateKey: string) => string,
  appId: string,
  privateKey: string,
): string {
  try {
    return sign(appId, privateKey)
  } catch {
    return ''
  }
}

function isNamed({ owner, name }: Repository, organization: string, wanted: string): boolean {
  return owner.toLowerCase() === organization.toLowerCase() && name.toLowerCase() === wanted.toLowerCase()
}

function withSettleTime<T>(created: Result<T>): Result<T> {
  if (created.ok || !leavesOpen(created.failure, githubFailures)) return created
  return failed({ ...created.failure, settleSeconds: SETTLE_SECONDS })
}

/** What Octokit throws; without a response when none came. */
interface HttpError {
  readonly status: number
  readonly response?: {
    readonly headers: Readonly<Record<string, string | number | undefined>>
    readonly data: unknown
  }
}

function isHttpError(error: unknown): error is Error & HttpError {
  return error instanceof Error && error.name === 'HttpError' && 'status' in error
}

function statusOf(error: unknown): number | undefined {
  return isHttpError(error) && error.response ? error.status : undefined
}

function rethrow(error: unknown): never {
  throw error
}

/** What is not there, or is not shown to the key. */
function orUndefined<T>(request: Promise<T>): Promise<T | undefined> {
  return request.catch((error: unknown) => (statusOf(error) === 404 ? undefined : rethrow(error)))
}

/** A failure that only this place knows how to name. */
class NamedFailure extends Error {
  readonly failure: Failure
  constructor(cause: Failure) {
    super(cause.message)
    this.failure = cause
  }
}

function refusedWith(status: number, name: () => Failure): (error: unknown) => never {
  return (error) => {
    throw statusOf(error) === status ? new NamedFailure(name()) : error
  }
}

function templateNotFound(error: unknown): never {
  if (statusOf(error) === 404) throw new NamedFailure(failure('github_template_not_found'))
  if (statusOf(error) === 422 && /already exists/i.test(messageOf(error)))
    throw new NamedFailure(failure('github_name_taken'))
  throw error
}

/** A reply that is not as GitHub describes it: a proxy's page, for example. */
class NotAsDescribed extends Error {}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new NotAsDescribed('the reply is not as described')
}

function messageOf(error: unknown): string {
  const data = isHttpError(error) ? error.response?.data : undefined
  const said = z.object({ message: z.string(), errors: z.array(z.unknown()).default([]) }).safeParse(data)
  if (!said.success) return ''
  const { message, errors } = said.data
  const more = errors.flatMap((each) => {
    const text = z.union([z.string(), z.object({ message: z.string() }).transform((one) => one.message)])
    const found = text.safeParse(each)
    return found.success && found.data !== message ? found.data : []
  })
  return [message, ...more].join('; ')
}

function classify(error: unknown): Failure {
  if (error instanceof NamedFailure) return error.failure
  if (error instanceof NotAsDescribed) return failure('github_unavailable', error.message, SETTLE_SECONDS)
  if (!isHttpError(error)) {
    if (error instanceof Error && error.name === 'AbortError') return failure('github_unreachable')
    throw error
  }
  const { status, response } = error
  if (!response) return failure('github_unreachable', undefined, SETTLE_SECONDS)
  const said = messageOf(error)
  const pause = pauseWanted(status, response.headers, said)
  if (pause !== undefined) return failure('github_rate_limited', undefined, pause)
  if (status === 401) return failure('github_key_rejected')
  if (status < 500 && /\b(upgrade|plan|quota|seats?)\b/i.test(said))
    return failure('github_plan_refused', said)
  if (status === 402 || (status < 500 && /\b(billing|payments?)\b/i.test(said)))
    return failure('github_payment_required', said)
  if (status === 403) return failure('github_permission_missing', said)
  if (status < 500) return failure('github_request_refused', `${status} ${said}`.trim())
  const retryAfter = retryAfterSeconds(response.headers['retry-after']) ?? 0
  return failure('github_unavailable', `status ${status}`, Math.max(retryAfter, SETTLE_SECONDS))
}

/** How long GitHub wants to be left alone; undefined when it was no limit that refused. */
function pauseWanted(
  status: number,
  headers: NonNullable<HttpError['response']>['headers'],
  said: string,
): number | undefined {
  if (status !== 403 && status !== 429) return undefined
  const retryAfter = retryAfterSeconds(headers['retry-after'])
  if (retryAfter !== undefined) return Math.min(retryAfter, LONGEST_PAUSE_SECONDS)
  if (String(headers['x-ratelimit-remaining']) === '0') {
    const seconds = Number(headers['x-ratelimit-reset']) - Date.now() / 1000
    return Math.min(Math.max(1, Number.isFinite(seconds) ? seconds : 0), LONGEST_PAUSE_SECONDS)
  }
  return status === 429 || /rate limit|abuse detection/i.test(said) ? SECONDARY_PAUSE_SECONDS : undefined
}

function refuseWith(code: 'github_key_missing' | 'github_organization_unset'): GithubProvider {
  const refuse = () => Promise.resolve(failed(failure(code)))
  return {
    organization: '',
    template: '',
    findRepository: refuse,
    repositoryById: refuse,
    createRepository: refuse,
    isFilled: refuse,
    setArchived: refuse,
    deleteRepository: refuse,
    setVariables: refuse,
    setSecrets: refuse,
    repositoryPage: refuse,
  }
}
