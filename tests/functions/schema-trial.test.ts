import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createWorker } from '../../shared/engine/worker.ts'
import type { SchemaFile } from '../../shared/generated/tenant-schema-files.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { databaseSteps } from '../../shared/services/database/index.ts'
import { createMigrateSchema } from '../../shared/services/database/migrate-schema.ts'
import { createTrySchema } from '../../shared/services/database/try-schema.ts'
import { knowAwake } from '../../shared/services/neon/awake.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonHost } from '../../shared/services/neon/host.ts'
import { tenants as command, operatorOf } from '../cli/cli.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { loginConnection } from '../support/tenant-logins.ts'
import { addTenants, type HealthTenant, untilUnused } from './health-project.ts'

const HOUR_MS = 3_600_000
/** The files that the tenants have, and the next one, which the first of them cannot take: it has seven stars. */
const FILES: readonly SchemaFile[] = [
  {
    version: 1,
    name: '0001_test.sql',
    sql: `create table public.rated (stars integer);
      alter table public.rated enable row level security; create policy all_rows on public.rated using (true)`,
  },
  { version: 2, name: '0002_test.sql', sql: 'alter table public.rated add check (stars < 6)' },
]

let project: TestProject
let sql: Database
let tenants: HealthTenant[]
/** By which the emulator's clock is ahead: behind ours at first, so that what is made then is old. */
let aheadMs = -100 * HOUR_MS
const now = () => Date.now() + aheadMs

beforeAll(async () => {
  project = await startTestProject({ neon: { clock: now } })
  sql = connect({ SUPABASE_DB_URL: project.databaseUrl(), DATABASE_POOLER_URL: undefined })
  await project.sql`insert into provisioning.workers values ('fleet', 'nowhere')`
  await project.sql`update provisioning.job_kinds set worker = 'fleet' where kind in ('migrate_schema', 'try_schema')`
  tenants = await addTenants(project, 2)
  await project.sql`update public.organization_databases set schema_version = 0, status = 'active'`
  await project.sql`select provisioning.start_fleet_migration(1, 100, 8, 0)`
  await work()
  const [full] = tenants
  if (!full) throw new Error('there are tenants')
  const schema = await loginConnection(project, full.organizationId, 'schema')
  await schema.unsafe(`begin; select set_config('role', current_database() || '_owner', true);
    insert into public.rated values (7); commit`)
  await schema.end({ timeout: 1 })
})

afterAll(async () => {
  await sql?.end({ timeout: 1 })
  await project?.stop()
})

afterEach(async () => {
  project.neonEmulator.faults.clear()
  project.neonEmulator.setLimits({ maxBranches: 10 })
  for (const { projectId } of tenants)
    for (const { id, default: isFirst } of (await project.neon.listProjectBranches({ projectId })).data
      .branches)
      if (!isFirst) await project.neon.deleteProjectBranch({ projectId, branchId: id })
})

function neon() {
  return createNeonProvider(
    { NEON_API_KEY: 'napi_localemulator', NEON_API_URL: project.neonEmulator.url },
    sql,
  )
}

/** Works off what is due, as a function with these files would. */
async function work(): Promise<void> {
  await project.sql`update public.provisioning_jobs set next_attempt_at = now() where status = 'queued'`
  await project.sql`update public.provisioning_steps set next_attempt_at = now() where next_attempt_at is not null`
  const provider = neon()
  const hosts = [neonHost(provider, knowAwake(provider, now))]
  const steps = databaseSteps(hosts, createMigrateSchema(FILES), createTrySchema(FILES))
  await createWorker({ sql, steps }, 'fleet').ring()
}

async function workUntilEnded(jobs: readonly string[]): Promise<void> {
  await until('end of the trials', async () => {
    await work()
    const open = (await trials(jobs)).filter(({ state }) => state === 'queued' || state === 'running')
    return open.length === 0 || undefined
  })
}

interface Trial {
  readonly job_id: string
  readonly organization_id: string
  readonly state: string
  readonly code: string | null
  readonly message: string | null
}

async function begin(howMany: number): Promise<string[]> {
  const { data, error } = await project.admin.rpc('try_fleet_migration', { to_version: 2, tenants: howMany })
  if (error) throw error
  return (data as unknown as Trial[]).map(({ job_id: id }) => id)
}

async function trials(jobs: readonly string[]): Promise<Trial[]> {
  const { data, error } = await project.admin.rpc('schema_trials', { job_ids: [...jobs] })
  if (error) throw error
  return data as unknown as Trial[]
}

/** Of all tenants, beside the first one of each. */
async function branches(): Promise<string[]> {
  const all = await Promise.all(
    tenants.map(({ projectId }) => project.neon.listProjectBranches({ projectId })),
  )
  return all.flatMap(({ data }) => data.branches.filter((each) => !each.default).map(({ name }) => name))
}

/** The checks of the table in the tenant's own database. */
async function checksOf({ organizationId }: HealthTenant): Promise<number> {
  const api = await loginConnection(project, organizationId, 'schema')
  const [row] = await api<{ checks: number }[]>`
    select count(*)::int as checks from pg_constraint where conrelid = (select oid from pg_class where relname = 'rated') and contype = 'c'`
  await api.end({ timeout: 1 })
  return row?.checks ?? -1
}

describe('a trial of the tenant schema', () => {
  it('applies the files to copies, wakes nobody, changes no tenant, says who cannot take them, and leaves nothing', async () => {
    const [full] = tenants
    if (!full) throw new Error('there are tenants')
    await untilUnused(project)
    aheadMs += 2 * HOUR_MS
    const { wakeUps } = project.neonEmulator.stats
    const jobs = await begin(3)
    await workUntilEnded(jobs)
    const came = await trials(jobs)
    expect(came).toHaveLength(2)
    for (const { organization_id: id, ...trial } of came)
      if (id === full.organizationId)
        expect(trial).toMatchObject({
          state: 'refused',
          code: 'tenant_schema_failed',
          message: expect.stringContaining('check constraint "rated_stars_check"'),
        })
      else expect(trial).toMatchObject({ state: 'applied', code: null })
    expect(project.neonEmulator.stats.wakeUps, 'who slept sleeps').toBe(wakeUps)
    expect(await branches()).toEqual([])
    const rows = await project.sql`select distinct schema_version from public.organization_databases`
    expect(rows).toEqual([{ schema_version: 1 }])
    expect(await Promise.all(tenants.map(checksOf))).toEqual([0, 0])
  })

  it('makes one branch when the answer is lost', async () => {
    const before = project.neonEmulator.stats.calls.createProjectBranch ?? 0
    const jobs = await begin(1)
    project.neonEmulator.faults.add({
      match: { operation: 'createProjectBranch' },
      action: { type: 'act_then_reset' },
      times: 1,
    })
    await workUntilEnded(jobs)
    expect(await trials(jobs)).toMatchObject([{ state: expect.stringMatching(/^(applied|refused)$/) }])
    expect(project.neonEmulator.stats.calls.createProjectBranch).toBe(before + 1)
    expect(await branches()).toEqual([])
  })

  it('keeps its result when the branch cannot be deleted at once, and deletes it later', async () => {
    const { createProjectBranch: made = 0, deleteProjectBranch: deleted = 0 } =
      project.neonEmulator.stats.calls
    const jobs = await begin(1)
    project.neonEmulator.faults.add({
      match: { operation: 'deleteProjectBranch' },
      action: { type: 'status', status: 500 },
      times: 2,
    })
    await workUntilEnded(jobs)
    expect(await trials(jobs)).toMatchObject([{ state: expect.stringMatching(/^(applied|refused)$/) }])
    expect(project.neonEmulator.stats.calls).toMatchObject({
      createProjectBranch: made + 1,
      deleteProjectBranch: deleted + 3,
    })
    expect(await branches()).toEqual([])
  })

  it('says so when the plan has no branch left', async () => {
    project.neonEmulator.setLimits({ maxBranches: 1 })
    const jobs = await begin(1)
    await work()
    expect(await trials(jobs)).toMatchObject([{ state: 'refused', code: 'neon_branch_limit_reached' }])
  })

  it('is refused when nobody is behind', async () => {
    const { error } = await project.admin.rpc('try_fleet_migration', { to_version: 1 })
    expect(error?.message).toBe('No tenant whose database can be copied is behind version 1.')
  })
})

describe('a branch', () => {
  it('has a compute of its own, which is not taken for the tenant’s', async () => {
    const [tenant] = tenants
    if (!tenant) throw new Error('there are tenants')
    await openBranch(tenant, 'try-schema-beside', HOUR_MS)
    await project.neon.suspendProjectEndpoint(tenant.projectId, tenant.endpointId)
    expect(await neon().compute(tenant.projectId)).toMatchObject({ ok: true, value: { state: 'idle' } })
  })

  it('that was left over goes by itself', async () => {
    const [tenant] = tenants
    if (!tenant) throw new Error('there are tenants')
    await openBranch(tenant, 'try-schema-left', HOUR_MS)
    expect(await branches()).toEqual(['try-schema-left'])
    await untilUnused(project)
    aheadMs += 2 * HOUR_MS
    expect(await branches()).toEqual([])
  })

  it('that was left over for a day is found by reconciliation, and deleted where that deletes', async () => {
    const [tenant] = tenants
    if (!tenant) throw new Error('there are tenants')
    await openBranch(tenant, 'try-schema-old', 1_000 * HOUR_MS)
    await openBranch(tenant, 'of-the-people', 1_000 * HOUR_MS)
    await project.sql`update provisioning.resource_kinds set lasts_hours = 1000 where kind = 'neon_branch'`
    expect(await reconcile(), 'it may be at work').toEqual([])
    await project.sql`update provisioning.resource_kinds set lasts_hours = 24 where kind = 'neon_branch'`
    expect(await reconcile()).toMatchObject([
      { kind: 'duplicate', resourceId: expect.stringContaining(`${tenant.projectId}/br-`), deletedAt: null },
    ])
    await project.sql`update provisioning.settings set reconcile_delete = true, reconcile_grace_hours = 0`
    expect(await reconcile()).toMatchObject([{ deletedAt: expect.any(String) }])
    expect(await branches()).toEqual(['of-the-people'])
  })
})

async function openBranch({ projectId }: HealthTenant, name: string, lastsMs: number): Promise<void> {
  const { databaseName = '', roleName = '' } = await databaseOf(projectId)
  const spec = { projectId, name, databaseName, roleName, expiresAt: new Date(now() + lastsMs) }
  const opened = await neon().openBranch(spec, async () => undefined)
  if (!opened.ok) throw new Error(`The branch ${name} was not opened: ${opened.failure.message}`)
}

/** @returns what it has found of branches */
async function reconcile(): Promise<unknown[]> {
  const reply = await fetch(`${project.services.url}/functions/v1/reconcile-tenants`, {
    method: 'POST',
    headers: { apikey: project.keys.secretKey, 'content-type': 'application/json' },
    body: '{"wait": true, "dryRun": false}',
  })
  const { findings, gaps } = (await reply.json()) as {
    findings: { resourceKind: string }[]
    gaps: Record<string, string>
  }
  expect(gaps.neon_branch).toBeUndefined()
  return findings.filter((each) => each.resourceKind === 'neon_branch')
}

async function databaseOf(projectId: string): Promise<{ databaseName?: string; roleName?: string }> {
  const [row] = await project.sql<{ databaseName: string; roleName: string }[]>`
    select database_name as "databaseName", 'tenant_' || replace(organization_id::text, '-', '') as "roleName"
    from public.organization_databases where neon_project_id = ${projectId}`
  return row ?? {}
}

describe('npm run tenants -- migrate --try-on-branch', () => {
  it('says before what it costs and how many branches the plans have, and after who can take the files', async () => {
    const environment = operatorOf(project)
    const planned = await command(environment, 'migrate', '--to', '2', '--try-on-branch', '2', '--dry-run')
    expect(planned.stdout).toContain('branches of up to 2 tenants’ Neon projects, chosen among the 2')
    expect(planned.stdout).toMatch(/Free and Launch include 10 for\s+each project, Scale 25/)
    const [{ jobs } = { jobs: -1 }] = await project.sql<{ jobs: number }[]>`
      select count(*)::int as jobs from public.provisioning_jobs where kind = 'try_schema' and status = 'queued'`
    expect(jobs).toBe(0)
    const running = command(environment, 'migrate', '--to', '2', '--try-on-branch', '--yes')
    let hasEnded = false
    void running.finally(() => {
      hasEnded = true
    })
    while (!hasEnded) await work()
    const { code, stdout } = await running
    expect(code).toBe(1)
    expect(stdout).toMatch(/: applied in \d+ ms/)
    expect(stdout).toMatch(
      /: refused\. A file of the tenant schema failed.*0002_test\.sql.*rated_stars_check/,
    )
    expect(stdout).not.toContain('all tenants follow')
  })
})
