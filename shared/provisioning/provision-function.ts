import { z } from 'zod'
import type { Database } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'
import { jobIdAsCaller } from './as-caller.ts'
import type { JobFunction } from './job-function.ts'
import { provisionSteps } from './steps/index.ts'

/** Sizes, regions and their aliases are words; which ones there are is the database's to say. */
const choice = z.string().regex(/^[\w-]{1,50}$/, 'is not a word of letters, digits and hyphens')

/** Absent services mean all that are not ready. */
const body = z.strictObject({
  organizationId: z.uuid(),
  services: z
    .array(z.enum(['stripe', 'neon']))
    .min(1)
    .optional(),
  databaseSize: choice.optional(),
  dataRegion: choice.optional(),
  /** Reply when the job has ended instead of at once. */
  wait: z.boolean().default(false),
})

type Body = z.infer<typeof body>

/**
 * Makes an organization's tenant ready, or tries again: {organizationId, services?, databaseSize?, dataRegion?, wait?}.
 * For the backend, and for owners and admins of the organization; the audit log names who asked.
 */
export const provisionFunction: JobFunction<Body> = {
  kinds: ['provision'],
  steps: provisionSteps,
  body,
  async request(sql, caller, { organizationId, services, databaseSize, dataRegion, wait }) {
    await authorize(sql, caller, organizationId)
    const userId = caller.type === 'user' ? caller.userId : null
    const request = sql`(
      select job_id from provisioning.request_provisioning(${organizationId},
        ${services ?? null}, ${databaseSize ?? null}, ${dataRegion ?? null}, ${userId}))`
    return { jobId: await jobIdAsCaller(sql, caller, request), wait }
  },
}

async function authorize(sql: Database, caller: Caller, organizationId: string): Promise<void> {
  const userId = caller.type === 'user' ? caller.userId : null
  const [row] = await sql<{ exists: boolean; role: string | null }[]>`
    select exists (select from public.organizations where id = ${organizationId}) as exists,
      provisioning.role_in(${organizationId}, ${userId}) as role`
  if (!row?.exists) throw new Problem('organization_not_found', `There is no organization ${organizationId}.`)
  if (caller.type === 'user' && row.role !== 'owner' && row.role !== 'admin')
    throw new Problem('forbidden', 'Only owners and admins of the organization may do this.')
}
