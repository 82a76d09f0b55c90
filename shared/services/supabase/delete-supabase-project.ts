import type { StepOutcome } from '../../engine/step.ts'
import { duringGrace } from '../resources.ts'
import { failure } from './failures.ts'
import { projectName, readWishes, recordedProject, type SupabaseStepContext } from './step.ts'

/**
 * Deletes the organization's project or, by setting, pauses it, when its grace period is over; and whatever else has its name. Only a
 * project with exactly that name is touched. One that is gone already is fine.
 */
export async function deleteSupabaseProject(context: SupabaseStepContext): Promise<StepOutcome> {
  const { sql, job, tenant, supabase, assertLease } = context
  const recorded = recordedProject(tenant)
  if (!recorded || recorded.state === 'kept')
    return { type: 'succeeded', output: { project: recorded ? 'kept' : 'none' } }
  const putOff = duringGrace(recorded)
  if (putOff) return putOff
  const name = projectName(job.organizationId)
  const found = await supabase.projectsNamed(name)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  const refs = [...new Set([...(recorded.externalId ? [recorded.externalId] : []), ...found.value])]
  const { onRemoval, lookSeconds } = await readWishes(sql, job.organizationId)
  const isPaused = onRemoval === 'pause' && refs.length > 0
  for (const ref of refs) {
    if (!isPaused) {
      const deleted = await supabase.deleteProject(ref, name, assertLease)
      if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
      continue
    }
    const paused = await supabase.pauseProject(ref, name, assertLease)
    if (!paused.ok) return { type: 'failed', failure: paused.failure }
    if (!paused.value)
      return { type: 'deferred', seconds: lookSeconds, reason: failure('supabase_project_pausing', ref) }
  }
  return {
    type: 'succeeded',
    output: {
      project: isPaused ? 'paused' : refs.length > 0 ? 'deleted' : 'none',
      ...(refs.length > 0 ? { resourceId: refs.join(', ') } : {}),
    },
    record: sql`provisioning.forget_supabase_project(${job.id}, ${job.leaseToken}, ${isPaused})`,
  }
}
