import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NewUser, signUp } from '../support/sign-up.ts'
import { createOnlyJob, Engine } from './engine.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

interface Organization {
  readonly id: string
  readonly name: string
  readonly slug: string
  readonly plan: string
  readonly billing_email: string | null
  readonly data_region: string
  readonly hosting_region: string
  readonly provisioning_status: Readonly<Record<string, string>>
}

const organizationsOf = (userId: string) =>
  project.sql<Organization[]>`select * from public.organizations where owner_id = ${userId}`

async function signUpOrganization(user: Partial<NewUser>): Promise<Organization> {
  const { id } = await signUp(project.auth, user)
  return only(await organizationsOf(id))
}

/** How many rows each table holds for a user, whichever way they are attached. */
async function rowsOf(userId: string) {
  return only(
    await project.sql`
      with mine as (select id from public.organizations where owner_id = ${userId})
      select
        (select count(*)::int from mine) as organizations,
        (select count(*)::int from public.profiles where id = ${userId}) as profiles,
        (select count(*)::int from public.organization_members where user_id = ${userId}) as memberships,
        (select count(*)::int from public.wallets where user_id = ${userId}) as wallets,
        (select count(*)::int from public.organization_databases where organization_id in (table mine)) as databases,
        (select count(*)::int from public.provisioning_jobs where organization_id in (table mine)) as jobs,
        (select count(*)::int from public.provisioning_steps where organization_id in (table mine)) as steps,
        (select count(*)::int from public.provisioning_events where organization_id in (table mine)) as events`,
  )
}

/** The database row, the steps and the event come when a worker begins. */
const ONE_OF_EACH = {
  organizations: 1,
  profiles: 1,
  memberships: 1,
  wallets: 1,
  databases: 0,
  jobs: 1,
  steps: 0,
  events: 0,
}
const BEGUN = { ...ONE_OF_EACH, databases: 1, steps: 6, events: 1 }
const NOTHING = {
  organizations: 0,
  profiles: 0,
  memberships: 0,
  wallets: 0,
  databases: 0,
  jobs: 0,
  steps: 0,
  events: 0,
}

async function expectNoTrouble(): Promise<void> {
  expect([...(await project.sql`select * from provisioning.sign_up_failures`)]).toEqual([])
}

describe('a sign-up', () => {
  it('makes a profile, an organization that the user owns and a wallet', async () => {
    const { id, email } = await signUp(project.auth, { metadata: { full_name: 'Ann Lee' } })
    expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
    const organization = only(await organizationsOf(id))
    expect(organization).toMatchObject({
      name: "Ann Lee's organization",
      plan: 'free',
      billing_email: email,
      data_region: 'us-east-1',
      hosting_region: 'us-east-1',
      stripe_customer_id: null,
      provisioned_at: null,
      provisioning_status: {
        stripe: 'pending',
        neon: 'pending',
        graphql: 'pending',
        overall: 'pending',
        changed_at: expect.any(String),
      },
    })
    expect(only(await project.sql`select * from public.profiles where id = ${id}`)).toMatchObject({
      email,
      full_name: 'Ann Lee',
      organization_id: organization.id,
    })
    expect(
      only(await project.sql`select * from public.organization_members where user_id = ${id}`),
    ).toMatchObject({ organization_id: organization.id, role: 'owner' })
    expect(only(await project.sql`select * from public.wallets where user_id = ${id}`)).toMatchObject({
      currency: 'usd',
      available_balance: '0',
      pending_balance: '0',
    })
  })

  it('writes the job, due now', async () => {
    const { user, jobId } = await createTenant(project)
    expect(
      only(
        await project.sql`
          select kind, tier, lane, status, attempts, requested_by, next_attempt_at <= now() as due
          from public.provisioning_jobs where id = ${jobId}`,
      ),
    ).toEqual({
      kind: 'provision',
      tier: 'database',
      lane: 'sign_up',
      status: 'queued',
      attempts: 0,
      requested_by: user.id,
      due: true,
    })
  })

  it('gets its five steps, its database row and its event when a worker begins, and only once', async () => {
    const tenant = await createOnlyJob(project, { metadata: { full_name: 'Ann Lee' } })
    const engine = new Engine(project.sql)
    const lease = only(await engine.claim())
    expect(await rowsOf(tenant.user.id)).toEqual(BEGUN)
    expect([
      ...(await project.sql`
        select step, service, depends_on, status, attempts from public.provisioning_steps
        where job_id = ${tenant.jobId} order by position`),
    ]).toEqual(
      [
        { step: 'stripe_customer', service: 'stripe', depends_on: [] },
        { step: 'neon_project', service: 'neon', depends_on: [] },
        { step: 'credentials', service: 'neon', depends_on: ['neon_project'] },
        { step: 'tenant_schema', service: 'neon', depends_on: ['credentials'] },
        { step: 'verify_connection', service: 'neon', depends_on: ['tenant_schema'] },
        { step: 'graphql_endpoint', service: 'graphql', depends_on: ['tenant_schema'] },
      ].map((step) => ({ ...step, status: 'pending', attempts: 0 })),
    )
    expect(
      only(
        await project.sql`select * from public.organization_databases where organization_id = ${tenant.organizationId}`,
      ),
    ).toMatchObject({ region: 'aws-us-east-1', size: 'small', status: 'pending', host: null })
    const { created_at } = only(
      await project.sql`select created_at from public.provisioning_jobs where id = ${tenant.jobId}`,
    )
    expect(
      only(
        await project.sql`select * from public.provisioning_events where organization_id = ${tenant.organizationId}`,
      ),
    ).toMatchObject({
      event_type: 'sign_up',
      job_id: tenant.jobId,
      resource_id: tenant.user.id,
      status: 'succeeded',
      metadata: {},
      started_at: created_at,
      completed_at: created_at,
    })
    await project.sql`select provisioning.prepare_job(${lease.jobId}, ${lease.token})`
    expect(await rowsOf(tenant.user.id)).toEqual(BEGUN)
    expect(await engine.run(lease)).toBe('succeeded')
  })

  it('is in the search index from then on', async () => {
    const tenant = await createOnlyJob(project)
    const indexed = async () =>
      only(await project.sql`select in_search_index as now from public.profiles where id = ${tenant.user.id}`)
        .now
    expect(await indexed()).toBe(false)
    await new Engine(project.sql).claim()
    expect(await indexed()).toBe(true)
  })

  it('that is rolled back leaves nothing', async () => {
    const before = await fingerprint(project.sql)
    await project.auth
      .begin(async (tx) => {
        await signUp(tx)
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('of several users in one statement makes a tenant for each', async () => {
    const ids = Array.from({ length: 5 }, () => crypto.randomUUID())
    await project.auth`
      insert into users (id, email, raw_user_meta_data, email_confirmed_at)
      select id, id || '@example.com', '{"organization_name": "Batch"}', now() from unnest(${ids}::uuid[]) id`
    for (const id of ids) expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
    await expectNoTrouble()
  })

  it('with a phone number and no e-mail address gets its tenant too', async () => {
    const { id } = await signUp(project.auth, { email: null })
    expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
    expect(only(await organizationsOf(id))).toMatchObject({ name: 'Organization', billing_email: null })
  })
})

describe('the name of the organization', () => {
  it.each([
    [{ organization_name: 'Acme GmbH', full_name: 'Ann' }, 'Acme GmbH'],
    [{ organization_name: '   ', full_name: 'Ann' }, "Ann's organization"],
    [{ full_name: '', name: 'Bob' }, "Bob's organization"],
    [{ organization_name: '  Padded  ' }, 'Padded'],
    [{ organization_name: '🚀🚀' }, '🚀🚀'],
  ])('comes from the metadata: %j', async (metadata, name) => {
    expect((await signUpOrganization({ metadata })).name).toBe(name)
  })

  it.each([
    ['nothing', {}],
    ['null', null],
    ['an array', ['organization_name']],
    ['a string', 'organization_name'],
    ['a number', 7],
    ['a blank name', { name: ' ' }],
    ['a number for a name', { organization_name: 42 }],
    ['null names', { organization_name: null, full_name: null, name: null }],
  ])('is the local part of the address when the metadata is %s', async (_, metadata) => {
    const email = `solo.${crypto.randomUUID()}@example.com`
    expect((await signUpOrganization({ email, metadata })).name).toBe(email.split('@')[0])
  })

  it.each(['\t\n', '\u00a0', '\u3000 \u2003'])('is never only white space (%j)', async (blank) => {
    const { name } = await signUpOrganization({ metadata: { organization_name: blank } })
    expect(name.trim()).not.toBe('')
  })

  it.each([
    ['an object', { organization_name: { first: 'A' }, full_name: ['B'], avatar_url: 7 }],
    ['50,000 characters', { organization_name: 'n'.repeat(50_000), full_name: 'ü'.repeat(50_000) }],
    ['quotes and SQL', { organization_name: `'); drop table users; --"\\` }],
    ['right-to-left text', { organization_name: 'שלום עולם' }],
  ])('may be %s, and the sign-up has its tenant', async (_, metadata) => {
    const { id } = await signUp(project.auth, { metadata })
    expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
    const { name } = only(await organizationsOf(id))
    expect(name.length).toBeLessThanOrEqual(200)
    await expectNoTrouble()
  })
})

/** What anybody may have written into the metadata, by key. */
const anyValue = fc.oneof(
  fc.constantFrom('Ann Lee', 'Bob', '  Padded  ', '', ' ', '\u00a0', 'Zoë'),
  fc.constantFrom(null, 42, 0, true, false, [], ['A'], {}, { givenName: 'Ann' }, 'x'.repeat(1_500)),
)
const NAME_KEYS = ['full_name', 'name', 'user_name', 'preferred_username', 'organization_name'] as const
const anyMetadata = fc.record(
  Object.fromEntries([...NAME_KEYS, 'theme', 'email_verified'].map((key) => [key, anyValue])),
  { requiredKeys: [] },
)
type Metadata = Readonly<Record<string, unknown>>

/** The first of these keys under which there is a text that is not blank. */
function textOf(metadata: Metadata, keys: readonly string[]): string | null {
  const texts = keys.map((key) => metadata[key]).filter((value) => typeof value === 'string')
  return texts.map((text) => text.trim().slice(0, 200)).find((text) => text !== '') ?? null
}
const fullNameOf = (metadata: Metadata) =>
  textOf(metadata, ['full_name', 'name', 'user_name', 'preferred_username'])

describe('names in metadata of any kind', () => {
  interface Named {
    readonly id: string
    readonly profile: string | null
    readonly organization: string
  }
  const namesOf = (ids: readonly string[]) =>
    project.sql<Named[]>`
      select p.id, p.full_name as profile, o.name as organization from public.profiles p
      join public.organizations o on o.owner_id = p.id where p.id = any (${[...ids]}) order by p.id`

  async function signUpAll(all: readonly Metadata[], email: (id: string) => string) {
    const rows = all.map((metadata) => ({ id: crypto.randomUUID(), metadata: JSON.stringify(metadata) }))
    await project.sql`
      insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data, email_confirmed_at, is_anonymous)
      select id, 'authenticated', 'authenticated', email, '{}', metadata::jsonb, now(), false
      from unnest(${rows.map(({ id }) => id)}::uuid[], ${rows.map(({ id }) => email(id))}::text[],
        ${rows.map(({ metadata }) => metadata)}::text[]) u (id, email, metadata)`
    return rows.map(({ id }, at) => ({ id, metadata: all[at] ?? {} }))
  }

  const expected = (metadata: Metadata, email: string) => {
    const fullName = fullNameOf(metadata)
    const local = email.endsWith('@privaterelay.appleid.com') ? 'Organization' : (email.split('@')[0] ?? '')
    const own = textOf(metadata, ['organization_name'])
    const named = fullName === null ? local : `${fullName}'s organization`.slice(0, 200)
    return { profile: fullName, organization: own ?? named }
  }

  it.each([
    ['sign-up', (id: string) => `${id}@example.com`],
    ['sign-up behind Apple’s relay', (id: string) => `${id}@privaterelay.appleid.com`],
  ])('are texts or nothing, for profile and organization alike, at %s and in a repair', async (_, email) => {
    const people = await signUpAll(fc.sample(anyMetadata, 300), email)
    const ids = people.map(({ id }) => id)
    const wanted = people
      .map(({ id, metadata }) => ({ id, ...expected(metadata, email(id)) }))
      .sort((one, other) => (one.id < other.id ? -1 : 1))
    expect([...(await namesOf(ids))]).toEqual(wanted)

    await project.sql`delete from public.organizations where owner_id = any (${ids})`
    await project.sql`delete from public.profiles where id = any (${ids})`
    await project.sql`delete from provisioning.removed_tenants where user_id = any (${ids})`
    await project.sql`select provisioning.ensure_user_provisioned(id) from unnest(${ids}::uuid[]) id`
    expect([...(await namesOf(ids))]).toEqual(wanted)
  })

  it('reach the profile later only when they have changed', async () => {
    const all = fc.sample(fc.tuple(anyMetadata, anyMetadata, fc.boolean()), 300)
    const people = await signUpAll(
      all.map(([before]) => before),
      (id) => `${id}@example.com`,
    )
    const ids = people.map(({ id }) => id)
    const later = all.map(([before, after, same]) => (same ? { ...before, theme: 'dark' } : after))
    await project.sql`update public.profiles set full_name = 'Edited' where id = any (${ids})`
    await project.sql`update auth.users u set raw_user_meta_data = c.metadata::jsonb
      from unnest(${ids}::uuid[], ${later.map((metadata) => JSON.stringify(metadata))}::text[]) c (id, metadata)
      where u.id = c.id`
    const wanted = all.map(([before], at) => {
      const name = fullNameOf(later[at] ?? {})
      return { id: ids[at] ?? '', name: name === fullNameOf(before) ? 'Edited' : (name ?? 'Edited') }
    })
    const rows = await project.sql`
      select id, full_name as name from public.profiles where id = any (${ids}) order by id`
    expect([...rows]).toEqual(wanted.sort((one, other) => (one.id < other.id ? -1 : 1)))
    expect(new Set(wanted.map(({ name }) => name === 'Edited'))).toEqual(new Set([true, false]))
    await expectNoTrouble()
  })
})

describe('the slug', () => {
  it.each([
    ['Müller & Söhne', 'muller-sohne'],
    ["O'Reilly's", 'oreillys'],
    ['Ⅷ ﬁne', 'viii-fine'],
    ['--- A  b ---', 'a-b'],
  ])('of %j is %s', async (name, slug) => {
    expect((await signUpOrganization({ metadata: { organization_name: name } })).slug).toBe(slug)
  })

  it.each([
    ['Иван Щукин', 'ivan-shchukin'],
    ['ООО «Ёлка»', 'ooo-elka'],
    ['Київ Цемент', 'kiiv-tsement'],
    ['Ελλάς Ψάρι', 'ellas-psari'],
    ['Straße Łódź Ærø', 'strasse-lodz-aero'],
    ['日本 2', '2'],
  ])('of %j is written in Latin letters: %s', async (name, slug) => {
    const [row] =
      await project.sql`select provisioning.slugify(${name}) as slug, provisioning.slugify(${name.toUpperCase()}) as upper`
    expect(row).toEqual({ slug, upper: slug })
  })

  it('of a name in a script that we cannot write in Latin letters is short', async () => {
    expect((await signUpOrganization({ metadata: { organization_name: '日本 🚀' } })).slug).toMatch(
      /^org(-[0-9a-f]{10})?$/,
    )
  })

  it('is cut so that a suffix still fits, and never ends in a dash', async () => {
    const metadata = { organization_name: `${'a'.repeat(47)} ${'b'.repeat(60)}` }
    const slugs = [await signUpOrganization({ metadata }), await signUpOrganization({ metadata })].map(
      ({ slug }) => slug,
    )
    expect(slugs[0]).toBe('a'.repeat(47))
    expect(slugs[1]).toMatch(/^a{47}-[0-9a-f]{10}$/)
  })

  it.each([
    ['organization_name', 'Crowd', ''],
    // The trigger finds these slugs in a way of its own.
    ['full_name', 'Ann Crowd', "'s organization"],
  ])(
    'is unique among concurrent sign-ups with one %s, of which none fails',
    async (key, beginning, ending) => {
      const rounds = Array.from({ length: 12 }, (_, round) => `${beginning} ${round}`)
      // In rounds of eight, one for each connection, so that every name is fought over from its first use.
      for (const name of rounds)
        await Promise.all(
          Array.from({ length: 8 }, () => signUp(project.auth, { metadata: { [key]: name } })),
        )
      const slugs = await project.sql<{ slug: string }[]>`
        select slug from public.organizations where name = any (${rounds.map((name) => name + ending)})`
      expect(new Set(slugs.map(({ slug }) => slug)).size).toBe(96)
      await expectNoTrouble()
    },
  )

  it('is unique in a burst of 40 sign-ups over 8 connections', async () => {
    const metadata = { organization_name: 'Burst' }
    const users = await Promise.all(Array.from({ length: 40 }, () => signUp(project.auth, { metadata })))
    for (const { id } of users) expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
    await expectNoTrouble()
  })

  it('is never promised twice, even when one sign-up commits while the other looks', async () => {
    const { user } = await createTenant(project)
    await project.sql`update provisioning.settings set organizations_per_user = 1000000`
    // Commits as fast as the server can, on names that change every millisecond, so that the two meet at each.
    await project.sql.unsafe(`
      create procedure public.take_slugs() language plpgsql as $$
      declare
        v_end timestamptz := clock_timestamp() + interval '2 s';
        v_name text;
      begin
        while clock_timestamp() < v_end loop
          v_name := 'r' || floor(extract(epoch from clock_timestamp()) * 1000);
          insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
          values ('Race', provisioning.free_slug(v_name), '${user.id}', 'us-east-1', 'us-east-1', '{}');
          commit;
        end loop;
      end $$`)
    const results = await Promise.all(
      [0, 1, 2].map(() => refusal(project.sql.unsafe('call public.take_slugs()'))),
    )
    await project.sql`drop procedure public.take_slugs`
    expect(results).toEqual([undefined, undefined, undefined])
  })

  it.each([
    [{ organization_name: 'Held' }, 'held'],
    [{ full_name: 'Hel-d Back' }, 'hel-d-backs-organization'],
  ])('held by another open transaction makes nobody wait (%j)', async (metadata, slug) => {
    const waited = await project.auth.begin(async (tx) => {
      await signUp(tx, { metadata })
      const started = performance.now()
      const second = await signUpOrganization({ metadata })
      expect(second.slug).toMatch(new RegExp(`^${slug}-[0-9a-f]{10}$`))
      return performance.now() - started
    })
    expect(waited).toBeLessThan(1000)
    expect(
      (await project.sql`select from public.organizations where slug = ${slug}`).count,
      'the first sign-up has the plain slug',
    ).toBe(1)
  })

  it('is free again after a rollback', async () => {
    const metadata = { organization_name: 'Given up' }
    await project.auth
      .begin(async (tx) => {
        await signUp(tx, { metadata })
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    expect((await signUpOrganization({ metadata })).slug).toBe('given-up')
  })
})

describe('the regions', () => {
  const begin = (organizationId: string) => project.sql`
    select provisioning.begin_provisioning(id) from public.provisioning_jobs where organization_id = ${organizationId}`
  const eventMetadata = async (organizationId: string) =>
    only(
      await project.sql<{ metadata: Record<string, unknown> }[]>`
        select metadata from public.provisioning_events where organization_id = ${organizationId}`,
    ).metadata

  it.each([
    [{ data_region: 'eu-central-1' }, 'eu-central-1', 'eu-central-1'],
    [{ data_region: 'EU' }, 'eu-central-1', 'eu-central-1'],
    [{ data_region: ' uk ' }, 'eu-west-2', 'eu-west-2'],
    [{ data_region: 'aws-us-west-2' }, 'us-west-2', 'us-west-2'],
    [{ data_region: 'apac', hosting_region: 'us' }, 'ap-southeast-1', 'us-east-1'],
    [{ hosting_region: 'sa' }, 'us-east-1', 'sa-east-1'],
    [{ data_region: '' }, 'us-east-1', 'us-east-1'],
  ])('follow the metadata %j', async (metadata, dataRegion, hostingRegion) => {
    const organization = await signUpOrganization({ metadata })
    expect(organization).toMatchObject({ data_region: dataRegion, hosting_region: hostingRegion })
    await begin(organization.id)
    expect(await eventMetadata(organization.id)).toEqual({})
    expect(
      only(
        await project.sql`select region from public.organization_databases where organization_id = ${organization.id}`,
      ),
    ).toEqual({ region: `aws-${dataRegion}` })
  })

  it('that are unknown give the default, and the event says what was asked for', async () => {
    const organization = await signUpOrganization({
      metadata: { data_region: 'Moon', hosting_region: 'Mars' },
    })
    expect(organization).toMatchObject({ data_region: 'us-east-1', hosting_region: 'us-east-1' })
    await begin(organization.id)
    expect(await eventMetadata(organization.id)).toEqual({
      unknown_data_region: 'moon',
      unknown_hosting_region: 'mars',
    })
  })

  it.each([[['eu']], [{ eu: true }], [42], [null], ['x'.repeat(100_000)]])(
    'may be anything and fail nothing (%#)',
    async (region) => {
      const { id } = await signUp(project.auth, { metadata: { data_region: region, hosting_region: region } })
      expect(only(await organizationsOf(id)).data_region).toBe('us-east-1')
      await expectNoTrouble()
    },
  )

  it('default to what the settings say', async () => {
    await project.sql`update provisioning.settings set default_data_region = 'sa-east-1'`
    const organization = await signUpOrganization({})
    await project.sql`update provisioning.settings set default_data_region = 'us-east-1'`
    expect(organization).toMatchObject({ data_region: 'sa-east-1', hosting_region: 'sa-east-1' })
  })
})

describe('what sign-ups read in one row', () => {
  const defaults = async () => only(await project.sql`select * from provisioning.sign_up_defaults`)

  it('follows the settings, the tiers and the regions', async () => {
    const before = await defaults()
    const rollBack = new Error('rolled back')
    await project.sql
      .begin(async (tx) => {
        await tx`insert into provisioning.tiers (tier, label, services) values ('bare', 'Nearly nothing', '{stripe}')`
        await tx`insert into provisioning.regions (data_region, label, aliases, neon_region, hosting_region)
          values ('mars-1', 'Mars', '{red,eu}', 'aws-mars-1', 'mars-2')`
        await tx`update provisioning.settings set default_tier = 'bare', default_data_region = 'mars-1', default_currency = 'chf',
          default_plan = 'pro', mapping = '{}'`
        expect(only(await tx`select * from provisioning.sign_up_defaults`)).toMatchObject({
          plan: 'pro',
          currency: 'chf',
          tier: 'bare',
          kind: 'provision',
          initial_status: { overall: 'pending', stripe: 'not_requested' },
          data_region: 'mars-1',
          regions: {
            red: ['mars-1', 'mars-2'],
            'mars-1': ['mars-1', 'mars-2'],
            'aws-mars-1': ['mars-1', 'mars-2'],
            eu: ['eu-central-1', 'eu-central-1'],
          },
          mapping: {},
        })
        await tx`update provisioning.settings set default_data_region = 'us-east-1'`
        await tx`delete from provisioning.regions where data_region = 'mars-1'`
        await tx`update provisioning.regions set aliases = '{}' where data_region = 'eu-central-1'`
        const { regions } = only(await tx`select regions from provisioning.sign_up_defaults`)
        expect(regions).not.toHaveProperty('eu')
        throw rollBack
      })
      .catch((error: unknown) => {
        if (error !== rollBack) throw error
      })
    expect(await defaults()).toEqual(before)
  })

  it('sees both of two changes at once', async () => {
    const change = await project.sql.reserve()
    try {
      await change`begin`
      await change`update provisioning.settings set default_currency = 'chf'`
      const other = project.sql`update provisioning.regions set aliases = array_append(aliases, 'old-europe') where data_region = 'eu-central-1'`
      other.execute()
      await expect
        .poll(async () => (await project.superuser`select from pg_locks where not granted`).count)
        .toBeGreaterThan(0)
      await change`commit`
      await other
      const { currency, regions } = await defaults()
      expect([currency, regions['old-europe']]).toEqual(['chf', ['eu-central-1', 'eu-central-1']])
    } finally {
      await change`rollback`
      change.release()
      await project.sql`update provisioning.settings set default_currency = default`
      await project.sql`update provisioning.regions set aliases = array_remove(aliases, 'old-europe')`
    }
  })

  it('goes into tables whose triggers have no condition', async () => {
    // Its text would be copied for each row that a sign-up inserts.
    expect([
      ...(await project.sql`
        select t.tgrelid::regclass::text as on, t.tgname from pg_trigger t
        where t.tgqual is not null and t.tgrelid in ('public.organizations'::regclass, 'public.organization_members'::regclass,
          'public.profiles'::regclass, 'public.wallets'::regclass, 'public.provisioning_jobs'::regclass)`),
    ]).toEqual([])
  })
})

describe('who is provisioned when', () => {
  it('an anonymous user gets nothing until they stop being anonymous', async () => {
    const { id } = await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false })
    expect(await rowsOf(id)).toEqual(NOTHING)
    await project.auth`update users set raw_user_meta_data = '{"theme": "dark"}' where id = ${id}`
    expect(await rowsOf(id)).toEqual(NOTHING)
    await project.auth`update users set is_anonymous = false, email = ${`${id}@example.com`} where id = ${id}`
    expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
    expect(only(await organizationsOf(id)).billing_email).toBe(`${id}@example.com`)
  })

  it.each([
    ['with the metadata', { full_name: 'Ann Lee' }, "Ann Lee's organization"],
    ['without any', {}, undefined],
  ])(
    'a converted user is named as any sign-up is, though Auth writes the address last: %s',
    async (_, metadata, name) => {
      const { id } = await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false })
      const email = `ann.${id}@example.com`
      await project.auth.begin(async (sql) => {
        await sql`update users set raw_user_meta_data = ${JSON.stringify(metadata)}::text::jsonb where id = ${id}`
        await sql`update users set is_anonymous = false where id = ${id}`
        await sql`update users set email = ${email} where id = ${id}`
        await sql`update users set email_confirmed_at = now() where id = ${id}`
      })
      expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
      const organization = only(await organizationsOf(id))
      expect(organization).toMatchObject({ name: name ?? `ann.${id}`, billing_email: email })
      expect(organization.slug).toMatch(name ? /^ann-lees-organization/ : /^ann-/)
      expect(await project.sql`select from provisioning.converted_users`).toHaveLength(0)
    },
  )

  it('a converted user without an address has a tenant too, and trouble with it does not fail the conversion', async () => {
    const [one, other] = [
      await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false }),
      await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false }),
    ]
    await project.auth`update users set is_anonymous = false where id = ${one.id}`
    expect(await rowsOf(one.id)).toEqual(ONE_OF_EACH)
    await project.sql`alter table public.wallets add constraint trouble check (user_id <> ${project.sql.unsafe(`'${other.id}'`)})`
    try {
      await project.auth`update users set is_anonymous = false where id = ${other.id}`
    } finally {
      await project.sql`alter table public.wallets drop constraint trouble`
    }
    expect(await rowsOf(other.id)).toEqual(NOTHING)
    await project.sql`select provisioning.repair_sign_ups(10)`
    expect(await rowsOf(other.id)).toEqual(ONE_OF_EACH)
    await expectNoTrouble()
  })

  it("waits for the confirmation when settings.provision_on is 'email_confirmed'", async () => {
    await project.sql`update provisioning.settings set provision_on = 'email_confirmed'`
    try {
      const { id } = await signUp(project.auth, { emailConfirmed: false })
      await project.auth`update users set raw_user_meta_data = '{"name": "Cy"}' where id = ${id}`
      expect(await rowsOf(id)).toEqual(NOTHING)
      await project.auth`update users set email_confirmed_at = now() where id = ${id}`
      expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
      const { id: byPhone } = await signUp(project.auth, { email: null, emailConfirmed: false })
      expect(await rowsOf(byPhone)).toEqual(NOTHING)
      await project.auth`update users set phone_confirmed_at = now() where id = ${byPhone}`
      expect(await rowsOf(byPhone)).toEqual(ONE_OF_EACH)
    } finally {
      await project.sql`update provisioning.settings set provision_on = 'sign_up'`
    }
  })

  it('does not wait for it otherwise', async () => {
    const { id } = await signUp(project.auth, { emailConfirmed: false })
    expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
  })
})

describe('a change of the user', () => {
  const profileOf = async (id: string) =>
    only(await project.sql`select * from public.profiles where id = ${id}`)

  it('of the e-mail address reaches the profile and the billing address', async () => {
    const { id } = await signUp(project.auth)
    const email = `new.${id}@example.com`
    await project.auth`update users set email = ${email} where id = ${id}`
    expect(await profileOf(id)).toMatchObject({ email })
    expect(only(await organizationsOf(id)).billing_email).toBe(email)
  })

  it('of the e-mail address leaves a billing address alone that somebody chose', async () => {
    const { id } = await signUp(project.auth)
    await project.sql`update public.organizations set billing_email = 'books@example.com' where owner_id = ${id}`
    await project.auth`update users set email = ${`new.${id}@example.com`} where id = ${id}`
    expect(only(await organizationsOf(id)).billing_email).toBe('books@example.com')
  })

  it('of the metadata reaches the profile, and what it does not mention stays', async () => {
    const { id } = await signUp(project.auth, { metadata: { full_name: 'Old', avatar_url: 'https://a/1' } })
    await project.auth`update users set raw_user_meta_data = '{"name": "New"}' where id = ${id}`
    expect(await profileOf(id)).toMatchObject({ full_name: 'New', avatar_url: 'https://a/1' })
  })

  it.each([
    ['', null],
    ['  ', null],
    [' ann@example.com ', 'ann@example.com'],
  ])('and a sign-up with the address %j have the billing address %j', async (email, stored) => {
    const { id } = await signUp(project.auth, { email })
    expect(only(await organizationsOf(id)).billing_email).toBe(stored)
    expect((await profileOf(id)).email).toBe(stored)
    await project.auth`update users set email = ${`${id}@example.com`} where id = ${id}`
    await project.auth`update users set email = ${email} where id = ${id}`
    expect(only(await organizationsOf(id)).billing_email).toBe(stored)
    expect((await profileOf(id)).email).toBe(stored)
    await project.auth`delete from users where id = ${id}`
  })

  it.each([
    [{ avatar_url: '', picture: 'https://a/1' }, 'https://a/1'],
    [{ avatar_url: ['https://a/2'], picture: 'https://a/1' }, 'https://a/1'],
    [{ avatar_url: 'data:image/png;base64,AA', picture: 'https://a/1' }, 'https://a/1'],
    [{ avatar_url: 'https://a/1', picture: 'https://a/2' }, 'https://a/1'],
    [{ avatar_url: 7 }, null],
  ])('of the picture, and a sign-up, take the first that is one: %j', async (metadata, url) => {
    const { id } = await signUp(project.auth, { metadata })
    expect((await profileOf(id)).avatar_url).toBe(url)
    const { id: later } = await signUp(project.auth)
    await project.auth`update users set raw_user_meta_data = ${JSON.stringify(metadata)}::text::jsonb where id = ${later}`
    expect((await profileOf(later)).avatar_url).toBe(url)
  })

  it('that is only a sign-in touches nothing of ours', async () => {
    const { id } = await signUp(project.auth)
    const before = await fingerprint(project.sql)
    await project.auth`update users set last_sign_in_at = now(), updated_at = now() where id = ${id}`
    const { 'auth.users': usersAfter, ...after } = await fingerprint(project.sql)
    const { 'auth.users': usersBefore, ...ours } = before
    expect(after).toEqual(ours)
    expect(usersAfter).not.toBe(usersBefore)
  })
})

describe('ensure_user_provisioned', () => {
  const ensure = (id: string) =>
    project.sql<{ id: string | null }[]>`select provisioning.ensure_user_provisioned(${id}) as id`

  it('creates nothing twice', async () => {
    const { user, organizationId } = await createTenant(project)
    const before = await fingerprint(project.sql)
    expect(only(await ensure(user.id)).id).toBe(organizationId)
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('creates nothing twice when eight callers run at once for a user who has nothing yet', async () => {
    const { id } = await signUp(project.auth, { anonymous: true })
    await project.superuser.begin(async (tx) => {
      await tx`set local session_replication_role = replica`
      await tx`update auth.users set is_anonymous = false where id = ${id}`
    })
    expect(await rowsOf(id)).toEqual(NOTHING)
    const results = await Promise.all(Array.from({ length: 8 }, () => ensure(id)))
    expect(new Set(results.map((rows) => only(rows).id)).size).toBe(1)
    expect(await rowsOf(id)).toEqual(ONE_OF_EACH)
  })

  it.each(['wallets', 'profiles', 'organization_members', 'provisioning_jobs'])(
    'brings back what is missing in %s, and only that',
    async (table) => {
      const { user, organizationId } = await createTenant(project)
      const key =
        table === 'profiles' ? 'id' : ['wallets', 'organization_members'].includes(table) ? 'user_id' : ''
      await project.sql`delete from ${project.sql(table)} where ${
        key ? project.sql`${project.sql(key)} = ${user.id}` : project.sql`organization_id = ${organizationId}`
      }`
      expect(only(await ensure(user.id)).id).toBe(organizationId)
      expect(await rowsOf(user.id)).toEqual(ONE_OF_EACH)
    },
  )

  it('brings back a database row that a worker had made, and none before', async () => {
    const { user, organizationId } = await createOnlyJob(project)
    await ensure(user.id)
    expect(await rowsOf(user.id)).toEqual(ONE_OF_EACH)
    await new Engine(project.sql).claim()
    await project.sql`delete from public.organization_databases where organization_id = ${organizationId}`
    await ensure(user.id)
    expect(await rowsOf(user.id)).toEqual(BEGUN)
  })

  it('answers null for a user who does not exist', async () => {
    expect(only(await ensure(crypto.randomUUID())).id).toBeNull()
  })
})
