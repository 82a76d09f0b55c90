import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, runAs } from '../support/roles.ts'
import { blocked } from './blocked.ts'
import { claimedJob, Engine, FINAL } from './engine.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(() => project.close())

const BACKEND: Caller = { role: 'service_role' }
const userOf = ({ user }: Pick<Tenant, 'user'>): Caller => ({ role: 'authenticated', userId: user.id })

interface Wish {
  readonly services?: readonly string[]
  readonly size?: string
}

const provision = (caller: Caller, organizationId: string, { services, size }: Wish = {}) =>
  runAs(
    project.api,
    caller,
    (tx) =>
      tx`select provisioning.provision_as_caller(${organizationId}, ${services ? [...services] : null}, ${size ?? null})`,
  )

const cancel = (caller: Caller, organizationId: string) =>
  runAs(project.api, caller, (tx) => tx`select provisioning.cancel_as_caller(${organizationId})`)

async function refusals(act: () => Promise<unknown>, times: number): Promise<(string | undefined)[]> {
  const codes: (string | undefined)[] = []
  while (codes.length < times) codes.push(await refusal(act()))
  return codes
}

const allowed = (times: number): undefined[] => Array<undefined>(times).fill(undefined)

/** As if so much time had passed since every call. */
const pass = (seconds: number) =>
  project.sql`update provisioning.counted_calls set forget_at = forget_at - ${seconds} * interval '1 second',
    called_at = array(select t - ${seconds} * interval '1 second' from unnest(called_at) t)`

async function admitTo(organizationId: string, person: Tenant, role: string): Promise<void> {
  await project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${organizationId}, ${person.user.id}, ${role})`
}

/** A tenant whose provisioning has succeeded, on a plan that has every size. */
async function readyTenant(): Promise<Tenant> {
  const { lease, ...tenant } = await claimedJob(project)
  expect(await engine.run(lease)).toBe('succeeded')
  await project.sql`update public.organizations set plan = 'enterprise' where id = ${tenant.organizationId}`
  return tenant
}

describe('acts on an organization', () => {
  it('are limited a minute, whoever of its owners and admins asks and for whatever', async () => {
    const owner = await createTenant(project)
    const admin = await createTenant(project)
    await admitTo(owner.organizationId, admin, 'admin')
    expect(await refusals(() => provision(userOf(owner), owner.organizationId), 3)).toEqual(allowed(3))
    expect(await refusals(() => provision(userOf(admin), owner.organizationId), 2)).toEqual(allowed(2))
    const sixth = await provision(userOf(admin), owner.organizationId).catch((error: unknown) => error)
    expect(sixth).toMatchObject({ code: 'TP429', message: expect.stringMatching(/Try again in \d+ s\.$/) })
    const seconds = Number((sixth as postgres.PostgresError).detail)
    expect(seconds).toBeGreaterThan(50)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(await refusal(cancel(userOf(owner), owner.organizationId))).toBe('TP429')
    expect(await refusal(provision(userOf(admin), admin.organizationId)), 'another one').toBeUndefined()
    await pass(61)
    expect(await refusal(cancel(userOf(owner), owner.organizationId))).toBeUndefined()
  })

  it.each([
    ['rotating the password', 'provisioning.rotate_as_caller($1)'],
    ['a login for a time', "provisioning.request_access_as_caller($1, 'read', 5)"],
    ['deleting it', "provisioning.delete_organization_as_caller($1, 'whatever', false)"],
  ])('share their limit: with provisioning used up there is none left for %s', async (_what, act) => {
    const owner = await readyTenant()
    const { organizationId } = owner
    await project.sql`
      update public.organization_databases set role_name = 'app' where organization_id = ${organizationId}`
    const asOwner = () =>
      refusal(runAs(project.api, userOf(owner), (tx) => tx.unsafe(`select ${act}`, [organizationId])))
    expect(await asOwner()).not.toBe('TP429')
    await pass(61)
    expect(await refusals(() => provision(userOf(owner), organizationId), 5)).toEqual(allowed(5))
    expect(await asOwner()).toBe('TP429')
  })

  it('that are refused for another reason cost no provider a call and are not counted', async () => {
    const owner = await createTenant(project)
    const wrong = () => provision(userOf(owner), owner.organizationId, { size: 'gigantic' })
    expect(new Set(await refusals(wrong, 7))).toEqual(new Set(['TP422']))
    expect(await refusal(provision(userOf(owner), owner.organizationId))).toBeUndefined()
  })

  it('that come all at once do not slip through together', async () => {
    const owner = await createTenant(project)
    const claims = JSON.stringify({ sub: owner.user.id, role: 'authenticated' })
    const codes = await Promise.all(
      Array.from({ length: 9 }, () =>
        refusal(project.sql`
          with claims as materialized (select set_config('request.jwt.claims', ${claims}, true) as set)
          select provisioning.provision_as_caller(${owner.organizationId}) from claims where set is not null`),
      ),
    )
    expect(codes.filter((code) => code === undefined)).toHaveLength(5)
    expect(codes.filter((code) => code === 'TP429')).toHaveLength(4)
  })

  it('are limited for a user over all organizations', async () => {
    const user = await createTenant(project)
    const others = [await createTenant(project), await createTenant(project)]
    for (const { organizationId } of others) await admitTo(organizationId, user, 'owner')
    const asUser = (organizationId: string, times: number) =>
      refusals(() => provision(userOf(user), organizationId), times)
    expect(await asUser(user.organizationId, 4)).toEqual(allowed(4))
    expect(await asUser(others[0]?.organizationId ?? '', 4)).toEqual(allowed(4))
    expect(await asUser(others[1]?.organizationId ?? '', 3)).toEqual([...allowed(2), 'TP429'])
  })

  it('are not limited for the backend, for operators, and in SQL', async () => {
    const owner = await createTenant(project)
    const { organizationId } = owner
    expect(await refusals(() => provision(BACKEND, organizationId), 7)).toEqual(allowed(7))
    const inSql = () => project.sql`select provisioning.request_provisioning(${organizationId})`
    expect(await refusals(inSql, 7)).toEqual(allowed(7))
    await project.sql`select provisioning.grant_operator(${owner.user.id}, 'of the tests')`
    expect(await refusals(() => provision(userOf(owner), organizationId), 7)).toEqual(allowed(7))
  })

  it('leave one bounded row for an organization and a user, which goes when it counts no more', async () => {
    await project.sql`delete from provisioning.counted_calls`
    const owner = await createTenant(project)
    await refusals(() => provision(userOf(owner), owner.organizationId), 8)
    const sizes = () =>
      project.sql<{ size: number }[]>`select cardinality(called_at) as size from provisioning.counted_calls`
    expect(await sizes()).toEqual([{ size: 5 }, { size: 5 }])
    await project.sql`select provisioning.prune()`
    expect(await sizes()).toHaveLength(2)
    await pass(61)
    await project.sql`select provisioning.prune()`
    expect(await sizes()).toEqual([])
  })

  it('follow the settings', async () => {
    const owner = await createTenant(project)
    await project.sql`update provisioning.settings set organization_acts_per_minute = 1`
    const codes = await refusals(() => provision(userOf(owner), owner.organizationId), 2)
    await project.sql`update provisioning.settings set organization_acts_per_minute = 5`
    expect(codes).toEqual([undefined, 'TP429'])
  })
})

describe('a service that is ready', () => {
  it('is done again once in ten minutes, whether it is named or gets another size', async () => {
    const tenant = await readyTenant()
    const { organizationId } = tenant
    const again = (wish: Wish) => refusal(provision(userOf(tenant), organizationId, wish))
    expect(await again({ services: ['neon'] })).toBeUndefined()
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
    await pass(120)
    expect(await again({ services: ['neon'] })).toBe('TP425')
    expect(await again({ size: 'medium' })).toBe('TP425')
    const [database] = await project.sql`
      select size from public.organization_databases where organization_id = ${organizationId}`
    expect(database).toEqual({ size: 'small' })
    expect(await again({ services: ['stripe'] }), 'another service').toBeUndefined()
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
    expect(await refusal(provision(BACKEND, organizationId, { services: ['neon'] }))).toBeUndefined()
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
    await pass(481)
    expect(await again({ size: 'medium' })).toBeUndefined()
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('may be tried again at any time while it is not ready', async () => {
    const { lease, ...tenant } = await claimedJob(project)
    expect(await engine.run(lease, { neon_project: FINAL })).toBe('failed')
    const retry = () => provision(userOf(tenant), tenant.organizationId, { services: ['neon'] })
    expect(await refusal(retry())).toBeUndefined()
    expect(await engine.run(only(await engine.claim()), { neon_project: FINAL })).toBe('failed')
    expect(await refusal(retry())).toBeUndefined()
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })

  it('is not done again and again by naming it while its worker is at work', async () => {
    const { lease, ...tenant } = await claimedJob(project)
    const name = () => provision(userOf(tenant), tenant.organizationId, { services: ['neon'] })
    expect(await refusal(name())).toBeUndefined()
    expect(await refusal(name())).toBe('TP425')
    expect(await engine.run(lease)).toBe('queued')
    expect(await engine.run(only(await engine.claim()))).toBe('succeeded')
  })
})

describe('the password of a tenant’s database', () => {
  it('is told so often an hour, because each time stays in the audit log', async () => {
    const { organizationId, ...owner } = await readyTenant()
    await project.sql`
      update public.organization_databases set role_name = 'app' where organization_id = ${organizationId}`
    await project.sql`update provisioning.settings set password_reveals_per_hour = 2`
    const connection = (caller: Caller, reveal: boolean) =>
      runAs(project.api, caller, (tx) => tx`select public.database_connection(${organizationId}, ${reveal})`)
    const reveal = () => connection(userOf(owner), true)
    expect(await refusals(reveal, 4)).toEqual([...allowed(2), 'PT429', 'PT429'])
    expect(await refusal(connection(userOf(owner), false)), 'without the password').toBeUndefined()
    expect(await refusal(connection(BACKEND, true)), 'the backend').toBeUndefined()
    await pass(3600)
    expect(await refusal(reveal()), 'an hour later').toBeUndefined()
    const noted = await project.sql`select from public.audit_logs
      where organization_id = ${organizationId} and action = 'credentials.revealed'`
    expect(noted).toHaveLength(4)
    await project.sql`update provisioning.settings set password_reveals_per_hour = default`
  })
})

describe('the name and the picture of a person', () => {
  const nameOf = async ({ user }: Tenant) =>
    only(
      await project.sql<{ name: string }[]>`
        select full_name as name from public.profiles where id = ${user.id}`,
    ).name

  it('may be changed so often a day; a change of the account goes through, and is not followed', async () => {
    const tenant = await createTenant(project)
    const { id } = tenant.user
    await project.sql`update provisioning.settings set profile_changes_per_day = 2`
    const write = (name: string) =>
      runAs(
        project.api,
        userOf(tenant),
        (tx) => tx`update public.profiles set full_name = ${name} where id = ${id}`,
      )
    const changeAccount = (name: string) =>
      project.auth`update auth.users set raw_user_meta_data = ${project.auth.json({ full_name: name })} where id = ${id}`
    expect(await refusal(write('By the profile'))).toBeUndefined()
    await changeAccount('By the account')
    expect(await nameOf(tenant)).toBe('By the account')

    expect(await refusal(write('Too often'))).toBe('PT429')
    await changeAccount('Too often')
    expect(await nameOf(tenant)).toBe('By the account')
    expect(await project.sql`select from provisioning.sign_up_failures where user_id = ${id}`).toEqual([])
    // The backend answers for what it passes on.
    await runAs(
      project.api,
      BACKEND,
      (tx) => tx`update public.profiles set full_name = 'By the backend' where id = ${id}`,
    )
    expect(await nameOf(tenant)).toBe('By the backend')

    await pass(86_400)
    await changeAccount('A day later')
    expect(await nameOf(tenant)).toBe('A day later')
    await project.sql`update provisioning.settings set profile_changes_per_day = default`
  })
})

describe('the sizes of a plan', () => {
  const sizeOf = async ({ organizationId }: Tenant) =>
    only(
      await project.sql<{ size: string }[]>`
        select size from public.organization_databases where organization_id = ${organizationId}`,
    ).size
  const setPlan = ({ organizationId }: Tenant, plan: string) =>
    project.sql`update public.organizations set plan = ${plan} where id = ${organizationId}`

  it.each([
    ['free', 'medium', 'TP402'],
    ['free', 'large', 'TP402'],
    ['pro', 'medium', undefined],
    ['pro', 'large', 'TP402'],
    ['enterprise', 'large', undefined],
  ])('of %s: its owner who asks for %s gets %s', async (plan, size, code) => {
    const tenant = await createTenant(project)
    await project.sql`select provisioning.ensure_database(${tenant.organizationId})`
    await setPlan(tenant, plan)
    const before = await sizeOf(tenant)
    expect(await refusal(provision(userOf(tenant), tenant.organizationId, { size }))).toBe(code)
    expect(await sizeOf(tenant)).toBe(code === undefined ? size : before)
  })

  it('hold for operators who own an organization, and not for the backend', async () => {
    const tenant = await createTenant(project)
    await project.sql`select provisioning.grant_operator(${tenant.user.id}, 'of the tests')`
    const large = (caller: Caller) => refusal(provision(caller, tenant.organizationId, { size: 'large' }))
    expect(await large(userOf(tenant))).toBe('TP402')
    expect(await large(BACKEND)).toBeUndefined()
    expect(await sizeOf(tenant)).toBe('large')
  })

  it('bring a database down to the default one when the plan changes to one that does not have its size', async () => {
    const tenant = await createTenant(project)
    await setPlan(tenant, 'enterprise')
    await provision(userOf(tenant), tenant.organizationId, { size: 'medium' })
    await setPlan(tenant, 'pro')
    expect(await sizeOf(tenant)).toBe('medium')
    await setPlan(tenant, 'free')
    expect(await sizeOf(tenant)).toBe('small')
  })

  it('always have the default one', async () => {
    const wrong = project.sql`update provisioning.plans set sizes = '{large}' where plan = 'free'`
    expect(await refusal(wrong)).toBe('23514')
  })
})

describe('the organizations of a user', () => {
  const found = (sql: postgres.ISql, { user }: Tenant) => sql`
    insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
    values ('Another', ${`another-${crypto.randomUUID()}`}, ${user.id}, 'us-east-1', 'us-east-1', '{}')`

  it('are limited, also when two come at once', async () => {
    const owner = await createTenant(project)
    for (let owned = 1; owned < 9; owned++) await found(project.sql, owner)
    const second = await project.sql.begin(async (tx) => {
      await found(tx, owner)
      const answer = refusal(found(project.sql, owner))
      await blocked(project, 1)
      return { answer }
    })
    expect(await second.answer).toBe('TP411')
  })

  it('are limited when one is given to a user, and not when one is passed on by somebody who leaves', async () => {
    const [heir, giver] = [await createTenant(project), await createTenant(project)]
    for (let owned = 1; owned < 10; owned++) await found(project.sql, heir)
    await admitTo(giver.organizationId, heir, 'owner')
    const given = project.sql`update public.organizations set owner_id = ${heir.user.id} where id = ${giver.organizationId}`
    expect(await refusal(given)).toBe('TP411')
    await project.auth`delete from users where id = ${giver.user.id}`
    const [organization] =
      await project.sql`select owner_id from public.organizations where id = ${giver.organizationId}`
    expect(organization).toEqual({ owner_id: heir.user.id })
  })
})
