import { z } from 'zod'

const time = z.string().nullable()

/** What provisioning.diagnose_provisioning reports. */
export const diagnosisSchema = z.looseObject({
  extensions: z.array(z.object({ name: z.string(), version: z.string().nullable() })),
  vault: z.array(
    z.object({ name: z.string(), state: z.enum(['fine', 'missing', 'unreadable', 'implausible']) }),
  ),
  triggers: z.array(
    z.object({
      function: z.string(),
      table: z.string(),
      enabled: z.boolean(),
      /** Triggers on the same table whose functions have this name too, in another schema. */
      namesakes: z.array(z.object({ trigger: z.string(), function: z.string() })),
    }),
  ),
  /** Passwords in Vault of organizations of which there is no other trace. */
  left_behind: z.object({ passwords: z.number(), organizations: z.number() }),
  functions_url: z.string().nullable(),
  /** Whose rows these are, and whose functions were refused. */
  identity: z.object({
    project: z.string().nullable(),
    recorded_at: time,
    foreign_project: z.string().nullable(),
    foreign_seen_at: time,
  }),
  policies: z.array(
    z.object({
      table: z.string(),
      name: z.string(),
      command: z.string(),
      permissive: z.boolean(),
      roles: z.array(z.string()),
    }),
  ),
  mapping: z.array(
    z.object({
      part: z.string(),
      table: z.string(),
      followed: z.boolean(),
      indexed: z.boolean(),
      problem: z.string().nullable(),
    }),
  ),
  mapping_failures: z.object({ rows: z.number(), message: z.string().nullable() }),
  user_triggers: z.array(
    z.object({ name: z.string(), function: z.string(), inserts_into: z.array(z.string()) }),
  ),
  cron: z.array(
    z.object({
      name: z.string(),
      schedule: z.string(),
      active: z.boolean(),
      here: z.boolean(),
      last_run: z
        .object({
          status: z.string().nullable(),
          message: z.string().nullable(),
          started_at: time,
          finished_at: time,
        })
        .nullable(),
    }),
  ),
  pg_net: z.object({
    problem: z.string().nullable(),
    queued: z.number(),
    last_hour: z.array(
      z.object({ status_code: z.number().nullable(), error: z.string().nullable(), calls: z.number() }),
    ),
  }),
  dispatch: z.object({ last_swept_at: time, problem: z.string().nullable() }),
  pauses: z.array(z.looseObject({ message: z.string(), paused_at: z.string() })),
  open_jobs: z.array(z.object({ kind: z.string(), status: z.string(), jobs: z.number(), first_due: time })),
  stuck_jobs: z.array(
    z.object({
      id: z.string(),
      organization_id: z.string(),
      slug: z.string().nullable(),
      kind: z.string(),
      status: z.string(),
      due_at: z.string(),
      last_error: z.string().nullable(),
    }),
  ),
  failed_jobs: z.array(
    z.object({
      kind: z.string(),
      code: z.string().nullable(),
      jobs: z.number(),
      message: z.string().nullable(),
    }),
  ),
  sign_up_failures: z.object({ users: z.number(), message: z.string().nullable() }),
  users_without_profile: z.number(),
  providers: z.array(
    z.looseObject({
      provider: z.string(),
      label: z.string(),
      state: z.string(),
      consecutive_failures: z.number(),
      next_try_at: time,
      last_error: z.string().nullable(),
    }),
  ),
  refused_limits: z.array(z.object({ limit: z.string(), wanted: z.number(), refused_at: z.string() })),
  alerts: z.object({ open: z.number(), critical: z.number(), oldest: time }),
  reconciliation: z.object({
    last_run: z
      .looseObject({
        status: z.string(),
        complete: z.boolean(),
        started_at: z.string(),
        error: z.string().nullable(),
      })
      .nullable(),
    findings: z.array(z.object({ label: z.string(), kind: z.string(), resources: z.number() })),
  }),
  database_time: z.string(),
  migrations: z.array(z.string()).nullable(),
})

export type Diagnosis = z.infer<typeof diagnosisSchema>
