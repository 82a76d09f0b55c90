import postgres from 'postgres'
import { inject } from 'vitest'
import { type NeonEmulator, startNeonEmulator } from '../../local/emulators/neon/emulator.ts'
import { type SupabaseEmulator, startSupabaseEmulator } from '../../local/emulators/supabase/emulator.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import type { Step } from '../../shared/engine/step.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { tenantDatabases } from '../../shared/services/database/index.ts'
import { neon } from '../../shared/services/neon/index.ts'
import type { Service } from '../../shared/services/service.ts'
import { supabase } from '../../shared/services/supabase/index.ts'
import { createTenant, only, openProject, type Project } from '../database/project.ts'
import { MortalWorker } from './mortal-worker.ts'
import { everythingShown, keepServices } from './tier-rows.ts'

const NEON_KEY = 'napi_localemulator'
const TOKEN = 'sbp_localemulator'
const SERVICES: readonly Service[] = [neon, supabase]

/** The tiers `database` and `project` with their databases alone, both providers, and a worker in this process. */
export class MovingTenants implements AsyncDisposable {
  readonly project: Project
  readonly neon: NeonEmulator
  readonly supabase: SupabaseEmulator
  readonly #database: Database
  readonly #worker: MortalWorker
  /** What the worker gives a step. */
  stepMaxSeconds = 60
  /** Called right before a step. */
  before: (step: string) => Promise<void> = async () => undefined
  /** Steps beside those of the services. */
  own: Readonly<Record<string, Step>> = {}

  private constructor(project: Project, neonEmulator: NeonEmulator, supabaseEmulator: SupabaseEmulator) {
    this.project = project
    this.neon = neonEmulator
    this.supabase = supabaseEmulator
    this.#database = connect({ SUPABASE_DB_URL: project.url() })
    this.#worker = new MortalWorker(project.sql, this.#database)
  }

  static async open(): Promise<MovingTenants> {
    const project = await openProject()
    await keepServices(project.sql, ['supabase', 'database', 'graphql'])
    await project.sql`delete from provisioning.step_definitions where service = 'stripe'`
    await project.sql`update provisioning.tiers set services = '{neon,graphql}' where tier = 'database'`
    const adminUrl = databaseUrl(inject('postgresPort'), 'template1', SUPERUSER)
    const poolerPort = inject('poolerPort')
    const server = { adminUrl, ...(poolerPort === undefined ? {} : { poolerPort }) }
    const unlimited = Number.POSITIVE_INFINITY
    return new MovingTenants(
      project,
      await startNeonEmulator({
        ...server,
        apiKey: NEON_KEY,
        limits: { requestsPerMinute: unlimited, requestsPerSecondPerRoute: unlimited },
      }),
      await startSupabaseEmulator({
        ...server,
        accessToken: TOKEN,
        limits: { requestsPerMinute: unlimited },
      }),
    )
  }

  get sql() {
    return this.project.sql
  }

  /** One that is ready in the tier `database`. */
  async tenant(): Promise<string> {
    const { organizationId } = await createTenant(this.project)
    const status = await this.workToEnd(organizationId)
    if (status !== 'succeeded') throw new Error(`it is ${status}: ${await this.report(organizationId)}`)
    return organizationId
  }

  /** Asks for a move as the backend does. @returns the job */
  async move(
    organizationId: string,
    options: { dryRun?: boolean; withData?: boolean; leaveExtraTables?: boolean } = {},
  ): Promise<string> {
    const { dryRun = false, withData = true, leaveExtraTables = false } = options
    return this.asBackend(async (sql) => {
      const rows = await sql<{ id: string }[]>`
        select provisioning.move_as_caller(${organizationId}, 'project', ${dryRun}, ${withData}, ${leaveExtraTables}) as id`
      return only(rows).id
    })
  }

  async cancel(organizationId: string): Promise<void> {
    await this.asBackend((sql) => sql`select provisioning.cancel_move_as_caller(${organizationId})`)
  }

  asBackend<T>(work: (sql: postgres.TransactionSql) => Promise<T>) {
    return this.sql.begin(async (sql) => {
      await sql`select set_config('request.jwt.claims', '{"role": "service_role"}', true)`
      return work(sql)
    })
  }

  /** Works once on what is due for the organization, its waiting made due. */
  async work(organizationId: string): Promise<void> {
    await this.sql`delete from provisioning.counted_calls`
    const { stepMaxSeconds } = this
    const worked = await this.#worker.work([organizationId], this.#steps(), { stepMaxSeconds })
    if (worked === 0) throw new Error('no job is due')
  }

  #steps(): Readonly<Record<string, Step>> {
    const options = {
      variables: {
        ...{ NEON_API_KEY: NEON_KEY, NEON_API_URL: this.neon.url, MANAGEMENT_TOKEN: TOKEN },
        ...{ MANAGEMENT_ORG_ID: this.supabase.organizationSlug, MANAGEMENT_API_URL: this.supabase.url },
      },
      sql: this.#database,
    }
    const sources = [...SERVICES, tenantDatabases(SERVICES)]
    const steps: Record<string, Step> = Object.assign(
      {},
      ...sources.map((each) => each.connect(options).steps),
      this.own,
    )
    const announced = Object.entries(steps).map(([name, step]): [string, Step] => [
      name,
      async (context) => {
        await this.before(name)
        return step(context)
      },
    ])
    return Object.fromEntries(announced)
  }

  /** Works until this job, or the newest, has ended. */
  async workToEnd(organizationId: string, jobId?: string): Promise<string> {
    for (let round = 0; round < 60; round++) {
      const status = await this.status(organizationId, jobId)
      if (status !== 'queued' && status !== 'running') return status
      await this.work(organizationId)
    }
    throw new Error(`the job goes on: ${await this.report(organizationId)}`)
  }

  /** See MortalWorker.dieAt. */
  workUntilDeath(organizationId: string, jobId: string, place: number): Promise<boolean> {
    const isOpen = async () => ['queued', 'running'].includes(await this.status(organizationId, jobId))
    return this.#worker.dieAt(place, isOpen, () => this.work(organizationId))
  }

  async status(organizationId: string, jobId?: string): Promise<string> {
    const rows = await this.sql<{ status: string }[]>`
      select status from public.provisioning_jobs where organization_id = ${organizationId}
        and id = coalesce(${jobId ?? null}, id) order by created_at desc, id desc limit 1`
    return only(rows).status
  }

  async report(organizationId: string): Promise<string> {
    const rows = await this.sql`
      select s.step, s.status, s.attempts, s.error from public.provisioning_steps s
      where s.organization_id = ${organizationId} and s.status <> 'succeeded'`
    return JSON.stringify(rows)
  }

  async step(jobId: string, name: string) {
    const rows = await this.sql<
      { status: string; error: { code: string; message: string } | null; output: Record<string, unknown> }[]
    >`select status, error, output from public.provisioning_steps where job_id = ${jobId} and step = ${name}`
    return only(rows)
  }

  /** The row that people's connections come from. */
  async row(organizationId: string) {
    const rows = await this.sql<
      {
        host: string
        port: number
        pooledPort: number
        name: string
        role: string
        neonProjectId: string | null
      }[]
    >`
      select host, port, coalesce(pooled_port, port) as "pooledPort", database_name as name, role_name as role,
        neon_project_id as "neonProjectId" from public.organization_databases where organization_id = ${organizationId}`
    return only(rows)
  }

  /** As a login whose password Vault has, into the database that is in use. end() it. */
  async login(organizationId: string, login = 'app_1'): Promise<postgres.Sql> {
    const { host, port, name } = await this.row(organizationId)
    const rows = await this.sql<{ password: string }[]>`
      select provisioning.vault_secret(provisioning.login_secret(${organizationId}, ${login})) as password`
    return postgres({
      ...{ host, port, database: name, username: `${name}_${login}`, password: only(rows).password },
      ...{ max: 1, onnotice: () => undefined },
    })
  }

  /** As a superuser, who sees and changes everything in it, without the rules of row level security. end() it. */
  async inside(organizationId: string): Promise<postgres.Sql> {
    const login = await this.login(organizationId)
    const rows = await login<{ name: string }[]>`select current_database() as name`.finally(() => login.end())
    return superuserIn(only(rows).name)
  }

  /** The same in the database that it moves to. */
  async insideComing(organizationId: string): Promise<postgres.Sql> {
    const rows = await this.sql<{ name: string }[]>`
      select coming ->> 'database_name' as name from provisioning.tenant_moves where organization_id = ${organizationId}`
    return superuserIn(only(rows).name)
  }

  async neonProjects(organizationId: string): Promise<number> {
    const reply = await fetch(`${this.neon.url}/projects?search=org-${organizationId}`, {
      headers: { authorization: `Bearer ${NEON_KEY}` },
    })
    return ((await reply.json()) as { projects: unknown[] }).projects.length
  }

  async supabaseProjects(organizationId: string): Promise<number> {
    const reply = await fetch(`${this.supabase.url}/v1/projects`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    const projects = (await reply.json()) as { name: string }[]
    return projects.filter(({ name }) => name === `client-${organizationId}-prod`).length
  }

  everythingShown(): Promise<string> {
    return everythingShown(this.sql)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.neon.stop({ drop: true })
    await this.supabase.stop({ drop: true })
    await this.#database.end({ timeout: 1 })
    await this.project.close()
  }
}

function superuserIn(database: string): postgres.Sql {
  return postgres(databaseUrl(inject('postgresPort'), database, SUPERUSER), {
    max: 1,
    onnotice: () => undefined,
  })
}
