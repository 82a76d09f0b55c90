import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { callHealth } from '../functions/health-project.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { apiConnection, loginConnection, strongestConnection } from '../support/tenant-logins.ts'
import { retryNeon } from './tenants.ts'

let project: TestProject
let tenant: SignedUp
let other: SignedUp
/** What the tenant's database is really called, and so what its roles begin with. */
let name: string
/** A superuser in the tenant's database. */
let catalogue: postgres.Sql
let app: postgres.Sql
let strongest: postgres.Sql
let read: postgres.Sql

beforeAll(async () => {
  project = await startTestProject({ settings: { max_step_attempts: 1, health_requests_per_minute: 1000 } })
  ;[tenant, other] = await Promise.all([project.signUp(), project.signUp()])
  for (const { organizationId } of [tenant, other]) await project.waitFor(organizationId)
  app = await loginConnection(project, tenant.organizationId)
  const [row] = await app<{ name: string }[]>`select current_database() as name`
  name = row?.name ?? ''
  catalogue = superuserIn(name)
  strongest = await strongestConnection(project, tenant.organizationId)
  read = await strongestConnection(project, tenant.organizationId, 'read')
})

afterAll(async () => {
  await Promise.all([app, strongest, read, catalogue].map((sql) => sql?.end({ timeout: 1 })))
  await project?.stop()
})

function superuserIn(database: string): postgres.Sql {
  const url = new URL(project.databaseUrl('supabase_admin'))
  url.pathname = `/${database}`
  return postgres(url.href, { max: 1, onnotice: () => undefined })
}

const ROLES = ['', '_owner', '_app', '_read', '_schema', '_health', '_graphql', '_app_1'] as const

describe('the roles in a tenant’s database', () => {
  it('are so many, and only the one of Neon’s API has power of its own', async () => {
    const rows = await catalogue`
      select substr(rolname, length(${name}) + 1) as role, rolcanlogin as login,
        rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication as power
      from pg_roles where starts_with(rolname, ${name}) and rolname !~ '_access_'`
    expect(Object.fromEntries(rows.map(({ role, login, power }) => [role, { login, power }]))).toEqual({
      '': { login: true, power: true },
      _owner: { login: false, power: false },
      _app: { login: false, power: false },
      _read: { login: false, power: false },
      _schema: { login: true, power: false },
      _health: { login: true, power: false },
      _graphql: { login: true, power: false },
      _app_1: { login: true, power: false },
    })
  })

  it('are members of each other as far as they need to be, and none but ours is in neon_superuser', async () => {
    const rows = await catalogue<{ member: string; role: string; how: string }[]>`
      select m.member::regrole::text as member, m.roleid::regrole::text as role,
        concat_ws(' ', case when bool_or(m.inherit_option) then 'inherit' end, case when bool_or(m.set_option) then 'set' end) as how
      from pg_auth_members m
      where starts_with(m.member::regrole::text, ${name}) and m.member::regrole::text !~ '_access_'
        and m.roleid::regrole::text !~ '_access_'
      group by m.member, m.roleid`
    const named = (role: string) => role.replace(name, '')
    expect(
      rows
        .filter(({ member }) => member !== name)
        .map(({ member, role, how }) => `${named(member)} ${named(role)} ${how}`)
        .sort(),
    ).toEqual([
      '_app_1 _app inherit set',
      '_graphql _app set',
      '_graphql _read set',
      '_health pg_monitor inherit set',
      '_schema _owner set',
    ])
    // It administers those that it has made and has the rights of the owner, but becomes none of them.
    expect(
      rows
        .filter(({ member, role }) => member === name && role !== 'neon_superuser')
        .map(({ role, how }) => `${named(role)} ${how}`.trim())
        .sort(),
    ).toEqual(['_app', '_app_1', '_graphql', '_health', '_owner inherit', '_read', '_schema'])
    const superusers = await catalogue<{ member: string }[]>`
      select r.rolname as member from pg_roles r
      where starts_with(r.rolname, ${name}) and pg_has_role(r.oid, 'neon_superuser', 'member')`
    expect(superusers).toEqual([{ member: name }])
  })

  it('may do with the database and its schemas what the table says', async () => {
    const matrix = await catalogue<{ role: string; database: string; public: string; ours: string }[]>`
      select role,
        (select string_agg(p, ' ') from unnest('{connect,create,temporary}'::text[]) p
          where has_database_privilege(${name} || role, current_database(), p)) as database,
        (select string_agg(p, ' ') from unnest('{usage,create}'::text[]) p
          where has_schema_privilege(${name} || role, 'public', p)) as public,
        (select string_agg(p, ' ') from unnest('{usage,create}'::text[]) p
          where has_schema_privilege(${name} || role, 'provisioning', p)) as ours
      from unnest(${catalogue.array([...ROLES])}::text[]) role`
    expect(
      Object.fromEntries(
        matrix.map(({ role, database, ...rest }) => [role, [database, rest.public, rest.ours]]),
      ),
    ).toEqual({
      '': ['connect create temporary', 'usage create', 'usage create'],
      _owner: ['connect create temporary', 'usage create', null],
      _app: ['connect', 'usage', null],
      _read: ['connect', 'usage', null],
      _schema: ['connect', null, 'usage'],
      _health: ['connect', null, null],
      _graphql: ['connect', null, null],
      _app_1: ['connect', 'usage', null],
    })
  })

  it('leave nothing to everybody, who may connect to a database that Neon hands over, and make temporary tables', async () => {
    await catalogue.unsafe(
      `grant connect, temporary on database ${name} to public; grant create on schema public to public`,
    )
    expect((await retryNeon(project, tenant)).body).toMatchObject({ status: 'succeeded' })
    const [everybody] = await catalogue`select
      exists (select from pg_database, aclexplode(datacl) a where datname = current_database() and a.grantee = 0) as database,
      exists (select from pg_namespace, aclexplode(nspacl) a where nspname in ('public', 'provisioning') and a.grantee = 0) as schema`
    expect(everybody).toEqual({ database: false, schema: false })
  })

  it('may do with what files have made, and with our record of them, what the table says', async () => {
    const tables = await catalogue<{ name: string; role: string; rights: string | null }[]>`
      select t.name, role, (select string_agg(p, ' ') from unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) p
        where has_table_privilege(${name} || role, t.name, p)) as rights
      from unnest('{public.contacts,public.audit_log,public.platform_metrics,provisioning.schema_migrations}'::text[]) t (name),
        unnest(${catalogue.array(ROLES.slice(1))}::text[]) role`
    const owners = { _owner: 'select insert update delete truncate references trigger', _read: 'select' }
    const apps = (rights: string) => ({ ...owners, _app: rights, _app_1: rights })
    const expectations: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      'public.contacts': apps('select insert update delete'),
      'public.audit_log': apps('select insert'),
      'public.platform_metrics': apps('select'),
      'provisioning.schema_migrations': { _schema: 'select insert' },
    }
    for (const { name: table, role, rights } of tables)
      expect([table, role, rights]).toEqual([table, role, expectations[table]?.[role] ?? null])
    expect(tables).toHaveLength(28)
  })
})

/** Everything that is refused, by what it would do. */
const DDL: Readonly<Record<string, string>> = {
  'make a table': 'create table public.mine (id int)',
  'make a temporary table': 'create temporary table mine (id int)',
  'make a schema': 'create schema mine',
  'make a function': "create function public.mine() returns int language sql as 'select 1'",
  'change a table': 'alter table public.contacts add column mine int',
  'empty a table past its policies': 'truncate public.audit_log',
  'put a trigger on a table': `create trigger mine before insert on public.contacts
    for each row execute function suppress_redundant_updates_trigger()`,
  'drop a table': 'drop table public.activities',
}
const BECOME = (role: string) => `do $$ begin
  perform set_config('role', current_database() || '${role}', false);
end $$`
const POWER: Readonly<Record<string, string>> = {
  'make a login event trigger': `do $$ begin
      create function pg_temp.trap() returns event_trigger language plpgsql as 'begin end';
    exception when insufficient_privilege then null; end $$;
    create event trigger mine on login execute function pg_temp.trap()`,
  'make an event trigger':
    'create event trigger mine on ddl_command_end execute function pg_catalog.suppress_redundant_updates_trigger()',
  'make a role': 'create role mine',
  'become the role of the API': BECOME(''),
  'become the login that checks health': BECOME('_health'),
  'become the login that applies the schema': BECOME('_schema'),
  'change the settings of our logins': `do $$ begin
    execute format('alter role %I set search_path = evil', current_database() || '_schema'); end $$`,
  'change the settings of the database': `do $$ begin
    execute format('alter database %I set search_path = evil', current_database()); end $$`,
  'take itself into neon_superuser': 'grant neon_superuser to session_user',
  'read our record of the schema': 'select from provisioning.schema_migrations',
  'write our record of the schema': "insert into provisioning.schema_migrations values (9, '', '')",
  'replace our record of the schema': 'create view provisioning.other as select 1',
  'drop our record of the schema': 'drop schema provisioning cascade',
  'lock our record of the schema': 'do $$ begin lock table provisioning.schema_migrations; end $$',
  'read passwords': 'select rolpassword from pg_authid',
  'drop the schema public': 'drop schema public cascade',
  'read a file of the server': "select pg_read_file('PG_VERSION')",
}

describe('the login that people are shown', () => {
  it.each(Object.entries({ ...DDL, ...POWER }))('cannot %s', async (_what, statement) => {
    await expect(app.unsafe(statement)).rejects.toMatchObject({ code: '42501' })
  })

  it('reads and writes what files have made, and what the owner makes later, under its policies', async () => {
    expect(await app`insert into public.contacts (last_name) values ('x') returning last_name`).toEqual([
      { last_name: 'x' },
    ])
    await strongest.unsafe(`
      create schema later;
      create table later.notes (id bigint generated always as identity, mine boolean not null);
      alter table later.notes enable row level security;
      create policy own on later.notes using (mine) with check (mine);
      insert into later.notes (mine) values (false)`)
    await app`insert into later.notes (mine) values (true)`
    expect(await app`select mine from later.notes`).toEqual([{ mine: true }])
    expect(await read`select mine from later.notes`).toEqual([{ mine: true }])
    await expect(app`insert into later.notes (mine) values (false)`).rejects.toMatchObject({ code: '42501' })
    await expect(app`set row_security = off; select from later.notes`.simple()).rejects.toMatchObject({
      code: '42501',
    })
    await app`set row_security = on`
  })
})

describe('a login that reads', () => {
  it.each(Object.entries({ ...DDL, ...POWER, 'write a row': 'delete from public.contacts' }))(
    'cannot %s',
    async (_what, statement) => {
      await expect(read.unsafe(statement)).rejects.toMatchObject({ code: '42501' })
    },
  )
})

describe('the strongest login that a tenant gets', () => {
  it.each(Object.entries(POWER))('cannot %s', async (_what, statement) => {
    await expect(strongest.unsafe(statement)).rejects.toMatchObject({ code: '42501' })
  })

  it('leaves what it makes to the owner, and so can be dropped', async () => {
    await strongest`create table public.left_behind (id int); alter table public.left_behind enable row level security;
      create policy own on public.left_behind using (true)`.simple()
    expect(
      await catalogue`select tableowner as owner from pg_tables where tablename = 'left_behind'`,
    ).toEqual([{ owner: `${name}_owner` }])
  })

  /** Fires when the members are copied into the database, in the session of our login `schema`. */
  const onCopy = (body: string) =>
    strongest.unsafe(`create or replace function public.on_copy() returns trigger language plpgsql as $$ begin ${body} return new; end $$;
      create or replace trigger on_copy before insert on public.users for each row execute function public.on_copy();
      alter table public.users disable trigger on_copy; delete from public.users; alter table public.users enable trigger on_copy`)

  it.each(['53100', '57000', '08006', '28P01', 'TD001', 'MAL01'])(
    'raises an error in our session that looks like another one, %s, and its own step alone fails, with few words',
    async (sqlstate) => {
      await onCopy(`raise exception using errcode = '${sqlstate}', message = repeat('\u001b[2J', 20000);`)
      const before = project.log.length
      expect((await retryNeon(project, tenant)).body).toMatchObject({ status: 'failed' })
      const { steps } = await project.provisioning(tenant.organizationId)
      expect(steps.tenant_schema?.error?.code).toMatch(/^tenant_(database_unreachable|people_refused)$/)
      expect(steps.tenant_schema?.error?.message.length).toBeLessThan(1_000)
      expect(
        project.log
          .slice(before)
          .map(({ text }) => text)
          .join('').length,
      ).toBeLessThan(2_000)
    },
  )

  it('keeps our login out by settings that it has made for itself, until a retry of the service', async () => {
    await onCopy(`set local role none;
      execute format('alter role %I set local_preload_libraries = nowhere', session_user);
      execute format('alter role %I in database %I set statement_timeout = 1', session_user, current_database());`)
    expect((await retryNeon(project, tenant)).body).toMatchObject({ status: 'succeeded' })
    await expect(
      loginConnection(project, tenant.organizationId, 'schema').then((sql) => sql`select 1`),
    ).rejects.toMatchObject({
      code: '58P01',
    })
    await onCopy('')
    expect((await retryNeon(project, tenant)).body).toMatchObject({ status: 'succeeded' })
    expect(
      await catalogue`select from pg_db_role_setting s join pg_roles r on r.oid = s.setrole
      where r.rolname = ${`${name}_schema`}`,
    ).toEqual([])
    await strongest`drop trigger on_copy on public.users`
  })

  it('traps none of ours with functions, operators and triggers of its own', async () => {
    const trap = `raise exception 'trapped %', session_user;`
    const functions = [
      'format(text, text) returns text',
      'current_setting(text) returns text',
      'set_config(text, text, boolean) returns text',
      'gen_random_uuid() returns uuid',
      'jsonb_build_object(text, text) returns jsonb',
      'pg_try_advisory_lock(int) returns boolean',
      'pg_database_size(name) returns bigint',
      'now() returns timestamptz',
    ]
    await strongest.unsafe(`
      ${functions.map((each) => `create function public.${each} language plpgsql as $$ begin ${trap} end $$;`).join('\n')}
      create function public.glue(text, text) returns text language plpgsql as $$ begin ${trap} end $$;
      create operator public.|| (function = public.glue, leftarg = text, rightarg = text);
      create function public.trap() returns trigger language plpgsql as $$ begin ${trap} end $$;
      create trigger trap before insert or update or delete on public.contacts execute function public.trap();
      create trigger trap before insert or update or delete on public.audit_log execute function public.trap();
      create table public.pg_roles (rolname text); create table public.pg_stat_database (datname text);
      alter table public.pg_roles enable row level security; create policy own on public.pg_roles using (true);
      alter table public.pg_stat_database enable row level security; create policy own on public.pg_stat_database using (true);`)
    await expect(app`insert into public.contacts (last_name) values ('x')`).rejects.toThrow('trapped')
    // So that every login of ours, and the role of the API, have something to do there.
    await project.sql`delete from vault.secrets s
      where s.name like provisioning.login_secret(${tenant.organizationId}, '%')`
    expect((await retryNeon(project, tenant)).body).toMatchObject({ status: 'succeeded' })
    const health = await callHealth(project, { organizationId: tenant.organizationId, deep: true })
    // Nothing but the triggers on our tables themselves: they are a change of the schema by hand.
    expect(health.body).toMatchObject({
      status: 'degraded',
      reasons: [
        { code: 'schema_drift', message: expect.stringContaining('trigger trap on public.audit_log') },
      ],
    })
  })
})

describe('the logins of one tenant', () => {
  it.each(['app_1', 'schema', 'health'] as const)(
    '(%s) do not get into another’s database',
    async (login) => {
      const theirs = await loginConnection(project, other.organizationId, login)
      const [row] = await theirs`select current_user as role`.finally(() => theirs.end({ timeout: 1 }))
      // Behind the proxy's back, on the server itself, which at Neon they do not even share.
      const direct = postgres({
        ...{ host: '127.0.0.1', port: inject('postgresPort'), database: name },
        ...{ user: row?.role, password: theirs.options.pass ?? '', max: 1 },
      })
      await expect(direct`select 1`).rejects.toMatchObject({ code: '42501' })
      await direct.end({ timeout: 1 })
    },
  )

  it('see no statement of ours in pg_stat_activity', async () => {
    const api = await apiConnection(project, tenant.organizationId)
    await api`select 'what nobody else may read'`
    const [seen] = await catalogue`select query from pg_stat_activity where usename = ${name}`
    expect(seen?.query).toContain('what nobody else may read')
    for (const login of [app, read, strongest])
      expect(await login`select query from pg_stat_activity where usename = ${name}`).toEqual([
        { query: '<insufficient privilege>' },
      ])
    await api.end({ timeout: 1 })
  })
})
