import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { diagnosisSchema } from '../../cli/doctor/diagnosis.ts'
import { readMigrations } from '../../cli/doctor/migrations.ts'
import { neighbourFindings } from '../../cli/doctor/neighbours.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { tenants } from '../cli/cli.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runAs } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'
import { CONFIG, filesIn, makeProject } from './project-shapes.ts'

/** Required columns, a key of its own beside the user's, a name in two columns, and a trigger that comes before ours. */
const PROFILES = `
  create table public.profiles (id uuid primary key default gen_random_uuid(),
    user_id uuid not null unique references auth.users (id) on delete cascade, email text not null,
    first_name text not null, last_name text, photo_url text, theme text);
  alter table public.profiles enable row level security;
  create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      insert into public.profiles (user_id, email, first_name, last_name)
      values (new.id, coalesce(new.raw_user_meta_data ->> 'contact', new.email), coalesce(new.raw_user_meta_data ->> 'first', 'Nameless'),
        new.raw_user_meta_data ->> 'last');
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
    name: 'with profiles',
    schema: 'tenancy',
    files: { 'supabase/config.toml': CONFIG, 'supabase/migrations/20261001000000_profiles.sql': PROFILES },
  })
  const said = await tenants(process.env, 'init', project.directory, '--yes', '--profiles', 'profiles')
  expect(said.stdout).toContain(
    'reads your table public.profiles instead of one of ours: user: user_id, name: first_name + last_name, email: email, avatar: photo_url',
  )
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

const person = (first: string, last?: string) =>
  signUp(auth, { metadata: { first, ...(last && { last }), full_name: 'Another Name' } })
const ours = async (id: string) =>
  (await sql`select full_name, email, avatar_url from tenancy.profiles where id = ${id}`)[0]
const failures = () => sql`select part, id, message from provisioning.mapping_failures`
/** What the doctor finds about tables of the project. */
async function doctorSays() {
  const [told] = await sql`select provisioning.diagnose_provisioning() as diagnosis`
  const address = { url: 'http://127.0.0.1:9', secretKey: '', isLocal: false, hint: '' }
  const all = neighbourFindings(diagnosisSchema.parse(told?.diagnosis), await readMigrations(), address)
  return all.filter(({ check }) => /^your /.test(check))
}
const found = (userId: string, query: string) =>
  runAs(
    api,
    { role: 'authenticated', userId },
    (tx) => tx`select full_name from tenancy.search_profiles(${query})`,
  )

describe('profiles of the project', () => {
  it('give a new organization its name, and are what members find', async () => {
    const { id, email } = await person(' Ada ', 'Lovelace')
    const [organization] = await sql`
      select o.name, o.slug, p.full_name, p.email from tenancy.organizations o join tenancy.profiles p on p.organization_id = o.id
      where o.owner_id = ${id}`
    expect(organization).toEqual({
      name: "Ada Lovelace's organization",
      slug: 'ada-lovelaces-organization',
      full_name: 'Ada Lovelace',
      email,
    })
    expect([...(await found(id, 'lovel'))]).toEqual([{ full_name: 'Ada Lovelace' }])
    expect([...(await found(id, 'another'))]).toEqual([])
  })

  it('are followed at once, as far as ours can say the same', async () => {
    const { id, email } = await person('Grace')
    await sql`update public.profiles set last_name = 'Hopper', photo_url = 'https://x.example/g.png', email = 'g@navy.example'
      where user_id = ${id}`
    expect(await ours(id)).toEqual({
      full_name: 'Grace Hopper',
      email: 'g@navy.example',
      avatar_url: 'https://x.example/g.png',
    })
    await sql`update public.profiles set photo_url = 'avatars/7.png', first_name = ${`G${'r'.repeat(300)}`} where user_id = ${id}`
    expect(await ours(id)).toMatchObject({ avatar_url: null, full_name: `G${'r'.repeat(199)}` })
    await sql`delete from public.profiles where user_id = ${id}`
    expect(await ours(id)).toEqual({ full_name: null, email, avatar_url: null })
    await sql`insert into public.profiles (user_id, email, first_name) values (${id}, 'new@example.com', 'Amazing')`
    expect(await ours(id)).toMatchObject({ full_name: 'Amazing', email: 'new@example.com' })
    expect(await failures()).toEqual([])
  })

  it('alone say what a name is, whatever changes in the account or is tried in ours', async () => {
    const { id } = await person('Edsger')
    await auth`update users set raw_user_meta_data = '{"full_name": "Somebody"}', email = 'e@example.com' where id = ${id}`
    await sql`select provisioning.ensure_user_provisioned(${id})`
    expect(await ours(id)).toMatchObject({ full_name: 'Edsger', email: `${id}@example.com` })
    const change = runAs(
      api,
      { role: 'authenticated', userId: id },
      (tx) => tx`update tenancy.profiles set full_name = 'Me' where id = ${id}`,
    )
    await expect(change).rejects.toThrow('permission denied')
    await runAs(
      api,
      { role: 'authenticated', userId: id },
      (tx) => tx`update tenancy.profiles set discoverable = false where id = ${id}`,
    )
  })

  it('are all that is left with somebody of whom the backend says in the same transaction that they get no tenant', async () => {
    const user = await auth.begin(async (tx) => {
      const signedUp = await signUp(tx, { metadata: { first: 'Grace', full_name: 'Another Name' } })
      await tx`update users set raw_app_meta_data = '{"provision": false}' where id = ${signedUp.id}`
      return signedUp
    })
    expect(await ours(user.id)).toMatchObject({ full_name: 'Grace' })
    const organizations = await sql`select from tenancy.organizations where owner_id = ${user.id}`
    expect([...organizations]).toEqual([])
    await auth`update users set raw_app_meta_data = '{}' where id = ${user.id}`
    const [organization] = await sql`select name from tenancy.organizations where owner_id = ${user.id}`
    expect(organization).toEqual({ name: "Grace's organization" })
  })

  it('change whatever becomes of ours, which the sweep makes good', async () => {
    const { id } = await person('Alan')
    await sql`alter table tenancy.profiles add constraint no_enigma check (full_name <> 'Enigma')`
    await sql`update public.profiles set first_name = 'Enigma' where user_id = ${id}`
    expect([...(await failures())]).toEqual([
      { part: 'profiles', id, message: expect.stringContaining('no_enigma') },
    ])
    await sql`alter table tenancy.profiles drop constraint no_enigma`
    await sql`select provisioning.sweep()`
    expect(await ours(id)).toMatchObject({ full_name: 'Enigma' })
    expect(await failures()).toEqual([])
  })

  it('that changed while nobody told us are found by the sweep, a portion at a time', async () => {
    const people = [await person('Barbara'), await person('Donald'), await person('Frances')]
    await sql.begin(async (tx) => {
      await tx`alter table public.profiles disable trigger user`
      await tx`update public.profiles set last_name = 'Silent' where user_id in ${tx(people.map(({ id }) => id))}`
      await tx`alter table public.profiles enable trigger user`
    })
    await sql`update provisioning.settings set sweep_repairs = 2`
    const silent = async () =>
      (await sql`select from tenancy.profiles where full_name like '% Silent'`).length
    const [all] = await sql<{ profiles: number }[]>`select count(*)::int as profiles from tenancy.profiles`
    for (let sweeps = 0; sweeps < (all?.profiles ?? 0) / 2; sweeps++) {
      const before = await silent()
      await sql`select provisioning.sweep()`
      expect((await silent()) - before).toBeLessThanOrEqual(2)
    }
    expect(await silent()).toBe(3)
  })

  it('may have names that have to be quoted, and are read by functions that nobody may call', async () => {
    const theirs = `"The ""App"" %s"."Per""sons' $$"`
    await sql.unsafe(`
      create schema "The ""App"" %s";
      create table ${theirs} (p_user_id uuid primary key, "name" text, "t" text, "e%I'; select 1; --" text, "A v" text)`)
    const [mapped] = await sql`select mapping -> 'profiles' as profiles from provisioning.settings`
    const map = (profiles: postgres.JSONValue) =>
      sql`select provisioning.map_tables(${sql.json({ profiles })})`
    await map({
      table: theirs,
      user: 'p_user_id',
      name: ['name', 't'],
      email: "e%I'; select 1; --",
      avatar: 'A v',
    })
    const { id } = await person('Karen')
    await sql.unsafe(
      `insert into ${theirs} values ($1, 'Karen', 'Jones', 'k@example.com', 'https://x.example/k.png')`,
      [id],
    )
    const read = { full_name: 'Karen Jones', email: 'k@example.com', avatar_url: 'https://x.example/k.png' }
    expect(await ours(id)).toEqual(read)
    await sql.unsafe(`update ${theirs} set t = 'Spärck Jones'`)
    expect(await ours(id)).toEqual({ ...read, full_name: 'Karen Spärck Jones' })
    await expect(
      sql.unsafe('select * from provisioning.read_person($1)', [id]).then((rows) => [...rows]),
    ).resolves.toEqual([{ name: 'Karen Spärck Jones', email: read.email, avatar_url: read.avatar_url }])
    expect(await doctorSays()).toMatchObject([{ status: 'ok' }, { status: 'ok' }])
    const written = await sql`
      select p.oid::regprocedure::text as name, p.proowner::regrole::text as owner, p.prosecdef, p.proconfig,
        array(select r.rolname from pg_roles r where has_function_privilege(r.oid, p.oid, 'execute')
          and not r.rolsuper and r.oid <> p.proowner and not pg_has_role(r.oid, p.proowner, 'usage'))::text[] as callers
      from pg_proc p where p.proname in ('read_person', 'handle_mapped_profiles') order by 1`
    const alike = { owner: 'postgres', prosecdef: true, proconfig: ['search_path=""'], callers: [] }
    expect([...written]).toEqual([
      { name: 'provisioning.handle_mapped_profiles()', ...alike },
      { name: 'provisioning.read_person(uuid)', ...alike },
    ])
    await map(mapped?.profiles)
    const left = await sql`
      select from pg_trigger where tgrelid = ${theirs}::text::regclass and not tgisinternal`
    expect(left).toHaveLength(0)
  })

  it('change whatever becomes of the column of users, which the doctor misses', async () => {
    const { id } = await person('Radia')
    const isLost = {
      check: 'your profiles',
      status: 'failed',
      found: expect.stringContaining('no column user_id'),
    }
    await sql`alter table public.profiles rename column user_id to owner`
    try {
      await sql`update public.profiles set first_name = 'R.' where owner = ${id}`
      await sql`insert into public.profiles (owner, email, first_name) select u.id, 'x@example.com', 'X' from auth.users u
        where not exists (select from public.profiles p where p.owner = u.id)`
      await sql`delete from public.profiles where owner = ${id}`
      expect(await doctorSays()).toMatchObject([isLost, { check: 'your tables' }])
    } finally {
      await sql`alter table public.profiles rename column owner to user_id`
    }
    await sql`alter table public.profiles drop constraint profiles_user_id_fkey, alter column user_id type text`
    await sql`insert into public.profiles (user_id, email, first_name) values ('nobody', 'n@example.com', 'Nobody')`
    await sql`delete from public.profiles where user_id = 'nobody'`
    expect(await doctorSays()).toMatchObject([
      { status: 'failed', found: expect.stringContaining('the column user_id is text') },
      { check: 'your tables' },
    ])
    await sql`alter table public.profiles alter column user_id type uuid using user_id::uuid,
      add constraint profiles_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade`
    expect((await doctorSays())[0]).toMatchObject({ status: 'ok' })
    await sql`delete from provisioning.mapping_failures`
  })

  it.each(['null', 'json null', '[]', '{}'])(
    'name the organization of an account that says nothing (metadata: %s)',
    async (said) => {
      const id = crypto.randomUUID()
      await auth`insert into users (instance_id, id, aud, role, email, raw_user_meta_data, email_confirmed_at)
        values ('00000000-0000-0000-0000-000000000000', ${id}, 'authenticated', 'authenticated', ${`${id}@example.com`},
          ${said === 'null' ? null : said.replace('json ', '')}::text::jsonb, now())`
      expect([...(await sql`select name from tenancy.organizations where owner_id = ${id}`)]).toEqual([
        { name: "Nameless's organization" },
      ])
    },
  )

  it('whose column of users has another name are read again as soon as that was said', async () => {
    const rename = (from: string, to: string) =>
      sql.unsafe(`alter table public.profiles rename column ${from} to ${to};
        create or replace function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
          begin
            insert into public.profiles (${to}, email, first_name) values (new.id, new.email, new.raw_user_meta_data ->> 'first');
            return new;
          end $$`)
    const map = (user: string) =>
      sql`select provisioning.map_tables(jsonb_build_object('profiles', s.mapping -> 'profiles'
        || jsonb_build_object('user', ${user}::text))) from provisioning.settings s`
    await rename('user_id', 'owner')
    const { id } = await person('Sophie')
    expect(await sql`select from provisioning.sign_up_failures where user_id = ${id}`).toHaveLength(1)
    await map('owner')
    await sql`update provisioning.sign_up_failures set next_attempt_at = now()`
    await sql`select provisioning.sweep()`
    expect(await ours(id)).toMatchObject({ full_name: 'Sophie' })
    expect(await sql`select from provisioning.sign_up_failures`).toHaveLength(0)
    await rename('owner', 'user_id')
    await map('user_id')
  })

  it('stay the project’s own to alter', async () => {
    const { id } = await person('Margaret', 'Hamilton')
    await sql`alter table public.profiles alter column first_name type varchar(60)`
    await sql`alter table public.profiles drop column last_name`
    await sql`update public.profiles set first_name = 'Maggie' where user_id = ${id}`
    expect((await sql`select first_name from public.profiles where user_id = ${id}`)[0]).toEqual({
      first_name: 'Maggie',
    })
    expect((await failures()).map((failure) => failure.message)).toEqual([
      expect.stringContaining('last_name'),
    ])
    await expect(
      sql`select provisioning.map_tables('{"profiles": {"table": "public.profiles", "user": "id", "name": ["nick"]}}')`,
    ).rejects.toThrow('has no column nick')
    await sql`select provisioning.map_tables('{"profiles": {"table": "public.profiles", "user": "user_id", "name": ["first_name"]}}')`
    await sql`update provisioning.mapping_failures set next_attempt_at = now()`
    await sql`select provisioning.sweep()`
    expect(await ours(id)).toMatchObject({ full_name: 'Maggie', email: `${id}@example.com` })
  })

  it('are said by the doctor to be read, and not to be followed while our trigger is switched off', async () => {
    expect(await doctorSays()).toMatchObject([
      { check: 'your profiles', status: 'ok', found: 'read from public.profiles' },
      { check: 'your tables', status: 'ok' },
    ])
    await sql`alter table public.profiles disable trigger "A_tenant_provisioning_profiles"`
    const [finding] = await doctorSays()
    expect(finding).toMatchObject({
      status: 'failed',
      found: expect.stringContaining('missing or switched off'),
    })
    await sql.unsafe(finding?.sql ?? '')
    expect((await doctorSays()).map(({ status }) => status)).toEqual(['ok', 'ok'])
  })

  it('have nothing of ours on them after uninstall', async () => {
    const environment = { ...process.env, SUPABASE_DB_URL: `${database.url()}?sslmode=disable` }
    const { code, stderr } = await tenants(
      environment,
      'uninstall',
      project.directory,
      '--yes',
      '--leave-resources',
    )
    expect({ code, stderr }).toMatchObject({ code: 0 })
    const triggers = await sql`
      select tgname from pg_trigger where tgrelid = 'public.profiles'::regclass and not tgisinternal`
    expect([...triggers]).toEqual([])
    expect(await sql`select from public.profiles where first_name = 'Maggie'`).toHaveLength(1)
    expect(
      Object.keys(await filesIn(project.directory)).filter((file) => file.startsWith('supabase/migrations')),
    ).toEqual(['supabase/migrations/20261001000000_profiles.sql'])
  })
})
