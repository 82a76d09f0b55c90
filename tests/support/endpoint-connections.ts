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

/** Ends the connections that the endpoint has into these databases. @returns how many */
export async function endEndpointConnections(
  { superuser }: Pick<TestProject, 'superuser'>,
  databases: readonly string[],
): Promise<number> {
  const { count } = await superuser`
    select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'tenant-graphql' and datname = any (${databases})`
  return count
}
