import type postgres from 'postgres'

/** A login whose end is fixed; its name is without that of the database. */
export interface EndingLogin {
  readonly login: string
  /** ISO 8601. From then on the server refuses its password by itself. */
  readonly endsAt: string
}

const NAME = /^[a-z0-9_]{1,30}$/

/** @throws Error for what could be more than a name or a time: both stand in the statement */
function listOf(logins: readonly EndingLogin[]): string {
  return logins
    .map(({ login, endsAt }) => {
      if (!NAME.test(login)) throw new Error(`${login} is no name of a login`)
      return `('${login}', timestamptz '${new Date(endsAt).toISOString()}')`
    })
    .join(', ')
}

/**
 * A login whose time is over loses its password, and its sessions end; of another one the server refuses the password from then
 * on. One that is not there is left out. Logins that somebody asked for go for good, and what they own becomes the owner's.
 */
const endStatement = (logins: readonly EndingLogin[]) => `do $logins$
declare
  v_login text;
  v_ends_at timestamptz;
begin
  for v_login, v_ends_at in
    select current_database() || '_' || l.login, l.ends_at from (values ${listOf(logins)}) l (login, ends_at)
    where exists (select from pg_roles r where r.rolname = current_database() || '_' || l.login)
  loop
    execute format('alter role %I valid until %L', v_login, v_ends_at);
    if v_ends_at <= now() then
      execute format('alter role %I nologin password null', v_login);
      perform pg_terminate_backend(a.pid) from pg_stat_activity a where a.usename = v_login;
      if starts_with(v_login, current_database() || '_access_') then
        execute format('grant %I to current_user with inherit true, set false', v_login);
        execute format('reassign owned by %I to %I', v_login, current_database() || '_owner');
        execute format('drop owned by %I', v_login);
        execute format('drop role %I', v_login);
      end if;
    end if;
  end loop;
end
$logins$`

/** Wants a session of the role that the provider's API has made, with pg_catalog as its search_path. Safe to repeat. */
export async function endLogins(sql: postgres.Sql, logins: readonly EndingLogin[]): Promise<void> {
  if (logins.length > 0) await sql.unsafe(endStatement(logins))
}
