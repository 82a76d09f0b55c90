-- The GraphQL endpoint over a tenant's own database. It has no provider: the function tenant-graphql serves all tenants.

insert into provisioning.services (service, label) values ('graphql', 'GraphQL endpoint');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'database', 'graphql_endpoint', 'graphql', 6, '{tenant_schema}'),
  ('provision', 'project', 'graphql_endpoint', 'graphql', 14, '{tenant_schema}');
update provisioning.tiers set services = services || '{graphql}' where tier = 'project';

create function provisioning.record_graphql_endpoint(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_endpoint constant text := rtrim(provisioning.vault_secret('functions_base_url'), '/') || '/tenant-graphql';
begin
  if not provisioning.note_coming(v_job, jsonb_build_object('graphql_enabled', true, 'graphql_endpoint', v_endpoint)) then
    update public.organization_databases d set graphql_enabled = true, graphql_endpoint = v_endpoint
    where d.organization_id = v_job.organization_id;
  end if;
end
$$;
revoke execute on function provisioning.record_graphql_endpoint(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.record_graphql_endpoint(uuid, uuid) is
  'The endpoint has answered, and serves the tenant from now on.';
