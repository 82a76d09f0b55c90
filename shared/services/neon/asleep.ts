import { type Result, success } from '../../kernel/result.ts'
import type { NeonStepContext } from './step.ts'

/**
 * Whether the tenant's compute sleeps, so that a connection would wake it, or is gone. What nobody waits for is left until another
 * time then.
 */
export async function isAsleep({ neon, tenant }: NeonStepContext): Promise<Result<boolean>> {
  if (!tenant.neonProjectId) return success(true)
  const compute = await neon.compute(tenant.neonProjectId)
  return compute.ok ? success(compute.value.state !== 'active') : compute
}
