import { z } from 'zod'
import type { Job } from '../engine/jobs.ts'

const schema = z.object({
  stripe_customer_id: z.string().optional(),
  /** What the settings said when the organization was deleted. */
  stripe_customer: z.enum(['keep', 'delete']),
  neon_project_id: z.string().optional(),
  delete_neon_project_at: z.coerce.date(),
})

/** What provisioning.enqueue_deprovisioning wrote, ids only, about an organization whose rows are gone. */
export type DeprovisionRequest = z.infer<typeof schema>

export function deprovisionRequest(job: Job): DeprovisionRequest {
  return schema.parse(job.request)
}
