import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, enterRole, runAs } from '../support/roles.ts'
import { type Cast, openCast, Undo, unlessUndone } from './cast.ts'
import { createTenant, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let ours: Tenant
let people: Cast['people']

beforeAll(async () => {
  ;({ project, ours, people } = await openCast())
})

afterAll(() => project?.close())

describe('search_profiles', () => {
  const search = (person: Caller, query: string) =>
    runAs(project.api, person, async (tx) =>
      (await tx<{ id: string }[]>`select id from public.search_profiles(${query})`).map(({ id }) => id),
    )

  it('finds a new user right after the sign-up, by part of the name or the address', async () => {
    const { user } = await createTenant(project, { metadata: { full_name: 'zoë Quixote' } })
    for (const query of ['quix', 'QUIXOTE', 'zoë', 'zoë q', user.id.slice(3, 20)]) {
      expect(await search(people.service_role, query), query).toEqual([user.id])
      expect(await search({ role: 'authenticated', userId: user.id }, query), query).toEqual([user.id])
    }
  })

  it('shows nobody whom the caller may not see', async () => {
    const { user } = await createTenant(project, { metadata: { full_name: 'Xaver Hidden' } })
    expect(await search(people.stranger, 'Xaver')).toEqual([])
    expect(await search(people.owner, user.email ?? '')).toEqual([])
    expect(await search(people.member, 'Olga Owner')).toEqual([ours.user.id])
  })

  describe('where everybody may be found', () => {
    /** With the settings changed for it alone. */
    async function rowsFor(person: Caller, query: string) {
      let rows: Record<string, unknown>[] = []
      await project.sql
        .begin(async (tx) => {
          await tx`update provisioning.settings set profile_search = 'everyone'`
          await enterRole(tx, person)
          rows = [...(await tx`select * from public.search_profiles(${query})`)]
          throw new Undo()
        })
        .catch(unlessUndone)
      return rows
    }

    it('tells of strangers name, picture and id, and nothing else', async () => {
      const { user } = await createTenant(project, {
        metadata: { full_name: 'Wilma Wide', avatar_url: 'https://example.com/w.png' },
      })
      const [found, ...others] = await rowsFor(people.stranger, 'ilma wi')
      expect(others).toEqual([])
      const told = Object.entries(found ?? {}).filter(([, value]) => value !== null)
      expect(Object.fromEntries(told)).toEqual({
        id: user.id,
        full_name: 'Wilma Wide',
        avatar_url: 'https://example.com/w.png',
      })
    })

    it('finds no stranger by the address, nor by less than three letters', async () => {
      const { user } = await createTenant(project, {
        email: 'vvvv@private.example',
        metadata: { full_name: 'Vera Vast' },
      })
      for (const query of ['vvvv', 'vvvv@private.example', 'Ve', 'V', 'Vast vvvv'])
        expect(await rowsFor(people.stranger, query), query).toEqual([])
      expect(await rowsFor(people.stranger, 'vera')).toMatchObject([{ id: user.id }])
    })

    it('leaves out whoever has switched it off, which each can for the own profile alone', async () => {
      const { user } = await createTenant(project, { metadata: { full_name: 'Ulla Unseen' } })
      const self: Caller = { role: 'authenticated', userId: user.id }
      const hide = (person: Caller) =>
        runAs(
          project.api,
          person,
          (tx) => tx`update public.profiles set discoverable = false where id = ${user.id}`,
        )
      expect((await hide(people.stranger)).count).toBe(0)
      expect(await rowsFor(people.stranger, 'Ulla')).toHaveLength(1)
      expect((await hide(self)).count).toBe(1)
      expect(await rowsFor(people.stranger, 'Ulla')).toEqual([])
    })

    it('shows oneself and colleagues once, with everything, and before the others', async () => {
      await createTenant(project, { metadata: { full_name: 'Olga Owner' } })
      const rows = await rowsFor(people.member, 'Olga Owner')
      expect(rows).toMatchObject([
        { id: ours.user.id, email: ours.user.email, organization_id: ours.organizationId },
        { email: null, organization_id: null },
      ])
      expect(await rowsFor(people.service_role, 'Olga Owner')).toHaveLength(2)
    })

    it('finds at most twenty in all', async () => {
      await project.superuser.unsafe(`
        set session_replication_role = replica;
        insert into public.profiles (id, full_name) select gen_random_uuid(), 'Tamtam ' || n from generate_series(1, 30) n;
        reset session_replication_role`)
      expect(await rowsFor(people.stranger, 'tamtam')).toHaveLength(20)
      await project.sql`delete from public.profiles where full_name ~ 'Tamtam'`
    })
  })

  it.each(['%', '_', '\\', '%_%', '\\%'])('takes %s literally', async (special) => {
    const { user } = await createTenant(project, { metadata: { full_name: `special ${special} sign` } })
    await createTenant(project, { metadata: { full_name: 'special x sign' } })
    const query = `special ${special} s`
    expect(await search(people.service_role, query)).toEqual([user.id])
    await project.auth`delete from users where id = ${user.id}`
    expect(await search(people.service_role, query), 'nothing else matches').toEqual([])
  })

  it('finds one or two letters where a word begins with them', async () => {
    const { user } = await createTenant(project, {
      email: 'yolanda@wqx.example',
      metadata: { full_name: 'Jörg Ödegaard' },
    })
    for (const query of ['öd', 'wq', 'Ö'])
      expect(await search(people.service_role, query), query).toContain(user.id)
    await project.auth`delete from users where id = ${user.id}`
  })

  it('shows words that begin with the text before those that only have it, when very many do', async () => {
    await project.superuser.unsafe(`
      set session_replication_role = replica;
      insert into public.profiles (id, full_name) select gen_random_uuid(), 'Xannabel ' || n from generate_series(1, 400) n;
      insert into public.profiles (id, full_name) values (gen_random_uuid(), 'Zoe-Annabel');
      reset session_replication_role`)
    const found = await runAs(
      project.api,
      people.service_role,
      (tx) => tx<{ full_name: string }[]>`select full_name from public.search_profiles('annabel')`,
    )
    expect(found[0]?.full_name).toBe('Zoe-Annabel')
    await project.sql`delete from public.profiles where full_name ~ 'annabel'`
  })

  it.each(['', '   ', '\t', '%'])(
    'finds nobody for a query without a letter or a digit (%j)',
    async (query) => {
      expect(await search(people.service_role, query)).toEqual([])
    },
  )

  it('gives the 20 best, an exact match first', async () => {
    for (let index = 0; index < 25; index++)
      await createTenant(project, { metadata: { full_name: `Crowd Member ${index}` } })
    const exact = await createTenant(project, { email: null, metadata: { full_name: 'Crowd Member' } })
    const found = await search(people.service_role, 'Crowd Member')
    expect(found).toHaveLength(20)
    expect(found[0]).toBe(exact.user.id)
  })

  it('is not for anon', async () => {
    expect(await refusal(search(people.anon, 'Olga'))).toBe('42501')
  })
})
