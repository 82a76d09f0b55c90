import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { loginConnection, strongestConnection } from '../support/tenant-logins.ts'
import { callHealth, untilUnused } from './health-project.ts'

const HOURS_MS = 2 * 3_600_000

let project: TestProject
let colleague: SignedUp
let ready: SignedUp
let refusing: SignedUp
let sleeper: SignedUp
/** How far the emulator's clock is behind. Computes that were used two hours ago sleep by themselves. */
let behindMs = HOURS_MS

beforeAll(async () => {
  project = await startTestProject({ neon: { clock: () => Date.now() - behindMs } })
  sleeper = await readyTenant()
  await firstCheckOf(sleeper)
  await untilUnused(project)
  behindMs = 0
  ;[ready, colleague, refusing] = await Promise.all([readyTenant(), readyTenant(), readyTenant()])
})

afterAll(() => project?.stop())

async function readyTenant(): Promise<SignedUp> {
  const person = await project.signUp()
  await project.waitFor(person.organizationId)
  return person
}

/** It begins when the tenant is ready, and connects to a compute that was awake then. */
const firstCheckOf = ({ organizationId }: SignedUp) =>
  until('first check of the tenant', async () => {
    const [row] = await project.sql<{ checked: boolean }[]>`
      select checked_at is not null as checked from public.tenant_health where organization_id = ${organizationId}`
    return row?.checked || undefined
  })

const addColleague = ({ organizationId }: SignedUp) =>
  project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${organizationId}, ${colleague.userId}, 'member')`

/** As the tenant's own application sees them. */
async function usersOf({ organizationId }: SignedUp): Promise<string[]> {
  const sql = await loginConnection(project, organizationId)
  const rows = await sql<{ user: string }[]>`
    select concat_ws(' ', u.email, u.full_name, u.role) as user from public.users u order by u.created_at, u.role`.finally(
    () => sql.end({ timeout: 1 }),
  )
  return rows.map(({ user }) => user)
}

const nextCopy = ({ organizationId }: SignedUp, jobs: number) =>
  until(`copy ${jobs} of the members`, async () => {
    await project.sweep()
    const rows = await project.sql<{ output: unknown }[]>`
      select s.output from public.provisioning_jobs j join public.provisioning_steps s on s.job_id = j.id
      where j.organization_id = ${organizationId} and j.kind = 'copy_people' and j.status = 'succeeded'
      order by j.created_at`
    return rows.length === jobs ? rows.at(-1)?.output : undefined
  })

describe('the step that applies the schema', () => {
  it('leaves the version and its checksum in our own rows, as in the tenant’s database', async () => {
    const sql = await loginConnection(project, ready.organizationId, 'schema')
    const [newest] =
      await sql`select version, checksum from provisioning.schema_migrations order by version desc limit 1`.finally(
        () => sql.end({ timeout: 1 }),
      )
    const [step] = await project.sql`select s.output from public.provisioning_jobs j
      join public.provisioning_steps s on s.job_id = j.id
      where j.organization_id = ${ready.organizationId} and s.step = 'tenant_schema'`
    expect(step?.output).toEqual({ schemaVersion: newest?.version, schemaChecksum: newest?.checksum })
  })
})

describe('the users in a tenant’s database', () => {
  it('follow the members of the organization: who comes, is called otherwise, has another role, goes', async () => {
    const owner = `${ready.email} owner`
    expect(await usersOf(ready)).toEqual([expect.stringContaining(owner.split(' ')[0] ?? '')])
    await addColleague(ready)
    await nextCopy(ready, 1)
    expect(await usersOf(ready)).toHaveLength(2)
    await project.sql`update public.profiles set full_name = 'Grace O''Hopper' where id = ${colleague.userId}`
    await project.sql`update public.organization_members set role = 'admin' where user_id = ${colleague.userId}
      and organization_id = ${ready.organizationId}`
    await nextCopy(ready, 2)
    expect(await usersOf(ready)).toContain(`${colleague.email} Grace O'Hopper admin`)
    await project.sql`delete from public.organization_members
      where user_id = ${colleague.userId} and organization_id = ${ready.organizationId}`
    await nextCopy(ready, 3)
    expect(await usersOf(ready)).toHaveLength(1)
  })

  it('of one that sleeps follow when a check has found it awake, and nobody is woken', async () => {
    await addColleague(sleeper)
    expect(await nextCopy(sleeper, 1)).toEqual({ left: 'asleep' })
    await project.sweep()
    const waiting =
      await project.sql`select asleep_since is not null as asleep, job_id from provisioning.changed_people
      where organization_id = ${sleeper.organizationId}`
    expect(waiting).toEqual([{ asleep: true, job_id: null }])
    // One that refused them before and sleeps now is not woken either.
    await project.sql`update provisioning.changed_people set asleep_since = null, failures = 3
      where organization_id = ${sleeper.organizationId}`
    expect(await nextCopy(sleeper, 2)).toEqual({ left: 'asleep' })
    expect(await callHealth(project, { organizationId: sleeper.organizationId })).toMatchObject({
      body: { status: 'sleeping' },
    })
    expect(await usersOf(sleeper)).toHaveLength(1)
    await callHealth(project, { organizationId: sleeper.organizationId, deep: true })
    expect(await nextCopy(sleeper, 3)).toEqual({})
    expect(await usersOf(sleeper)).toHaveLength(2)
  })

  it('of one that refuses them are tried again, later each time, until it takes them', async () => {
    const { organizationId } = refusing
    const owner = await strongestConnection(project, organizationId)
    await owner.unsafe("alter table public.users add constraint nobody_else check (role = 'owner')")
    await addColleague(refusing)
    const failures = (times: number) =>
      until(`failure ${times} of the copy`, async () => {
        await project.sweep()
        const [row] = await project.sql<{ minutes: number }[]>`
          select round(extract(epoch from due_at - now()) / 60)::integer as minutes from provisioning.changed_people
          where organization_id = ${organizationId} and failures = ${times} and job_id is null`
        return row?.minutes
      })
    const jobs = () => project.sql<{ status: string; code: string | null }[]>`
      select status, last_error ->> 'code' as code from public.provisioning_jobs
      where organization_id = ${organizationId} and kind = 'copy_people' order by created_at`
    const makeDue = () => project.sql`update provisioning.changed_people set due_at = now()
      where organization_id = ${organizationId}`
    const refused = { status: 'failed', code: 'tenant_people_refused' }

    expect(await failures(1)).toBe(1)
    await project.sweep()
    expect(await jobs(), 'nobody tries before its time').toEqual([refused])
    await makeDue()
    expect(await failures(2)).toBe(2)
    expect(await jobs()).toEqual([refused, refused])

    await owner
      .unsafe('alter table public.users drop constraint nobody_else')
      .finally(() => owner.end({ timeout: 1 }))
    await makeDue()
    await nextCopy(refusing, 1)
    expect(await usersOf(refusing)).toHaveLength(2)
    expect(
      await project.sql`select from provisioning.changed_people where organization_id = ${organizationId}`,
    ).toEqual([])
  })

  it('are no work for a tenant that has no database, or is gone', async () => {
    await project.sql`insert into provisioning.changed_people (organization_id) values (gen_random_uuid())`
    await project.sweep()
    expect(await project.sql`select from provisioning.changed_people`).toEqual([])
  })
})
