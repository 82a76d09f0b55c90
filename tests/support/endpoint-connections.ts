import type { TestProject } from './project.ts'
import { apiConnection } from './tenant-logins.ts'

/** The names that tenants' databases have on the server, which has those of every other file of the run as well. */
export async function serverNames(
  project: TestProject,
  tenants: readonly { readonly organizationId: string }[],
): Promise<string[]> {
  return Promise.all(
    tenants.map(async ({ organizationId }) => {
      const sql = await apiConnection(project, organizationId)
      const [row] = await sql<{ name: string }[]>`select current_database() as name`.finally(() =>
        sql.end({ timeout: 1 }),
      )
      return row?.name ?? ''
    }),
  )
}

/** The connections that the endpoint has into these databases. */
async function endpointConnections(
  { superuser }: Pick<TestProject, 'superuser'>,
  databases: readonly string[],
): Promise<{ pid: number; database: string }[]> {
  return superuser<{ pid: number; database: string }[]>`
    select pid, datname as database from pg_stat_activity
    where application_name = 'tenant-graphql' and datname = any (${databases})`
}

/** Ends them. @returns how many */
export async function endEndpointConnections(
  project: Pick<TestProject, 'superuser'>,
  databases: readonly string[],
): Promise<number> {
  const pids = (await endpointConnections(project, databases)).map(({ pid }) => pid)
  await project.superuser`select pg_terminate_backend(pid) from unnest(${pids}::int[]) pid`
  return pids.length
}
