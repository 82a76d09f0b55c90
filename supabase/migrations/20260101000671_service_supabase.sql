-- All rows that say something of Supabase as a provider: a project of its own for each organization of the tier "project".

insert into provisioning.services (service, label, follows) values ('supabase', 'Supabase', '{data_region}');

-- A deleted project is gone for good: there is no time in which Supabase could bring it back.
insert into provisioning.resource_kinds (kind, service, label, is_regional, grace_hours) values
  ('supabase_project', 'supabase', 'Supabase project', true, 72);

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'project', 'supabase_project', 'supabase', 5, '{}'),
  ('provision', 'project', 'project_ready', 'supabase', 6, '{supabase_project}'),
  -- After the proof that every table has row level security: nobody holds a key to an open one.
  ('provision', 'project', 'project_keys', 'database', 13, '{tenant_schema}'),
  ('deprovision', 'project', 'delete_supabase_project', 'supabase', 20, '{delete_credentials}'),
  ('undo', 'project', 'delete_supabase_project', 'supabase', 20, '{delete_credentials}');

update provisioning.tiers set services = array_remove(services, 'database') || '{supabase,database}', in_fleet_list = false
where tier = 'project';

insert into provisioning.provider_status (provider, service, label) values ('supabase', 'supabase', 'Supabase');
-- Documented are 120 calls a minute for the organization, and as many for each project; this leaves room for what else uses the
-- account, and counts both together.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values ('supabase', '*', 40, 1.3);
insert into provisioning.provider_shares (provider, holder, share) values ('supabase', 'health', 0.1);

alter table provisioning.regions
  -- Where a project of this data region stands; null where Supabase offers nothing.
  add column supabase_region provisioning_types.region;
update provisioning.regions set supabase_region = data_region;

alter table provisioning.settings
  -- For data regions in which Supabase offers nothing. Null: a project is refused there.
  add column default_supabase_region provisioning_types.region,
  -- Of new projects, such as micro or small. Null: what the plan of the Supabase organization gives. Free plans take no other.
  add column supabase_instance_size text,
  -- What becomes of a project when its organization is deleted or its provisioning is cancelled. Only free plans can pause.
  add column project_on_removal text not null default 'delete',
  -- How often a project that comes up is looked at, and when that takes so long that somebody should know.
  add column project_look_seconds numeric not null default 5,
  add column project_slow_minutes numeric not null default 10,
  add constraint project_on_removal_is_known check (project_on_removal in ('delete', 'pause')),
  add constraint project_looks_are_positive check (project_look_seconds > 0 and project_slow_minutes > 0);

create function provisioning.nearest_supabase_regions(p_data_region text) returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
  -- By the distance on a sphere; regions without a place come last.
  return array(
    select r.data_region from provisioning.regions r
    left join provisioning.regions w on w.data_region = p_data_region
    where r.supabase_region is not null
    order by acos(least(1, greatest(-1, sin(radians(r.latitude)) * sin(radians(w.latitude))
      + cos(radians(r.latitude)) * cos(radians(w.latitude)) * cos(radians(r.longitude - w.longitude))))), r.data_region
    limit 3);
end
$$;
revoke execute on function provisioning.nearest_supabase_regions(text) from public, anon, authenticated, service_role;
comment on function provisioning.nearest_supabase_regions(text) is
  'Up to three data regions in which Supabase offers projects, the nearest first.';

create function provisioning.supabase_wishes(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_build_object('data_region', o.data_region, 'region', coalesce(r.supabase_region, s.default_supabase_region),
      'nearest', provisioning.nearest_supabase_regions(o.data_region), 'instance_size', s.supabase_instance_size,
      'on_removal', s.project_on_removal, 'look_seconds', s.project_look_seconds, 'slow_minutes', s.project_slow_minutes)
    from provisioning.settings s
    left join public.organizations o on o.id = p_organization_id
    left join provisioning.regions r on r.data_region = o.data_region);
end
$$;
revoke execute on function provisioning.supabase_wishes(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.supabase_wishes(uuid) is
  'How the organization''s Supabase project is to be made, followed and removed. region is null where Supabase offers none.';

-- What the steps write beside their own rows. Each is called in the same statement as complete_step.

create function provisioning.record_supabase_project(
  p_job_id uuid, p_lease_token uuid, p_name text, p_ref text, p_url text, p_details jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_known jsonb := (
    select r.details - 'request' from public.tenant_resources r
    where r.organization_id = v_job.organization_id and r.kind = 'supabase_project' and r.state in ('planned', 'active')
      and coalesce(r.external_id, p_ref) = p_ref);
begin
  if not provisioning.note_coming(v_job, jsonb_strip_nulls(jsonb_build_object('region', p_details ->> 'region'))) then
    update public.organization_databases d set region = coalesce(p_details ->> 'region', d.region)
    where d.organization_id = v_job.organization_id and d.region <> p_details ->> 'region';
  end if;
  perform provisioning.record_resource(v_job.organization_id, 'supabase_project', p_name, p_ref, p_url,
    coalesce(v_known, '{}') || p_details);
end
$$;
revoke execute on function provisioning.record_supabase_project(uuid, uuid, text, text, text, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_supabase_project(uuid, uuid, text, text, text, jsonb) is
  'The organization has this project. Details are added to what is known of it.';

create function provisioning.record_ready_project(
  p_job_id uuid, p_lease_token uuid, p_address jsonb, p_details jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_ref constant text := (
    select r.external_id from public.tenant_resources r
    where r.organization_id = v_job.organization_id and r.kind = 'supabase_project' and r.state = 'active');
begin
  if not provisioning.note_coming(v_job, jsonb_build_object('supabase_project_ref', v_ref,
    'host', p_address -> 'host', 'port', p_address -> 'port', 'pooled_host', p_address -> 'pooledHost',
    'pooled_port', p_address -> 'pooledPort', 'pooler_tenant', p_address -> 'poolerTenant',
    'database_name', p_address -> 'databaseName', 'ssl_mode', p_address -> 'sslMode')) then
    update public.organization_databases d set supabase_project_ref = v_ref,
      host = p_address ->> 'host', port = (p_address ->> 'port')::integer,
      pooled_host = p_address ->> 'pooledHost', pooled_port = (p_address ->> 'pooledPort')::integer,
      pooler_tenant = p_address ->> 'poolerTenant', database_name = p_address ->> 'databaseName',
      ssl_mode = p_address ->> 'sslMode'
    where d.organization_id = v_job.organization_id;
  end if;
  update public.tenant_resources r set details = r.details || p_details
  where r.organization_id = v_job.organization_id and r.kind = 'supabase_project' and r.state = 'active';
  perform provisioning.resolve_alert(v_job.organization_id, 'project_slow');
end
$$;
revoke execute on function provisioning.record_ready_project(uuid, uuid, jsonb, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_ready_project(uuid, uuid, jsonb, jsonb) is
  'The organization''s project is up: its database is there. Ends the alert that it takes long.';

create function provisioning.record_slow_project(
  p_job_id uuid, p_lease_token uuid, p_message text, p_metadata jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  perform provisioning.open_alert(v_job.organization_id, 'project_slow', 'warning', p_message,
    p_metadata || jsonb_build_object('job_id', v_job.id, 'step', 'project_ready'));
end
$$;
revoke execute on function provisioning.record_slow_project(uuid, uuid, text, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_slow_project(uuid, uuid, text, jsonb) is
  'The organization''s project has been coming up for longer than settings.project_slow_minutes.';

create function provisioning.record_project_keys(p_job_id uuid, p_lease_token uuid, p_details jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update public.tenant_resources r set details = r.details || p_details
  where r.organization_id = v_job.organization_id and r.kind = 'supabase_project' and r.state = 'active';
end
$$;
revoke execute on function provisioning.record_project_keys(uuid, uuid, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.record_project_keys(uuid, uuid, jsonb) is
  'What may be seen of the keys of the organization''s project. The secret ones are in Vault.';

create function provisioning.forget_supabase_project(p_job_id uuid, p_lease_token uuid, p_is_kept boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  if provisioning.database_of(v_job) = 'current' then
    perform provisioning.forget_database(v_job.organization_id);
  end if;
  perform provisioning.forget_project_secrets(v_job.organization_id);
  delete from provisioning.former_project_keys k where k.organization_id = v_job.organization_id;
  perform provisioning.resolve_alert(v_job.organization_id, 'project_slow');
  if p_is_kept then
    update public.tenant_resources r set state = 'kept', remove_at = null, details = r.details - 'request'
    where r.organization_id = v_job.organization_id and r.kind = 'supabase_project' and r.state in ('planned', 'active');
  else
    perform provisioning.forget_resource(v_job.organization_id, 'supabase_project');
  end if;
end
$$;
revoke execute on function provisioning.forget_supabase_project(uuid, uuid, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.forget_supabase_project(uuid, uuid, boolean) is
  'The project is deleted or, with p_is_kept, paused and left; where the organization still has a row for it, nothing of it is
left there, and Vault has no secret of it.';
