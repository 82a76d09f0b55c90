import { z } from 'zod'
import { type Database, sqlState } from '../database/client.ts'
import type { Caller } from '../http/caller.ts'
import { Problem } from '../http/problem.ts'
import type { JobStatus } from './jobs.ts'

/** What a person or a backend asks for. Absent services mean all that are not ready. */
export const provisioningRequestSchema = z.strictObject({
  organizationId: z.uuid(),
  services: z
    .array(z.enum(['stripe', 'neon']))
    .min(1)
    .optional(),
  databaseSize: z.string().min(1).max(50).optional(),
  dataRegion: z.string().min(1).max(50).optional(),
  /** Reply when the job has ended instead of at once. */
  wait: z.boolean().default(false),
})

export type ProvisioningRequest = z.infer<typeof provisioningRequestSchema>

export interface JobReport {
  readonly jobId: string
  readonly organizationId: string
  readonly status: JobStatus
  readonly nextAttemptAt: string | null
  readonly error: { readonly code: string; readonly message: string } | null
  readonly provisioningStatus: Readonly<Record<string, string>>
  readonly steps: readonly {
    readonly step: string
    readonly service: string
    readonly status: string
    readonly attempts: number
    readonly error: { readonly code: string; readonly message: string } | null
  }[]
}

/** Enqueues or retries as the caller, whom the audit log names. @throws Problem 403, 404, 409 or 422. */
export async function requestProvisioning(
  sql: Database,
  caller: Caller,
  request: ProvisioningRequest,
): Promise<string> {
  await authorize(sql, caller, request.organizationId)
  const userId = caller.type === 'user' ? caller.userId : null
  const claims =
    caller.type === 'user' ? { sub: caller.userId, role: 'authenticated' } : { role: 'service_role' }
  try {
    return await sql.begin(async (transaction) => {
      await transaction`select set_config('request.jwt.claims', ${JSON.stringify(claims)}, true)`
      const [row] = await transaction<{ jobId: string }[]>`
        select job_id as "jobId" from provisioning.request_provisioning(${request.organizationId},
          ${request.services ?? null}, ${request.databaseSize ?? null}, ${request.dataRegion ?? null}, ${userId})`
      if (!row) throw new Error('request_provisioning returned no job')
      return row.jobId
    })
  } catch (error) {
    throw asProblem(error)
  }
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

function asProblem(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  switch (sqlState(error)) {
    case 'TP404':
      return new Problem('organization_not_found', error.message)
    case 'TP409':
      return new Problem('region_is_fixed', error.message)
    case 'TP422':
      return new Problem('unknown_choice', error.message)
    default:
      return error
  }
}

export async function reportJob(sql: Database, jobId: string): Promise<JobReport> {
  const [row] = await sql<JobReport[]>`
    select j.id as "jobId", j.organization_id as "organizationId", j.status,
      case when j.status = 'queued' then to_json(j.next_attempt_at) #>> '{}' end as "nextAttemptAt", j.last_error as error,
      o.provisioning_status as "provisioningStatus",
      (select jsonb_agg(jsonb_build_object('step', s.step, 'service', s.service, 'status', s.status,
        'attempts', s.attempts, 'error', s.error) order by s.position)
       from public.provisioning_steps s where s.job_id = j.id) as steps
    from public.provisioning_jobs j join public.organizations o on o.id = j.organization_id where j.id = ${jobId}`
  if (!row) throw new Problem('organization_not_found', 'The organization was deleted in the meantime.')
  return row
}
