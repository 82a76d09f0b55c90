import type { Database } from '../kernel/database/client.ts'
import { type Failure, failure } from '../kernel/failures.ts'
import type { Tenant } from '../kernel/tenant.ts'
import type { AssertLease } from '../services/guard.ts'
import type { NeonProvider } from '../services/neon/client.ts'
import type { StripeProvider } from '../services/stripe/client.ts'
import type { Job, SideRecord, StepOutput } from './jobs.ts'

export interface StepContext<T extends Tenant | null = Tenant> {
  readonly job: Job
  /** Null when the organization's rows are gone. */
  readonly tenant: T
  /** 1 for the first attempt. A step may have been interrupted before, so this is no proof that nothing exists. */
  readonly attempt: number
  /** What earlier attempts at this step left. */
  readonly output: StepOutput
  /** Adds to it at once: what a later attempt must know even if this one never ends. Throws LeaseLost. */
  readonly saveOutput: (output: StepOutput) => Promise<void>
  readonly sql: Database
  readonly providers: Providers
  /** Aborted when the lease is lost or the worker stops. */
  readonly signal: AbortSignal
  /** Secrets that one step learned and a later one of the same run needs; gone with the run. */
  readonly secrets: Map<'databasePassword', string>
  /** Handed to whatever creates or deletes something outside: when another worker has the job, the call is not made. */
  readonly assertLease: AssertLease
}

export interface Providers {
  readonly stripe: StripeProvider
  readonly neon: NeonProvider
}

export interface SucceededStep {
  readonly type: 'succeeded'
  readonly output: StepOutput
  readonly record?: SideRecord
}

export type StepOutcome =
  | SucceededStep
  | { readonly type: 'failed'; readonly failure: Failure; readonly output?: StepOutput }
  /** Not an attempt: what the provider was asked for is on its way. */
  | {
      readonly type: 'deferred'
      readonly seconds: number
      readonly reason: Failure
      readonly output?: StepOutput
    }

/** Makes sure that one thing exists, or is gone. Must find what an interrupted attempt did before it does anything. */
export type Step = (context: StepContext<Tenant | null>) => Promise<StepOutcome>

/** A step that needs the organization's rows. */
export type TenantStep = (context: StepContext) => Promise<StepOutcome>

export function forTenant(step: TenantStep): Step {
  return async (context) => {
    const { tenant } = context
    if (!tenant) return { type: 'failed', failure: failure('organization_gone') }
    return step({ ...context, tenant })
  }
}
