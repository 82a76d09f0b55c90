import { readdir, readFile } from 'node:fs/promises'
import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { Undo, unlessUndone } from './cast.ts'
import { openProject, type Project } from './project.ts'

const migrations = new URL('../../supabase/migrations/', import.meta.url)
const OURS = [PUBLIC_SCHEMA, 'provisioning']

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

/** Names of what breaks a rule; a test expects none. */
async function offenders(query: Promise<{ name: string }[]>): Promise<string[]> {
  return (await query).map(({ name }) => name)
}

describe('every function', () => {
  it("sets search_path to ''", async () => {
    expect(
      await offenders(project.sql`
        select oid::regprocedure::text as name from pg_proc
        where pronamespace::regnamespace::text = any (${OURS})
          and not coalesce(proconfig @> array['search_path=""'], false)`),
    ).toEqual([])
  })

  it('is executable by name only, not by PUBLIC or anon', async () => {
    expect(
      await offenders(project.sql`
        select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace::regnamespace::text = any (${OURS})
          and (has_function_privilege('anon', p.oid, 'execute') or exists (
            select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0))`),
    ).toEqual([])
  })

  it('that is security definer lives outside the schema that the Data API exposes', async () => {
    expect(
      await offenders(project.sql`
        select oid::regprocedure::text as name from pg_proc where pronamespace = ${PUBLIC_SCHEMA}::regnamespace and prosecdef`),
    ).toEqual([])
  })

  it('that users may call says in a comment what it does', async () => {
    expect(
      await offenders(project.sql`
        select oid::regprocedure::text as name from pg_proc
        where pronamespace = ${PUBLIC_SCHEMA}::regnamespace and obj_description(oid, 'pg_proc') is null`),
    ).toEqual([])
  })
})

describe('every table', () => {
  it('has row-level security', async () => {
    expect(
      await offenders(project.sql`
        select oid::regclass::text as name from pg_class
        where relkind in ('r', 'p') and relnamespace::regnamespace::text = any (${OURS}) and not relrowsecurity`),
    ).toEqual([])
  })

  it('has a primary key', async () => {
    expect(
      await offenders(project.sql`
        select c.oid::regclass::text as name from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text = any (${OURS})
          and not exists (select from pg_constraint p where p.conrelid = c.oid and p.contype = 'p')`),
    ).toEqual([])
  })

  it('has checks with names that say what they ask for', async () => {
    expect(
      await offenders(project.sql`
        select conrelid::regclass || '.' || conname as name from pg_constraint
        where contype = 'c' and connamespace = ${PUBLIC_SCHEMA}::regnamespace and conname ~ '_check[0-9]*$'`),
    ).toEqual([])
  })

  it('keeps times with their zone', async () => {
    expect(
      await offenders(project.sql`
        select attrelid::regclass || '.' || attname as name from pg_attribute join pg_class c on c.oid = attrelid
        where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text = any (${OURS})
          and atttypid = 'timestamp'::regtype`),
    ).toEqual([])
  })
})

it('every view runs with the rights of who asks', async () => {
  expect(
    await offenders(project.sql`
      select oid::regclass::text as name from pg_class
      where relkind = 'v' and relnamespace = ${PUBLIC_SCHEMA}::regnamespace
        and not coalesce(reloptions::text[] && array['security_invoker=true', 'security_invoker=on'], false)`),
  ).toEqual([])
})

it('every foreign key has an index that begins with its columns', async () => {
  expect(
    await offenders(project.sql`
      select k.conrelid::regclass || '.' || k.conname as name from pg_constraint k
      where k.contype = 'f' and k.connamespace::regnamespace::text = any (${OURS}) and k.conparentid = 0
        and not exists (
          select from pg_index i where i.indrelid = k.conrelid and i.indpred is null
            and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)`),
  ).toEqual([])
})

it('no two indexes serve the same columns', async () => {
  expect(
    await offenders(project.sql`
      select min(indexrelid::regclass::text) as name from pg_index join pg_class c on c.oid = indrelid
      where c.relnamespace::regnamespace::text = any (${OURS})
      group by indrelid, regexp_replace(pg_get_indexdef(indexrelid), '^CREATE (UNIQUE )?INDEX \\S+ ', '')
      having count(*) > 1`),
  ).toEqual([])
})

it('no grant or policy names PUBLIC', async () => {
  expect(
    await offenders(project.sql`
      select tablename || ': ' || policyname as name from pg_policies
      where schemaname = any (${OURS}) and roles && '{public,anon}'
      union all
      select c.oid::regclass || ': ' || a.privilege_type from pg_class c, aclexplode(c.relacl) a
      where c.relnamespace::regnamespace::text = any (${OURS}) and (a.grantee = 0 or a.grantee = 'anon'::regrole)`),
  ).toEqual([])
})

it('a migration that makes a table in public also gives it RLS and its grants', async () => {
  const files = (await readdir(migrations)).filter((name) => name.endsWith('.sql'))
  expect(files.length).toBeGreaterThan(0)
  const missing: string[] = []
  let tables = 0
  for (const name of files) {
    const sql = await readFile(new URL(name, migrations), 'utf8')
    for (const [, table = ''] of sql.matchAll(
      new RegExp(String.raw`create table (?:if not exists )?${PUBLIC_SCHEMA}\.(\w+)(?! partition of)\b`, 'g'),
    )) {
      tables++
      if (!sql.includes(`alter table ${PUBLIC_SCHEMA}.${table} enable row level security`))
        missing.push(`${table}: RLS`)
      if (!sql.includes(`revoke all on ${PUBLIC_SCHEMA}.${table} from anon, authenticated, service_role`))
        missing.push(`${table}: revoke`)
      if (!new RegExp(`grant [\\s\\S]+? on ${PUBLIC_SCHEMA}\\.${table}\\s+to `).test(sql))
        missing.push(`${table}: grant`)
    }
  }
  expect(tables).toBeGreaterThan(0)
  expect(missing).toEqual([])
})

describe('Realtime', () => {
  /** What it may send, with what it tells of a deleted row. */
  const SENT = {
    organizations: ['id'],
    provisioning_jobs: ['id'],
    provisioning_steps: ['job_id', 'step'],
    tenant_alerts: ['id'],
  }

  const sent = async () => {
    const rows = await project.sql<{ name: string; deleted: string[] }[]>`
      select c.relname as name, array(
        select a.attname from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and (c.relreplident = 'f' or exists (
          select from pg_index i where i.indrelid = c.oid and a.attnum = any (i.indkey)
            and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident end))
        order by a.attnum)::text[] as deleted
      from pg_publication_tables p join pg_class c on c.oid = format('%I.%I', p.schemaname, p.tablename)::regclass
      where p.pubname = 'supabase_realtime' order by 1`
    return Object.fromEntries(rows.map(({ name, deleted }) => [name, deleted]))
  }

  it('sends how tenants stand and what is wrong, and of a deleted row nothing but its primary key', async () => {
    expect(await sent()).toEqual(SENT)
  })

  it.each([
    ['there is no publication', ''],
    ['it is for all tables', 'create publication supabase_realtime for all tables'],
    ['it belongs to somebody else', 'create publication supabase_realtime; set local role postgres'],
  ])('is left alone where %s', async (_where, statement) => {
    const migration = await readFile(new URL('20260101001500_realtime.sql', migrations), 'utf8')
    let added: readonly unknown[] = []
    await project.superuser
      .begin(async (tx) => {
        await tx`drop publication supabase_realtime`
        await tx.unsafe(statement)
        await tx.unsafe(migration)
        added = await tx`select from pg_publication_rel`
        throw new Undo()
      })
      .catch(unlessUndone)
    expect(added).toEqual([])
  })

  it('is shown in the docs with tables and columns that it sends', async () => {
    const text = await readFile(new URL('../../docs/realtime.md', import.meta.url), 'utf8')
    const shown = [...text.matchAll(/table: '(\w+)', filter: `(\w+)=eq/g)].map(
      ([, table = '', column = '']) => ({
        table,
        column,
      }),
    )
    const rows = [...text.matchAll(/^\| `(\w+)` \| `(\w+)=eq/gm)].map(([, table = '', column = '']) => ({
      table,
      column,
    }))
    expect(rows.map(({ table }) => table)).toEqual(Object.keys(SENT))
    for (const each of [...shown, ...rows])
      expect(
        await project.sql`select from pg_publication_tables where pubname = 'supabase_realtime'
          and schemaname = ${PUBLIC_SCHEMA} and tablename = ${each.table} and ${each.column} = any (attnames)`,
      ).toHaveLength(1)
    expect(shown).toHaveLength(2)
  })
})

it('no column of a table that people read goes when the schema of the engine is dropped, with all that depends on it', async () => {
  const columns = (sql: postgres.ISql) =>
    sql`select attrelid::regclass || '.' || attname as name from pg_attribute join pg_class c on c.oid = attrelid
      where c.relkind in ('r', 'p') and c.relnamespace = ${PUBLIC_SCHEMA}::regnamespace and attnum > 0 and not attisdropped
      order by 1`
  const before = await columns(project.sql)
  expect(before.length).toBeGreaterThan(100)
  const dropped = project.sql.begin(async (sql) => {
    await sql`set local client_min_messages = 'error'`
    await sql`drop schema provisioning cascade`
    expect([...(await columns(sql))]).toEqual([...before])
    throw new Undo()
  })
  await dropped.catch(unlessUndone)
})
