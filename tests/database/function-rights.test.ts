import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { type Caller, runAs } from '../support/roles.ts'
import { API_ROLES, type Cast, openCast, PEOPLE, type Person, THE_HEADS, Undo, unlessUndone } from './cast.ts'
import { fingerprint } from './fingerprint.ts'
import { only, type Project, refusal, type Tenant } from './project.ts'

/** Who may call which function of `public`. */
const FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  'accept_membership(uuid)': ['authenticated'],
  'decline_membership(uuid)': ['authenticated'],
  'expect_member(text,uuid,text,timestamp with time zone)': ['authenticated', 'service_role'],
  'expected_members(uuid)': ['authenticated', 'service_role'],
  'my_expected_memberships()': ['authenticated'],
  'withdraw_expected_member(text,uuid)': ['authenticated', 'service_role'],
  'audit_trail(uuid,integer,timestamp with time zone)': ['authenticated', 'service_role'],
  'search_profiles(text)': ['authenticated', 'service_role'],
  'lift_legal_hold(uuid)': ['authenticated', 'service_role'],
  'set_legal_hold(uuid,text)': ['authenticated', 'service_role'],
  'lift_removal(uuid)': ['authenticated', 'service_role'],
  'database_connection(uuid,boolean)': ['authenticated', 'service_role'],
  'backfill_tenants(integer,boolean,uuid)': ['service_role'],
  'backfill_users(integer,boolean,uuid)': ['service_role'],
  'describe_tenant(text)': ['service_role'],
  'diagnose_provisioning()': ['service_role'],
  'pause_work(text,text,text)': ['authenticated', 'service_role'],
  'paused_work()': ['authenticated', 'service_role'],
  'provider_states()': ['service_role'],
  'list_tenants(jsonb,text,integer,text)': ['service_role'],
  'provisioning_progress(uuid)': ['authenticated', 'service_role'],
  'tenant_counts()': ['service_role'],
  'create_api_key(uuid,text,text,timestamp with time zone,integer)': ['authenticated', 'service_role'],
  'rename_api_key(uuid,text)': ['authenticated', 'service_role'],
  'reroll_api_key(uuid,numeric)': ['authenticated', 'service_role'],
  'revoke_api_key(uuid)': ['authenticated', 'service_role'],
  'probe_functions(text[])': ['service_role'],
  'probe_results(bigint[])': ['service_role'],
  'repair_user(uuid,jsonb)': ['service_role'],
  'retry_tenants(jsonb,boolean,integer)': ['service_role'],
  'resume_work(text,text)': ['authenticated', 'service_role'],
  'rotate_credentials(uuid,integer)': ['authenticated', 'service_role'],
  'move_tenant(uuid,text,boolean,boolean,boolean)': ['authenticated', 'service_role'],
  'cancel_move(uuid)': ['authenticated', 'service_role'],
  'rotate_keys(text[])': ['service_role'],
  'request_access(uuid,text,integer)': ['authenticated', 'service_role'],
  'access_logins(uuid)': ['authenticated', 'service_role'],
  'reveal_access(uuid)': ['authenticated', 'service_role'],
  'end_access(uuid)': ['authenticated', 'service_role'],
  'fleet_migration_status(integer)': ['service_role'],
  'migrate_fleet(integer,numeric,integer,numeric)': ['service_role'],
  'stop_fleet_migration(text)': ['service_role'],
  'try_fleet_migration(integer,integer)': ['service_role'],
  'schema_trials(uuid[])': ['service_role'],
}

/** Functions of the private schema that policies and invoker functions call as the caller's role. */
const PRIVATE_FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  'provisioning.discoverable_profiles(text,integer)': ['authenticated', 'service_role'],
  'provisioning.my_colleague_ids()': ['authenticated'],
  'provisioning.has_profile()': ['authenticated'],
  'provisioning.my_organization_ids(text[])': ['authenticated'],
  'provisioning.reveal_database_connection(uuid,boolean)': ['authenticated', 'service_role'],
  'provisioning.accept_membership_as_caller(uuid)': ['authenticated'],
  'provisioning.create_organization_as_caller(text,text,text,text)': ['authenticated'],
  'provisioning.decline_membership_as_caller(uuid)': ['authenticated'],
  'provisioning.my_expected_memberships_as_caller()': ['authenticated'],
  // Each checks by itself who calls.
  'provisioning.update_organization_as_caller(uuid,jsonb)': ['authenticated', 'service_role'],
  'provisioning.delete_organization_as_caller(uuid,text,boolean)': ['authenticated', 'service_role'],
  'provisioning.expect_member_as_caller(text,uuid,text,timestamp with time zone)': [
    'authenticated',
    'service_role',
  ],
  'provisioning.expected_members_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.withdraw_expected_member_as_caller(text,uuid)': ['authenticated', 'service_role'],
  'provisioning.audited_details(uuid)': ['authenticated', 'service_role'],
  'provisioning.lift_legal_hold(uuid)': ['authenticated', 'service_role'],
  'provisioning.set_legal_hold(uuid,text)': ['authenticated', 'service_role'],
  'provisioning.lift_removal_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.cancel_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.is_operator()': ['authenticated', 'service_role'],
  'provisioning.move_as_caller(uuid,text,boolean,boolean,boolean)': ['authenticated', 'service_role'],
  'provisioning.cancel_move_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.pause_as_caller(text,text,text)': ['authenticated', 'service_role'],
  'provisioning.pauses_as_caller()': ['authenticated', 'service_role'],
  'provisioning.progress_of(uuid[])': ['authenticated', 'service_role'],
  'provisioning.list_tenants(jsonb,text,integer,text)': ['authenticated', 'service_role'],
  'provisioning.tenant_as_operator(uuid)': ['authenticated', 'service_role'],
  'provisioning.find_tenant_as_operator(text,uuid,text)': ['authenticated', 'service_role'],
  'provisioning.tenant_counts()': ['authenticated', 'service_role'],
  'provisioning.retry_tenants(jsonb,boolean,integer)': ['authenticated', 'service_role'],
  'provisioning.permissions_of(text)': ['authenticated', 'service_role'],
  'provisioning.provisioning_options()': ['authenticated', 'service_role'],
  'provisioning.provision_as_caller(uuid,text[],text,text,text)': ['authenticated', 'service_role'],
  'provisioning.resume_as_caller(text,text)': ['authenticated', 'service_role'],
  'provisioning.create_api_key_as_caller(uuid,text,text,timestamp with time zone,integer)': [
    'authenticated',
    'service_role',
  ],
  'provisioning.rename_api_key_as_caller(uuid,text)': ['authenticated', 'service_role'],
  'provisioning.reroll_api_key_as_caller(uuid,numeric)': ['authenticated', 'service_role'],
  'provisioning.revoke_api_key_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.rotate_as_caller(uuid,integer)': ['authenticated', 'service_role'],
  'provisioning.rotate_keys(text[])': ['service_role'],
  'provisioning.request_access_as_caller(uuid,text,integer)': ['authenticated', 'service_role'],
  'provisioning.access_logins_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.reveal_access_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.end_access_as_caller(uuid)': ['authenticated', 'service_role'],
  'provisioning.fleet_migration_status(integer)': ['service_role'],
  'provisioning.try_schema(integer,integer)': ['service_role'],
  'provisioning.schema_trials_as_caller(uuid[])': ['service_role'],
  'provisioning.migrate_fleet_as_caller(integer,numeric,integer,numeric)': ['service_role'],
  'provisioning.stop_fleet_as_caller(text)': ['service_role'],
  'provisioning.backfill_tenants(integer,boolean,uuid)': ['service_role'],
  'provisioning.backfill_users(integer,boolean,uuid)': ['service_role'],
  'provisioning.describe_tenant(text)': ['service_role'],
  'provisioning.provider_states()': ['service_role'],
  'provisioning.diagnose_provisioning()': ['service_role'],
  'provisioning.metrics()': ['service_role'],
  'provisioning.probe_functions(text[])': ['service_role'],
  'provisioning.probe_results(bigint[])': ['service_role'],
  'provisioning.repair_user(uuid,text[],jsonb)': ['service_role'],
}

/** Those of the above that users may call and that ask inside who it is: for whom they work, and the code for all others. */
const ASKING_FUNCTIONS: Readonly<
  Record<
    string,
    {
      call(organizationId: string): string
      works: readonly Person[]
      code: string
      /** What those get for whom it works, because our organization is not ready. */
      beyond?: string
    }
  >
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
  'provisioning.provision_as_caller(uuid,text[],text,text,text)': {
    call: (id) => `provisioning.provision_as_caller('${id}', '{neon}', 'small', null)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'expect_member(text,uuid,text,timestamp with time zone)': {
    call: (id) => `public.expect_member('ann@example.com', '${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.expect_member_as_caller(text,uuid,text,timestamp with time zone)': {
    call: (id) => `provisioning.expect_member_as_caller('ann@example.com', '${id}', 'member', null)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'expected_members(uuid)': {
    call: (id) => `public.expected_members('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.expected_members_as_caller(uuid)': {
    call: (id) => `provisioning.expected_members_as_caller('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'withdraw_expected_member(text,uuid)': {
    call: (id) => `public.withdraw_expected_member('ann@example.com', '${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.withdraw_expected_member_as_caller(text,uuid)': {
    call: (id) => `provisioning.withdraw_expected_member_as_caller('ann@example.com', '${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.update_organization_as_caller(uuid,jsonb)': {
    call: (id) => `provisioning.update_organization_as_caller('${id}', '{"name": "Ours"}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.delete_organization_as_caller(uuid,text,boolean)': {
    call: (id) =>
      `provisioning.delete_organization_as_caller('${id}', (select slug from public.organizations where id = '${id}'), false)`,
    works: ['owner', 'service_role'],
    code: 'TP403',
  },
  // They answer for the caller alone, and nobody in the cast is expected.
  'accept_membership(uuid)': {
    call: (id) => `public.accept_membership('${id}')`,
    works: [],
    code: 'TP405',
  },
  'provisioning.accept_membership_as_caller(uuid)': {
    call: (id) => `provisioning.accept_membership_as_caller('${id}')`,
    works: [],
    code: 'TP405',
  },
  'decline_membership(uuid)': {
    call: (id) => `public.decline_membership('${id}')`,
    works: [],
    code: 'TP405',
  },
  'provisioning.decline_membership_as_caller(uuid)': {
    call: (id) => `provisioning.decline_membership_as_caller('${id}')`,
    works: [],
    code: 'TP405',
  },
  'request_access(uuid,text,integer)': {
    call: (id) => `public.request_access('${id}', 'read', 60)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'access_logins(uuid)': {
    call: (id) => `public.access_logins('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.request_access_as_caller(uuid,text,integer)': {
    call: (id) => `provisioning.request_access_as_caller('${id}', 'read', 60)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.access_logins_as_caller(uuid)': {
    call: (id) => `provisioning.access_logins_as_caller('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'reveal_access(uuid)': {
    call: (id) => `public.reveal_access('${accessOf(id)}')`,
    works: ['owner', 'service_role'],
    code: 'TP403',
  },
  'end_access(uuid)': {
    call: (id) => `public.end_access('${accessOf(id)}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.reveal_access_as_caller(uuid)': {
    call: (id) => `provisioning.reveal_access_as_caller('${accessOf(id)}')`,
    works: ['owner', 'service_role'],
    code: 'TP403',
  },
  'provisioning.end_access_as_caller(uuid)': {
    call: (id) => `provisioning.end_access_as_caller('${accessOf(id)}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'rotate_credentials(uuid,integer)': {
    call: (id) => `public.rotate_credentials('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.rotate_as_caller(uuid,integer)': {
    call: (id) => `provisioning.rotate_as_caller('${id}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning_progress(uuid)': {
    call: (id) => `public.provisioning_progress('${id}')`,
    works: ['member', ...THE_HEADS],
    code: 'PT404',
  },
  'provisioning.list_tenants(jsonb,text,integer,text)': {
    call: () => `provisioning.list_tenants('{}', 'name', 10)`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.tenant_as_operator(uuid)': {
    call: (id) => `provisioning.tenant_as_operator('${id}')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.find_tenant_as_operator(text,uuid,text)': {
    call: (id) => `provisioning.find_tenant_as_operator(null, '${id}', null)`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.tenant_counts()': {
    call: () => 'provisioning.tenant_counts()',
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.retry_tenants(jsonb,boolean,integer)': {
    call: () => `provisioning.retry_tenants('{}', false)`,
    works: ['service_role'],
    code: 'TP403',
  },
  'lift_legal_hold(uuid)': {
    call: (id) => `public.lift_legal_hold('${id}')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'set_legal_hold(uuid,text)': {
    call: (id) => `public.set_legal_hold('${id}', '2026/1')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'lift_removal(uuid)': {
    call: (id) => `public.lift_removal('${id}')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.lift_removal_as_caller(uuid)': {
    call: (id) => `provisioning.lift_removal_as_caller('${id}')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.lift_legal_hold(uuid)': {
    call: (id) => `provisioning.lift_legal_hold('${id}')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.set_legal_hold(uuid,text)': {
    call: (id) => `provisioning.set_legal_hold('${id}', '2026/1')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'move_tenant(uuid,text,boolean,boolean,boolean)': {
    call: (id) => `public.move_tenant('${id}')`,
    works: ['service_role'],
    code: 'TP403',
    beyond: 'TP413',
  },
  'cancel_move(uuid)': {
    call: (id) => `public.cancel_move('${id}')`,
    works: ['service_role'],
    code: 'TP403',
    beyond: 'TP410',
  },
  'provisioning.move_as_caller(uuid,text,boolean,boolean,boolean)': {
    call: (id) => `provisioning.move_as_caller('${id}', 'project', true, true, false)`,
    works: ['service_role'],
    code: 'TP403',
    beyond: 'TP413',
  },
  'provisioning.cancel_move_as_caller(uuid)': {
    call: (id) => `provisioning.cancel_move_as_caller('${id}')`,
    works: ['service_role'],
    code: 'TP403',
    beyond: 'TP410',
  },
  'provisioning.pause_as_caller(text,text,text)': {
    call: () => `provisioning.pause_as_caller('everything', '', 'a test')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.resume_as_caller(text,text)': {
    call: () => `provisioning.resume_as_caller('everything', '')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'provisioning.pauses_as_caller()': {
    call: () => 'provisioning.pauses_as_caller()',
    works: ['service_role'],
    code: 'TP403',
  },
  'pause_work(text,text,text)': {
    call: () => `public.pause_work('everything', 'a test')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'resume_work(text,text)': {
    call: () => `public.resume_work('everything')`,
    works: ['service_role'],
    code: 'TP403',
  },
  'paused_work()': {
    call: () => 'public.paused_work()',
    works: ['service_role'],
    code: 'TP403',
  },
  'create_api_key(uuid,text,text,timestamp with time zone,integer)': {
    call: (id) => `public.create_api_key('${id}', 'A key', 'read', null, null)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.create_api_key_as_caller(uuid,text,text,timestamp with time zone,integer)': {
    call: (id) => `provisioning.create_api_key_as_caller('${id}', 'A key', 'read', null, null)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'rename_api_key(uuid,text)': {
    call: (id) => `public.rename_api_key('${keyOf(id)}', 'Another name')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.rename_api_key_as_caller(uuid,text)': {
    call: (id) => `provisioning.rename_api_key_as_caller('${keyOf(id)}', 'Another name')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'reroll_api_key(uuid,numeric)': {
    call: (id) => `public.reroll_api_key('${keyOf(id)}', 24)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.reroll_api_key_as_caller(uuid,numeric)': {
    call: (id) => `provisioning.reroll_api_key_as_caller('${keyOf(id)}', 24)`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'revoke_api_key(uuid)': {
    call: (id) => `public.revoke_api_key('${keyOf(id)}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
  'provisioning.revoke_api_key_as_caller(uuid)': {
    call: (id) => `provisioning.revoke_api_key_as_caller('${keyOf(id)}')`,
    works: THE_HEADS,
    code: 'TP403',
  },
}

/** And those that refuse nobody, because they tell callers what is theirs. */
const TELLING_FUNCTIONS = [
  'my_expected_memberships()',
  // Makes what is theirs.
  'provisioning.create_organization_as_caller(text,text,text,text)',
  'provisioning.my_expected_memberships_as_caller()',
  'audit_trail(uuid,integer,timestamp with time zone)',
  'provisioning.audited_details(uuid)',
  'provisioning.is_operator()',
  'provisioning.permissions_of(text)',
  'provisioning.provisioning_options()',
  'provisioning.progress_of(uuid[])',
  'provisioning.discoverable_profiles(text,integer)',
  'provisioning.my_colleague_ids()',
  'provisioning.has_profile()',
  'provisioning.my_organization_ids(text[])',
  'search_profiles(text)',
]

let cast: Cast

/** A key of ours; the id of none for another organization. */
const keyOf = (organizationId: string) =>
  organizationId === ours.organizationId ? cast.keyId : organizationId
/** Its login for a time, when it has one; any other id is of none. */
const accessOf = (organizationId: string) =>
  organizationId === ours.organizationId ? cast.accessId : organizationId
let project: Project
let ours: Tenant
let people: Cast['people']

beforeAll(async () => {
  cast = await openCast()
  ;({ project, ours, people } = cast)
})

afterAll(() => project.close())

/**
 * Functions of a schema, as the lists above name them: which roles may call each, and a call with nulls. Each null is a query of its own, since the
 * planner answers a strict function of constant nulls by itself and asks for no right.
 */
async function functionsOf(schema: typeof PUBLIC_SCHEMA | 'provisioning') {
  return project.sql<{ name: string; roles: string[]; call: string }[]>`
    select ${schema === PUBLIC_SCHEMA ? '' : `${schema}.`} || p.proname || '(' || replace(oidvectortypes(p.proargtypes), ', ', ',') || ')' as name,
      array(select r from unnest(${API_ROLES}::text[]) r where has_function_privilege(r, p.oid, 'execute')) as roles,
      format('%I.%I(%s)', ${schema}::text, p.proname, array_to_string(array(
        select format('(select null::%s)', format_type(t, null)) from unnest(p.proargtypes) with ordinality as types (t, n) order by n), ', ')) as call
    from pg_proc p where p.pronamespace = ${schema}::regnamespace order by 1`
}

describe('functions', () => {
  it('in public are called by those who are listed', async () => {
    const functions = (await functionsOf(PUBLIC_SCHEMA)).map(({ name, roles }) => [name, roles])
    expect(Object.fromEntries(functions)).toEqual(FUNCTIONS)
  })

  it('in the private schema are called by nobody who is not listed', async () => {
    const callable = (await functionsOf('provisioning'))
      .filter(({ roles }) => roles.length > 0)
      .map(({ name, roles }) => [name, roles])
    expect(Object.fromEntries(callable)).toEqual(PRIVATE_FUNCTIONS)
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

async function giveDatabase(): Promise<void> {
  await project.sql`update public.organization_databases set host = 'ep.example.com', pooled_host = 'ep-pooler.example.com',
    port = 5432, database_name = 'app', role_name = 'app_owner', neon_project_id = 'quiet-sun-1',
    credentials_secret_id = vault.create_secret('the password', gen_random_uuid()::text) where organization_id = ${ours.organizationId}`
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
            pooled_port: 5432,
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
    const functions = [...(await functionsOf(PUBLIC_SCHEMA)), ...(await functionsOf('provisioning'))].filter(
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

  describe.each(Object.entries(ASKING_FUNCTIONS))('(%s)', (name, { call, works, code, beyond }) => {
    const callers = { ...FUNCTIONS, ...PRIVATE_FUNCTIONS }[name] ?? []
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
        if (works.includes(person)) expect(answer).toBe(beyond)
        else if (person === 'anon' || person === 'service_role')
          expect(answer).toBe(callers.includes(person) ? code : '42501')
        else expect(answer).toBe(code)
        expect(await fingerprint(project.sql)).toEqual(before)
      },
    )
  })

  it.each(Object.entries(ASKING_FUNCTIONS))(
    '(%s) tells a stranger the same of an organization that exists and of one that does not',
    async (_, { call, code }) => {
      const told = (id: string) =>
        runAs(project.api, people.stranger, (tx) => tx.unsafe(`select ${call(id)}`)).then(
          () => 'let through',
          (error: unknown) =>
            error instanceof postgres.PostgresError
              ? `${error.code} ${error.message}`.replaceAll(id, 'ID')
              : '',
        )
      const [ofOurs, ofNone] = [await told(ours.organizationId), await told(crypto.randomUUID())]
      expect(ofOurs).toMatch(new RegExp(`^${code} `))
      expect(ofNone).toBe(ofOurs)
    },
  )

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
      colleagues: [cast.userIdOf('stranger')],
      operator: false,
      profiles: [],
    })
    expect(told.organizations).not.toContain(ours.organizationId)
  })
})
