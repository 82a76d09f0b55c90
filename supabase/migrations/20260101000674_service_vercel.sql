-- All rows that say something of Vercel: a deployed project for each tenant that has a Supabase project of its own.

insert into provisioning.services (service, label) values ('vercel', 'Vercel');

-- No time of grace: what is deployed shows data that is about to go.
insert into provisioning.resource_kinds (kind, service, label) values ('vercel_project', 'vercel', 'Vercel project');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'project', 'vercel_project', 'vercel', 22, '{github_repository}'),
  ('provision', 'project', 'vercel_deployment', 'vercel', 23, '{vercel_project,github_secrets}'),
  ('deprovision', 'project', 'delete_vercel_project', 'vercel', 2, '{}'),
  ('undo', 'project', 'delete_vercel_project', 'vercel', 2, '{}');
-- It is linked to the repository.
update provisioning.step_definitions set depends_on = depends_on || '{delete_vercel_project}'
where tier = 'project' and step = 'delete_github_repository';

insert into provisioning.provider_status (provider, service, label) values ('vercel', 'vercel', 'Vercel');
-- Documented are other limits for each route and plan, of some ten a minute and more.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values
  ('vercel', '*', 100, 4),
  ('vercel', '{route}', 30, 1);

update provisioning.tiers set services = services || '{vercel}' where tier = 'project';

create function provisioning.repository_owners(p_repository_ids text[])
returns table (repository_id text, organization_id uuid)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select distinct r.external_id, r.organization_id from public.tenant_resources r
    where r.kind = 'github_repository' and r.external_id = any (p_repository_ids);
end
$$;
revoke execute on function provisioning.repository_owners(text[]) from public, anon, authenticated, service_role;
comment on function provisioning.repository_owners(text[]) is
  'For which organizations GitHub repositories were ever made: a project at Vercel says no more than to which one it is linked.';
