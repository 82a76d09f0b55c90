-- All rows that say something of Neon: the database of each organization.

insert into provisioning.services (service, label, follows, checked_by) values
  ('neon', 'Neon', '{database_size,data_region}', 'neon_checks');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'database', 'neon_project', 'neon', 2, '{}'),
  ('provision', 'database', 'credentials', 'neon', 3, '{neon_project}'),
  ('provision', 'database', 'tenant_schema', 'neon', 4, '{credentials}'),
  ('provision', 'database', 'verify_connection', 'neon', 5, '{tenant_schema}'),
  ('deprovision', 'database', 'delete_credentials', 'neon', 1, '{}'),
  ('deprovision', 'database', 'delete_neon_project', 'neon', 2, '{delete_credentials}'),
  ('undo', 'database', 'delete_credentials', 'neon', 1, '{}'),
  ('undo', 'database', 'delete_neon_project', 'neon', 2, '{delete_credentials}');

insert into provisioning.provider_status (provider, service, label) values ('neon', 'neon', 'Neon');
-- Documented are 700 calls a minute and 40 a second for each route; this leaves room for what else uses the account.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values
  ('neon', '*', 100, 10),
  ('neon', '{route}', 20, 20);
-- Health checks go on however much is asked for otherwise.
insert into provisioning.provider_shares (provider, holder, share) values ('neon', 'health', 0.2);

create function provisioning.neon_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_database jsonb := p_facts -> 'database';
begin
  return next provisioning.resource_check(p_facts, 'database', 'neon',
    case when v_database ->> 'organization_id' is null then 'There is no row in organization_databases.'
      when v_database ->> 'neon_project_id' is null or v_database ->> 'host' is null then 'There is no Neon project.' end,
    format('%s in %s, size %s', v_database ->> 'neon_project_id', v_database ->> 'region', v_database ->> 'size'));
  return query select * from provisioning.tenant_database_checks(p_facts, 'neon');
end
$$;
revoke execute on function provisioning.neon_checks(jsonb) from public, anon, authenticated, service_role;

create function provisioning.copy_database_status() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_state text := coalesce(new.provisioning_status ->> 'neon', new.provisioning_status ->> 'database');
  v_status text := case v_state when 'ready' then 'active' else v_state end;
begin
  if v_state is not distinct from coalesce(old.provisioning_status ->> 'neon', old.provisioning_status ->> 'database') then
    return null;
  end if;
  update public.organization_databases d set status = v_status where d.organization_id = new.id and d.status <> v_status;
  return null;
end
$$;
revoke execute on function provisioning.copy_database_status() from public, anon, authenticated, service_role;
comment on function provisioning.copy_database_status() is
  'Trigger: organization_databases.status is what provisioning_status says of the service neon or, in the tier project, of the
service database; active in the place of ready.';
create trigger organizations_copy_database_status after update of provisioning_status on public.organizations
  for each row execute function provisioning.copy_database_status();

-- Neon itself keeps a deleted project recoverable for 7 days more.
insert into provisioning.resource_kinds (kind, service, label, is_regional, grace_hours) values
  ('neon_project', 'neon', 'Neon project', true, 72);
-- Copies on which a version of the tenant schema is tried. Neon removes them after two hours; one day is a sign that it did not.
insert into provisioning.resource_kinds (kind, service, label, lasts_hours) values ('neon_branch', 'neon', 'Neon branch', 24);

create function provisioning.branched_projects(p_after uuid, p_limit integer)
returns table (organization_id uuid, neon_project_id text)
language sql stable security definer set search_path = '' as $$
  select d.organization_id, d.neon_project_id from public.organization_databases d
  where d.neon_project_id is not null and (p_after is null or d.organization_id > p_after) and exists (
    select from public.provisioning_jobs j
    where j.organization_id = d.organization_id and j.kind = 'try_schema' and j.created_at > now() - interval '30 days')
  order by d.organization_id limit p_limit
$$;
revoke execute on function provisioning.branched_projects(uuid, integer) from public, anon, authenticated, service_role;
comment on function provisioning.branched_projects(uuid, integer) is
  'For reconciliation: the projects in which branches were made in the last 30 days, behind p_after.';

create function provisioning.follow_data_region() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Not while a project may exist: it cannot move.
  update public.organization_databases d set region = r.neon_region
  from provisioning.regions r
  where d.organization_id = new.id and r.data_region = new.data_region and d.region <> r.neon_region
    and not exists (
      select from public.tenant_resources t join provisioning.resource_kinds k using (kind)
      where t.organization_id = new.id and k.is_regional and t.state in ('planned', 'active'));
  return null;
end
$$;
revoke execute on function provisioning.follow_data_region() from public, anon, authenticated, service_role;
comment on function provisioning.follow_data_region() is
  'Trigger: a database that is not made yet is made in the organization''s data region, as provisioning.regions has it now.';
create trigger organizations_database_follows_region after update of data_region on public.organizations
  for each row execute function provisioning.follow_data_region();

-- What the steps write beside their own rows. Each is called in the same statement as complete_step.

create function provisioning.record_refused_limits(p_organization_id uuid, p_suspend boolean, p_history boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Written when it changes only, because all tenants share these rows.
  update provisioning.database_sizes z set suspend_refused_at = case when p_suspend then now() end
  from public.organization_databases d
  where d.organization_id = p_organization_id and z.size = d.size and p_suspend = (z.suspend_refused_at is null);
  update provisioning.plans p set history_refused_at = case when p_history then now() end
  from public.organizations o
  where o.id = p_organization_id and p.plan = o.plan and p_history = (p.history_refused_at is null);
end
$$;
revoke execute on function provisioning.record_refused_limits(uuid, boolean, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_refused_limits(uuid, boolean, boolean) is
  'Whether the plan of the Neon account refused the suspend timeout of the database''s size and the history retention of the
organization''s plan. Null where it was not asked for: then nothing changes.';

create function provisioning.refused_limits() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('limit', r.name, 'wanted', r.wanted, 'refused_at', r.refused_at)
      order by r.name), '[]')
    from (
      select 'suspend_timeout_seconds of the size ' || z.size as name, z.suspend_timeout_seconds as wanted,
        z.suspend_refused_at as refused_at
      from provisioning.database_sizes z where z.suspend_timeout_seconds not in (0, 300)
      union all
      select 'history_retention_seconds of the plan ' || p.plan, p.history_retention_seconds, p.history_refused_at
      from provisioning.plans p) r
    where r.refused_at is not null);
end
$$;
revoke execute on function provisioning.refused_limits() from public, anon, authenticated, service_role;
comment on function provisioning.refused_limits() is
  'The limits that the plan of the Neon account does not allow, [{limit, wanted, refused_at}]; tenants are made without them.';

create function provisioning.record_neon_project(
  p_job_id uuid, p_lease_token uuid, p_project_id text, p_branch_id text, p_endpoint_id text, p_host text, p_pooled_host text,
  p_port integer, p_database_name text, p_ssl_mode text, p_name text, p_suspend_refused boolean, p_history_refused boolean
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_region text;
begin
  update public.organization_databases d set neon_project_id = p_project_id, neon_branch_id = p_branch_id,
    neon_endpoint_id = p_endpoint_id, host = p_host, pooled_host = p_pooled_host, port = p_port,
    database_name = p_database_name, ssl_mode = p_ssl_mode
  where d.organization_id = v_job.organization_id returning d.region into v_region;
  perform provisioning.record_resource(v_job.organization_id, 'neon_project', p_name, p_project_id,
    'https://console.neon.tech/app/projects/' || p_project_id,
    jsonb_build_object('region', v_region, 'branch_id', p_branch_id, 'endpoint_id', p_endpoint_id));
  perform provisioning.record_refused_limits(v_job.organization_id, p_suspend_refused, p_history_refused);
end
$$;
revoke execute on function
  provisioning.record_neon_project(
    uuid, uuid, text, text, text, text, text, integer, text, text, text, boolean, boolean)
  from public, anon, authenticated, service_role;
comment on function
  provisioning.record_neon_project(
    uuid, uuid, text, text, text, text, text, integer, text, text, text, boolean, boolean) is
  'The organization''s database is in this project. p_name is the one that it was made with. The last two: see
record_refused_limits.';

create function provisioning.record_schema_version(p_job_id uuid, p_lease_token uuid, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  if not provisioning.note_coming(v_job, jsonb_build_object('schema_version', p_version)) then
    update public.organization_databases d set schema_version = p_version
    where d.organization_id = v_job.organization_id;
  end if;
end
$$;
revoke execute on function provisioning.record_schema_version(uuid, uuid, integer) from public, anon, authenticated, service_role;
comment on function provisioning.record_schema_version(uuid, uuid, integer) is
  'The tenant''s database has the files of tenant-schema/ up to this number.';

create function provisioning.tenant_people(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_build_object(
      'organization', jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'plan', o.plan),
      'subscription', jsonb_build_object('organization_id', o.id, 'plan', o.plan,
        'status', coalesce(o.stripe_subscription_status, 'free'), 'stripe_subscription_id', o.stripe_subscription_id),
      'users', (
        select coalesce(jsonb_agg(jsonb_build_object('id', m.user_id, 'email', p.email, 'full_name', p.full_name,
          'avatar_url', p.avatar_url, 'role', m.role) order by m.created_at, m.user_id), '[]')
        from public.organization_members m left join public.profiles p on p.id = m.user_id
        where m.organization_id = o.id))
    from public.organizations o where o.id = p_organization_id);
end
$$;
revoke execute on function provisioning.tenant_people(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_people(uuid) is
  'What the tenant''s own database is told of the organization: its row, its subscription and its members. Null when it is gone.';

create function provisioning.login_secret(p_organization_id uuid, p_login text, p_is_coming boolean default false) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return 'tenant_database_password/' || p_organization_id::text || '/'
    || case when p_is_coming then 'coming/' else '' end || p_login;
end
$$;
revoke execute on function provisioning.login_secret(uuid, text, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.login_secret(uuid, text, boolean) is
  'What the password of a login into a tenant''s own database, or into the one that it moves to, is called in Vault.';

create function provisioning.store_credentials(
  p_job_id uuid, p_lease_token uuid, p_shown_login text, p_sealed_passwords text
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_passwords jsonb := provisioning.unseal(p_sealed_passwords)::jsonb;
  v_is_coming constant boolean := provisioning.database_of(v_job) = 'coming';
  v_login text;
  v_password text;
begin
  for v_login, v_password in select * from jsonb_each_text(v_passwords) loop
    perform provisioning.keep_secret(provisioning.login_secret(v_job.organization_id, v_login, v_is_coming), v_password,
      'Password of a login into a tenant''s own database');
  end loop;
  if v_is_coming then
    update provisioning.tenant_moves m set coming = m.coming || jsonb_build_object(
      'role_name', (m.coming ->> 'database_name') || '_' || p_shown_login, 'credentials_secret_id', (
        select s.id from vault.secrets s
        where s.name = provisioning.login_secret(v_job.organization_id, p_shown_login, p_is_coming => true)))
    where m.organization_id = v_job.organization_id and p_shown_login is not null;
    return;
  end if;
  update public.organization_databases d set role_name = d.database_name || '_' || p_shown_login,
    credentials_secret_id = (
      select s.id from vault.secrets s where s.name = provisioning.login_secret(v_job.organization_id, p_shown_login)),
    password_changed_at = case when v_passwords ? p_shown_login then now() else d.password_changed_at end,
    own_passwords_changed_at = case when v_passwords ?& '{schema,health}' then now() else d.own_passwords_changed_at end,
    rotation_look_at = now()
  where d.organization_id = v_job.organization_id and p_shown_login is not null;
end
$$;
revoke execute on function provisioning.store_credentials(uuid, uuid, text, text) from public, anon, authenticated, service_role;
comment on function provisioning.store_credentials(uuid, uuid, text, text) is
  'Keeps passwords, a sealed {login: password}, in Vault, replacing earlier ones. p_shown_login is what people are
shown; null leaves that as it is.';

create function provisioning.record_verified_connection(p_job_id uuid, p_lease_token uuid, p_encrypted boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  if provisioning.note_coming(v_job, jsonb_build_object('ssl_verified_at', case when p_encrypted then now() end)) then
    return;
  end if;
  update public.organization_databases d
  set ssl_verified_at = case when p_encrypted then now() end
  where d.organization_id = v_job.organization_id;
  perform provisioning.begin_health_checks(v_job.organization_id, v_job.tier);
end
$$;
revoke execute on function provisioning.record_verified_connection(uuid, uuid, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_verified_connection(uuid, uuid, boolean) is
  'Somebody has connected as an application would; from now on its health is checked.';

create function provisioning.forget_credentials(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_is_coming constant boolean := provisioning.database_of(v_job) = 'coming';
begin
  delete from vault.secrets s
  where s.name like provisioning.login_secret(v_job.organization_id, '%', v_is_coming);
  if not v_is_coming then
    update public.organization_databases d set credentials_secret_id = null where d.organization_id = v_job.organization_id;
  end if;
end
$$;
revoke execute on function provisioning.forget_credentials(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.forget_credentials(uuid, uuid) is
  'Deletes the passwords of the job''s tenant database from Vault.';

create function provisioning.forget_database(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.organization_databases d set neon_project_id = null, neon_branch_id = null, neon_endpoint_id = null,
    supabase_project_ref = null, host = null, pooled_host = null, port = null, pooled_port = null,
    pooler_tenant = null, database_name = null, role_name = null,
    schema_version = null, ssl_verified_at = null,
    schema_drift_at = null, graphql_enabled = false, graphql_endpoint = null,
    health_status = 'unknown', password_changed_at = null, own_passwords_changed_at = null, rotation_look_at = null
  where d.organization_id = p_organization_id;
  delete from provisioning.tenant_logins l where l.organization_id = p_organization_id;
  delete from public.tenant_health h where h.organization_id = p_organization_id;
  perform provisioning.resolve_alert(p_organization_id, 'tenant_health');
end
$$;
revoke execute on function provisioning.forget_database(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.forget_database(uuid) is
  'The organization''s database is gone, and so is all that was known of it. For the functions of services, which hold the
lease.';

create function provisioning.forget_neon_project(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  if provisioning.database_of(v_job) = 'current' then
    perform provisioning.forget_database(v_job.organization_id);
  end if;
  perform provisioning.forget_resource(v_job.organization_id, 'neon_project');
end
$$;
revoke execute on function provisioning.forget_neon_project(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.forget_neon_project(uuid, uuid) is
  'The project is deleted; where the organization still has a row for it, nothing of it is left there, unless it moves, or has
moved, and that row is of another database.';
