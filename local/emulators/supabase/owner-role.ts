import { type OwnerRole, randomLetters } from '../postgres/databases.ts'

/**
 * The roles that Supabase's services take. All databases of the server share them; they have no rights but where they are granted.
 * Whoever has the last one may switch triggers off in a session, which the extension supautils allows `postgres` at Supabase.
 */
const MAKE_API_ROLES = `
  select pg_advisory_xact_lock(hashtext('supabase_api_roles'));
  do $$ declare v_role text; begin
    foreach v_role in array '{anon,authenticated,service_role}'::text[] loop
      if exists (select from pg_roles where rolname = v_role) then continue; end if;
      execute format('create role %I nologin noinherit%s', v_role, case v_role when 'service_role' then ' bypassrls' else '' end);
    end loop;
    if not exists (select from pg_roles where rolname = 'supabase_privileged_role') then
      create role supabase_privileged_role nologin;
      grant set on parameter session_replication_role to supabase_privileged_role;
    end if;
  end $$`

/**
 * The owner may give the roles on that it has. Whatever it makes in the exposed schema is open to the services' roles, unless row level
 * security says otherwise.
 */
const prepareFor = (owner: string) => `
  grant anon, authenticated, service_role, pg_monitor, pg_read_all_data, pg_signal_backend to ${owner} with admin option;
  grant usage on schema public to anon, authenticated, service_role;
  alter default privileges for role ${owner} in schema public grant all on tables to anon, authenticated, service_role;
  alter default privileges for role ${owner} in schema public grant all on sequences to anon, authenticated, service_role;
  alter default privileges for role ${owner} in schema public grant all on functions to anon, authenticated, service_role`

/** What is called `postgres` at Supabase: it makes roles and bypasses row level security, and is no superuser. */
export const supabaseOwner: OwnerRole = {
  prefix: 'supabase',
  shared: MAKE_API_ROLES,
  options:
    'login inherit createrole createdb bypassrls replication in role anon, authenticated, service_role, supabase_privileged_role',
  prepare: prepareFor,
  newPassword: () => randomLetters(24),
}
