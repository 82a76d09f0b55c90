/** What is written into a tenant's own database, each as often as one likes. */

/** Functions and views that answer in the place of the catalogue. */
export const POISON = `
  drop schema if exists evil cascade;
  create schema evil;
  create function evil.pg_database_size(name) returns numeric language sql as 'select 1e30';
  create function evil.current_setting(text) returns text language sql as $$select '999999999999999'$$;
  create function evil.now() returns timestamptz language sql as $$select 'infinity'::timestamptz$$;
  create view evil.pg_stat_database as select current_database() as datname, 1e300::float8 as xact_commit,
    1e300::float8 as xact_rollback, 'NaN'::float8 as blks_hit, '-Infinity'::float8 as blks_read, now() as stats_reset;
  create view evil.pg_stat_activity as select current_database() as datname, 'client backend'::text as backend_type,
    'active'::text as state, '-infinity'::timestamptz as query_start, 0 as pid;
  grant usage on schema evil to public;
  grant select on all tables in schema evil to public`

/** A trigger that raises an error of so many letters. It fires in our session, when the members are copied into the database. */
export const shout = (letters: number) => `
  create or replace function public.shout() returns trigger language plpgsql as
    $$ begin raise exception '%', repeat('a', ${letters}); end $$;
  delete from public.users;
  create or replace trigger shout before insert on public.users for each row execute function public.shout()`

/** A view in the place of our record of the schema files; only the role that Neon's API has made can put one there. */
export const recordOf = (query: string) => `
  do $$ begin
    if exists (select from pg_tables where schemaname = 'provisioning' and tablename = 'schema_migrations')
    then alter table provisioning.schema_migrations rename to schema_migrations_before; end if;
  end $$;
  create or replace view provisioning.schema_migrations as ${query};
  grant select on provisioning.schema_migrations to public`
