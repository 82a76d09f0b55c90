import type { StepContext, StepOutcome } from '../../engine/step.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { duringGrace, resourceOf, type TenantResource } from '../resources.ts'
import type { VercelProject, VercelProvider } from './client.ts'
import { failure } from './failures.ts'
import { VERCEL_PROJECT } from './step.ts'

/**
 * Deletes the organization's project with its deployments when its grace period is over. It must still have the name that it was
 * made with. One that is gone already is fine, and without a record there is nothing.
 */
export async function deleteVercelProject(
  { sql, job, tenant, assertLease }: StepContext,
  vercel: VercelProvider,
): Promise<StepOutcome> {
  const recorded = resourceOf(tenant, VERCEL_PROJECT)
  if (!recorded) return { type: 'succeeded', output: { project: 'none' } }
  const putOff = duringGrace(recorded)
  if (putOff) return putOff
  const found = await findRecorded(vercel, recorded, resourceOf(tenant, 'github_repository')?.externalId)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value) {
    const deleted = await vercel.deleteProject(found.value.id, assertLease)
    if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
  }
  return {
    type: 'succeeded',
    output: found.value ? { resourceId: found.value.id, project: 'deleted' } : { project: 'none' },
    record: sql`provisioning.forget_resource(${job.organizationId}, ${VERCEL_PROJECT})`,
  }
}

/** @param repositoryId of the organization's repository: what is linked to another one is not ours */
async function findRecorded(
  vercel: VercelProvider,
  { externalId, name }: TenantResource,
  repositoryId: string | null | undefined,
): Promise<Result<VercelProject | undefined>> {
  if (!externalId) {
    const found = await vercel.findProject(name)
    if (!found.ok || !found.value) return found
    return success(found.value.repositoryId === repositoryId ? found.value : undefined)
  }
  const known = await vercel.projectById(externalId)
  if (!known.ok || !known.value) return known
  return known.value.name === name
    ? known
    : failed(failure('vercel_project_renamed', `${known.value.name} in the place of ${name}`))
}
