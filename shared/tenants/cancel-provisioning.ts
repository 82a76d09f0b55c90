import { valueAsCaller } from '../kernel/as-caller.ts'
import type { Caller } from '../kernel/caller.ts'
import { type Database, publicSchema } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { jsonReply } from '../kernel/http/serve.ts'
import { plannedRemovals } from './planned-removals.ts'

export interface Cancellation {
  readonly organizationId: string
  readonly jobId: string
  readonly status: 'cancelled'
  /** The job that removes what was made; null when there is nothing to remove. */
  readonly undoJobId: string | null
}

/** Answers {organizationId, jobId, status, undoJobId}, or for a dry run what would be stopped and removed. */
export async function cancelProvisioning(
  sql: Database,
  caller: Caller,
  organizationId: string,
  dryRun: boolean,
): Promise<Response> {
  if (dryRun) return jsonReply({ dryRun: true, organizationId, ...(await wouldCancel(sql, organizationId)) })
  return jsonReply(await cancel(sql, caller, organizationId))
}

/** Stops the provisioning of an organization, see provisioning.cancel_provisioning. @throws Problem */
export async function cancel(sql: Database, caller: Caller, organizationId: string): Promise<Cancellation> {
  const { job_id: jobId, undo_job_id: undoJobId } = await valueAsCaller<{
    job_id: string
    undo_job_id: string | null
  }>(sql, caller, sql`(select to_jsonb(c) from provisioning.cancel_provisioning(${organizationId}) c)`)
  return { organizationId, jobId, status: 'cancelled', undoJobId }
}

async function wouldCancel(sql: Database, organizationId: string) {
  const [found] = await sql<{ status: string; wasReady: boolean }[]>`
    select j.status, o.provisioned_at is not null as "wasReady" from ${publicSchema}.organizations o
    join lateral (
      select status from ${publicSchema}.provisioning_jobs
      where organization_id = o.id and kind = provisioning.kind_for('provision')
      order by created_at desc limit 1) j on true
    where o.id = ${organizationId}`
  const open =
    found && (['queued', 'running'].includes(found.status) || (found.status === 'failed' && !found.wasReady))
  if (!open) throw new Problem('nothing_to_cancel', 'No provisioning of the organization is under way.')
  return {
    wouldCancel: true,
    // A tenant that was ready once is in use.
    wouldRemove: found.wasReady ? [] : await plannedRemovals(sql, organizationId, false),
  }
}
