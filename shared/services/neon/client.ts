import {
  type Api,
  createApiClient,
  type Endpoint,
  OperationStatus,
  type ProjectListItem,
} from '@neondatabase/api-client'
import type { AssertLease } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import { type Failure, leavesOpen } from '../../kernel/failures.ts'
import { retryAfterSeconds } from '../../kernel/http/retry-after.ts'
import { sendOnce } from '../../kernel/http/send-once.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { type GuardedCall, guardProvider, WORTH_WAITING_SECONDS } from '../guard.ts'
import {
  type Branch,
  type BranchSpec,
  deleteBranch,
  type ListedBranch,
  listBranches,
  openBranch,
} from './branches.ts'
import type { NeonEnvironment } from './environment.ts'
import { failure, neonFailures } from './failures.ts'
import { isHttpError, unlessGone } from './http-error.ts'
import { isPlanRefusal, type LimitsResult, withinPlan } from './plan-limits.ts'
import { isDefaultSuspendTimeout, suspendTimeoutToAskFor, type TenantLimits } from './tenant.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
export const NEON_TIMEOUT_MS = 30_000
/** A create whose reply was lost may still be at work; looking sooner could miss the project that it makes. */
const SETTLE_SECONDS = 5
/** 0 lifts a limit; one that is left out stays as it is. */
const UNLIMITED_QUOTA: Readonly<Record<string, number>> = {
  active_time_seconds: 0,
  compute_time_seconds: 0,
  written_data_bytes: 0,
  data_transfer_bytes: 0,
  logical_size_bytes: 0,
}
/** The most that Neon lists at once. */
export const PAGE = 400

export interface ProjectSpec {
  readonly name: string
  readonly region: string
  readonly roleName: string
  readonly databaseName: string
  readonly limits: TenantLimits
}

export interface NeonConnection {
  readonly projectId: string
  readonly branchId: string
  readonly endpointId: string
  readonly host: string
  readonly pooledHost: string
  readonly port: number
  readonly databaseName: string
  readonly roleName: string
  readonly password: string
}

/** What a project's list entry says of it. */
export interface ListedProject {
  readonly projectId: string
  readonly name: string
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601; undefined when its compute never was. */
  readonly lastActiveAt?: string
  readonly usage: ProjectUsage
}

export interface ProjectUsage {
  /** Undefined while Neon has not measured it. */
  readonly storageBytes?: number
  /**
   * The quota that is used up, in words: Neon has suspended the compute until the billing period ends. Lists know nothing of
   * written and transferred data, so that there its absence proves nothing.
   */
  readonly exhaustedQuota?: string
}

/** idle: it sleeps, and a connection would wake it. gone: there is no such project, or it has no compute. */
export type ComputeState = 'active' | 'idle' | 'init' | 'disabled' | 'gone'

export interface Compute {
  readonly state: ComputeState
  /** ISO 8601; undefined when it never was. */
  readonly lastActiveAt?: string
}

export interface ProjectPage {
  readonly projects: readonly ListedProject[]
  /** Projects that exist but could not be listed: the page, and so the whole list, is incomplete. */
  readonly unavailable: number
  /** Where the next page begins; undefined behind the last one. */
  readonly nextCursor?: string
}

export interface NeonProvider {
  /** The oldest project with exactly this name, and how many there are. Never answers "absent" from an incomplete list. */
  findProject(name: string): Promise<Result<{ projectId: string; count: number } | undefined>>
  /** Ids of all projects with exactly this name, the oldest first. Fails when the list is incomplete. */
  listProjects(name: string): Promise<Result<string[]>>
  /** A page of up to 400 of all projects of the account or, with NEON_ORG_ID, of that organization. */
  projectPage(cursor?: string): Promise<Result<ProjectPage>>
  /** How a project's compute is. Asking does not wake it. */
  compute(projectId: string): Promise<Result<Compute>>
  /** What is used of the project's quota. Fails with neon_request_refused when it is gone. */
  usage(projectId: string): Promise<Result<ProjectUsage>>
  /** Succeeds for a project that is gone already. Neon can recover a deleted one for 7 days. */
  deleteProject(projectId: string, assertLease: AssertLease): Promise<Result<void>>
  /** @returns false when Neon knows no such project, or has deleted it */
  projectExists(projectId: string): Promise<Result<boolean>>
  /** Creates another project at every call: the caller has looked, holds the lease, and never repeats it blindly. */
  createProject(spec: ProjectSpec, assertLease: AssertLease): Promise<LimitsResult<NeonConnection>>
  /** Gives an existing project the wanted limits, except its history retention; calls nothing when it has them. */
  applyLimits(projectId: string, limits: TenantLimits): Promise<LimitsResult<void>>
  connection(projectId: string, databaseName: string, roleName: string): Promise<Result<NeonConnection>>
  /** The branch of this name, made when there is none, as a copy of the project's first one. Wakes nobody. */
  openBranch(spec: BranchSpec, assertLease: AssertLease): Promise<Result<Branch>>
  /** Succeeds for one that is gone. */
  deleteBranch(projectId: string, branchId: string, assertLease: AssertLease): Promise<Result<void>>
  /** A project's branches whose name contains this text. */
  listBranches(projectId: string, search: string): Promise<Result<ListedBranch[]>>
  /** True when no operation is under way on the project. */
  isSettled(projectId: string): Promise<Result<boolean>>
}

/** @param maxWaitSeconds for the rate limits; with 0 a call fails at once when they are used up, so that it takes no place from provisioning */
export function createNeonProvider(
  environment: NeonEnvironment,
  sql: Database,
  maxWaitSeconds: number = WORTH_WAITING_SECONDS,
): NeonProvider {
  const { NEON_API_KEY: apiKey, NEON_API_URL: baseURL, NEON_ORG_ID: organization } = environment
  if (!apiKey) return withoutKey()
  const neon = createApiClient({
    apiKey,
    baseURL,
    timeout: NEON_TIMEOUT_MS,
    adapter: 'fetch',
    env: { fetch: sendOnce },
  })
  const org = organization ? { org_id: organization } : {}
  const { attempt } = guardProvider({
    sql,
    provider: 'neon',
    failures: neonFailures,
    leftAlone: (why) => failure('neon_paused', why),
    maxWaitSeconds,
    classify,
  })
  return {
    findProject: (name) => attempt((call) => findProject(neon, call, name, org)),
    listProjects: (name) => attempt((call) => listProjects(neon, call, name, org)),
    projectPage: (cursor) => attempt((call) => projectPage(neon, call, cursor, org)),
    compute: (projectId) => attempt((call) => readCompute(neon, call, projectId)),
    usage: (projectId) => attempt((call) => readUsage(neon, call, projectId)),
    deleteProject: (projectId, assertLease) =>
      attempt((call) => deleteProject(neon, call, projectId, assertLease)),
    projectExists: (projectId) => attempt((call) => projectExists(neon, call, projectId)),
    createProject: (spec, assertLease) =>
      withinPlan(spec.limits, async (limits) =>
        withSettleTime(
          await attempt((call) => createProject(neon, call, { ...spec, ...org, limits }, assertLease)),
        ),
      ),
    applyLimits: (projectId, limits) =>
      withinPlan(limits, (allowed) => attempt((call) => applyLimits(neon, call, projectId, allowed))),
    connection: (...wanted) => attempt((call) => readConnection(neon, call, ...wanted)),
    openBranch: async (spec, assertLease) =>
      withSettleTime(await attempt((call) => openBranch(neon, call, spec, assertLease))),
    deleteBranch: (...wanted) => attempt((call) => deleteBranch(neon, call, ...wanted)),
    listBranches: (...wanted) => attempt((call) => listBranches(neon, call, ...wanted)),
    isSettled: (projectId) => attempt((call) => isSettled(neon, call, projectId)),
  }
}

type Neon = Api<unknown>

interface Named {
  readonly projects: readonly ProjectListItem[]
  readonly incomplete: boolean
}

async function projectsNamed(
  neon: Neon,
  call: GuardedCall,
  name: string,
  org: { org_id?: string },
): Promise<Named> {
  const projects: ProjectListItem[] = []
  let incomplete = false
  let cursor: string | undefined
  do {
    // `search` matches parts of names and ids, so the answer is narrowed here.
    const query = { search: name, limit: PAGE, ...org, ...(cursor ? { cursor } : {}) }
    const { data } = await call('GET /projects', () => neon.listProjects(query))
    projects.push(...data.projects.filter((project) => project.name === name))
    incomplete ||= (data.unavailable_project_ids?.length ?? 0) > 0
    cursor = data.projects.length < PAGE ? undefined : data.pagination?.cursor
  } while (cursor)
  return { projects: projects.sort((a, b) => a.created_at.localeCompare(b.created_at)), incomplete }
}

async function findProject(neon: Neon, call: GuardedCall, name: string, org: { org_id?: string }) {
  const { projects, incomplete } = await projectsNamed(neon, call, name, org)
  const [oldest] = projects
  if (oldest) return success({ projectId: oldest.id, count: projects.length })
  return incomplete ? failed(failure('neon_list_incomplete')) : success(undefined)
}

async function listProjects(neon: Neon, call: GuardedCall, name: string, org: { org_id?: string }) {
  const { projects, incomplete } = await projectsNamed(neon, call, name, org)
  return incomplete ? failed(failure('neon_list_incomplete')) : success(projects.map(({ id }) => id))
}

async function projectPage(
  neon: Neon,
  call: GuardedCall,
  cursor: string | undefined,
  org: { org_id?: string },
): Promise<Result<ProjectPage>> {
  const query = { limit: PAGE, ...org, ...(cursor ? { cursor } : {}) }
  const { data } = await call('GET /projects', () => neon.listProjects(query))
  // A page may be short because of what was unavailable; only an empty one, which names no cursor, is certainly the last.
  const next = data.projects.length > 0 ? data.pagination?.cursor : undefined
  return success({
    projects: data.projects.map((project) => ({
      projectId: project.id,
      name: project.name,
      createdAt: project.created_at,
      ...(project.compute_last_active_at ? { lastActiveAt: project.compute_last_active_at } : {}),
      usage: usageOf(project, {
        active_time_seconds: project.active_time,
        compute_time_seconds: project.cpu_used_sec,
      }),
    })),
    unavailable: data.unavailable_project_ids?.length ?? 0,
    ...(next && next !== cursor ? { nextCursor: next } : {}),
  })
}

async function readCompute(neon: Neon, call: GuardedCall, projectId: string): Promise<Result<Compute>> {
  const request = () =>
    neon.listProjectEndpoints(projectId).catch((error: unknown) => {
      if (isHttpError(error) && error.response?.status === 404) return { data: { endpoints: [] } }
      throw error
    })
  const { data } = await call('GET /projects/{id}/endpoints', request)
  const endpoint = mainEndpoint(data.endpoints)
  if (!endpoint) return success({ state: 'gone' })
  return success({
    state: endpoint.disabled ? 'disabled' : endpoint.current_state,
    ...(endpoint.last_active ? { lastActiveAt: endpoint.last_active } : {}),
  })
}

async function readUsage(neon: Neon, call: GuardedCall, projectId: string): Promise<Result<ProjectUsage>> {
  const { data } = await call('GET /projects/{id}', () => neon.getProject(projectId))
  return success(usageOf(data.project, data.project))
}

/** The quotas whose end suspends a compute, in words. The one of the logical size only refuses writes. */
const SUSPENDING_QUOTAS = {
  active_time_seconds: 'active time',
  compute_time_seconds: 'compute time',
  written_data_bytes: 'written data',
  data_transfer_bytes: 'data transfer',
} as const
type SuspendingQuota = keyof typeof SUSPENDING_QUOTAS

/** @param used by the names of the quotas; lists call it otherwise, and leave some out */
function usageOf(
  {
    settings,
    synthetic_storage_size: storageBytes,
  }: Pick<ProjectListItem, 'settings' | 'synthetic_storage_size'>,
  used: Readonly<Partial<Record<SuspendingQuota, number>>>,
): ProjectUsage {
  const quotas = settings?.quota ?? {}
  const names = Object.keys(SUSPENDING_QUOTAS) as SuspendingQuota[]
  const exhausted = names.find((name) => isUsedUp(quotas[name], used[name] ?? 0))
  return {
    ...(storageBytes === undefined ? {} : { storageBytes }),
    ...(exhausted ? { exhaustedQuota: SUSPENDING_QUOTAS[exhausted] } : {}),
  }
}

/** 0 and none are unlimited. */
function isUsedUp(quota: number | undefined, used: number): boolean {
  return quota !== undefined && quota > 0 && used >= quota
}

async function deleteProject(
  neon: Neon,
  call: GuardedCall,
  projectId: string,
  assertLease: AssertLease,
): Promise<Result<void>> {
  const request = () => neon.deleteProject(projectId).catch(unlessGone)
  await call('DELETE /projects/{id}', request, assertLease)
  return success(undefined)
}

async function projectExists(neon: Neon, call: GuardedCall, projectId: string): Promise<Result<boolean>> {
  const request = () =>
    neon.getProject(projectId).then(
      () => true,
      (error: unknown) => {
        if (isHttpError(error) && error.response?.status === 404) return false
        throw error
      },
    )
  return success(await call('GET /projects/{id}', request))
}

function withSettleTime<T>(created: Result<T>): Result<T> {
  if (created.ok || !leavesOpen(created.failure, neonFailures)) return created
  return failed({ ...created.failure, settleSeconds: SETTLE_SECONDS })
}

async function createProject(
  neon: Neon,
  call: GuardedCall,
  spec: ProjectSpec & { readonly org_id?: string },
  assertLease: AssertLease,
): Promise<Result<NeonConnection>> {
  const request = {
    project: {
      name: spec.name,
      region_id: spec.region,
      pg_version: 17,
      ...(spec.org_id ? { org_id: spec.org_id } : {}),
      branch: { name: 'main', role_name: spec.roleName, database_name: spec.databaseName },
      default_endpoint_settings: endpointSettings(spec.limits),
      settings: { quota: spec.limits.quota },
      ...(spec.limits.historyRetentionSeconds === undefined
        ? {}
        : { history_retention_seconds: spec.limits.historyRetentionSeconds }),
    },
  }
  const { data } = await call('POST /projects', () => neon.createProject(request), assertLease)
  const [endpoint] = data.endpoints
  const [connection] = data.connection_uris
  if (!endpoint || !connection)
    return failed(failure('neon_unavailable', 'the new project came without an endpoint', SETTLE_SECONDS))
  return success(
    describe(
      data.project.id,
      endpoint,
      connection.connection_uri,
      connection.connection_parameters.pooler_host,
    ),
  )
}

interface EndpointLimits {
  readonly autoscaling_limit_min_cu: number
  readonly autoscaling_limit_max_cu: number
  readonly suspend_timeout_seconds?: number
}

/** Neon's cheaper plans refuse every explicit suspend timeout, its default too, so that the default is left out. */
function endpointSettings(limits: TenantLimits): EndpointLimits {
  const askedSuspendTimeout = suspendTimeoutToAskFor(limits)
  return {
    autoscaling_limit_min_cu: limits.minComputeUnits,
    autoscaling_limit_max_cu: limits.maxComputeUnits,
    ...(askedSuspendTimeout === undefined ? {} : { suspend_timeout_seconds: askedSuspendTimeout }),
  }
}

async function applyLimits(
  neon: Neon,
  call: GuardedCall,
  projectId: string,
  limits: TenantLimits,
): Promise<Result<void>> {
  const endpoint = await primaryEndpoint(neon, call, projectId)
  if (!endpoint.ok) return endpoint
  const { id, ...has } = endpoint.value
  // A timeout that an earlier size asked for is put back to the default.
  const putBack =
    isDefaultSuspendTimeout(limits.suspendTimeoutSeconds) &&
    !isDefaultSuspendTimeout(has.suspend_timeout_seconds)
  const wanted: EndpointLimits = {
    ...endpointSettings(limits),
    ...(putBack ? { suspend_timeout_seconds: 0 } : {}),
  }
  const differs = Object.entries(wanted).some(([name, value]) => has[name as keyof typeof wanted] !== value)
  if (differs)
    await call('PATCH /projects/{id}/endpoints/{id}', () =>
      neon.updateProjectEndpoint(projectId, id, { endpoint: wanted }),
    )
  const { data } = await call('GET /projects/{id}', () => neon.getProject(projectId))
  const quota: Readonly<Record<string, number>> = { ...data.project.settings?.quota }
  const wantedQuota = { ...UNLIMITED_QUOTA, ...limits.quota }
  if (Object.entries(wantedQuota).some(([name, value]) => (quota[name] ?? 0) !== value)) {
    const settings = { quota: wantedQuota }
    await call('PATCH /projects/{id}', () => neon.updateProject(projectId, { project: { settings } }))
  }
  return success(undefined)
}

async function readConnection(
  neon: Neon,
  call: GuardedCall,
  projectId: string,
  databaseName: string,
  roleName: string,
): Promise<Result<NeonConnection>> {
  const uri = async (pooled: boolean) => {
    const wanted = { projectId, database_name: databaseName, role_name: roleName, pooled }
    const { data } = await call('GET /projects/{id}/connection_uri', () => neon.getConnectionUri(wanted))
    return data.uri
  }
  const endpoint = await primaryEndpoint(neon, call, projectId)
  if (!endpoint.ok) return endpoint
  return success(describe(projectId, endpoint.value, await uri(false), new URL(await uri(true)).hostname))
}

async function primaryEndpoint(neon: Neon, call: GuardedCall, projectId: string): Promise<Result<Endpoint>> {
  const { data } = await call('GET /projects/{id}/endpoints', () => neon.listProjectEndpoints(projectId))
  const endpoint = mainEndpoint(data.endpoints)
  // Somebody removed it by hand.
  return endpoint
    ? success(endpoint)
    : failed(failure('neon_request_refused', 'the project has no compute endpoint'))
}

/** That of the project's first branch: other branches have theirs, which came later. */
function mainEndpoint(endpoints: readonly Endpoint[]): Endpoint | undefined {
  const writing = endpoints.filter(({ type }) => type === 'read_write')
  return writing.sort((one, other) => one.created_at.localeCompare(other.created_at))[0]
}

function describe(
  projectId: string,
  endpoint: Endpoint,
  connectionUri: string,
  pooledHost: string,
): NeonConnection {
  const uri = new URL(connectionUri)
  return {
    projectId,
    branchId: endpoint.branch_id,
    endpointId: endpoint.id,
    host: uri.hostname,
    pooledHost,
    port: Number(uri.port || 5432),
    databaseName: decodeURIComponent(uri.pathname.slice(1)),
    roleName: decodeURIComponent(uri.username),
    password: decodeURIComponent(uri.password),
  }
}

const SETTLED: readonly OperationStatus[] = [
  OperationStatus.Finished,
  OperationStatus.Skipped,
  OperationStatus.Cancelled,
]

async function isSettled(neon: Neon, call: GuardedCall, projectId: string): Promise<Result<boolean>> {
  const { data } = await call('GET /projects/{id}/operations', () =>
    neon.listProjectOperations({ projectId, limit: 10 }),
  )
  const [newest] = data.operations
  // An operation in the state "failed" may still be retried by Neon; "error" is its end.
  if (newest?.status === OperationStatus.Error)
    return failed(failure('neon_operation_failed', `${newest.action}: ${newest.error ?? 'no reason given'}`))
  return success(
    data.operations.every(({ status }) => SETTLED.includes(status) || status === OperationStatus.Error),
  )
}

function classify(error: unknown): Failure {
  if (!isHttpError(error)) throw error
  if (!error.response) return failure('neon_unreachable', undefined, SETTLE_SECONDS)
  const { status, headers, data } = error.response
  const { code = '', message = '' }: { code?: unknown; message?: unknown } =
    typeof data === 'object' && data !== null ? data : {}
  const said = String(message)
  const retryAfter = retryAfterSeconds(headers['retry-after'])
  if (status === 401 || status === 403) return failure('neon_key_rejected')
  if (status === 423) return failure('neon_project_busy', undefined, retryAfter)
  if (status === 429) return failure('neon_rate_limited', undefined, retryAfter)
  if (isPlanRefusal(status, said)) return failure('neon_limit_refused', said)
  if (code === 'BRANCHES_LIMIT_EXCEEDED') return failure('neon_branch_limit_reached', said)
  if (code === 'PROJECTS_LIMIT_EXCEEDED') return failure('neon_project_limit_reached', said)
  if (status < 500 && /region/i.test(said)) return failure('neon_region_unknown', said)
  if (status < 500) return failure('neon_request_refused', said)
  return failure('neon_unavailable', `status ${status}`, Math.max(retryAfter ?? 0, SETTLE_SECONDS))
}

function withoutKey(): NeonProvider {
  const refuse = () => Promise.resolve(failed(failure('neon_key_missing')))
  const refuseWithLimits = async () => ({ ...(await refuse()), refused: [] })
  return {
    findProject: refuse,
    listProjects: refuse,
    projectPage: refuse,
    compute: refuse,
    usage: refuse,
    deleteProject: refuse,
    projectExists: refuse,
    createProject: refuseWithLimits,
    applyLimits: refuseWithLimits,
    connection: refuse,
    openBranch: refuse,
    deleteBranch: refuse,
    listBranches: refuse,
    isSettled: refuse,
  }
}
