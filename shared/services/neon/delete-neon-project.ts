import type { StepContext, StepOutcome } from '../../engine/step.ts'
import { duringGrace, resourceOf } from '../resources.ts'
import type { NeonProvider } from './client.ts'
import { NEON_PROJECT, projectName } from './tenant.ts'

/**
 * Deletes the organization's Neon project when its grace period is over, and whatever else has its name. One that is gone
 * already is fine.
 */
export async function deleteNeonProject(
  { sql, job, tenant, assertLease }: StepContext,
  neon: NeonProvider,
): Promise<StepOutcome> {
  const recorded = resourceOf(tenant, NEON_PROJECT)
  const putOff = duringGrace(recorded)
  if (putOff) return putOff
  const found = await neon.listProjects(projectName(job.organizationId))
  if (!found.ok) return { type: 'failed', failure: found.failure }
  const projectIds = [...new Set([...found.value, ...(recorded?.externalId ? [recorded.externalId] : [])])]
  for (const projectId of projectIds) {
    const deleted = await neon.deleteProject(projectId, assertLease)
    if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
  }
  return {
    type: 'succeeded',
    output: {
      deleted: projectIds.length,
      ...(projectIds.length > 0 ? { resourceId: projectIds.join(', ') } : {}),
    },
    record: sql`provisioning.forget_neon_project(${job.id}, ${job.leaseToken})`,
  }
}
