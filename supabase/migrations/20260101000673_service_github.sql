-- All rows that say something of GitHub: a repository for each tenant that has a Supabase project of its own.

insert into provisioning.services (service, label) values ('github', 'GitHub');

insert into provisioning.resource_kinds (kind, service, label, grace_hours) values
  ('github_repository', 'github', 'GitHub repository', 72);

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'project', 'github_repository', 'github', 20, '{project_keys}'),
  ('provision', 'project', 'github_secrets', 'github', 21, '{github_repository}'),
  ('deprovision', 'project', 'delete_github_repository', 'github', 3, '{}'),
  ('undo', 'project', 'delete_github_repository', 'github', 3, '{}');
-- What runs in the repository may use the keys until it is gone.
update provisioning.step_definitions set depends_on = depends_on || '{delete_github_repository}'
where tier = 'project' and step = 'delete_credentials';

insert into provisioning.provider_status (provider, service, label) values ('github', 'github', 'GitHub');
-- Documented are 5,000 requests an hour, and of those that change something 80 a minute and 500 an hour (45 + 0.125 × 3,600 is
-- 495).
insert into provisioning.rate_limits (provider, scope, burst, per_second) values
  ('github', '*', 100, 1),
  ('github', '{changes}', 45, 0.125),
  ('github', '{route}', 40, 0.5);

update provisioning.tiers set services = services || '{github}' where tier = 'project';

alter table provisioning.settings
  -- What becomes of a tenant's repository when its organization is deleted or its provisioning is cancelled. An archived one
  -- keeps its name.
  add column repository_on_removal text not null default 'archive',
  add constraint repository_on_removal_is_known check (repository_on_removal in ('archive', 'delete'));

create function provisioning.keep_github_repository(p_organization_id uuid, p_repository_id text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_resources r set state = 'kept', external_id = p_repository_id, remove_at = null,
    details = r.details - 'request'
  where r.organization_id = p_organization_id and r.kind = 'github_repository' and r.state in ('planned', 'active');
end
$$;
revoke execute on function provisioning.keep_github_repository(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.keep_github_repository(uuid, text) is
  'The repository is archived, and stays. Called in the statement that completes the step, which holds the lease.';
