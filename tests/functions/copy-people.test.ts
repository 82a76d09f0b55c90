import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyPeople } from '../../shared/tenant-database/copy-people.ts'
import { createTenantDatabase, type TenantDatabase } from '../support/tenant-database.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const PEOPLE = {
  organization: { id: ID, name: 'Acme', slug: 'acme', plan: 'free' },
  users: [{ id: ID, email: 'ada@example.com', full_name: 'Ada', avatar_url: null, role: 'owner' }],
  subscription: { plan: 'free', status: 'none', stripe_subscription_id: null },
}
const HISTORY = `create table public.subscription_history (organization_id uuid, plan text, status text,
  stripe_subscription_id text, ended_at timestamptz)`

let database: TenantDatabase
let schema: postgres.Sql
beforeAll(async () => {
  database = await createTenantDatabase(['schema'])
  schema = database.connect('schema')
})
afterAll(async () => {
  await schema?.end({ timeout: 1 })
  await database?.drop()
})

describe('the copy of an organization and its members', () => {
  it('leaves out the tables that the files of a project do not make', async () => {
    expect(await copyPeople(schema, PEOPLE)).toEqual({ ok: true, value: undefined })
    await database.admin.unsafe(`set role ${database.name}_owner; ${HISTORY}; reset role`)
    for (const _again of [1, 2])
      expect(await copyPeople(schema, PEOPLE)).toEqual({ ok: true, value: undefined })
    expect(await database.admin`select plan, status from public.subscription_history`).toEqual([
      { plan: 'free', status: 'none' },
    ])
  })
})
