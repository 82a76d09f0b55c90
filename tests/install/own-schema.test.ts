import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { renderedMigrations } from '../../cli/install/migrations.ts'
import { renderFile, schemaNameProblem } from '../../cli/install/render-schema.ts'
import { createProjectKeys, type ProjectKeys } from '../../local/gateway/keys.ts'
import type { ProjectServices } from '../../local/project-services.ts'
import { projectRoot } from '../../tools/project.ts'
import { catalogue } from '../database/catalogue.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/project.ts'
import { writeRenderedCopy } from '../support/rendered-copy.ts'
import { type Caller, runAs } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'

const SCHEMA = 'tenancy'

/** What the project had: the quick start's profiles, tenants of its own, and triggers before and after ours. */
const THEIRS = `
  create table public.profiles (id uuid not null references auth.users on delete cascade primary key, full_name text);
  alter table public.profiles enable row level security;
  create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
  create policy "Users can update own profile." on public.profiles for update using ((select auth.uid()) = id);
  create table public.organizations (id uuid primary key default gen_random_uuid(), name text not null,
    owner_id uuid references auth.users (id) on delete cascade);
  create index organizations_owner_id_idx on public.organizations (owner_id);
  create table public.audit_logs (id bigint generated always as identity primary key, what text);
  create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      insert into public.profiles (id, full_name) values (new.id, new.raw_user_meta_data ->> 'full_name');
      insert into public.organizations (name, owner_id) values ('Team of ' || new.email, new.id);
      return new;
    end $$;
  create trigger on_auth_user_created after insert on auth.users
    for each row execute procedure public.handle_new_user();
  create function public.note_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      insert into public.audit_logs (what) values (tg_op || ' ' || new.email);
      return new;
    end $$;
  create trigger zz_note_user after insert or update on auth.users for each row execute procedure public.note_new_user();
  create trigger aa_note_user before insert on auth.users for each row execute procedure public.note_new_user();`

let copy: string
beforeAll(async () => {
  copy = await mkdtemp(path.join(tmpdir(), 'own-schema-'))
  await writeRenderedCopy(copy, SCHEMA)
})
afterAll(() => rm(copy, { recursive: true, force: true }))

describe('a project with tables of our names, and all of ours in another schema', () => {
  let database: TestDatabase
  let sql: postgres.Sql
  let superuser: postgres.Sql
  let keys: ProjectKeys
  let services: ProjectServices
  let before: string[]

  beforeAll(async () => {
    database = await createTestDatabase('platform')
    const pool = (role?: string) => postgres(database.url(role), { max: 2, onnotice: () => undefined })
    sql = pool()
    superuser = pool('supabase_admin')
    await sql.unsafe(THEIRS)
    before = await catalogue(superuser)
    // The programs of the copy work on the copy: its migrations, its functions, its configuration.
    const program = <T>(file: string) => import(path.join(copy, file)) as Promise<T>
    const { migrate } =
      await program<typeof import('../../local/postgres/migrate.ts')>('local/postgres/migrate.ts')
    const { startProjectServices } =
      await program<typeof import('../../local/project-services.ts')>('local/project-services.ts')
    await migrate(database.url())
    keys = await createProjectKeys()
    services = await startProjectServices({
      postgresPort: inject('postgresPort'),
      database: database.name,
      keys,
    })
    await services.worker.pauseCron()
    await sql`
      select vault.update_secret(id, ${`${services.url}/functions/v1`}) from vault.secrets where name = 'functions_base_url'`
  })

  afterAll(async () => {
    await services?.stop({ dropTenants: true })
    await Promise.all([sql, superuser].map((pool) => pool?.end({ timeout: 1 })))
    await database?.drop()
  })

  it('keeps every object of theirs, and gets none beside them in their schema', async () => {
    const after = await catalogue(superuser)
    expect(before.filter((line) => !after.includes(line))).toEqual([])
    const inPublic = (lines: readonly string[]) => lines.filter((line) => /\bpublic[. ]/.test(line))
    expect(inPublic(before).length).toBeGreaterThan(20)
    expect(inPublic(after)).toEqual(inPublic(before))
  })

  it('makes a ready tenant of who signs up, in our schema, while their triggers do what they did', async () => {
    const client = createClient(services.url, keys.publishableKey, { auth: { persistSession: false } })
    const { data, error } = await client.auth.signUp({
      email: 'ada@example.com',
      password: 'correct horse battery staple',
      options: { data: { full_name: 'Ada', organization_name: 'Engines' } },
    })
    expect(error).toBeNull()
    const mine = await until('ready organization', async () => {
      const { data: rows } = await client
        .schema(SCHEMA)
        .from('organizations')
        .select('name, provisioning_status')
      return rows?.[0]?.provisioning_status.overall === 'ready' ? rows : undefined
    })
    expect(mine.map(({ name }) => name)).toEqual(['Engines'])
    const { data: found } = await client.schema(SCHEMA).rpc('search_profiles', { query: 'Ada' })
    expect(found).toMatchObject([{ id: data.user?.id, full_name: 'Ada' }])
    const { data: theirs } = await client.from('profiles').select()
    expect(theirs).toEqual([{ id: data.user?.id, full_name: 'Ada' }])
    expect([...(await sql`select name, owner_id from public.organizations`)]).toEqual([
      { name: 'Team of ada@example.com', owner_id: data.user?.id },
    ])
    expect((await sql`select what from public.audit_logs`).map(({ what }) => what)).toContain(
      'INSERT ada@example.com',
    )
    const { data: told } = await createClient(services.url, keys.secretKey, { db: { schema: SCHEMA } }).rpc(
      'describe_tenant',
      { subject: 'ada@example.com' },
    )
    expect(told).toMatchObject({ verdict: { ready: true } })
  })

  it('shows a tenant that is ready to its people, and to nobody else, in each table of the schema', async () => {
    const auth = postgres(database.url('supabase_auth_admin'), { max: 1 })
    const api = postgres(database.url('authenticator'), { max: 1 })
    try {
      const stranger = (await signUp(auth)).id
      const [ada] = await sql<{ user: string; organization: string }[]>`
        select owner_id as user, id as organization from tenancy.organizations where name = 'Engines'`
      if (!ada) throw new Error('Nobody is ready.')
      const tables = await sql<{ table: string; whose: string }[]>`
        select c.relname as table, coalesce(max(a.attname) filter (where a.attname = 'organization_id' and c.relname <> 'profiles'),
          max(a.attname) filter (where a.attname = 'user_id'), 'id') as whose
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = ${SCHEMA}::regnamespace and c.relkind in ('r', 'p') and not c.relispartition group by c.relname`
      const seen = async (table: string, whose: string, caller: Caller) =>
        runAs(
          api,
          caller,
          (tx) => tx`
            select from ${tx(SCHEMA)}.${tx(table)} where ${tx(whose)} in (${ada.user}, ${ada.organization})`,
        ).then(
          (rows) => rows.length,
          (error: postgres.PostgresError) => error.code,
        )
      const filled: string[] = []
      for (const { table, whose } of tables) {
        const rows = await sql`
          select from ${sql(SCHEMA)}.${sql(table)} where ${sql(whose)} in (${ada.user}, ${ada.organization})`
        if (rows.length > 0) filled.push(table)
        const own = await seen(table, whose, { role: 'authenticated', userId: ada.user })
        expect([rows.length, '42501'], `${table}, its owner`).toContain(own)
        expect(await seen(table, whose, { role: 'authenticated', userId: stranger }), table).toBe(
          own === '42501' ? own : 0,
        )
        expect(await seen(table, whose, { role: 'anon' }), `${table}, anon`).toBe('42501')
      }
      expect(filled.length).toBeGreaterThan(8)
      const write = (statement: string) =>
        runAs(api, { role: 'authenticated', userId: stranger }, (tx) => tx.unsafe(statement)).then(
          ({ count }) => count,
          (error: postgres.PostgresError) => error.code,
        )
      expect(
        await write(`update tenancy.organizations set name = 'Mine' where id = '${ada.organization}'`),
      ).toBe(0)
      expect(await write(`update tenancy.profiles set full_name = 'Me' where id = '${ada.user}'`)).toBe(0)
      expect(
        await write(
          `insert into tenancy.organization_members values ('${ada.organization}', '${stranger}', 'owner')`,
        ),
      ).toBe('42501')
    } finally {
      await Promise.all([auth.end(), api.end()])
    }
  })
})

describe('the rendering', () => {
  it('leaves no file of ours with the name of another schema', async () => {
    const migrations = await renderedMigrations(SCHEMA)
    const left = migrations.flatMap(({ name, text }) =>
      text
        .split('\n')
        .filter((line) => /\bpublic\b/.test(line.replace(/\b(?:from|to) public\b/g, '')))
        .map((line) => `${name}: ${line}`),
    )
    expect(left).toEqual([])
    expect(migrations.map(({ name }) => name)[1]).toBe('20260101000050_own_schema.sql')
  })

  it('gives the templates themselves for public, without the migration that makes a schema', async () => {
    for (const { name, text } of await renderedMigrations('public'))
      expect(text).toBe(await readFile(path.join(projectRoot, 'supabase/migrations', name), 'utf8'))
  })

  it('has the types of the database under the name of the schema, so that clients are typed with .schema()', async () => {
    const file = 'shared/generated/database-types.ts'
    const text = await readFile(path.join(projectRoot, file), 'utf8')
    const rendered = renderFile(file, text, SCHEMA)
    expect(rendered).toMatch(/"tenancy": \{\s+Tables: \{[\s\S]*"organizations": \{/)
    expect(rendered).not.toMatch(/\bpublic\b/)
    expect(rendered.replaceAll(SCHEMA, 'public')).toBe(text)
  })

  it('knows the role PUBLIC from the schema', () => {
    const sql =
      "revoke all on public.a from public, anon; select 'public'::regnamespace; grant usage on schema public to public;"
    expect(renderFile('supabase/a.sql', sql, SCHEMA)).toBe(
      "revoke all on tenancy.a from public, anon; select 'tenancy'::regnamespace; grant usage on schema tenancy to public;",
    )
  })

  it.each([
    '',
    'Tenancy',
    '1st',
    'a-b',
    'a b',
    'select',
    'user',
    'auth',
    'provisioning',
    'provisioning_types',
    'pg_mine',
    'a'.repeat(64),
  ])('refuses the name "%s"', (name) => expect(schemaNameProblem(name)).toMatch(/\.$/))

  it.each(['public', 'tenancy', '_t', 'my_app2', 'a'.repeat(63)])('takes the name "%s"', (name) =>
    expect(schemaNameProblem(name)).toBeUndefined(),
  )
})
