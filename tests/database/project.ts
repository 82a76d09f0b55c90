import postgres from 'postgres'
import { AUTH_SERVER } from '../support/auth-servers.ts'
import { createTestDatabase, SEARCH_PATH } from '../support/database.ts'
import { type NewUser, signUp } from '../support/sign-up.ts'

/** A migrated database of its own, with a connection pool for each role that a hosted project has at work. */
export interface Project {
  readonly name: string
  /** `postgres`, which owns everything of ours and bypasses RLS. */
  readonly sql: postgres.Sql
  /** `supabase_auth_admin`, as which GoTrue connects. */
  readonly auth: postgres.Sql
  /** `authenticator`, as which PostgREST connects. */
  readonly api: postgres.Sql
  /** The superuser, for what the platform itself would do or break. */
  readonly superuser: postgres.Sql
  url(role?: string): string
  close(): Promise<void>
}

export async function openProject(): Promise<Project> {
  const database = await createTestDatabase('migrated', AUTH_SERVER !== undefined)
  const pool = (role: string, max: number, settings = {}) =>
    postgres(database.url(role), {
      max,
      onnotice: () => undefined,
      connection: { application_name: 'tests', ...settings },
    })
  const pools = {
    sql: pool('postgres', 9, { search_path: SEARCH_PATH }),
    auth: pool('supabase_auth_admin', 8),
    api: pool('authenticator', 2, { search_path: SEARCH_PATH }),
    superuser: pool('supabase_admin', 2, { search_path: SEARCH_PATH }),
  }
  return {
    name: database.name,
    ...pools,
    url: database.url,
    async close() {
      await Promise.all(Object.values(pools).map((sql) => sql.end({ timeout: 1 })))
      await database.drop()
    },
  }
}

export interface Tenant {
  readonly user: NewUser
  readonly organizationId: string
  readonly jobId: string
}

/** Signs a user up and returns what the sign-up made. */
export async function createTenant(project: Project, user: Partial<NewUser> = {}): Promise<Tenant> {
  const signedUp = await signUp(project.auth, user)
  const row = only(
    await project.sql<{ organizationId: string; jobId: string }[]>`
      select o.id as "organizationId", j.id as "jobId" from public.organizations o
      join public.provisioning_jobs j on j.organization_id = o.id and j.kind = 'provision'
      where o.owner_id = ${signedUp.id}`,
  )
  return { user: signedUp, ...row }
}

/** A tenant with the rows that come when a worker begins, though nobody has claimed its job. */
export async function createBegunTenant(project: Project, user: Partial<NewUser> = {}): Promise<Tenant> {
  const tenant = await createTenant(project, user)
  await project.sql`select provisioning.begin_provisioning(${tenant.jobId})`
  await project.sql`
    insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on)
    select j.id, d.step, j.organization_id, d.service, d.position, d.depends_on
    from public.provisioning_jobs j join provisioning.step_definitions d using (kind, tier) where j.id = ${tenant.jobId}`
  return tenant
}

/** The one row of a result. */
export function only<T>(rows: readonly T[]): T {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`one row was expected, ${rows.length} came`)
  return row
}

/** SQLSTATE with which a query was refused; undefined when it went through. */
export async function refusal(query: Promise<unknown>): Promise<string | undefined> {
  return query.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof postgres.PostgresError) return error.code
      throw error
    },
  )
}
