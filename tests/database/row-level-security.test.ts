import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, runAs } from '../support/roles.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

const PEOPLE = ['anon', 'stranger', 'member', 'admin', 'owner', 'service_role'] as const
type Person = (typeof PEOPLE)[number]
const EVERYBODY_INSIDE: readonly Person[] = ['member', 'admin', 'owner', 'service_role']
const THE_HEADS: readonly Person[] = ['admin', 'owner', 'service_role']

/** Who may do what with the rows of our tenant. What is not listed is refused. */
interface Access {
  /** Which rows are our tenant's; by default those with its organization_id. */
  readonly ours?: 'id is the organization' | 'id is the owner' | 'user_id is the owner'
  readonly read: readonly Person[]
  /** Columns that may be changed. */
  readonly update?: Partial<Record<Person, readonly string[]>>
  /** Columns that may be given in an insert. */
  readonly insert?: Partial<Record<Person, 'any column'>>
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
    insert: { service_role: 'any column' },
    remove: ['service_role'],
  },
  wallets: { ours: 'user_id is the owner', read: ['owner', 'service_role'] },
  audit_logs: { read: THE_HEADS },
  provisioning_jobs: { read: EVERYBODY_INSIDE },
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

/** What the platform itself lets roles read; nothing of ours may join this list. */
const READABLE_ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  anon: ['net._http_response', 'net.http_request_queue'],
  authenticated: ['net._http_response', 'net.http_request_queue'],
  service_role: ['net._http_response', 'net.http_request_queue', 'vault.decrypted_secrets', 'vault.secrets'],
}

let project: Project
let ours: Tenant
let people: Readonly<Record<Person, Caller>>

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

class Undo extends Error {}

/**
 * Whether a statement is let through to our rows: it is not when it is refused (42501) or meets no row. One that is
 * let through is undone; one that fails for another reason than rights was let through.
 */
async function letThrough(person: Person, statement: string): Promise<boolean> {
  return runAs(project.api, people[person], async (tx) => {
    const { count } = await tx.unsafe(statement)
    if (count > 0) throw new Undo()
    return false
  }).catch((error: unknown) => {
    if (error instanceof Undo) return true
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code !== 'string') throw error
    return code !== '42501'
  })
}

const tablesInPublic = async () =>
  (
    await project.sql<{ name: string; rls: boolean; columns: string[] }[]>`
      select c.relname as name, c.relrowsecurity as rls, array_agg(a.attname::text order by a.attnum) as columns
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
      group by 1, 2 order by 1`
  ).map((table) => ({ ...table }))

describe('every table in public', () => {
  it('has row-level security and an entry in the list of rights', async () => {
    const tables = await tablesInPublic()
    expect(tables.filter(({ rls }) => !rls).map(({ name }) => name)).toEqual([])
    expect(tables.map(({ name }) => name)).toEqual(Object.keys(ACCESS).sort())
  })

  it('has a row of our tenant, or the tests below would prove nothing', async () => {
    for (const table of Object.keys(ACCESS)) {
      const { length } = await project.sql.unsafe(`select from public.${table} where ${ourRows(table)}`)
      expect(length, table).toBeGreaterThan(0)
    }
  })

  describe.each(Object.keys(ACCESS))('(%s)', (table) => {
    it.each(PEOPLE)('gives %s what is listed, and leaves the rows as they were', async (person) => {
      const access = ACCESS[table] ?? { read: [] }
      const { columns } = only((await tablesInPublic()).filter(({ name }) => name === table))
      const where = ourRows(table)
      const before = await fingerprint(project.sql)

      const updatable: string[] = []
      const insertable: string[] = []
      for (const column of columns) {
        if (await letThrough(person, `update public.${table} set ${column} = null where ${where}`))
          updatable.push(column)
        if (await letThrough(person, `insert into public.${table} (${column}) values (null)`))
          insertable.push(column)
      }
      expect({
        read: await letThrough(person, `select 1 from public.${table} where ${where}`),
        updatable,
        insertable,
        remove: await letThrough(person, `delete from public.${table} where ${where}`),
        truncate: await letThrough(person, `truncate public.${table} cascade`),
      }).toEqual({
        read: access.read.includes(person),
        updatable: columns.filter((column) => access.update?.[person]?.includes(column)),
        insertable: access.insert?.[person] === 'any column' ? columns : [],
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

describe('rights beyond rows', () => {
  const ROLES = ['anon', 'authenticated', 'service_role']

  const executors = async (schema: string, prefix: string) => {
    const functions = await project.sql<{ name: string; roles: string[] }[]>`
      select ${prefix} || p.proname || '(' || replace(oidvectortypes(p.proargtypes), ', ', ',') || ')' as name,
        array(select r from unnest(${ROLES}::text[]) r where has_function_privilege(r, p.oid, 'execute')) as roles
      from pg_proc p where p.pronamespace = ${schema}::regnamespace order by 1`
    return Object.fromEntries(functions.map(({ name, roles }) => [name, roles]))
  }

  it('functions in public are called by those who are listed', async () => {
    expect(await executors('public', '')).toEqual(FUNCTIONS)
  })

  it('functions in the private schema are called by nobody who is not listed', async () => {
    const callable = Object.entries(await executors('provisioning', 'provisioning.')).filter(
      ([, roles]) => roles.length > 0,
    )
    expect(Object.fromEntries(callable)).toEqual(PRIVATE_FUNCTIONS)
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
    beforeAll(async () => {
      await project.sql`update public.organization_databases set host = 'ep.example.com', pooled_host = 'ep-pooler.example.com',
        port = 5432, database_name = 'app', role_name = 'app_owner', neon_project_id = 'quiet-sun-1',
        credentials_secret_id = vault.create_secret('the password') where organization_id = ${ours.organizationId}`
    })

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
