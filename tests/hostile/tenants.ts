import postgres from 'postgres'
import type { FunctionReply, SignedUp, TestProject } from '../support/project.ts'

/** Does something in a ready tenant's own database as its strongest login. */
export async function asOwner<T>(
  project: TestProject,
  organizationId: string,
  attack: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = await ownerConnection(project, organizationId)
  return attack(sql).finally(() => sql.end({ timeout: 1 }))
}

/** end() it. */
export async function ownerConnection(project: TestProject, organizationId: string): Promise<postgres.Sql> {
  const [row] = await project.sql<{ role: string; database: string; password: string }[]>`
    select d.role_name as role, d.database_name as database, s.decrypted_secret as password
    from public.organization_databases d join vault.decrypted_secrets s on s.id = d.credentials_secret_id
    where d.organization_id = ${organizationId}`
  if (!row) throw new Error(`organization ${organizationId} has no database`)
  return postgres({
    host: '127.0.0.1',
    port: project.neonEmulator.postgresPort,
    user: row.role,
    database: row.database,
    password: row.password,
    max: 1,
    onnotice: () => undefined,
  })
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
