import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { fingerprint } from '../database/fingerprint.ts'
import { bearer } from '../functions/graphql-client.ts'
import { BAD_TOKENS, type Forger, forge } from '../support/bad-tokens.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

/** Each signs up, and so owns an organization. Admin and member are also in the owner's, which is ours below. */
const PEOPLE = ['stranger', 'member', 'admin', 'owner'] as const
type Person = (typeof PEOPLE)[number]
const INSIDE: readonly Person[] = ['member', 'admin', 'owner']
const THE_HEADS: readonly Person[] = ['admin', 'owner']

/** Who sees our rows. A table that is not here fails the tests. */
const OURS_ARE_SEEN_BY: Readonly<Record<string, readonly Person[]>> = {
  audit_logs: THE_HEADS,
  organization_databases: THE_HEADS,
  organization_members: INSIDE,
  organizations: INSIDE,
  profiles: INSIDE,
  provisioning_events: INSIDE,
  provisioning_jobs: INSIDE,
  provisioning_steps: INSIDE,
  tenant_alerts: INSIDE,
  tenant_api_keys: THE_HEADS,
  tenant_health: INSIDE,
  tenant_health_checks: INSIDE,
  tenant_health_hourly: INSIDE,
  tenant_resources: THE_HEADS,
  wallets: ['owner'],
}
const TABLES = Object.keys(OURS_ARE_SEEN_BY)

/** The column that says whose a row is. */
const WHOSE: Readonly<Record<string, string>> = { organizations: 'id', profiles: 'id', wallets: 'user_id' }
const whose = (table: string) => WHOSE[table] ?? 'organization_id'

/** Whose rows a person sees in a table. */
function visible(person: Person, table: string): readonly string[] {
  if (!OURS_ARE_SEEN_BY[table]?.includes(person)) return [person]
  // A profile is a person's, and colleagues see each other's.
  return table === 'profiles' ? INSIDE : [person, 'owner']
}

let project: TestProject
let people: Readonly<Record<Person, SignedUp>>
let forger: Forger
/** Ids of people and of their organizations. */
let names: ReadonlyMap<string, Person>
/** All columns that signed-in people are given, by table. */
let columns: ReadonlyMap<string, string>

beforeAll(async () => {
  project = await startTestProject()
  // No doorbell leaves, so nothing changes while the tables are read.
  await project.services.worker.pauseHttp()
  const [stranger, member, admin, owner] = [
    await project.signUp(),
    await project.signUp(),
    await project.signUp(),
    await project.signUp(),
  ]
  people = { stranger, member, admin, owner }
  // As if a worker had begun, and then stood still.
  await project.sql`select provisioning.prepare_job(job_id, lease_token) from provisioning.claim_jobs('{provision}', 10)`
  await project.sql`select provisioning.record_resource(id, 'stripe_customer', 'customer', 'cus_' || id) from public.organizations`
  names = new Map(
    PEOPLE.flatMap((person) => [
      [people[person].userId, person],
      [people[person].organizationId, person],
    ]),
  )
  const tables = await project.sql<{ name: string; columns: string }[]>`
    select c.relname as name, coalesce(string_agg(a.attname, ',' order by a.attnum), '') as columns
    from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
    where c.relnamespace = ${PUBLIC_SCHEMA}::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') group by 1 order by 1`
  columns = new Map(tables.map((table) => [table.name, table.columns]))
  forger = {
    genuine: owner.accessToken,
    keys: project.keys,
    otherProject: await createProjectKeys(),
  }
  await project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${owner.organizationId}, ${admin.userId}, 'admin'), (${owner.organizationId}, ${member.userId}, 'member')`
  await project.sql`
    select provisioning.open_alert(id, 'provision_failed', 'critical', 'Something is wrong.') from public.organizations`
  await project.sql`select provisioning.insert_api_key(id, 'A key', 'read', null, null) from public.organizations`
  // Which the audit log tells of.
  await project.sql`update public.organizations set name = 'Renamed'`
  await project.sql`insert into public.tenant_health (organization_id, status) select id, 'healthy' from public.organizations`
  await project.sql`insert into public.tenant_health_checks (organization_id, checked_at, probe, status)
    select id, now(), 'connection', 'healthy' from public.organizations`
  await project.sql`insert into public.tenant_health_hourly (organization_id, hour, checks, available)
    select id, date_trunc('hour', now()), 1, 1 from public.organizations`
})

afterAll(() => project?.stop())

const asPerson = (person: Person) => ({
  apikey: project.keys.publishableKey,
  ...bearer(people[person].accessToken),
})

interface Reply {
  readonly status: number
  readonly range: string | null
  readonly body: unknown
}

async function request(
  method: string,
  table: string,
  headers: Readonly<Record<string, string>>,
  query: string,
  body: unknown = {},
): Promise<Reply> {
  const reply = await fetch(`${project.services.url}/rest/v1/${table}?${query}`, {
    method,
    headers: { 'content-type': 'application/json', prefer: 'count=exact', ...headers },
    ...(method === 'POST' || method === 'PATCH' ? { body: JSON.stringify(body) } : {}),
  })
  const text = await reply.text()
  return {
    status: reply.status,
    range: reply.headers.get('content-range'),
    body: text === '' ? undefined : JSON.parse(text),
  }
}

const read = (table: string, headers: Readonly<Record<string, string>>) =>
  request('GET', table, headers, `select=${columns.get(table)}`)

async function forEveryTable<T>(ask: (table: string) => Promise<T>): Promise<Record<string, T>> {
  return Object.fromEntries(
    await Promise.all(TABLES.map(async (table) => [table, await ask(table)] as const)),
  )
}

/** All that is answered: no rows, and no count of them. */
function refusal(code: string, message: unknown = expect.any(String)): Reply {
  return { status: 401, range: null, body: { code, message, details: null, hint: null } }
}

const nameOf = (id: string) => names.get(id) ?? 'nobody whom we know'

/** The names of whose rows came, one for each row. The count that was asked for must not tell of more. */
function ownersOf(table: string, { status, range, body }: Reply): string[] {
  expect({ table, status }).toEqual({ table, status: 200 })
  if (!Array.isArray(body)) throw new Error(`${table} is no list`)
  expect({ table, count: range?.split('/')[1] }).toEqual({ table, count: String(body.length) })
  return body.map((row) => nameOf(row[whose(table)])).sort()
}

/** The same, of all rows that there are. */
async function ownersInTheDatabase(table: string): Promise<string[]> {
  const rows = await project.sql<
    { id: string }[]
  >`select ${project.sql(whose(table))} as id from ${project.sql(table)}`
  return rows.map(({ id }) => nameOf(id)).sort()
}

/** Ids that no row tells a person, in no column: between the stranger and the others there is nothing. */
function idsAcrossTheFence(person: Person): string[] {
  const others = PEOPLE.filter((other) => (other === 'stranger') !== (person === 'stranger'))
  return [...names].flatMap(([id, name]) => (others.includes(name) ? [id] : []))
}

const everyTable = <T>(answer: T) => Object.fromEntries(TABLES.map((table) => [table, answer]))

describe('every table of the Data API', () => {
  it('has an entry in the list of who sees our rows', () => {
    expect([...columns.keys()]).toEqual(TABLES)
  })

  it('has rows of everybody’s tenant, or the tests below would prove nothing', async () => {
    const owners = await forEveryTable(async (table) => [...new Set(await ownersInTheDatabase(table))])
    expect(owners).toEqual(everyTable([...PEOPLE].sort()))
  })

  it.each(PEOPLE)(
    'shows the %s all rows of the own tenant, ours as far as listed, and no others',
    async (person) => {
      const shown = await forEveryTable(async (table) => {
        const reply = await read(table, asPerson(person))
        for (const id of idsAcrossTheFence(person))
          expect(JSON.stringify(reply.body), table).not.toContain(id)
        return ownersOf(table, reply)
      })
      const expected = await forEveryTable(async (table) =>
        (await ownersInTheDatabase(table)).filter((owner) => visible(person, table).includes(owner)),
      )
      expect(shown).toEqual(expected)
    },
  )

  it.each<[string, () => Record<string, string>]>([
    ['the secret key', () => ({ apikey: project.keys.secretKey })],
    [
      'the legacy service_role key',
      () => ({ apikey: project.keys.serviceRoleKey, ...bearer(project.keys.serviceRoleKey) }),
    ],
  ])('shows whoever has %s everybody’s rows', async (_key, headers) => {
    const shown = await forEveryTable(async (table) => ownersOf(table, await read(table, headers())))
    expect(shown).toEqual(await forEveryTable(ownersInTheDatabase))
  })

  it.each<[string, () => Record<string, string>]>([
    ['the publishable key', () => ({ apikey: project.keys.publishableKey })],
    ['the legacy anon key', () => ({ apikey: project.keys.anonKey, ...bearer(project.keys.anonKey) })],
  ])('is closed to a visitor with %s', async (_key, headers) => {
    const replies = await forEveryTable((table) => read(table, headers()))
    expect(replies).toEqual(
      Object.fromEntries(
        TABLES.map((table) => [table, refusal('42501', `permission denied for table ${table}`)]),
      ),
    )
  })
})

describe('a bad token opens no table', () => {
  it('but one with the same claims, signed as the gateway signs, does', async () => {
    const headers = { apikey: project.keys.publishableKey, ...bearer(await forge(forger, {})) }
    const shown = await forEveryTable(async (table) => ownersOf(table, await read(table, headers)))
    expect(Object.values(shown).filter((owners) => owners.includes('owner'))).toHaveLength(TABLES.length)
  })

  it.each([
    ...BAD_TOKENS,
    ['has a role that is no text', (from: Forger) => forge(from, { role: ['authenticated'] })] as const,
  ])('when it %s, not even beside the secret key', async (_flaw, make) => {
    const token = await make(forger)
    for (const apikey of [project.keys.publishableKey, project.keys.secretKey])
      expect(await forEveryTable((table) => read(table, { apikey, ...bearer(token) }))).toEqual(
        everyTable(refusal('PGRST301')),
      )
  })

  it('when there is no API key, or another project’s, beside a good one', async () => {
    const { accessToken } = people.owner
    for (const key of [{}, { apikey: forger.otherProject.publishableKey }]) {
      const replies = await forEveryTable((table) => read(table, { ...key, ...bearer(accessToken) }))
      for (const { status, range, body } of Object.values(replies)) {
        expect({ status, range }).toEqual({ status: 401, range: null })
        expect(body).toEqual({ message: expect.stringMatching(/API key/), hint: expect.any(String) })
      }
    }
  })
})

// Who may write what is in tests/database/row-level-security.test.ts.
describe('a write through the Data API', () => {
  it.each(['POST', 'PATCH', 'DELETE'])(
    'with %s is refused where there is no grant, in every table',
    async (method) => {
      const before = await fingerprint(project.superuser)
      const callers = [
        ['nobody', 401, { apikey: project.keys.publishableKey }],
        ...PEOPLE.map((person) => [person, 403, asPerson(person)] as const),
      ] as const
      const { owner, stranger } = people
      for (const [caller, status, headers] of callers) {
        const replies = await forEveryTable((table) => {
          const id = table === 'profiles' || table === 'wallets' ? 'userId' : 'organizationId'
          return request(method, table, headers, `${whose(table)}=eq.${owner[id]}`, {
            [whose(table)]: stranger[id],
            // The id alone may be written, because an upsert names it.
            ...(table === 'profiles' ? { email: 'somebody@example.com' } : {}),
          })
        })
        expect({ caller, replies }).toEqual({
          caller,
          replies: everyTable({ status, range: null, body: expect.objectContaining({ code: '42501' }) }),
        })
      }
      expect(await fingerprint(project.superuser)).toEqual(before)
    },
  )

  it('finds no row of a stranger’s where there is a grant', async () => {
    const rename = async (person: Person) =>
      (
        await request('PATCH', 'organizations', asPerson(person), `id=eq.${people.owner.organizationId}`, {
          name: `Renamed by ${person}`,
        })
      ).range
    expect(await rename('stranger')).toBe('*/0')
    expect(await rename('member')).toBe('*/0')
    expect(await rename('owner')).toBe('0-0/1')
  })

  it('of the own profile is the quick start’s upsert, as supabase-js sends it, and of another’s refused', async () => {
    const { owner, member } = people
    const upsert = (by: SignedUp, { userId }: SignedUp) =>
      by.client.from('profiles').upsert({
        id: userId,
        full_name: 'As in the quick start',
        avatar_url: 'https://example.com/me.png',
        updated_at: new Date().toISOString(),
      })
    const nameOf = async ({ userId }: SignedUp) =>
      (await owner.client.from('profiles').select('full_name, avatar_url').eq('id', userId).single()).data
    const before = await nameOf(member)
    expect(await upsert(owner, member)).toMatchObject({ status: 403, error: { code: '42501' } })
    expect(await nameOf(member)).toEqual(before)
    expect(await upsert(owner, owner)).toMatchObject({ error: null })
    expect(await nameOf(owner)).toEqual({
      full_name: 'As in the quick start',
      avatar_url: 'https://example.com/me.png',
    })
  })
})
