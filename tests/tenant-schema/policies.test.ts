import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { createTenantDatabase, type TenantDatabase } from '../support/tenant-database.ts'
import { ACTORS, type Actor, CHANGED, expected, NEEDED, PEOPLE, RULES, VERBS } from './rules.ts'

let tenant: TenantDatabase
let admin: postgres.Sql

const ORGANIZATION = '00000000-0000-4000-8000-00000000000a'
const OTHER = '00000000-0000-4000-8000-00000000000b'
const PERSON: Readonly<Record<string, string>> = {
  member: '00000000-0000-4000-8000-000000000001',
  admin: '00000000-0000-4000-8000-000000000002',
  owner: '00000000-0000-4000-8000-000000000003',
  colleague: '00000000-0000-4000-8000-000000000004',
  stranger: '00000000-0000-4000-8000-000000000005',
}
const TABLES = Object.keys(RULES)

beforeAll(async () => {
  tenant = await createTenantDatabase(['schema', 'app_1'])
  admin = tenant.admin
  const schema = tenant.connect('schema')
  expect(await applyTenantSchema(schema)).toMatchObject({ ok: true })
  await schema.end({ timeout: 1 })
  await admin.unsafe(`
    insert into public.organizations (id, name, slug) values ('${ORGANIZATION}', 'Ours', 'ours');
    ${PEOPLE.map((name) => person(name, ORGANIZATION)).join('')}`)
})

afterAll(() => tenant?.drop())

const person = (name: string, organization: string) =>
  `insert into public.users (id, organization_id, role)
   values ('${PERSON[name]}', '${organization}', '${name === 'admin' || name === 'owner' ? name : 'member'}');`

function insert(table: string, organization: string, user: string): string {
  const key = table === 'organizations' ? 'id' : 'organization_id'
  const row = { [key]: `'${organization}'`, ...NEEDED[table] }
  const values = Object.values(row).join(', ').replaceAll('USER', user)
  return `insert into public.${table} (${Object.keys(row).join(', ')}) select ${values}`
}

function claimsOf(actor: Actor): Readonly<Record<string, string>> {
  if (actor === 'stranger')
    return { organization_id: OTHER, sub: PERSON.stranger ?? '', organization_role: 'owner' }
  const scope = { readKey: 'read', misplacedReadKey: 'read', writeKey: 'read write' }[String(actor)]
  return scope
    ? { organization_id: ORGANIZATION, scope }
    : { organization_id: ORGANIZATION, sub: PERSON[actor] ?? '', organization_role: actor }
}

/** In one statement for all of them: each attempt is undone, and its outcome is the number of rows or the reason. */
async function attempts(
  cases: readonly { readonly role: string; readonly claims: unknown; readonly statement: string }[],
): Promise<string[]> {
  await admin.unsafe(`create or replace function pg_temp.attempt(p_role text, p_claims text, p_statement text) returns text
    language plpgsql as $$
    declare v_rows integer;
    begin
      perform set_config('request.jwt.claims', p_claims, true), set_config('role', p_role, true);
      execute p_statement;
      get diagnostics v_rows = row_count;
      raise exception using errcode = 'TT000', message = v_rows;
    exception when insufficient_privilege then return 'refused'; when others then return sqlerrm;
    end $$`)
  const rows = await admin<{ outcome: string }[]>`
    select pg_temp.attempt(c ->> 'role', c ->> 'claims', c ->> 'statement') as outcome
    from jsonb_array_elements(${JSON.stringify(
      cases.map((each) => ({ ...each, claims: JSON.stringify(each.claims), role: tenant.name + each.role })),
    )}::text::jsonb) with ordinality c (c, place) order by place`
  return rows.map(({ outcome }) => outcome)
}

describe('a direct login', () => {
  let app: postgres.Sql
  beforeAll(() => {
    app = tenant.connect('app_1', 'public')
  })
  afterAll(() => app?.end({ timeout: 1 }))

  it('works for the one organization that the database holds, and writes what the API writes', async () => {
    expect(await app`select name from organizations`).toEqual([{ name: 'Ours' }])
    expect(
      await app`insert into contacts (first_name) values ('Ada') returning organization_id as of`,
    ).toEqual([{ of: ORGANIZATION }])
    expect(await app`update users set job_title = 'Head of Sales' returning id`).toHaveLength(PEOPLE.length)
    await expect(app`update users set role = 'owner'`).rejects.toMatchObject({ code: '42501' })
    await expect(
      app`insert into platform_metrics (organization_id, metric, value, unit)
        values (${ORGANIZATION}, 'a', 1, 'a')`,
    ).rejects.toMatchObject({ code: '42501' })
    await expect(app`update audit_log set action = 'x'`).rejects.toMatchObject({ code: '42501' })
    await admin`delete from public.contacts`
    await admin`update public.users set job_title = null`
  })

  it('that has to become a role first, as that of an API, has nothing without claims', async () => {
    const login = `${tenant.name}_api`
    await admin.unsafe(`create role ${login} login password 'api'; grant connect on database ${tenant.name} to ${login};
      grant ${tenant.name}_app to ${login} with inherit false, set true;`)
    // A superuser is whoever it becomes, as far as the policies see.
    const counted = `set session authorization ${login}; set role ${tenant.name}_app`
    const count = 'select count(*)::integer as rows from public.organizations'
    await admin.unsafe(counted)
    try {
      expect(await admin.unsafe(count)).toEqual([{ rows: 0 }])
      await admin`select set_config('request.jwt.claims', ${JSON.stringify(claimsOf('readKey'))}, false)`
      expect(await admin.unsafe(count)).toEqual([{ rows: 1 }])
    } finally {
      await admin.unsafe('reset request.jwt.claims; reset role; reset session authorization')
    }
  })
})

describe('claims', () => {
  const count = 'select from public.organizations'
  const asked = async (claims: unknown, statement = count, role = '_app') =>
    (await attempts([{ role, claims, statement }]))[0]

  it('without an organization, as those of Supabase, mean the one whose member the person is, in that role', async () => {
    const supabase = (name: string) => ({ sub: PERSON[name], role: 'authenticated', aud: 'authenticated' })
    expect(await asked(supabase('member'))).toBe('1')
    expect(await asked(supabase('stranger'))).toBe('0')
    expect(await asked({ role: 'anon' })).toBe('0')
    const update = "update public.organizations set legal_name = 'A'"
    expect(await asked(supabase('member'), update)).toBe('0')
    expect(await asked(supabase('admin'), update)).toBe('1')
    const [row] = await admin`
      select set_config('request.jwt.claims', ${JSON.stringify(supabase('member'))}, false),
        auth.uid() = tenant.user_id() as same`
    await admin`reset request.jwt.claims`
    expect(row).toMatchObject({ same: true })
  })

  it('with the scope read write nothing even as _app, and without a scope only persons write', async () => {
    const added = insert('contacts', ORGANIZATION, '')
    const member = { organization_id: ORGANIZATION, sub: PERSON.member }
    expect(await asked({ organization_id: ORGANIZATION, scope: 'read' }, added)).toBe('refused')
    expect(await asked({ organization_id: ORGANIZATION }, added)).toBe('refused')
    expect(await asked({ ...member, scope: 'read' }, added)).toBe('refused')
    expect(await asked(member, added)).toBe('1')
  })

  it('of owners and admins add the organization’s own row, should it be missing, and no other', async () => {
    const claims = { ...claimsOf('owner'), organization_id: OTHER }
    const added = insert('organizations', OTHER, '')
    expect(await asked(claims, added)).toBe('1')
    expect(await asked({ ...claims, organization_role: 'member' }, added)).toBe('refused')
    expect(await asked(claims, insert('organizations', PERSON.owner ?? '', ''))).toBe('refused')
  })

  it('mean the same whatever the caller has put in front of the catalogue', async () => {
    const claims = JSON.stringify(claimsOf('readKey'))
    const answer = await admin
      .begin(async (sql) => {
        await sql.unsafe(`create schema shadow;
          create function shadow.forged(jsonb, text) returns text language sql as $$ select '${OTHER}' $$;
          create operator shadow.->> (function = shadow.forged, leftarg = jsonb, rightarg = text);
          create function shadow.current_setting(text, boolean) returns text language sql
            as $$ select '{"organization_id": "${OTHER}"}' $$;
          create domain shadow.uuid as text;
          set local search_path = shadow, pg_catalog;`)
        await sql`select set_config('request.jwt.claims', ${claims}, true)`
        const [row] =
          await sql`select tenant.readable() as organization, current_setting('a', true) ~ ${OTHER} as shadowed`
        throw Object.assign(new Error('undone'), { row })
      })
      .catch((error: unknown) =>
        error instanceof Error && 'row' in error ? error.row : Promise.reject(error),
      )
    expect(answer).toEqual({ organization: ORGANIZATION, shadowed: true })
  })

  it('that are empty open nothing', async () => {
    expect(await asked([])).toBe('0')
    expect(await asked(null)).toBe('0')
    expect(await asked({})).toBe('0')
  })

  it('sign what a person does', async () => {
    const signed = `with e as (insert into public.audit_log (action, user_id) values ('a', '${PERSON.owner}') returning user_id)
      select from e where user_id = '${PERSON.member}'`
    expect(await asked(claimsOf('member'), signed)).toBe('1')
    const made = `with a as (insert into public.activities (type, subject) values ('call', 'A') returning user_id)
      select from a where user_id = '${PERSON.member}'`
    expect(await asked(claimsOf('member'), made)).toBe('1')
  })
})

describe('the policies', () => {
  beforeAll(async () => {
    const rows = (organization: string, users: readonly string[]) =>
      [
        'social_accounts',
        ...TABLES.filter((table) => !['organizations', 'users', 'social_accounts'].includes(table)),
      ]
        .flatMap((table) => {
          const each = ['notifications', 'audit_log'].includes(table) ? users : users.slice(0, 1)
          return each.map((user) => `${insert(table, organization, PERSON[user] ?? '')};`)
        })
        .join('\n')
    await admin.unsafe(`insert into public.organizations (id, name, slug) values ('${OTHER}', 'Other', 'other');
      ${person('stranger', OTHER)}
      ${rows(ORGANIZATION, PEOPLE)}
      ${rows(OTHER, ['stranger'])}`)
  })

  it('let each do with each table what the rules say, and nothing with another organization’s rows', async () => {
    const key = (table: string) => (table === 'organizations' ? 'id' : 'organization_id')
    const statements = (table: string, organization: string) => ({
      select: `select from public.${table} where ${key(table)} = '${organization}'`,
      insert: insert(table, organization, PERSON.colleague ?? ''),
      update: `update public.${table} set ${CHANGED[table] ?? key(table)} = ${CHANGED[table] ? "'A'" : key(table)}
        where ${key(table)} = '${organization}'`,
      delete: `delete from public.${table} where ${key(table)} = '${organization}'`,
    })
    const cases = ACTORS.flatMap((actor) =>
      TABLES.flatMap((table) =>
        VERBS.flatMap((verb) =>
          [ORGANIZATION, OTHER].map((organization) => ({
            name: `${actor} ${verb} ${table}${organization === OTHER ? ' of another' : ''}`,
            role: actor === 'readKey' ? '_read' : '_app',
            claims: claimsOf(actor),
            statement: statements(table, organization)[verb],
            rows: organization === OTHER ? 0 : expected(actor, table, verb),
          })),
        ),
      ),
    ).filter(({ name }) => !/^stranger.* of another$/.test(name))
    const outcomes = await attempts(cases)
    const found = cases.map(({ name }, index) => {
      const outcome = outcomes[index] ?? ''
      return `${name}: ${/^(refused|0|.*organizations_pkey.*)$/.test(outcome) ? 'no' : outcome}`
    })
    expect(found).toEqual(cases.map(({ name, rows }) => `${name}: ${rows === 0 ? 'no' : rows}`))
    expect(cases).toHaveLength(21 * 4 * (7 + 6))
  })

  it('show a direct login nothing when it is not clear whose the database is', async () => {
    const app = tenant.connect('app_1')
    expect(await app`select from public.contacts`.finally(() => app.end({ timeout: 1 }))).toEqual([])
  })

  it('are so many of each table, each with one question about who asks at most', async () => {
    const policies = await admin<{ table: string; verb: string; questions: number }[]>`
      select p.polrelid::regclass::text as table, p.polcmd::text as verb, greatest(
        regexp_count(pg_get_expr(p.polqual, p.polrelid), 'SELECT'),
        regexp_count(pg_get_expr(p.polwithcheck, p.polrelid), 'SELECT')) as questions
      from pg_policy p order by 1, 2`
    expect(policies.length).toBeGreaterThanOrEqual(25)
    expect(policies.filter(({ questions }) => questions > 1)).toEqual([])
    const verbsOf = (name: string) =>
      policies.filter(({ table }) => table === `public.${name}`).map(({ verb }) => verb)
    const [forAll, onlyRead] = ['*', ['r']]
    for (const table of TABLES)
      if (['organizations', 'users'].includes(table)) expect(verbsOf(table), table).toHaveLength(3)
      else if (RULES[table]?.insert === 'nobody') expect(verbsOf(table), table).toEqual(onlyRead)
      else if (table === 'audit_log') expect(new Set(verbsOf(table)), table).toEqual(new Set(['a', 'r']))
      else expect(verbsOf(table), table).toContain(forAll)
  })

  it('let the deals that were won last be found without passing those that are open', async () => {
    const plan = await admin.begin(async (sql) => {
      await sql.unsafe(`set local role ${tenant.name}_app; set local enable_seqscan = off; set local enable_sort = off;
        set local request.jwt.claims = '${JSON.stringify(claimsOf('owner'))}'`)
      return sql<{ 'QUERY PLAN': string }[]>`
        explain (costs off) select from public.deals where stage = 'won' order by closed_at desc, id desc limit 50`
    })
    expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain(
      'Index Scan Backward using deals_closed_at_of_closed_idx',
    )
  })

  it('leave every index in use', async () => {
    // Each is the only one of its table for a moment, because the planner would take any in tables of a few rows.
    await admin.unsafe(`create or replace function pg_temp.plan(p_index regclass, p_statement text) returns text
      language plpgsql as $$
      declare v_each record; v_line text; v_lines text := '';
      begin
        for v_each in
          select i.indexrelid::regclass as index, i.indrelid::regclass as of, k.conname as name from pg_index i
          left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u')
          where i.indrelid = (select p.indrelid from pg_index p where p.indexrelid = p_index) and i.indexrelid <> p_index
        loop
          execute case when v_each.name is null then format('drop index %s', v_each.index)
            else format('alter table %s drop constraint %I cascade', v_each.of, v_each.name) end;
        end loop;
        perform set_config('role', current_database() || '_app', true);
        for v_line in execute 'explain (costs off) ' || p_statement loop v_lines := v_lines || v_line || '; '; end loop;
        raise exception using errcode = 'TT000', message = v_lines;
      exception when sqlstate 'TT000' then return sqlerrm;
      end $$`)
    const plans = await admin.begin(async (sql) => {
      await sql.unsafe(`set local enable_seqscan = off; set local enable_bitmapscan = off; set local client_min_messages = warning;
        set local request.jwt.claims = '${JSON.stringify(claimsOf('owner'))}'`)
      return sql<{ index: string; column: string; plan: string }[]>`
        select i.indexrelid::regclass::text as index, a.attname as column, pg_temp.plan(i.indexrelid,
          format('select from %s where %I = %L::%s', i.indrelid::regclass, a.attname,
            case a.atttypid::regtype::text when 'uuid' then ${ORGANIZATION} when 'boolean' then 'true' when 'text' then 'a'
              else '2026-01-01' end, a.atttypid::regtype) || coalesce(' and ' || pg_get_expr(i.indpred, i.indrelid), '')) as plan
        from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid::regclass::text like 'public.%' order by 1`
    })
    expect(plans.length).toBeGreaterThanOrEqual(21 + 17)
    const unused = plans.filter(
      ({ index, column, plan }) =>
        !plan.includes(`using ${index.split('.')[1]}`) ||
        !new RegExp(`Index Cond: [^;]*\\b${column} = `).test(plan),
    )
    expect(unused).toEqual([])
  })
})

describe('each table', () => {
  it('has a UUID key and its times, which a trigger keeps', async () => {
    const tables = await admin<{ table: string }[]>`
      select c.relname as table from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relrowsecurity
        and exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary and i.indkey::text = (
          select a.attnum::text from pg_attribute a where a.attrelid = c.oid and a.attname = 'id' and a.atttypid = 'uuid'::regtype))
        and 2 = (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attname in ('created_at', 'updated_at')
          and a.atttypid = 'timestamptz'::regtype and a.attnotnull and a.atthasdef)
        and exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgfoid = 'tenant.keep_times()'::regprocedure)`
    expect(tables.map(({ table }) => table).sort()).toEqual([...TABLES].sort())
    const [row] =
      await admin`update public.contacts set notes = 'x', created_at = '2000-01-01', updated_at = '2000-01-01'
      where organization_id = ${ORGANIZATION} returning created_at > '2020-01-01' and updated_at > created_at as kept`
    expect(row).toEqual({ kept: true })
  })

  it('has an index for every reference, and ends with its organization', async () => {
    const open = await admin`
      select k.conrelid::regclass::text as table, k.conname as name from pg_constraint k
      where k.contype = 'f' and k.connamespace = 'public'::regnamespace and not exists (
        select from pg_index i where i.indrelid = k.conrelid and i.indpred is null and i.indkey[0] = k.conkey[1])`
    expect(open).toEqual([])
    const bound = await admin<{ table: string }[]>`
      select k.conrelid::regclass::text as table from pg_constraint k
      where k.confrelid = 'public.organizations'::regclass and k.confdeltype = 'c'`
    expect(bound).toHaveLength(20)
    const rows = () => admin<{ rows: string }[]>`select string_agg(t, ' ') as rows from (
      ${admin.unsafe(
        TABLES.filter((t) => t !== 'organizations')
          .map((t) => `select '${t}' as t from public.${t} where organization_id = '${OTHER}'`)
          .join(' union all '),
      )}) t`
    expect((await rows())[0]?.rows.split(' ')).toHaveLength(20)
    await admin`delete from public.organizations where id = ${OTHER}`
    expect(await rows()).toEqual([{ rows: null }])
  })

  it('of people, deals and messages keeps what belongs together', async () => {
    const [contact] = await admin`insert into public.contacts (organization_id, email)
      values (${ORGANIZATION}, ' Ada@Example.COM ') returning email`
    expect(contact).toEqual({ email: 'ada@example.com' })
    const [deal] = await admin`insert into public.deals (organization_id, name, stage)
      values (${ORGANIZATION}, 'A', 'won') returning id, closed_at is not null as closed, probability`
    expect(deal).toMatchObject({ closed: true, probability: 100 })
    expect(
      await admin`update public.deals set stage = 'proposal' where id = ${deal?.id} returning closed_at`,
    ).toEqual([{ closed_at: null }])
    const [note] =
      await admin`update public.notifications set read = true where user_id = ${PERSON.member ?? ''}
      returning read_at is not null as at`
    expect(note).toEqual({ at: true })
  })

  it.each([
    [
      'an address without an at',
      "insert into public.contacts (organization_id, email) select ORG, 'ada'",
      'contacts_email_has_an_at',
    ],
    [
      'a contact that nobody can tell apart',
      'insert into public.contacts (organization_id) select ORG',
      'contacts_can_be_told_apart',
    ],
    [
      'an unknown stage',
      "insert into public.deals (organization_id, name, stage) select ORG, 'A', 'x'",
      'deals_stage_is_known',
    ],
    [
      'a campaign that is scheduled for no time',
      "insert into public.email_campaigns (organization_id, name, status) select ORG, 'A', 'scheduled'",
      'email_campaigns_has_a_time_when_scheduled',
    ],
    [
      'a negative amount',
      "insert into public.deals (organization_id, name, amount) select ORG, 'A', -1",
      'amount_is_not_negative',
    ],
    [
      'a link that is none',
      "insert into public.companies (organization_id, name, website) select ORG, 'A', 'javascript:1'",
      'web_address_is_http',
    ],
  ])('refuses %s', async (_what, statement, constraint) => {
    await expect(admin.unsafe(statement.replace('ORG', `'${ORGANIZATION}'`))).rejects.toMatchObject({
      constraint_name: constraint,
    })
  })
})
