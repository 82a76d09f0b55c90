import { z } from 'zod'
import type { JobFunction } from '../engine/job-function.ts'
import { valueAsCaller } from '../kernel/as-caller.ts'
import { type Database, publicSchema } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { jsonReply } from '../kernel/http/serve.ts'
import { type PlannedRemoval, plannedRemovals } from './planned-removals.ts'

const body = z.strictObject({
  organizationId: z.guid().toLowerCase(),
  /** The organization's slug, as a sign that it is meant. */
  confirm: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, 'is not a slug')
    .optional(),
  /** Only tell what would be deleted, and which removal would be tried again. */
  dryRun: z.boolean().default(false),
  /** Reply when the job has ended instead of at once. With a grace period that is never soon. */
  wait: z.boolean().default(false),
})

type Body = z.infer<typeof body>

/**
 * Deletes an organization and what it has outside, in reverse order: {organizationId, confirm, dryRun?, wait?}. For the
 * backend alone. What a removal could not remove it tries again: that of an organization that is deleted already, and,
 * without `confirm`, the failed undo of a cancelled provisioning. Its workers do the undos as well.
 */
export const deprovisionFunction: JobFunction<Body> = {
  worker: 'removal',
  body,
  async request(sql, caller, { organizationId, confirm, dryRun }) {
    if (caller.type !== 'service')
      throw new Problem('forbidden', 'Deleting a tenant is for the project’s own backend, with a secret key.')
    const [plan, removal] = [
      await wouldDelete(sql, organizationId),
      await retryableRemoval(sql, organizationId),
    ]
    if (!plan && !removal)
      throw new Problem('organization_not_found', `There is no organization ${organizationId}.`)
    if (dryRun) return jsonReply({ dryRun, organizationId, wouldDelete: plan, wouldRetry: removal })
    const retry = removal !== undefined && (!plan || confirm === undefined)
    const change = retry
      ? sql`provisioning.retry_removal(${organizationId})`
      : sql`provisioning.delete_organization(${organizationId}, ${confirm ?? null})`
    return { jobId: await valueAsCaller<string>(sql, caller, change) }
  },
}

interface Plan {
  /** The slug. */
  readonly organization: string
  readonly resources: readonly PlannedRemoval[]
}

async function wouldDelete(sql: Database, organizationId: string): Promise<Plan | undefined> {
  const [row] = await sql<{ slug: string }[]>`
    select slug from ${publicSchema}.organizations where id = ${organizationId}`
  if (!row) return undefined
  return { organization: row.slug, resources: await plannedRemovals(sql, organizationId, true) }
}

interface Removal {
  readonly jobId: string
  readonly kind: string
  readonly status: string
}

async function retryableRemoval(sql: Database, organizationId: string): Promise<Removal | undefined> {
  const [removal] = await sql<Removal[]>`
    select id as "jobId", kind, status from provisioning.retryable_removal(${organizationId}) where id is not null`
  return removal
}
