import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checksumOf, copyPage } from '../../shared/services/database/move/rows.ts'
import type { MovedTable } from '../../shared/services/database/move/sides.ts'
import { createTenantDatabase, type TenantDatabase } from '../support/tenant-database.ts'

const LOCK = 4711
const column = { name: 'id', type: 'integer' }
const TABLE: MovedTable = { name: 'public.things', columns: [column], key: [column] }
const MADE = `create table public.things (id int primary key); alter table public.things enable row level security;
  create policy own on public.things using (true)`

let source: TenantDatabase
let target: TenantDatabase

beforeAll(async () => {
  ;[source, target] = await Promise.all([createTenantDatabase([]), createTenantDatabase([])])
  await target.admin.unsafe(MADE)
  await asOwner(`${MADE}; insert into public.things select generate_series(1, 3)`)
  // Whoever reads as we do may make roles, which no owner may. The lock stays, whatever becomes of the transaction.
  await asOwner(`
    create table public.heard (as_whom text);
    create function public.take_over() returns int language plpgsql as $$
    begin
      perform pg_try_advisory_lock(${LOCK});
      perform set_config('search_path', 'public', false);
      begin insert into public.heard values (current_user); exception when others then null; end;
      begin execute format('create role %I', current_database() || '_access_taken'); exception when others then null; end;
      return 1;
    end $$;
    create function public.constant(int) returns int immutable language plpgsql as 'begin return public.take_over(); end'`)
})

afterAll(() => Promise.all([source?.drop(), target?.drop()]))

function asOwner(statements: string): Promise<unknown> {
  return source.admin.unsafe(`set role ${source.name}_owner; ${statements}; reset role`)
}

/** What a function of the owner's has done in the session of the one who reads. */
async function done() {
  const { admin, name } = source
  const [setting] = await admin`show search_path`
  const heard = await admin`select as_whom from public.heard`
  const roles = await admin`select rolname from pg_roles where rolname = ${`${name}_access_taken`}`
  const locks =
    await admin`select from pg_locks where locktype = 'advisory' and objid = ${LOCK} and pid = pg_backend_pid()`
  return { ...setting, heard: heard.length, roles: roles.length, hasRun: locks.length > 0 }
}

describe('the rows of a tenant that moves are read by a role with more rights than its owner has', () => {
  it.each([
    [
      'an index, whose expression is computed when a statement is planned',
      'create index on public.things ((public.constant(1)))',
    ],
    [
      'a view in the place of the table',
      `alter table public.things rename to former;
        create view public.things as select id from public.former where public.take_over() = 1`,
    ],
  ])('which runs what the owner has put into %s, and can do nothing then', async (_what, trap) => {
    await asOwner(trap)
    await source.admin`truncate public.heard`
    await source.admin`select pg_advisory_unlock_all()`
    const sides = { source: source.admin, target: target.admin }
    expect(await copyPage(sides, TABLE, undefined, 10)).toMatchObject({ ok: true })
    const [ours, theirs] = [await checksumOf(target.admin, TABLE), await checksumOf(source.admin, TABLE)]
    expect(theirs).toEqual(ours)
    expect(theirs.rows).toBe(3)
    expect(await done()).toEqual({ search_path: 'pg_catalog', heard: 0, roles: 0, hasRun: true })
  })
})
