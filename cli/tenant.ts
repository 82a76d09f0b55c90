import { z } from 'zod'

/** What the screens need of provisioning.describe_tenant; the rest of the document is kept for --json. */

const text = z.string().nullish()

export const checkSchema = z.looseObject({
  check: z.string(),
  status: z.enum(['ok', 'warning', 'waiting', 'failed', 'skipped']),
  ok: z.boolean(),
  found: z.string().nullable(),
  fix: text,
  command: text,
  sql: text,
})

export const stepSchema = z.looseObject({
  step: z.string(),
  service: z.string(),
  status: z.string(),
  attempts: z.number(),
  next_attempt_at: text,
  error: z.looseObject({ code: text, message: text }).nullish(),
  output: z.record(z.string(), z.unknown()),
  started_at: text,
  finished_at: text,
})

export const jobSchema = z.looseObject({
  id: z.string(),
  kind: z.string(),
  status: z.string(),
  attempts: z.number(),
  next_attempt_at: z.string(),
  last_error: z.looseObject({ code: text, message: text }).nullish(),
  request: z.record(z.string(), z.unknown()),
  created_at: z.string(),
  finished_at: text,
  steps: z.array(stepSchema),
})

export const eventSchema = z.looseObject({
  id: z.string(),
  event_type: z.string(),
  resource_type: z.string(),
  resource_id: text,
  status: z.string(),
  error_message: text,
  metadata: z.record(z.string(), z.unknown()),
  started_at: z.string(),
  completed_at: text,
})

export const alertSchema = z.looseObject({
  kind: z.string(),
  severity: z.string(),
  message: z.string(),
  opened_at: z.string(),
})

export const tenantSchema = z.looseObject({
  subject: z.string(),
  organization_id: z.string().nullable(),
  user: z.looseObject({ id: z.string(), email: text, created_at: text, last_sign_in_at: text }).nullable(),
  organization: z
    .looseObject({
      id: z.string(),
      slug: z.string(),
      name: z.string(),
      owner_email: text,
      stripe_customer_id: text,
      created_at: z.string(),
      provisioned_at: text,
    })
    .nullable(),
  database: z
    .looseObject({ neon_project_id: text, host: text, database_name: text, region: z.string() })
    .nullable(),
  jobs: z.record(z.string(), jobSchema),
  events: z.array(eventSchema),
  alerts: z.array(alertSchema),
  audit: z.array(
    z.looseObject({
      action: z.string(),
      actor_type: z.string(),
      resource_type: z.string(),
      resource_id: text,
      created_at: z.string(),
    }),
  ),
  checks: z.array(checkSchema),
  verdict: z.looseObject({
    ready: z.boolean(),
    state: z.string(),
    summary: z.string(),
    next: text,
    command: text,
    sql: text,
  }),
})

export type Tenant = z.infer<typeof tenantSchema>
export type Job = z.infer<typeof jobSchema>
export type Step = z.infer<typeof stepSchema>
export type TenantEvent = z.infer<typeof eventSchema>

const isOpen = (job: Job) => job.status === 'queued' || job.status === 'running'

/** The job that is under way, the newest first. */
export function openJob(tenant: Tenant): Job | undefined {
  return Object.values(tenant.jobs)
    .filter(isOpen)
    .sort((one, other) => other.created_at.localeCompare(one.created_at))[0]
}

/** The newest job of all. */
export function newestJob(tenant: Tenant): Job | undefined {
  return Object.values(tenant.jobs).sort((one, other) => other.created_at.localeCompare(one.created_at))[0]
}

/** What people call it: its slug, else the address or id that is known. */
export function nameOf(tenant: Tenant): string {
  return tenant.organization?.slug ?? tenant.user?.email ?? tenant.organization_id ?? tenant.subject
}
