import type postgres from 'postgres'
import { z } from 'zod'

/** A login that somebody asked for, which ends by itself. */
export interface AccessLogin {
  /** Without the name of the database. */
  readonly login: string
  readonly role: 'read' | 'app' | 'owner'
  /** ISO 8601. */
  readonly endsAt: string
}

const NAME = /^access_[a-z0-9]{1,20}$/

/** @throws Error for what could be more than a name or a time: both stand in the statement */
function listOf(logins: readonly AccessLogin[]): string {
  return logins
    .map(({ login, role, endsAt }) => {
      if (!NAME.test(login)) throw new Error(`${login} is no name of a login`)
      return `('${login}', '${role}', timestamptz '${new Date(endsAt).toISOString()}')`
    })
    .join(', ')
}

/**
 * Whoever becomes the owner makes things as the owner, so that the login can go: by itself it may do nothing but become that. The
 * passwords are made by the server, as those of the other logins are.
 */
const accessStatement = (logins: readonly AccessLogin[]) => `begin;
do $access$
declare
  v_database text := current_database();
  v_name text;
  v_login text;
  v_role text;
  v_ends_at timestamptz;
  v_password text;
  v_passwords jsonb := '{}';
begin
  for v_name, v_role, v_ends_at in select * from (values ${listOf(logins)}) l (login, role, ends_at) loop
    v_login := v_database || '_' || v_name;
    v_password := 'npg_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    execute format('%s role %I login connection limit 5 password %L valid until %L',
      case when exists (select from pg_roles r where r.rolname = v_login) then 'alter' else 'create' end,
      v_login, v_password, v_ends_at);
    if v_role = 'owner' then
      execute format('grant %I to %I with inherit false, set true', v_database || '_owner', v_login);
      execute format('grant connect on database %I to %I', v_database, v_login);
      execute format('alter role %I set role = %L', v_login, v_database || '_owner');
    else
      execute format('grant %I to %I', v_database || '_' || v_role, v_login);
    end if;
    v_passwords := v_passwords || jsonb_build_object(v_name, v_password);
  end loop;
  perform set_config('provisioning.passwords', v_passwords::text, true);
end
$access$;
select current_setting('provisioning.passwords')::jsonb as passwords`

const END = 'commit'

const passwordRow = z.object({ passwords: z.record(z.string().regex(NAME), z.string()) })

/**
 * Makes these logins, or gives those that are there other passwords, in one transaction. Wants a session of the role that the
 * provider's API has made, with pg_catalog as its search_path.
 * @param keep gets the passwords before they are valid; when it throws, they never become so
 */
export async function makeAccessLogins(
  sql: postgres.Sql,
  logins: readonly AccessLogin[],
  keep: (passwords: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  const results: unknown[][] = await sql.unsafe(accessStatement(logins))
  await keep(passwordRow.parse(results.flat()[0]).passwords)
  await sql.unsafe(END)
}
