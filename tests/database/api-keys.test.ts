import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runAs } from '../support/roles.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let tenant: Tenant

beforeAll(async () => {
  project = await openProject()
})

afterAll(() => project?.close())

beforeEach(async () => {
  tenant = await createTenant(project)
})

interface Made {
  readonly id: string
  readonly key: string
  readonly prefix: string
}

const asOwner = <T>(work: Parameters<typeof runAs<T>>[2]) =>
  runAs(project.api, { role: 'authenticated', userId: tenant.user.id }, work)

const create = async (scope = 'read', expiresAt: string | null = null): Promise<Made> =>
  asOwner(async (tx) =>
    only(
      await tx<{ made: Made }[]>`
        select public.create_api_key(${tenant.organizationId}, 'Website', ${scope}, ${expiresAt}) as made`,
    ),
  ).then(({ made }) => made)

const hashOf = (key: string) => createHash('sha256').update(key).digest()

/** As the endpoint asks. */
const use = async (key: string, prefix = key.slice(0, 12)) =>
  only(
    await project.sql<{ id: string | null; endedAt: Date | null }[]>`
      select id, ended_at as "endedAt" from provisioning.use_api_key(${prefix}, ${hashOf(key)})`,
  )

const audited = async () =>
  (
    await project.sql<{ entry: Record<string, unknown> }[]>`
      select to_jsonb(a) as entry from public.audit_logs a
      where organization_id = ${tenant.organizationId} and action like 'api_key.%' order by created_at`
  ).map(({ entry }) => entry)

describe('a new key', () => {
  it('has a checksum by which a typo shows', async () => {
    const { key } = await create()
    expect(key).toMatch(/^tdk_[0-9a-f]{48}$/)
    expect(key.slice(-8)).toBe(createHash('sha256').update(key.slice(0, -8)).digest('hex').slice(0, 8))
  })

  it('is shown once: no row holds it, and its owner cannot read the hash', async () => {
    const { key, prefix } = await create()
    const held = only(
      await project.sql<{ row: string; audit: string; calls: string }[]>`
        select (select jsonb_agg(to_jsonb(k))::text from public.tenant_api_keys k) as row,
          (select jsonb_agg(to_jsonb(a))::text from public.audit_logs a) as audit,
          (select jsonb_agg(to_jsonb(c))::text from provisioning.counted_calls c) as calls`,
    )
    for (const text of Object.values(held)) expect(text).not.toContain(key.slice(12, 44))
    expect(held.row).toContain(prefix)
    expect(await refusal(asOwner((tx) => tx`select hash from public.tenant_api_keys`))).toBe('42501')
  })

  it('opens with exactly its text', async () => {
    const { id, key, prefix } = await create()
    const other = await create()
    expect(await use(key)).toMatchObject({ id, endedAt: null })
    expect(await use(other.key, prefix)).toMatchObject({ id: null })
    expect(await use(key.replace(/.$/, (last) => (last === '0' ? '1' : '0')))).toMatchObject({ id: null })
    expect(await use(key.slice(0, -1))).toMatchObject({ id: null })
  })

  it.each([
    ['without a name', `'', 'read'`],
    ['with a name of two lines', `e'one\\ntwo', 'read'`],
    ['with a name of 101 characters', `repeat('x', 101), 'read'`],
    ['with another scope', `'Website', 'admin'`],
    ['that has expired', `'Website', 'read', now() - interval '1 second'`],
    ['that may do nothing', `'Website', 'read', null, 0`],
  ])('is not made %s', async (_what, wishes) => {
    const call = asOwner((tx) =>
      tx.unsafe(`select public.create_api_key('${tenant.organizationId}', ${wishes})`),
    )
    expect(await refusal(call)).toBe('TP422')
    expect(await audited()).toEqual([])
  })
})

describe('a key', () => {
  it('that is replaced stays valid for the grace, beside the new one, and is replaced once', async () => {
    const old = await create('write')
    const reroll = () =>
      asOwner(async (tx) =>
        only(await tx<{ made: Made }[]>`select public.reroll_api_key(${old.id}, 2) as made`),
      )
    const { made } = await reroll()
    expect(made).toMatchObject({ scope: 'write', name: 'Website' })
    expect((await use(made.key)).endedAt).toBeNull()
    const { endedAt } = await use(old.key)
    expect(Math.abs((endedAt?.getTime() ?? 0) - Date.now() - 7_200_000)).toBeLessThan(60_000)
    expect(await refusal(reroll())).toBe('TP441')
  })

  it('that is revoked has ended, and cannot be renamed, replaced or revoked again', async () => {
    const { id, key } = await create()
    await asOwner((tx) => tx`select public.revoke_api_key(${id})`)
    expect((await use(key)).endedAt?.getTime()).toBeLessThanOrEqual(Date.now())
    for (const call of [
      `rename_api_key('${id}', 'New')`,
      `reroll_api_key('${id}')`,
      `revoke_api_key('${id}')`,
    ])
      expect(await refusal(asOwner((tx) => tx.unsafe(`select public.${call}`))), call).toBe('TP441')
  })

  it('says when it was used last, written once a minute at most and not after its end', async () => {
    const { id, key } = await create()
    const lastUsed = async () =>
      only(
        await project.sql<{ at: Date | null; xmin: string }[]>`
        select last_used_at as at, xmin::text from public.tenant_api_keys where id = ${id}`,
      )
    expect((await lastUsed()).at).toBeNull()
    await use(key)
    const first = await lastUsed()
    expect(first.at).not.toBeNull()
    await use(key)
    expect(await lastUsed()).toEqual(first)
    await project.sql`update public.tenant_api_keys set last_used_at = now() - interval '61 seconds' where id = ${id}`
    await use(key)
    expect((await lastUsed()).at?.getTime()).toBeGreaterThanOrEqual(first.at?.getTime() ?? Number.NaN)
    await project.sql`update public.tenant_api_keys set last_used_at = null, revoked_at = now() where id = ${id}`
    await use(key)
    expect((await lastUsed()).at).toBeNull()
  })

  it('goes with its organization', async () => {
    const { key } = await create()
    await project.sql`delete from public.organizations where id = ${tenant.organizationId}`
    expect(await use(key)).toMatchObject({ id: null })
  })

  it('that ended long ago is forgotten', async () => {
    const [old, young] = [await create(), await create()]
    await project.sql`update public.tenant_api_keys set revoked_at = now() - case id when ${old.id} then interval '401 days'
      else interval '399 days' end where id = any (${[old.id, young.id]})`
    for (let round = 0; round < 3; round++) await project.sql`select provisioning.apply_retention()`
    expect(
      (
        await project.sql`select id from public.tenant_api_keys where organization_id = ${tenant.organizationId}`
      ).map(({ id }) => id),
    ).toEqual([young.id])
  })
})

it('each act on a key is in the audit log, with who did it and without the key and its name', async () => {
  const made = await create('write')
  await asOwner((tx) => tx`select public.rename_api_key(${made.id}, 'Shop of Olga')`)
  await asOwner((tx) => tx`select public.reroll_api_key(${made.id}, 0.5)`)
  await asOwner(
    (tx) => tx`select public.revoke_api_key((
    select id from public.tenant_api_keys where replaced_by is null and organization_id = ${tenant.organizationId}))`,
  )
  const entries = await audited()
  expect(entries.map(({ action }) => action)).toEqual([
    'api_key.created',
    'api_key.renamed',
    'api_key.rerolled',
    'api_key.revoked',
  ])
  for (const entry of entries) expect(entry).toMatchObject({ actor_type: 'user', actor_id: tenant.user.id })
  expect(JSON.stringify(entries)).not.toMatch(/Shop|Website|tdk_[0-9a-f]{9}/)
})

it('an organization has as many keys as the settings allow, ended ones not counted', async () => {
  await project.sql`update provisioning.settings set keys_per_organization = 2`
  const first = await create()
  await create()
  expect(await refusal(create())).toBe('TP422')
  await asOwner((tx) => tx`select public.revoke_api_key(${first.id})`)
  await create()
  await project.sql`update provisioning.settings set keys_per_organization = default`
})

it('its people may act on keys as often as the settings allow', async () => {
  await project.sql`update provisioning.settings set key_acts_per_minute = 2`
  await create()
  await create()
  expect(await refusal(create())).toBe('TP429')
  await project.sql`update provisioning.settings set key_acts_per_minute = default`
})
