import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { type SchemaFile, tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { bundleTenantSchema } from '../../tools/tenant-schema/bundle.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/project.ts'
import { makeRolesOf } from '../support/tenant-logins.ts'

let database: TestDatabase
let password: string
/** As the one that makes the roles. */
let admin: postgres.Sql
/** As the login `schema`. */
let sql: postgres.Sql

const OPTIONS = { max: 1, onnotice: () => undefined, connection: { search_path: 'pg_catalog' } }
const connect = () => postgres(database.url(), { ...OPTIONS, username: `${database.name}_schema`, password })

beforeAll(async () => {
  database = await createTestDatabase('platform')
  admin = postgres(database.url('supabase_admin'), OPTIONS)
  password = (await makeRolesOf(admin, ['schema'])).schema ?? ''
  sql = connect()
})

afterAll(async () => {
  await sql?.end({ timeout: 1 })
  const roles = await admin`select rolname as name from pg_roles where starts_with(rolname, ${database.name})`
  await admin.end({ timeout: 1 })
  await database.drop()
  const server = postgres(databaseUrl(inject('postgresPort'), 'template1', SUPERUSER), OPTIONS)
  await server.unsafe(`drop role ${roles.map(({ name }) => name).join(', ')}`)
  await server.end({ timeout: 1 })
})

// A tenant's database as the step `credentials` leaves it: empty but for roles and the record.
beforeEach(async () => {
  await admin`drop schema if exists provisioning cascade`
  await admin`drop schema if exists public, tenant cascade`
  await admin`create schema public`
  await makeRolesOf(admin, [])
})

const table = (name: string) =>
  `create table public.${name} (id int); alter table public.${name} enable row level security;
   create policy own on public.${name} using (true)`
const one: SchemaFile = { version: 1, name: '0001_one.sql', sql: table('one') }
const two: SchemaFile = { version: 2, name: '0002_two.sql', sql: table('two') }

async function tables(): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`
  return rows.map(({ name }) => name)
}

async function applied(): Promise<number[]> {
  const rows = await sql<{ version: number }[]>`
    select version from provisioning.schema_migrations order by version`
  return rows.map(({ version }) => version)
}

describe('the tenant schema', () => {
  it('that is shipped applies to an empty database', async () => {
    expect(await applyTenantSchema(sql)).toEqual({ ok: true, value: tenantSchemaFiles.length })
    expect(await tables()).toHaveLength(21)
  })

  it('is applied once, however often it is asked for', async () => {
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
    const times = await sql`select version, applied_at from provisioning.schema_migrations`
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
    expect(await sql`select version, applied_at from provisioning.schema_migrations`).toEqual(times)
  })

  it('is the owner’s, whom the login that applies it becomes for no longer than a file', async () => {
    const roles: SchemaFile = {
      ...{ version: 1, name: '0001_roles.sql' },
      sql: `${table('roles')}; alter table public.roles add role text; insert into public.roles values (1, current_user)`,
    }
    await applyTenantSchema(sql, [roles])
    const [row] =
      await admin`select role, tableowner as owner from public.roles, pg_tables where tablename = 'roles'`
    expect(row).toEqual({ role: `${database.name}_owner`, owner: `${database.name}_owner` })
    expect(await sql`select current_user::text as role`).toEqual([{ role: `${database.name}_schema` }])
  })

  it('is applied once by two workers at the same time', async () => {
    const slow = { ...one, sql: `select pg_sleep(0.2); ${one.sql}` }
    const other = connect()
    try {
      const outcomes = await Promise.all([sql, other].map((each) => applyTenantSchema(each, [slow, two])))
      expect(outcomes).toEqual([
        { ok: true, value: 2 },
        { ok: true, value: 2 },
      ])
    } finally {
      await other.end({ timeout: 1 })
    }
    expect(await applied()).toEqual([1, 2])
  })

  it('brings a database that has the first files to the newest version', async () => {
    await applyTenantSchema(sql, [one])
    await admin`insert into public.one values (7)`
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
    expect(await admin`select id from public.one`).toMatchObject([{ id: 7 }])
  })

  it('is refused when a file that was applied has changed, and the later ones are not applied', async () => {
    await applyTenantSchema(sql, [one])
    const outcome = await applyTenantSchema(sql, [{ ...one, sql: `${one.sql};` }, two])
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'tenant_schema_changed', retryable: false } })
    expect(outcome.ok ? '' : outcome.failure.message).toContain('0001_one.sql')
    expect(await tables()).toEqual(['one'])
  })

  it('is applied to a new database as a whole or not at all', async () => {
    const outcome = await applyTenantSchema(sql, [one, { ...two, sql: `${two.sql}; select 1 / 0` }])
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'tenant_schema_failed', retryable: false } })
    expect(outcome.ok ? '' : outcome.failure.message).toMatch(/0002_two\.sql: division by zero/)
    expect(await tables()).toEqual([])
    expect(await applied()).toEqual([])
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
  })

  it.each([
    ['without row level security', 'create table public.bare (id int)'],
    [
      'without a policy',
      'create table public.bare (id int); alter table public.bare enable row level security',
    ],
    ['by partitions', 'create table public.bare (id int) partition by list (id)'],
  ])('with a table %s fails and names it, and nothing of the file stays', async (_what, bare) => {
    await applyTenantSchema(sql, [one])
    const outcome = await applyTenantSchema(sql, [one, { ...two, sql: `${two.sql}; ${bare}` }])
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code: 'tenant_schema_unprotected', retryable: false },
    })
    expect(outcome.ok ? '' : outcome.failure.message).toContain('(bare)')
    expect(await tables()).toEqual(['one'])
    expect(await applied()).toEqual([1])
  })

  it('is not proved sound when the owner has made a table that is open', async () => {
    await applyTenantSchema(sql, [one])
    await admin`create table public.bare (id int)`
    expect(await applyTenantSchema(sql, [one])).toMatchObject({
      ok: false,
      failure: { code: 'tenant_schema_unprotected' },
    })
    await admin`drop table public.bare`
    expect(await applyTenantSchema(sql, [one])).toEqual({ ok: true, value: 1 })
  })

  it('keeps nothing of a later file that fails in the middle, and goes on from there when it is mended', async () => {
    const broken = { ...two, sql: `${two.sql}; select 1 / 0` }
    await applyTenantSchema(sql, [one])
    const outcome = await applyTenantSchema(sql, [one, broken])
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'tenant_schema_failed', retryable: false } })
    expect(outcome.ok ? '' : outcome.failure.message).toMatch(/0002_two\.sql: division by zero/)
    expect(await tables()).toEqual(['one'])
    expect(await applied()).toEqual([1])
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
  })

  it('throws, so that it is tried again, when the connection goes away in the middle', async () => {
    const other = connect()
    const dying = { ...one, sql: `${one.sql}; select pg_sleep(30)` }
    const outcome = expect(applyTenantSchema(other, [dying])).rejects.toThrow()
    await until('killed backend', async () => {
      const killed = await admin`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'`
      return killed[0]
    })
    await outcome
    await other.end({ timeout: 1 })
    expect(await applyTenantSchema(sql, [one])).toEqual({ ok: true, value: 1 })
  })

  it('of a database that is ahead of this deployment is told as it is', async () => {
    await applyTenantSchema(sql, [one, two])
    expect(await applyTenantSchema(sql, [one])).toEqual({ ok: true, value: 2 })
  })
})

describe('bundling a folder', () => {
  async function bundled(files: Readonly<Record<string, string>>): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), 'tenant-schema-'))
    try {
      for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text)
      return await bundleTenantSchema(folder)
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it('keeps every sign of the SQL', async () => {
    const placeholder = ['$', '{a}'].join('')
    const text = `select "x", '\\d', '\`', $$ ${placeholder} $$, '\\${placeholder}'\n`
    const source = await bundled({ '0001_a.sql': text })
    const literal = /sql: (`[\s\S]*`),\n {2}},/.exec(source)?.[1] ?? ''
    expect(new Function(`return ${literal}`)()).toBe(text)
  })

  it.each([
    ['a gap', { '0001_a.sql': '', '0003_c.sql': '' }, /0003_c\.sql.*expected 2/],
    ['two files of one number', { '0001_a.sql': '', '0001_b.sql': '' }, /0001_b\.sql/],
    ['a name without a number', { 'first.sql': '' }, /first\.sql/],
  ])('refuses %s and names the file', async (_what, files, message) => {
    await expect(bundled(files)).rejects.toThrow(message)
  })
})
