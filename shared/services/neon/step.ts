import type { StepContext, StepOutcome } from '../../engine/step.ts'
import type { NeonProvider } from './client.ts'
import type { NeonTenant } from './tenant.ts'

export type NeonStepContext = StepContext<NeonTenant> & { readonly neon: NeonProvider }

/** A step that needs the organization's rows. */
export type NeonStep = (context: NeonStepContext) => Promise<StepOutcome>
