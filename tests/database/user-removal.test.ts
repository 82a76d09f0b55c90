import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

const removeUser = (id: string) => project.auth`delete from users where id = ${id}`
const addMember = (organizationId: string, userId: string, role: string) => project.sql`
  insert into public.organization_members (organization_id, user_id, role) values (${organizationId}, ${userId}, ${role})`
const organization = (id: string) => project.sql`select * from public.organizations where id = ${id}`
const jobs = (organizationId: string, kind: string) => project.sql`
  select * from public.provisioning_jobs where organization_id = ${organizationId} and kind = ${kind}`
const auditOf = async (organizationId: string) =>
  (
    await project.sql<{ action: string }[]>`
      select action from public.audit_logs where organization_id = ${organizationId} order by created_at, action`
  ).map(({ action }) => action)

/** A tenant that has something outside. */
async function provisionedTenant(): Promise<Tenant & { external: Record<string, string> }> {
  const tenant = await createTenant(project, { metadata: { organization_name: 'Gone soon' } })
  const external = {
    stripe_customer_id: `cus_${tenant.organizationId}`,
    neon_project_id: `neon-${tenant.organizationId}`,
    credentials_secret_id: only(
      await project.sql<{ id: string }[]>`select vault.create_secret('hunter2') as id`,
    ).id,
  }
  const { stripe_customer_id, neon_project_id, credentials_secret_id } = external
  await project.sql`update public.organizations set stripe_customer_id = ${stripe_customer_id}
    where id = ${tenant.organizationId}`
  await project.sql`update public.organization_databases set neon_project_id = ${neon_project_id},
    credentials_secret_id = ${credentials_secret_id} where organization_id = ${tenant.organizationId}`
  return { ...tenant, external }
}

describe('the removal of a user whose organization has no other owner', () => {
  it('removes the organization and leaves an open job with the ids of what exists outside', async () => {
    const { user, organizationId, jobId, external } = await provisionedTenant()
    await removeUser(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    for (const table of ['organization_members', 'organization_databases'])
      expect(
        await project.sql`select from public.${project.sql(table)} where organization_id = ${organizationId}`,
      ).toHaveLength(0)
    expect(await project.sql`select from public.profiles where id = ${user.id}`).toHaveLength(0)
    expect(await project.sql`select from public.wallets where user_id = ${user.id}`).toHaveLength(0)

    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({
      status: 'queued',
      finished_at: null,
      request: { organization_name: 'Gone soon', ...external },
    })
    expect(only(await project.sql`select status from public.provisioning_jobs where id = ${jobId}`)).toEqual({
      status: 'cancelled',
    })
    expect(await auditOf(organizationId)).toContain('organization.deleted')
  })

  it('keeps the credentials in Vault until the job has used them, and the history for good', async () => {
    const { user, organizationId, external } = await provisionedTenant()
    await removeUser(user.id)
    expect(
      await project.sql`select from vault.secrets where id = ${external.credentials_secret_id ?? ''}`,
    ).toHaveLength(1)
    expect(
      await project.sql`select from public.provisioning_events where organization_id = ${organizationId}`,
    ).toHaveLength(1)
  })

  it('takes the job away from the worker that holds it', async () => {
    const { user, jobId } = await createTenant(project)
    const token = crypto.randomUUID()
    await project.sql`update public.provisioning_jobs set status = 'running', lease_token = ${token},
      lease_expires_at = now() + interval '1 minute' where id = ${jobId}`
    await removeUser(user.id)
    await expect(project.sql`select provisioning.extend_lease(${jobId}, ${token})`).rejects.toMatchObject({
      code: 'TP001',
    })
  })

  it('that is rolled back leaves all as it was', async () => {
    const { user } = await provisionedTenant()
    const before = await fingerprint(project.sql)
    await project.auth
      .begin(async (tx) => {
        await tx`delete from users where id = ${user.id}`
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('leaves the other members their accounts, profiles and wallets', async () => {
    const { user, organizationId } = await createTenant(project)
    const colleague = await createTenant(project)
    await addMember(organizationId, colleague.user.id, 'admin')
    await removeUser(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    expect(
      only(await project.sql`select organization_id from public.profiles where id = ${colleague.user.id}`),
    ).toEqual({ organization_id: colleague.organizationId })
    expect(await project.sql`select from public.wallets where user_id = ${colleague.user.id}`).toHaveLength(1)
    expect(
      (
        await project.sql`select organization_id from public.organization_members where user_id = ${colleague.user.id}`
      ).map((row) => row.organization_id),
    ).toEqual([colleague.organizationId])
  })

  it('goes through for a user who never got a tenant', async () => {
    const { id } = await signUp(project.auth, { anonymous: true })
    await removeUser(id)
    expect(await project.sql`select from auth.users where id = ${id}`).toHaveLength(0)
  })

  it('of both owners in one statement removes it as well', async () => {
    const { user, organizationId } = await createTenant(project)
    const other = await createTenant(project)
    await addMember(organizationId, other.user.id, 'owner')
    await project.auth`delete from users where id in (${user.id}, ${other.user.id})`
    expect(await organization(organizationId)).toHaveLength(0)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(1)
    expect(await jobs(other.organizationId, 'deprovision')).toHaveLength(1)
  })

  it('whose undo cannot be enqueued does not happen, or what exists outside would be lost track of', async () => {
    const { user, organizationId } = await provisionedTenant()
    const rename = 'alter function provisioning.enqueue(uuid, text, jsonb, uuid) rename to lost'
    await project.sql.unsafe(rename)
    await expect(removeUser(user.id)).rejects.toMatchObject({ code: '42883' })
    await project.sql.unsafe('alter function provisioning.lost(uuid, text, jsonb, uuid) rename to enqueue')
    expect(await organization(organizationId)).toHaveLength(1)
    expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(1)
  })
})

describe('the removal of a user whose organization has another owner', () => {
  it('passes the organization on to the one who has been there longest, and says so', async () => {
    const { user, organizationId, jobId } = await provisionedTenant()
    const [newer, elder, admin] = [
      await createTenant(project),
      await createTenant(project),
      await createTenant(project),
    ]
    await addMember(organizationId, newer.user.id, 'owner')
    await addMember(organizationId, elder.user.id, 'owner')
    await addMember(organizationId, admin.user.id, 'admin')
    await project.sql`update public.organization_members set created_at = created_at - interval '1 day'
      where organization_id = ${organizationId} and user_id in (${elder.user.id}, ${admin.user.id})`
    await removeUser(user.id)

    expect(only(await organization(organizationId)).owner_id).toBe(elder.user.id)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(0)
    expect(only(await project.sql`select status from public.provisioning_jobs where id = ${jobId}`)).toEqual({
      status: 'queued',
    })
    expect(
      only(
        await project.sql`select metadata from public.audit_logs
          where organization_id = ${organizationId} and action = 'organization.owner_changed'`,
      ).metadata,
    ).toEqual({ from: user.id, to: elder.user.id })
    expect(
      (
        await project.sql`select role from public.organization_members where organization_id = ${organizationId} order by role`
      ).map((row) => row.role),
    ).toEqual(['admin', 'owner', 'owner'])
  })
})

describe('the removal of a mere member', () => {
  it('leaves the organization untouched and is in its audit log', async () => {
    const { user, organizationId } = await createTenant(project)
    const member = await createTenant(project)
    await addMember(organizationId, member.user.id, 'member')
    await removeUser(member.user.id)
    expect(only(await organization(organizationId)).owner_id).toBe(user.id)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(0)
    expect(await auditOf(organizationId)).toEqual(['member.added', 'member.removed'])
  })
})

describe('the removal of an organization', () => {
  const remove = (id: string, slug: string) =>
    project.sql<{ id: string }[]>`select provisioning.delete_organization(${id}, ${slug}) as id`

  it('wants its slug as a confirmation, and changes nothing without', async () => {
    const { organizationId } = await createTenant(project)
    const before = await fingerprint(project.sql)
    expect(await refusal(remove(organizationId, 'another'))).toBe('TP428')
    expect(await refusal(remove(crypto.randomUUID(), 'another'))).toBe('TP404')
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('returns the job that undoes what exists outside, and leaves its owner an account', async () => {
    const { user, organizationId, external } = await provisionedTenant()
    const slug = String(only(await organization(organizationId)).slug)
    const { id } = only(await remove(organizationId, slug))
    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({ id, request: external })
    expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(1)
  })

  it('by a plain delete leaves that job as well', async () => {
    const { organizationId, external } = await provisionedTenant()
    await project.sql`delete from public.organizations where id = ${organizationId}`
    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({ request: external })
  })

  it('cancels what was still to be done, and the undo waits until a call under way has ended', async () => {
    const { organizationId, jobId } = await createTenant(project)
    await project.sql`delete from public.organizations where id = ${organizationId}`
    const steps =
      await project.sql`select distinct status::text from public.provisioning_steps where job_id = ${jobId}`
    expect(steps.map((row) => row.status)).toEqual(['cancelled'])
    expect(
      only(
        await project.sql`select next_attempt_at > now() + interval '40 s' as later from public.provisioning_jobs
          where organization_id = ${organizationId} and kind = 'deprovision'`,
      ).later,
    ).toBe(true)
  })

  it('says in the job when the database may go: after settings.neon_deletion_grace_hours', async () => {
    const { organizationId } = await createTenant(project)
    await project.sql`delete from public.organizations where id = ${organizationId}`
    const { hours } = only(
      await project.sql<{ hours: number }[]>`
        select extract(epoch from (request ->> 'delete_neon_project_at')::timestamptz - now())::float8 / 3600 as hours
        from public.provisioning_jobs where organization_id = ${organizationId} and kind = 'deprovision'`,
    )
    expect(hours).toBeCloseTo(72, 1)
  })
})
