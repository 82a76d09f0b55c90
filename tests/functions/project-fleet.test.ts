import postgres from 'postgres'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createWorker } from '../../shared/engine/worker.ts'
import { tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { databaseSteps } from '../../shared/services/database/index.ts'
import { createMigrateSchema } from '../../shared/services/database/migrate-schema.ts'
import { connectSupabase } from '../../shared/services/supabase/client.ts'
import { supabaseEnvironment } from '../../shared/services/supabase/environment.ts'
import { supabaseHost } from '../../shared/services/supabase/host.ts'
import { latestSchemaVersion } from '../../shared/tenant-database/latest-schema-version.ts'
import { ProjectTier } from './project-tier.ts'

const NEXT = {
  version: latestSchemaVersion + 1,
  name: `${String(latestSchemaVersion + 1).padStart(4, '0')}_next.sql`,
  sql: `create table public.brought_later (n integer); alter table public.brought_later enable row level security;
    create policy all_rows on public.brought_later using (true)`,
}

let tier: ProjectTier

beforeAll(async () => {
  tier = await ProjectTier.open()
  // The functions have files of their own; this kind of job has a worker in this process, with those of the test.
  await tier.sql`insert into provisioning.workers values ('fleet', 'nowhere')`
  await tier.sql`update provisioning.job_kinds set worker = 'fleet' where kind = 'migrate_schema'`
})
afterAll(() => tier?.[Symbol.asyncDispose]())

async function work(): Promise<void> {
  const connect = connectSupabase(supabaseEnvironment.parse(tier.variables), tier.database)
  const steps = databaseSteps([supabaseHost(connect)], createMigrateSchema([...tenantSchemaFiles, NEXT]))
  await createWorker({ sql: tier.database, steps }, 'fleet').ring()
}

async function hasTable(id: string): Promise<boolean> {
  const { databaseUrl = '' } = await tier.secrets(id)
  const sql = postgres(databaseUrl, { max: 1 })
  const [row] = await sql`select to_regclass('public.brought_later') is not null as found`.finally(() =>
    sql.end(),
  )
  return row?.found === true
}

it('a fleet migration brings clients with a project of their own to its version, and restores no paused one', async () => {
  const ids = [await tier.tenant(), await tier.tenant()] as const
  for (const id of ids) expect(await tier.workToEnd(id)).toBe('succeeded')
  const [active, paused] = ids
  const ref = (await tier.resource(paused))?.ref ?? ''
  tier.emulator.changeProject(ref, { status: 'INACTIVE' })
  const { calls } = tier.emulator.stats

  await tier.sql`select provisioning.start_fleet_migration(${NEXT.version}, 100, 8, 0)`
  await work()
  const rows = await tier.sql<{ id: string; state: string; version: number }[]>`
    select t.organization_id as id, t.state, d.schema_version as version from provisioning.fleet_migration_tenants t
    join public.organization_databases d using (organization_id)`
  expect(Object.fromEntries(rows.map(({ id, state, version }) => [id, [state, version]]))).toEqual({
    [active]: ['done', NEXT.version],
    [paused]: ['asleep', latestSchemaVersion],
  })
  expect(await hasTable(active)).toBe(true)
  expect(tier.emulator.stats.calls.v1RestoreAProject).toBe(calls.v1RestoreAProject)

  // Somebody has restored it.
  tier.emulator.changeProject(ref, { status: null })
  expect(await hasTable(paused)).toBe(false)
})
