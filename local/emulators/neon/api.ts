import type { Clock } from '../clock.ts'
import type { Reply } from '../http/exchange.ts'
import type { FreshDatabase, TenantDatabases } from '../postgres/databases.ts'
import type { ChildBranch, ChildBranches } from './branches.ts'
import type { ComputeFleet } from './compute-fleet.ts'
import type { CheckedInput, MatchedOperation } from './contract.ts'
import {
  branchesLimitExceeded,
  branchNameTaken,
  NeonApiError,
  notFound,
  projectBusy,
  projectsLimitExceeded,
  quotaMessage,
} from './errors.ts'
import { newId } from './ids.ts'
import type { NeonLimits, NeonTimings } from './options.ts'
import { generatePassword } from './owner-role.ts'
import { checkEndpointPlan, checkHistoryPlan } from './plan.ts'
import {
  busyUntil,
  type OperationAction,
  type OperationRecord,
  type ProjectRecord,
  waitUntil,
  withEndpoint,
  withOperations,
} from './project.ts'
import type { ProjectStore } from './project-store.ts'
import { regionList } from './regions.ts'
import {
  branchJson,
  childBranchJson,
  childEndpointJson,
  connectionDetails,
  connectionUri,
  databaseJson,
  endpointJson,
  operationJson,
  projectJson,
  projectListItemJson,
  roleJson,
  type View,
} from './representation.ts'
import { mergeEndpointSettings, readInput } from './requests.ts'

type Handler = (path: MatchedOperation['pathParameters'], input: CheckedInput) => Reply | Promise<Reply>

export interface NeonApiParts {
  readonly store: ProjectStore
  readonly databases: TenantDatabases
  readonly fleet: ComputeFleet
  readonly branches: ChildBranches
  readonly timings: NeonTimings
  readonly limits: NeonLimits
  readonly clock: Clock
  readonly host: string
  readonly pooledHost: string
  readonly postgresPort: number
}

const DEFAULT_HISTORY_SECONDS = 86_400
const ORGANIZATION_ID = 'org-local-emulator'

/** The operations of Neon's API that the emulator performs, by operation id. */
export class NeonApi {
  readonly #parts: NeonApiParts
  readonly #sizes = new Map<string, number>()
  #creating = 0

  readonly #handlers: Readonly<Record<string, Handler>> = {
    createProject: (_path, { body }) => this.#createProject(body),
    listProjects: (_path, { query }) => this.#listProjects(query),
    getProject: (path) => this.#getProject(this.#find(path)),
    updateProject: (path, { body }) => this.#updateProject(this.#findIdle(path), body),
    deleteProject: (path) => this.#deleteProject(this.#findIdle(path)),
    recoverProject: (path) => this.#recoverProject(path.project_id ?? ''),
    listProjectOperations: (path, { query }) => this.#listOperations(this.#find(path), query),
    getProjectOperation: (path) => this.#getOperation(this.#find(path), path.operation_id),
    createProjectBranch: (path, { body }) => this.#createBranch(this.#findIdle(path), body),
    deleteProjectBranch: (path) => this.#deleteBranch(path),
    listProjectBranches: (path, { query }) => this.#listBranches(this.#find(path), query),
    getProjectBranch: (path) => this.#getBranch(path),
    listProjectEndpoints: (path) => this.#listEndpoints(this.#find(path)),
    listProjectBranchEndpoints: (path) => this.#listEndpoints(this.#find(path)),
    getProjectEndpoint: (path) => this.#endpointReply(this.#find(path)),
    updateProjectEndpoint: (path, { body }) => this.#updateEndpoint(this.#findIdle(path), body),
    startProjectEndpoint: (path) => this.#startEndpoint(this.#findIdle(path)),
    suspendProjectEndpoint: (path) => this.#suspendEndpoint(this.#findIdle(path)),
    listProjectBranchDatabases: (path) => ok({ databases: [databaseJson(this.#find(path))] }),
    getProjectBranchDatabase: (path) => ok({ database: databaseJson(this.#find(path)) }),
    listProjectBranchRoles: (path) => ok({ roles: [roleJson(this.#find(path), false)] }),
    getProjectBranchRole: (path) => ok({ role: roleJson(this.#find(path), false) }),
    getProjectBranchRolePassword: (path) => this.#revealPassword(this.#find(path)),
    resetProjectBranchRolePassword: (path) => this.#resetPassword(this.#findIdle(path)),
    getConnectionURI: (path, { query }) => this.#connectionUri(this.#find(path), query),
    getActiveRegions: () => ok({ regions: regionList() }),
  }

  constructor(parts: NeonApiParts) {
    this.#parts = parts
  }

  /** Performs an operation whose input the contract allows. @throws NeonApiError */
  async perform(operation: MatchedOperation, method: string, input: CheckedInput): Promise<Reply> {
    const handler = Object.hasOwn(this.#handlers, operation.id) ? this.#handlers[operation.id] : undefined
    if (handler === undefined) throw notEmulated(operation.id, Object.keys(this.#handlers))
    const { readMs } = this.#parts.timings
    if (method === 'GET' && readMs > 0) await waitUntil(Date.now, Date.now() + readMs)
    await this.purgeExpired()
    return handler(operation.pathParameters, input)
  }

  /** Drops deleted projects, with their databases, once they can no longer be recovered. */
  async purgeExpired(): Promise<void> {
    await this.#parts.branches.purge((id) => this.#isLive(id))
    const due = this.#now() - this.#parts.limits.deletedRetentionMs
    for (const project of this.#parts.store.deleted()) {
      if (project.deletedAt === undefined || project.deletedAt > due) continue
      this.#parts.store.remove(project)
      this.#sizes.delete(project.id)
      await this.#parts.databases.drop(project.physicalName)
    }
  }

  async #createProject(body: unknown): Promise<Reply> {
    const wanted = readInput.createProject(body)
    const asked = { ...wanted, ...wanted.default_endpoint_settings }
    const settings = mergeEndpointSettings(undefined, asked)
    const { limits, timings, store, databases } = this.#parts
    checkEndpointPlan(limits, asked)
    checkHistoryPlan(limits, wanted.history_retention_seconds)
    const have = store.liveCount + this.#creating
    if (have >= limits.maxProjects) throw projectsLimitExceeded(limits.maxProjects, have)
    this.#creating++
    try {
      const [fresh] = await Promise.all([
        databases.claim(),
        waitUntil(Date.now, Date.now() + timings.createMs),
      ])
      const { project, added } = this.#newProject(wanted, settings, fresh)
      return this.#creationReply(store.save(project), added)
    } finally {
      this.#creating--
    }
  }

  #newProject(
    wanted: ReturnType<typeof readInput.createProject>,
    settings: ReturnType<typeof mergeEndpointSettings>,
    fresh: FreshDatabase,
  ): { project: ProjectRecord; added: OperationRecord[] } {
    const now = this.#now()
    const { operationMs } = this.#parts.timings
    const id = newId()
    const databaseName = wanted.branch.database_name ?? 'neondb'
    const ready = now + operationMs
    const project: ProjectRecord = {
      id,
      name: wanted.name ?? id,
      orgId: wanted.org_id ?? ORGANIZATION_ID,
      regionId: wanted.region_id,
      pgVersion: wanted.pg_version,
      storePasswords: wanted.store_passwords,
      historyRetentionSeconds:
        wanted.history_retention_seconds ??
        Math.min(DEFAULT_HISTORY_SECONDS, this.#parts.limits.maxHistorySeconds),
      provisioner: wanted.provisioner,
      settings: wanted.settings,
      defaultEndpointSettings: settings,
      createdAt: now,
      updatedAt: now,
      branch: { id: newId('br'), name: wanted.branch.name ?? 'main' },
      endpoint: {
        id: newId('ep'),
        settings,
        disabled: false,
        updatedAt: now,
        startedAt: ready,
        lastActiveAt: ready,
      },
      role: {
        name: wanted.branch.role_name ?? `${databaseName}_owner`,
        password: fresh.password,
        updatedAt: now,
      },
      database: { id: crypto.getRandomValues(new Uint32Array(1))[0] ?? 0, name: databaseName },
      physicalName: fresh.physicalName,
      operations: [],
    }
    return withOperations(project, ['create_timeline', 'start_compute'], operationMs, now)
  }

  #creationReply(project: ProjectRecord, added: readonly OperationRecord[]): Reply {
    const view = this.#view(project)
    return {
      status: 201,
      body: {
        project: projectJson(project, view),
        connection_uris: [connectionDetails(project, view)],
        roles: [roleJson(project, true)],
        databases: [databaseJson(project)],
        operations: this.#operationsJson(project, added),
        branch: branchJson(project, view),
        endpoints: [endpointJson(project, view)],
      },
    }
  }

  #listProjects(query: unknown): Reply {
    const wanted = readInput.listProjects(query)
    const search = wanted.search?.toLowerCase()
    const unavailable: string[] = []
    const page = this.#parts.store.page(wanted.cursor, wanted.limit, (project) => {
      if ((project.deletedAt !== undefined) !== wanted.recoverable) return false
      if (wanted.org_id !== undefined && project.orgId !== wanted.org_id) return false
      if (project.unavailable) unavailable.push(project.id)
      else return search === undefined || matchesSearch(project, search)
      return false
    })
    if (page === undefined) throw new NeonApiError(400, 'invalid cursor')
    const last = page.at(-1)
    return ok({
      projects: page.map((project) => projectListItemJson(project, this.#view(project))),
      // Neon names a cursor as long as a page holds anything; the page after the last is empty and names none.
      ...(last === undefined ? {} : { pagination: { cursor: last.id } }),
      ...(unavailable.length === 0 ? {} : { unavailable_project_ids: unavailable }),
      applications: {},
      integrations: {},
    })
  }

  async #getProject(project: ProjectRecord): Promise<Reply> {
    await this.#measure(project)
    return ok({ project: projectJson(project, this.#view(project)) })
  }

  #updateProject(project: ProjectRecord, body: unknown): Reply {
    const changes = readInput.updateProject(body)
    checkEndpointPlan(this.#parts.limits, changes.default_endpoint_settings ?? {})
    checkHistoryPlan(this.#parts.limits, changes.history_retention_seconds)
    const updated: ProjectRecord = {
      ...project,
      name: changes.name ?? project.name,
      historyRetentionSeconds: changes.history_retention_seconds ?? project.historyRetentionSeconds,
      settings: { ...project.settings, ...changes.settings },
      defaultEndpointSettings: mergeEndpointSettings(
        project.defaultEndpointSettings,
        changes.default_endpoint_settings ?? {},
      ),
      updatedAt: this.#now(),
    }
    const { saved, operations } = this.#save(updated, changes.settings === undefined ? [] : ['apply_config'])
    return ok({ project: projectJson(saved, this.#view(saved)), operations })
  }

  /** Soft: unreachable at once, recoverable for a week, and only then dropped. */
  async #deleteProject(project: ProjectRecord): Promise<Reply> {
    const deleted = this.#parts.store.save({ ...project, deletedAt: this.#now(), updatedAt: this.#now() })
    this.#parts.fleet.disconnect(project.id)
    const reply = ok({ project: projectJson(deleted, this.#view(deleted)) })
    await this.purgeExpired()
    return reply
  }

  #recoverProject(id: string): Reply {
    const project = this.#parts.store.get(id)
    if (project?.deletedAt === undefined) throw notFound('recoverable project')
    const { saved } = this.#save({ ...project, deletedAt: undefined }, ['timeline_unarchive'])
    const view = this.#view(saved)
    return ok({ project: projectJson(saved, view), branches: [branchJson(saved, view)] })
  }

  #listOperations(project: ProjectRecord, query: unknown): Reply {
    const { limit, cursor } = readInput.listOperations(query)
    const newestFirst = project.operations.toReversed()
    const start = cursor === undefined ? 0 : newestFirst.findIndex(({ id }) => id === cursor) + 1
    if (cursor !== undefined && start === 0) throw new NeonApiError(400, 'invalid cursor')
    const page = newestFirst.slice(start, start + limit)
    const last = page.at(-1)
    return ok({
      operations: this.#operationsJson(project, page),
      ...(last === undefined ? {} : { pagination: { cursor: last.id } }),
    })
  }

  #getOperation(project: ProjectRecord, operationId: string | undefined): Reply {
    const operation = project.operations.find(({ id }) => id === operationId)
    if (operation === undefined) throw notFound('operation')
    return ok({ operation: operationJson(project, operation, this.#now()) })
  }

  async #createBranch(project: ProjectRecord, body: unknown): Promise<Reply> {
    const { branch: wanted, endpoints } = readInput.createBranch(body)
    const { limits, branches } = this.#parts
    for (const endpoint of endpoints) checkEndpointPlan(limits, endpoint)
    if ((wanted.parent_id ?? project.branch.id) !== project.branch.id) throw notFound('branch')
    const have = branches.of(project.id)
    if (have.length + 1 >= limits.maxBranches) throw branchesLimitExceeded(limits.maxBranches)
    const name = wanted.name ?? newId('br')
    if ([project.branch, ...have].some((each) => each.name === name)) throw branchNameTaken(name)
    const expiresAt = wanted.expires_at === undefined ? undefined : Date.parse(wanted.expires_at)
    if (expiresAt !== undefined && expiresAt <= this.#now())
      throw new NeonApiError(400, 'expires_at must be in the future')
    const child = await branches.create(project, name, expiresAt)
    const { saved, operations } = this.#save(project, ['create_branch', 'start_compute'])
    const view = this.#view(saved)
    return {
      status: 201,
      body: {
        branch: childBranchJson(saved, child, view),
        endpoints: endpoints.length > 0 ? [childEndpointJson(saved, child, view)] : [],
        operations,
        roles: [{ ...roleJson(saved, false), branch_id: child.id }],
        databases: [{ ...databaseJson(saved), branch_id: child.id }],
        connection_uris:
          endpoints.length > 0 ? [connectionDetails(saved, { ...view, postgresPort: child.port })] : [],
      },
    }
  }

  async #deleteBranch({ branch_id: id, ...path }: MatchedOperation['pathParameters']): Promise<Reply> {
    const project = this.#findIdle(path)
    if (id === project.branch.id) throw new NeonApiError(422, 'cannot delete the default branch')
    const child = this.#parts.branches.get(id)
    if (child?.projectId !== project.id) throw notFound('branch')
    const branch = childBranchJson(project, child, this.#view(project))
    await this.#parts.branches.delete(child.id)
    const { operations } = this.#save(project, ['suspend_compute'])
    return ok({ branch, operations })
  }

  async #listBranches(project: ProjectRecord, query: unknown): Promise<Reply> {
    const { search = '' } = readInput.listBranches(query)
    await this.#measure(project)
    const view = this.#view(project)
    const all = [
      ...this.#children(project).map((child) => childBranchJson(project, child, view)),
      branchJson(project, view),
    ]
    return ok({
      branches: all.filter(({ name, id }) => name.includes(search) || id.includes(search)),
      annotations: {},
    })
  }

  #isLive(projectId: string): boolean {
    const project = this.#parts.store.get(projectId)
    return project !== undefined && project.deletedAt === undefined
  }

  #children({ id }: ProjectRecord): ChildBranch[] {
    return this.#parts.branches.of(id)
  }

  async #getBranch({ branch_id: id, ...path }: MatchedOperation['pathParameters']): Promise<Reply> {
    const project = this.#find(path)
    await this.#measure(project)
    const child = this.#children(project).find((each) => each.id === id)
    if (child) {
      const annotation = { object: { type: 'console/branch', id: child.id }, value: {} }
      return ok({ branch: childBranchJson(project, child, this.#view(project)), annotation })
    }
    if (id !== project.branch.id) throw notFound('branch')
    const annotation = { object: { type: 'console/branch', id: project.branch.id }, value: {} }
    return ok({ branch: branchJson(project, this.#view(project)), annotation })
  }

  /** Those of other branches first, because Neon promises no order. */
  #listEndpoints(project: ProjectRecord): Reply {
    const view = this.#view(project)
    const children = this.#children(project).map((child) => childEndpointJson(project, child, view))
    return ok({ endpoints: [...children, endpointJson(project, view)] })
  }

  #endpointReply(project: ProjectRecord): Reply {
    return ok({ endpoint: endpointJson(project, this.#view(project)) })
  }

  #updateEndpoint(project: ProjectRecord, body: unknown): Reply {
    const changes = readInput.updateEndpoint(body)
    checkEndpointPlan(this.#parts.limits, changes)
    const settings = mergeEndpointSettings(project.endpoint.settings, {
      ...changes,
      pg_settings: changes.settings?.pg_settings,
    })
    const disabled = changes.disabled ?? project.endpoint.disabled
    const updated = withEndpoint(project, {
      settings,
      disabled,
      name: changes.name ?? project.endpoint.name,
      updatedAt: this.#now(),
      ...(disabled ? { suspendedAt: this.#now() } : {}),
    })
    if (disabled) this.#parts.fleet.disconnect(project.id)
    return this.#endpointChange(updated, [disabled ? 'suspend_compute' : 'apply_config'])
  }

  #startEndpoint(project: ProjectRecord): Reply {
    if (project.exhaustedQuota) throw new NeonApiError(412, quotaMessage(project.exhaustedQuota))
    if (project.endpoint.disabled) throw new NeonApiError(412, 'endpoint is disabled')
    if (this.#parts.fleet.state(project) !== 'idle') return this.#endpointChange(project, [])
    const { wakeMs, operationMs } = this.#parts.timings
    const { saved, added } = this.#parts.fleet.wake(project, wakeMs + operationMs)
    return ok({
      endpoint: endpointJson(saved, this.#view(saved)),
      operations: this.#operationsJson(saved, added),
    })
  }

  #suspendEndpoint(project: ProjectRecord): Reply {
    this.#parts.fleet.disconnect(project.id)
    if (this.#parts.fleet.state(project) === 'idle') return this.#endpointChange(project, [])
    return this.#endpointChange(withEndpoint(project, { suspendedAt: this.#now() }), ['suspend_compute'])
  }

  #endpointChange(project: ProjectRecord, actions: readonly OperationAction[]): Reply {
    const { saved, operations } = this.#save(project, actions)
    return ok({ endpoint: endpointJson(saved, this.#view(saved)), operations })
  }

  #revealPassword(project: ProjectRecord): Reply {
    if (!project.storePasswords) throw new NeonApiError(412, 'storing passwords is disabled for the project')
    return ok({ password: project.role.password })
  }

  /** The old password goes on working until the operation has ended, as at Neon. */
  async #resetPassword(project: ProjectRecord): Promise<Reply> {
    const now = this.#now()
    const { operationMs } = this.#parts.timings
    const { fleet } = this.#parts
    // Only an awake compute can take the new password.
    const awake = fleet.state(project) === 'idle' ? fleet.wake(project, 0).saved : project
    fleet.disconnect(project.id)
    const role = {
      ...project.role,
      password: generatePassword(),
      pendingSince: now + operationMs,
      updatedAt: now,
    }
    const changed = withEndpoint({ ...awake, role }, { lastActiveAt: now })
    const { saved, operations } = this.#save(changed, ['apply_config'])
    await fleet.applyPassword(saved)
    return ok({ role: roleJson(saved, true), operations })
  }

  #connectionUri(project: ProjectRecord, query: unknown): Reply {
    const wanted = readInput.connectionUri(query)
    if (wanted.role_name !== project.role.name) throw notFound('role')
    if (wanted.database_name !== project.database.name) throw notFound('database')
    const view = this.#view(project)
    const child = this.#children(project).find(({ id }) => id === wanted.branch_id)
    if (child) return ok({ uri: connectionUri(project, { ...view, postgresPort: child.port }) })
    if ((wanted.branch_id ?? project.branch.id) !== project.branch.id) throw notFound('branch')
    if ((wanted.endpoint_id ?? project.endpoint.id) !== project.endpoint.id) throw notFound('endpoint')
    return ok({ uri: connectionUri(project, view) })
  }

  /** The live project of an address, whose other parts have to be its own. @throws NeonApiError 404 */
  #find(path: MatchedOperation['pathParameters']): ProjectRecord {
    const project = this.#parts.store.get(path.project_id ?? '')
    if (project === undefined || project.deletedAt !== undefined) throw notFound('project')
    if ((path.branch_id ?? project.branch.id) !== project.branch.id) throw notFound('branch')
    if ((path.endpoint_id ?? project.endpoint.id) !== project.endpoint.id) throw notFound('endpoint')
    if ((path.role_name ?? project.role.name) !== project.role.name) throw notFound('role')
    if ((path.database_name ?? project.database.name) !== project.database.name) throw notFound('database')
    return project
  }

  /** The same for a change, which has to wait for the one under way. @throws NeonApiError 404, 423 */
  #findIdle(path: MatchedOperation['pathParameters']): ProjectRecord {
    const project = this.#find(path)
    if (busyUntil(project, this.#now()) !== undefined) throw projectBusy()
    return project
  }

  #save(project: ProjectRecord, actions: readonly OperationAction[]) {
    const { project: withAdded, added } = withOperations(
      project,
      actions,
      this.#parts.timings.operationMs,
      this.#now(),
    )
    const saved = this.#parts.store.save(withAdded)
    return { saved, operations: this.#operationsJson(saved, added) }
  }

  #operationsJson(project: ProjectRecord, operations: readonly OperationRecord[]) {
    return operations.map((operation) => operationJson(project, operation, this.#now()))
  }

  async #measure(project: ProjectRecord): Promise<void> {
    this.#sizes.set(project.id, await this.#parts.databases.size(project.physicalName))
  }

  #view(project: ProjectRecord): View {
    return {
      now: this.#now(),
      host: this.#parts.host,
      pooledHost: this.#parts.pooledHost,
      postgresPort: this.#parts.postgresPort,
      state: this.#parts.fleet.state(project),
      lastActiveAt: this.#parts.fleet.lastActiveAt(project),
      size: this.#sizes.get(project.id),
      recoveryMs: this.#parts.limits.deletedRetentionMs,
    }
  }

  #now(): number {
    return this.#parts.clock()
  }
}

function matchesSearch({ name, id }: ProjectRecord, search: string): boolean {
  return name.toLowerCase().includes(search) || id.includes(search)
}

function ok(body: unknown): Reply {
  return { status: 200, body }
}

function notEmulated(operationId: string, emulated: readonly string[]): NeonApiError {
  return new NeonApiError(
    501,
    `Neon has ${operationId}, the local emulator has not. It performs ${emulated.join(', ')}.`,
    'NOT_EMULATED',
  )
}
