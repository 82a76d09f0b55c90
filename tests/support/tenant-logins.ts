import postgres from 'postgres'
import { type Login, makeRoles, type Passwords } from '../../shared/tenant-database/roles.ts'
import type { TestProject } from './project.ts'

/** Makes the roles of the database that the API's role is connected to. @returns the passwords of these logins */
export async function makeRolesOf(api: postgres.Sql, renewed: readonly Login[]): Promise<Passwords> {
  let passwords: Passwords = {}
  await makeRoles(api, renewed, async (made) => {
    passwords = made
  })
  return passwords
}

/** Connections into a tenant's own database; end() them. */

/** A project that can be asked for them. */
type Asked = Pick<TestProject, 'sql' | 'neon' | 'neonEmulator'>

/** As one of the logins that provisioning has made, with the password that is in Vault. */
export async function loginConnection(
  project: Pick<TestProject, 'sql' | 'neonEmulator'>,
  organizationId: string,
  login: Login = 'app_1',
): Promise<postgres.Sql> {
  const [row] = await project.sql<{ password: string; databaseName: string }[]>`
    select s.decrypted_secret as password, d.database_name as "databaseName"
    from public.organization_databases d, vault.decrypted_secrets s
    where d.organization_id = ${organizationId} and s.name = provisioning.login_secret(d.organization_id, ${login})`
  if (!row) throw new Error(`organization ${organizationId} has no login ${login}`)
  return connect(project, row.databaseName, `${row.databaseName}_${login}`, row.password)
}

/** As the role that Neon's API has made, which no tenant ever holds. */
export async function apiConnection(project: Asked, organizationId: string): Promise<postgres.Sql> {
  const name = databaseOf(organizationId)
  const [row] = await project.sql<{ id: string }[]>`
    select neon_project_id as id from public.organization_databases where organization_id = ${organizationId}`
  const wanted = { projectId: row?.id ?? '', database_name: name, role_name: name }
  const { data } = await project.neon.getConnectionUri(wanted)
  return connect(project, name, name, new URL(data.uri).password)
}

let serial = 0

/**
 * As the strongest login that a tenant can get: a member of the owner that acts as the owner, so that it may change the schema.
 * Made as those are that people ask for; of another role likewise.
 */
export async function strongestConnection(
  project: Asked,
  organizationId: string,
  of: 'owner' | 'read' = 'owner',
): Promise<postgres.Sql> {
  serial += 1
  const suffix = `access_${serial}`
  const password = crypto.randomUUID()
  const api = await apiConnection(project, organizationId)
  await api
    .unsafe(`do $$ declare
      v_login text := current_database() || '_${suffix}';
      v_role text := current_database() || '_${of}';
    begin
      execute format('create role %I login password %L', v_login, '${password}');
      execute format('grant %I to %I', v_role, v_login);
      execute format('alter role %I set role = %L', v_login, v_role);
    end $$`)
    .finally(() => api.end({ timeout: 1 }))
  const name = databaseOf(organizationId)
  return connect(project, name, `${name}_${suffix}`, password)
}

function databaseOf(organizationId: string): string {
  return `tenant_${organizationId.replaceAll('-', '')}`
}

function connect(
  project: Pick<TestProject, 'neonEmulator'>,
  database: string,
  user: string,
  password: string,
): postgres.Sql {
  const host = '127.0.0.1'
  const port = project.neonEmulator.postgresPort
  return postgres({ host, port, user, database, password, max: 1, onnotice: () => undefined })
}
