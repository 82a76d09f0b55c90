import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { type Caller, enterRole, runAs } from '../support/roles.ts'
import {
  API_ROLES,
  type Cast,
  EVERYBODY_INSIDE,
  openCast,
  PEOPLE,
  type Person,
  THE_HEADS,
  Undo,
  unlessUndone,
} from './cast.ts'
import { privileges } from './catalogue.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, type Project, refusal, type Tenant } from './project.ts'

/** Who may do what with the rows of our tenant. What is not listed is refused. */
interface Access {
  /** Which rows are our tenant's; by default those with its organization_id. */
  readonly ours?: 'id is the organization' | 'id is the owner' | 'user_id is the owner'
  readonly read: readonly Person[]
  /** Columns that nobody may read. */
  readonly hidden?: readonly string[]
  /** Columns that may be changed. */
  readonly update?: Partial<Record<Person, readonly string[]>>
  /** Who may insert, with any column. */
  readonly insert?: readonly Person[]
  /** Columns that may be inserted where not all may be. */
  readonly insertColumns?: Partial<Record<Person, readonly string[]>>
  readonly remove?: readonly Person[]
}

/** A table that is not here fails the tests: say who may do what with it. */
const ACCESS: Readonly<Record<string, Access>> = {
  organizations: {
    ours: 'id is the organization',
    read: EVERYBODY_INSIDE,
    update: {
      admin: ['name', 'billing_email'],
      owner: ['name', 'billing_email'],
      service_role: [
        'name',
        'slug',
        'billing_email',
        'plan',
        'stripe_subscription_id',
        'stripe_subscription_status',
      ],
    },
  },
  profiles: {
    ours: 'id is the owner',
    read: EVERYBODY_INSIDE,
    update: {
      owner: ['id', 'full_name', 'avatar_url', 'discoverable', 'updated_at'],
      service_role: ['full_name', 'avatar_url', 'discoverable'],
    },
    insertColumns: { owner: ['id', 'full_name', 'avatar_url', 'updated_at'] },
  },
  organization_members: {
    read: EVERYBODY_INSIDE,
    update: { service_role: ['role'] },
    insert: ['service_role'],
    remove: ['service_role'],
  },
  wallets: { ours: 'user_id is the owner', read: ['owner', 'service_role'] },
  audit_logs: { read: THE_HEADS },
  provisioning_jobs: { read: EVERYBODY_INSIDE },
  provisioning_steps: { read: EVERYBODY_INSIDE },
  provisioning_events: { read: EVERYBODY_INSIDE },
  organization_databases: { read: THE_HEADS },
  tenant_alerts: { read: EVERYBODY_INSIDE },
  tenant_api_keys: { read: THE_HEADS, hidden: ['hash', 'ended_at'] },
  tenant_health: { read: EVERYBODY_INSIDE },
  tenant_health_checks: { read: EVERYBODY_INSIDE },
  tenant_health_hourly: { read: EVERYBODY_INSIDE },
  tenant_resources: { read: THE_HEADS },
}

/** What the platform itself lets roles read; nothing of ours may join this list. */
const READABLE_ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  anon: ['net._http_response', 'net.http_request_queue'],
  authenticated: ['net._http_response', 'net.http_request_queue'],
  service_role: ['net._http_response', 'net.http_request_queue', 'vault.decrypted_secrets', 'vault.secrets'],
}

let cast: Cast
let project: Project
let ours: Tenant
let people: Cast['people']

beforeAll(async () => {
  cast = await openCast()
  ;({ project, ours, people } = cast)
})

afterAll(() => project.close())

function ourRows(table: string): string {
  switch (ACCESS[table]?.ours) {
    case 'id is the organization':
      return `id = '${ours.organizationId}'`
    case 'id is the owner':
      return `id = '${ours.user.id}'`
    case 'user_id is the owner':
      return `user_id = '${ours.user.id}'`
    case undefined:
      return `organization_id = '${ours.organizationId}'`
  }
}

interface Column {
  readonly name: string
  /** For a domain, the type beneath it. */
  readonly type: string
  /** Part of a unique index. */
  readonly key: boolean
  readonly namesUser: boolean
  /** A foreign key to anything but a user. */
  readonly refers: boolean
}

interface Table {
  readonly name: string
  readonly rls: boolean
  readonly columns: readonly Column[]
  /** Columns that nobody writes. */
  readonly computed: readonly string[]
}

/** Whatever in `public` can be read or written as a table: also views and sequences, which nothing here has. */
async function tablesInPublic(): Promise<Table[]> {
  const tables = await project.sql<Table[]>`
    select c.relname as name, c.relrowsecurity as rls, jsonb_agg(jsonb_build_object(
      'name', a.attname,
      'type', format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null),
      'key', exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and a.attnum = any (i.indkey)),
      'namesUser', a.attname in ('actor_id', 'requested_by') or exists (select from pg_constraint k
        where k.conrelid = c.oid and k.confrelid = 'auth.users'::regclass and a.attnum = any (k.conkey)),
      'refers', exists (select from pg_constraint k
        where k.conrelid = c.oid and k.contype = 'f' and k.confrelid <> 'auth.users'::regclass and a.attnum = any (k.conkey))
    ) order by a.attnum) filter (where a.attgenerated = '') as columns,
      -- What Postgres computes by itself nobody can write.
      array_remove(array_agg(case when a.attgenerated <> '' then a.attname::text end), null) as computed
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    where c.relnamespace = ${PUBLIC_SCHEMA}::regnamespace and c.relkind not in ('i', 'I', 't', 'c') and not c.relispartition
    group by 1, 2 order by 1`
  return tables.map((table) => ({ ...table }))
}

const tableInPublic = async (name: string) =>
  only((await tablesInPublic()).filter((table) => table.name === name))

/** By column, the values of a row of our tenant as SQL. */
type Row = ReadonlyMap<string, string>

async function readOurRows({ name, columns }: Table): Promise<Row[]> {
  const literals = columns.map((column) => `quote_nullable(${column.name}::text)`)
  const found = await project.sql.unsafe<{ row: string[] }[]>(
    `select array[${literals}] as row from public.${name} where ${ourRows(name)}`,
  )
  return found.map(({ row }) => new Map(columns.map((column, index) => [column.name, row[index] ?? 'NULL'])))
}

const NEW_KEYS: Readonly<Record<string, string>> = {
  uuid: 'gen_random_uuid()',
  text: 'gen_random_uuid()::text',
  'timestamp with time zone': 'now()',
}

/** Inserts a row of ours once more, with new keys, and with `userId` wherever it names a user. */
function insertion(table: Table, row: Row, userId?: string): string {
  const values = table.columns.map((column) => {
    const value = row.get(column.name) ?? 'NULL'
    if (column.name === 'organization_id' || column.refers) return value
    if (column.namesUser && userId !== undefined) return `'${userId}'`
    if (!column.key || value === 'NULL') return value
    return column.namesUser ? `'${cast.newcomer}'` : (NEW_KEYS[column.type] ?? `a new ${column.type}`)
  })
  return `insert into public.${table.name} (${table.columns.map(({ name }) => name)}) values (${values})`
}

/** The rows that a statement of a person could be aimed at, all of them first, which needs no right to read. */
function aims(table: Table, person: Person): string[] {
  const theirs = table.columns
    .filter(({ namesUser }) => namesUser)
    .map(({ name }) => `${name} = '${cast.userIdOf(person)}'`)
  const ours = ourRows(table.name)
  if (theirs.length === 0) return ['true', ours]
  return ['true', ours, `(${theirs.join(' or ')})`, `(${theirs.join(' or ')}) and ${ours}`]
}

/** Updates of a column to what it is in our rows, and to the person. */
function updates(table: Table, column: Column, rows: readonly Row[], person: Person): string[] {
  const values = new Set(rows.map((row) => row.get(column.name) ?? 'NULL'))
  if (column.namesUser) values.add(`'${cast.userIdOf(person)}'`)
  return [...values].flatMap((value) =>
    aims(table, person).map(
      (aim) => `update public.${table.name} set ${column.name} = ${value} where ${aim}`,
    ),
  )
}

type Outcome = 'no right' | 'no row' | 'let through'

/**
 * What comes of a statement: the role has no right to it; the policies keep it from the rows; or it is let through, also when
 * it then fails for another reason: keys, checks and triggers come after rights and policies. What met rows is undone; the rest
 * is committed, so that a fingerprint would show what it left.
 */
async function attempt(person: Person, table: string, statement: string): Promise<Outcome> {
  const places = async (sql: postgres.ISql) =>
    JSON.stringify(
      await sql.unsafe(`select tableoid, ctid from public.${table} where ${ourRows(table)} order by 1, 2`),
    )
  let outcome = 'no row' as Outcome
  const transaction = project.sql.begin(async (tx) => {
    await enterRole(tx, people[person])
    const { command, count } = await tx.unsafe(statement)
    if (count === 0) return
    await tx`select set_config('role', 'none', true)`
    const changes = command === 'UPDATE' || command === 'DELETE'
    // Another connection still sees where the rows were.
    if (!changes || (await places(tx)) !== (await places(project.sql))) outcome = 'let through'
    throw new Undo()
  })
  await transaction.catch((error: unknown) => {
    if (error instanceof Undo) return
    if (!(error instanceof postgres.PostgresError)) throw error
    if (error.message === `permission denied for table ${table}`) outcome = 'no right'
    else if (!/^new row violates row-level security policy /.test(error.message)) outcome = 'let through'
  })
  return outcome
}

/** Whether one of these is let through, of which the later ones need every right of the first. */
async function letThrough(person: Person, table: string, statements: readonly string[]): Promise<boolean> {
  for (const statement of statements) {
    const outcome = await attempt(person, table, statement)
    if (outcome !== 'no row') return outcome === 'let through'
  }
  return false
}

describe('every table in public', () => {
  it('has row-level security and an entry in the list of rights', async () => {
    const tables = await tablesInPublic()
    expect(tables.filter(({ rls }) => !rls).map(({ name }) => name)).toEqual([])
    expect(tables.map(({ name }) => name)).toEqual(Object.keys(ACCESS).sort())
  })

  it('grants each role what its people need by the list, column by column, and nothing else', async () => {
    const expected = (await tablesInPublic()).flatMap(({ name, columns, computed }) =>
      API_ROLES.flatMap((role) => {
        const access = ACCESS[name] ?? { read: [] }
        const persons = PEOPLE.filter((person) => people[person].role === role)
        const may = (list: readonly Person[] = []) => persons.some((person) => list.includes(person))
        const ofColumn = (column: string) => [
          ...(may(access.read) && !access.hidden?.includes(column) ? ['select'] : []),
          ...(may(access.insert) || persons.some((person) => access.insertColumns?.[person]?.includes(column))
            ? ['insert']
            : []),
          ...(persons.some((person) => access.update?.[person]?.includes(column)) ? ['update'] : []),
        ]
        return [
          ...(may(access.remove) ? [`${role}: delete ${name}`] : []),
          ...columns.flatMap((column) =>
            ofColumn(column.name).map((right) => `${role}: ${right} ${name}.${column.name}`),
          ),
          ...computed
            .filter((column) => may(access.read) && !access.hidden?.includes(column))
            .map((column) => `${role}: select ${name}.${column}`),
        ]
      }),
    )
    expect(await privileges(project.sql, PUBLIC_SCHEMA, API_ROLES)).toEqual(expected.sort())
  })

  it('has a row of our tenant, or the tests below would prove nothing', async () => {
    for (const table of Object.keys(ACCESS)) {
      const { length } = await project.sql.unsafe(`select from public.${table} where ${ourRows(table)}`)
      expect(length, table).toBeGreaterThan(0)
    }
  })

  it('takes from its owner every row that is refused below, unless it has one with that key', async () => {
    for (const table of await tablesInPublic()) {
      for (const row of await readOurRows(table)) {
        for (const userId of [undefined, ...PEOPLE.map(cast.userIdOf)]) {
          const insert = project.sql.begin(async (tx) => {
            await tx.unsafe(insertion(table, row, userId))
            throw new Undo()
          })
          expect([undefined, '23505'], table.name).toContain(await refusal(insert.catch(unlessUndone)))
        }
      }
    }
  })

  describe.each(Object.keys(ACCESS))('(%s)', (name) => {
    it.each(PEOPLE)('gives %s what is listed, and leaves the rows as they were', async (person) => {
      const access = ACCESS[name] ?? { read: [] }
      const table = await tableInPublic(name)
      const rows = await readOurRows(table)
      const before = await fingerprint(project.sql)

      const updatable: string[] = []
      for (const column of table.columns) {
        if (await letThrough(person, name, updates(table, column, rows, person))) updatable.push(column.name)
      }
      const insertions = rows.flatMap((row) => [
        insertion(table, row),
        insertion(table, row, cast.userIdOf(person)),
      ])
      const deletions = aims(table, person).map((aim) => `delete from public.${name} where ${aim}`)
      expect({
        read: await letThrough(person, name, [`select 1 from public.${name} where ${ourRows(name)}`]),
        updatable,
        insert: await letThrough(person, name, insertions),
        remove: await letThrough(person, name, deletions),
        truncate: await letThrough(person, name, [`truncate public.${name}`]),
      }).toEqual({
        read: access.read.includes(person),
        updatable: table.columns
          .map((column) => column.name)
          .filter((column) => access.update?.[person]?.includes(column)),
        insert: access.insert?.includes(person) ?? false,
        remove: access.remove?.includes(person) ?? false,
        truncate: false,
      })
      expect(await fingerprint(project.sql)).toEqual(before)
    })
  })

  it('shows a stranger their own rows, so that the refusals above are not for want of a grant', async () => {
    const counts = await runAs(project.api, people.stranger, async (tx) =>
      only(
        await tx`select (select count(*)::int from public.organizations) as organizations,
          (select count(*)::int from public.profiles) as profiles,
          (select count(*)::int from public.wallets) as wallets,
          (select count(*)::int from public.provisioning_steps) as steps,
          (select count(*)::int from public.organization_databases) as databases`,
      ),
    )
    expect(counts).toEqual({ organizations: 1, profiles: 1, wallets: 1, steps: 6, databases: 1 })
  })
})

describe('rights beyond rows', () => {
  it('nothing in the private schema is read or written by anybody who comes through the API', async () => {
    expect(await privileges(project.sql, 'provisioning', API_ROLES)).toEqual([])
    expect(await privileges(project.sql, 'provisioning', ['postgres'])).toEqual(
      expect.arrayContaining(['postgres: truncate operators', 'postgres: insert operators.user_id']),
    )
  })

  it.each(Object.entries(READABLE_ELSEWHERE))('outside public, %s reads only %j', async (role, readable) => {
    const relations = await project.sql<{ name: string }[]>`
      select format('%I.%I', relnamespace::regnamespace, relname) as name from pg_class
      where relkind in ('r', 'p', 'v', 'm', 'f') and relnamespace::regnamespace::text = any
        ('{provisioning,vault,net,cron,auth}'::text[]) order by 1`
    expect(relations.length).toBeGreaterThan(readable.length)
    const read: string[] = []
    for (const { name } of relations) {
      const code = await refusal(
        project.sql.begin(async (tx) => {
          await tx.unsafe(`set local role ${role}`)
          await tx.unsafe(`select 1 from ${name} limit 1`)
        }),
      )
      if (code === undefined) read.push(name)
    }
    expect(read).toEqual(readable)
  })

  it('nobody but the owner of the schema writes provisioning_status', async () => {
    // Who writes all data anyhow, such as the roles of Neon's emulator, which may share the cluster, says nothing about our grants.
    const writers = await project.sql<{ rolname: string }[]>`
      select rolname from pg_roles where not rolsuper and rolname not like 'pg\\_%'
        and not pg_has_role(oid, 'pg_write_all_data', 'member')
        and (has_column_privilege(rolname, 'public.organizations', 'provisioning_status', 'update')
          or has_column_privilege(rolname, 'public.organizations', 'provisioning_status', 'insert'))`
    expect(writers.map(({ rolname }) => rolname)).toEqual(['postgres'])
  })

  it.each(PEOPLE)(
    "%s cannot read the lease token, which is a worker's proof of ownership",
    async (person) => {
      const read = runAs(project.api, people[person], (tx) => tx`select token from provisioning.job_leases`)
      expect(await refusal(read)).toBe('42501')
    },
  )
})

describe('an edit', () => {
  const audited = async (action: string) =>
    project.sql<{ actor_type: string; actor_id: string | null; metadata: object }[]>`
      select actor_type, actor_id, metadata from public.audit_logs
      where organization_id = ${ours.organizationId} and action = ${action} order by created_at`

  it('of the organization by its admin is done and audited under their name', async () => {
    await runAs(
      project.api,
      people.admin,
      (tx) => tx`update public.organizations set name = 'Renamed' where id = ${ours.organizationId}`,
    )
    expect((await audited('organization.updated')).at(-1)).toMatchObject({
      actor_type: 'user',
      actor_id: people.admin.role === 'authenticated' ? people.admin.userId : '',
      metadata: { changed: ['name'] },
    })
  })

  it('of the members by a service is audited as a service', async () => {
    const { user } = await createTenant(project)
    await runAs(project.api, people.service_role, async (tx) => {
      await tx`insert into public.organization_members (organization_id, user_id) values (${ours.organizationId}, ${user.id})`
      await tx`update public.organization_members set role = 'admin'
        where organization_id = ${ours.organizationId} and user_id = ${user.id}`
      await tx`delete from public.organization_members
        where organization_id = ${ours.organizationId} and user_id = ${user.id}`
    })
    for (const action of ['member.added', 'member.role_changed', 'member.removed'])
      expect((await audited(action)).at(-1), action).toMatchObject({ actor_type: 'service', actor_id: null })
  })

  it('of a profile by an upsert as the quick start has it is done, for the own profile and for one that is there', async () => {
    const upsert = (person: Caller, id: string) =>
      refusal(
        runAs(
          project.api,
          person,
          (tx) => tx`insert into public.profiles (id, full_name, avatar_url, updated_at)
            values (${id}, 'Upserted', 'https://a/1', '2001-01-01')
            on conflict (id) do update set id = excluded.id, full_name = excluded.full_name,
              avatar_url = excluded.avatar_url, updated_at = excluded.updated_at`,
        ),
      )
    const before = await fingerprint(project.sql)
    expect(await upsert(people.stranger, ours.user.id)).toBe('42501')
    expect(await upsert(people.admin, ours.user.id)).toBe('42501')
    expect(await upsert(people.anon, ours.user.id)).toBe('42501')
    // Who has no profile yet would not be provisioned any more with one.
    expect(await upsert({ role: 'authenticated', userId: cast.newcomer }, cast.newcomer)).toBe('42501')
    expect(await fingerprint(project.sql)).toEqual(before)
    expect(await upsert(people.owner, ours.user.id)).toBeUndefined()
    const profile = only(await project.sql`select * from public.profiles where id = ${ours.user.id}`)
    expect(profile).toMatchObject({
      full_name: 'Upserted',
      avatar_url: 'https://a/1',
      email: ours.user.email,
    })
    expect(profile.updated_at.getFullYear()).toBeGreaterThan(2001)
  })

  it('of a profile by its user is done', async () => {
    await runAs(
      project.api,
      people.member,
      (tx) =>
        tx`update public.profiles set full_name = 'Mia' where id = ${
          people.member.role === 'authenticated' ? people.member.userId : ''
        }`,
    )
    expect(await project.sql`select from public.profiles where full_name = 'Mia'`).toHaveLength(1)
  })
})

describe('colleagues', () => {
  const seenBy = async (person: Caller, userId: string) =>
    (await runAs(project.api, person, (tx) => tx`select from public.profiles where id = ${userId}`)).count ===
    1

  it('see each other, also one who had an organization of their own before', async () => {
    const { user } = await createTenant(project)
    expect(await seenBy(people.owner, user.id)).toBe(false)
    await project.sql`insert into public.organization_members (organization_id, user_id)
      values (${ours.organizationId}, ${user.id})`
    expect(await seenBy(people.owner, user.id)).toBe(true)
    expect(await seenBy({ role: 'authenticated', userId: user.id }, ours.user.id)).toBe(true)
  })

  it('are out of sight once they have left', async () => {
    const { user, organizationId } = await createTenant(project)
    const colleague = await createTenant(project)
    await project.sql`insert into public.organization_members (organization_id, user_id, role)
      values (${organizationId}, ${colleague.user.id}, 'owner')`
    await project.sql`delete from public.organization_members
      where organization_id = ${organizationId} and user_id = ${user.id}`
    expect(await seenBy({ role: 'authenticated', userId: colleague.user.id }, user.id)).toBe(false)
  })
})
