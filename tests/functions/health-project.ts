import postgres from 'postgres'
import { type TestProject, until } from '../support/project.ts'
import { makeRolesOf } from '../support/tenant-logins.ts'

/** A tenant with a real database, made without a sign-up. */
export interface HealthTenant {
  readonly organizationId: string
  readonly projectId: string
  readonly endpointId: string
  /** Of the role that Neon's API has made. */
  readonly password: string
  /** Of the login that checks it. */
  readonly healthPassword: string
}

export interface HealthRow {
  readonly status: string
  readonly reasons: readonly { readonly code: string; readonly severity: string; readonly message: string }[]
  readonly metrics: Readonly<Record<string, unknown>>
  readonly calm_checks: number
  readonly troubled_checks: number
  readonly connected_at: Date
  readonly probed_at: Date
  readonly checked_at: Date | null
  /** Seconds. */
  readonly due_in: number
}

/** Owns every tenant that is made here. */
const OWNER = '0badcafe-0000-4000-8000-000000000000'
const QUOTA = {
  active_time_seconds: 360_000,
  compute_time_seconds: 180_000,
  written_data_bytes: 5_368_709_120,
  data_transfer_bytes: 5_368_709_120,
}

/** Adds ready tenants; their checks are not due. */
export function addTenants(project: TestProject, count: number): Promise<HealthTenant[]> {
  return Promise.all(Array.from({ length: count }, () => addTenant(project)))
}

export async function addTenant(project: TestProject): Promise<HealthTenant> {
  await addOwner(project)
  const organizationId = crypto.randomUUID()
  const role = `tenant_${organizationId.replaceAll('-', '')}`
  const { data } = await project.neon.createProject({
    project: {
      name: `org-${organizationId}`,
      settings: { quota: QUOTA },
      branch: { role_name: role, database_name: role },
    },
  })
  const [connection] = data.connection_uris
  const [endpoint] = data.endpoints
  if (!connection || !endpoint) throw new Error('the emulator made a project without a compute')
  const { host, pooler_host: pooledHost, password } = connection.connection_parameters
  const made = { organizationId, projectId: data.project.id, endpointId: endpoint.id, password }
  const tenantSql = await useDatabase(project, made)
  await tenantSql`set search_path = pg_catalog`
  const passwords = await makeRolesOf(tenantSql, ['health', 'schema']).finally(() => tenantSql.end())
  const healthPassword = passwords.health ?? ''
  const { sql } = project
  await sql`update provisioning.settings set organizations_per_user = 1000000`
  await sql`
    with made as (
      insert into public.organizations (id, name, slug, owner_id, data_region, hosting_region, provisioning_status)
      values (${organizationId}, 'A tenant', ${organizationId}, ${OWNER}, 'us-east-1', 'us-east-1', '{}')
    ), secret as (
      select vault.create_secret(${healthPassword}, provisioning.login_secret(${organizationId}, 'health')) as id,
        vault.create_secret(${passwords.schema ?? ''}, provisioning.login_secret(${organizationId}, 'schema'))
    )
    insert into public.organization_databases (organization_id, neon_project_id, neon_endpoint_id, region, size, host,
      pooled_host, port, database_name, ssl_mode)
    select ${organizationId}, ${data.project.id}, ${endpoint.id}, 'aws-us-east-1', 'small', ${host}, ${pooledHost},
      ${project.neonEmulator.postgresPort}, ${role}, 'disable' from secret`
  await sql`insert into public.tenant_health (organization_id, next_check_at) values (${organizationId}, now() + interval '1 day')`
  return { ...made, healthPassword }
}

/** Without triggers, or it would be provisioned. */
async function addOwner({ superuser }: TestProject): Promise<void> {
  await superuser.begin(async (tx) => {
    await tx`set local session_replication_role = replica`
    await tx`insert into auth.users (id, email) values (${OWNER}, 'owner@example.com') on conflict do nothing`
  })
}

/** Resolves when nobody is connected: whoever still is when the emulator's clock goes on keeps a compute awake. */
export function untilUnused({ neonEmulator }: TestProject): Promise<unknown> {
  return until(
    'end of the last connection',
    async () => neonEmulator.stats.openConnections === 0 || undefined,
  )
}

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

export async function callHealth(
  project: TestProject,
  body: unknown,
  headers: Readonly<Record<string, string>> = { apikey: project.keys.secretKey },
  url = project.services.url,
): Promise<Reply> {
  const reply = await fetch(`${url}/functions/v1/check-tenant-health`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: reply.status, headers: reply.headers, body: Object(await reply.json()) }
}

export async function readHealth(
  { sql }: Pick<TestProject, 'sql'>,
  organizationId: string,
): Promise<HealthRow> {
  const [row] = await sql<HealthRow[]>`
    select *, extract(epoch from next_check_at - clock_timestamp())::float8 as due_in from public.tenant_health
    where organization_id = ${organizationId}`
  if (!row) throw new Error(`organization ${organizationId} has no health`)
  return row
}

/** Only these tenants are due, as they are after a while in which nobody read the list. */
export async function makeDue(
  { sql }: Pick<TestProject, 'sql'>,
  tenants: readonly Pick<HealthTenant, 'organizationId'>[],
): Promise<void> {
  const ids = tenants.map(({ organizationId }) => organizationId)
  // At once: a drain that is about to end looks once more, and must not see the half of it.
  await sql`
    with read as (
      update provisioning.fleet_read set finished_at = null, token = null, lease_expires_at = null, cursor = null
    )
    update public.tenant_health set next_check_at = case when organization_id = any (${ids})
      then now() - interval '1 second' else now() + interval '1 day' end, awake = false`
}

/** Rings the function, and waits until each of these tenants, all due, was checked, and the list read to its end. */
export async function sweep(
  project: TestProject,
  tenants: readonly Pick<HealthTenant, 'organizationId'>[],
  timeoutMs = 20_000,
): Promise<void> {
  // Before they are due: the drain that is about to end may take them, and then a ring finds nothing to do.
  const [begun] = await project.sql<{ at: Date }[]>`select clock_timestamp() as at`
  const since = begun?.at ?? new Date()
  await makeDue(project, tenants)
  const { status } = await callHealth(project, {})
  if (status !== 202) throw new Error(`the function answered ${status}`)
  await until(
    'check of every tenant',
    async () => {
      const [row] = await project.sql<{ left: number }[]>`
        select count(*)::int as left from public.tenant_health
        where organization_id = any (${tenants.map(({ organizationId }) => organizationId)})
          and (checked_at is null or checked_at < ${since})`
      const [read] = await project.sql<
        { ended: boolean }[]
      >`select token is null as ended from provisioning.fleet_read`
      return (row?.left === 0 && read?.ended) || undefined
    },
    timeoutMs,
  )
}

/** What at Neon only time and bills bring about. */
export async function changeProject(
  project: TestProject,
  { projectId }: HealthTenant,
  changes: Readonly<Record<string, boolean | string>>,
): Promise<void> {
  const address = new URL(`/_emulator/projects/${projectId}`, project.neonEmulator.url)
  const reply = await fetch(address, { method: 'PATCH', body: JSON.stringify(changes) })
  if (!reply.ok) throw new Error(`the emulator answered ${reply.status}`)
}

/** A connection of somebody else, as the role that Neon's API has made; end() it. */
export async function useDatabase(
  project: TestProject,
  tenant: Pick<HealthTenant, 'organizationId' | 'password'>,
): Promise<postgres.Sql> {
  const role = `tenant_${tenant.organizationId.replaceAll('-', '')}`
  const sql = postgres({
    host: '127.0.0.1',
    port: project.neonEmulator.postgresPort,
    user: role,
    database: role,
    password: tenant.password,
    max: 1,
    onnotice: () => undefined,
  })
  await sql`select 1`
  return sql
}

/** All emulated projects share one server, where a tenant's database and roles go by another name. */
export async function physicalName(project: TestProject, tenant: HealthTenant): Promise<string> {
  const sql = await useDatabase(project, tenant)
  const [row] = await sql<{ name: string }[]>`select current_user as name`.finally(() => sql.end())
  return row?.name ?? ''
}

/** What the login that checks it is called there. */
export async function healthRole(project: TestProject, tenant: HealthTenant): Promise<string> {
  return `${await physicalName(project, tenant)}_health`
}

/** Gives Vault another password of it than the database knows, or again the one that it knows. */
export async function setHealthPassword(
  { sql }: Pick<TestProject, 'sql'>,
  { organizationId }: HealthTenant,
  password: string,
): Promise<void> {
  await sql`select vault.update_secret(id, ${password}) from vault.secrets
    where name = provisioning.login_secret(${organizationId}, 'health')`
}

export function providerCalls(project: TestProject): Readonly<Record<string, number>> {
  return project.neonEmulator.stats.calls
}
