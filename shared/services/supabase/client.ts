import type { V1CreateProjectBody } from 'supabase-management-js'
import type { AssertLease } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import { retryAfterSeconds } from '../../kernel/http/retry-after.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { type GuardedCall, guardProvider, WORTH_WAITING_SECONDS } from '../guard.ts'
import {
  type ApiKey,
  type ListedProject,
  ManagementApiError,
  managementApi,
  type Pooler,
  type ServiceHealth,
} from './api.ts'
import type { SupabaseEnvironment } from './environment.ts'
import { failure, supabaseFailures } from './failures.ts'
import { createSharedList } from './shared-list.ts'
import { tryKey } from './try-key.ts'

/** A create whose reply was lost may still be at work; looking sooner could miss the project that it makes. */
const SETTLE_SECONDS = 10
/** Supabase counts by the minute, and says in X-RateLimit-Reset when that is over. */
const RATE_LIMIT_PAUSE_SECONDS = 60
/** For so long the plan of the organization is not asked for again. */
const PLAN_MS = 60_000

export interface ProjectSpec {
  readonly name: string
  readonly databasePassword: string
  readonly region: string
  /** Undefined: what the plan gives. */
  readonly instanceSize: string | undefined
}

export interface SupabaseProvider {
  /** Where people see a project. */
  dashboardUrl(ref: string): string
  /** Where a project's services answer. */
  projectUrl(ref: string): string
  /** The project with this ref; undefined when Supabase does not know it. */
  project(ref: string): Promise<Result<ListedProject | undefined>>
  /** The same from the list of all projects, which all who ask within a moment share; one that was asked for `since` (milliseconds). */
  listedProject(ref: string, since?: number): Promise<Result<ListedProject | undefined>>
  /** Refs of all projects with exactly this name, the oldest first. */
  projectsNamed(name: string): Promise<Result<readonly string[]>>
  /** All projects of the organization, in one call. */
  allProjects(): Promise<Result<readonly ListedProject[]>>
  /** Whether the organization has a free plan. */
  isFreePlan(): Promise<Result<boolean>>
  /** Creates another project at every call: the caller has looked, holds the lease, and never repeats it blindly. */
  createProject(spec: ProjectSpec, before: AssertLease): Promise<Result<string>>
  /** Only if the project has exactly this name. Succeeds for one that is gone already. */
  deleteProject(ref: string, name: string, before: AssertLease): Promise<Result<void>>
  /** The same for a pause; false while it is not paused yet. */
  pauseProject(ref: string, name: string, before: AssertLease): Promise<Result<boolean>>
  restoreProject(ref: string, before: AssertLease): Promise<Result<void>>
  servicesHealth(ref: string): Promise<Result<readonly ServiceHealth[]>>
  /** With their values. */
  apiKeys(ref: string): Promise<Result<readonly ApiKey[]>>
  /** Creates another one at every call: the caller has looked for the name. */
  createSecretKey(ref: string, name: string, before: AssertLease): Promise<Result<void>>
  /** Succeeds for one that is gone already. */
  deleteKey(ref: string, id: string, before: AssertLease): Promise<Result<void>>
  /** Whether the project, and not the Management API, takes this key. Fails with supabase_new_key_refused while it does not. */
  tryKey(projectUrl: string, key: string): Promise<Result<void>>
  pooler(ref: string): Promise<Result<Pooler>>
  setDatabasePassword(ref: string, password: string, before: AssertLease): Promise<Result<void>>
}

/** @param signal ends what is under way */
export type ConnectSupabase = (signal?: AbortSignal) => SupabaseProvider

/**
 * @param now milliseconds
 * @param maxWaitSeconds for the rate limits; with 0 a call fails at once when they are used up
 * @param listFreshMs for so long a list of all projects is shared
 */
export function connectSupabase(
  environment: SupabaseEnvironment,
  sql: Database,
  now: () => number = Date.now,
  maxWaitSeconds: number = WORTH_WAITING_SECONDS,
  listFreshMs?: number,
): ConnectSupabase {
  const { MANAGEMENT_TOKEN: token, MANAGEMENT_ORG_ID: slug, MANAGEMENT_API_URL: baseUrl } = environment
  if (!token) return () => refuseWith('supabase_key_missing', baseUrl)
  if (!slug) return () => refuseWith('supabase_organization_unset', baseUrl)
  const { attempt } = guardProvider({
    sql,
    provider: 'supabase',
    failures: supabaseFailures,
    leftAlone: (why) => failure('supabase_paused', why),
    maxWaitSeconds,
    classify,
  })
  // The list and the plan outlive the step that asks for them: nobody's signal ends them.
  const lasting = managementApi(baseUrl, token)
  const readList = () =>
    attempt(async (call) => {
      const projects = await call('GET /v1/projects', () => lasting.listProjects())
      return success(projects.filter(({ organization_slug }) => organization_slug === slug))
    })
  const list = createSharedList(readList, now, listFreshMs)
  const plan = createSharedList(
    () =>
      attempt(async (call) =>
        success(
          await call('GET /v1/organizations/{slug}', () =>
            lasting.getOrganization(slug).catch(unknownOrganization),
          ),
        ),
      ),
    now,
    PLAN_MS,
  )
  return (signal) => {
    const api = managementApi(baseUrl, token, signal)
    const waitFor = leavingAt(signal)
    const find = (call: GuardedCall, ref: string) =>
      call('GET /v1/projects/{ref}', () => orUndefined(api.getProject(ref)))
    const named = async (call: GuardedCall, ref: string, name: string) => {
      const project = await find(call, ref)
      if (project && project.name !== name) return failed(failure('supabase_name_differs', ref))
      return success(project)
    }
    return {
      dashboardUrl: (ref) => dashboardUrl(baseUrl, ref),
      projectUrl: (ref) => projectUrl(baseUrl, ref),
      project: (ref) => attempt(async (call) => success(await find(call, ref))),
      listedProject: async (ref, since) => {
        const projects = await waitFor(list(since))
        return projects.ok ? success(projects.value.find((project) => project.ref === ref)) : projects
      },
      projectsNamed: (name) =>
        attempt(async (call) => {
          const refs: string[] = []
          for (let offset = 0, count = 1; offset < count; ) {
            const page = await call('GET /v1/organizations/{slug}/projects', () =>
              api.searchProjects(slug, name, offset).catch(unknownOrganization),
            )
            refs.push(...page.projects.filter((project) => project.name === name).map(({ ref }) => ref))
            offset += page.projects.length
            count = page.projects.length === 0 ? 0 : page.pagination.count
          }
          return success(refs)
        }),
      allProjects: readList,
      isFreePlan: async () => {
        const organization = await waitFor(plan())
        return organization.ok ? success(organization.value.plan === 'free') : organization
      },
      createProject: async (spec, before) =>
        withSettleTime(
          await attempt(async (call) => {
            const body = requestBody(spec, slug)
            const { ref } = await call('POST /v1/projects', () => api.createProject(body), before)
            return success(ref)
          }),
        ),
      deleteProject: (ref, name, before) =>
        attempt(async (call) => {
          const project = await named(call, ref, name)
          if (!project.ok || !project.value) return project.ok ? success(undefined) : project
          await call('DELETE /v1/projects/{ref}', () => orUndefined(api.deleteProject(ref)), before)
          return success(undefined)
        }),
      pauseProject: (ref, name, before) =>
        attempt(async (call) => {
          const project = await named(call, ref, name)
          if (!project.ok) return project
          const status = project.value?.status ?? 'INACTIVE'
          if (status === 'INACTIVE') return success(true)
          const request = () => api.pauseProject(ref).catch(pauseRefused)
          if (status.startsWith('ACTIVE_')) await call('POST /v1/projects/{ref}/pause', request, before)
          return success(false)
        }),
      restoreProject: (ref, before) =>
        attempt(async (call) => {
          await call('POST /v1/projects/{ref}/restore', () => api.restoreProject(ref), before)
          return success(undefined)
        }),
      servicesHealth: (ref) =>
        attempt(async (call) =>
          success(await call('GET /v1/projects/{ref}/health', () => api.servicesHealth(ref))),
        ),
      apiKeys: (ref) =>
        attempt(async (call) =>
          success(await call('GET /v1/projects/{ref}/api-keys', () => api.apiKeys(ref))),
        ),
      createSecretKey: (ref, name, before) =>
        attempt(async (call) => {
          const request = () => api.createApiKey(ref, { type: 'secret', name })
          await call('POST /v1/projects/{ref}/api-keys', request, before)
          return success(undefined)
        }),
      deleteKey: (ref, id, before) =>
        attempt(async (call) => {
          const request = () => orUndefined(api.deleteApiKey(ref, id))
          await call('DELETE /v1/projects/{ref}/api-keys/{id}', request, before)
          return success(undefined)
        }),
      tryKey: (url, key) => tryKey(url, key, signal),
      pooler: (ref) =>
        attempt(async (call) => {
          const route = 'GET /v1/projects/{ref}/config/database/pooler'
          const configs = await call(route, () => api.poolerConfig(ref))
          const primary = configs.find(({ database_type: type }) => type === 'PRIMARY')
          return primary ? success(primary) : failed(failure('supabase_unavailable', 'it names no pooler'))
        }),
      setDatabasePassword: (ref, password, before) =>
        attempt(async (call) => {
          const request = () => api.setDatabasePassword(ref, { password })
          await call('PATCH /v1/projects/{ref}/database/password', request, before)
          return success(undefined)
        }),
    }
  }
}

/** Who is told to end leaves what all share, and has no answer. */
function leavingAt(signal: AbortSignal | undefined): <T>(shared: Promise<Result<T>>) => Promise<Result<T>> {
  if (!signal) return (shared) => shared
  const left = new Promise<Result<never>>((resolve) => {
    const leave = () => resolve(failed(failure('supabase_unreachable')))
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
  })
  return (shared) => Promise.race([shared, left])
}

function requestBody(spec: ProjectSpec, slug: string): V1CreateProjectBody {
  return {
    name: spec.name,
    organization_slug: slug,
    db_pass: spec.databasePassword,
    // The vendor's list of codes is a list of today's; what it does not have, the API refuses.
    region_selection: { type: 'specific', code: spec.region as 'us-east-1' },
    ...(spec.instanceSize === undefined ? {} : { desired_instance_size: spec.instanceSize as 'micro' }),
  }
}

const VENDOR_HOST = 'api.supabase.com'

function projectUrl(baseUrl: string, ref: string): string {
  return new URL(baseUrl).hostname === VENDOR_HOST
    ? `https://${ref}.supabase.co`
    : `${baseUrl}/projects/${ref}`
}

function dashboardUrl(baseUrl: string, ref: string): string {
  const isVendor = new URL(baseUrl).hostname === VENDOR_HOST
  return `${isVendor ? 'https://supabase.com' : baseUrl}/dashboard/project/${ref}`
}

function withSettleTime<T>(created: Result<T>): Result<T> {
  if (created.ok || !leavesOpen(created.failure, supabaseFailures)) return created
  return failed({ ...created.failure, settleSeconds: SETTLE_SECONDS })
}

function orUndefined<T>(request: Promise<T>): Promise<T | undefined> {
  return request.catch((error: unknown) => {
    if (error instanceof ManagementApiError && error.status === 404) return undefined
    throw error
  })
}

/** Carries a failure that only the place of the request tells. */
class KnownRefusal extends Error {
  readonly failure: Failure
  constructor(known: Failure) {
    super(known.message)
    this.failure = known
  }
}

function unknownOrganization(error: unknown): never {
  if (error instanceof ManagementApiError && (error.status === 404 || error.status === 403))
    throw new KnownRefusal(failure('supabase_organization_unknown', error.message))
  throw error
}

function pauseRefused(error: unknown): never {
  if (error instanceof ManagementApiError && error.status === 400)
    throw new KnownRefusal(failure('supabase_pause_refused', error.message))
  throw error
}

function classify(error: unknown): Failure {
  if (error instanceof KnownRefusal) return error.failure
  if (!(error instanceof ManagementApiError)) return unanswered(error)
  const { status, message, headers } = error
  if (status === 401) return failure('supabase_key_rejected', message)
  if (status === 403) return failure('supabase_permission_missing', message)
  if (status === 429) return failure('supabase_rate_limited', undefined, resetSeconds(headers))
  if (status >= 500) return failure('supabase_unavailable', `status ${status}`, resetSeconds(headers, null))
  if (/free projects?\b.*limit|project limit/i.test(message))
    return failure('supabase_project_limit_reached', message)
  if (/instance size/i.test(message)) return failure('supabase_size_refused', message)
  if (status === 402) return failure('supabase_payment_required', message)
  if (/\bregion/i.test(message)) return failure('supabase_region_not_offered', message)
  return failure('supabase_request_refused', message || `status ${status}`)
}

/** A reply that cannot be read is an outage; whatever else is thrown, no reply came. */
function unanswered(error: unknown): Failure {
  const name = error instanceof Error ? error.name : ''
  if (name === 'ZodError' || name === 'SyntaxError')
    return failure('supabase_unavailable', 'the reply is not as Supabase describes it')
  return failure('supabase_unreachable')
}

/** What Retry-After says or, as the vendor sends it, X-RateLimit-Reset: seconds until the minute is over. */
function resetSeconds(
  headers: Headers,
  otherwise: number | null = RATE_LIMIT_PAUSE_SECONDS,
): number | undefined {
  const said =
    retryAfterSeconds(headers.get('retry-after')) ?? retryAfterSeconds(headers.get('x-ratelimit-reset'))
  return said === undefined ? (otherwise ?? undefined) : Math.min(said, 3_600)
}

function refuseWith(
  code: 'supabase_key_missing' | 'supabase_organization_unset',
  baseUrl: string,
): SupabaseProvider {
  const refuse = () => Promise.resolve(failed(failure(code)))
  return {
    dashboardUrl: (ref) => dashboardUrl(baseUrl, ref),
    projectUrl: (ref) => projectUrl(baseUrl, ref),
    project: refuse,
    listedProject: refuse,
    projectsNamed: refuse,
    allProjects: refuse,
    isFreePlan: refuse,
    createProject: refuse,
    deleteProject: refuse,
    pauseProject: refuse,
    restoreProject: refuse,
    servicesHealth: refuse,
    apiKeys: refuse,
    createSecretKey: refuse,
    deleteKey: refuse,
    tryKey: refuse,
    pooler: refuse,
    setDatabasePassword: refuse,
  }
}
