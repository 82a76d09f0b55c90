import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SchemaFile, tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { isSchemaDue } from '../../shared/health/schema-look.ts'
import { applyAndLearn } from '../../shared/services/database/learn-schema.ts'
import { filesChecksum } from '../../shared/tenant-database/apply-schema.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { createTenantDatabase, type TenantDatabase } from '../support/tenant-database.ts'
import { strongestConnection } from '../support/tenant-logins.ts'
import { callHealth, readHealth } from './health-project.ts'

let project: TestProject
let tenant: SignedUp
let owner: postgres.Sql

beforeAll(async () => {
  project = await startTestProject()
  tenant = await project.signUp()
  await project.waitFor(tenant.organizationId)
  owner = await strongestConnection(project, tenant.organizationId)
})

afterAll(async () => {
  await owner?.end({ timeout: 1 })
  await project?.stop()
})

async function check() {
  const { organizationId } = tenant
  expect(await callHealth(project, { organizationId, deep: true })).toMatchObject({ status: 200 })
  const { status, reasons, metrics } = await readHealth(project, organizationId)
  const [database] = await project.sql<{ since: Date | null }[]>`
    select schema_drift_at as since from public.organization_databases where organization_id = ${organizationId}`
  const differences = metrics.schema_differences
  return {
    status,
    codes: reasons.map(({ code }) => code),
    reasons,
    differences,
    since: database?.since,
    metrics,
  }
}

const SOUND = { status: 'healthy', codes: [], differences: undefined, since: null }

describe('a tenant’s schema', () => {
  it('is recorded when the files have been applied, and found as they made it', async () => {
    const recorded = await project.sql`
      select schema_version as version, files_checksum as files, jsonb_array_length(names -> 'relations' -> 'public') > 21 as whole
      from provisioning.tenant_schemas`
    const version = tenantSchemaFiles.length
    expect(recorded).toEqual([{ version, files: filesChecksum(version), whole: true }])
    const found = await check()
    expect(found).toMatchObject(SOUND)
    expect(Date.parse(String(found.metrics.schema_looked_at))).toBeGreaterThan(Date.now() - 60_000)
  })

  it('may have tables, views, functions and plain indexes of the owner’s beside it', async () => {
    await owner.unsafe(`
      create schema own; create table own.invoices (id int primary key, contact_id uuid references public.contacts);
      create table public.invoices (id int); alter table public.invoices enable row level security;
      create policy own on public.invoices using (true);
      create view public.customers as select id from public.contacts where status = 'customer';
      create function tenant.readable(text) returns text language sql as 'select $1';
      create index contacts_job_title_idx on public.contacts (job_title)`)
    expect(await check()).toMatchObject(SOUND)
  })

  it.each([
    [
      'a column that is gone, and others that are new or changed',
      `alter table public.contacts drop column notes; alter table public.contacts add column vat text;
        alter table public.contacts alter column status set default 'customer'`,
      `alter table public.contacts drop column vat; alter table public.contacts alter column status set default 'lead';
        alter table public.contacts add column notes text
          constraint contacts_notes_are_short check (char_length(notes) <= 10000)`,
      [
        'column public.contacts.notes is missing',
        'column public.contacts.status is changed',
        'column public.contacts.vat is added',
        'constraint contacts_notes_are_short on public.contacts is missing',
      ],
    ],
    [
      'row level security that is off, a policy that is open, and rights that were given',
      `alter table public.deals disable row level security; create policy everyone on public.companies using (true);
        grant delete on public.audit_log to public`,
      `alter table public.deals enable row level security; drop policy everyone on public.companies;
        revoke delete on public.audit_log from public`,
      [
        'policy everyone on public.companies is added',
        'rights on public.audit_log is changed',
        'table public.deals is changed',
      ],
    ],
    [
      'a function that answers otherwise, a trigger, a label, an index and a unique one',
      `create or replace function tenant.overseen() returns uuid language sql stable as 'select null::uuid';
        create trigger spy after insert on public.deals for each row execute function tenant.keep_times();
        drop index public.deals_created_at_idx; create unique index one_name on public.deals (name)`,
      `create or replace function tenant.overseen() returns uuid
        language plpgsql stable parallel safe set search_path = '' as $$
begin
  return case when tenant.is_in_charge() then tenant.readable() end;
end
$$;
        drop trigger spy on public.deals; drop index public.one_name;
        create index deals_created_at_idx on public.deals (created_at)`,
      [
        'function tenant.overseen() is changed',
        'index public.deals_created_at_idx is missing',
        'index public.one_name is added',
        'trigger spy on public.deals is added',
      ],
    ],
  ])('shows %s, and that it was undone', async (_what, change, undo, differences) => {
    await owner.unsafe(change)
    const drifted = await check()
    expect(drifted).toMatchObject({ status: 'degraded', codes: ['schema_drift'], differences })
    expect(drifted.since).toBeInstanceOf(Date)
    expect(drifted.reasons[0]?.message).toContain(differences[0])
    const [fleet] = await project.sql`select provisioning.fleet_migration_status() -> 'drifted' as drifted`
    expect(fleet?.drifted).toMatchObject({
      count: 1,
      tenants: [{ organization_id: tenant.organizationId, differences }],
    })
    // The first finding says since when.
    expect((await check()).since).toEqual(drifted.since)
    await owner.unsafe(undo)
    expect(await check()).toMatchObject(SOUND)
  })

  it('that the endpoint found wanting is looked at, and the note goes when nothing is', async () => {
    await project.sql`select provisioning.note_schema_drift(${tenant.organizationId})`
    expect(await check()).toMatchObject(SOUND)
  })

  it('is read in the catalogue, whatever the owner puts in front of it', async () => {
    await owner.unsafe(`create table public.pg_policy (polname text); alter table public.pg_policy enable row level security;
      create policy own on public.pg_policy using (true);
      create function public.pg_get_expr(text, oid) returns text language sql as 'select null::text';
      alter table public.deals no force row level security; alter table public.deals disable row level security`)
    const [of] = await owner<{ database: string }[]>`select current_database() as database`
    // What an owner who owned the database could do, too.
    await project.superuser.unsafe(`alter database ${of?.database} set search_path = public, pg_catalog`)
    expect(await check()).toMatchObject({ differences: ['table public.deals is changed'] })
    await owner.unsafe('alter table public.deals enable row level security')
    expect(await check()).toMatchObject(SOUND)
  })

  it('that is locked keeps no check waiting, and what was known of it stays', async () => {
    await owner.unsafe('alter table public.deals disable row level security')
    await check()
    await owner.unsafe('begin; lock table public.contacts in access exclusive mode')
    try {
      expect(await check()).toMatchObject({
        codes: ['schema_drift'],
        differences: ['table public.deals is changed'],
      })
    } finally {
      await owner.unsafe('rollback; alter table public.deals enable row level security')
    }
    expect(await check()).toMatchObject(SOUND)
  })

  it('is told in a few words, however much was changed', async () => {
    await owner.unsafe(`do $$ begin for n in 1..300 loop
      execute format('create policy %I on public.contacts using (true)', repeat('p', 50) || n); end loop; end $$`)
    const { differences, reasons } = await check()
    expect(differences).toHaveLength(20)
    expect(reasons[0]?.message).toMatch(/, and 17 more\. /)
    expect(reasons[0]?.message.length).toBeLessThan(500)
    await owner.unsafe(`do $$ begin for n in 1..300 loop
      execute format('drop policy %I on public.contacts', repeat('p', 50) || n); end loop; end $$`)
  })

  it('is looked at once an hour, sooner when something is wrong, and whenever somebody asks', () => {
    const now = Date.now()
    const ago = (minutes: number) => new Date(now - minutes * 60_000)
    const due = (minutes: number, differences?: string[], schemaDriftAt: Date | null = null, asked = false) =>
      isSchemaDue(
        {
          metrics: {
            schema_looked_at: ago(minutes).toISOString(),
            ...(differences ? { schema_differences: differences } : {}),
          },
          schemaDriftAt,
        },
        asked,
        now,
      )
    expect([due(59), due(61)]).toEqual([false, true])
    expect([due(4, ['x']), due(6, ['x'])]).toEqual([false, true])
    expect([due(4, undefined, ago(1)), due(6, undefined, ago(1))]).toEqual([false, true])
    expect(due(1, undefined, null, true)).toBe(true)
    expect(isSchemaDue({ metrics: {}, schemaDriftAt: null }, false, now)).toBe(true)
  })
})

describe('what the files make', () => {
  const one: SchemaFile = {
    version: 1,
    name: '0001_one.sql',
    sql: `create table public.one (id int); alter table public.one enable row level security;
      create policy own on public.one using (true)`,
  }
  const two: SchemaFile = {
    version: 2,
    name: '0002_two.sql',
    sql: 'alter table public.one add column two int',
  }
  const THEIRS = `create table public.theirs (id int); alter table public.theirs enable row level security;
    create policy own on public.theirs using (true)`

  /** Applies files to a database in which this was done before, and removes it. @returns what is recorded then */
  async function applied(
    files: readonly SchemaFile[],
    before: {
      readonly version: number | null
      readonly did?: (database: TenantDatabase) => Promise<unknown>
    },
  ) {
    const database = await createTenantDatabase(['schema'])
    const schema = database.connect('schema')
    try {
      if (before.version !== null)
        await applyAndLearn(
          project.sql,
          schema,
          files.filter(({ version }) => version <= (before.version ?? 0)),
          null,
          'database',
        )
      await before.did?.(database)
      const done = await applyAndLearn(project.sql, schema, files, before.version, 'database')
      expect(done).toEqual({ ok: true, value: files.length })
    } finally {
      await schema.end({ timeout: 1 })
      await database.drop()
    }
    return project.sql`select schema_version as version, names -> 'relations' as relations from provisioning.tenant_schemas
      where files_checksum in (${filesChecksum(1, [one]) ?? ''}, ${filesChecksum(2, [one, two]) ?? ''}) order by 1`
  }
  const asOwner = (statement: string) => (database: TenantDatabase) =>
    database.admin.unsafe(`set role ${database.name}_owner; ${statement}; reset role`)
  const ONE = { version: 1, relations: { public: ['one'] } }

  it('is learned from no database that somebody else could have been in, whatever our rows say of it', async () => {
    expect(await applied([one], { version: null, did: asOwner(THEIRS) })).toEqual([])
    const login = ({ admin, name }: TenantDatabase) => admin.unsafe(`create role ${name}_access_1 login`)
    expect(await applied([one], { version: null, did: login })).toEqual([])
    expect(await applied([one], { version: null })).toEqual([ONE])
  })

  it('is learned from a new database again when there is another file, and from none that is migrated', async () => {
    expect(await applied([one, two], { version: 1 })).toEqual([ONE])
    expect(await applied([one, two], { version: 1, did: asOwner(THEIRS) })).toEqual([ONE])
    expect(await applied([one, two], { version: null })).toEqual([ONE, { ...ONE, version: 2 }])
  })
})
