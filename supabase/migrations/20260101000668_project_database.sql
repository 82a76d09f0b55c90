-- What the tier "project" has inside of its database. The steps are those of the tier "database"; only where the database is, and
-- who made it, differs. Rows of the services that make the project, and what stands beside it, are in their own migrations.

insert into provisioning.services (service, label, checked_by) values ('database', 'Database', 'project_database_checks');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'project', 'credentials', 'database', 10, '{project_ready}'),
  ('provision', 'project', 'tenant_schema', 'database', 11, '{credentials}'),
  ('provision', 'project', 'verify_connection', 'database', 12, '{tenant_schema}'),
  ('deprovision', 'project', 'delete_credentials', 'database', 10, '{}'),
  ('undo', 'project', 'delete_credentials', 'database', 10, '{}');

update provisioning.tiers set services = services || '{database}' where tier = 'project';

create function provisioning.project_database_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_database jsonb := p_facts -> 'database';
begin
  return next provisioning.resource_check(p_facts, 'database', 'supabase',
    case when v_database ->> 'organization_id' is null then 'There is no row in organization_databases.'
      when v_database ->> 'host' is null then 'There is no Supabase project that is up.' end,
    format('%s in %s', v_database ->> 'database_name', v_database ->> 'region'));
  return query select * from provisioning.tenant_database_checks(p_facts, 'database');
end
$$;
revoke execute on function provisioning.project_database_checks(jsonb) from public, anon, authenticated, service_role;

-- The secrets of a project that is the tenant's own: one document for each organization, in Vault.

create function provisioning.project_secret(p_organization_id uuid) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return 'tenant_project_secrets/' || p_organization_id::text;
end
$$;
revoke execute on function provisioning.project_secret(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.project_secret(uuid) is
  'What the secrets of a tenant''s own Supabase project are called in Vault.';

create function provisioning.project_secrets(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce(provisioning.vault_secret(provisioning.project_secret(p_organization_id)), '{}')::jsonb;
end
$$;
revoke execute on function provisioning.project_secrets(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.project_secrets(uuid) is
  'The secrets of a tenant''s own Supabase project, {name: text}; empty when Vault has none, or cannot decrypt them.';

create function provisioning.keep_project_secrets(p_job_id uuid, p_lease_token uuid, p_sealed text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  perform provisioning.keep_secret(provisioning.project_secret(v_job.organization_id),
    jsonb_strip_nulls(provisioning.project_secrets(v_job.organization_id) || provisioning.unseal(p_sealed)::jsonb)::text,
    'Secrets of a tenant''s own Supabase project');
end
$$;
revoke execute on function provisioning.keep_project_secrets(uuid, uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.keep_project_secrets(uuid, uuid, text) is
  'Adds a sealed {name: text} to the secrets of the tenant''s own Supabase project; null takes one away. Raises TP001 when another
worker has the job.';

create function provisioning.forget_project_secrets(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  delete from vault.secrets s where s.name = provisioning.project_secret(p_organization_id);
end
$$;
revoke execute on function provisioning.forget_project_secrets(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.forget_project_secrets(uuid) is
  'Deletes the secrets of a tenant''s own Supabase project, when that is gone. For the functions of services, which hold the
lease.';
