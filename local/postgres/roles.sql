-- The roles of a hosted project, once per server. Every password is the local one (see server.ts).
do $roles$
begin
  if exists (select from pg_roles where rolname = 'postgres') then
    return;
  end if;
  -- The password is known to everybody; stretching it would only make every connection slower, by milliseconds on both sides.
  perform set_config('scram_iterations', '64', true);
  alter role supabase_admin password 'postgres';
  create role anon nologin noinherit;
  create role authenticated nologin noinherit;
  create role service_role nologin noinherit bypassrls;
  create role authenticator login noinherit password 'postgres';
  create role supabase_auth_admin login noinherit createrole password 'postgres';
  -- Not a superuser, as on a hosted project: a migration that works here works there.
  create role postgres login createdb createrole replication bypassrls password 'postgres';
  grant anon, authenticated, service_role to authenticator;
  grant anon, authenticated, service_role to postgres with admin option;
  grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
  alter role anon set statement_timeout = '3s';
  alter role authenticated set statement_timeout = '8s';
  alter role authenticator set statement_timeout = '8s';
  alter role supabase_auth_admin set search_path = 'auth';
  alter role postgres set search_path = "$user", public, extensions;
  alter role supabase_admin set search_path = "$user", public, auth, extensions;
end
$roles$;
