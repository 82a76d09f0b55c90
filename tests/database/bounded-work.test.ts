import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { type Caller, enterRole } from '../support/roles.ts'
import { createOnlyJob, Engine, type Lease } from './engine.ts'
import { only, openProject, type Project, type Tenant } from './project.ts'

const FINISHED_JOBS = 20_000
const ORGANIZATIONS = 5000
/** With fewer profiles a look at all of them costs less than the index of the search. */
const STRANGERS = 20_000

let project: Project
let tenant: Tenant
let lease: Lease

beforeAll(async () => {
  project = await openProject()
  tenant = await createOnlyJob(project)
  await project.sql.unsafe(`
    update provisioning.settings set organizations_per_user = ${2 * ORGANIZATIONS};
    insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
    select 'Many', 'many-' || n, '${tenant.user.id}', 'us-east-1', 'us-east-1', '{}' from generate_series(1, ${ORGANIZATIONS}) n;
    insert into public.organization_databases (organization_id, region, size)
    select id, 'aws-us-east-1', 'small' from public.organizations on conflict do nothing;
    insert into public.provisioning_jobs (organization_id, kind, status, finished_at, created_at)
    select gen_random_uuid(), 'provision', 'succeeded', now(), now() - interval '1 day' from generate_series(1, ${FINISHED_JOBS});
    insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on, status, finished_at)
    select j.id, 'stripe_customer', j.organization_id, 'stripe', 1, '{}', 'succeeded', now()
    from public.provisioning_jobs j where j.status = 'succeeded'`)
  await project.superuser.unsafe(`
    set session_replication_role = replica;
    insert into auth.users (id, email) select gen_random_uuid(), n || '@many.example' from generate_series(1, ${ORGANIZATIONS}) n;
    insert into public.profiles (id, email, organization_id) select u.id, u.email, gen_random_uuid() from auth.users u
      on conflict do nothing;
    insert into public.organization_members (organization_id, user_id) select p.organization_id, p.id from public.profiles p
      on conflict do nothing;
    insert into public.wallets (user_id, currency) select id, 'usd' from auth.users on conflict do nothing;
    insert into public.provisioning_events (organization_id, event_type, resource_type, status)
      select organization_id, 'test', 'test', 'test' from public.profiles;
    insert into public.audit_logs (organization_id, actor_type, action, resource_type)
      select organization_id, 'system', 'test', 'test' from public.profiles;
    insert into public.profiles (id, email) select gen_random_uuid(), n || '@more.example' from generate_series(1, ${STRANGERS}) n;
    reset session_replication_role`)
  await project.superuser.unsafe('analyze')
  lease = only(await new Engine(project.sql).claim())
})

afterAll(async () => {
  await project.close()
})

/** Rows that a piece of work read by sequential scans of our big tables; it is rolled back. */
async function rowsScanned(work: (tx: postgres.TransactionSql) => Promise<unknown>): Promise<object> {
  const measured: Record<string, number> = {}
  await project.sql
    .begin(async (tx) => {
      // The counters still hold what earlier transactions of this connection have not reported yet.
      const before = new Map((await scannedSoFar(tx)).map(({ table, rows }) => [table, rows]))
      await work(tx)
      for (const { table, rows } of await scannedSoFar(tx)) {
        const scanned = rows - (before.get(table) ?? 0)
        if (scanned > 100) measured[table] = scanned
      }
      throw new Measured()
    })
    .catch((error: unknown) => {
      if (!(error instanceof Measured)) throw error
    })
  return measured
}

class Measured extends Error {}

class Counted extends Error {
  readonly rows: number
  constructor(rows: number) {
    super()
    this.rows = rows
  }
}

const scannedSoFar = (tx: postgres.TransactionSql) => tx<{ table: string; rows: number }[]>`
  select relname as table, seq_tup_read::int as rows from pg_stat_xact_user_tables
  where schemaname in (${PUBLIC_SCHEMA}, 'auth', 'provisioning')
    -- A handful of rows, however many tenants there are; reading it as a whole, again and again, is the cheapest way.
    and relname <> 'job_kinds'`

describe(`with ${FINISHED_JOBS} finished jobs and ${ORGANIZATIONS} tenants, no table is read as a whole by`, () => {
  it.each<[string, (tx: postgres.TransactionSql) => Promise<unknown>]>([
    ['claim_jobs', async (tx) => tx`select * from provisioning.claim_jobs('{provision}', 10)`],
    ['next_due_at', async (tx) => tx`select provisioning.next_due_at('{provision}')`],
    ['ring_for_due_work', async (tx) => tx`select provisioning.ring_for_due_work('{provision}')`],
    ['sweep', async (tx) => tx`select provisioning.sweep()`],
    ['ready_steps', async (tx) => tx`select provisioning.ready_steps(${lease.jobId})`],
    ['extend_lease', async (tx) => new Engine(tx).extend(lease)],
    ['a run of every step', async (tx) => new Engine(tx).run(lease)],
    ['enqueue', async (tx) => tx`select provisioning.enqueue(${tenant.organizationId}, 'provision')`],
    [
      'ensure_user_provisioned',
      async (tx) => tx`select provisioning.ensure_user_provisioned(${tenant.user.id})`,
    ],
    [
      'request_provisioning',
      async (tx) => tx`select * from provisioning.request_provisioning(${tenant.organizationId})`,
    ],
    [
      'record_stripe_customer',
      async (tx) => tx`select provisioning.record_stripe_customer(${lease.jobId}, ${lease.token}, 'cus_1')`,
    ],
    [
      'record_neon_project',
      async (
        tx,
      ) => tx`select provisioning.record_neon_project(${lease.jobId}, ${lease.token}, 'p', 'b', 'e', 'h', 'ph',
        5432, 'd', 'require', 'n', null, null)`,
    ],
    [
      'record_schema_version',
      async (tx) => tx`select provisioning.record_schema_version(${lease.jobId}, ${lease.token}, 2)`,
    ],
    [
      'record_verified_connection',
      async (tx) => tx`select provisioning.record_verified_connection(${lease.jobId}, ${lease.token}, true)`,
    ],
  ])('%s', async (_, work) => {
    expect(await rowsScanned(work)).toEqual({})
  })

  it('a sign-up', async () => {
    expect(
      await rowsScanned(
        (tx) => tx`insert into auth.users (id, email) values (gen_random_uuid(), 'bounded@example.com')`,
      ),
    ).toEqual({})
  })
})

describe('what a member asks for over the Data API costs as much as their organization is big:', () => {
  it.each([
    'organizations',
    'organization_databases',
    'organization_members',
    'profiles',
    'wallets',
    'provisioning_jobs',
    'provisioning_steps',
    'provisioning_events',
    'audit_logs',
  ])('all of %s that they may see', async (table) => {
    const scanned = await rowsScanned(async (tx) => {
      await enterRole(tx, { role: 'authenticated', userId: tenant.user.id })
      await tx`select 1 from ${tx(`public.${table}`)}`
    })
    expect(scanned).toEqual({})
  })
})

describe('a search for a profile reads an index, not everybody, when asked by', () => {
  it.each<[string, () => Caller, string]>([
    ['a service', () => ({ role: 'service_role' }), 'colleagues'],
    ['a user', () => ({ role: 'authenticated', userId: tenant.user.id }), 'colleagues'],
    ['a user who may find everybody', () => ({ role: 'authenticated', userId: tenant.user.id }), 'everyone'],
  ])('%s', async (_, caller, profileSearch) => {
    await project.sql`update provisioning.settings set profile_search = ${profileSearch}`
    const scanned = await rowsScanned(async (tx) => {
      await enterRole(tx, caller())
      await tx`select id from public.search_profiles('4711@many')`
    })
    await project.sql`update provisioning.settings set profile_search = default`
    expect(scanned).toEqual({})
  })
})

it('a search for what everybody has in the address looks at a few hundred of them', async () => {
  const read = await project.sql
    .begin(async (tx) => {
      const rows = async () =>
        only(
          await tx<{ rows: number }[]>`select (seq_tup_read + idx_tup_fetch)::int as rows
            from pg_stat_xact_user_tables where relid = 'public.profiles'::regclass`,
        ).rows
      await enterRole(tx, { role: 'service_role' })
      const before = await rows()
      const found = await tx`select id from public.search_profiles('many.example')`
      expect(found).toHaveLength(20)
      throw new Counted((await rows()) - before)
    })
    .catch((error: unknown) => {
      if (error instanceof Counted) return error.rows
      throw error
    })
  expect(read).toBeLessThan(ORGANIZATIONS / 2)
})

it('a scan of a whole table would be seen here', async () => {
  const count = (tx: postgres.TransactionSql) =>
    tx`select count(*) from public.provisioning_steps where status = 'running'`
  expect(await rowsScanned(count)).toEqual({ provisioning_steps: expect.any(Number) })
})
