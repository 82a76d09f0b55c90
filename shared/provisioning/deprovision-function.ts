import { z } from 'zod'
import type { Database } from '../database/client.ts'
import { Problem } from '../http/problem.ts'
import { jsonReply } from '../http/serve.ts'
import { valueAsCaller } from './as-caller.ts'
import type { JobFunction } from './job-function.ts'
import { deprovisionSteps } from './steps/index.ts'

const body = z.strictObject({
  organizationId: z.uuid(),
  /** The organization's slug, as a sign that it is meant. */
  confirm: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, 'is not a slug')
    .optional(),
  /** Only tell what would be deleted, or which undo would be tried again. */
  dryRun: z.boolean().default(false),
  /** Reply when the job has ended instead of at once. With a grace period that is never soon. */
  wait: z.boolean().default(false),
})

type Body = z.infer<typeof body>

/**
 * Deletes an organization and what it has outside, in reverse order: {organizationId, confirm, dryRun?, wait?}. For the
 * backend alone. For an organization that is deleted already, it tries its unfinished undo again. Its workers also undo what
 * cancelled provisionings had made.
 */
export const deprovisionFunction: JobFunction<Body> = {
  kinds: ['deprovision', 'undo'],
  steps: deprovisionSteps,
  body,
  async request(sql, caller, { organizationId, confirm, dryRun, wait }) {
    if (caller.type !== 'service')
      throw new Problem('forbidden', 'Deleting a tenant is for the project’s own backend, with a secret key.')
    const plan = await wouldDelete(sql, organizationId)
    if (plan && dryRun) return jsonReply({ dryRun: true, organizationId, wouldDelete: plan })
    if (dryRun)
      return jsonReply({ dryRun: true, organizationId, wouldRetry: await undoOf(sql, organizationId) })
    if (!plan) return { jobId: await retryUndo(sql, organizationId), wait }
    const deletion = sql`provisioning.delete_organization(${organizationId}, ${confirm ?? null})`
    return { jobId: await valueAsCaller<string>(sql, caller, deletion), wait }
  },
}

interface Plan {
  readonly organization: string
  readonly neonProject: string | null
  readonly neonProjectDeletedAfterHours: number
  readonly stripeCustomer: string | null
  readonly stripeCustomerIs: 'keep' | 'delete'
}

async function wouldDelete(sql: Database, organizationId: string): Promise<Plan | undefined> {
  const [plan] = await sql<Plan[]>`
    select o.slug as organization, d.neon_project_id as "neonProject",
      s.neon_deletion_grace_hours as "neonProjectDeletedAfterHours", o.stripe_customer_id as "stripeCustomer",
      s.stripe_customer_on_deprovision as "stripeCustomerIs"
    from public.organizations o left join public.organization_databases d on d.organization_id = o.id, provisioning.settings s
    where o.id = ${organizationId}`
  return plan
}

/** How the undo of an organization that is deleted already stands. @throws Problem when there is none */
async function undoOf(sql: Database, organizationId: string): Promise<{ jobId: string; status: string }> {
  const [job] = await sql<{ jobId: string; status: string }[]>`
    select id as "jobId", status from public.provisioning_jobs
    where organization_id = ${organizationId} and kind = 'deprovision' order by created_at desc limit 1`
  if (!job) throw new Problem('organization_not_found', `There is no organization ${organizationId}.`)
  return job
}

async function retryUndo(sql: Database, organizationId: string): Promise<string> {
  const { jobId } = await undoOf(sql, organizationId)
  await sql`select provisioning.retry_job(${jobId})`
  return jobId
}
