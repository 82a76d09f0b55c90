-- Extensions, and the private schema that holds the engine. The Data API exposes `public` only.

create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron with schema pg_catalog;

create schema provisioning;
revoke all on schema provisioning from public;
-- Policies call helper functions here as the caller's role; EXECUTE is granted by name.
grant usage on schema provisioning to authenticated, service_role;

create function provisioning.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
revoke execute on function provisioning.touch_updated_at() from public;
comment on function provisioning.touch_updated_at() is 'Trigger: stamps updated_at on every change of a row.';
