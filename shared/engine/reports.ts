import { type Database, publicSchema } from '../kernel/database/client.ts'
import type { JobStatus } from './jobs.ts'

export interface JobReport {
  readonly jobId: string
  readonly organizationId: string
  readonly status: JobStatus
  readonly nextAttemptAt: string | null
  readonly error: { readonly code: string; readonly message: string } | null
  /** Null when the organization was deleted. */
  readonly provisioningStatus: Readonly<Record<string, string>> | null
  /** What the organization has outside, or may have, the oldest first. */
  readonly resources: readonly {
    readonly service: string
    readonly kind: string
    readonly state: 'planned' | 'active' | 'kept'
    readonly externalId: string | null
    readonly url: string | null
    /** What belongs to it and has an id of its own, such as workflows. */
    readonly parts: readonly { readonly id: string; readonly name: string; readonly url: string | null }[]
  }[]
  readonly steps: readonly {
    readonly step: string
    readonly service: string
    readonly status: string
    readonly attempts: number
    readonly error: { readonly code: string; readonly message: string } | null
  }[]
}

/** How jobs and their steps stand, in this order; undefined for one that is not there. */
export async function reportJobs(
  sql: Database,
  jobIds: readonly string[],
): Promise<readonly (JobReport | undefined)[]> {
  const rows = await sql<JobReport[]>`
    select j.id as "jobId", j.organization_id as "organizationId", j.status,
      case when j.status = 'queued' then to_json(j.next_attempt_at) #>> '{}' end as "nextAttemptAt", j.last_error as error,
      o.provisioning_status as "provisioningStatus",
      (select coalesce(jsonb_agg(jsonb_build_object('service', t.service, 'kind', t.kind, 'state', t.state,
        'externalId', t.external_id, 'url', t.url, 'parts', coalesce(t.details -> 'parts', '[]')) order by t.created_at, t.kind), '[]')
       from ${publicSchema}.tenant_resources t where t.organization_id = j.organization_id and t.state <> 'removed') as resources,
      (select jsonb_agg(jsonb_build_object('step', s.step, 'service', s.service, 'status', s.status,
        'attempts', s.attempts, 'error', s.error) order by s.position)
       from ${publicSchema}.provisioning_steps s where s.job_id = j.id) as steps
    from ${publicSchema}.provisioning_jobs j left join ${publicSchema}.organizations o on o.id = j.organization_id
    where j.id = any (${[...new Set(jobIds)]}::uuid[])`
  const byId = new Map(rows.map((row) => [row.jobId, row]))
  return jobIds.map((id) => byId.get(id))
}

export function hasEnded({ status }: JobReport): boolean {
  return status !== 'queued' && status !== 'running'
}
