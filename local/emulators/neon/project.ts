import type { Clock } from '../clock.ts'

export type OperationAction =
  | 'create_timeline'
  | 'create_branch'
  | 'start_compute'
  | 'suspend_compute'
  | 'apply_config'
  | 'timeline_unarchive'

export interface OperationRecord {
  readonly id: string
  readonly action: OperationAction
  readonly createdAt: number
  /** The operations of a chain run one after the other. */
  readonly startsAt: number
  readonly finishesAt: number
}

export interface EndpointSettings {
  readonly autoscaling_limit_min_cu: number
  readonly autoscaling_limit_max_cu: number
  /** 0 is the default (300), -1 never. */
  readonly suspend_timeout_seconds: number
  readonly pg_settings?: Readonly<Record<string, string>> | undefined
}

/** One project with its only branch, endpoint, role and database; replaced as a whole by each change. */
export interface ProjectRecord {
  readonly id: string
  readonly name: string
  readonly orgId: string
  readonly regionId: string
  readonly pgVersion: number
  readonly storePasswords: boolean
  readonly historyRetentionSeconds: number
  readonly provisioner: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly defaultEndpointSettings: EndpointSettings
  readonly createdAt: number
  readonly updatedAt: number
  readonly deletedAt?: number | undefined
  readonly branch: { readonly id: string; readonly name: string }
  readonly endpoint: EndpointRecord
  readonly role: RoleRecord
  readonly database: { readonly id: number; readonly name: string }
  /** What the database and its role are really called on the server that all projects share. */
  readonly physicalName: string
  readonly operations: readonly OperationRecord[]
  /** Set over /_emulator/: the quota that is used up. Its connections are refused. */
  readonly exhaustedQuota?: SuspendingQuota | undefined
  /** Set over /_emulator/: lists name it only among those whose details could not be fetched in time. */
  readonly unavailable?: boolean | undefined
}

/** The quotas whose end suspends the compute. */
export const SUSPENDING_QUOTAS = [
  'active_time_seconds',
  'compute_time_seconds',
  'written_data_bytes',
  'data_transfer_bytes',
] as const
export type SuspendingQuota = (typeof SUSPENDING_QUOTAS)[number]

export interface EndpointRecord {
  readonly id: string
  readonly name?: string | undefined
  readonly settings: EndpointSettings
  readonly disabled: boolean
  readonly updatedAt: number
  readonly startedAt: number
  readonly lastActiveAt: number
  /** Set by an explicit suspension; the timeout's is computed from lastActiveAt. */
  readonly suspendedAt?: number | undefined
}

export interface RoleRecord {
  readonly name: string
  readonly password: string
  /** When `password` becomes the one that the server knows; until then the previous one is. */
  readonly pendingSince?: number | undefined
  readonly updatedAt: number
}

export type ComputeState = 'init' | 'active' | 'idle'

export const DEFAULT_SUSPEND_SECONDS = 300
/** Neon keeps a project's operations for months; this is enough to find the one that was waited for. */
const KEPT_OPERATIONS = 50
/** While one of these runs there is no compute to connect to. */
const COMPUTE_STARTS: ReadonlySet<OperationAction> = new Set([
  'create_timeline',
  'create_branch',
  'start_compute',
  'timeline_unarchive',
])

/** Adds a chain of operations that takes `totalMs` altogether. */
export function withOperations(
  project: ProjectRecord,
  actions: readonly OperationAction[],
  totalMs: number,
  now: number,
): { project: ProjectRecord; added: OperationRecord[] } {
  const each = totalMs / Math.max(1, actions.length)
  const added = actions.map((action, index) => ({
    id: crypto.randomUUID(),
    action,
    createdAt: now,
    startsAt: now + index * each,
    finishesAt: now + (index + 1) * each,
  }))
  const operations = [...project.operations, ...added].slice(-KEPT_OPERATIONS)
  return { project: { ...project, operations }, added }
}

/** When the last operation under way ends; undefined when none is. */
export function busyUntil(project: ProjectRecord, now: number): number | undefined {
  return latestEnd(project.operations, now)
}

/** When a compute that is being made or started can be connected to; undefined when nothing stands in the way. */
export function startingUntil(project: ProjectRecord, now: number): number | undefined {
  return latestEnd(
    project.operations.filter(({ action }) => COMPUTE_STARTS.has(action)),
    now,
  )
}

function latestEnd(operations: readonly OperationRecord[], now: number): number | undefined {
  const ends = operations.map(({ finishesAt }) => finishesAt).filter((end) => end > now)
  return ends.length === 0 ? undefined : Math.max(...ends)
}

/** Computed when asked, so that thousands of sleeping projects need no timer each. */
export function computeState(project: ProjectRecord, connections: number, now: number): ComputeState {
  if (startingUntil(project, now) !== undefined) return isBeingCreated(project, now) ? 'init' : 'idle'
  if (connections > 0) return 'active'
  return suspendedSince(project, now) === undefined ? 'active' : 'idle'
}

function isBeingCreated(project: ProjectRecord, now: number): boolean {
  return project.operations.some(
    ({ createdAt, finishesAt }) => createdAt === project.createdAt && finishesAt > now,
  )
}

/** Since when a compute without connections sleeps, or undefined when it is awake. */
export function suspendedSince(project: ProjectRecord, now: number): number | undefined {
  const { suspendedAt, lastActiveAt, settings } = project.endpoint
  if (suspendedAt !== undefined) return suspendedAt
  if (settings.suspend_timeout_seconds === -1) return undefined
  const timeoutSeconds = settings.suspend_timeout_seconds || DEFAULT_SUSPEND_SECONDS
  const due = lastActiveAt + timeoutSeconds * 1000
  return now >= due ? due : undefined
}

/** The project with its compute coming up, ready after `durationMs`. */
export function withStartedCompute(
  project: ProjectRecord,
  durationMs: number,
  now: number,
): { project: ProjectRecord; added: OperationRecord[] } {
  const awake = withEndpoint(project, {
    startedAt: now + durationMs,
    lastActiveAt: now + durationMs,
    suspendedAt: undefined,
  })
  return withOperations(awake, ['start_compute'], durationMs, now)
}

export function withEndpoint(project: ProjectRecord, changes: Partial<EndpointRecord>): ProjectRecord {
  return { ...project, endpoint: { ...project.endpoint, ...changes } }
}

/** Largest number of connections of a compute, of which Neon keeps seven for itself. */
export function connectionLimit(settings: EndpointSettings): number {
  const { autoscaling_limit_min_cu: min, autoscaling_limit_max_cu: max } = settings
  const computeUnits = Math.min(max, min * 8)
  return Math.min(4000, Math.floor(computeUnits * 450.6)) - 7
}

/** Waits until the clock shows `time`. With an injected clock it looks at it every few milliseconds. */
export function waitUntil(clock: Clock, time: number): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      const remaining = time - clock()
      if (remaining <= 0) return resolve()
      setTimeout(look, clock === Date.now ? remaining : Math.min(remaining, 5)).unref()
    }
    look()
  })
}
