import { z } from 'zod'
import { remedyOfCheck } from '../shared/tenants/remedies.ts'
import { cliCommand, sqlStatement } from '../tools/remedies.ts'
import { shellWord } from './shell-word.ts'

/** What the screens need of provisioning.describe_tenant; the rest of the document is kept for --json. */

const text = z.string().nullish()

const checkSchema = z.looseObject({
  check: z.string(),
  status: z.enum(['ok', 'warning', 'waiting', 'failed']),
  code: z.string().nullable(),
  found: z.string().nullable(),
  service: z.string().nullable(),
  failure_code: z.string().nullable(),
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
  purpose: z.enum(['provision', 'revert', 'remove', 'follow', 'move', 'maintain']),
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

const factsSchema = z.looseObject({
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
  resources: z.array(
    z.looseObject({
      label: z.string(),
      state: z.string(),
      external_id: text,
      url: text,
      parts: z.array(z.looseObject({ id: z.string(), name: z.string(), url: text })),
    }),
  ),
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
})

const verdictSchema = z.looseObject({
  ready: z.boolean(),
  state: z.string(),
  summary: z.string(),
  /** The check that keeps the tenant from being ready. */
  check: z.string().nullable(),
})

const judgementSchema = z.object({ checks: z.array(checkSchema), verdict: verdictSchema })

type Facts = z.infer<typeof factsSchema>

/** What a person does about a check. */
export interface Repair {
  /** In words; null where there is nothing to do. */
  readonly fix: string | null
  /** For the terminal, in order. */
  readonly commands: readonly string[]
  /** For the SQL editor, in order. */
  readonly statements: readonly string[]
}

export type Check = z.infer<typeof checkSchema> & Repair
export type Tenant = Facts & {
  readonly checks: readonly Check[]
  /** With what is to be done about the check that it names. */
  readonly verdict: z.infer<typeof verdictSchema> & Repair
}

/** @param document what provisioning.describe_tenant reports @throws ZodError for anything else */
export function readTenant(document: unknown): Tenant {
  const facts = factsSchema.parse(document)
  const judgement = judgementSchema.parse(document)
  const checks = judgement.checks.map((check) => ({ ...check, ...repairOf(check, facts) }))
  const cause = checks.find(({ check }) => check === judgement.verdict.check)
  const { fix, commands, statements } = cause ?? NOTHING_TO_DO
  return { ...facts, checks, verdict: { ...judgement.verdict, fix, commands, statements } }
}

const NOTHING_TO_DO: Repair = { fix: null, commands: [], statements: [] }

function repairOf(check: z.infer<typeof checkSchema>, facts: Facts): Repair {
  const remedy = remedyOfCheck(check)
  if (!remedy) return NOTHING_TO_DO
  const organizationId = facts.organization_id ?? ''
  const userId = facts.user?.id ?? ''
  const names = { user: userId, tenant: argumentOf(facts), organizationId }
  return {
    fix: remedy.text,
    commands: remedy.commands.flatMap((command) => cliCommand(command, names) ?? []),
    statements: remedy.commands.flatMap((command) => sqlStatement(command, { userId, organizationId }) ?? []),
  }
}

export type Job = z.infer<typeof jobSchema>
export type Step = z.infer<typeof stepSchema>
export type Resource = Facts['resources'][number]
export type TenantEvent = z.infer<typeof eventSchema>

/** Nobody waits for the end of a time of grace, in which what a moved tenant has left is kept for days. */
export const isOpen = (job: Job) =>
  (job.status === 'queued' || job.status === 'running') &&
  !(job.purpose === 'maintain' && job.last_error?.code === 'grace_period')

/** The job that is under way, the newest first. */
export function openJob(tenant: Tenant): Job | undefined {
  return Object.values(tenant.jobs)
    .filter(isOpen)
    .sort((one, other) => other.created_at.localeCompare(one.created_at))[0]
}

/** The newest job that provisions, takes a provisioning back, or removes what a deleted organization had. */
export function jobFor(tenant: Tenant, purpose: 'provision' | 'revert' | 'remove'): Job | undefined {
  return Object.values(tenant.jobs).find((job) => job.purpose === purpose)
}

/** The newest job of all. */
export function newestJob(tenant: Tenant): Job | undefined {
  return Object.values(tenant.jobs).sort((one, other) => other.created_at.localeCompare(one.created_at))[0]
}

/** How a command names it. Never what somebody chose who may be hostile: it goes into a shell as it is. */
export function argumentOf({ organization, organization_id: id, user, subject }: Facts): string {
  return shellWord(organization?.slug ?? id ?? user?.id ?? subject)
}

/** What people call it: its slug, else the address or id that is known. */
export function nameOf(tenant: Facts): string {
  return tenant.organization?.slug ?? tenant.user?.email ?? tenant.organization_id ?? tenant.subject
}
