import type { AssertLease, StepContext, StepOutcome } from '../../engine/step.ts'
import { type Result, success } from '../../kernel/result.ts'
import { duringGrace, resourceOf } from '../resources.ts'
import type { N8nClient } from './client.ts'
import { clientName, N8N_WORKFLOWS, tagName } from './names.ts'

/** What was removed. */
interface Removed {
  readonly workflows: number
  readonly credentials: number
  readonly tags: number
}

/**
 * Deactivates and deletes the client's workflows, their credentials and the tag, when the grace period is over. What is gone
 * already is fine, and without a record there is nothing.
 */
export async function deleteN8nWorkflows(
  { sql, job, tenant, assertLease }: StepContext,
  n8n: N8nClient,
): Promise<StepOutcome> {
  const recorded = resourceOf(tenant, N8N_WORKFLOWS)
  if (!recorded) return { type: 'succeeded', output: { deleted: 0 } }
  const putOff = duringGrace(recorded)
  if (putOff) return putOff
  const removed = await removeClient(n8n, job.organizationId, assertLease)
  if (!removed.ok) return { type: 'failed', failure: removed.failure }
  return {
    type: 'succeeded',
    output: { deleted: removed.value.workflows, credentials: removed.value.credentials },
    record: sql`provisioning.forget_resource(${job.organizationId}, ${N8N_WORKFLOWS})`,
  }
}

/**
 * Removes everything at n8n that has the client's name or its tag, the tag last: as long as it is there, others see that
 * something may be left. @param before runs right before each request that changes something
 */
export async function removeClient(
  n8n: N8nClient,
  organizationId: string,
  before: AssertLease,
): Promise<Result<Removed>> {
  const beginning = `${clientName(organizationId)} `
  const workflows = await n8n.clientWorkflows(beginning, tagName(organizationId))
  if (!workflows.ok) return workflows
  for (const { id, active } of workflows.value) {
    const stopped = active ? await n8n.deactivateWorkflow(id, before) : success(undefined)
    const deleted = stopped.ok ? await n8n.deleteWorkflow(id, before) : stopped
    if (!deleted.ok) return deleted
  }
  const credentials = await n8n.clientCredentials(beginning)
  if (!credentials.ok) return credentials
  for (const { id } of credentials.value) {
    const deleted = await n8n.deleteCredential(id, before)
    if (!deleted.ok) return deleted
  }
  const tag = await n8n.findTag(tagName(organizationId))
  if (!tag.ok) return tag
  const deleted = tag.value ? await n8n.deleteTag(tag.value.id, before) : success(undefined)
  if (!deleted.ok) return deleted
  return success({
    workflows: workflows.value.length,
    credentials: credentials.value.length,
    tags: tag.value ? 1 : 0,
  })
}
