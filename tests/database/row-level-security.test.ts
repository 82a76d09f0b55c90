import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, enterRole, runAs } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'
import { privileges } from './catalogue.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

const PEOPLE = ['anon', 'stranger', 'member', 'admin', 'owner', 'service_role'] as const
type Person = (typeof PEOPLE)[number]
const EVERYBODY_INSIDE: readonly Person[] = ['member', 'admin', 'owner', 'service_role']
const THE_HEADS: readonly Person[] = ['admin', 'owner', 'service_role']
/** Whoever a request of the Data API can be; `public` is everybody. */
const API_ROLES = ['anon', 'authenticated', 'service_role', 'authenticator', 'public']

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
    update: { owner: ['full_name', 'avatar_url'], service_role: ['full_name', 'avatar_url'] },
  },
  organization_members: {
    read: EVERYBODY_INSIDE,
    update: { service_role: ['role'] },
    insert: ['service_role'],
    remove: ['service_role'],
  },
  wallets: { ours: 'user_id is the owner', read: ['owner', 'service_role'] },
  audit_logs: { read: THE_HEADS },
  provisioning_jobs: { read: EVERYBODY_INSIDE, hidden: ['lease_token'] },
  provisioning_steps: { read: EVERYBODY_INSIDE },
  provisioning_events: { read: EVERYBODY_INSIDE },
  organization_databases: { read: THE_HEADS },
  tenant_alerts: { read: EVERYBODY_INSIDE },
  tenant_health: { read: EVERYBODY_INSIDE },
  tenant_health_checks: { read: EVERYBODY_INSIDE },
  tenant_health_hourly: { read: EVERYBODY_INSIDE },
}

/** Who may call which function of `public`. */
const FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  'search_profiles(text)': ['authenticated', 'service_role'],
  'database_connection(uuid,boolean)': ['authenticated', 'service_role'],
  'backfill_users(integer,boolean,uuid)': ['service_role'],
  'describe_tenant(text)': ['service_role'],
  'diagnose_provisioning()': ['service_role'],
  'list_tenants(jsonb,integer,text)': ['service_role'],
  'probe_functions(text[])': ['service_role'],
  'probe_results(bigint[])': ['service_role'],
  'repair_user(uuid,jsonb)': ['service_role'],
}

/** Functions of the private schema that policies and invoker functions call as the caller's role. */
const PRIVATE_FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  'provisioning.my_colleague_ids()': ['authenticated'],
  'provisioning.my_organization_ids(text[])': ['authenticated'],
  'provisioning.reveal_database_connection(uuid,boolean)': ['authenticated', 'service_role'],
  // Each checks by itself who calls.
  'provisioning.cancel_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.is_operator()': ['authenticated', 'service_role'],
  'provisioning.page_of_tenants(jsonb,text,integer,jsonb)': ['authenticated', 'service_role'],
  'provisioning.provision_as_caller(uuid,text[],text,text)': ['authenticated', 'service_role'],
  'provisioning.backfill_users(integer,boolean,uuid)': ['service_role'],
  'provisioning.describe_tenant(text)': ['service_role'],
  'provisioning.diagnose_provisioning()': ['service_role'],
  'provisioning.probe_functions(text[])': ['service_role'],
  'provisioning.probe_results(bigint[])': ['service_role'],
  'provisioning.repair_user(uuid,text[],jsonb)': ['service_role'],
  'provisioning.tenant_page(jsonb,integer,text)': ['service_role'],
}

/** Those of the above that users may call and that ask inside who it is: for whom they work, and the code for all others. */
const ASKING_FUNCTIONS: Readonly<
  Record<string, { call(organizationId: string): string; works: readonly Person[]; code: string }>
> = {
  'database_connection(uuid,boolean)': {
    call: (id) => `public.database_connection('${id}', true)`,
    works: THE_HEADS,
    code: '42501',
  },
  'provisioning.reveal_database_connection(uuid,boolean)': {
    call: (id) => `provisioning.reveal_database_connection('${id}', true)`,
    works: THE_HEADS,
    code: '42501',
  },
  'provisioning.cancel_as_caller(uuid)': {
    call: (id) => `provisioning.cancel_as_caller('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.provision_as_caller(uuid,text[],text,text)': {
    call: (id) => `provisioning.provision_as_caller('${id}', '{neon}', 'small', null)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.page_of_tenants(jsonb,text,integer,jsonb)': {
    call: () => `provisioning.page_of_tenants('{}', 'NAME_ASC', 10)`,
    works: ['service_role'],
    code: 'TP403',
  },
}

/** And those that refuse nobody, because they tell callers what is theirs. */
const TELLING_FUNCTIONS = [
  'provisioning.is_operator()',
  'provisioning.my_colleague_ids()',
  'provisioning.my_organization_ids(text[])',
  'search_profiles(text)',
]

/** What the platform itself lets roles read; nothing of ours may join this list. */
const READABLE_ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  anon: ['net._http_response', 'net.http_request_queue'],
  authenticated: ['net._http_response', 'net.http_request_queue'],
  service_role: ['net._http_response', 'net.http_request_queue', 'vault.decrypted_secrets', 'vault.secrets'],
}

let project: Project
let ours: Tenant
let people: Readonly<Record<Person, Caller>>
/** A user who has no rows at all, for rows that need one. */
let newcomer: string

beforeAll(async () => {
  project = await openProject()
  ours = await createTenant(project, { metadata: { full_name: 'Olga Owner' } })
  const signIn = (tenant: Tenant): Caller => ({ role: 'authenticated', userId: tenant.user.id })
  const [member, admin, stranger] = [
    await createTenant(project),
    await createTenant(project),
    await createTenant(project),
  ]
  await project.sql`
    select provisioning.open_alert(${ours.organizationId}, 'provision_failed', 'critical', 'Something is wrong.')`
  await project.sql`insert into public.tenant_health (organization_id, status) values (${ours.organizationId}, 'healthy')`
  await project.sql`insert into public.tenant_health_checks (organization_id, checked_at, probe, status)
    values (${ours.organizationId}, now(), 'connection', 'healthy')`
  await project.sql`insert into public.tenant_health_hourly (organization_id, hour, checks, available)
    values (${ours.organizationId}, date_trunc('hour', now()), 1, 1)`
  await project.sql`insert into public.organization_members (organization_id, user_id, role) values
    (${ours.organizationId}, ${member.user.id}, 'member'), (${ours.organizationId}, ${admin.user.id}, 'admin')`
  people = {
    anon: { role: 'anon' },
    stranger: signIn(stranger),
    member: signIn(member),
    admin: signIn(admin),
    owner: signIn(ours),
    service_role: { role: 'service_role' },
  }
  newcomer = (await signUp(project.auth, { email: null, anonymous: true })).id
})

afterAll(async () => {
  await project.close()
})

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

/** The user that a person is; those without one name the stranger, as somebody would who pretends. */
function userIdOf(person: Person): string {
  const caller = people[person]
  return caller.role === 'authenticated' ? caller.userId : userIdOf('stranger')
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
    ) order by a.attnum) as columns
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    where c.relnamespace = 'public'::regnamespace and c.relkind not in ('i', 'I', 't', 'c') and not c.relispartition
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
    return column.namesUser ? `'${newcomer}'` : (NEW_KEYS[column.type] ?? `a new ${column.type}`)
  })
  return `insert into public.${table.name} (${table.columns.map(({ name }) => name)}) values (${values})`
}

/** The rows that a statement of a person could be aimed at, all of them first, which needs no right to read. */
function aims(table: Table, person: Person): string[] {
  const theirs = table.columns
    .filter(({ namesUser }) => namesUser)
    .map(({ name }) => `${name} = '${userIdOf(person)}'`)
  const ours = ourRows(table.name)
  if (theirs.length === 0) return ['true', ours]
  return ['true', ours, `(${theirs.join(' or ')})`, `(${theirs.join(' or ')}) and ${ours}`]
}

/** Updates of a column to what it is in our rows, and to the person. */
function updates(table: Table, column: Column, rows: readonly Row[], person: Person): string[] {
  const values = new Set(rows.map((row) => row.get(column.name) ?? 'NULL'))
  if (column.namesUser) values.add(`'${userIdOf(person)}'`)
  return [...values].flatMap((value) =>
    aims(table, person).map(
      (aim) => `update public.${table.name} set ${column.name} = ${value} where ${aim}`,
    ),
  )
}

class Undo extends Error {}

function unlessUndone(error: unknown): void {
  if (!(error instanceof Undo)) throw error
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
    const expected = (await tablesInPublic()).flatMap(({ name, columns }) =>
      API_ROLES.flatMap((role) => {
        const access = ACCESS[name] ?? { read: [] }
        const persons = PEOPLE.filter((person) => people[person].role === role)
        const may = (list: readonly Person[] = []) => persons.some((person) => list.includes(person))
        const ofColumn = (column: string) => [
          ...(may(access.read) && !access.hidden?.includes(column) ? ['select'] : []),
          ...(may(access.insert) ? ['insert'] : []),
          ...(persons.some((person) => access.update?.[person]?.includes(column)) ? ['update'] : []),
        ]
        return [
          ...(may(access.remove) ? [`${role}: delete ${name}`] : []),
          ...columns.flatMap((column) =>
            ofColumn(column.name).map((right) => `${role}: ${right} ${name}.${column.name}`),
          ),
        ]
      }),
    )
    expect(await privileges(project.sql, 'public', API_ROLES)).toEqual(expected.sort())
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
        for (const userId of [undefined, ...PEOPLE.map(userIdOf)]) {
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
        insertion(table, row, userIdOf(person)),
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
    expect(counts).toEqual({ organizations: 1, profiles: 1, wallets: 1, steps: 5, databases: 1 })
  })
})

/** Functions of a schema, as the lists above name them: which roles may call each, and a call with nulls. */
async function functionsOf(schema: 'public' | 'provisioning') {
  return project.sql<{ name: string; roles: string[]; call: string }[]>`
    select ${schema === 'public' ? '' : `${schema}.`} || p.proname || '(' || replace(oidvectortypes(p.proargtypes), ', ', ',') || ')' as name,
      array(select r from unnest(${API_ROLES}::text[]) r where has_function_privilege(r, p.oid, 'execute')) as roles,
      format('%I.%I(%s)', ${schema}::text, p.proname, array_to_string(array(
        select 'null::' || format_type(t, null) from unnest(p.proargtypes) with ordinality as types (t, n) order by n), ', ')) as call
    from pg_proc p where p.pronamespace = ${schema}::regnamespace order by 1`
}

describe('rights beyond rows', () => {
  it('functions in public are called by those who are listed', async () => {
    const functions = (await functionsOf('public')).map(({ name, roles }) => [name, roles])
    expect(Object.fromEntries(functions)).toEqual(FUNCTIONS)
  })

  it('functions in the private schema are called by nobody who is not listed', async () => {
    const callable = (await functionsOf('provisioning'))
      .filter(({ roles }) => roles.length > 0)
      .map(({ name, roles }) => [name, roles])
    expect(Object.fromEntries(callable)).toEqual(PRIVATE_FUNCTIONS)
  })

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
    const writers = await project.sql<{ rolname: string }[]>`
      select rolname from pg_roles where not rolsuper and rolname not like 'pg\\_%'
        and (has_column_privilege(rolname, 'public.organizations', 'provisioning_status', 'update')
          or has_column_privilege(rolname, 'public.organizations', 'provisioning_status', 'insert'))`
    expect(writers.map(({ rolname }) => rolname)).toEqual(['postgres'])
  })

  it.each(PEOPLE)(
    "%s cannot read the lease token, which is a worker's proof of ownership",
    async (person) => {
      const read = runAs(
        project.api,
        people[person],
        (tx) => tx`select lease_token from public.provisioning_jobs`,
      )
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
      metadata: { to: { name: 'Renamed' } },
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

describe('my_organization_ids', () => {
  const mine = (person: Caller, roles?: string[]) =>
    runAs(project.api, person, async (tx) =>
      (roles
        ? await tx`select provisioning.my_organization_ids(${roles}) as id`
        : await tx`select provisioning.my_organization_ids() as id`
      ).map((row) => row.id),
    )

  it('are those that the caller belongs to, in the roles that are asked for', async () => {
    expect(await mine(people.owner)).toEqual([ours.organizationId])
    expect(await mine(people.admin)).toContain(ours.organizationId)
    expect(await mine(people.member)).toContain(ours.organizationId)
    expect(await mine(people.member, ['owner', 'admin'])).not.toContain(ours.organizationId)
    expect(await mine(people.admin, ['owner'])).not.toContain(ours.organizationId)
    expect(await mine(people.stranger)).not.toContain(ours.organizationId)
  })

  it('are none for a caller without a user', async () => {
    expect(await mine({ role: 'authenticated', userId: crypto.randomUUID() })).toEqual([])
  })
})

describe('search_profiles', () => {
  const search = (person: Caller, query: string) =>
    runAs(project.api, person, async (tx) =>
      (await tx<{ id: string }[]>`select id from public.search_profiles(${query})`).map(({ id }) => id),
    )

  it('finds a new user right after the sign-up, by part of the name or the address', async () => {
    const { user } = await createTenant(project, { metadata: { full_name: 'zoë Quixote' } })
    for (const query of ['quix', 'QUIXOTE', 'zoë', 'zoë q', user.id.slice(3, 20)]) {
      expect(await search(people.service_role, query), query).toEqual([user.id])
      expect(await search({ role: 'authenticated', userId: user.id }, query), query).toEqual([user.id])
    }
  })

  it('shows nobody whom the caller may not see', async () => {
    const { user } = await createTenant(project, { metadata: { full_name: 'Xaver Hidden' } })
    expect(await search(people.stranger, 'Xaver')).toEqual([])
    expect(await search(people.owner, user.email ?? '')).toEqual([])
    expect(await search(people.member, 'Olga Owner')).toEqual([ours.user.id])
  })

  it.each(['%', '_', '\\', '%_%', '\\%'])('takes %s literally', async (special) => {
    const { user } = await createTenant(project, { metadata: { full_name: `special ${special} sign` } })
    await createTenant(project, { metadata: { full_name: 'special x sign' } })
    const query = `special ${special} s`
    expect(await search(people.service_role, query)).toEqual([user.id])
    await project.auth`delete from users where id = ${user.id}`
    expect(await search(people.service_role, query), 'nothing else matches').toEqual([])
  })

  it.each(['', '   ', '\t'])('finds nobody for a blank query (%j)', async (query) => {
    expect(await search(people.service_role, query)).toEqual([])
  })

  it('gives the 20 best, an exact match first', async () => {
    for (let index = 0; index < 25; index++)
      await createTenant(project, { metadata: { full_name: `Crowd Member ${index}` } })
    const exact = await createTenant(project, { email: null, metadata: { full_name: 'Crowd Member' } })
    const found = await search(people.service_role, 'Crowd Member')
    expect(found).toHaveLength(20)
    expect(found[0]).toBe(exact.user.id)
  })

  it('is not for anon', async () => {
    expect(await refusal(search(people.anon, 'Olga'))).toBe('42501')
  })
})

async function giveDatabase(): Promise<void> {
  await project.sql`update public.organization_databases set host = 'ep.example.com', pooled_host = 'ep-pooler.example.com',
    port = 5432, database_name = 'app', role_name = 'app_owner', neon_project_id = 'quiet-sun-1',
    credentials_secret_id = vault.create_secret('the password') where organization_id = ${ours.organizationId}`
}

describe('database_connection', () => {
  const connection = (person: Person, reveal?: boolean, organizationId = ours.organizationId) =>
    runAs(
      project.api,
      people[person],
      async (tx) =>
        only(
          reveal === undefined
            ? await tx<
                { c: Record<string, unknown> }[]
              >`select public.database_connection(${organizationId}) as c`
            : await tx<{ c: Record<string, unknown> }[]>`
              select public.database_connection(${organizationId}, ${reveal}) as c`,
        ).c,
    )
  const revelations = async () =>
    project.sql<{ actor_type: string; actor_id: string | null }[]>`
      select actor_type, actor_id from public.audit_logs where action = 'credentials.revealed' order by created_at`

  it('says so while there is no database', async () => {
    expect(await refusal(connection('owner'))).toBe('PT404')
  })

  describe('of a database that exists', () => {
    beforeAll(giveDatabase)

    it.each(['owner', 'admin', 'service_role'] as const)(
      'is told to %s, without the password',
      async (person) => {
        const before = await revelations()
        for (const reveal of [undefined, false])
          expect(await connection(person, reveal)).toEqual({
            host: 'ep.example.com',
            pooled_host: 'ep-pooler.example.com',
            port: 5432,
            database: 'app',
            role: 'app_owner',
            ssl_mode: 'require',
            graphql_endpoint: null,
            password: null,
          })
        expect(await revelations()).toEqual(before)
      },
    )

    it.each(['owner', 'admin', 'service_role'] as const)(
      'comes to %s with the password when they ask for it, which is audited',
      async (person) => {
        const before = await revelations()
        expect(await connection(person, true)).toMatchObject({ password: 'the password' })
        const caller = people[person]
        expect(await revelations()).toEqual([
          ...before,
          caller.role === 'authenticated'
            ? { actor_type: 'user', actor_id: caller.userId }
            : { actor_type: 'service', actor_id: null },
        ])
      },
    )

    it.each(['anon', 'stranger', 'member'] as const)(
      'is kept from %s, who leaves no trace',
      async (person) => {
        const before = await fingerprint(project.sql)
        for (const reveal of [undefined, false, true])
          expect(await refusal(connection(person, reveal))).toBe('42501')
        expect(await fingerprint(project.sql)).toEqual(before)
      },
    )

    it('of an organization that does not exist looks to a user like one that is not theirs', async () => {
      expect(await refusal(connection('owner', false, crypto.randomUUID()))).toBe('42501')
      expect(await refusal(connection('service_role', false, crypto.randomUUID()))).toBe('TP404')
    })
  })
})

describe('every function of ours', () => {
  beforeAll(giveDatabase)

  it.each(PEOPLE)('that is not for %s refuses them before it does anything', async (person) => {
    const listed: Readonly<Record<string, readonly string[]>> = { ...FUNCTIONS, ...PRIVATE_FUNCTIONS }
    const functions = [...(await functionsOf('public')), ...(await functionsOf('provisioning'))].filter(
      ({ name }) => !listed[name]?.includes(people[person].role),
    )
    expect(functions.length).toBeGreaterThan(0)
    const before = await fingerprint(project.sql)
    const answers: [string, string][] = []
    for (const { name, call } of functions) {
      const answer = await runAs(project.api, people[person], (tx) => tx.unsafe(`select ${call}`)).then(
        () => 'let through',
        (error: unknown) => (error instanceof postgres.PostgresError ? `${error.code} ${error.message}` : ''),
      )
      // Not a 42501 from inside: that would mean that the function ran.
      if (!/^42501 permission denied for (function|schema) /.test(answer)) answers.push([name, answer])
    }
    expect(answers).toEqual([])
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('that users may call either asks who they are or tells them what is theirs', () => {
    const forUsers = Object.entries({ ...FUNCTIONS, ...PRIVATE_FUNCTIONS })
      .filter(([, roles]) => roles.includes('authenticated'))
      .map(([name]) => name)
    expect([...Object.keys(ASKING_FUNCTIONS), ...TELLING_FUNCTIONS].sort()).toEqual(forUsers.sort())
  })

  describe.each(Object.entries(ASKING_FUNCTIONS))('(%s)', (_, { call, works, code }) => {
    it.each(PEOPLE)(
      'asked about our organization works for %s, or refuses and does nothing',
      async (person) => {
        const before = await fingerprint(project.sql)
        const answer = await refusal(
          runAs(project.api, people[person], async (tx) => {
            await tx.unsafe(`select ${call(ours.organizationId)}`)
            if (works.includes(person)) throw new Undo()
          }).catch(unlessUndone),
        )
        if (works.includes(person)) expect(answer).toBeUndefined()
        else expect(answer).toBe(person === 'anon' ? '42501' : code)
        expect(await fingerprint(project.sql)).toEqual(before)
      },
    )
  })

  it('that tells callers what is theirs tells a stranger nothing of ours', async () => {
    const told = await runAs(project.api, people.stranger, async (tx) =>
      only(
        await tx`select array(select provisioning.my_organization_ids()) as organizations,
          array(select provisioning.my_colleague_ids()) as colleagues,
          provisioning.is_operator() as operator,
          array(select id from public.search_profiles('Olga Owner')) as profiles`,
      ),
    )
    expect(told).toEqual({
      organizations: [expect.any(String)],
      colleagues: [userIdOf('stranger')],
      operator: false,
      profiles: [],
    })
    expect(told.organizations).not.toContain(ours.organizationId)
  })
})
