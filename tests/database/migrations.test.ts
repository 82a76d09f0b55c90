import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { type Gateway, startGateway } from '../../local/gateway/gateway.ts'
import { createProjectKeys, type ProjectKeys } from '../../local/gateway/keys.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { projectRoot } from '../../tools/project.ts'
import { supabaseCli } from '../../tools/supabase-cli.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/project.ts'
import { runAs } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'
import { catalogue } from './catalogue.ts'
import { only } from './project.ts'

// A run of the CLI takes seconds, and several on a busy machine many.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** After how many percent of its commands a run is cut off; npm run test:long tries more places. */
const CUTS = (process.env.MIGRATION_CUTS ?? '33').split(',').map(Number)

/** A database with pools for the roles at work; `platform` is a hosted project before the installation. */
interface Opened extends AsyncDisposable {
  readonly database: TestDatabase
  readonly sql: postgres.Sql
  readonly auth: postgres.Sql
  readonly superuser: postgres.Sql
}

async function open(template: 'platform' | 'migrated' = 'platform'): Promise<Opened> {
  const database = await createTestDatabase(template)
  const pool = (role: string) => postgres(database.url(role), { max: 4, onnotice: () => undefined })
  const pools = {
    sql: pool('postgres'),
    auth: pool('supabase_auth_admin'),
    superuser: pool(SUPERUSER),
  }
  return {
    database,
    ...pools,
    async [Symbol.asyncDispose]() {
      await Promise.all(Object.values(pools).map((sql) => sql.end({ timeout: 1 })))
      await database.drop()
    },
  }
}

/** Every row of every table, by table name. */
type Rows = Readonly<Record<string, readonly string[]>>

async function allRows(sql: postgres.Sql): Promise<Rows> {
  const tables = await sql<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'supabase_migrations')`
  const rows: Record<string, string[]> = {}
  for (const { name } of tables)
    rows[name] = (await sql<{ row: string }[]>`select t::text as row from ${sql.unsafe(name)} t`)
      .map(({ row }) => row)
      .sort()
  return rows
}

const missing = (before: readonly string[], after: readonly string[]) => {
  const there = new Set(after)
  return before.filter((line) => !there.has(line))
}

/** What a team may have made before: tables, a trigger of the quick start's name, a cron job, a secret. */
async function useForOwnPurposes({ sql }: Opened): Promise<void> {
  await sql.unsafe(`
    create extension pg_net with schema extensions;
    create extension pg_cron with schema pg_catalog;
    create schema app;
    create table app.members (id uuid primary key references auth.users (id) on delete cascade, name text);
    create table public.notes (id bigint generated always as identity primary key,
      author uuid references auth.users (id), body text not null check (body <> ''));
    create index notes_author_idx on public.notes (author);
    alter table public.notes enable row level security;
    create policy "own notes" on public.notes for select to authenticated using (author = auth.uid());
    insert into public.notes (body) values ('one'), ('two');
    create view public.note_count as select count(*) from public.notes;
    create type public.mood as enum ('good', 'bad');
    create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
      begin
        insert into app.members (id, name) values (new.id, new.raw_user_meta_data ->> 'full_name');
        return new;
      end $$;
    create trigger on_auth_user_created after insert on auth.users
      for each row execute function public.handle_new_user();
    create function public.set_updated_at() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger on_auth_user_updated before update on auth.users for each row execute function public.set_updated_at();
    select cron.schedule('nightly', '0 3 * * *', 'delete from public.notes where false');
    select vault.create_secret('mine', 'stripe_key', 'of the application');
  `)
}

const PASSWORD = 'correct horse battery staple'

/** Users of every kind, by what is special about them. */
async function makeUsers({ auth }: Opened, gateway: Gateway, keys: ProjectKeys) {
  const admin = supabaseClient(gateway.url, keys.secretKey).auth.admin
  const client = () => supabaseClient(gateway.url, keys.publishableKey).auth
  const idOf = ({ data }: { data: { user: { id: string } | null } }) => data.user?.id ?? ''
  const confirmed = 'confirmed@example.com'
  const ids: Record<string, string> = {
    confirmed: idOf(await client().signUp({ email: confirmed, password: PASSWORD })),
    unconfirmed: idOf(await admin.createUser({ email: 'unconfirmed@example.com', password: PASSWORD })),
    anonymous: idOf(await client().signInAnonymously()),
  }
  const insert = async (kind: string, user: Parameters<typeof signUp>[1] = {}) => {
    ids[kind] = (await signUp(auth, user)).id
  }
  await insert('of an external provider', { metadata: { name: 'Ada', picture: 'https://example.com/a.png' } })
  await insert('with a text for metadata', { metadata: 'text' })
  await insert('with a list for metadata', { metadata: [1, { full_name: 'x' }] })
  await insert('with a number for metadata', { metadata: 5 })
  await insert('with odd fields', {
    metadata: { full_name: 5, organization_name: { a: 1 }, data_region: [] },
  })
  await insert('without metadata')
  await insert('with a phone only', { email: null, emailConfirmed: false })
  await insert('deleted')
  await insert('of single sign-on with an address that is taken', { email: null })
  await auth`update users set raw_user_meta_data = null where id = ${ids['without metadata'] ?? ''}`
  await auth`update users set phone = '4915550100', phone_confirmed_at = now() where id = ${ids['with a phone only'] ?? ''}`
  await auth`update users set deleted_at = now() where id = ${ids.deleted ?? ''}`
  await auth`update users set is_sso_user = true, email = ${confirmed}
    where id = ${ids['of single sign-on with an address that is taken'] ?? ''}`
  return ids
}

describe('a project in use', () => {
  let project: Opened
  let gateway: Gateway
  let keys: ProjectKeys
  let users: Record<string, string>
  let before: { rows: Rows; catalogue: string[] }

  beforeAll(async () => {
    project = await open()
    keys = await createProjectKeys()
    gateway = await startGateway({
      port: 0,
      host: '127.0.0.1',
      database: (role) => databaseUrl(inject('postgresPort'), project.database.name, role),
      keys,
      functionsDir: path.join(projectRoot, 'supabase/functions'),
      configFile: path.join(projectRoot, 'supabase/config.toml'),
      functionEnv: {},
    })
    await useForOwnPurposes(project)
    users = await makeUsers(project, gateway, keys)
    before = { rows: await allRows(project.superuser), catalogue: await catalogue(project.superuser) }
    await migrate(project.database.url())
  })

  afterAll(async () => {
    await gateway?.stop()
    await project?.[Symbol.asyncDispose]()
  })

  const count = async (table: string) =>
    only(
      await project.superuser<{ n: number }[]>`
        select count(*)::int as n from ${project.superuser.unsafe(table)}`,
    ).n

  it('keeps every row that it had, and gets new ones beside them only as secrets and cron jobs', async () => {
    const after = await allRows(project.superuser)
    expect(Object.keys(before.rows)).toContain('notes')
    const changed = Object.keys(before.rows).filter((table) => {
      const grows = ['vault.secrets', 'cron.job'].includes(table)
      const [had = [], has = []] = [before.rows[table], after[table]]
      return missing(had, has).length > 0 || (!grows && had.length !== has.length)
    })
    expect(changed).toEqual([])
  })

  it('keeps every object that it had, with its definition and rights', async () => {
    const lines = before.catalogue.join('\n')
    for (const known of ['trigger auth.users', 'policy public notes', 'cron nightly', 'secret stripe_key'])
      expect(lines).toContain(known)
    expect(missing(before.catalogue, await catalogue(project.superuser))).toEqual([])
  })

  it('has nobody provisioned unasked', async () => {
    expect(await count('public.profiles')).toBe(0)
    expect(await count('public.provisioning_jobs')).toBe(0)
    expect(await count('net.http_request_queue')).toBe(0)
  })

  it('lets people sign in as before, and still provisions nobody', async () => {
    const client = supabaseClient(gateway.url, keys.publishableKey)
    const signedIn = await client.auth.signInWithPassword({
      email: 'confirmed@example.com',
      password: PASSWORD,
    })
    expect(signedIn.error).toBeNull()
    expect(signedIn.data.user?.id).toBe(users.confirmed)
    expect((await client.auth.refreshSession()).error).toBeNull()
    const refused = await client.auth.signInWithPassword({
      email: 'unconfirmed@example.com',
      password: PASSWORD,
    })
    expect(refused.error?.code).toBe('email_not_confirmed')
    expect(await count('public.profiles')).toBe(0)
  })

  it('runs its own trigger of the quick start’s name beside ours for who signs up now', async () => {
    const { id } = await signUp(project.auth, { metadata: { full_name: 'Grace' } })
    const [row] = await project.sql`
      select m.name, p.full_name, p.organization_id is not null as provisioned
      from app.members m join public.profiles p using (id) where id = ${id}`
    expect(row).toEqual({ name: 'Grace', full_name: 'Grace', provisioned: true })
  })

  const backfill = async (limit: number) =>
    only(await project.sql<{ done: number }[]>`select provisioning.backfill(${limit}) as done`).done

  /** What the users of old have by now: their organizations, oldest user first. */
  const organizations = () =>
    project.sql<{ userId: string; organizationId: string }[]>`
      select o.owner_id as "userId", o.id as "organizationId" from public.organizations o
      join auth.users u on u.id = o.owner_id
      where u.id = any (${Object.values(users)}) order by u.created_at, u.id`

  describe('whose users are backfilled', () => {
    it('keeps what was committed when a batch is killed in the middle, and nothing of that batch', async () => {
      expect(await backfill(2)).toBe(2)
      const committed = await organizations()
      expect(committed).toHaveLength(2)
      await killBackfillInTheMiddle()
      expect(await organizations()).toEqual(committed)
    })

    it('goes on where it stopped, until exactly the eligible have a tenant, each one', async () => {
      const committed = await organizations()
      let batches = 0
      while ((await backfill(3)) > 0) batches++
      expect(batches).toBeGreaterThan(1)
      const provisioned = await organizations()
      expect(provisioned.slice(0, 2)).toEqual([...committed])
      const { anonymous: _anonymous, deleted: _deleted, ...eligible } = users
      expect(provisioned.map(({ userId }) => userId).sort()).toEqual(Object.values(eligible).sort())
      const incomplete = await project.sql`
        select o.id from public.organizations o where
          (select count(*) from public.provisioning_jobs j where j.organization_id = o.id and j.kind = 'provision') <> 1
          or (select count(*) from public.organization_members m where m.organization_id = o.id) <> 1
          or not exists (select from public.wallets w where w.user_id = o.owner_id)
          or not exists (select from public.profiles p where p.id = o.owner_id and p.organization_id = o.id)`
      expect(incomplete).toEqual([])
      expect(await count('provisioning.sign_up_failures')).toBe(0)
    })

    it('has nobody provisioned twice when two people run it at once', async () => {
      const ids = Array.from({ length: 12 }, () => crypto.randomUUID())
      await project.superuser.begin(async (tx) => {
        await tx`set local search_path = auth`
        await tx`set local session_replication_role = replica`
        for (const id of ids) await signUp(tx, { id })
      })
      await Promise.all([backfill(12), backfill(12), backfill(5)])
      const owned = await project.sql`
        select owner_id from public.organizations where owner_id = any (${ids})`
      expect(owned).toHaveLength(12)
      expect(await backfill(100)).toBe(0)
    })

    it('keeps its data and its catalogue when the migrations are run again', async () => {
      const rows = await allRows(project.superuser)
      const defined = await catalogue(project.superuser)
      await migrate(project.database.url())
      expect(await catalogue(project.superuser)).toEqual(defined)
      expect(await allRows(project.superuser)).toEqual(rows)
    })

    it('keeps its data when they are run over it although their history is lost, which is refused until it is repaired', async () => {
      const { 'vault.secrets': _secrets, ...rows } = await allRows(project.superuser)
      const defined = await catalogue(project.superuser)
      await project.superuser`drop schema supabase_migrations cascade`
      const url = project.database.url()
      await expect(migrate(url)).rejects.toThrow('"supabase migration repair --status applied')
      await supabaseCli(['migration', 'repair', '--status', 'applied', '--yes'], {
        databaseUrl: `${url}?sslmode=disable`,
      })
      await migrate(url)
      expect(await allRows(project.superuser)).toMatchObject(rows)
      expect(await catalogue(project.superuser)).toEqual(defined)
    })
  })

  /** The third of the users who are left is locked by somebody; there the batch waits, and its session is ended. */
  async function killBackfillInTheMiddle(): Promise<void> {
    const left = await project.sql<{ id: string }[]>`
      select u.id from auth.users u left join public.profiles p on p.id = u.id
      where p.id is null and not u.is_anonymous and u.deleted_at is null order by u.created_at, u.id`
    expect(left.length).toBeGreaterThan(3)
    const killed = await project.sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(hashtextextended(${left[2]?.id ?? ''}, 7222))`
      const batch = backfill(100).then(
        () => 'finished',
        (error: Error) => error.message,
      )
      await until('backfill that waits', async () => {
        const rows = await project.superuser`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = ${project.database.name} and wait_event_type = 'Lock' and query like '%backfill%'`
        return rows.length > 0 || undefined
      })
      return batch
    })
    expect(killed).toMatch(/terminat|CONNECTION/)
  }
})

describe('a migration run that is cut off', () => {
  let uninterrupted: string[]
  let commands: number

  beforeAll(async () => {
    await using project = await open()
    await countCommands(project)
    await migrate(project.database.url())
    uninterrupted = await catalogue(project.superuser)
    commands = Number(only(await project.superuser`select last_value as n from test_tools.commands`).n)
  })

  /** Counts DDL commands, and ends the session at a certain one. */
  async function countCommands({ superuser }: Opened, endAt = 0): Promise<void> {
    await superuser.unsafe(`
      create schema test_tools;
      create sequence test_tools.commands;
      create function test_tools.count_command() returns event_trigger language plpgsql security definer as $$
        begin
          if nextval('test_tools.commands') = ${endAt} then
            perform pg_terminate_backend(pg_backend_pid());
          end if;
        end $$;
      create event trigger count_command on ddl_command_end execute function test_tools.count_command();
    `)
  }

  const appliedFiles = async ({ superuser }: Opened) =>
    (await superuser`select version from supabase_migrations.schema_migrations`.catch(() => [])).length

  it.each(CUTS)(
    'after %d percent of its commands is finished by the next run, with sign-ups working in between',
    async (percent) => {
      await using project = await open()
      await countCommands(project, Math.ceil((percent / 100) * commands))
      await expect(migrate(project.database.url())).rejects.toThrow(/terminat|closed|EOF/i)
      const user = await signUp(project.auth)
      await migrate(project.database.url())
      expect(await catalogue(project.superuser)).toEqual(uninterrupted)
      // A user who came before the triggers is one from before the installation.
      await project.sql`select provisioning.repair_sign_ups(10), provisioning.backfill(10)`
      const owned = await project.sql`select from public.organizations where owner_id = ${user.id}`
      expect(owned).toHaveLength(1)
    },
  )

  it('because the CLI was killed is finished by the next run', async () => {
    await using project = await open()
    const blocker = await project.superuser.reserve()
    await blocker`begin`
    await blocker`lock table auth.users in access exclusive mode`
    const cli = startCli(project.database.url())
    await until('migration that waits', async () => {
      const rows = await project.superuser`
        select from pg_stat_activity where datname = ${project.database.name} and wait_event_type = 'Lock'`
      return rows.length > 0 || undefined
    })
    expect(await appliedFiles(project)).toBeGreaterThan(0)
    process.kill(-(cli.pid ?? 0), 'SIGKILL')
    await once(cli, 'exit')
    await blocker`rollback`
    blocker.release()
    await until('end of its session', async () => {
      const rows = await project.superuser`
        select from pg_stat_activity where datname = ${project.database.name} and application_name ~* 'supabase'`
      return rows.length === 0 || undefined
    })
    await migrate(project.database.url())
    expect(await catalogue(project.superuser)).toEqual(uninterrupted)
  })
})

describe('auth.users, which is not ours,', () => {
  it('takes a change of any column’s type, as updates of Auth make them, while we are installed', async () => {
    await using project = await open('migrated')
    await signUp(project.auth)
    const columns = await project.superuser<{ name: string; type: string }[]>`
      select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
      where attrelid = 'auth.users'::regclass and attnum > 0 and not attisdropped and attgenerated = ''`
    expect(columns.length).toBeGreaterThan(20)
    const refused: string[] = []
    for (const { name, type } of columns)
      await project.superuser
        .unsafe(`alter table auth.users alter column ${name} type ${type}`)
        .catch((error: Error) => refused.push(`${name}: ${error.message}`))
    // Generated columns, which are Auth's own, name the columns that they are made of.
    expect(refused.filter((text) => !text.includes('generated column'))).toEqual([])
  })

  it('is not waited for without end: sign-ins go through, and the message says who holds it', async () => {
    await using project = await open()
    const { id } = await signUp(project.auth)
    const holder = await project.superuser.reserve()
    try {
      await holder`begin`
      await holder`update auth.users set updated_at = now() where id <> ${id}`
      await holder`select 'the import of last night' from auth.users`
      const pushed = migrate(project.database.url()).then(
        () => 'installed',
        (error: Error) => error.message,
      )
      await until('migration that waits', async () => {
        const rows = await project.superuser`
          select from pg_stat_activity where datname = ${project.database.name} and wait_event_type = 'Lock'`
        return rows.length > 0 || undefined
      })
      await project.auth`set lock_timeout = '5s'`
      await project.auth`update users set last_sign_in_at = now() where id = ${id}`
      expect(await pushed).toMatch(/auth\.users is in use by others for too long.*supabase_admin/s)
    } finally {
      await holder`rollback`
      holder.release()
    }
    await migrate(project.database.url())
    expect(await project.sql`select from pg_proc where proname = 'handle_new_user'`).toHaveLength(1)
  })
})

/** `supabase db push` in a process group of its own, so that all of it can be killed. */
function startCli(url: string) {
  const require = createRequire(import.meta.url)
  const cli = path.join(path.dirname(require.resolve('supabase/package.json')), 'dist/supabase.js')
  const push = ['--workdir', projectRoot, 'db', 'push', '--yes', `--remote=${url}?sslmode=disable`]
  return spawn(process.execPath, [cli, ...push], {
    detached: true,
    stdio: 'ignore',
    env: {
      ...process.env,
      SUPABASE_TELEMETRY_DISABLED: '1',
      FUNCTIONS_BASE_URL: 'http://127.0.0.1:9/functions/v1',
    },
  })
}

describe('a project with names that are ours', () => {
  /** What Supabase's quick start makes. */
  const QUICK_START = `
    create schema if not exists ${PUBLIC_SCHEMA};
    create table public.profiles (id uuid not null references auth.users on delete cascade primary key,
      updated_at timestamptz, username text unique, full_name text, avatar_url text, website text,
      constraint username_length check (char_length(username) >= 3));
    alter table public.profiles enable row level security;
    create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
    create function public.handle_new_user() returns trigger set search_path = '' as $$
      begin
        insert into public.profiles (id, full_name, avatar_url)
        values (new.id, new.raw_user_meta_data ->> 'full_name', new.raw_user_meta_data ->> 'avatar_url');
        return new;
      end $$ language plpgsql security definer;
    create trigger on_auth_user_created after insert on auth.users
      for each row execute procedure public.handle_new_user();`

  it('is refused with the list of them before anything is made, and installed when they have moved', async () => {
    await using project = await open()
    await project.sql.unsafe(QUICK_START)
    const { id: old } = await signUp(project.auth, { metadata: { full_name: 'Ada' } })
    const before = await catalogue(project.superuser)
    await expect(migrate(project.database.url())).rejects.toThrow(
      /Nothing was installed.*: public\.profiles\. Move them .*docs\/installation\.md/s,
    )
    const added = missing(await catalogue(project.superuser), before)
    expect(
      added.map((line) => line.trim()),
      'the CLI itself sets the address first',
    ).toEqual(['secret functions_base_url'])
    await project.sql.unsafe(`
      create schema app;
      alter table public.profiles set schema app;
      ${QUICK_START.match(/create function[\s\S]*?security definer;/)?.[0]
        .replace('create function', 'create or replace function')
        .replace('public.profiles', 'app.profiles')}`)
    await migrate(project.database.url())
    const { id: young } = await signUp(project.auth, { metadata: { full_name: 'Grace' } })
    await project.sql`select provisioning.backfill(10)`
    const rows = await project.sql`
      select theirs.id, theirs.full_name as theirs, ours.full_name as ours from app.profiles theirs
      join public.profiles ours using (id) where ours.organization_id is not null order by ours.full_name`
    expect(rows.map((row) => ({ ...row }))).toEqual([
      { id: old, theirs: 'Ada', ours: 'Ada' },
      { id: young, theirs: 'Grace', ours: 'Grace' },
    ])
  })

  it('hears of every kind of object in the way at once', async () => {
    await using project = await open()
    await project.sql.unsafe(`
      create schema provisioning;
      create schema if not exists ${PUBLIC_SCHEMA};
      create view public.organizations as select 1 as id;
      create type public.wallets as enum ('a');
      create function public.search_profiles(integer) returns integer language sql as 'select 1';
      create table public.audit_logs (id integer primary key, organization_id integer);
      create index audit_logs_organization_id_idx on public.audit_logs (organization_id);
      alter table public.audit_logs rename to old_audit_logs;
      create extension pg_cron with schema pg_catalog;
      select cron.schedule('tenant-provisioning-sweep', '0 0 1 1 *', 'select 1'), cron.schedule('nightly', '0 0 1 1 *', 'select 1');
      create function public.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
      create trigger tenant_provisioning_user_created after insert on auth.users
        for each row execute function public.nothing();
      create trigger on_auth_user_created after insert on auth.users for each row execute function public.nothing();
      create table public.invoices (id integer primary key);`)
    const taken = [
      'cron job tenant-provisioning-sweep',
      `${PUBLIC_SCHEMA}.audit_logs_organization_id_idx`,
      `${PUBLIC_SCHEMA}.audit_logs_pkey`,
      'public.organizations',
      'public.search_profiles()',
      'public.wallets',
      'schema provisioning',
      'trigger tenant_provisioning_user_created',
    ]
    // In the order of the alphabet, in which the schema stands elsewhere when it is called otherwise.
    await expect(migrate(project.database.url())).rejects.toThrow(
      `names are taken: ${taken.sort().join(', ')}.`,
    )
  })

  it('is refused while an extension is too old or out of the users’ reach, and installed after what the message says', async () => {
    await using project = await open()
    const version = (number: string) =>
      project.superuser.unsafe(`update pg_extension set extversion = '${number}' where extname = 'pg_cron'`)
    await project.superuser.unsafe(`
      create schema search authorization postgres; create extension pg_trgm with schema search;
      create extension pg_cron with schema pg_catalog; create extension pg_net with schema extensions;`)
    await version('1.4.2')
    const before = await catalogue(project.superuser)
    const refused = async (said: string) => {
      await expect(migrate(project.database.url())).rejects.toThrow(said)
      const added = missing(await catalogue(project.superuser), before)
      expect(added.map((line) => line.trim())).toEqual(['secret functions_base_url'])
    }
    await refused('Nothing was installed, because pg_cron 1.4.2 knows no intervals')
    await version('1.6.4')
    before.push('extension pg_cron 1.6.4')
    const repair = 'grant usage on schema search to authenticated, service_role'
    await refused(`"${repair}"`)
    await project.sql.unsafe(repair)
    await migrate(project.database.url())
  })

  it('is installed where pg_trgm is in another schema, and people and tenants are found there', async () => {
    await using project = await open()
    await project.sql`create extension pg_trgm with schema public`
    await migrate(project.database.url())
    const { id: userId } = await signUp(project.auth, {
      metadata: { full_name: 'Li Wu', organization_name: 'Li & Co' },
    })
    await project.sql`update public.profiles set in_search_index = true`
    await project.sql`update public.organizations set provisioned_at = now()`
    for (const text of ['Li', 'Li W', 'wu']) {
      const people = await runAs(
        project.superuser,
        { role: 'authenticated', userId },
        (tx) => tx`select full_name from public.search_profiles(${text})`,
      )
      expect([...people], text).toEqual([{ full_name: 'Li Wu' }])
    }
    for (const search of ['Li', 'Li & Co']) {
      const found = await runAs(
        project.superuser,
        { role: 'service_role' },
        (tx) => tx`select public.list_tenants(${tx.json({ search })})::text as list`,
      )
      expect(only(found).list, search).toContain('"Li & Co"')
    }
    const [extension] = await project.sql`
      select extnamespace::regnamespace::text as schema from pg_extension where extname = 'pg_trgm'`
    expect(extension).toEqual({ schema: 'public' })
  })

  it('whose default privileges give everything away has our objects with the rights that they have elsewhere', async () => {
    await using usual = await open('migrated')
    const expected = await catalogue(usual.superuser)
    await using project = await open()
    for (const kind of ['schemas', 'tables', 'sequences', 'functions'])
      await project.sql.unsafe(
        `alter default privileges grant all on ${kind} to anon, authenticated, service_role`,
      )
    const before = await catalogue(project.superuser)
    await migrate(project.database.url())
    const made = missing(await catalogue(project.superuser), before)
    // Extensions make objects of their own, in schemas of the platform.
    const ours = made.filter((line) => /\bprovisioning\b|^(schema|relation|function) .*\bpublic\b/.test(line))
    expect(ours.length).toBeGreaterThan(300)
    expect(missing(ours, expected)).toEqual([])
  })

  it('is looked for with every name that the migrations make in public', async () => {
    await using project = await open('migrated')
    const [foundation = ''] = await project.sql<{ text: string }[]>`
      select array_to_string(statements, ';') as text from supabase_migrations.schema_migrations order by version limit 1`.then(
      (rows) => rows.map(({ text }) => text),
    )
    const names = await project.sql<{ name: string }[]>`
      select relname::text as name from pg_class where relnamespace = ${PUBLIC_SCHEMA}::regnamespace
        and relkind <> 'c' and not relispartition
      union select proname::text from pg_proc where pronamespace = ${PUBLIC_SCHEMA}::regnamespace`
    const unknown = names.map(({ name }) => name).filter((name) => !foundation.includes(`'${name}'`))
    expect(unknown, 'add them to the check in 20260101000000_foundation.sql').toEqual([])
    const tables = await project.sql<{ name: string }[]>`
      select relname::text as name from pg_class where relnamespace = ${PUBLIC_SCHEMA}::regnamespace
        and relkind in ('r', 'p') and not relispartition and position(quote_literal(relname) in
          pg_get_functiondef('provisioning.diagnose_neighbours'::regproc)) = 0`
    expect([...tables], 'add them to provisioning.diagnose_neighbours').toEqual([])
  })
})
