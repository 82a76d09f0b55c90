import type { z } from 'zod'
import type { Database } from '../kernel/database/client.ts'
import type { Variables } from '../kernel/environment.ts'
import { type Failure, failure } from '../kernel/failures.ts'
import type { Job, SideRecord, StepOutput } from './jobs.ts'

/**
 * Renews the lease on the job for which something is created or deleted; throws LeaseLost when another worker has it.
 * It is run right before the request, when its turn has come, so that no waiting lies between the two.
 */
export type AssertLease = () => Promise<void>

/** The rows that provisioning.tenant() has of an organization; `organization` is null when it was deleted. */
export type TenantFacts = Readonly<Record<string, unknown>>

export interface StepContext<Tenant = TenantFacts> {
  readonly job: Job
  readonly tenant: Tenant
  /** 1 for the first attempt. A step may have been interrupted before, so this is no proof that nothing exists. */
  readonly attempt: number
  /** What earlier attempts at this step left. */
  readonly output: StepOutput
  /** Adds to it at once: what a later attempt must know even if this one never ends. Throws LeaseLost. */
  readonly saveOutput: (output: StepOutput) => Promise<void>
  /** Writes a record at once, for what must be known before the step takes effect. Renews the lease. Throws LeaseLost. */
  readonly saveRecord: (record: SideRecord) => Promise<void>
  readonly sql: Database
  /** Aborted when the lease is lost or the worker stops. */
  readonly signal: AbortSignal
  /** Secrets that one step learned and a later one of the same run needs; gone with the run. */
  readonly secrets: Map<string, string>
  /**
   * Writes down, right before the request that makes it, that something outside may exist from now on, under which name it
   * is looked for, and what else is needed to find it. Renews the lease as assertLease does. Throws LeaseLost.
   */
  readonly planResource: (kind: string, name: string, details?: StepOutput) => Promise<void>
  /** Takes the last plan back: the request was refused and has made nothing for certain. In the details, null removes a key. */
  readonly unplanResource: (kind: string, details?: StepOutput) => Promise<void>
  /** Handed to whatever creates or deletes something outside: when another worker has the job, the call is not made. */
  readonly assertLease: AssertLease
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
export type Step = (context: StepContext) => Promise<StepOutcome>

/** A service, as far as the engine knows it: it connects to its provider, and then has steps by name. */
export interface StepSource {
  connect(options: { readonly variables: Variables; readonly sql: Database }): {
    readonly steps: Readonly<Record<string, Step>>
  }
}

/** A step that needs the organization's rows, and of these what `facts` makes of them. */
export function forTenant<Tenant>(
  facts: z.ZodType<Tenant>,
  step: (context: StepContext<Tenant>) => Promise<StepOutcome>,
): Step {
  return async (context) => {
    if (!context.tenant.organization) return { type: 'failed', failure: failure('organization_gone') }
    return step({ ...context, tenant: facts.parse(context.tenant) })
  }
}
