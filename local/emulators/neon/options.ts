import type { Clock } from '../clock.ts'

/** Milliseconds that things take, on top of the time of the real database underneath. */
export interface NeonTimings {
  /** `POST /projects` itself. About 500 to 2000 at Neon. */
  readonly createMs: number
  /** All operations of one change together; until then the project is busy (423). */
  readonly operationMs: number
  /** From a sleeping compute to one that accepts connections. About 500 at Neon, more for the first time. */
  readonly wakeMs: number
  /** Each GET. */
  readonly readMs: number
}

export interface NeonLimits {
  readonly maxProjects: number
  /** 1: the plan lets its customers set the suspend timeout. 0: every explicit one is refused, the default too. */
  readonly suspendTimeoutIsFree: number
  /** The longest history retention that the plan has. */
  readonly maxHistorySeconds: number
  /** The largest compute that the plan has. */
  readonly maxComputeUnits: number
  /** Of one project, the first one included. */
  readonly maxBranches: number
  /** Whole account. Infinity switches it off. */
  readonly requestsPerMinute: number
  /** Infinity switches it off. */
  readonly requestsPerSecondPerRoute: number
  /** How long a deleted project's database stays on disk. 7 days at Neon; 0 drops it with the deletion. */
  readonly deletedRetentionMs: number
}

export interface NeonEmulatorOptions {
  /** Superuser's URL of the Postgres server that holds the tenants' databases; which database is no matter. */
  readonly adminUrl: string
  /** 0 or none takes a free one. */
  readonly apiPort?: number
  readonly postgresPort?: number
  /** Of a pooler in front of the same server. The pooled host, another one then, leads through it. */
  readonly poolerPort?: number
  readonly apiKey: string
  /** Where projects survive a restart; without it they live as long as the emulator. */
  readonly stateFile?: string
  readonly timings?: Partial<NeonTimings>
  readonly limits?: Partial<NeonLimits>
  readonly clock?: Clock
  /** Of the faults' dice. */
  readonly seed?: number
  /** Check every reply against Neon's OpenAPI file and answer 500 when it breaks it. */
  readonly validateReplies?: boolean
}

export const DEFAULT_TIMINGS: NeonTimings = { createMs: 0, operationMs: 0, wakeMs: 0, readMs: 0 }

/** What Neon's plans allow; `setLimits` takes one. An account without a word about it is on the plan scale. */
export const NEON_PLANS = {
  free: { suspendTimeoutIsFree: 0, maxHistorySeconds: 21_600, maxComputeUnits: 2, maxBranches: 10 },
  launch: { suspendTimeoutIsFree: 0, maxHistorySeconds: 604_800, maxComputeUnits: 16, maxBranches: 5_000 },
  scale: { suspendTimeoutIsFree: 1, maxHistorySeconds: 2_592_000, maxComputeUnits: 56, maxBranches: 5_000 },
} as const satisfies Record<string, Partial<NeonLimits>>

export const DEFAULT_LIMITS: NeonLimits = {
  maxProjects: 100_000,
  ...NEON_PLANS.scale,
  requestsPerMinute: 700,
  requestsPerSecondPerRoute: 40,
  deletedRetentionMs: 7 * 24 * 60 * 60 * 1000,
}
