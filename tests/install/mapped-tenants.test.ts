import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from '../../local/postgres/migrate.ts'
import { tenants, tenantsJson } from '../cli/cli.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runAs } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'
import { CONFIG, makeProject } from './project-shapes.ts'

/** Who signs up with a company gets one; anybody may make more, and whoever manages one says who is in it. */
const COMPANIES = `
  create table public.companies (id uuid primary key default gen_random_uuid(), name text not null, logo text,
    owner_id uuid default auth.uid() references auth.users (id) on delete set null);
  create table public.company_members (id bigint generated always as identity primary key,
    company_id uuid not null references public.companies (id) on delete cascade,
    user_id uuid references auth.users (id) on delete cascade, invited_email text, role text not null default 'staff');
  create index on public.company_members (company_id, user_id);
  alter table public.companies enable row level security;
  create policy mine on public.companies for all to authenticated using (owner_id = auth.uid()) with check (owner_id = auth.uid());
  grant all on public.companies to authenticated;
  create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      if new.raw_user_meta_data ? 'company' then
        insert into public.companies (name, owner_id) values (new.raw_user_meta_data ->> 'company', new.id);
      end if;
      return new;
    end $$;
  create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.handle_new_user();`

let project: Awaited<ReturnType<typeof makeProject>>
let database: TestDatabase
let sql: postgres.Sql
let auth: postgres.Sql
let api: postgres.Sql

beforeAll(async () => {
  project = await makeProject({
    name: 'with companies',
    schema: 'public',
    files: { 'supabase/config.toml': CONFIG, 'supabase/migrations/20261001000000_companies.sql': COMPANIES },
  })
  const { stdout } = await tenants(
    process.env,
    ...['init', project.directory, '--yes', '--tenants', 'companies', '--members', 'company_members'],
    ...['--role', 'Manager=admin'],
  )
  expect(stdout).toContain('public.companies instead of one of ours: id: id, name: name, owner: owner_id')
  expect(stdout).toContain('organization: company_id, user: user_id, role: role, roles: manager is admin')
  database = await createTestDatabase('platform')
  const pool = (role?: string) => postgres(database.url(role), { max: 2, onnotice: () => undefined })
  sql = pool()
  auth = pool('supabase_auth_admin')
  api = pool('authenticator')
  await migrate(database.url(), { workdir: project.directory })
}, 120_000)
afterAll(async () => {
  await Promise.all([sql, auth, api].map((each) => each?.end({ timeout: 1 })))
  await database?.drop()
  await project?.remove()
})

const as = <T>(userId: string, work: (tx: postgres.TransactionSql) => Promise<T>) =>
  runAs(api, { role: 'authenticated', userId }, work)
const organization = async (id: string) =>
  (await sql`select name, owner_id, slug from public.organizations where id = ${id}`)[0]
const rolesIn = async (id: string) =>
  Object.fromEntries(
    (await sql`select user_id, role from public.organization_members where organization_id = ${id}`).map(
      ({ user_id: user, role }) => [user, role],
    ),
  )
const jobs = async (id: string) =>
  (await sql`select kind, status from public.provisioning_jobs where organization_id = ${id}`)
    .map(({ kind, status }) => `${kind} ${status}`)
    .sort()
const failures = async () =>
  (await sql`select part, id, message from provisioning.mapping_failures order by created_at`).map(
    (each) => ({
      ...each,
    }),
  )
const addMember = (company: string, user: string, role = 'staff') =>
  sql`insert into public.company_members (company_id, user_id, role) values (${company}, ${user}, ${role})`
/** A company whose owner signed up with it. */
async function signUpWithCompany(name = 'Engines') {
  const user = await signUp(auth, { metadata: { company: name, full_name: 'Ada' } })
  const [company] = await sql<{ id: string }[]>`select id from public.companies where owner_id = ${user.id}`
  return { owner: user.id, company: company?.id ?? '' }
}
/** As before the installation, or with triggers switched off. */
async function silently(work: (tx: postgres.TransactionSql) => Promise<unknown>) {
  await sql.begin(async (tx) => {
    await tx`alter table public.companies disable trigger user`
    await tx`alter table public.company_members disable trigger user`
    await work(tx)
    await tx`alter table public.companies enable trigger user`
    await tx`alter table public.company_members enable trigger user`
  })
}

/** Calls of functions and nothing else, which is all that the command asks. */
async function withDataApi<T>(work: (environment: NodeJS.ProcessEnv) => Promise<T>): Promise<T> {
  const server = createServer(async (request, response) => {
    const name = request.url?.split('/').at(-1) ?? ''
    const args = Object.entries((await json(request)) as Record<string, postgres.SerializableParameter>)
    const named = args.map(([arg], index) => `${arg} => $${index + 1}`).join(', ')
    const rows = await sql.unsafe(
      `select public.${name}(${named}) as result`,
      args.map(([, value]) => value),
    )
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(rows[0]?.result))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  try {
    return await work({ SUPABASE_URL: `http://127.0.0.1:${port}`, SUPABASE_SECRET_KEY: 'sb_secret_x' })
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

describe('tenants of the project', () => {
  it('are the organizations: a sign-up alone makes none, a row of theirs does', async () => {
    const { id } = await signUp(auth, { metadata: { full_name: 'Ada', organization_name: 'Mine' } })
    const made = await sql`
      select p.full_name, p.organization_id, (select count(*)::int from public.organizations) as organizations
      from public.profiles p where p.id = ${id}`
    expect([...made]).toEqual([{ full_name: 'Ada', organization_id: null, organizations: 0 }])
    const [company] = await as(
      id,
      (tx) => tx<{ id: string }[]>`insert into public.companies (name) values (' Engines ') returning id`,
    )
    const company_id = company?.id ?? ''
    expect(await organization(company_id)).toEqual({ name: 'Engines', owner_id: id, slug: 'engines' })
    expect(await jobs(company_id)).toEqual(['provision queued'])
    const seen = await as(
      id,
      (tx) => tx`
        select o.id, m.role, p.organization_id, w.currency from public.organizations o
        join public.organization_members m on m.organization_id = o.id join public.profiles p on p.id = m.user_id
        join public.wallets w on w.user_id = p.id`,
    )
    expect([...seen]).toEqual([
      { id: company_id, role: 'owner', organization_id: company_id, currency: 'usd' },
    ])
    expect(await failures()).toEqual([])
  })

  it('have one organization when the sign-up makes the row', async () => {
    const { owner, company } = await signUpWithCompany()
    expect(await organization(company)).toMatchObject({ name: 'Engines', owner_id: owner })
    const [made] = await sql`
      select (select count(*)::int from public.organizations where owner_id = ${owner}) as organizations,
        (select organization_id from public.profiles where id = ${owner}) as profile`
    expect(made).toEqual({ organizations: 1, profile: company })
  })

  it('are tenants whatever the backend says of the person who owns one', async () => {
    const { id } = await auth.begin(async (tx) => {
      const signedUp = await signUp(tx, { metadata: { company: 'Engines' } })
      await tx`update users set raw_app_meta_data = '{"provision": false}' where id = ${signedUp.id}`
      return signedUp
    })
    const [company] = await sql<{ id: string }[]>`select id from public.companies where owner_id = ${id}`
    expect(await organization(company?.id ?? '')).toMatchObject({ name: 'Engines', owner_id: id })
  })

  it('are named after their row, whatever the account of the owner says or lacks', async () => {
    const odd: readonly postgres.JSONValue[] = [
      null,
      [],
      { organization_name: 'Mine' },
      { full_name: { a: 1 } },
    ]
    const named = odd.map(async (metadata) => {
      const { id } = await signUp(auth, { metadata })
      await sql`insert into public.companies (name, owner_id) values ('Looms', ${id}), ('', ${id})`
      const rows = await sql`select o.name, p.organization_id = o.id as is_first from public.organizations o
        join public.profiles p on p.id = o.owner_id where o.owner_id = ${id} order by o.name = 'Looms' desc`
      return [rows[0], rows[1]?.name.replace(id.slice(0, 36), 'account'), rows[1]?.is_first]
    })
    const looms = { name: 'Looms', is_first: true }
    expect(await Promise.all(named)).toEqual([
      [looms, 'account', false],
      [looms, 'account', false],
      [looms, 'Mine', false],
      [looms, 'account', false],
    ])
    expect(await failures()).toEqual([])
  })

  it('say who is a member, and in which role: who is taken out sees nothing from then on', async () => {
    const { owner, company } = await signUpWithCompany()
    const { id } = await signUp(auth)
    await sql`insert into public.company_members (company_id, invited_email) values (${company}, 'x@example.com')`
    await addMember(company, id)
    expect(await rolesIn(company)).toEqual({ [owner]: 'owner', [id]: 'member' })
    const seen = () => as(id, (tx) => tx`select from public.organizations where id = ${company}`)
    expect(await seen()).toHaveLength(1)
    await sql`update public.company_members set role = 'MANAGER' where user_id = ${id}`
    expect(await rolesIn(company)).toMatchObject({ [id]: 'admin' })
    await addMember(company, id)
    await sql`delete from public.company_members where user_id = ${id} and role = 'MANAGER'`
    expect(await rolesIn(company)).toMatchObject({ [id]: 'member' })
    await sql`delete from public.company_members where user_id = ${id}`
    expect(await rolesIn(company)).toEqual({ [owner]: 'owner' })
    expect(await seen()).toHaveLength(0)
    const [profile] = await sql`select organization_id from public.profiles where id = ${id}`
    expect(profile).toEqual({ organization_id: null })
    expect(await failures()).toEqual([])
  })

  it('say what it is called and whose it is, and nobody else does', async () => {
    const { owner, company } = await signUpWithCompany()
    const { id } = await signUp(auth)
    await addMember(company, id)
    await sql`update public.companies set name = 'Looms', owner_id = ${id} where id = ${company}`
    expect(await organization(company)).toMatchObject({ name: 'Looms', owner_id: id })
    expect(await rolesIn(company)).toEqual({ [id]: 'owner' })
    const rename = as(id, (tx) => tx`update public.organizations set name = 'Mine' where id = ${company}`)
    await expect(rename).rejects.toThrow('permission denied')
    await as(
      id,
      (tx) => tx`update public.organizations set billing_email = 'b@example.com' where id = ${company}`,
    )
    const invite = as(id, (tx) => tx`select public.expect_member('c@example.com', ${company})`)
    await expect(invite).rejects.toThrow('Members are the rows of public.company_members')
    const join = runAs(
      api,
      { role: 'service_role' },
      (tx) => tx`insert into public.organization_members values (${company}, ${owner}, 'admin')`,
    )
    await expect(join).rejects.toThrow('permission denied')
    await sql`update public.companies set logo = 'x', owner_id = null where id = ${company}`
    expect(await organization(company)).toMatchObject({ owner_id: id })
  })

  it('undo the tenant when their row is deleted, and do not bring it back under its id', async () => {
    const { owner, company } = await signUpWithCompany()
    await addMember(company, (await signUp(auth)).id, 'manager')
    await sql`delete from public.companies where id = ${company}`
    expect(await organization(company)).toBeUndefined()
    expect(await jobs(company)).toEqual(['deprovision queued', 'provision cancelled'])
    await sql`insert into public.companies (id, name, owner_id) values (${company}, 'Again', ${owner})`
    expect(await organization(company)).toBeUndefined()
    await sql`insert into public.companies (name, owner_id) values ('Another', ${owner})`
    expect(
      await sql`select from public.organizations where owner_id = ${owner} and name = 'Another'`,
    ).toHaveLength(1)
    expect(await failures()).toEqual([])
  })

  it('are deleted whatever becomes of ours, which the sweep makes good', async () => {
    const { company } = await signUpWithCompany()
    await sql`insert into provisioning.legal_holds (organization_id, reference) values (${company}, 'CASE-7')`
    await sql`delete from public.companies where id = ${company}`
    expect(await organization(company)).toBeDefined()
    expect(await failures()).toEqual([
      { part: 'tenants', id: company, message: expect.stringContaining('CASE-7') },
    ])
    await sql`delete from provisioning.legal_holds`
    await sql`select provisioning.sweep()`
    expect(await organization(company)).toBeUndefined()
    expect(await failures()).toEqual([])
  })

  it('go with their owner, or pass to who is left, as the project has it', async () => {
    const { owner, company } = await signUpWithCompany()
    const heir = await signUp(auth)
    await addMember(company, heir.id)
    await auth`delete from users where id = ${owner}`
    expect(await organization(company)).toMatchObject({ owner_id: heir.id })
    await auth`delete from users where id = ${heir.id}`
    expect(await organization(company)).toBeUndefined()
    expect(await sql`select from public.companies where id = ${company}`).toHaveLength(1)
    expect(await failures()).toEqual([])
  })

  it('are compared by the sweep, which makes good what nobody told, and removes none', async () => {
    const { owner, company } = await signUpWithCompany()
    const [gone, { id }] = [await signUpWithCompany(), await signUp(auth)]
    await silently(async (tx) => {
      await tx`update public.companies set name = 'Silent' where id = ${company}`
      await tx`insert into public.company_members (company_id, user_id, role) values (${company}, ${id}, 'admin')`
      await tx`delete from public.companies where id = ${gone.company}`
    })
    await sql`update provisioning.settings set sweep_repairs = 1000`
    await sql`select provisioning.sweep()`
    expect(await organization(company)).toMatchObject({ name: 'Silent' })
    expect(await rolesIn(company)).toEqual({ [owner]: 'owner', [id]: 'admin' })
    expect(await organization(gone.company)).toMatchObject({ name: 'Engines' })
  })

  it('from before are made by a backfill, as soon as somebody may own them', async () => {
    const { id } = await signUp(auth)
    const names = ['First', 'Second', 'Nobody’s']
    await silently(
      (tx) => tx`
      insert into public.companies ${tx(names.map((name, at) => ({ name, owner_id: at < 2 ? id : null })))}`,
    )
    await sql`select provisioning.sweep()`
    const outcomes = async (dry: boolean) => {
      const { document } = await withDataApi((environment) =>
        tenantsJson(environment, 'backfill', dry ? '--dry-run' : '--yes'),
      )
      return (document.users as { name: string; outcome: string }[])
        .filter(({ name }) => names.includes(name))
        .map(({ name, outcome }) => `${name} ${outcome}`)
        .sort()
    }
    expect(await outcomes(true)).toEqual([
      'First would_repair',
      'Nobody’s not_eligible',
      'Second would_repair',
    ])
    expect(await sql`select from public.organizations where owner_id = ${id}`).toHaveLength(0)
    expect(await outcomes(false)).toEqual(['First repaired', 'Nobody’s not_eligible', 'Second repaired'])
    const lanes = await sql`
      select j.lane from public.provisioning_jobs j join public.organizations o on o.id = j.organization_id where o.owner_id = ${id}`
    expect(lanes.map(({ lane }) => lane)).toEqual(['batch', 'batch'])
    const [nobodys] = await sql<{ id: string }[]>`select id from public.companies where name = 'Nobody’s'`
    await addMember(nobodys?.id ?? '', id)
    expect(await organization(nobodys?.id ?? '')).toMatchObject({ owner_id: id })
    expect((await sql`select public.backfill_users(500, true) as found`)[0]?.found.users).toEqual([])
  })

  it('may have names that have to be quoted, and are followed by functions that nobody may call', async () => {
    const [teams, members] = ['"The ""App"" %s"."Tea\'ms $$"', '"The ""App"" %s"."Members of"']
    await sql.unsafe(`
      create schema "The ""App"" %s";
      create table ${teams} ("p_id" uuid primary key default gen_random_uuid(), "Na%I'me" text, "Owned by" uuid);
      create table ${members} ("of" uuid, "p_user_id" uuid, "Rol%s'e" text)`)
    const [mapped] = await sql`select mapping from provisioning.settings`
    const map = (mapping: postgres.JSONValue) => sql`select provisioning.map_tables(${sql.json(mapping)})`
    await map({
      tenants: { table: teams, id: 'p_id', name: "Na%I'me", owner: 'Owned by' },
      members: { table: members, organization: 'of', user: 'p_user_id', role: "Rol%s'e" },
    })
    const [owner, admin] = [await signUp(auth), await signUp(auth)]
    const [team] = await sql.unsafe<{ id: string }[]>(
      `insert into ${teams} values (default, 'Reds', $1) returning p_id as id`,
      [owner.id],
    )
    const id = team?.id ?? ''
    await sql.unsafe(`insert into ${members} values ($1, $2, 'Admin')`, [id, admin.id])
    expect(await organization(id)).toMatchObject({ name: 'Reds', owner_id: owner.id })
    expect(await rolesIn(id)).toEqual({ [owner.id]: 'owner', [admin.id]: 'admin' })
    await sql.unsafe(`update ${teams} set "Na%I'me" = 'Blues'`)
    await sql.unsafe(`update ${members} set "Rol%s'e" = null`)
    expect(await organization(id)).toMatchObject({ name: 'Blues' })
    expect(await rolesIn(id)).toEqual({ [owner.id]: 'owner', [admin.id]: 'member' })
    await sql.unsafe(`delete from ${members}; delete from ${teams}`).simple()
    expect(await organization(id)).toBeUndefined()
    expect(await failures()).toEqual([])
    const written = await sql`
      select p.oid::regprocedure::text as name, p.proowner::regrole::text as owner, p.prosecdef, p.proconfig,
        array(select r.rolname from pg_roles r where has_function_privilege(r.oid, p.oid, 'execute')
          and not r.rolsuper and not pg_has_role(r.oid, p.proowner, 'usage'))::text[] as callers
      from pg_proc p where p.proname in ('handle_mapped_tenants', 'handle_mapped_members') order by 1`
    const alike = { owner: 'postgres', prosecdef: true, proconfig: ['search_path=""'], callers: [] }
    expect([...written]).toEqual([
      { name: 'provisioning.handle_mapped_members()', ...alike },
      { name: 'provisioning.handle_mapped_tenants()', ...alike },
    ])
    await map(mapped?.mapping)
  })

  it('wait for an owner who is confirmed, and end at the number that one may own', async () => {
    await sql`update provisioning.settings set provision_on = 'email_confirmed', organizations_per_user = 2`
    try {
      const user = await signUp(auth, { emailConfirmed: false, metadata: { company: 'Early' } })
      const owned = () => sql`select name from public.organizations where owner_id = ${user.id}`
      expect(await owned()).toHaveLength(0)
      await auth`update users set email_confirmed_at = now() where id = ${user.id}`
      expect([...(await owned())]).toEqual([{ name: 'Early' }])
      await sql`insert into public.companies (name, owner_id) select 'More', ${user.id} from generate_series(1, 2)`
      expect(await owned()).toHaveLength(2)
      expect(await failures()).toMatchObject([
        { part: 'tenants', message: expect.stringContaining('may own 2') },
      ])
    } finally {
      await sql`update provisioning.settings set provision_on = 'sign_up', organizations_per_user = 10`
    }
  })

  it('belong to the member with the highest role where no column names an owner', async () => {
    await sql`select provisioning.map_tables(jsonb_build_object('tenants', (s.mapping -> 'tenants') - 'owner'))
      from provisioning.settings s`
    const [first, second] = [await signUp(auth), await signUp(auth)]
    const [company] = await sql<
      { id: string }[]
    >`insert into public.companies (name) values ('Team') returning id`
    const id = company?.id ?? ''
    expect(await organization(id)).toBeUndefined()
    await addMember(id, first.id)
    expect(await organization(id)).toMatchObject({ name: 'Team', owner_id: first.id })
    await addMember(id, second.id, 'owner')
    expect(await rolesIn(id)).toEqual({ [first.id]: 'member', [second.id]: 'owner' })
    expect(await organization(id)).toMatchObject({ owner_id: second.id })
    await sql`update public.company_members set role = 'staff' where user_id = ${second.id}`
    expect(await organization(id)).toMatchObject({ owner_id: second.id })
    await sql`delete from public.company_members where user_id = ${second.id}`
    expect(await rolesIn(id)).toEqual({ [first.id]: 'owner' })
    await expect(
      sql`select provisioning.map_tables('{"tenants": {"table": "public.company_members", "id": "id", "name": "role"}}')`,
    ).rejects.toThrow('Ids are uuid here, and in public.company_members the column id is bigint')
  })
})
