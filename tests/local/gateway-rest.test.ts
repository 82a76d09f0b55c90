import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type GatewayFixture, startFixtureGateway, supabaseClient } from './fixtures/gateway.ts'

let fixture: GatewayFixture
let sql: postgres.Sql
let ada: { supabase: SupabaseClient; id: string }
let bob: { supabase: SupabaseClient; id: string }

const schema = `
  create table public.notes (
    id int primary key,
    owner_id uuid not null,
    title text not null,
    tags text[] not null default '{}',
    details jsonb not null default '{}',
    score numeric,
    "odd ""name" text
  );
  alter table public.notes enable row level security;
  revoke all on public.notes from anon, authenticated, service_role;
  grant select on public.notes to authenticated, service_role;
  create policy own_notes on public.notes for select to authenticated using (owner_id = (select auth.uid()));
  create table public.locked (id int);
  revoke all on public.locked from anon, authenticated, service_role;

  create function public.add(a int, b int default 10) returns int language sql immutable as 'select a + b';
  create function public.add(a text, c text) returns text language sql immutable as 'select a || c';
  create function public.whoami() returns jsonb language sql stable as $$
    select jsonb_build_object('role', current_user, 'uid', auth.uid(), 'method', current_setting('request.method'),
      'path', current_setting('request.path'), 'agent', current_setting('request.headers')::jsonb ->> 'x-probe',
      'timeout', current_setting('statement_timeout')) $$;
  create function public.my_notes() returns setof public.notes language sql stable as 'select * from public.notes';
  create function public.first_note() returns public.notes language sql stable
    as 'select * from public.notes order by id limit 1';
  create function public.numbers(up_to int) returns setof int language sql as 'select generate_series(1, up_to)';
  create function public.pairs() returns table (a int, b text) language sql as $$ values (1, 'one'), (2, 'two') $$;
  create table public.calls (at timestamptz default now());
  grant insert on public.calls to authenticated;
  create function public.record_call() returns void language sql volatile as 'insert into public.calls default values';
  create function public.fail(state text, note text) returns int language plpgsql as $$
    begin raise exception using errcode = state, message = note, detail = 'why', hint = 'what to do'; end $$;
  create function public.wait() returns void language sql volatile as 'select pg_sleep(5)';
  create function public.echo(list int[], document jsonb) returns jsonb language sql
    as 'select jsonb_build_object(''list'', list, ''document'', document)';
  insert into auth.users (id, email) values (gen_random_uuid(), 'placeholder@example.com');
`

beforeAll(async () => {
  fixture = await startFixtureGateway()
  sql = postgres(fixture.database.url(), { max: 2, onnotice: () => undefined })
  await sql.unsafe(schema)
  ada = await user()
  bob = await user()
  const rows = [1, 2, 3, 4, 5, 6, 7].map((id) => ({
    id,
    owner_id: id === 7 ? bob.id : ada.id,
    title: ['one', 'two, or so', 'three', 'four "4"', 'five', 'six', 'Bob’s'][id - 1] ?? '',
    tags: id % 2 === 0 ? ['even'] : ['odd', 'prime'],
    details: sql.json({ size: id, place: { city: id < 4 ? 'Oslo' : 'Rome' } }),
    score: id === 3 ? null : id / 2,
  }))
  await sql`insert into public.notes ${sql(rows)}`
  await reloadSchema()
})
afterAll(async () => {
  await sql.end()
  await fixture.stop()
})

const anonymous = () => supabaseClient(fixture.gateway.url, fixture.keys.publishableKey)
const service = () => supabaseClient(fixture.gateway.url, fixture.keys.secretKey)

async function user() {
  const supabase = anonymous()
  const { data } = await supabase.auth.signUp({
    email: `${crypto.randomUUID()}@example.com`,
    password: 'long enough',
  })
  return { supabase, id: data.user?.id ?? '' }
}

async function reloadSchema(): Promise<void> {
  await sql`notify pgrst, 'reload schema'`
  await vi.waitUntil(async () => (await service().from('notes').select('id').limit(1)).status === 200, {
    timeout: 15_000,
  })
}

const ids = (data: unknown) => (Array.isArray(data) ? data.map((row: { id: unknown }) => row.id) : data)
const notes = () => ada.supabase.from('notes').select('id').order('id')

describe('reading tables', () => {
  test('shows each caller only what row level security lets them see', async () => {
    expect(ids((await bob.supabase.from('notes').select()).data)).toEqual([7])
    expect(ids((await notes()).data)).toEqual([1, 2, 3, 4, 5])
    const { count } = await service().from('notes').select('*', { count: 'exact', head: true })
    expect(count).toBe(7)
  })

  test('refuses anonymous callers with 401 and users with 403 where a grant is missing', async () => {
    const asAnon = await anonymous().from('notes').select()
    expect(asAnon).toMatchObject({ status: 401, error: { code: '42501' } })
    const asUser = await ada.supabase.from('locked').select()
    expect(asUser).toMatchObject({
      status: 403,
      error: { code: '42501', message: 'permission denied for table locked' },
    })
  })

  test.each([
    ['eq', () => notes().eq('id', 2), [2]],
    ['neq', () => notes().neq('id', 2), [1, 3, 4, 5, 6]],
    ['gt and lte', () => notes().gt('id', 2).lte('id', 4), [3, 4]],
    ['gte and lt on numeric', () => notes().gte('score', 1).lt('score', 2.5), [2, 4]],
    ['like', () => notes().like('title', 't%'), [2, 3]],
    ['ilike', () => notes().ilike('title', 'F*'), [4, 5]],
    ['is null', () => notes().is('score', null), [3]],
    ['not is null', () => notes().not('score', 'is', null).lt('id', 4), [1, 2]],
    ['in with quoted commas', () => notes().in('title', ['two, or so', 'four "4"']), [2, 4]],
    ['not in', () => notes().not('id', 'in', '(1,2,3)'), [4, 5, 6]],
    ['in with nothing', () => notes().in('id', []), []],
    ['contains', () => notes().contains('tags', ['even']), [2, 4, 6]],
    ['or', () => notes().or('id.eq.1,title.eq."two, or so"'), [1, 2]],
    ['nested and', () => notes().or('and(id.gt.1,id.lt.3),not.and(id.lt.6,id.gt.0)'), [2, 6]],
    ['or with in', () => notes().or('id.in.(1,2),id.not.lt.6'), [1, 2, 6]],
    ['json path', () => notes().eq('details->place->>city', 'Rome'), [4, 5, 6]],
  ])('filters with %s', async (_name, request, expected) => {
    const { data, error } = await request()
    expect(error).toBeNull()
    expect(ids(data)).toEqual(expected)
  })

  test('selects columns by alias, cast and json path', async () => {
    const { data } = await ada.supabase
      .from('notes')
      .select('number:id, id::text, details->place->>city, size:details->size, score')
      .eq('id', 1)
    expect(data).toEqual([{ number: 1, id: '1', city: 'Oslo', size: 1, score: 0.5 }])
  })

  test('orders, with nulls where they are wanted', async () => {
    const { data } = await ada.supabase
      .from('notes')
      .select('id')
      .order('score', { ascending: false, nullsFirst: true })
    expect(ids(data)).toEqual([3, 6, 5, 4, 2])
  })

  test('pages, and counts beyond the page and the project’s maximum of rows', async () => {
    const page = await ada.supabase.from('notes').select('id', { count: 'exact' }).order('id').range(1, 2)
    expect(page).toMatchObject({ status: 206, count: 6, data: [{ id: 2 }, { id: 3 }] })
    const reply = await fetch(`${fixture.gateway.url}/rest/v1/notes?select=id&order=id`, {
      headers: { apikey: fixture.keys.secretKey, range: '5-6', prefer: 'count=exact' },
    })
    expect(reply.headers.get('content-range')).toBe('5-6/7')
    const beyond = await ada.supabase.from('notes').select('id', { count: 'exact' }).range(50, 60)
    expect(beyond).toMatchObject({ status: 416, error: { code: 'PGRST103' } })
  })

  test('returns one object on request, and refuses when there is not exactly one', async () => {
    expect((await ada.supabase.from('notes').select('title').eq('id', 1).single()).data).toEqual({
      title: 'one',
    })
    const none = await ada.supabase.from('notes').select().eq('id', 99).single()
    expect(none).toMatchObject({
      status: 406,
      error: { code: 'PGRST116', details: 'The result contains 0 rows' },
    })
    expect((await ada.supabase.from('notes').select().eq('id', 99).maybeSingle()).data).toBeNull()
  })

  test('takes values and names for what they are, never for SQL', async () => {
    const hostile = `'; drop table public.notes; --`
    expect((await ada.supabase.from('notes').select().eq('title', hostile)).data).toEqual([])
    expect((await ada.supabase.from('notes').select().eq(hostile, '1')).error).toMatchObject({
      code: 'PGRST100',
    })
    expect((await ada.supabase.from('notes').select().eq(`"${hostile}"`, '1')).error).toMatchObject({
      code: '42703',
    })
    expect((await ada.supabase.from('notes').select('id::text) from x')).status).toBe(400)
    expect((await ada.supabase.from('notes').select('id::"; drop')).status).toBe(400)
    expect((await ada.supabase.from('notes').select('"odd \\"name"').eq('id', 1)).data).toEqual([
      { 'odd "name': null },
    ])
    expect((await ada.supabase.from('notes').select(`x"y:id`).eq('id', 1)).status).toBe(400)
  })

  test('reports what it does not know in PostgREST’s words', async () => {
    expect(await ada.supabase.from('missing').select()).toMatchObject({
      status: 404,
      error: { code: 'PGRST205', message: "Could not find the table 'public.missing' in the schema cache" },
    })
    const column = await ada.supabase.from('notes').select('nope')
    expect(column).toMatchObject({
      status: 400,
      error: { code: '42703', message: 'column notes.nope does not exist' },
    })
    const mistyped = await ada.supabase.from('notes').select().eq('owner_id', 'no-uuid')
    expect(mistyped).toMatchObject({ status: 400, error: { code: '22P02' } })
    const profile = await service().schema('auth').from('users').select()
    expect(profile).toMatchObject({ status: 406, error: { code: 'PGRST106' } })
  })

  test('knows a new table only after the schema cache was told to reload', async () => {
    await sql`create table public.later (id int)`
    expect((await service().from('later').select()).error).toMatchObject({ code: 'PGRST205' })
    await sql`notify pgrst, 'reload schema'`
    await expect.poll(async () => (await service().from('later').select()).data).toEqual([])
  })

  test('refuses to update or delete without a filter, as pg-safeupdate does on a hosted project', async () => {
    expect(await service().from('notes').delete()).toMatchObject({
      status: 400,
      error: { code: '21000', message: 'DELETE requires a WHERE clause' },
    })
    expect(await service().from('notes').update({ title: 'x' })).toMatchObject({
      status: 400,
      error: { code: '21000', message: 'UPDATE requires a WHERE clause' },
    })
  })

  test('says what it lacks', async () => {
    const put = await fetch(`${fixture.gateway.url}/rest/v1/notes?id=eq.1`, {
      method: 'PUT',
      headers: { apikey: fixture.keys.secretKey, 'content-type': 'application/json' },
      body: '{}',
    })
    expect(put.status).toBe(501)
    expect(await put.json()).toMatchObject({
      code: 'LOCAL_NOT_IMPLEMENTED',
      message: expect.stringContaining('does not support PUT'),
    })
    await sql.unsafe(`
      create table public.shops (id int primary key);
      create view public.open_shops as select * from public.shops;
      create function public.wares(public.shops) returns setof public.shops language sql as 'select $1';
      create domain public.colour as int;
      create function public.shown(public.colour) returns json language sql as 'select to_json($1::int)';
      set client_min_messages = error;
      create cast (public.colour as json) with function public.shown(public.colour) as implicit;
      create table public.paints (id int primary key, colour public.colour);
      create domain public."text/plain" as text;
      create function public.page() returns public."text/plain" language sql as 'select ''x''';`)
    await sql`notify pgrst, 'reload schema'`
    await expect.poll(async () => (await service().from('shops').select()).data).toEqual([])
    const lacking = [
      await service().from('shops').insert({ id: 1 }).select('id, wares(id)'),
      await service().from('shops').select('id, open_shops(id)'),
      await service().from('paints').select(),
      await service().rpc('page'),
    ]
    for (const { status, error } of lacking)
      expect({ status, code: error?.code }).toEqual({ status: 501, code: 'LOCAL_NOT_IMPLEMENTED' })
  })
})

describe('calling functions', () => {
  test('passes named arguments and picks the overload by their names', async () => {
    expect((await ada.supabase.rpc('add', { a: 1, b: 2 })).data).toBe(3)
    expect((await ada.supabase.rpc('add', { a: 1 })).data).toBe(11)
    expect((await ada.supabase.rpc('add', { a: 'x', c: 'y' })).data).toBe('xy')
    expect((await ada.supabase.rpc('add', { a: 1, b: 2 }, { get: true })).data).toBe(3)
    const echoed = await ada.supabase.rpc('echo', { list: [1, 2], document: { a: [null, '"'] } })
    expect(echoed.data).toEqual({ list: [1, 2], document: { a: [null, '"'] } })
  })

  test('runs as the caller, with the request’s settings and the role’s timeout', async () => {
    const { data } = await ada.supabase.rpc('whoami').setHeader('x-probe', 'here')
    expect(data).toEqual({
      role: 'authenticated',
      uid: ada.id,
      method: 'POST',
      path: '/rpc/whoami',
      agent: 'here',
      timeout: '8s',
    })
    expect((await anonymous().rpc('whoami')).data).toMatchObject({ role: 'anon', uid: null, timeout: '3s' })
    expect((await service().rpc('whoami')).data).toMatchObject({ role: 'service_role', uid: null })
  })

  test('leaves nothing of one caller for the next on the same connection', async () => {
    const replies = await Promise.all(
      Array.from({ length: 30 }, (_, index) => (index % 2 === 0 ? ada : bob).supabase.rpc('whoami')),
    )
    replies.forEach(({ data }, index) => {
      expect(data.uid).toBe((index % 2 === 0 ? ada : bob).id)
    })
    expect((await anonymous().rpc('whoami')).data.uid).toBeNull()
    // service_role has no timeout of its own: it must find the login role's, not the one of the caller before.
    await Promise.all(Array.from({ length: 15 }, () => anonymous().rpc('whoami')))
    const later = await Promise.all(Array.from({ length: 15 }, () => service().rpc('whoami')))
    expect(new Set(later.map(({ data }) => data.timeout))).toEqual(new Set(['8s']))
  })

  test('returns rows that can be filtered, a single row, scalars and tables', async () => {
    const rows = await ada.supabase
      .rpc('my_notes', {}, { count: 'exact' })
      .select('id')
      .gt('id', 1)
      .order('id')
      .limit(2)
    expect(rows).toMatchObject({ count: 5, data: [{ id: 2 }, { id: 3 }] })
    expect((await ada.supabase.rpc('my_notes', {}, { get: true }).eq('id', 4)).data).toMatchObject([
      { id: 4 },
    ])
    expect((await ada.supabase.rpc('first_note')).data).toMatchObject({ id: 1, title: 'one' })
    expect((await ada.supabase.rpc('numbers', { up_to: 3 })).data).toEqual([1, 2, 3])
    expect((await ada.supabase.rpc('pairs').order('a', { ascending: false }).limit(1).single()).data).toEqual(
      {
        a: 2,
        b: 'two',
      },
    )
  })

  test('lets a volatile function write when it was posted, not when it was fetched', async () => {
    const posted = await ada.supabase.rpc('record_call')
    expect(posted.status).toBe(204)
    const fetched = await ada.supabase.rpc('record_call', {}, { get: true })
    expect(fetched).toMatchObject({ status: 405, error: { code: '25006' } })
    expect(await sql`select 1 from public.calls`).toHaveLength(1)
  })

  test('reports a missing function in PostgREST’s words', async () => {
    expect(await ada.supabase.rpc('add', { a: 1, z: 2 })).toMatchObject({
      status: 404,
      error: {
        code: 'PGRST202',
        message: 'Could not find the function public.add(a, z) in the schema cache',
      },
    })
  })

  test.each([
    ['P0001', 400],
    ['23505', 409],
    ['23503', 409],
    ['40001', 500],
    ['22P02', 400],
    ['42501', 403],
    ['PT402', 402],
    ['57014', 500],
  ])('maps SQLSTATE %s to HTTP %i', async (state, status) => {
    const reply = await ada.supabase.rpc('fail', { state, note: 'it failed' })
    expect(reply).toMatchObject({
      status,
      error: { code: state, message: 'it failed', details: 'why', hint: 'what to do' },
    })
  })

  test('ends a statement that runs longer than its role may', async () => {
    expect(await anonymous().rpc('wait')).toMatchObject({ status: 500, error: { code: '57014' } })
  })
})
