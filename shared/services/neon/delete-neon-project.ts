import type { StepContext, StepOutcome } from '../../engine/step.ts'
import { failure } from '../../kernel/failures.ts'
import { deprovisionRequest } from '../deprovision-request.ts'
import type { NeonProvider } from './client.ts'
import { projectName } from './tenant.ts'

/**
 * Deletes the organization's Neon project when its grace period is over. Looks by name too: a worker that was stopped in
 * the middle may have made a project that no row knows of. One that is gone already is fine.
 */
export async function deleteNeonProject(
  { sql, job, assertLease }: StepContext,
  neon: NeonProvider,
): Promise<StepOutcome> {
  const { delete_neon_project_at: due, neon_project_id: recorded } = deprovisionRequest(job)
  const secondsLeft = (due.getTime() - Date.now()) / 1000
  if (secondsLeft > 0)
    return { type: 'deferred', seconds: secondsLeft, reason: failure('grace_period', due.toISOString()) }

  const found = await neon.listProjects(projectName(job.organizationId))
  if (!found.ok) return { type: 'failed', failure: found.failure }
  const projectIds = [...new Set([...found.value, ...(recorded ? [recorded] : [])])]
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
