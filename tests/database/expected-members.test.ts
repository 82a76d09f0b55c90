import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, runAs } from '../support/roles.ts'
import { type NewUser, signUp } from '../support/sign-up.ts'
import { blocked } from './blocked.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let team: Tenant

beforeAll(async () => {
  project = await openProject()
  team = await createTenant(project, { metadata: { organization_name: 'Team' } })
})

afterAll(() => project.close())

const BACKEND: Caller = { role: 'service_role' }
const callerOf = ({ id }: Pick<NewUser, 'id'>): Caller => ({ role: 'authenticated', userId: id })
const owner = (): Caller => callerOf(team.user)
const newAddress = () => `${crypto.randomUUID()}@example.com`

interface Expectation {
  readonly id: string
  readonly role: string
  readonly ends_at: string
}

interface Wish {
  readonly by?: Caller
  readonly organizationId?: string
  readonly role?: string | null
  readonly days?: number
}

/** Without a role and an end, they are left to the function. */
async function expectMember(email: string, wish: Wish = {}): Promise<Expectation> {
  const { by = owner(), organizationId = team.organizationId, role = 'member', days } = wish
  const call = (tx: postgres.TransactionSql) =>
    days === undefined
      ? tx`select public.expect_member(${email}, ${organizationId}, ${role}) as expected`
      : tx`select public.expect_member(${email}, ${organizationId}, ${role}, now() + ${days} * interval '1 day') as expected`
  return only(await runAs(project.api, by, async (tx) => call(tx))).expected
}

const withdraw = async (email: string, by = owner(), organizationId = team.organizationId) =>
  only(
    await runAs(
      project.api,
      by,
      async (tx) => tx`select public.withdraw_expected_member(${email}, ${organizationId}) as done`,
    ),
  ).done

const accept = (user: NewUser, organizationId = team.organizationId) =>
  runAs(project.api, callerOf(user), async (tx) => tx`select public.accept_membership(${organizationId})`)

/** @returns the organization of one's own */
const decline = async (user: NewUser, organizationId = team.organizationId): Promise<string | null> =>
  only(
    await runAs(
      project.api,
      callerOf(user),
      async (tx) => tx`select public.decline_membership(${organizationId}) as own`,
    ),
  ).own

/** What a user has: which organization the profile names, memberships by role, organizations of their own, jobs and wallets. */
async function rowsOf({ id }: NewUser) {
  return only(
    await project.sql`
      select (select count(*)::integer from public.profiles where id = ${id}) as profiles,
        (select organization_id from public.profiles where id = ${id}) as "organizationId",
        array(select role::text from public.organization_members where user_id = ${id} order by created_at) as roles,
        (select count(*)::integer from public.organizations where owner_id = ${id}) as owned,
        (select count(*)::integer from public.provisioning_jobs where requested_by = ${id}) as jobs,
        (select count(*)::integer from public.wallets where user_id = ${id}) as wallets`,
  )
}

const PROFILE_ONLY = { profiles: 1, organizationId: null, roles: [], owned: 0, jobs: 0, wallets: 0 }
const OWN_TENANT = {
  profiles: 1,
  organizationId: expect.any(String),
  roles: ['owner'],
  owned: 1,
  jobs: 1,
  wallets: 1,
}

/** As if so many days had passed since somebody was expected. */
const pass = (email: string, days: number) =>
  project.sql`update provisioning.expected_members set created_at = created_at - ${days} * interval '1 day',
    ends_at = ends_at - ${days} * interval '1 day' where email = ${email}`

/** Two, because what has ended in one is followed up in the next. */
async function sweep(): Promise<void> {
  await project.sql`select provisioning.sweep()`
  await project.sql`select provisioning.sweep()`
}

describe('somebody who is expected', () => {
  it.each([true, false])(
    'gets the profile only, their address being confirmed: %s',
    async (emailConfirmed) => {
      const email = newAddress()
      await expectMember(email.toUpperCase())
      const user = await signUp(project.auth, {
        email,
        emailConfirmed,
        metadata: { full_name: 'Cora Colleague' },
      })
      expect(await rowsOf(user)).toEqual(PROFILE_ONLY)
      expect(
        only(await project.sql`select full_name, email from public.profiles where id = ${user.id}`),
      ).toEqual({
        full_name: 'Cora Colleague',
        email,
      })
      await project.sql`select provisioning.ensure_user_provisioned(${user.id})`
      await sweep()
      expect(await rowsOf(user), 'after a repair').toEqual(PROFILE_ONLY)
    },
  )

  it('joins in the role that was said, and the profile names the organization', async () => {
    const email = newAddress()
    await expectMember(email, { role: 'admin' })
    const user = await signUp(project.auth, { email })
    await accept(user)
    expect(await rowsOf(user)).toEqual({
      ...PROFILE_ONLY,
      organizationId: team.organizationId,
      roles: ['admin'],
      wallets: 1,
    })
    expect(await refusal(accept(user)), 'again').toBe('TP405')
    await sweep()
    expect(await rowsOf(user)).toMatchObject({ owned: 0 })
  })

  it('answers nothing until Auth knows the address to be theirs', async () => {
    const email = newAddress()
    await expectMember(email)
    const user = await signUp(project.auth, { email, emailConfirmed: false })
    const mine = () =>
      runAs(project.api, callerOf(user), async (tx) => [
        ...(await tx`select * from public.my_expected_memberships()`),
      ])
    expect(await mine()).toEqual([])
    expect(await refusal(accept(user))).toBe('TP405')
    expect(await refusal(decline(user))).toBe('TP405')
    await project.auth`update users set email_confirmed_at = now() where id = ${user.id}`
    expect(await rowsOf(user), 'confirming answers nothing').toEqual(PROFILE_ONLY)
    expect(await mine()).toMatchObject([
      { organization_id: team.organizationId, organization_name: 'Team', role: 'member' },
    ])
    await accept(user)
    expect(await rowsOf(user)).toMatchObject({ roles: ['member'] })
    expect(await mine()).toEqual([])
  })

  it('gets a tenant of their own at once when they decline', async () => {
    const email = newAddress()
    await expectMember(email)
    const user = await signUp(project.auth, { email })
    expect(await decline(user)).toEqual(expect.any(String))
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
    expect(await refusal(accept(user))).toBe('TP405')
  })

  it('waits for each organization that expects them, and can have two', async () => {
    const email = newAddress()
    const other = await createTenant(project)
    await expectMember(email)
    await expectMember(email, {
      by: callerOf(other.user),
      organizationId: other.organizationId,
      role: 'admin',
    })
    const user = await signUp(project.auth, { email })
    expect(await decline(user)).toBeNull()
    expect(await rowsOf(user)).toEqual(PROFILE_ONLY)
    await accept(user, other.organizationId)
    await expectMember(email)
    await accept(user)
    expect(await rowsOf(user)).toMatchObject({
      roles: ['admin', 'member'],
      organizationId: other.organizationId,
      owned: 0,
    })
  })

  interface Case {
    readonly email: string
    readonly theirs: Tenant
    /** Who has said it. */
    readonly admin: NewUser
  }

  it.each<[string, (situation: Case) => Promise<unknown>]>([
    ['nobody has answered in time', ({ email }) => pass(email, 8)],
    [
      'it is withdrawn',
      ({ email, theirs, admin }) => withdraw(email, callerOf(admin), theirs.organizationId),
    ],
    [
      'the organization goes',
      ({ theirs }) => project.sql`delete from public.organizations where id = ${theirs.organizationId}`,
    ],
    [
      'whoever said it is no admin any more',
      ({ theirs, admin }) => project.sql`update public.organization_members set role = 'member'
        where organization_id = ${theirs.organizationId} and user_id = ${admin.id}`,
    ],
    ['whoever said it goes', ({ admin }) => project.auth`delete from users where id = ${admin.id}`],
    [
      'they get another address',
      ({ email }) => project.auth`update users set email = ${newAddress()} where email = ${email}`,
    ],
  ])('gets a tenant of their own when %s', async (_why, end) => {
    const theirs = await createTenant(project)
    const admin = await signUp(project.auth)
    await project.sql`insert into public.organization_members (organization_id, user_id, role)
      values (${theirs.organizationId}, ${admin.id}, 'admin')`
    const email = newAddress()
    await expectMember(email, { by: callerOf(admin), organizationId: theirs.organizationId })
    const user = await signUp(project.auth, { email })
    expect(await rowsOf(user)).toEqual(PROFILE_ONLY)
    await end({ email, theirs, admin })
    await sweep()
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
    expect(await project.sql`select from provisioning.waiting_users where user_id = ${user.id}`).toEqual([])
  })

  it('is not kept waiting by what is said again and again', async () => {
    const email = newAddress()
    await expectMember(email, { days: 29 })
    const user = await signUp(project.auth, { email })
    await pass(email, 20)
    const { ends_at } = await expectMember(email, { days: 29 })
    expect((Date.parse(ends_at) - Date.now()) / 86_400_000, 'days').toBeCloseTo(10, 1)
    await withdraw(email)
    await expectMember(email)
    await sweep()
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
    await accept(user)
    expect(await rowsOf(user), 'with two organizations').toMatchObject({ roles: ['owner', 'member'] })
  })

  it('is not forgotten when their sign-up and the withdrawal meet', async () => {
    const email = newAddress()
    const { id } = await expectMember(email)
    const withdrawal = Promise.withResolvers<unknown>()
    const user = await project.auth.begin(async (tx) => {
      const signedUp = await signUp(tx, { email })
      project.sql`delete from provisioning.expected_members where id = ${id}`.then(
        withdrawal.resolve,
        withdrawal.reject,
      )
      await blocked(project, 1)
      return signedUp
    })
    await withdrawal.promise
    await sweep()
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
  })

  it('is not made to wait who had an account before', async () => {
    const { user } = await createTenant(project)
    const unconfirmed = await signUp(project.auth)
    await project.sql`delete from public.organizations where owner_id = ${unconfirmed.id}`
    await project.sql`delete from provisioning.removed_tenants where user_id = ${unconfirmed.id}`
    await expectMember(unconfirmed.email ?? '')
    await project.sql`select provisioning.ensure_user_provisioned(${unconfirmed.id})`
    expect(await rowsOf(unconfirmed)).toMatchObject({ owned: 1 })
    await expectMember(user.email ?? '')
    await accept(user)
    expect(await rowsOf(user)).toMatchObject({
      roles: ['owner', 'member'],
      organizationId: expect.not.stringMatching(team.organizationId),
    })
  })

  it('is told so by the status and by a repair, and no backfill finds anything missing', async () => {
    const email = newAddress()
    await expectMember(email)
    const user = await signUp(project.auth, { email })
    const { verdict, checks } = only(
      await project.sql`select provisioning.describe_tenant(${email}) as told`,
    ).told
    expect(verdict).toMatchObject({ ready: false, state: 'waiting', check: 'user' })
    expect(checks[0]).toMatchObject({
      status: 'waiting',
      code: 'account_expected',
      found: expect.stringContaining('as member of "team'),
    })
    expect(only(await project.sql`select provisioning.repair_user(${user.id}) as told`).told).toMatchObject({
      outcome: 'not_eligible',
      message: expect.stringContaining('expects the user'),
    })
    expect(
      await project.sql`select from provisioning.users_with_missing_rows('00000000-0000-0000-0000-000000000000', 1000)
      where user_id = ${user.id}`,
    ).toEqual([])
  })

  it('is forgotten with the address when the account goes', async () => {
    const email = newAddress()
    await expectMember(email)
    const user = await signUp(project.auth, { email })
    await project.auth`delete from users where id = ${user.id}`
    expect(await project.sql`select from provisioning.expected_members where email = ${email}`).toEqual([])
  })
})

describe('expecting somebody', () => {
  it('is for owners, admins and the backend; strangers and members are refused, whatever they name', async () => {
    const theirs = await createTenant(project)
    const { organizationId } = theirs
    const [admin, member] = [await signUp(project.auth), await signUp(project.auth)]
    for (const [{ id }, role] of [
      [admin, 'admin'],
      [member, 'member'],
    ] as const)
      await project.sql`insert into public.organization_members (organization_id, user_id, role)
        values (${organizationId}, ${id}, ${role})`
    const email = newAddress()
    const list = (by: Caller) =>
      runAs(project.api, by, async (tx) => [
        ...(await tx`select email, role, expected_by from public.expected_members(${organizationId})`),
      ])
    for (const by of [callerOf(theirs.user), callerOf(admin), BACKEND]) {
      await expectMember(email, { by, organizationId, role: 'admin' })
      expect(await list(by)).toEqual([
        { email, role: 'admin', expected_by: by.role === 'authenticated' ? by.userId : null },
      ])
      expect(await withdraw(email, by, organizationId)).toBe(true)
      expect(await withdraw(email, by, organizationId)).toBe(false)
    }
    for (const by of [owner(), callerOf(member)]) {
      expect(await refusal(expectMember(email, { by, organizationId }))).toBe('TP403')
      expect(await refusal(withdraw(email, by, organizationId))).toBe('TP403')
      expect(await refusal(list(by))).toBe('TP403')
    }
    expect(await refusal(expectMember(email, { by: BACKEND, organizationId: crypto.randomUUID() }))).toBe(
      'TP404',
    )
  })

  it.each<[string, string, Wish, string]>([
    ['an owner', 'ann@example.com', { role: 'owner' }, 'TP422'],
    ['no role', 'ann@example.com', { role: null }, 'TP422'],
    ['a role that there is not', 'ann@example.com', { role: 'queen' }, 'TP422'],
    ['what is no address', 'ann', {}, 'TP400'],
    ['two addresses', 'ann@example.com, bob@example.com', {}, 'TP400'],
    ['an end that is past', 'ann@example.com', { days: -1 }, 'TP400'],
    ['an end that is far away', 'ann@example.com', { days: 31 }, 'TP400'],
  ])('refuses %s', async (_what, email, wish, code) => {
    expect(await refusal(expectMember(email, wish))).toBe(code)
  })

  it('refuses a member, and tells of nobody else whether there is an account', async () => {
    expect(await refusal(expectMember(team.user.email ?? ''))).toBe('TP412')
    const { user } = await createTenant(project)
    const [known, unknown] = [await expectMember(user.email ?? ''), await expectMember(newAddress())]
    expect(Object.keys(known)).toEqual(Object.keys(unknown))
    expect(known).toMatchObject({ role: unknown.role, organization_id: team.organizationId })
  })

  it('lasts as long as the settings say, and not longer', async () => {
    const { ends_at } = await expectMember(newAddress())
    expect((Date.parse(ends_at) - Date.now()) / 86_400_000, 'days').toBeCloseTo(7, 1)
    const email = newAddress()
    await expectMember(email)
    await pass(email, 8)
    const user = await signUp(project.auth, { email })
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
    expect(await refusal(accept(user))).toBe('TP405')
  })

  it('is limited a day, for the organization and for the user, and not for the backend', async () => {
    const [theirs, another] = [await createTenant(project), await createTenant(project)]
    await project.sql`update provisioning.settings set expected_members_per_day = 2`
    try {
      await project.sql`insert into public.organization_members (organization_id, user_id, role)
        values (${another.organizationId}, ${theirs.user.id}, 'admin')`
      const by = callerOf(theirs.user)
      const ask = (organizationId: string, who = by) =>
        refusal(expectMember(newAddress(), { by: who, organizationId }))
      expect([await ask(theirs.organizationId), await ask(another.organizationId)]).toEqual([
        undefined,
        undefined,
      ])
      expect(await ask(theirs.organizationId), 'of the user').toBe('TP429')
      expect(await ask(another.organizationId, callerOf(another.user))).toBeUndefined()
      expect(await ask(another.organizationId, callerOf(another.user)), 'of the organization').toBe('TP429')
      expect(await ask(another.organizationId, BACKEND)).toBeUndefined()
    } finally {
      await project.sql`update provisioning.settings set expected_members_per_day = default`
    }
  })

  it('and each answer are in the audit log and the history, without the address', async () => {
    const theirs = await createTenant(project)
    const { organizationId } = theirs
    const by = callerOf(theirs.user)
    const people: NewUser[] = []
    for (let i = 0; i < 3; i++) {
      const email = newAddress()
      await expectMember(email, { by, organizationId })
      people.push(await signUp(project.auth, { email }))
    }
    const [joins, declines, withdrawn] = people as [NewUser, NewUser, NewUser]
    await accept(joins, organizationId)
    await decline(declines, organizationId)
    await withdraw(withdrawn.email ?? '', by, organizationId)
    const audited =
      await project.sql`select action, actor_id, metadata, provisioning.personal_details_of(id) as details
      from public.audit_logs where organization_id = ${organizationId} and action like 'member.%'
      and resource_type = 'expected_member' order by created_at, id`
    expect(audited.map(({ action, actor_id }) => [action, actor_id])).toEqual([
      ...people.map(() => ['member.expected', theirs.user.id]),
      ['member.joined', joins.id],
      ['member.declined', declines.id],
      ['member.withdrawn', theirs.user.id],
    ])
    const events = await project.sql`select event_type, status, metadata from public.provisioning_events
      where organization_id = ${organizationId} and resource_type = 'expected_member' order by started_at`
    expect(events.map(({ event_type, status }) => `${event_type} ${status}`)).toEqual([
      ...people.map(() => 'member.expected pending'),
      'member.joined succeeded',
      'member.declined cancelled',
      'member.withdrawn cancelled',
    ])
    expect(JSON.stringify([audited, events])).not.toContain('@')
  })
})

describe('app metadata that say "provision": false', () => {
  const signUpWith = async (
    user: Partial<NewUser>,
    appMetadata: postgres.JSONValue,
    auth: postgres.ISql = project.auth,
  ) => {
    const signedUp: NewUser = {
      id: crypto.randomUUID(),
      email: newAddress(),
      metadata: {},
      emailConfirmed: true,
      anonymous: false,
      sso: false,
      ...user,
    }
    await auth`
      insert into users (instance_id, id, aud, role, email, raw_app_meta_data, raw_user_meta_data, email_confirmed_at, is_anonymous,
        is_sso_user, created_at, updated_at)
      values ('00000000-0000-0000-0000-000000000000', ${signedUp.id}, 'authenticated', 'authenticated', ${signedUp.email},
        ${JSON.stringify(appMetadata)}::text::jsonb, ${JSON.stringify(signedUp.metadata)}::text::jsonb,
        ${signedUp.emailConfirmed ? new Date() : null}, ${signedUp.anonymous}, false, now(), now())`
    return signedUp
  }

  it('leave a sign-up with a profile, until the backend takes it back', async () => {
    const user = await signUpWith(
      { metadata: { full_name: 'Sue Support' } },
      { provider: 'email', provision: false },
    )
    expect(await rowsOf(user)).toEqual(PROFILE_ONLY)
    await project.auth`update users set raw_user_meta_data = '{"full_name": "Sue S."}' where id = ${user.id}`
    await sweep()
    expect(await rowsOf(user)).toEqual(PROFILE_ONLY)
    expect(
      only(await project.sql`select provisioning.describe_tenant(${user.id}) as told`).told.checks[0],
    ).toMatchObject({ code: 'account_not_provisioned' })
    expect(
      await project.sql`select from provisioning.users_with_missing_rows('00000000-0000-0000-0000-000000000000', 1000)
      where user_id = ${user.id}`,
    ).toEqual([])
    await project.auth`update users set raw_app_meta_data = '{"provider": "email"}' where id = ${user.id}`
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
  })

  type Write = (auth: postgres.ISql, user: NewUser) => Promise<unknown>
  /** As Auth does it: each write is a statement of the one transaction. */
  const inTransaction = (user: Partial<NewUser>, ...writes: Write[]): Promise<NewUser> =>
    project.auth.begin(async (tx) => {
      const made = await signUpWith(user, { provider: 'email' }, tx)
      for (const write of writes) await write(tx, made)
      return made
    })
  const refuse: Write = (auth, { id }) =>
    auth`update users set raw_app_meta_data = raw_app_meta_data || '{"provision": false}' where id = ${id}`
  const allow: Write = (auth, { id }) =>
    auth`update users set raw_app_meta_data = raw_app_meta_data || '{"provision": true}' where id = ${id}`
  const confirm: Write = (auth, { id }) => auth`update users set email_confirmed_at = now() where id = ${id}`

  /** Where anything of a user or a tenant is written down. */
  const tracesOf = async () =>
    only(
      await project.sql`
        select (select count(*)::integer from public.organizations) as organizations,
          (select count(*)::integer from public.provisioning_jobs) as jobs,
          (select count(*)::integer from public.provisioning_events) as events,
          (select count(*)::integer from public.audit_logs) as entries,
          (select count(*)::integer from provisioning.changed_people) as changes,
          (select count(*)::integer from provisioning.removed_tenants) as removed,
          (select count(*)::integer from provisioning.personal_details) as details,
          (select count(*)::integer from provisioning.sign_up_failures) as failures,
          (select count(*)::integer from public.wallets) as wallets,
          (select count(*)::integer from public.profiles where not in_search_index) as "besideTheIndex"`,
    )

  it.each([
    { provisionOn: 'sign_up', what: 'the sign-up', writes: [refuse], emailConfirmed: true },
    {
      provisionOn: 'sign_up',
      what: 'the sign-up, confirmed',
      writes: [refuse, confirm],
      emailConfirmed: false,
    },
    {
      provisionOn: 'email_confirmed',
      what: 'the confirmation',
      writes: [confirm, refuse],
      emailConfirmed: false,
    },
    { provisionOn: 'sign_up', what: 'other words', writes: [allow, refuse], emailConfirmed: true },
  ])(
    'take back without a trace the tenant that the same transaction made by $what (provision_on = $provisionOn)',
    async ({ provisionOn, writes, emailConfirmed }) => {
      await project.sql`update provisioning.settings set provision_on = ${provisionOn}`
      const before = await tracesOf()
      const user = await inTransaction({ metadata: { full_name: 'Sue Support' }, emailConfirmed }, ...writes)
      await project.sql`update provisioning.settings set provision_on = 'sign_up'`
      await sweep()
      expect(await rowsOf(user)).toEqual(PROFILE_ONLY)
      expect(await tracesOf()).toEqual(before)
      await project.auth`update users set raw_app_meta_data = '{"provider": "email"}' where id = ${user.id}`
      expect(await rowsOf(user)).toEqual(OWN_TENANT)
    },
  )

  it('say what counts at the end of the transaction', async () => {
    expect(await rowsOf(await inTransaction({}, refuse, allow))).toEqual(OWN_TENANT)
    const converted = await inTransaction(
      { anonymous: true, email: null },
      refuse,
      (auth, { id }) => auth`update users set is_anonymous = false, email = ${newAddress()} where id = ${id}`,
    )
    expect(await rowsOf(converted)).toEqual(PROFILE_ONLY)
  })

  it('take no tenant away that was there before, and none that somebody asked for', async () => {
    const user = await inTransaction({})
    await refuse(project.auth, user)
    await project.auth`update users set raw_user_meta_data = '{"full_name": "Sue S."}' where id = ${user.id}`
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
    const founder = await inTransaction({}, refuse)
    await project.sql.begin(async (tx) => {
      await tx`select set_config('request.jwt.claims', ${JSON.stringify({ sub: founder.id, role: 'authenticated' })}, true)`
      await tx`select provisioning.create_organization_as_caller('Founded', null, null, null)`
      await tx`update auth.users set raw_user_meta_data = '{"full_name": "Finn"}' where id = ${founder.id}`
    })
    expect(await rowsOf(founder)).toMatchObject({ owned: 1, jobs: 1 })
  })

  it.each([true, 'false', null, 0])('leave everything as it is with %j', async (provision) => {
    expect(await rowsOf(await signUpWith({}, { provision }))).toEqual(OWN_TENANT)
  })

  it('are the backend’s: what the sign-up says of itself decides nothing', async () => {
    const user = await signUp(project.auth, {
      metadata: { provision: false, organization_id: team.organizationId, role: 'admin' },
    })
    expect(await rowsOf(user)).toEqual(OWN_TENANT)
  })
})
