import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAs } from '../support/roles.ts'
import { createTenant, only, openProject, type Project, type Tenant } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(() => project.close())

async function removedTenant(): Promise<Tenant> {
  const tenant = await createTenant(project, { metadata: { full_name: 'Mallory' } })
  await project.sql`select provisioning.delete_organization(${tenant.organizationId},
    (select slug from public.organizations where id = ${tenant.organizationId}))`
  return tenant
}

const organizations = (userId: string) =>
  project.sql`select id from public.organizations where owner_id = ${userId}`
const liftAs = async (caller: Parameters<typeof runAs>[1], userId: string) =>
  only(await runAs(project.api, caller, (tx) => tx`select public.lift_removal(${userId}) as lifted`)).lifted
const repair = async (userId: string) =>
  only(await project.sql`select provisioning.repair_user(${userId}) as told`).told

describe('the tenant of a user that was removed on purpose', () => {
  it.each([
    [
      'the metadata',
      (id: string) => project.auth`update users set raw_user_meta_data = '{"name": "M."}' where id = ${id}`,
    ],
    [
      'the address',
      (id: string) => project.auth`update users set email = ${`${crypto.randomUUID()}@b.c`} where id = ${id}`,
    ],
    [
      'the confirmation',
      async (id: string) => {
        await project.auth`update users set email_confirmed_at = null where id = ${id}`
        await project.auth`update users set email_confirmed_at = now(), phone_confirmed_at = now() where id = ${id}`
      },
    ],
    [
      'a webhook of the sign-up',
      (id: string) => project.sql`select provisioning.try_to_provision_user(${id})`,
    ],
    [
      'a recorded failure',
      async (id: string) => {
        await project.sql`select provisioning.record_sign_up_failure(${id}, 'XX000', 'trouble')`
        await project.sql`select provisioning.repair_sign_ups(100)`
      },
    ],
    ['the backfill', () => project.sql`select provisioning.backfill_users(500, false, null)`],
    [
      'the backfill of users without a profile',
      async (id: string) => {
        await project.sql`delete from public.profiles where id = ${id}`
        expect(only(await project.sql`select provisioning.backfill(100) as done`).done).toBe(0)
      },
    ],
    [
      'a call by e-mail',
      (id: string) => project.sql`select provisioning.provision_user(email) from auth.users where id = ${id}`,
    ],
  ])('does not come back with %s', async (_what, change) => {
    const { user } = await removedTenant()
    await change(user.id)
    expect(await organizations(user.id)).toHaveLength(0)
    expect([...(await project.sql`select message from provisioning.sign_up_failures`)]).toEqual([])
  })

  it('is told to whoever wants to repair the user, and by the checks', async () => {
    const { user } = await removedTenant()
    expect(await repair(user.id)).toMatchObject({
      outcome: 'removed',
      message: expect.stringContaining('on purpose'),
    })
    const { told } = only(
      await project.sql`select provisioning.describe_tenant(${user.id}) -> 'checks' as told`,
    )
    expect(told).toContainEqual(
      expect.objectContaining({ check: 'organization', code: 'organization_removed' }),
    )
  })

  it('comes back when the backend has lifted that, which is audited', async () => {
    const { user, organizationId } = await removedTenant()
    expect(await liftAs({ role: 'service_role' }, user.id)).toBe(true)
    expect(await liftAs({ role: 'service_role' }, user.id)).toBe(false)
    expect(
      only(
        await project.sql`select actor_type, resource_id from public.audit_logs
          where organization_id = ${organizationId} and action = 'removal.lifted'`,
      ),
    ).toEqual({ actor_type: 'service', resource_id: user.id })
    expect(await repair(user.id)).toMatchObject({ outcome: 'repaired' })
    expect(await organizations(user.id)).toHaveLength(1)
  })

  it('comes back when an operator has lifted it, and not when the user tries to', async () => {
    const { user } = await removedTenant()
    const operator = await createTenant(project)
    await project.sql`select provisioning.grant_operator(${operator.user.id})`
    const mallory = { role: 'authenticated', userId: user.id } as const
    await expect(liftAs(mallory, user.id)).rejects.toMatchObject({ code: 'TP403' })
    expect(await liftAs({ role: 'authenticated', userId: operator.user.id }, user.id)).toBe(true)
    await project.auth`update users set raw_user_meta_data = '{"name": "M."}' where id = ${user.id}`
    expect(await organizations(user.id)).toHaveLength(1)
  })

  it('says nothing about members of it who have an organization of their own', async () => {
    const [mallory, member] = [await createTenant(project), await createTenant(project)]
    await project.sql`insert into public.organization_members (organization_id, user_id)
      values (${mallory.organizationId}, ${member.user.id})`
    await project.sql`delete from public.organizations where id = ${mallory.organizationId}`
    await project.auth`update users set raw_user_meta_data = '{"name": "New"}' where id = ${member.user.id}`
    expect(
      only(await project.sql`select full_name from public.profiles where id = ${member.user.id}`),
    ).toEqual({
      full_name: 'New',
    })
    expect(await organizations(member.user.id)).toHaveLength(1)
  })

  it('says nothing about members who have none of their own, but about every owner', async () => {
    const [mallory, owner, member] = [await removedTenant(), await removedTenant(), await removedTenant()]
    await project.sql`select provisioning.lift_removal(${mallory.user.id})`
    await repair(mallory.user.id)
    const { id } = only(await organizations(mallory.user.id))
    for (const [role, { user }] of [
      ['owner', owner],
      ['admin', member],
    ] as const) {
      await project.sql`select provisioning.lift_removal(${user.id})`
      await project.sql`insert into public.organization_members (organization_id, user_id, role)
        values (${id}, ${user.id}, ${role})`
    }
    await project.sql`delete from public.organizations where id = ${id}`
    for (const { user } of [mallory, owner, member])
      await project.auth`update users set raw_user_meta_data = '{"name": "New"}' where id = ${user.id}`
    expect(await organizations(mallory.user.id)).toHaveLength(0)
    expect(await organizations(owner.user.id)).toHaveLength(0)
    expect(await organizations(member.user.id)).toHaveLength(1)
  })

  it('leaves nothing when the account goes', async () => {
    const { user } = await removedTenant()
    await project.auth`delete from users where id = ${user.id}`
    const { user: other } = await createTenant(project)
    await project.auth`delete from users where id = ${other.id}`
    expect(
      await project.sql`select from provisioning.removed_tenants where user_id in (${user.id}, ${other.id})`,
    ).toHaveLength(0)
  })
})

describe('a removal of an organization while an account is being deleted', () => {
  it('does not wait for the account, whose deletion waits for the jobs that the removal holds', async () => {
    const tenant = await createTenant(project)
    const [account, removal] = await Promise.all([project.superuser.reserve(), project.sql.reserve()])
    try {
      await account`begin`
      await account`select from auth.users where id = ${tenant.user.id} for update`
      await removal`begin`
      await removal`set local lock_timeout = '2s'`
      await removal`select provisioning.delete_organization(${tenant.organizationId},
        (select slug from public.organizations where id = ${tenant.organizationId}))`
      await removal`commit`
    } finally {
      await Promise.all([account`rollback`, removal`rollback`])
      account.release()
      removal.release()
    }
    expect(await organizations(tenant.user.id)).toHaveLength(0)
  })
})
