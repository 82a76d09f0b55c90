import type { StepOutcome } from '../../engine/step.ts'
import { projectSecrets } from '../project-secrets.ts'
import { recordedProject, type SupabaseStepContext } from './step.ts'

/** Everybody who uses the project's secret key has been told of the new one, so that the time of grace of the former begins. */
export async function limitFormerKey({ sql, job }: SupabaseStepContext): Promise<StepOutcome> {
  return {
    type: 'succeeded',
    output: {},
    record: sql`provisioning.limit_former_keys(${job.id}, ${job.leaseToken})`,
  }
}

/** Deletes the secret keys whose time of grace is over. The key that Vault has is never deleted, whatever the rows say. */
export async function endFormerKeys(context: SupabaseStepContext): Promise<StepOutcome> {
  const { sql, job, tenant, supabase, assertLease } = context
  const ref = recordedProject(tenant)?.externalId
  const due = await sql<{ id: string }[]>`
    select key_id as id from provisioning.former_project_keys
    where organization_id = ${job.organizationId} and ends_at <= now() order by key_id`
  const ids = due.map(({ id }) => id)
  if (ref && ids.length > 0) {
    const keys = await supabase.apiKeys(ref)
    if (!keys.ok) return { type: 'failed', failure: keys.failure }
    const { secretKey } = await projectSecrets(sql, job.organizationId)
    for (const { id, api_key: value } of keys.value) {
      if (!id || !ids.includes(id) || value === secretKey) continue
      const deleted = await supabase.deleteKey(ref, id, assertLease)
      if (!deleted.ok) return { type: 'failed', failure: deleted.failure }
    }
  }
  return {
    type: 'succeeded',
    output: { ended: ids.length },
    record: sql`provisioning.record_ended_keys(${job.id}, ${job.leaseToken}, ${ids})`,
  }
}
