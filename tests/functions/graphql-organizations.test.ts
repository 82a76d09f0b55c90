import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { ask, bearer, type GraphqlReply } from './graphql-client.ts'

let project: TestProject
let owner: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  owner = await project.signUp({ organization_name: 'First' })
  await project.waitFor(owner.organizationId)
})

afterAll(() => project?.stop())

interface Account {
  readonly userId: string
  readonly email: string
  readonly accessToken: string
}

/** Somebody whose account the backend makes, and who signs in. */
async function account(
  email = `${crypto.randomUUID()}@example.com`,
  appMetadata: Readonly<Record<string, unknown>> = {},
): Promise<Account> {
  const password = 'correct horse battery staple'
  const made = await project.admin.auth.admin.createUser({
    email,
    password,
    email_confirm: true,
    app_metadata: { ...appMetadata },
  })
  if (made.error) throw made.error
  const client = supabaseClient(project.services.url, project.keys.publishableKey)
  const { data, error } = await client.auth.signInWithPassword({ email, password })
  if (error) throw error
  return { userId: data.user.id, email, accessToken: data.session.access_token }
}

const as = (
  { accessToken }: { readonly accessToken: string },
  operation: string,
  variables: Readonly<Record<string, unknown>> = {},
): Promise<GraphqlReply> => ask(project, bearer(accessToken), operation, variables)

const asBackend = (operation: string, variables: Readonly<Record<string, unknown>> = {}) =>
  ask(project, { apikey: project.keys.secretKey }, operation, variables)

const codesOf = ({ errors }: GraphqlReply) => errors.map(({ extensions }) => extensions.code)

const CREATE = `mutation ($name: String!, $dataRegion: String, $databaseSize: String) {
  createOrganization(name: $name, dataRegion: $dataRegion, databaseSize: $databaseSize) {
    organizationId organization { id name slug role dataRegion } } }`
const UPDATE = `mutation ($id: ID!, $name: String, $billingEmail: String) {
  updateOrganization(organizationId: $id, name: $name, billingEmail: $billingEmail) {
    organizationId organization { name billingEmail } } }`
const UPDATE_NAME = `mutation ($id: ID!, $name: String) {
  updateOrganization(organizationId: $id, name: $name) { organization { name billingEmail } } }`
const DELETE = `mutation ($id: ID!, $confirm: String, $dryRun: Boolean! = false) {
  deleteOrganization(organizationId: $id, confirm: $confirm, dryRun: $dryRun) {
    organizationId dryRun jobId resources { kind label externalId kept removedAfterHours } } }`

/** The variables of a deletion that somebody means. */
async function meant(id: string) {
  const [row] = await project.sql<{ slug: string }[]>`select slug from public.organizations where id = ${id}`
  return { id, confirm: row?.slug }
}

const organizationsOf = async ({ userId }: { readonly userId: string }) =>
  (
    await project.sql`select id, name from public.organizations where owner_id = ${userId} order by created_at`
  ).map(({ name }) => name)

const profileOf = async ({ userId }: { readonly userId: string }) =>
  (await project.sql`select organization_id from public.profiles where id = ${userId}`)[0]?.organization_id

describe('createOrganization', () => {
  it('makes another one in the region and size that are asked for, and begins at once', async () => {
    await project.sql`update provisioning.plans set sizes = '{small,medium}' where plan = 'free'`
    const reply = await as(owner, CREATE, {
      name: ' Second\u202e ',
      dataRegion: 'eu',
      databaseSize: 'medium',
    })
    const { organizationId, organization } = reply.data.createOrganization
    expect(organization).toEqual({
      id: organizationId,
      name: 'Second',
      slug: 'second',
      role: 'OWNER',
      dataRegion: 'eu-central-1',
    })
    await project.waitFor(organizationId)
    const [database] = await project.sql`
      select region, size from public.organization_databases where organization_id = ${organizationId}`
    expect(database).toEqual({ region: 'aws-eu-central-1', size: 'medium' })
    expect(await profileOf(owner), 'the profile').toBe(owner.organizationId)
    const events = await project.sql`select event_type from public.provisioning_events
      where organization_id = ${organizationId} and event_type in ('sign_up', 'organization.created')`
    expect(events.map(({ event_type }) => event_type)).toEqual(['organization.created'])
    const [audited] = await project.sql`select actor_id, metadata from public.audit_logs
      where organization_id = ${organizationId} and action = 'organization.created'`
    expect(audited).toEqual({
      actor_id: owner.userId,
      metadata: { data_region: 'eu', database_size: 'medium' },
    })
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['an unknown region', { dataRegion: 'mars' }, 'unknown_choice'],
    ['an unknown size', { databaseSize: 'gigantic' }, 'unknown_choice'],
    ['a size that the plan does not have', { databaseSize: 'large' }, 'size_not_in_plan'],
    ['a name of nothing that is seen', { name: '\u200b \u202e' }, 'invalid_argument'],
    ['a name that is too long', { name: 'x'.repeat(201) }, 'invalid_argument'],
  ])('is refused for %s, and makes nothing', async (_what, wish, code) => {
    const before = await organizationsOf(owner)
    expect(codesOf(await as(owner, CREATE, { name: 'Third', ...wish }))).toEqual([code])
    expect(await organizationsOf(owner)).toEqual(before)
  })

  it('makes the first one of somebody who has none, also of one whom an organization expects', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    await asBackend(
      'mutation ($id: ID!, $email: String!) { expectMember(organizationId: $id, email: $email) { id } }',
      {
        id: owner.organizationId,
        email,
      },
    )
    for (const person of [await account(undefined, { provision: false }), await account(email)]) {
      expect(await organizationsOf(person)).toEqual([])
      const reply = await as(person, CREATE, { name: 'My own' })
      const { organizationId } = reply.data.createOrganization
      expect(await profileOf(person)).toBe(organizationId)
      await project.waitFor(organizationId)
    }
  })

  it('is for users alone', async () => {
    expect(codesOf(await asBackend(CREATE, { name: 'Nobody’s' }))).toEqual(['forbidden'])
    const { data } = await supabaseClient(
      project.services.url,
      project.keys.publishableKey,
    ).auth.signInAnonymously()
    expect(
      codesOf(await as({ accessToken: data.session?.access_token ?? '' }, CREATE, { name: 'No' })),
    ).toEqual(['user_not_eligible'])
  })

  it('is limited at once and in a day', async () => {
    const person = await account()
    await project.sql`update provisioning.settings set organizations_per_user = 2`
    try {
      const second = await as(person, CREATE, { name: 'Two' })
      expect(codesOf(await as(person, CREATE, { name: 'Three' }))).toEqual(['too_many_organizations'])
      await as(person, DELETE, await meant(second.data.createOrganization.organizationId))
      const third = await as(person, CREATE, { name: 'Three' })
      await as(person, DELETE, await meant(third.data.createOrganization.organizationId))
      expect((await as(person, CREATE, { name: 'Four' })).errors).toMatchObject([
        { extensions: { code: 'too_many_attempts', retryAfterSeconds: expect.any(Number) } },
      ])
    } finally {
      await project.sql`update provisioning.settings set organizations_per_user = default`
    }
  })
})

describe('updateOrganization', () => {
  it('changes what is given, names who did so, and is refused for what is neither name nor address', async () => {
    const person = await project.signUp({ organization_name: 'Before' })
    const id = person.organizationId
    expect(
      (await as(person, UPDATE_NAME, { id, name: ' After ' })).data.updateOrganization.organization,
    ).toEqual({
      name: 'After',
      billingEmail: person.email,
    })
    const bills = (billingEmail: string | null) => as(person, UPDATE, { id, billingEmail })
    expect((await bills('bills@example.com')).data.updateOrganization.organization).toEqual({
      name: 'After',
      billingEmail: 'bills@example.com',
    })
    expect((await bills(null)).data.updateOrganization.organization.billingEmail).toBeNull()
    expect(codesOf(await bills('no address'))).toEqual(['invalid_argument'])
    expect(codesOf(await as(person, UPDATE_NAME, { id, name: '\u200b' }))).toEqual(['invalid_argument'])
    const audited = await project.sql`select actor_id from public.audit_logs
      where organization_id = ${id} and action = 'organization.updated'`
    expect(audited.map(({ actor_id }) => actor_id)).toEqual([person.userId, person.userId, person.userId])
    expect((await asBackend(UPDATE, { id, name: 'Ours' })).data.updateOrganization).toEqual({
      organizationId: id,
      organization: null,
    })
  })

  it('says when to come again who has changed too much, and keeps from nothing else', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await project.sql`update provisioning.settings set organization_changes_per_day = 1`
    try {
      const rename = (name: string) => as(person, UPDATE_NAME, { id: person.organizationId, name })
      expect(codesOf(await rename('One'))).toEqual([])
      expect((await rename('Two')).errors).toMatchObject([
        { extensions: { code: 'too_many_attempts', retryAfterSeconds: expect.any(Number) } },
      ])
      await project.sql`delete from provisioning.counted_calls`
      expect(codesOf(await rename('Three')), 'by the process, from memory').toEqual(['too_many_attempts'])
      const { organizationId: id } = person
      for (const act of ['retryTenantProvisioning', 'rotateCredentials'])
        expect(
          codesOf(await as(person, `mutation ($id: ID!) { ${act}(organizationId: $id) { jobId } }`, { id })),
          `${act}, which has nothing to do with it`,
        ).toEqual([])
    } finally {
      await project.sql`update provisioning.settings set organization_changes_per_day = default`
    }
  })
})

describe('deleteOrganization', () => {
  it('tells in a dry run what would go, then deletes it; what is outside goes after its grace', async () => {
    const person = await project.signUp({ organization_name: 'Short-lived' })
    const id = person.organizationId
    await project.waitFor(id)
    const told = (await as(person, DELETE, { id, dryRun: true })).data.deleteOrganization
    expect(told).toMatchObject({ organizationId: id, dryRun: true, jobId: null })
    const planned = Object.fromEntries(
      told.resources.map(({ kind, ...resource }: { kind: string }) => [kind, resource]),
    )
    expect(planned).toEqual({
      stripe_customer: {
        label: 'Stripe customer',
        externalId: expect.stringMatching(/^cus_/),
        kept: true,
        removedAfterHours: 0,
      },
      neon_project: {
        label: 'Neon project',
        externalId: expect.any(String),
        kept: false,
        removedAfterHours: 72,
      },
    })
    expect(await organizationsOf(person)).toEqual(['Short-lived'])
    for (const confirm of [undefined, 'Short-lived', 'short-live'])
      expect(codesOf(await as(person, DELETE, { id, confirm }))).toEqual(['confirmation_required'])
    expect(await organizationsOf(person)).toEqual(['Short-lived'])
    const done = (await as(person, DELETE, await meant(id))).data.deleteOrganization
    expect(done).toMatchObject({ dryRun: false, jobId: expect.any(String), resources: told.resources })
    expect(await organizationsOf(person)).toEqual([])
    expect((await project.resources(id)).projects).toHaveLength(1)
    const [job] =
      await project.sql`select kind, requested_by from public.provisioning_jobs where id = ${done.jobId}`
    expect(job).toEqual({ kind: 'deprovision', requested_by: person.userId })
    const [audited] = await project.sql`select actor_id from public.audit_logs
      where organization_id = ${id} and action = 'organization.deleted'`
    expect(audited).toEqual({ actor_id: person.userId })
  })

  it('leaves its owner free to make another one, which a removal by the backend does not', async () => {
    const [gone, removed] = [await project.signUp(), await project.signUp()]
    await as(gone, DELETE, await meant(gone.organizationId))
    await project.sql`update auth.users set raw_user_meta_data = '{"full_name": "Gone"}' where id = ${gone.userId}`
    expect(await organizationsOf(gone), 'by itself').toEqual([])
    expect(codesOf(await as(gone, CREATE, { name: 'Again' }))).toEqual([])
    expect(await organizationsOf(gone)).toEqual(['Again'])
    const second = await as(removed, CREATE, { name: 'Second' })
    await asBackend(DELETE, await meant(removed.organizationId))
    await as(removed, DELETE, await meant(second.data.createOrganization.organizationId))
    expect(codesOf(await as(removed, CREATE, { name: 'Again' }))).toEqual(['forbidden'])
  })

  it('is refused to admins, members and strangers, whom a dry run tells nothing either', async () => {
    const others = [await account(), await account(), await account()]
    const [admin, member] = others
    await project.sql`insert into public.organization_members (organization_id, user_id, role) values
      (${owner.organizationId}, ${admin?.userId ?? ''}, 'admin'), (${owner.organizationId}, ${member?.userId ?? ''}, 'member')`
    for (const person of others)
      for (const dryRun of [true, false])
        expect(codesOf(await as(person, DELETE, { ...(await meant(owner.organizationId)), dryRun }))).toEqual(
          ['forbidden'],
        )
    expect(await organizationsOf(owner)).toContain('First')
  })

  it('is refused under a legal hold', async () => {
    const person = await project.signUp()
    await project.sql`insert into provisioning.legal_holds (organization_id, reference) values (${person.organizationId}, '2026/1')`
    expect(codesOf(await as(person, DELETE, await meant(person.organizationId)))).toEqual([
      'under_legal_hold',
    ])
  })
})

describe('members', () => {
  const MEMBERS = `query ($id: ID!, $first: Int! = 50, $after: String) {
    members(organizationId: $id, first: $first, after: $after) { userId role fullName email createdAt cursor } }`

  it('are listed page by page, the longest first, those too who came in the same moment', async () => {
    const person = await project.signUp({ organization_name: 'A crowd', full_name: 'Pat Founder' })
    const id = person.organizationId
    const others = await Promise.all(Array.from({ length: 5 }, () => account()))
    await project.sql`
      insert into public.organization_members (organization_id, user_id, role, created_at)
      select ${id}, user_id, case when place = 1 then 'admin' else 'member' end, now() + interval '1 day' * ((place + 1) / 3)
      from unnest(${others.map(({ userId }) => userId)}::uuid[]) with ordinality u (user_id, place)`
    const seen: { userId: string; cursor: string; [field: string]: unknown }[] = []
    let after: string | undefined
    do {
      const { data } = await as(person, MEMBERS, { id, first: 2, after })
      seen.push(...data.members)
      after = data.members.length === 2 ? data.members.at(-1).cursor : undefined
    } while (after)
    const rows = await project.sql<{ user_id: string }[]>`
      select user_id from public.organization_members where organization_id = ${id} order by created_at, user_id`
    expect(seen.map(({ userId }) => userId)).toEqual(rows.map(({ user_id }) => user_id))
    expect(seen).toHaveLength(6)
    expect(seen[0]).toMatchObject({ role: 'OWNER', fullName: 'Pat Founder', email: person.email })
    const [first] = others
    expect(seen.find(({ userId }) => userId === first?.userId)).toMatchObject({
      role: 'ADMIN',
      fullName: null,
      email: first?.email,
    })
  })

  it('are nobody to whoever is none of them, also after they have left', async () => {
    const left = await account()
    const id = owner.organizationId
    const rows = async () => (await as(left, MEMBERS, { id })).data.members.length
    expect(await rows()).toBe(0)
    await project.sql`insert into public.organization_members (organization_id, user_id) values (${id}, ${left.userId})`
    expect(await rows()).toBeGreaterThan(1)
    await project.sql`delete from public.organization_members where user_id = ${left.userId} and organization_id = ${id}`
    expect(await rows()).toBe(0)
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['a page of more than 100', { first: 101 }, 'first'],
    ['a cursor that is none', { after: 'x' }, 'after'],
  ])('are refused for %s, by its name', async (_what, variables, argument) => {
    const { errors } = await as(owner, MEMBERS, { id: owner.organizationId, ...variables })
    expect(errors).toMatchObject([{ extensions: { code: 'invalid_argument', issues: [{ path: argument }] } }])
  })
})

describe('expected members', () => {
  const EXPECT = `mutation ($id: ID!, $email: String!, $role: MemberRole! = MEMBER, $endsAt: DateTime) {
    expectMember(organizationId: $id, email: $email, role: $role, endsAt: $endsAt) { id email role expectedBy endsAt } }`
  const LIST = 'query ($id: ID!) { expectedMembers(organizationId: $id) { email role expectedBy } }'
  const MINE = '{ myExpectations { organizationId organizationName role } }'
  const answer = (name: string) =>
    `mutation ($id: ID!) { ${name}(organizationId: $id) { organizationId organization { name role } } }`

  it('are listed, answer for themselves, and are withdrawn', async () => {
    await project.sql`delete from provisioning.expected_members`
    const id = owner.organizationId
    const people = Array.from({ length: 3 }, () => `${crypto.randomUUID()}@example.com`)
    const [joins = '', declines = '', withdrawn = ''] = people
    for (const email of people) await as(owner, EXPECT, { id, email, role: 'ADMIN' })
    expect((await as(owner, LIST, { id })).data.expectedMembers).toEqual(
      people.map((email) => ({ email, role: 'ADMIN', expectedBy: owner.userId })),
    )
    const [colleague, other] = [await account(joins), await account(declines)]
    expect((await as(colleague, MINE)).data.myExpectations).toEqual([
      { organizationId: id, organizationName: 'First', role: 'ADMIN' },
    ])
    expect((await as(colleague, answer('acceptMembership'), { id })).data.acceptMembership).toEqual({
      organizationId: id,
      organization: { name: 'First', role: 'ADMIN' },
    })
    const own = (await as(other, answer('declineMembership'), { id })).data.declineMembership
    expect(own).toMatchObject({
      organizationId: expect.not.stringMatching(id),
      organization: { role: 'OWNER' },
    })
    await project.waitFor(own.organizationId)
    const withdraw = `mutation ($id: ID!, $email: String!) { withdrawExpectation(organizationId: $id, email: $email) }`
    expect((await as(owner, withdraw, { id, email: withdrawn })).data).toEqual({ withdrawExpectation: true })
    expect((await as(owner, LIST, { id })).data.expectedMembers).toEqual([])
    expect((await asBackend(MINE)).data.myExpectations).toEqual([])
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['an owner', { role: 'OWNER' }, 'unknown_choice'],
    ['what is no address', { email: 'nobody' }, 'invalid_argument'],
    ['an end that is past', { endsAt: '2020-01-01T00:00:00Z' }, 'invalid_argument'],
  ])('are not %s', async (_what, wish, code) => {
    const wishes = { id: owner.organizationId, email: 'ann@example.com', ...wish }
    expect(codesOf(await as(owner, EXPECT, wishes))).toEqual([code])
  })

  it('are neither members, nor do they answer where nobody expects them', async () => {
    const id = owner.organizationId
    expect(codesOf(await as(owner, EXPECT, { id, email: owner.email }))).toEqual(['already_member'])
    const stranger = await account()
    for (const name of ['acceptMembership', 'declineMembership']) {
      expect(codesOf(await as(stranger, answer(name), { id }))).toEqual(['not_expected'])
      expect(codesOf(await asBackend(answer(name), { id }))).toEqual(['forbidden'])
    }
    expect(codesOf(await as(stranger, LIST, { id }))).toEqual(['forbidden'])
  })
})
