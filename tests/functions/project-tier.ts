import { inject } from 'vitest'
import {
  type SupabaseEmulator,
  type SupabaseEmulatorOptions,
  startSupabaseEmulator,
} from '../../local/emulators/supabase/emulator.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import type { Variables } from '../../shared/kernel/environment.ts'
import { tenantDatabases } from '../../shared/services/database/index.ts'
import { supabase } from '../../shared/services/supabase/index.ts'
import { createTenant, openProject, type Project } from '../database/project.ts'
import { MortalWorker } from './mortal-worker.ts'
import { everythingShown, keepServices } from './tier-rows.ts'

export const TOKEN = 'sbp_localemulator'

export interface StepState {
  readonly status: string
  readonly attempts: number
  readonly nextInSeconds: number | null
  readonly error: { readonly code: string; readonly message: string } | null
  readonly output: Readonly<Record<string, unknown>>
}

/** A database in which the tier `project` has Supabase and the database alone, an emulator, and a worker in this process. */
export class ProjectTier implements AsyncDisposable {
  readonly project: Project
  readonly emulator: SupabaseEmulator
  readonly #database: Database
  readonly #worker: MortalWorker

  private constructor(project: Project, emulator: SupabaseEmulator, database: Database) {
    this.project = project
    this.emulator = emulator
    this.#database = database
    this.#worker = new MortalWorker(project.sql, database)
  }

  static async open(options: Partial<SupabaseEmulatorOptions> = {}): Promise<ProjectTier> {
    const project = await openProject()
    await keepServices(project.sql, ['supabase', 'database'])
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
    const options = { variables: { ...this.variables, ...variables }, sql: this.#database }
    const sources = [supabase, tenantDatabases([supabase])]
    const steps = Object.assign({}, ...sources.map((source) => source.connect(options).steps))
    await this.#worker.work(organizationIds, steps, { hurry })
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
  workUntilDeath(organizationId: string, place: number): Promise<boolean> {
    const isOpen = async () => ['queued', 'running'].includes(await this.jobStatus(organizationId))
    return this.#worker.dieAt(place, isOpen, () => this.work([organizationId]))
  }

  async retry(organizationId: string): Promise<void> {
    await this
      .sql`select provisioning.enqueue(${organizationId}, 'provision', '{}', null, 'request', 'project')`
  }

  /** Asks for another login, password and key, as people do and as the sweep does. */
  async rotate(
    organizationId: string,
    request: Readonly<Record<string, boolean | number>> = {},
  ): Promise<void> {
    await this.sql`
      select provisioning.enqueue(${organizationId}, 'rotate_credentials', ${this.sql.json(request)}, null, 'request', 'project')`
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

  everythingShown(): Promise<string> {
    return everythingShown(this.sql)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.emulator.stop({ drop: true })
    await this.#database.end({ timeout: 1 })
    await this.project.close()
  }
}
