import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fingerprint } from '../database/fingerprint.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { callHealth, readHealth } from './health-project.ts'

type Person = 'owner' | 'member' | 'stranger' | 'operator'

let project: TestProject
let people: Readonly<Record<Person, SignedUp>>
let organizationId: string

beforeAll(async () => {
  project = await startTestProject()
  const owner = await project.signUp()
  const member = await project.signUp()
  const stranger = await project.signUp()
  const operator = await project.signUp()
  people = { owner, member, stranger, operator }
  for (const { organizationId: id } of Object.values(people)) await project.waitFor(id)
  ;({ organizationId } = owner)
  await project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${organizationId}, ${member.userId}, 'member')`
  await project.sql`insert into provisioning.operators (user_id) values (${operator.userId})`
})

beforeEach(async () => {
  await project.sql`update provisioning.settings set health_requests_per_minute = 1000`
  await project.sql`delete from provisioning.counted_calls`
})

afterAll(() => project?.stop())

const bearer = (person: Person) => ({ authorization: `Bearer ${people[person].accessToken}` })
const as = (person: Person, body: unknown = { organizationId }) => callHealth(project, body, bearer(person))
const isDue = () =>
  project.sql`update public.tenant_health set next_check_at = now() where organization_id = ${organizationId}`

describe('a check on demand', () => {
  it.each<[Person, number]>([
    ['owner', 200],
    ['member', 200],
    ['operator', 200],
    ['stranger', 403],
  ])('by the %s is answered %d', async (person, status) => {
    const before = await readHealth(project, organizationId)
    const reply = await as(person)
    expect(reply.status).toBe(status)
    const after = await readHealth(project, organizationId)
    if (status === 200) {
      expect(reply.body).toMatchObject({ organizationId, status: 'healthy' })
      expect(after.checked_at).not.toEqual(before.checked_at)
    } else {
      expect(reply.body).toMatchObject({ code: 'forbidden' })
      expect(after.checked_at).toEqual(before.checked_at)
    }
  })

  it.each<[Person, number]>([
    ['owner', 200],
    ['operator', 200],
    ['member', 403],
    ['stranger', 403],
  ])('that is deep, by the %s, is answered %d', async (person, status) => {
    const before = await readHealth(project, organizationId)
    expect((await as(person, { organizationId, deep: true })).status).toBe(status)
    if (status === 403)
      expect((await readHealth(project, organizationId)).checked_at).toEqual(before.checked_at)
  })

  it('by the backend is answered for every tenant, also as a legacy bearer', async () => {
    for (const headers of [
      { apikey: project.keys.secretKey },
      { authorization: `Bearer ${project.keys.secretKey}` },
    ])
      expect(await callHealth(project, { organizationId, deep: true }, headers)).toMatchObject({
        status: 200,
      })
  })

  it('tells neither counters nor samples, which are for the next check', async () => {
    const { body } = await as('owner')
    expect(Object.keys(Object(body.metrics))).not.toContain('counters')
    expect(Object.keys(Object(body.metrics))).not.toContain('sample')
  })

  it('of an organization that does not exist, or has no database, says so', async () => {
    const headers = { apikey: project.keys.secretKey }
    expect(await callHealth(project, { organizationId: crypto.randomUUID() }, headers)).toMatchObject({
      status: 404,
      body: { code: 'organization_not_found' },
    })
    const [saved] =
      await project.sql`delete from public.tenant_health where organization_id = ${people.stranger.organizationId} returning *`
    expect(saved).toBeDefined()
    expect(await as('stranger', { organizationId: people.stranger.organizationId })).toMatchObject({
      status: 404,
      body: { code: 'database_not_found' },
    })
  })
})

describe('the limit of checks on demand', () => {
  beforeEach(() => project.sql`update provisioning.settings set health_requests_per_minute = 2`)

  it('counts all of a tenant’s members together, and says when to come again', async () => {
    for (const _ of [1, 2]) expect((await as('owner')).status).toBe(200)
    const before = await readHealth(project, organizationId)
    const refused = await as('member')
    expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_attempts' } })
    const seconds = Number(refused.headers.get('retry-after'))
    expect(seconds).toBeGreaterThan(50)
    expect(seconds).toBeLessThanOrEqual(60)
    expect((await readHealth(project, organizationId)).checked_at).toEqual(before.checked_at)
  })

  it('is each tenant’s own, passes with time, and does not hold for the backend', async () => {
    for (const _ of [1, 2]) await as('owner')
    expect((await as('owner')).status).toBe(429)
    const mine = { organizationId: people.member.organizationId }
    expect((await as('member', mine)).status).toBe(200)
    expect((await callHealth(project, { organizationId })).status).toBe(200)
    await project.sql`update provisioning.counted_calls set called_at = array(
      select t - interval '61 seconds' from unnest(called_at) t)`
    expect((await as('owner')).status).toBe(200)
  })

  it('is apart for operators, whom members cannot keep from looking, nor the other way round', async () => {
    for (const _ of [1, 2]) await as('member')
    expect((await as('member')).status).toBe(429)
    for (const _ of [1, 2]) expect((await as('operator')).status).toBe(200)
    expect((await as('operator')).status).toBe(429)
    await project.sql`delete from provisioning.counted_calls where subject like 'health/members/%'`
    expect((await as('owner')).status).toBe(200)
  })

  it('is not used up by strangers', async () => {
    for (const _ of [1, 2, 3]) await as('stranger')
    expect((await as('owner')).status).toBe(200)
  })

  it('holds when they come all at once', async () => {
    const replies = await Promise.all(Array.from({ length: 8 }, () => as('owner')))
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(2)
    expect(replies.filter(({ status }) => status === 429)).toHaveLength(6)
  })
})

describe('the whole fleet', () => {
  it('is checked when the backend says so, which is answered at once', async () => {
    await isDue()
    const { checked_at: before } = await readHealth(project, organizationId)
    expect(await callHealth(project, {})).toMatchObject({ status: 202, body: { accepted: true } })
    await until('check', async () => {
      const { checked_at: after } = await readHealth(project, organizationId)
      return after?.getTime() !== before?.getTime() || undefined
    })
  })

  it('is checked when the database rings', async () => {
    await isDue()
    const { checked_at: before } = await readHealth(project, organizationId)
    const [row] = await project.sql<{ rung: number }[]>`select provisioning.health_tick() as rung`
    expect(row?.rung).toBe(1)
    await until('check', async () => {
      const { checked_at: after } = await readHealth(project, organizationId)
      return after?.getTime() !== before?.getTime() || undefined
    })
  })

  it.each<Person>(['owner', 'operator'])('is not for the %s to check', async (person) => {
    expect(await as(person, {})).toMatchObject({ status: 400, body: { code: 'invalid_body' } })
  })
})

describe('a doorbell', () => {
  it('is answered at once, and only once', async () => {
    const doorbell = await project.signDoorbell()
    expect(await callHealth(project, doorbell, {})).toMatchObject({ status: 202, body: { accepted: true } })
    expect(await callHealth(project, doorbell, {})).toMatchObject({ status: 401 })
  })

  it('that is forged, altered or has expired is refused', async () => {
    const doorbell = await project.signDoorbell()
    for (const wrong of [
      { ...doorbell, signature: 'f'.repeat(64) },
      { ...doorbell, ringId: crypto.randomUUID() },
      await project.signDoorbell(Date.now() - 1000),
    ])
      expect((await callHealth(project, wrong, {})).status).toBe(401)
  })
})

describe('a request', () => {
  it.each<[string, unknown, Readonly<Record<string, string>>]>([
    ['without credentials', {}, {}],
    ['with the publishable key', {}, { apikey: 'sb_publishable_wrong' }],
    ['with a wrong secret key', {}, { apikey: 'sb_secret_wrong' }],
    ['with a bearer that is no token', {}, { authorization: 'Bearer nonsense' }],
  ])('%s is not authenticated', async (_, body, headers) => {
    expect(await callHealth(project, body, headers)).toMatchObject({
      status: 401,
      body: { code: 'unauthorized' },
    })
  })

  it.each<[string, unknown, string]>([
    ['an unknown field', { organization: 'x' }, 'organization'],
    ['an id that is none', { organizationId: '42' }, 'organizationId'],
    ['a deep that is no boolean', { deep: 'yes' }, 'deep'],
    ['no object', [], '(body)'],
  ])('with %s is refused by name, and nothing is written', async (_, body, path) => {
    const before = await fingerprint(project.superuser)
    expect(await callHealth(project, body)).toMatchObject({
      status: 400,
      body: { code: 'invalid_body', issues: [{ path }] },
    })
    expect(await fingerprint(project.superuser)).toEqual(before)
  })

  it('of any body and method gets an answer, never an error of the function’s own', async () => {
    const value = fc.oneof(
      fc.constant('\u0000'),
      fc.jsonValue({ maxDepth: 2 }),
      fc.string({ unit: 'binary', maxLength: 30 }),
    )
    const body = fc.oneof(
      fc
        .record({ organizationId: value, deep: value, signature: value }, { requiredKeys: [] })
        .map((fields) => JSON.stringify(fields)),
      fc.json(),
      fc.string({ unit: 'binary', maxLength: 100 }),
    )
    await fc.assert(
      fc.asyncProperty(body, fc.boolean(), async (text, signedIn) => {
        const { status, body: reply } = await callHealth(project, text, signedIn ? bearer('owner') : {})
        expect(status, JSON.stringify(reply)).toBeGreaterThanOrEqual(400)
        expect(status, JSON.stringify(reply)).toBeLessThan(500)
        expect(reply).toMatchObject({ code: expect.any(String), detail: expect.any(String) })
      }),
      { numRuns: 60 },
    )
  })
})
