import {
  type Api,
  createApiClient,
  type Endpoint,
  OperationStatus,
  type ProjectListItem,
} from '@neondatabase/api-client'
import type { Environment } from '../environment.ts'
import { type Failure, failure } from '../provisioning/failures.ts'
import type { TenantLimits } from '../provisioning/tenant.ts'
import { failed, type Result, success } from '../result.ts'
import { seconds } from './stripe.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
const TIMEOUT_MS = 30_000
/** A create whose reply was lost may still be at work; looking sooner could miss the project that it makes. */
const SETTLE_SECONDS = 5

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

export interface NeonProvider {
  /** The oldest project with exactly this name, and how many there are. Never answers "absent" from an incomplete list. */
  findProject(name: string): Promise<Result<{ projectId: string; count: number } | undefined>>
  /** Creates another project at every call: the caller has looked, holds the lease, and never repeats it blindly. */
  createProject(spec: ProjectSpec): Promise<Result<NeonConnection>>
  /** Gives an existing project the wanted limits; calls nothing when it has them. */
  applyLimits(projectId: string, limits: TenantLimits): Promise<Result<void>>
  connection(projectId: string, databaseName: string, roleName: string): Promise<Result<NeonConnection>>
  /** True when no operation is under way on the project. */
  isSettled(projectId: string): Promise<Result<boolean>>
}

export function createNeonProvider(
  environment: Pick<Environment, 'NEON_API_KEY' | 'NEON_API_URL' | 'NEON_ORG_ID'>,
): NeonProvider {
  const { NEON_API_KEY: apiKey, NEON_API_URL: baseURL, NEON_ORG_ID: organization } = environment
  if (!apiKey) return withoutKey()
  const neon = createApiClient({ apiKey, baseURL, timeout: TIMEOUT_MS, adapter: 'fetch' })
  const org = organization ? { org_id: organization } : {}
  return {
    findProject: (name) => attempt(() => findProject(neon, name, org)),
    createProject: (spec) => attempt(() => createProject(neon, spec, org)),
    applyLimits: (projectId, limits) =>
      attempt(async () => success(await applyLimits(neon, projectId, limits))),
    connection: (...wanted) => attempt(async () => success(await readConnection(neon, ...wanted))),
    isSettled: (projectId) => attempt(() => isSettled(neon, projectId)),
  }
}

type Neon = Api<unknown>

async function findProject(neon: Neon, name: string, org: { org_id?: string }) {
  const found: ProjectListItem[] = []
  let incomplete = false
  let cursor: string | undefined
  do {
    // `search` matches parts of names and ids, so the answer is narrowed here.
    const { data } = await neon.listProjects({
      search: name,
      limit: 400,
      ...org,
      ...(cursor ? { cursor } : {}),
    })
    found.push(...data.projects.filter((project) => project.name === name))
    incomplete ||= (data.unavailable_project_ids?.length ?? 0) > 0
    cursor = data.projects.length === 0 ? undefined : data.pagination?.cursor
  } while (cursor)
  const [oldest] = found.sort((a, b) => a.created_at.localeCompare(b.created_at))
  if (oldest) return success({ projectId: oldest.id, count: found.length })
  return incomplete ? failed(failure('neon_list_incomplete')) : success(undefined)
}

async function createProject(
  neon: Neon,
  spec: ProjectSpec,
  org: { org_id?: string },
): Promise<Result<NeonConnection>> {
  const { data } = await neon.createProject({
    project: {
      name: spec.name,
      region_id: spec.region,
      pg_version: 17,
      ...org,
      branch: { name: 'main', role_name: spec.roleName, database_name: spec.databaseName },
      default_endpoint_settings: endpointSettings(spec.limits),
      settings: { quota: spec.limits.quota },
      history_retention_seconds: spec.limits.historyRetentionSeconds,
    },
  })
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

function endpointSettings(limits: TenantLimits) {
  return {
    autoscaling_limit_min_cu: limits.minComputeUnits,
    autoscaling_limit_max_cu: limits.maxComputeUnits,
    suspend_timeout_seconds: limits.suspendTimeoutSeconds,
  }
}

async function applyLimits(neon: Neon, projectId: string, limits: TenantLimits): Promise<void> {
  const endpoint = await primaryEndpoint(neon, projectId)
  const wanted = endpointSettings(limits)
  const differs =
    endpoint.autoscaling_limit_min_cu !== wanted.autoscaling_limit_min_cu ||
    endpoint.autoscaling_limit_max_cu !== wanted.autoscaling_limit_max_cu ||
    endpoint.suspend_timeout_seconds !== wanted.suspend_timeout_seconds
  if (differs) await neon.updateProjectEndpoint(projectId, endpoint.id, { endpoint: wanted })
  const { data } = await neon.getProject(projectId)
  const quota: Readonly<Record<string, number>> = { ...data.project.settings?.quota }
  if (Object.entries(limits.quota).some(([name, value]) => quota[name] !== value))
    await neon.updateProject(projectId, { project: { settings: { quota: limits.quota } } })
}

async function readConnection(
  neon: Neon,
  projectId: string,
  databaseName: string,
  roleName: string,
): Promise<NeonConnection> {
  const wanted = { projectId, database_name: databaseName, role_name: roleName }
  const [endpoint, direct, pooled] = await Promise.all([
    primaryEndpoint(neon, projectId),
    neon.getConnectionUri({ ...wanted, pooled: false }),
    neon.getConnectionUri({ ...wanted, pooled: true }),
  ])
  return describe(projectId, endpoint, direct.data.uri, new URL(pooled.data.uri).hostname)
}

async function primaryEndpoint(neon: Neon, projectId: string): Promise<Endpoint> {
  const { data } = await neon.listProjectEndpoints(projectId)
  const endpoint = data.endpoints.find(({ type }) => type === 'read_write')
  if (!endpoint) throw new MissingEndpoint()
  return endpoint
}

/** A project without a compute: somebody removed it by hand. */
class MissingEndpoint extends Error {}

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

async function isSettled(neon: Neon, projectId: string): Promise<Result<boolean>> {
  const { data } = await neon.listProjectOperations({ projectId, limit: 10 })
  const [newest] = data.operations
  // An operation in the state "failed" may still be retried by Neon; "error" is its end.
  if (newest?.status === OperationStatus.Error)
    return failed(failure('neon_operation_failed', `${newest.action}: ${newest.error ?? 'no reason given'}`))
  return success(
    data.operations.every(({ status }) => SETTLED.includes(status) || status === OperationStatus.Error),
  )
}

async function attempt<T>(call: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof MissingEndpoint)
      return failed(failure('neon_request_refused', 'the project has no compute endpoint'))
    return failed(classify(error))
  }
}

/** What axios, which the client is built on, throws; without a response when none came. */
interface HttpError {
  readonly isAxiosError: true
  readonly response?: {
    readonly status: number
    readonly headers: Record<string, unknown>
    readonly data: unknown
  }
}

function isHttpError(error: unknown): error is HttpError {
  return error instanceof Error && 'isAxiosError' in error && error.isAxiosError === true
}

function classify(error: unknown): Failure {
  if (!isHttpError(error)) throw error
  if (!error.response) return failure('neon_unreachable', undefined, SETTLE_SECONDS)
  const { status, headers, data } = error.response
  const { code = '', message = '' }: { code?: unknown; message?: unknown } =
    typeof data === 'object' && data !== null ? data : {}
  const said = String(message)
  const retryAfter = seconds(headers['retry-after'])
  if (status === 401 || status === 403) return failure('neon_key_rejected')
  if (status === 423) return failure('neon_project_busy', undefined, retryAfter)
  if (status === 429) return failure('neon_rate_limited', undefined, retryAfter)
  if (code === 'PROJECTS_LIMIT_EXCEEDED') return failure('neon_project_limit_reached', said)
  if (status < 500 && /region/i.test(said)) return failure('neon_region_unknown', said)
  if (status < 500) return failure('neon_request_refused', said)
  return failure('neon_unavailable', `status ${status}`, Math.max(retryAfter ?? 0, SETTLE_SECONDS))
}

function withoutKey(): NeonProvider {
  const refuse = () => Promise.resolve(failed(failure('neon_key_missing')))
  return {
    findProject: refuse,
    createProject: refuse,
    applyLimits: refuse,
    connection: refuse,
    isSettled: refuse,
  }
}
