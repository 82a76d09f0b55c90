import type postgres from 'postgres'
import { z } from 'zod'
import type { TenantAddress } from './address.ts'

/**
 * Who there is in a tenant's database. Each role is called after the database, such as `tenant_…_app`, so that these
 * statements are the same for every tenant. The role that the provider's API has made is ours alone: it bypasses row level
 * security and reads everything, so it makes what follows and does nothing else, and never runs what a tenant could have written.
 *
 * - `owner`, which nobody logs in as, owns what the tenant has. `app` reads and writes it under row level security, `read` reads it.
 * - The login `schema` of ours becomes the owner while it applies a file of the tenant schema, and keeps the record of them.
 * - The login `health` of ours sees statistics and no data.
 * - The login `graphql` of ours has no rights. Each request of the GraphQL endpoint becomes `app` or `read` in its transaction.
 * - The login `app_1` is what people are shown. It is a member of `app`, owns nothing, and cannot change the schema. A rotation
 *   shows `app_2` in its place, and the next one `app_1` again.
 */
export const OUR_LOGINS = ['schema', 'health', 'graphql'] as const
export const ENDPOINT_LOGIN = 'graphql' satisfies (typeof OUR_LOGINS)[number]
export const SHOWN_LOGINS = ['app_1', 'app_2'] as const
export type ShownLogin = (typeof SHOWN_LOGINS)[number]
export type Login = (typeof OUR_LOGINS)[number] | ShownLogin
/** Those of a new database. */
export const LOGINS = [...OUR_LOGINS, 'app_1'] as const satisfies readonly Login[]

/** Which of the two people are shown. */
export function shownLogin({ databaseName, roleName }: TenantAddress): ShownLogin {
  return roleName === `${databaseName}_app_2` ? 'app_2' : 'app_1'
}

/** The one whose turn is next. */
export function nextLogin(shown: ShownLogin): ShownLogin {
  return shown === 'app_1' ? 'app_2' : 'app_1'
}

/** The name, as an expression of SQL, of what the login `graphql` becomes: it writes and reads under row level security, or reads. */
export function roleOf(scope: 'read' | 'write'): string {
  return `pg_catalog.current_database() || '_${scope === 'write' ? 'app' : 'read'}'`
}

/** Where to log in as one of them. */
export function loginAddress<Tenant extends TenantAddress>(tenant: Tenant, login: Login): Tenant {
  return { ...tenant, roleName: `${tenant.databaseName}_${login}` }
}

/**
 * The server makes the passwords up and tells them in its answer, so that no statement that is sent has one in it: what
 * logs, pg_stat_activity and pg_stat_statements keep is the text below. Should a statement fail, its password was never valid.
 * What a login has set for itself goes with its password, since some settings keep it out.
 */
const makeEach = (renewed: readonly Login[], shown: ShownLogin) => `
  foreach v_name in array '{owner,app,read,${[...OUR_LOGINS, shown].join(',')}}'::text[] loop
    v_exists := exists (select from pg_roles where rolname = v_database || '_' || v_name);
    if v_name = any ('{${renewed.join(',')}}'::text[]) then
      v_password := 'npg_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
      execute format('%s role %I login password %L valid until ''infinity''',
        case when v_exists then 'alter' else 'create' end, v_database || '_' || v_name, v_password);
      execute format('alter role %I reset all', v_database || '_' || v_name);
      execute format('alter role %I in database %I reset all', v_database || '_' || v_name, v_database);
      v_passwords := v_passwords || jsonb_build_object(v_name, v_password);
    elsif not v_exists then
      execute format('create role %I', v_database || '_' || v_name);
    end if;
  end loop;
  perform set_config('provisioning.passwords', v_passwords::text, true);`

const grantRoles = (shown: ShownLogin) => `
  execute format('grant %I to %I with inherit false, set true', v_owner, v_schema);
  execute format('grant %I to %I', v_app, v_database || '_${shown}');
  execute format('grant %I, %I to %I with inherit false, set true', v_app, v_read, v_graphql);
  execute format('grant pg_monitor to %I', v_health);`

const GRANT_DATABASE = `
  execute format('revoke all on database %I from public', v_database);
  execute format('grant connect on database %I to %I, %I, %I, %I, %I, %I',
    v_database, v_owner, v_app, v_read, v_schema, v_health, v_graphql);
  execute format('grant create, temporary on database %I to %I', v_database, v_owner);
  revoke all on schema public from public;
  execute format('grant usage on schema public to %I, %I, %I', v_owner, v_app, v_read);
  execute format('grant create on schema public to %I', v_owner);`

/** Of what the owner will make, wherever that is; only somebody who has its rights may say so. */
const GRANT_FUTURE = `
  execute format('grant %I to current_user with inherit true, set false', v_owner);
  foreach v_name in array array[
    format('usage on schemas to %I, %I', v_app, v_read),
    format('select, insert, update, delete on tables to %I', v_app), format('select on tables to %I', v_read),
    format('usage, select on sequences to %I', v_app), format('select on sequences to %I', v_read)]
  loop
    execute format('alter default privileges for role %I grant %s', v_owner, v_name);
  end loop;`

/** In a schema of ours, where nobody else can replace it or put a trigger on it. */
const MAKE_RECORD = `
  create schema if not exists provisioning;
  create table if not exists provisioning.schema_migrations (
    version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now());
  execute format('grant usage on schema provisioning to %I', v_schema);
  execute format('grant select, insert on provisioning.schema_migrations to %I', v_schema);`

const roleStatements = (renewed: readonly Login[], shown: ShownLogin) => `begin;
do $roles$
declare
  v_database text := current_database();
  v_owner text := v_database || '_owner';
  v_app text := v_database || '_app';
  v_read text := v_database || '_read';
  v_schema text := v_database || '_schema';
  v_health text := v_database || '_health';
  v_graphql text := v_database || '_graphql';
  v_name text;
  v_exists boolean;
  v_password text;
  v_passwords jsonb := '{}';
begin${makeEach(renewed, shown)}${grantRoles(shown)}${GRANT_DATABASE}${GRANT_FUTURE}${MAKE_RECORD}
end
$roles$;
select current_setting('provisioning.passwords')::jsonb as passwords`

const END = 'commit'

const passwordRow = z.object({
  passwords: z.partialRecord(z.enum([...OUR_LOGINS, ...SHOWN_LOGINS]), z.string()),
})
export type Passwords = z.infer<typeof passwordRow>['passwords']

/**
 * Makes what is missing of all this in one transaction, and gives these logins new passwords. Safe to repeat. Wants a
 * session of the role that the provider's API has made, with pg_catalog as its search_path.
 * @param keep gets the passwords before they are valid. When it throws, they never become so; the session must end then. It
 *   must not take longer than the server lets a transaction idle.
 * @param shown the login that people have, or are to have
 */
export async function makeRoles(
  sql: postgres.Sql,
  renewed: readonly Login[],
  keep: (passwords: Passwords) => Promise<void>,
  shown: ShownLogin = 'app_1',
): Promise<void> {
  const results: unknown[][] = await sql.unsafe(roleStatements(renewed, shown))
  await keep(passwordRow.parse(results.flat()[0]).passwords)
  await sql.unsafe(END)
}
