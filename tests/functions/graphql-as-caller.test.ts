import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Reader } from '../../shared/graphql/reader.ts'
import { MY_ORGANIZATIONS } from '../../shared/graphql/reads/organizations.ts'
import { EVENTS, PROVISIONING_STATUS } from '../../shared/graphql/reads/provisioning.ts'
import { createBegunTenant, openProject, type Project, refusal, type Tenant } from '../database/project.ts'
import { runAs } from '../support/roles.ts'

let project: Project
let tenant: Tenant
/** One connection, as a pooler would hand it from one request to the next. */
let single: postgres.Sql

beforeAll(async () => {
  project = await openProject()
  tenant = await createBegunTenant(project)
  single = postgres(project.url(), { max: 1, prepare: false, onnotice: () => undefined })
})

afterAll(async () => {
  await single.end()
  await project.close()
})

const claimsOf = (person: Tenant) => ({ sub: person.user.id, role: 'authenticated' })
const caller = (person: Tenant) =>
  ({ type: 'user', userId: person.user.id, claims: claimsOf(person) }) as const

async function queryAs(
  claims: unknown,
  query: string,
  argument: unknown = {},
  sql = single,
): Promise<unknown> {
  const [row] = await sql`
    select provisioning.query_as(${JSON.stringify(claims)}::text::jsonb, ${query}, ${JSON.stringify(argument)}::text::jsonb) as result`
  return row?.result
}

const WHO = `select jsonb_build_object('user', current_user, 'uid', auth.uid(), 'role', auth.role(), 'claims', auth.jwt())`

const whoIsConnected = async () => {
  const [row] = await single`select current_user as user, current_setting('role') as role,
    coalesce(current_setting('request.jwt.claims', true), '') as claims`
  return row
}

describe('a query as a caller', () => {
  it('runs with the caller’s role and claims', async () => {
    expect(await queryAs({ ...claimsOf(tenant), app_metadata: { x: 1 } }, WHO)).toEqual({
      user: 'authenticated',
      uid: tenant.user.id,
      role: 'authenticated',
      claims: { ...claimsOf(tenant), app_metadata: { x: 1 } },
    })
    expect(await queryAs({ role: 'service_role' }, WHO)).toMatchObject({ user: 'service_role', uid: null })
  })

  it('leaves nothing of them on the connection, neither after success nor after an error', async () => {
    const before = await whoIsConnected()
    expect(before).toEqual({ user: 'postgres', role: 'none', claims: '' })
    await queryAs(claimsOf(tenant), WHO)
    expect(await whoIsConnected()).toEqual(before)
    await expect(queryAs(claimsOf(tenant), 'select to_jsonb(1 / 0)')).rejects.toThrow('division by zero')
    expect(await whoIsConnected()).toEqual(before)
  })

  it('leaves nothing of them to the rest of a transaction either', async () => {
    const seen = await single.begin(async (tx) => {
      await tx`select provisioning.query_as(${JSON.stringify(claimsOf(tenant))}::text::jsonb, ${WHO}, '{}')`
      return tx`select current_user as user, auth.uid() as uid`
    })
    expect([...seen]).toEqual([{ user: 'postgres', uid: null }])
  })

  it.each([
    ['postgres', { role: 'postgres' }],
    ['anon', { role: 'anon' }],
    ['none, which would be the owner', { role: 'none' }],
    ['no role', {}],
    ['supabase_admin', { role: 'supabase_admin' }],
  ])('is refused for %s', async (_role, claims) => {
    expect(await refusal(queryAs(claims, WHO))).toBe('42501')
  })

  it('takes what callers say as data: it never becomes text of the query', async () => {
    const hostile = `'); reset role; delete from public.organizations; --`
    expect(await queryAs(claimsOf(tenant), `select $1 -> 'x'`, { x: hostile })).toBe(hostile)
    expect(await queryAs({ ...claimsOf(tenant), name: hostile }, `select auth.jwt() -> 'name'`)).toBe(hostile)
  })

  it('is for the owner alone', async () => {
    for (const role of ['authenticated', 'service_role'] as const) {
      const asked = runAs(
        project.api,
        role === 'authenticated' ? { role, userId: tenant.user.id } : { role },
        (tx) => tx`select provisioning.query_as('{"role": "service_role"}', 'select to_jsonb(1)', '{}')`,
      )
      expect(await refusal(asked)).toBe('42501')
    }
    // Not even from within: the role that the query has may not ask for another.
    const nested = `select provisioning.query_as('{"role": "service_role"}', 'select to_jsonb(1)', '{}')`
    expect(await refusal(queryAs(claimsOf(tenant), nested))).toBe('42501')
  })
})

describe('what a caller is answered', () => {
  it('is what row-level security lets through: without its policy nothing, with another one more', async () => {
    const other = await createBegunTenant(project)
    const read = async () => {
      const reader = new Reader(single, caller(other))
      const [status, events, mine] = await Promise.all([
        reader.readOf(PROVISIONING_STATUS, tenant.organizationId),
        reader.readOf(EVENTS, tenant.organizationId, { first: 10, after: null }),
        reader.read(MY_ORGANIZATIONS),
      ])
      return { status, events, mine }
    }
    const denied = await read()
    expect(denied).toMatchObject({ status: null, events: [], mine: [{ id: other.organizationId }] })

    await project.sql`create policy "everybody reads" on public.provisioning_events for select to authenticated using (true)`
    expect((await read()).events).not.toEqual([])
    await project.sql`drop policy "everybody reads" on public.provisioning_events`

    await project.sql`drop policy "members read their organization" on public.organizations`
    expect((await read()).mine).toEqual([])
    await project.sql`create policy "members read their organization" on public.organizations for select to authenticated
      using (id = any (array(select provisioning.my_organization_ids())))`
    expect(await read()).toEqual(denied)
  })

  it('is an error with a code when a grant is missing, and says nothing of the table’s rows', async () => {
    await project.sql`revoke select on public.provisioning_events from authenticated`
    const reader = new Reader(single, caller(tenant))
    await expect(
      reader.readOf(EVENTS, tenant.organizationId, { first: 1, after: null }),
    ).rejects.toMatchObject({
      code: 'forbidden',
    })
    await project.sql`grant select on public.provisioning_events to authenticated`
  })
})
