import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { only, openProject, type Project } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

/** Users from before the installation: the same insert, but no trigger fires. */
async function signUpUnnoticed(count: number, user: Parameters<typeof signUp>[1] = {}): Promise<string[]> {
  const ids: string[] = []
  await project.superuser`alter table auth.users disable trigger tenant_provisioning_user_created`
  for (let index = 0; index < count; index++) ids.push((await signUp(project.auth, user)).id)
  await project.superuser`alter table auth.users enable trigger tenant_provisioning_user_created`
  return ids
}

const backfill = async (limit: number) =>
  only(await project.sql<{ done: number }[]>`select provisioning.backfill(${limit}) as done`).done
const provisioned = async (ids: readonly string[]) =>
  only(
    await project.sql<{ count: number }[]>`select count(*)::integer from public.profiles p
      join public.provisioning_jobs j on j.organization_id = p.organization_id where p.id = any (${[...ids]})`,
  ).count

describe('the backfill', () => {
  it('provisions users from before the installation in portions, and stops when there are none left', async () => {
    const ids = await signUpUnnoticed(5)
    expect(await backfill(2)).toBe(2)
    expect(await provisioned(ids)).toBe(2)
    expect(await backfill(2)).toBe(2)
    expect(await backfill(2)).toBe(1)
    expect(await provisioned(ids)).toBe(5)
    expect(await backfill(2)).toBe(0)
  })

  it('can be interrupted: what was committed stays, what was not is done next time', async () => {
    const ids = await signUpUnnoticed(3)
    await project.sql
      .begin(async (transaction) => {
        await transaction`select provisioning.backfill(3)`
        throw new Error('interrupted')
      })
      .catch(() => undefined)
    expect(await provisioned(ids)).toBe(0)
    expect(await backfill(3)).toBe(3)
    expect(await provisioned(ids)).toBe(3)
  })

  it('does not get stuck at a user whose rows cannot be made: the sweep has that one', async () => {
    const [broken = '', fine = ''] = await signUpUnnoticed(2)
    await project.sql.unsafe(
      `alter table public.wallets add constraint trouble check (user_id <> '${broken}') not valid`,
    )
    expect(await backfill(10)).toBe(1)
    expect(await backfill(10)).toBe(0)
    expect(await provisioned([fine])).toBe(1)
    expect(
      await project.sql`select 1 from provisioning.sign_up_failures where user_id = ${broken}`,
    ).toHaveLength(1)
    await project.sql`alter table public.wallets drop constraint trouble`
  })
})

describe('the look for missing rows', () => {
  const missing = async (id: string) =>
    (
      await project.sql<{ missing: string[] }[]>`
        select missing from provisioning.users_with_missing_rows('00000000-0000-0000-0000-000000000000', 1000)
        where user_id = ${id}`
    ).flatMap((row) => row.missing)

  it('names what a user lacks, and nothing of whoever is whole', async () => {
    const { id } = await signUp(project.auth)
    expect(await missing(id)).toEqual([])
    await project.sql`delete from public.wallets where user_id = ${id}`
    expect(await missing(id)).toEqual(['wallet'])
    await project.sql`delete from public.organization_members where user_id = ${id}`
    expect(await missing(id)).toEqual(['membership', 'wallet'])
    await project.sql`delete from public.profiles where id = ${id}`
    expect(await missing(id)).toEqual(['profile', 'membership', 'wallet'])
  })

  it('misses the database row only when a worker has begun with the tenant', async () => {
    const { id } = await signUp(project.auth)
    await project.sql`delete from public.organization_databases d using public.organizations o
      where o.id = d.organization_id and o.owner_id = ${id}`
    expect(await missing(id)).toEqual([])
    const set = (status: string) =>
      project.sql`update public.provisioning_jobs set started_at = now(), status = ${status} where requested_by = ${id}`
    // A worker that has just taken the job makes it in its next statement.
    await set('running')
    expect(await missing(id)).toEqual([])
    await set('queued')
    expect(await missing(id)).toEqual(['database'])
  })

  it('leaves whoever lost the organization on purpose alone, also when its history is gone', async () => {
    const [owner, member] = [await signUp(project.auth), await signUp(project.auth)]
    await project.sql`insert into public.organization_members (organization_id, user_id)
      select o.id, ${member.id} from public.organizations o where o.owner_id = ${owner.id}`
    await project.sql`delete from public.organizations where owner_id in (${owner.id}, ${member.id})`
    await project.superuser.unsafe(`set session_replication_role = replica; delete from public.provisioning_events;
      delete from public.provisioning_jobs;
      reset session_replication_role`)
    expect(await missing(owner.id)).toEqual([])
    expect(await missing(member.id)).toEqual([])
  })
})
