import { inject } from 'vitest'
import {
  type SupabaseEmulator,
  type SupabaseEmulatorOptions,
  startSupabaseEmulator,
} from '../../local/emulators/supabase/emulator.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { JobStore, LeaseLost } from '../../shared/engine/jobs.ts'
import { runJob } from '../../shared/engine/run-job.ts'
import type { Step, StepContext } from '../../shared/engine/step.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import type { Variables } from '../../shared/kernel/environment.ts'
import { tenantDatabases } from '../../shared/services/database/index.ts'
import { supabase } from '../../shared/services/supabase/index.ts'
import { createTenant, openProject, type Project } from '../database/project.ts'

export const TOKEN = 'sbp_localemulator'

export interface StepState {
  readonly status: string
  readonly attempts: number
  readonly nextInSeconds: number | null
  readonly error: { readonly code: string; readonly message: string } | null
  readonly output: Readonly<Record<string, unknown>>
}

type Write = 'planResource' | 'unplanResource' | 'saveRecord' | 'saveOutput' | 'assertLease'
const WRITES: readonly Write[] = ['planResource', 'unplanResource', 'saveRecord', 'saveOutput', 'assertLease']

/** A database in which the tier `project` has Supabase and the database alone, an emulator, and a worker in this process. */
export class ProjectTier implements AsyncDisposable {
  readonly project: Project
  readonly emulator: SupabaseEmulator
  readonly #database: Database
  /** How many more places the worker passes before it dies; undefined for one that lives. */
  #placesLeft: number | undefined

  private constructor(project: Project, emulator: SupabaseEmulator, database: Database) {
    this.project = project
    this.emulator = emulator
    this.#database = database
  }

  static async open(options: Partial<SupabaseEmulatorOptions> = {}): Promise<ProjectTier> {
    const project = await openProject()
    const { sql } = project
    const services = ['supabase', 'database']
    await sql`delete from provisioning.step_definitions where tier = 'project' and service <> all (${services})`
    await sql`
      update provisioning.step_definitions d set depends_on = array(
        select needed from unnest(d.depends_on) needed where exists (
          select from provisioning.step_definitions o where o.tier = d.tier and o.kind = d.kind and o.step = needed))
      where d.tier = 'project'`
    await sql`update provisioning.tiers set services = ${services} where tier = 'project'`
    await sql`update provisioning.resource_kinds set grace_hours = 0`
    await sql`update provisioning.settings set backoff_base_seconds = 0.01, breaker_failures = 1000`
    await sql`update provisioning.rate_limits set burst = 1000000, per_second = 1000000`
    const poolerPort = inject('poolerPort')
    const emulator = await startSupabaseEmulator({
      adminUrl: databaseUrl(inject('postgresPort'), 'template1', SUPERUSER),
      accessToken: TOKEN,
      ...(poolerPort === undefined ? {} : { poolerPort }),
      ...options,
      limits: { requestsPerMinute: Number.POSITIVE_INFINITY, ...options.limits },
    })
    return new ProjectTier(project, emulator, connect({ SUPABASE_DB_URL: project.url() }))
  }

  get sql() {
    return this.project.sql
  }

  get variables(): Variables {
    return {
      MANAGEMENT_TOKEN: TOKEN,
      MANAGEMENT_ORG_ID: this.emulator.organizationSlug,
      MANAGEMENT_API_URL: this.emulator.url,
    }
  }

  get database(): Database {
    return this.#database
  }

  /** An organization of the tier, whose provisioning is due. */
  async tenant(dataRegion = 'eu-central-1'): Promise<string> {
    const { organizationId, jobId } = await createTenant(this.project)
    await this.sql`update public.organizations set data_region = ${dataRegion} where id = ${organizationId}`
    await this.sql`update public.provisioning_jobs set tier = 'project' where id = ${jobId}`
    return organizationId
  }

  /** Works on all these organizations' jobs at once, each as far as it goes now. Whatever waits is due, unless said otherwise. */
  async work(
    organizationIds: readonly string[],
    { variables = {}, hurry = true }: { variables?: Variables; hurry?: boolean } = {},
  ): Promise<void> {
    await this.sql`
      update public.provisioning_jobs j set next_attempt_at = case when j.organization_id = any (${[...organizationIds]})
        then case when ${hurry} then now() else j.next_attempt_at end else now() + interval '1 hour' end
      where j.status = 'queued'`
    if (hurry)
      await this.sql`
        update public.provisioning_steps set next_attempt_at = now(), settles_at = null
        where organization_id = any (${[...organizationIds]}) and status = 'retrying'`
    const jobs = new JobStore(this.#database)
    const kinds = await this.sql<{ kind: string }[]>`select kind from provisioning.job_kinds`
    const claimed = await jobs.claim(
      kinds.map(({ kind }) => kind),
      organizationIds.length,
      {},
    )
    const options = { variables: { ...this.variables, ...variables }, sql: this.#database }
    const sources = [supabase, tenantDatabases([supabase])]
    const steps = this.#mortal(Object.assign({}, ...sources.map((source) => source.connect(options).steps)))
    await Promise.all(
      claimed.map((job) =>
        runJob({ jobs, sql: this.#database, steps }, job, { leaseSeconds: 60, stepMaxSeconds: 30 }),
      ),
    )
  }

  /** Works until the newest job has ended. */
  async workToEnd(organizationId: string, options: { variables?: Variables } = {}): Promise<string> {
    for (let round = 0; round < 30; round++) {
      const status = await this.jobStatus(organizationId)
      if (status !== 'queued' && status !== 'running') return status
      await this.work([organizationId], options)
    }
    throw new Error(`the job goes on: ${JSON.stringify(await this.steps(organizationId))}`)
  }

  /**
   * Lets the worker die at its n-th place: before or behind a write, or a whole step. Nothing that it would do comes after that, and
   * another takes the job over. @returns whether it has come so far
   */
  async workUntilDeath(organizationId: string, place: number): Promise<boolean> {
    this.#placesLeft = place
    try {
      while (this.#placesLeft > 0 && ['queued', 'running'].includes(await this.jobStatus(organizationId)))
        await this.work([organizationId])
      return this.#placesLeft <= 0
    } finally {
      this.#placesLeft = undefined
      await this.sql`update provisioning.job_leases set expires_at = now() - interval '1 second'`
      await this.sql`select provisioning.sweep()`
    }
  }

  #mortal(steps: Readonly<Record<string, Step>>): Readonly<Record<string, Step>> {
    const die = () => {
      if (this.#placesLeft === undefined) return
      this.#placesLeft -= 1
      if (this.#placesLeft <= 0) throw new LeaseLost('the worker has died')
    }
    const wrap = (context: StepContext): StepContext => {
      const writes = WRITES.map((name) => {
        const write: (...parts: never[]) => Promise<void> = context[name]
        const mortal = async (...parts: never[]) => {
          die()
          await write(...parts)
          die()
        }
        return [name, mortal]
      })
      return { ...context, ...Object.fromEntries(writes) }
    }
    return Object.fromEntries(
      Object.entries(steps).map(([name, step]) => [
        name,
        async (context: StepContext) => {
          die()
          const outcome = await step(wrap(context))
          die()
          return outcome
        },
      ]),
    )
  }

  async retry(organizationId: string): Promise<void> {
    await this
      .sql`select provisioning.enqueue(${organizationId}, 'provision', '{}', null, 'request', 'project')`
  }

  /** Takes back what the provisioning has made. */
  async undo(organizationId: string): Promise<string> {
    await this.sql`select provisioning.release_resources(${organizationId}, false)`
    await this.sql`select provisioning.enqueue(${organizationId}, 'undo', '{}', null, 'request', 'project')`
    return this.workToEnd(organizationId)
  }

  async jobStatus(organizationId: string): Promise<string> {
    const [row] = await this.sql<{ status: string }[]>`
      select status from public.provisioning_jobs where organization_id = ${organizationId} order by created_at desc limit 1`
    return row?.status ?? 'none'
  }

  /** Of the newest job. */
  async steps(organizationId: string): Promise<Readonly<Record<string, StepState>>> {
    const rows = await this.sql<(StepState & { step: string })[]>`
      select s.step, s.status, s.attempts, s.error, s.output,
        extract(epoch from s.next_attempt_at - clock_timestamp())::float8 as "nextInSeconds"
      from public.provisioning_steps s
      where s.job_id = (select id from public.provisioning_jobs where organization_id = ${organizationId}
        order by created_at desc limit 1)`
    return Object.fromEntries(rows.map(({ step, ...state }) => [step, state]))
  }

  async step(organizationId: string, name: string): Promise<StepState> {
    const state = (await this.steps(organizationId))[name]
    if (!state) throw new Error(`there is no step ${name}`)
    return state
  }

  async resource(organizationId: string) {
    const [row] = await this.sql<
      { name: string; ref: string | null; url: string; state: string; details: Record<string, unknown> }[]
    >`
      select name, external_id as ref, url, state, details from public.tenant_resources
      where organization_id = ${organizationId} and kind = 'supabase_project' order by created_at desc limit 1`
    return row
  }

  async secrets(organizationId: string): Promise<Record<string, string>> {
    const [row] = await this.sql<{ secrets: Record<string, string> }[]>`
      select provisioning.project_secrets(${organizationId}) as secrets`
    return row?.secrets ?? {}
  }

  async alerts(organizationId: string) {
    return this.sql<{ kind: string; message: string; open: boolean }[]>`
      select kind, message, resolved_at is null as open from public.tenant_alerts
      where organization_id = ${organizationId} order by opened_at`
  }

  /** The projects at the provider that have the organization's name. */
  async projects(organizationId: string): Promise<string[]> {
    const reply = await fetch(`${this.emulator.url}/v1/projects`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    const projects = (await reply.json()) as { ref: string; name: string }[]
    return projects.filter(({ name }) => name === `client-${organizationId}-prod`).map(({ ref }) => ref)
  }

  /** Everything in the rows that people see: steps, jobs, events, resources, alerts, the audit log. */
  async everythingShown(): Promise<string> {
    const rows = await this.sql<{ text: string }[]>`
      select to_jsonb(t)::text as text from public.provisioning_steps t union all
      select to_jsonb(t)::text from public.provisioning_jobs t union all
      select to_jsonb(t)::text from public.provisioning_events t union all
      select to_jsonb(t)::text from public.tenant_resources t union all
      select to_jsonb(t)::text from public.organization_databases t union all
      select to_jsonb(t)::text from public.tenant_alerts t union all
      select to_jsonb(t)::text from public.audit_logs t`
    return rows.map(({ text }) => text).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.emulator.stop({ drop: true })
    await this.#database.end({ timeout: 1 })
    await this.project.close()
  }
}
