import type postgres from 'postgres'
import { failed, type Result, success } from '../../../kernel/result.ts'
import { failure } from './failures.ts'

/** The tenant's own logins, and the endpoint's. Our login `schema` works only under the lease of a job, and `health` sees no data. */
const OF_THE_TENANT = `starts_with(%s, current_database() || '_')
  and %s <> all (array[current_database() || '_schema', current_database() || '_health'])`
const tenants = (role: string) => OF_THE_TENANT.replaceAll('%s', role)

/** Whoever may connect, apart from those and the role that came with the database, may not any more. */
const CLOSE = `do $close$
declare
  v_role text;
begin
  for v_role in
    select r.rolname from pg_database d, aclexplode(d.datacl) a join pg_roles r on r.oid = a.grantee
    where d.datname = current_database() and a.privilege_type = 'CONNECT' and ${tenants('r.rolname')}
  loop
    execute format('revoke connect on database %I from %I', current_database(), v_role);
  end loop;
end
$close$`

/** Waits for each to end, so that nothing of theirs comes later. */
const END_SESSIONS = `select count(pg_terminate_backend(a.pid, 2000))::integer as found from pg_stat_activity a
  where a.datname = current_database() and a.pid <> pg_backend_pid() and ${tenants('a.usename')}`

/** As it was made: see roles.ts and access-logins.ts. */
const OPEN = `do $open$
declare
  v_role text;
begin
  for v_role in
    select r.rolname from pg_roles r
    where r.rolname = any (array[current_database() || '_owner', current_database() || '_app', current_database() || '_read',
      current_database() || '_graphql']) or starts_with(r.rolname, current_database() || '_access_')
  loop
    execute format('grant connect on database %I to %I', current_database(), v_role);
  end loop;
end
$open$`

const LOOKS = 5

/**
 * Lets nobody of the tenant's in, and ends the sessions that there are. Safe to repeat. Two looks in a row that find none: somebody who
 * was being let in while the right was taken is seen by the second.
 */
export async function closeDatabase(sql: postgres.Sql): Promise<Result<void>> {
  await sql.unsafe(CLOSE)
  let calm = 0
  for (let look = 0; look < LOOKS && calm < 2; look++) calm = (await endSessions(sql)) === 0 ? calm + 1 : 0
  return calm < 2 ? failed(failure('move_not_closed')) : success(undefined)
}

/** @returns how many there were */
export async function endSessions(sql: postgres.Sql): Promise<number> {
  const [row] = await sql.unsafe<{ found: number }[]>(END_SESSIONS)
  return row?.found ?? 0
}

export async function openDatabase(sql: postgres.Sql): Promise<void> {
  await sql.unsafe(OPEN)
}
