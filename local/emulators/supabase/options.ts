import type { Clock } from '../clock.ts'

/** Milliseconds that things take, on top of the time of the real database underneath. */
export interface SupabaseTimings {
  /** `POST /v1/projects` itself. */
  readonly createMs: number
  /** From COMING_UP to ACTIVE_HEALTHY. null or Infinity: it hangs until it is told to go on. */
  readonly comingUpMs: number
  /** From then until every service is healthy. */
  readonly servicesMs: number
  readonly pauseMs: number
  readonly restoreMs: number
  /** Each GET. */
  readonly readMs: number
}

export interface SupabaseLimits {
  /** Of each project, and of what belongs to none. Infinity switches it off. */
  readonly requestsPerMinute: number
  /** 1: the organization is on the free plan, which has no choice of sizes, two active projects, and the right to pause. */
  readonly isFree: number
  readonly maxFreeProjects: number
  /** 1: an invoice is open, and nothing is created. */
  readonly isOverdue: number
  /** 0: the token may read only. */
  readonly mayWrite: number
  /** 0: the token may list keys and not reveal them. */
  readonly mayReveal: number
  /** 1: new projects have only the keys anon and service_role. */
  readonly hasLegacyKeysOnly: number
}

export interface SupabaseEmulatorOptions {
  /** Superuser's URL of the Postgres server that holds the projects' databases; which database is no matter. */
  readonly adminUrl: string
  /** 0 or none takes a free one. */
  readonly apiPort?: number
  readonly postgresPort?: number
  /** What projects call their direct host, where that is to be one that cannot be reached. */
  readonly directHost?: string
  /** Of a pooler in front of the same server. The pooled host, another one then, leads through it. */
  readonly poolerPort?: number
  readonly accessToken: string
  /** The only organization that there is. */
  readonly organizationSlug?: string
  /** Where projects survive a restart; without it they live as long as the emulator. */
  readonly stateFile?: string
  readonly timings?: Partial<SupabaseTimings>
  readonly limits?: Partial<SupabaseLimits>
  readonly clock?: Clock
  /** Of the faults' dice. */
  readonly seed?: number
  /** Check every reply against the vendor's description and answer 500 when it breaks it. */
  readonly validateReplies?: boolean
}

export const EMULATED_ORGANIZATION = 'localemulator'

export const DEFAULT_TIMINGS: SupabaseTimings = {
  ...{ createMs: 0, comingUpMs: 0, servicesMs: 0 },
  ...{ pauseMs: 0, restoreMs: 0, readMs: 0 },
}

/** Of a project at the vendor, where it takes one to three minutes. */
const VENDOR_TIMINGS: SupabaseTimings = {
  ...{ createMs: 1500, comingUpMs: 75_000, servicesMs: 15_000 },
  ...{ pauseMs: 60_000, restoreMs: 120_000, readMs: 200 },
}

/** The vendor's times with a clock that runs so many times as fast. */
export function timingsAt(factor: number): SupabaseTimings {
  const scaled = Object.entries(VENDOR_TIMINGS).map(([name, milliseconds]) => [name, milliseconds / factor])
  return { ...VENDOR_TIMINGS, ...Object.fromEntries(scaled) }
}

export const DEFAULT_LIMITS: SupabaseLimits = {
  requestsPerMinute: 120,
  isFree: 0,
  maxFreeProjects: 2,
  isOverdue: 0,
  mayWrite: 1,
  mayReveal: 1,
  hasLegacyKeysOnly: 0,
}
