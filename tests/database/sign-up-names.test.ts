import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'
import { ONE_OF_EACH, signUpsOf } from './sign-up-rows.ts'

let project: Project
let signUps: ReturnType<typeof signUpsOf>

beforeAll(async () => {
  project = await openProject()
  signUps = signUpsOf(project)
})

afterAll(() => project?.close())

describe('the name of the organization', () => {
  it.each([
    [{ organization_name: 'Acme GmbH', full_name: 'Ann' }, 'Acme GmbH'],
    [{ organization_name: '   ', full_name: 'Ann' }, "Ann's organization"],
    [{ full_name: '', name: 'Bob' }, "Bob's organization"],
    [{ organization_name: '  Padded  ' }, 'Padded'],
    [{ organization_name: '🚀🚀' }, '🚀🚀'],
  ])('comes from the metadata: %j', async (metadata, name) => {
    expect((await signUps.signUpOrganization({ metadata })).name).toBe(name)
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
    expect((await signUps.signUpOrganization({ email, metadata })).name).toBe(email.split('@')[0])
  })

  it.each(['\t\n', '\u00a0', '\u3000 \u2003'])('is never only white space (%j)', async (blank) => {
    const { name } = await signUps.signUpOrganization({ metadata: { organization_name: blank } })
    expect(name.trim()).not.toBe('')
  })

  it.each([
    ['an object', { organization_name: { first: 'A' }, full_name: ['B'], avatar_url: 7 }],
    ['50,000 characters', { organization_name: 'n'.repeat(50_000), full_name: 'ü'.repeat(50_000) }],
    ['quotes and SQL', { organization_name: `'); drop table users; --"\\` }],
    ['right-to-left text', { organization_name: 'שלום עולם' }],
  ])('may be %s, and the sign-up has its tenant', async (_, metadata) => {
    const { id } = await signUp(project.auth, { metadata })
    expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
    const { name } = only(await signUps.organizationsOf(id))
    expect(name.length).toBeLessThanOrEqual(200)
    await signUps.expectNoTrouble()
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
    await signUps.expectNoTrouble()
  })
})

describe('the slug', () => {
  it.each([
    ['Müller & Söhne', 'muller-sohne'],
    ["O'Reilly's", 'oreillys'],
    ['Ⅷ ﬁne', 'viii-fine'],
    ['--- A  b ---', 'a-b'],
  ])('of %j is %s', async (name, slug) => {
    expect((await signUps.signUpOrganization({ metadata: { organization_name: name } })).slug).toBe(slug)
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
    expect((await signUps.signUpOrganization({ metadata: { organization_name: '日本 🚀' } })).slug).toMatch(
      /^org(-[0-9a-f]{10})?$/,
    )
  })

  it('is cut so that a suffix still fits, and never ends in a dash', async () => {
    const metadata = { organization_name: `${'a'.repeat(47)} ${'b'.repeat(60)}` }
    const slugs = [
      await signUps.signUpOrganization({ metadata }),
      await signUps.signUpOrganization({ metadata }),
    ].map(({ slug }) => slug)
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
      await signUps.expectNoTrouble()
    },
  )

  it('is unique in a burst of 40 sign-ups over 8 connections', async () => {
    const metadata = { organization_name: 'Burst' }
    const users = await Promise.all(Array.from({ length: 40 }, () => signUp(project.auth, { metadata })))
    for (const { id } of users) expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
    await signUps.expectNoTrouble()
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
      const second = await signUps.signUpOrganization({ metadata })
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
    expect((await signUps.signUpOrganization({ metadata })).slug).toBe('given-up')
  })
})
