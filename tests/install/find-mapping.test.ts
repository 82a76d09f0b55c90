import { describe, expect, it } from 'vitest'
import { findMapping, proposals } from '../../cli/install/find-mapping.ts'
import { mappingMigrations, withWantedMapping } from '../../cli/install/mapping.ts'
import { codeIn, noticesOf } from '../../cli/install/notices.ts'
import { tablesMadeIn } from '../../cli/install/their-tables.ts'

const columnsOf = (sql: string) =>
  tablesMadeIn([sql]).map(({ name, columns }) => [
    name,
    columns.map((column) => Object.values(column).join(' ')),
  ])

describe('tables that migrations leave behind', () => {
  it.each([
    [
      `CREATE TABLE IF NOT EXISTS "public"."profiles" (
         id UUID REFERENCES auth.users ON DELETE CASCADE NOT NULL PRIMARY KEY, -- the user's, of course
         name text check (name in ('a', 'b, c')), balance numeric(10, 2) default 0, "Odd name" text,
         constraint one unique (name, id), foreign key (balance) references companies(id));`,
      [
        [
          'public.profiles',
          ['id uuid auth.users', 'name text', 'balance numeric public.companies', 'Odd name text'],
        ],
      ],
    ],
    [
      `create table a (id uuid); alter table only public.a add column if not exists b text, add c uuid, drop column id;
       alter table a add constraint c_fkey foreign key (c) references "auth"."users" (id); alter table a rename column b to d;`,
      [['public.a', ['c uuid auth.users', 'd text']]],
    ],
    [
      'create table a (id int); alter table a rename to b; alter table b set schema app;',
      [['app.b', ['id int']]],
    ],
    ['create table a (id int); drop table if exists a cascade;', []],
    ['create table a (id int); create table if not exists a (id uuid, x int);', [['public.a', ['id int']]]],
    ['create function f() returns void as $f$ create table a (id int); $f$ language sql;', []],
  ])('%s', (sql, tables) => {
    expect(columnsOf(sql)).toEqual(tables)
  })
})

const find = (sql: string, columns: Readonly<Record<string, string>> = {}) =>
  findMapping({ profiles: 'profiles', columns, roles: {} }, tablesMadeIn([sql]), false).profiles

describe('the columns of profiles', () => {
  const quickStart =
    'create table profiles (id uuid references auth.users primary key, username text, full_name text, avatar_url text)'
  it.each([
    [quickStart, {}, { user: 'id', name: ['full_name'], avatar: 'avatar_url' }],
    [
      'create table profiles (id uuid primary key, user_id uuid references auth.users, email text, display_name text)',
      {},
      { user: 'user_id', name: ['display_name'], email: 'email' },
    ],
    [
      'create table profiles (id uuid, user_id uuid, first_name text, last_name text)',
      {},
      { user: 'user_id', name: ['first_name', 'last_name'] },
    ],
    [
      `${quickStart}; alter table profiles add email text, add owner uuid;`,
      { 'profiles.name': 'username+full_name', 'profiles.email': 'none', 'profiles.user': 'owner' },
      { user: 'owner', name: ['username', 'full_name'], avatar: 'avatar_url' },
    ],
  ])('%s %j', (sql, said, found) => {
    expect(find(sql, said)).toEqual({ table: 'public.profiles', ...found })
  })

  it.each([
    ['create table people (id uuid)', {}, 'there is no table public.profiles in your migrations'],
    ['create table profiles (id uuid, nick text)', {}, 'Say --column profiles.name=COLUMN'],
    [
      'create table profiles (id bigint, name text)',
      {},
      'public.profiles.id is bigint, and ids are uuid here',
    ],
    ['create table profiles (key uuid, name text)', {}, 'has no column that is known for profiles.user'],
    [quickStart, { 'profiles.name': 'nick' }, 'public.profiles has no column nick'],
  ])('that cannot be found: %s', (sql, said, message) => {
    expect(() => find(sql, said)).toThrow(message)
  })

  it('are proposed, until they are read', () => {
    const tables = tablesMadeIn([quickStart])
    expect(proposals(tables, {})).toEqual([
      '--profiles public.profiles (user: id, name: full_name, avatar: avatar_url)',
    ])
    expect(
      proposals(tables, findMapping({ profiles: 'profiles', columns: {}, roles: {} }, tables, false)),
    ).toEqual([])
    expect(proposals(tablesMadeIn(['create table profiles (id uuid)']), {})).toEqual([])
  })

  it('make a migration each time that they are others', () => {
    const first = { profiles: { table: 'public.profiles', user: 'id', name: ['name'] } }
    const chosen = withWantedMapping([], first)
    expect(withWantedMapping(chosen, {})).toBe(chosen)
    expect(withWantedMapping(chosen, first)).toBe(chosen)
    const twice = withWantedMapping(chosen, { profiles: { ...first.profiles, name: ['nick'] } })
    expect(mappingMigrations(twice).map(({ name }) => name)).toEqual(['mapping_1.sql', 'mapping_2.sql'])
    expect(mappingMigrations(twice)[0]).toEqual(mappingMigrations(chosen)[0])
  })
})

const COMPANIES = `create table companies (id uuid primary key, name text, owner_id uuid references auth.users);
  create table invoices (id uuid, company_id uuid references companies (id), user_id uuid references auth.users);
  create table company_members (company_id uuid references companies (id), user_id uuid references auth.users, role text);`

describe('the columns of tenants and their members', () => {
  const findTenants = (
    sql: string,
    names: readonly [string, string],
    said: { columns?: Readonly<Record<string, string>>; roles?: Readonly<Record<string, string>> } = {},
  ) => {
    const wish = { tenants: names[0], members: names[1], columns: {}, roles: {}, ...said }
    const { tenants, members } = findMapping(wish, tablesMadeIn([sql]), false)
    return { tenants, members }
  }

  it.each([
    [
      COMPANIES,
      ['companies', 'company_members'] as const,
      { roles: { Boss: 'owner' } },
      { id: 'id', name: 'name', owner: 'owner_id' },
      { organization: 'company_id', user: 'user_id', role: 'role', roles: { boss: 'owner' } },
    ],
    [
      `create table app.teams (id uuid, title text, created_by uuid, user_id uuid);
       create table profiles (id uuid references auth.users, team_id uuid references app.teams, name text)`,
      ['app.teams', 'profiles'] as const,
      {},
      { id: 'id', name: 'title', owner: 'created_by' },
      { organization: 'team_id', user: 'id' },
    ],
    [
      `create table "Organizations" (id uuid, name text, label text, created_by uuid);
       create table memberships (org_id uuid, member uuid references auth.users, user_id text, role text)`,
      ['Organizations', 'memberships'] as const,
      { columns: { 'tenants.name': 'label', 'tenants.owner': 'none', 'members.role': 'none' } },
      { id: 'id', name: 'label' },
      { organization: 'org_id', user: 'member' },
    ],
  ])('%s', (sql, names, said, tenants, members) => {
    const found = findTenants(sql, names, said)
    expect(found).toEqual({
      tenants: { table: expect.stringContaining('.'), ...tenants },
      members: { table: expect.stringContaining('.'), ...members },
    })
  })

  it.each([
    [
      'create table companies (id bigint, name text); create table m (company_id bigint)',
      {},
      'companies.id is bigint',
    ],
    [
      'create table companies (id uuid, name text); create table m (x uuid, user_id uuid)',
      {},
      'known for members.organization',
    ],
    [
      'create table companies (id uuid, nick text); create table m (x uuid)',
      {},
      'Say --column tenants.name=COLUMN',
    ],
    [
      'create table companies (id uuid, name text); create table m (company_id uuid, user_id uuid)',
      { roles: { x: 'boss' } },
      'boss is no role of ours',
    ],
  ])('that cannot be found: %s', (sql, said, message) => {
    expect(() => findTenants(sql, ['companies', 'm'], said)).toThrow(message)
  })

  it('are asked for together, and proposed with the table that says who is in them', () => {
    const tables = tablesMadeIn([COMPANIES])
    expect(() => findMapping({ tenants: 'companies', columns: {}, roles: {} }, tables, false)).toThrow(
      '--tenants and --members belong together',
    )
    expect(proposals(tables, {})).toEqual([
      '--tenants public.companies --members public.company_members (organization: company_id, user: user_id, role: role)',
    ])
  })
})

describe('what a project does by itself', () => {
  const notices = (sql: string, schema = 'public') =>
    noticesOf(codeIn([sql]), schema, ['profiles', 'organizations'])
  const keeps = (body: string, when = 'before delete') =>
    `create or replace function public.keep_user() returns trigger language plpgsql as $f$ begin ${body} end $f$;
     create trigger keep_user ${when} on auth.users for each row execute procedure keep_user();`

  it.each([
    [
      keeps('update auth.users set deleted_at = now() where id = old.id; return null;'),
      'public',
      ['keep_user'],
    ],
    [keeps("raise exception 'no';", 'before update or delete'), 'public', ['keep_user']],
    [keeps('return old;'), 'public', []],
    [keeps('return null;', 'after delete'), 'public', []],
    [keeps('return null;', 'before insert'), 'public', []],
    [
      'create function f() returns void as $$ insert into profiles (id) values (1) $$ language sql;',
      'public',
      ['f names profiles'],
    ],
    [
      'create function f() returns void as $$ insert into profiles (id) values (1) $$ language sql;',
      'tenancy',
      [],
    ],
    [
      'create function app.f() returns void as $$ update tenancy.profiles set a = 1; delete from only "tenancy"."organizations" $$ language sql;',
      'tenancy',
      ['app.f names profiles, organizations'],
    ],
    [
      'create function f() returns int as $$ select 1 from user_profiles; -- from profiles $$ language sql;',
      'public',
      [],
    ],
    [
      'create function f() returns void as $$ select from profiles $$ language sql; drop function f();',
      'public',
      [],
    ],
    [
      'create policy "All see all" on public.profiles for select using (true);',
      'public',
      ['policy "All see all" is on'],
    ],
    ['create policy mine on public.profiles for select using (true);', 'tenancy', []],
  ])('%s in %s', (sql, schema, found) => {
    const told = notices(sql, schema)
    expect(told).toHaveLength(found.length)
    for (const [index, text] of found.entries()) expect(told[index]).toContain(text)
  })
})
