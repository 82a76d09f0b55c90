import { isoSeconds } from '../clock.ts'
import type { ChildBranch } from './branches.ts'
import {
  type ComputeState,
  type OperationRecord,
  type ProjectRecord,
  type SuspendingQuota,
  startingUntil,
  suspendedSince,
} from './project.ts'

/** What a representation needs to know besides the record. */
export interface View {
  readonly now: number
  readonly host: string
  readonly pooledHost: string
  readonly postgresPort: number
  readonly state: ComputeState
  readonly lastActiveAt: number
  /** Bytes; undefined when it was not looked up. */
  readonly size: number | undefined
  /** How long a deleted project can be recovered. */
  readonly recoveryMs: number
}

const BRANCH_SIZE_LIMIT_BYTES = 16 * 1024 ** 4
const OWNER_ID = 'org-local-emulator'

export function projectJson(project: ProjectRecord, view: View) {
  const period = billingPeriod(view.now)
  return {
    ...projectBasics(project, view),
    data_storage_bytes_hour: 0,
    data_transfer_bytes: used(project, 'data_transfer_bytes'),
    written_data_bytes: used(project, 'written_data_bytes'),
    compute_time_seconds: used(project, 'compute_time_seconds'),
    active_time_seconds: used(project, 'active_time_seconds'),
    consumption_period_start: isoSeconds(period.start),
    consumption_period_end: isoSeconds(period.end),
  }
}

export function projectListItemJson(project: ProjectRecord, view: View) {
  return {
    ...projectBasics(project, view),
    active_time: used(project, 'active_time_seconds'),
    ...(project.deletedAt === undefined
      ? {}
      : {
          deleted_at: isoSeconds(project.deletedAt),
          recoverable_until: isoSeconds(project.deletedAt + view.recoveryMs),
        }),
  }
}

function projectBasics(project: ProjectRecord, view: View) {
  return {
    id: project.id,
    platform_id: project.regionId.split('-')[0] ?? 'aws',
    region_id: project.regionId,
    name: project.name,
    provisioner: project.provisioner,
    default_endpoint_settings: project.defaultEndpointSettings,
    settings: project.settings,
    pg_version: project.pgVersion,
    proxy_host: view.host,
    branch_logical_size_limit: BRANCH_SIZE_LIMIT_BYTES / 1024 ** 2,
    branch_logical_size_limit_bytes: BRANCH_SIZE_LIMIT_BYTES,
    store_passwords: project.storePasswords,
    cpu_used_sec: used(project, 'compute_time_seconds'),
    creation_source: 'console',
    history_retention_seconds: project.historyRetentionSeconds,
    created_at: isoSeconds(project.createdAt),
    updated_at: isoSeconds(project.updatedAt),
    compute_last_active_at: isoSeconds(view.lastActiveAt),
    owner_id: OWNER_ID,
    org_id: project.orgId,
    ...(view.size === undefined ? {} : { synthetic_storage_size: view.size }),
  }
}

/** Nothing is metered here: a quota is used up when the control address says so. */
function used({ exhaustedQuota, settings }: ProjectRecord, name: SuspendingQuota): number {
  return exhaustedQuota === name ? Number(Object(settings.quota)[name] ?? 0) : 0
}

export function branchJson(project: ProjectRecord, view: View) {
  const creating = view.state === 'init'
  return {
    id: project.branch.id,
    project_id: project.id,
    name: project.branch.name,
    current_state: creating ? 'init' : 'ready',
    ...(creating ? { pending_state: 'ready' } : {}),
    state_changed_at: isoSeconds(project.createdAt),
    creation_source: 'console',
    primary: true,
    default: true,
    protected: false,
    cpu_used_sec: 0,
    compute_time_seconds: 0,
    active_time_seconds: 0,
    written_data_bytes: 0,
    data_transfer_bytes: 0,
    created_at: isoSeconds(project.createdAt),
    updated_at: isoSeconds(project.createdAt),
    ...(view.size === undefined ? {} : { logical_size: view.size }),
  }
}

export function childBranchJson(project: ProjectRecord, child: ChildBranch, view: View) {
  const times = { created_at: isoSeconds(child.createdAt), updated_at: isoSeconds(child.createdAt) }
  return {
    ...branchJson(project, { ...view, state: 'active' }),
    ...times,
    id: child.id,
    name: child.name,
    parent_id: project.branch.id,
    state_changed_at: times.created_at,
    primary: false,
    default: false,
    ...(child.expiresAt === undefined
      ? {}
      : {
          expires_at: isoSeconds(child.expiresAt),
          ttl_interval_seconds: Math.round((child.expiresAt - child.createdAt) / 1000),
        }),
  }
}

export function childEndpointJson(project: ProjectRecord, child: ChildBranch, view: View) {
  const started = isoSeconds(child.createdAt)
  return {
    ...endpointJson(project, { ...view, state: 'active', lastActiveAt: view.now }),
    id: child.endpointId,
    branch_id: child.id,
    disabled: false,
    created_at: started,
    updated_at: started,
    started_at: started,
  }
}

export function endpointJson(project: ProjectRecord, view: View) {
  const { endpoint } = project
  const { pg_settings, ...limits } = endpoint.settings
  const starting = startingUntil(project, view.now) !== undefined
  const suspended = view.state === 'idle' ? suspendedSince(project, view.now) : undefined
  return {
    host: view.host,
    id: endpoint.id,
    ...(endpoint.name === undefined ? {} : { name: endpoint.name }),
    project_id: project.id,
    branch_id: project.branch.id,
    ...limits,
    region_id: project.regionId,
    type: 'read_write',
    current_state: view.state,
    ...(starting ? { pending_state: 'active' } : {}),
    settings: pg_settings === undefined ? {} : { pg_settings },
    pooler_enabled: false,
    pooler_mode: 'transaction',
    disabled: endpoint.disabled,
    passwordless_access: true,
    last_active: isoSeconds(view.lastActiveAt),
    creation_source: 'console',
    created_at: isoSeconds(project.createdAt),
    updated_at: isoSeconds(endpoint.updatedAt),
    started_at: isoSeconds(Math.min(view.now, endpoint.startedAt)),
    ...(suspended === undefined ? {} : { suspended_at: isoSeconds(suspended) }),
    proxy_host: view.host,
    provisioner: project.provisioner,
  }
}

/** A password is in the reply only right after it was made. */
export function roleJson(project: ProjectRecord, withPassword: boolean) {
  return {
    branch_id: project.branch.id,
    name: project.role.name,
    ...(withPassword ? { password: project.role.password } : {}),
    protected: false,
    authentication_method: 'password',
    created_at: isoSeconds(project.createdAt),
    updated_at: isoSeconds(project.role.updatedAt),
  }
}

export function databaseJson(project: ProjectRecord) {
  return {
    id: project.database.id,
    branch_id: project.branch.id,
    name: project.database.name,
    owner_name: project.role.name,
    created_at: isoSeconds(project.createdAt),
    updated_at: isoSeconds(project.createdAt),
  }
}

export function operationJson(project: ProjectRecord, operation: OperationRecord, now: number) {
  const ended = Math.min(now, operation.finishesAt)
  return {
    id: operation.id,
    project_id: project.id,
    branch_id: project.branch.id,
    endpoint_id: project.endpoint.id,
    action: operation.action,
    status: operationStatus(operation, now),
    failures_count: 0,
    created_at: isoSeconds(operation.createdAt),
    updated_at: isoSeconds(Math.max(operation.createdAt, ended)),
    total_duration_ms: Math.max(0, Math.round(ended - operation.createdAt)),
  }
}

function operationStatus(operation: OperationRecord, now: number): string {
  if (now >= operation.finishesAt) return 'finished'
  return now >= operation.startsAt ? 'running' : 'scheduling'
}

/** Host and port as a client needs them. */
export function connectionUri(project: ProjectRecord, view: View): string {
  const { role, database } = project
  const credentials = `${encodeURIComponent(role.name)}:${encodeURIComponent(role.password)}`
  return `postgresql://${credentials}@${view.host}:${view.postgresPort}/${encodeURIComponent(database.name)}`
}

export function connectionDetails(project: ProjectRecord, view: View) {
  return {
    connection_uri: connectionUri(project, view),
    connection_parameters: {
      database: project.database.name,
      password: project.role.password,
      role: project.role.name,
      host: view.host,
      pooler_host: view.pooledHost,
    },
  }
}

/** Neon bills by calendar month, in UTC. */
function billingPeriod(now: number): { start: number; end: number } {
  const date = new Date(now)
  const month = (offset: number) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + offset, 1)
  return { start: month(0), end: month(1) }
}
