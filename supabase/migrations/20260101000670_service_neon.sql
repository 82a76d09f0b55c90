-- All rows that say something of Neon: the database of each organization.

insert into provisioning.services (service, label, follows) values ('neon', 'Neon', '{database_size,data_region}');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'database', 'neon_project', 'neon', 2, '{}'),
  ('provision', 'database', 'tenant_schema', 'neon', 3, '{neon_project}'),
  ('provision', 'database', 'credentials', 'neon', 4, '{tenant_schema}'),
  ('provision', 'database', 'verify_connection', 'neon', 5, '{credentials}'),
  ('deprovision', 'database', 'delete_credentials', 'neon', 1, '{}'),
  ('deprovision', 'database', 'delete_neon_project', 'neon', 2, '{delete_credentials}'),
  ('undo', 'database', 'delete_credentials', 'neon', 1, '{}'),
  ('undo', 'database', 'delete_neon_project', 'neon', 2, '{delete_credentials}');

insert into provisioning.provider_status (provider, service, label) values ('neon', 'neon', 'Neon');
-- Documented are 700 calls a minute and 40 a second for each route; this leaves room for what else uses the account.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values
  ('neon', '*', 100, 10),
  ('neon', '{route}', 20, 20);

create function provisioning.copy_database_status() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.organization_databases d set status = new.provisioning_status ->> 'neon'
  where d.organization_id = new.id and d.status <> new.provisioning_status ->> 'neon';
  return null;
end
$$;
revoke execute on function provisioning.copy_database_status() from public;
comment on function provisioning.copy_database_status() is
  'Trigger: organization_databases.status is what provisioning_status says of the service neon.';
create trigger organizations_copy_database_status after update of provisioning_status on public.organizations
  for each row when (old.provisioning_status -> 'neon' is distinct from new.provisioning_status -> 'neon')
  execute function provisioning.copy_database_status();
