import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type SchemaFile, tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { bundleTenantSchema } from '../../tools/tenant-schema/bundle.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: postgres.Sql

const connect = () => postgres(database.url(), { max: 1, onnotice: () => undefined })

beforeAll(async () => {
  database = await createTestDatabase('platform')
  sql = connect()
})

afterAll(async () => {
  await sql?.end({ timeout: 1 })
  await database?.drop()
})

// A tenant's database as Neon hands it over: empty but for the schema public.
beforeEach(async () => {
  await sql`drop schema if exists provisioning cascade`
  await sql`drop schema if exists public cascade`
  await sql`create schema public`
})

const one: SchemaFile = { version: 1, name: '0001_one.sql', sql: 'create table public.one (id int)' }
const two: SchemaFile = { version: 2, name: '0002_two.sql', sql: 'create table public.two (id int)' }

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
    expect(await tables()).toEqual(['activity', 'records', 'settings'])
  })

  it('is applied once, however often it is asked for', async () => {
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
    const times = await sql`select version, applied_at from provisioning.schema_migrations`
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
    expect(await sql`select version, applied_at from provisioning.schema_migrations`).toEqual(times)
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
    await sql`insert into public.one values (7)`
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
    expect(await sql`select id from public.one`).toMatchObject([{ id: 7 }])
  })

  it('is refused when a file that was applied has changed, and the later ones are not applied', async () => {
    await applyTenantSchema(sql, [one])
    const outcome = await applyTenantSchema(sql, [{ ...one, sql: `${one.sql};` }, two])
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'tenant_schema_changed', retryable: false } })
    expect(outcome.ok ? '' : outcome.failure.message).toContain('0001_one.sql')
    expect(await tables()).toEqual(['one'])
  })

  it('keeps nothing of a file that fails in the middle, and goes on from there when it is mended', async () => {
    const broken = { ...two, sql: `${two.sql}; select 1 / 0` }
    const outcome = await applyTenantSchema(sql, [one, broken])
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'tenant_schema_failed', retryable: false } })
    expect(outcome.ok ? '' : outcome.failure.message).toMatch(/0002_two\.sql: division by zero/)
    expect(await tables()).toEqual(['one'])
    expect(await applied()).toEqual([1])
    expect(await applyTenantSchema(sql, [one, two])).toEqual({ ok: true, value: 2 })
  })

  it('throws, so that it is tried again, when the connection goes away in the middle', async () => {
    const other = connect()
    const dying = { ...one, sql: `${one.sql}; select pg_terminate_backend(pg_backend_pid())` }
    await expect(applyTenantSchema(other, [dying])).rejects.toThrow()
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
