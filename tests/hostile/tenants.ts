import type postgres from 'postgres'
import type { FunctionReply, SignedUp, TestProject } from '../support/project.ts'
import { strongestConnection } from '../support/tenant-logins.ts'

/** Does something in a ready tenant's own database as its strongest login. */
export async function asOwner<T>(
  project: TestProject,
  organizationId: string,
  attack: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = await strongestConnection(project, organizationId)
  return attack(sql).finally(() => sql.end({ timeout: 1 }))
}

/** Asks that everything of the service neon is looked at again; replies when that has ended. */
export function retryNeon(project: TestProject, { organizationId }: SignedUp): Promise<FunctionReply> {
  return project.request({ organizationId, services: ['neon'], wait: true })
}

/** The processes of the functions: whoever has died and come again has another number. */
export function processesOf(project: TestProject): string[] {
  return project.services.gateway.functions
    .processes()
    .map(({ name, pid }) => `${name} ${pid}`)
    .sort()
}
