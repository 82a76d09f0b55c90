import type { StepContext, StepOutcome } from '../../engine/step.ts'
import type { HostedDatabase } from './host.ts'
import type { DatabaseTenant } from './tenant.ts'

export type DatabaseStepContext = StepContext<DatabaseTenant> & { readonly hosted: HostedDatabase }

/** A step that works inside a tenant's database, wherever that is. */
export type DatabaseStep = (context: DatabaseStepContext) => Promise<StepOutcome>
