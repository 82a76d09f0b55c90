import type postgres from 'postgres'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import type { Variables } from '../../shared/kernel/environment.ts'
import type { Service } from '../../shared/services/service.ts'
import { createTenant, only, openProject, type Project } from '../database/project.ts'
import { MortalWorker } from './mortal-worker.ts'
import { everythingShown, keepServices } from './tier-rows.ts'

/** What a client's Supabase project has, for the services that stand beside it. */
export const PROJECT_URL = 'https://abcdefghijklmnopqrst.supabase.co'
export const PUBLISHABLE_KEY = 'sb_publishable_shown'
export const SECRET_KEY = 'sb_secret_hidden0123456789abcdef'

export interface StepState {
  readonly step: string
  readonly status: string
  readonly attempts: number
  readonly error: { readonly code: string; readonly message: string } | null
  readonly output: Readonly<Record<string, unknown>>
}

export interface Resource {
  readonly name: string
  readonly externalId: string | null
  readonly url: string | null
  readonly state: string
  readonly details: Readonly<Record<string, unknown>>
}

/**
 * A database in which the tier `project` has the steps of these services alone, and a worker in this process. Whatever they depend
 * on of others is taken as done.
 */
export class ServiceProject {
  readonly project: Project
  readonly #database: Database
  readonly #services: readonly Service[]
  readonly #variables: Variables
  readonly #worker: MortalWorker

  private constructor(
    project: Project,
    database: Database,
    services: readonly Service[],
    variables: Variables,
  ) {
    this.project = project
    this.#database = database
    this.#services = services
    this.#variables = variables
    this.#worker = new MortalWorker(project.sql, database)
  }

  static async open(services: readonly Service[], variables: Variables): Promise<ServiceProject> {
    const project = await openProject()
    const { sql } = project
    const names = services.map(({ name }) => name)
    await sql`insert into provisioning.services (service, label) values ('supabase', 'Supabase') on conflict do nothing`
    await sql`
      insert into provisioning.resource_kinds (kind, service, label) values ('supabase_project', 'supabase', 'Supabase project')
      on conflict do nothing`
    await keepServices(sql, names)
    const database = connect({ SUPABASE_DB_URL: project.url() })
    return new ServiceProject(project, database, services, variables)
  }

  get sql(): postgres.Sql {
    return this.project.sql
  }

  /** An organization of the tier, whose provisioning is due; with a Supabase project that is ready. */
  async tenant(slug?: string): Promise<string> {
    const { organizationId, jobId } = await createTenant(this.project)
    if (slug !== undefined)
      await this.sql`update public.organizations set slug = ${slug} where id = ${organizationId}`
    await this.sql`update public.provisioning_jobs set tier = 'project' where id = ${jobId}`
    await this.sql`
      insert into public.tenant_resources (organization_id, service, kind, name, external_id, url, details, state)
      values (${organizationId}, 'supabase', 'supabase_project', ${`client-${organizationId}-prod`}, ${organizationId},
        ${PROJECT_URL}, ${this.sql.json({ publishableKey: PUBLISHABLE_KEY })}, 'active')`
    await this.giveSecrets(organizationId, { secretKey: SECRET_KEY })
    return organizationId
  }

  async giveSecrets(organizationId: string, secrets: Readonly<Record<string, string>>): Promise<void> {
    await this.sql`
      select provisioning.keep_secret(provisioning.project_secret(${organizationId}), ${JSON.stringify(secrets)}, 'a test''s')`
  }

  /** Works on the organization's newest job once, as far as it goes now. */
  async work(organizationId: string, variables: Variables = {}): Promise<void> {
    await this.sql`delete from provisioning.token_buckets`
    const options = { variables: { ...this.#variables, ...variables }, sql: this.#database }
    const steps = Object.assign({}, ...this.#services.map((service) => service.connect(options).steps))
    if ((await this.#worker.work([organizationId], steps)) === 0) throw new Error('no job is due')
  }

  /** Works until the newest job has ended. */
  async workToEnd(organizationId: string, variables: Variables = {}): Promise<string> {
    for (let round = 0; round < 40; round++) {
      const status = await this.jobStatus(organizationId)
      if (status !== 'queued' && status !== 'running') return status
      await this.work(organizationId, variables)
    }
    throw new Error(`the job goes on: ${JSON.stringify(await this.steps(organizationId))}`)
  }

  /**
   * Lets the worker die right before its n-th write or right after it: nothing that it would do comes after that, and another
   * takes the job over. @returns whether it has come so far
   */
  workUntilDeath(organizationId: string, atWrite: number): Promise<boolean> {
    const isOpen = async () => ['queued', 'running'].includes(await this.jobStatus(organizationId))
    return this.#worker.dieAt(atWrite, isOpen, () => this.work(organizationId))
  }

  /** Asks for these services again, or for all. */
  async retry(organizationId: string): Promise<void> {
    await this
      .sql`select provisioning.enqueue(${organizationId}, 'provision', '{}', null, 'request', 'project')`
  }

  /** Hands a new key on. */
  async rotate(organizationId: string): Promise<void> {
    await this
      .sql`select provisioning.enqueue(${organizationId}, 'rotate_credentials', '{}', null, 'request', 'project')`
  }

  /** Takes back what the provisioning has made. */
  async undo(organizationId: string, variables: Variables = {}): Promise<string> {
    await this.sql`
      select provisioning.cancel_job(j.id, true) from public.provisioning_jobs j
      where j.organization_id = ${organizationId} and j.status = 'queued'`
    await this.sql`select provisioning.release_resources(${organizationId}, false)`
    await this.sql`select provisioning.enqueue(${organizationId}, 'undo', '{}', null, 'request', 'project')`
    return this.workToEnd(organizationId, variables)
  }

  async jobStatus(organizationId: string): Promise<string> {
    const rows = await this.sql<{ status: string }[]>`
      select status from public.provisioning_jobs where organization_id = ${organizationId} order by created_at desc limit 1`
    return only(rows).status
  }

  /** Of the newest job, by name. */
  async steps(organizationId: string): Promise<Record<string, StepState>> {
    const rows = await this.sql<StepState[]>`
      select s.step, s.status, s.attempts, s.error, s.output from public.provisioning_steps s
      where s.job_id = (select id from public.provisioning_jobs where organization_id = ${organizationId}
        order by created_at desc limit 1)`
    return Object.fromEntries(rows.map((row) => [row.step, row]))
  }

  async resource(organizationId: string, kind: string): Promise<Resource | undefined> {
    const [row] = await this.sql<Resource[]>`
      select name, external_id as "externalId", url, state, details from public.tenant_resources
      where organization_id = ${organizationId} and kind = ${kind} order by created_at desc limit 1`
    return row
  }

  everythingShown(): Promise<string> {
    return everythingShown(this.sql)
  }

  async close(): Promise<void> {
    await this.#database.end({ timeout: 1 })
    await this.project.close()
  }
}
