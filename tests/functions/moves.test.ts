import type postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { only } from '../database/project.ts'
import { placesApart } from './mortal-worker.ts'
import { MovingTenants } from './moving-tenant.ts'
import { startSilentServer } from './silent-server.ts'

let tenants: MovingTenants

beforeAll(async () => {
  tenants = await MovingTenants.open()
})

afterAll(() => tenants?.[Symbol.asyncDispose]())

const SETTINGS = { move_closed_seconds: 20, move_closings: 5, step_max_seconds: 120 }

afterEach(async () => {
  tenants.before = async () => undefined
  tenants.stepMaxSeconds = 60
  await tenants.sql`update provisioning.settings set ${tenants.sql(SETTINGS)}`
})

async function inSource<T>(id: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = await tenants.inside(id)
  return work(sql).finally(() => sql.end({ timeout: 1 }))
}

async function asApp<T>(id: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = await tenants.login(id)
  return work(sql).finally(() => sql.end({ timeout: 1 }))
}

/** Rows of each sort that is hard to copy. */
async function fill(id: string): Promise<void> {
  await inSource(id, async (sql) => {
    await sql`insert into companies (id, organization_id, name, parent_company_id, tags) values
      ('00000000-0000-4000-8000-000000000001', ${id}, 'Daughter', null, '{"a,b","c\\"d",é}'),
      ('ffffffff-0000-4000-8000-000000000002', ${id}, 'Mother', null, '{}')`
    await sql`update companies set parent_company_id = 'ffffffff-0000-4000-8000-000000000002' where name = 'Daughter'`
    await sql`insert into contacts (organization_id, email, notes, created_at, company_id)
      select ${id}, 'person' || n || '@example.com', repeat('x', n), '2020-01-01', '00000000-0000-4000-8000-000000000001'
      from generate_series(1, 300) n`
    await sql`insert into audit_log (organization_id, action) values (${id}, 'something.happened')`
    await sql`alter table contacts disable trigger user`
    await sql`update contacts set updated_at = '2021-02-03 04:05:06.789012'`
    await sql`alter table contacts enable trigger user`
  })
}

/** Everything in the tenant's tables, as one value. */
async function contents(sql: postgres.Sql): Promise<Record<string, string>> {
  const tables = await sql<{ name: string }[]>`
    select tablename as name from pg_tables where schemaname = 'public' order by 1`
  const rows: Record<string, string> = {}
  for (const { name } of tables) {
    const [row] = await sql.unsafe<{ text: string }[]>(
      `select count(*) || ' ' || md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) as text from public.${name} t`,
    )
    rows[name] = row?.text ?? ''
  }
  return rows
}

async function overall(id: string) {
  const rows = await tenants.sql<{ status: Record<string, string>; tier: string }[]>`
    select provisioning_status - 'changed_at' as status, provisioning.tier_of(id) as tier from public.organizations where id = ${id}`
  return only(rows)
}

const isOpen = (id: string) =>
  asApp(id, (sql) => sql`select 1`).then(
    () => true,
    (error: { code?: string }) => {
      if (error.code !== '42501') throw error
      return false
    },
  )

/** It is where it was, and works. */
async function expectUntouched(id: string): Promise<void> {
  expect(await overall(id)).toMatchObject({ tier: 'database', status: { overall: 'ready', neon: 'ready' } })
  expect((await tenants.row(id)).neonProjectId).not.toBeNull()
  expect(await isOpen(id)).toBe(true)
}

describe('a move', () => {
  test('brings all rows along as they are, and makes the new database the tenant’s', async () => {
    const id = await tenants.tenant()
    await fill(id)
    const before = await inSource(id, contents)
    const jobId = await tenants.move(id)
    expect(await tenants.workToEnd(id, jobId), await tenants.report(id)).toBe('succeeded')
    expect(await overall(id)).toEqual({
      tier: 'project',
      status: { supabase: 'ready', database: 'ready', graphql: 'ready', overall: 'ready' },
    })
    expect((await tenants.row(id)).neonProjectId).toBeNull()
    expect(await inSource(id, contents)).toEqual(before)
    await asApp(id, (sql) => sql`insert into companies (name) values ('Made after the move')`)
    const times = await inSource(id, (sql) => sql`select distinct updated_at::text as at from contacts`)
    expect(times).toEqual([{ at: '2021-02-03 04:05:06.789012+00' }])
    const moved = await tenants.sql`
      select table_name, rows_moved::int as rows from provisioning.moved_tables
      where organization_id = ${id} and table_name in ('public.contacts', 'public.audit_log') order by 1`
    expect(moved).toEqual([
      { table_name: 'public.audit_log', rows: 1 },
      { table_name: 'public.contacts', rows: 300 },
    ])
  })

  test('keeps the old database for its grace period, closed, and removes it then', async () => {
    const id = await tenants.tenant()
    await tenants.sql`update provisioning.resource_kinds set grace_hours = 72 where kind = 'neon_project'`
    const former = await tenants.login(id)
    try {
      expect(await tenants.workToEnd(id, await tenants.move(id))).toBe('succeeded')
      await expect(former`select 1`).rejects.toMatchObject({
        code: expect.stringMatching(/57P01|42501|28P01|CONNECTION/),
      })
      const [job] = await tenants.sql<{ id: string }[]>`
        select id from public.provisioning_jobs where organization_id = ${id} and kind = 'remove_former'`
      const removal = job?.id ?? ''
      await tenants.work(id)
      expect(await tenants.step(removal, 'delete_neon_project')).toMatchObject({
        status: 'retrying',
        error: { code: 'grace_period' },
      })
      expect(await tenants.neonProjects(id)).toBe(1)
      await tenants.sql`update public.tenant_resources set remove_at = now() where organization_id = ${id} and kind = 'neon_project'`
      expect(await tenants.workToEnd(id, removal)).toBe('succeeded')
      expect(await tenants.neonProjects(id)).toBe(0)
      expect(await overall(id)).toMatchObject({ status: { overall: 'ready' } })
      expect((await tenants.row(id)).role).toMatch(/_app_1$/)
      expect(await isOpen(id)).toBe(true)
    } finally {
      await former.end({ timeout: 1 })
      await tenants.sql`update provisioning.resource_kinds set grace_hours = 0`
    }
  })

  test('shows nobody a secret, and leaves none of the old ones behind', async () => {
    const id = await tenants.tenant()
    await tenants.workToEnd(id, await tenants.move(id))
    const names = await tenants.sql<{ name: string; secret: string }[]>`
      select name, decrypted_secret as secret from vault.decrypted_secrets where name like ${`%${id}%`} order by name`
    expect(names.map(({ name }) => name.replace(id, 'ID'))).toEqual([
      'tenant_database_password/ID/app_1',
      'tenant_database_password/ID/graphql',
      'tenant_database_password/ID/health',
      'tenant_database_password/ID/schema',
      'tenant_project_secrets/ID',
    ])
    const shown = await tenants.everythingShown()
    for (const { secret } of names.slice(0, 4)) expect(shown).not.toContain(secret)
  })

  test('makes the database and leaves the rows when that is asked for', async () => {
    const id = await tenants.tenant()
    await fill(id)
    expect(await tenants.workToEnd(id, await tenants.move(id, { withData: false }))).toBe('succeeded')
    const rows = await inSource(
      id,
      (sql) =>
        sql`select (select count(*)::int from contacts) as contacts, (select count(*)::int from users) as users`,
    )
    expect(rows).toEqual([{ contacts: 0, users: 1 }])
  })

  test('is copied in parts where it is long, each going on where the one before has ended', async () => {
    const id = await tenants.tenant()
    await inSource(
      id,
      (sql) =>
        sql`insert into contacts (organization_id, email) select ${id}, n || '@example.com' from generate_series(1, 9000) n`,
    )
    await tenants.sql`update provisioning.settings set step_max_seconds = 1`
    const jobId = await tenants.move(id)
    let parts = 0
    tenants.before = async (step) => {
      if (step === 'move_copy') parts += 1
      // What the last look may take is bounded by the same setting.
      if (step === 'move_switch') await tenants.sql`update provisioning.settings set step_max_seconds = 120`
    }
    expect(await tenants.workToEnd(id, jobId), await tenants.report(id)).toBe('succeeded')
    expect(parts).toBeGreaterThan(1)
    const rows = await inSource(id, (sql) => sql`select count(*)::int as n from contacts`)
    expect(rows).toEqual([{ n: 9000 }])
    // The first pass has changed many rows, so that there is a second, which finds that nothing is left.
    const passes = await tenants.sql`
      select passes, changed from provisioning.moved_tables where organization_id = ${id} and table_name = 'public.contacts'`
    expect(passes).toEqual([{ passes: 2, changed: 0 }])
  })
})

describe('what is written during a move', () => {
  test('is there afterwards: new rows, changed ones, removed ones, and values that have changed places', async () => {
    const id = await tenants.tenant()
    await fill(id)
    let at = ''
    tenants.before = async (step) => {
      if (step !== 'move_switch' || at === step) return
      at = step
      await asApp(id, async (sql) => {
        await sql`insert into contacts (email) values ('late@example.com')`
        await sql`update contacts set notes = 'changed' where email = 'person7@example.com'`
        await sql`delete from contacts where email = 'person8@example.com'`
        await sql`update contacts set email = 'x@example.com' where email = 'person1@example.com'`
        await sql`update contacts set email = 'person1@example.com' where email = 'person299@example.com'`
        await sql`update contacts set email = 'person299@example.com' where email = 'x@example.com'`
      })
    }
    const jobId = await tenants.move(id)
    let last: Record<string, string> = {}
    const before = tenants.before
    tenants.before = async (step) => {
      await before(step)
      if (step === 'move_switch') last = await inSource(id, contents)
    }
    expect(await tenants.workToEnd(id, jobId), await tenants.report(id)).toBe('succeeded')
    expect(await inSource(id, contents)).toEqual(last)
    const late = await inSource(
      id,
      (sql) =>
        sql`select notes from contacts where email in ('late@example.com', 'person7@example.com') order by 1`,
    )
    expect(late).toEqual([{ notes: 'changed' }, { notes: null }])
  })

  test('is never lost: whatever the old database has confirmed is in the new one', async () => {
    const id = await tenants.tenant()
    const writer = await tenants.login(id)
    let confirmed = 0
    const writing = (async () => {
      for (;;) {
        await writer`insert into contacts (email) values (${`${confirmed + 1}@example.com`})`
        confirmed += 1
      }
    })().catch((error: { code?: string }) => error.code)
    const status = await tenants.workToEnd(id, await tenants.move(id))
    expect(status, await tenants.report(id)).toBe('succeeded')
    expect(await writing).toMatch(/57P01|42501|28P01|CONNECTION/)
    await writer.end({ timeout: 1 })
    const rows = await inSource(id, (sql) => sql<{ n: number }[]>`select count(*)::int as n from contacts`)
    expect(confirmed).toBeGreaterThan(10)
    // One more may have been committed whose confirmation did not arrive.
    expect(only(rows).n - confirmed).toBeOneOf([0, 1])
  })
})

describe('steps of one’s own', () => {
  /** In the new tier alone; in both and resting on the database; and in both with nothing to do with it. */
  const STEPS = { project: 'account', both: 'report', beside: 'newsletter' }
  let ran: string[] = []

  beforeAll(async () => {
    const { sql } = tenants
    await sql`insert into provisioning.services (service, label) values ('crm', 'CRM'), ('reports', 'Reports'), ('news', 'News')`
    await sql`insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
      ('provision', 'project', ${STEPS.project}, 'crm', 40, '{}'),
      ('undo', 'project', 'delete_account', 'crm', 40, '{}'),
      ('provision', 'database', ${STEPS.both}, 'reports', 40, '{tenant_schema}'),
      ('provision', 'project', ${STEPS.both}, 'reports', 41, '{tenant_schema}'),
      ('undo', 'project', 'delete_report', 'reports', 41, '{delete_account}'),
      ('provision', 'database', ${STEPS.beside}, 'news', 41, '{}'),
      ('provision', 'project', ${STEPS.beside}, 'news', 42, '{}'),
      ('undo', 'project', 'delete_newsletter', 'news', 42, '{}')`
    await sql`update provisioning.tiers set services = services || '{reports,news}'`
    await sql`update provisioning.tiers set services = services || '{crm}' where tier = 'project'`
    const names = [...Object.values(STEPS), 'delete_account', 'delete_report', 'delete_newsletter']
    tenants.own = Object.fromEntries(
      names.map((name) => [
        name,
        async () => {
          ran.push(name)
          return { type: 'succeeded', output: {} }
        },
      ]),
    )
  })

  beforeEach(() => {
    ran = []
  })

  afterAll(async () => {
    const own = ['crm', 'reports', 'news']
    await tenants.sql`delete from provisioning.step_definitions where service = any (${own})`
    await tenants.sql`
      update provisioning.tiers set services = array(select s from unnest(services) s where s <> all (${own}))`
    tenants.own = {}
  })

  test('belong to the move when they are of the new tier, or rest on the database, and to nothing else', async () => {
    const id = await tenants.tenant()
    expect(ran.sort()).toEqual([STEPS.beside, STEPS.both])
    ran = []
    tenants.before = async (step) => {
      if (step === 'move_check' || step === 'move_switch') ran.push(step)
    }
    const jobId = await tenants.move(id)
    expect(await tenants.workToEnd(id, jobId), await tenants.report(id)).toBe('succeeded')
    expect([ran.at(0), ran.slice(1, -1).sort(), ran.at(-1)]).toEqual([
      'move_check',
      [STEPS.project, STEPS.both],
      'move_switch',
    ])
    expect((await overall(id)).status).toMatchObject({
      ...{ crm: 'ready', reports: 'ready', news: 'ready', overall: 'ready' },
    })
  })

  test('are taken back by a cancelled move where the tenant does not have their service otherwise', async () => {
    const id = await tenants.tenant()
    const jobId = await tenants.move(id)
    tenants.before = async (step) => {
      if (step === 'move_switch') await tenants.cancel(id)
    }
    expect(await tenants.workToEnd(id, jobId)).toBe('cancelled')
    tenants.before = async () => undefined
    expect(await tenants.workToEnd(id), await tenants.report(id)).toBe('succeeded')
    expect(ran.filter((name) => name.startsWith('delete_'))).toEqual(['delete_account'])
  })
})

describe('a look before a move', () => {
  test('names what people have made, and changes nothing', async () => {
    const id = await tenants.tenant()
    await inSource(id, async (sql) => {
      await sql`create table public.my_things (id int)`
      await sql`alter table public.contacts add column "My field" text`
    })
    const before = await inSource(id, contents)
    const jobId = await tenants.move(id, { dryRun: true })
    expect(await tenants.workToEnd(id, jobId)).toBe('succeeded')
    expect((await tenants.step(jobId, 'move_check')).output).toMatchObject({
      differ: [],
      extra: ['public.my_things', 'public.contacts."My field"'],
    })
    expect(await inSource(id, contents)).toEqual(before)
    expect(await tenants.supabaseProjects(id)).toBe(0)
    expect(
      await tenants.sql`select from provisioning.tenant_moves where organization_id = ${id}`,
    ).toHaveLength(0)
    await expectUntouched(id)
  })
})

describe('a database that cannot be moved as it is', () => {
  test.each([
    [
      'has tables that people have made',
      'create table public.my_things (id int)',
      'move_extra_tables',
      'public.my_things',
    ],
    [
      'has a view in the place of a table',
      'alter table public.notifications rename to n; create view public.notifications as select * from public.n',
      'move_tables_differ',
      'public.notifications',
    ],
    [
      'lacks a column',
      'alter table public.contacts drop column birthday',
      'move_tables_differ',
      'public.contacts.birthday',
    ],
  ])('ends the move before anything is made when it %s', async (_, change, code, named) => {
    const id = await tenants.tenant()
    await inSource(id, (sql) => sql.unsafe(change))
    const jobId = await tenants.move(id)
    expect(await tenants.workToEnd(id, jobId)).toBe('failed')
    const { error } = await tenants.step(jobId, 'move_check')
    expect(error).toMatchObject({ code, message: expect.stringContaining(named) })
    expect(await tenants.supabaseProjects(id)).toBe(0)
    await expectUntouched(id)
    const alerts = await tenants.sql`
      select kind from public.tenant_alerts where organization_id = ${id} and resolved_at is null`
    expect(alerts).toEqual([{ kind: 'move_failed' }])
  })

  test('is moved without what people have made when that is asked for', async () => {
    const id = await tenants.tenant()
    await fill(id)
    await inSource(id, (sql) =>
      sql.unsafe('create table public.my_things (id int); alter table public.contacts add column mine text'),
    )
    const jobId = await tenants.move(id)
    expect(await tenants.workToEnd(id, jobId)).toBe('failed')
    expect(await tenants.move(id, { leaveExtraTables: true })).toBe(jobId)
    expect(await tenants.workToEnd(id, jobId), await tenants.report(id)).toBe('succeeded')
    const rows = await inSource(id, (sql) => sql`select count(*)::int as n from contacts`)
    expect(rows).toEqual([{ n: 300 }])
  })

  test('is brought up to date first', async () => {
    const id = await tenants.tenant()
    await tenants.sql`update public.organization_databases set schema_version = 0 where organization_id = ${id}`
    const jobId = await tenants.move(id)
    expect(await tenants.workToEnd(id, jobId)).toBe('failed')
    expect((await tenants.step(jobId, 'move_check')).error?.code).toBe('move_schema_behind')
  })
})

describe('a move that does not come to its end', () => {
  test('leaves the tenant where it is, and open, when the rows are not the same', async () => {
    const id = await tenants.tenant()
    await fill(id)
    tenants.before = async (step) => {
      if (step !== 'move_copy') return
      const sql = await tenants.insideComing(id)
      await sql`create unique index if not exists odd on contacts (organization_id)`.finally(() => sql.end())
    }
    const jobId = await tenants.move(id)
    expect(await tenants.workToEnd(id, jobId)).toBe('failed')
    const { error } = await tenants.step(jobId, 'move_switch')
    expect(error).toMatchObject({
      code: 'move_rows_differ',
      message: expect.stringContaining('public.contacts: 300'),
    })
    await expectUntouched(id)
  })

  test('is tried again some times when the last look takes too long, and the tenant is open in between', async () => {
    const id = await tenants.tenant()
    await fill(id)
    await tenants.sql`update provisioning.settings set move_closed_seconds = 0.001, move_closings = 2`
    const jobId = await tenants.move(id)
    const open: boolean[] = []
    tenants.before = async (step) => {
      if (step === 'move_switch') open.push(await isOpen(id))
    }
    expect(await tenants.workToEnd(id, jobId)).toBe('failed')
    expect((await tenants.step(jobId, 'move_switch')).error?.code).toBe('move_never_closed_in_time')
    expect(open).toEqual([true, true, true])
    await expectUntouched(id)
    await tenants.sql`update provisioning.settings set ${tenants.sql(SETTINGS)}`
    expect(await tenants.workToEnd(id, await tenants.move(id))).toBe('succeeded')
  })

  test('ends each step in time when the database does not answer, and goes on when it does', async () => {
    const id = await tenants.tenant()
    await fill(id)
    const jobId = await tenants.move(id)
    const { host, port } = await tenants.row(id)
    for (const [step, code] of [
      ['move_check', 'tenant_database_too_slow'],
      ['move_copy', 'tenant_database_too_slow'],
      ['move_switch', 'move_too_slow'],
    ] as const)
      for (const silence of ['at once', 'behind the login'] as const) {
        await using server = await startSilentServer(silence, { host, port })
        const leadTo = (at: number) => tenants.sql`
          update public.organization_databases set port = ${at} where organization_id = ${id}`
        let startedAt = 0
        tenants.before = async (name) => {
          if (name !== step) return
          startedAt = performance.now()
          await leadTo(server.port)
        }
        // Other steps come first, and need their time beside other work.
        for (let seconds = 0.5; server.silenced === 0; seconds *= 2) {
          tenants.stepMaxSeconds = seconds
          await tenants.work(id)
          await leadTo(port)
        }
        const { status, error } = await tenants.step(jobId, step)
        expect([step, silence, status, error?.code]).toEqual([step, silence, 'retrying', code])
        // Who ignores the deadline waits 15 s for the connection alone.
        expect(performance.now() - startedAt).toBeLessThan(14_000)
      }
    tenants.before = async () => undefined
    tenants.stepMaxSeconds = 60
    expect(await tenants.workToEnd(id, jobId), await tenants.report(id)).toBe('succeeded')
    const rows = await inSource(id, (sql) => sql`select count(*)::int as n from contacts`)
    expect(rows).toEqual([{ n: 300 }])
  })

  test('is taken back when it is cancelled', async () => {
    const id = await tenants.tenant()
    await fill(id)
    const jobId = await tenants.move(id)
    tenants.before = async (step) => {
      if (step === 'move_switch') await tenants.cancel(id)
    }
    expect(await tenants.workToEnd(id, jobId)).toBe('cancelled')
    tenants.before = async () => undefined
    const [undo] = await tenants.sql<{ id: string }[]>`
      select id from public.provisioning_jobs where organization_id = ${id} and kind = 'undo_move'`
    expect(await tenants.workToEnd(id, undo?.id), await tenants.report(id)).toBe('succeeded')
    expect(await tenants.supabaseProjects(id)).toBe(0)
    expect(await tenants.neonProjects(id)).toBe(1)
    const left = await tenants.sql`
      select name from vault.secrets where name like ${`%${id}/coming%`} or name like ${`tenant_project_secrets/${id}`}`
    expect(left).toEqual([])
    await expectUntouched(id)
    expect(await tenants.workToEnd(id, await tenants.move(id)), await tenants.report(id)).toBe('succeeded')
  })

  test('has its database opened by the sweep when its worker is gone', async () => {
    const id = await tenants.tenant()
    const jobId = await tenants.move(id)
    tenants.before = async (step) => {
      if (step !== 'move_switch') return
      const sql = await tenants.inside(id)
      await sql.unsafe(
        `do $$ begin execute format('revoke connect on database %I from %I', current_database(), current_database() || '_app'); end $$`,
      )
      await sql.end()
      await tenants.sql`update provisioning.tenant_moves set closed_until = now() - interval '1 second' where organization_id = ${id}`
      await tenants.cancel(id)
    }
    await tenants.workToEnd(id, jobId)
    await tenants.sql`delete from public.provisioning_jobs where organization_id = ${id} and kind = 'undo_move'`
    expect(await isOpen(id)).toBe(false)
    await tenants.sql`select provisioning.enqueue_reopenings(10)`
    expect(await tenants.workToEnd(id)).toBe('succeeded')
    expect(await isOpen(id)).toBe(true)
  })

  test('goes on after its worker has died, wherever that was', { timeout: 300_000 }, async () => {
    const apart = placesApart(25)
    let deaths = 0
    for (let place = 1; ; place += apart) {
      const id = await tenants.tenant()
      await fill(id)
      const before = await inSource(id, contents)
      const jobId = await tenants.move(id)
      const died = await tenants.workUntilDeath(id, jobId, place)
      expect(await tenants.workToEnd(id, jobId), `${place}: ${await tenants.report(id)}`).toBe('succeeded')
      expect(await inSource(id, contents), `${place}`).toEqual(before)
      expect(await tenants.supabaseProjects(id), `${place}`).toBe(1)
      if (!died) break
      deaths += 1
    }
    expect(deaths * apart).toBeGreaterThan(45)
  })
})

describe('the deletion of an organization', () => {
  test.each(['during its move', 'in the grace period behind it'])(
    'takes both databases along %s',
    async (when) => {
      const id = await tenants.tenant()
      const jobId = await tenants.move(id)
      if (when === 'during its move')
        tenants.before = async (step) => {
          if (step === 'move_switch') await tenants.sql`delete from public.organizations where id = ${id}`
        }
      await tenants.workToEnd(id, jobId)
      tenants.before = async () => undefined
      await tenants.sql`delete from public.organizations where id = ${id}`
      const [removal] = await tenants.sql<{ id: string }[]>`
      select id from public.provisioning_jobs where organization_id = ${id} and kind = 'deprovision'`
      expect(await tenants.workToEnd(id, removal?.id), await tenants.report(id)).toBe('succeeded')
      expect([await tenants.neonProjects(id), await tenants.supabaseProjects(id)]).toEqual([0, 0])
      expect(await tenants.sql`select name from vault.secrets where name like ${`%${id}%`}`).toEqual([])
    },
  )
})

describe('who may move a tenant', () => {
  test.each([
    ['nobody who is no operator', { role: 'authenticated' }, 'TP403'],
    ['the backend', { role: 'service_role' }, undefined],
  ])('%s', async (_, claims, code) => {
    const id = await tenants.tenant()
    const refused = await tenants.sql
      .begin(async (sql) => {
        await sql`select set_config('request.jwt.claims', ${JSON.stringify({ ...claims, sub: crypto.randomUUID() })}, true)`
        await sql`select provisioning.move_as_caller(${id}, 'project', false, true, false)`
      })
      .then(
        () => undefined,
        (error: { code?: string }) => error.code,
      )
    expect(refused).toBe(code)
  })

  test('an operator, into a tier that the plan has', async () => {
    const id = await tenants.tenant()
    const owner = only(
      await tenants.sql<{ id: string }[]>`select owner_id as id from public.organizations where id = ${id}`,
    ).id
    await tenants.sql`select provisioning.grant_operator(${owner})`
    await tenants.sql`update provisioning.plans set tiers = '{database}' where plan = 'free'`
    const ask = () =>
      tenants.sql
        .begin(async (sql) => {
          await sql`select set_config('request.jwt.claims', ${JSON.stringify({ role: 'authenticated', sub: owner })}, true)`
          await sql`select provisioning.move_as_caller(${id}, 'project', false, true, false)`
        })
        .then(
          () => undefined,
          (error: { code?: string }) => error.code,
        )
    expect(await ask()).toBe('TP402')
    await tenants.sql`update provisioning.plans set tiers = '{database,project}'`
    expect(await ask()).toBeUndefined()
  })
})
