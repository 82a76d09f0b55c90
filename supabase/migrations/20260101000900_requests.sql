-- What may be asked of the provisioning of an organization: to start, to try again, and with another region or size.

create function provisioning.hold_provisioning(
  p_organization_id uuid, out organization public.organizations, out job public.provisioning_jobs
) language plpgsql security definer set search_path = '' as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_organization_id::text, 7224));
  perform provisioning.hold_owner(p_organization_id);
  select j.* into job from public.provisioning_jobs j
  where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('provision')
    order by j.created_at desc limit 1 for update;
  select o.* into organization from public.organizations o where o.id = p_organization_id for update;
  if organization.id is null then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
end
$$;
revoke execute on function provisioning.hold_provisioning(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.hold_provisioning(uuid) is
  'Waits for other requests for the organization, then locks its owner''s account, its newest provision job (if any) and the
organization, in the order in which workers lock them. Raises TP404.';

create function provisioning.assert_services_exist(p_services text[]) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
  -- Those that have work to do; others are only listed in the status.
  v_known text[] := array(
    select distinct d.service from provisioning.step_definitions d where d.kind = provisioning.kind_for('provision') order by 1);
  v_unknown text := (select s from unnest(p_services) s where s <> all (v_known) limit 1);
begin
  if cardinality(p_services) = 0 or cardinality(p_services) > 20 then
    raise exception 'Name between one and 20 services, or none to mean all.' using errcode = 'TP422';
  end if;
  if v_unknown is not null then
    raise exception 'The service "%" is unknown. Known: %.', left(v_unknown, 63), array_to_string(v_known, ', ')
      using errcode = 'TP422';
  end if;
end
$$;
revoke execute on function provisioning.assert_services_exist(text[]) from public, anon, authenticated, service_role;

create function provisioning.choose_data_region(p_organization public.organizations, p_data_region text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_region text;
  v_fixed_by text;
begin
  select r.data_region into v_region from provisioning.regions r
  where r.data_region = lower(p_data_region) or lower(p_data_region) = any (r.aliases);
  if v_region is null then
    raise exception 'The region "%" is unknown. Known: %.', left(p_data_region, 63),
      (select string_agg(r.data_region, ', ' order by r.data_region) from provisioning.regions r) using errcode = 'TP422';
  end if;
  select k.label into v_fixed_by from public.tenant_resources t join provisioning.resource_kinds k using (kind)
  where t.organization_id = p_organization.id and t.state in ('planned', 'active') and k.is_regional limit 1;
  if v_region <> p_organization.data_region and v_fixed_by is not null then
    raise exception 'The % is being made in % or is there already, and a region is fixed from then on.',
      v_fixed_by, p_organization.data_region using errcode = 'TP409';
  end if;
  -- Also when it is the same one: what the region stands for at a provider may have been corrected meanwhile.
  update public.organizations o set data_region = v_region where o.id = p_organization.id;
end
$$;
revoke execute on function provisioning.choose_data_region(public.organizations, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.choose_data_region(public.organizations, text) is
  'Gives an organization the data region that the word means. Raises TP422 for an unknown word, and TP409 when something that
stands in another region may exist already.';

create function provisioning.choose_database_size(p_organization public.organizations, p_size text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_allowed text[] := (select p.sizes from provisioning.plans p where p.plan = p_organization.plan);
begin
  if not exists (select from provisioning.database_sizes z where z.size = p_size) then
    raise exception 'The size "%" is unknown. Known: %.', left(p_size, 63),
      (select string_agg(z.size, ', ' order by z.max_compute_units) from provisioning.database_sizes z) using errcode = 'TP422';
  end if;
  -- Without claims it is the database's owner, in SQL.
  if p_size <> all (v_allowed) and coalesce(auth.role(), 'service_role') <> 'service_role' then
    raise exception 'The plan "%" does not have the size "%". It has: %.', p_organization.plan, p_size,
      array_to_string(v_allowed, ', ') using errcode = 'TP402';
  end if;
  update public.organization_databases d set size = p_size where d.organization_id = p_organization.id and d.size <> p_size;
  return found;
end
$$;
revoke execute on function provisioning.choose_database_size(public.organizations, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.choose_database_size(public.organizations, text) is
  'Gives an organization''s database this size; false when it has it already. Raises TP422 for an unknown one, and TP402 for one
that the plan does not have, unless the backend asks.';

create function provisioning.assert_tier(p_organization public.organizations, p_tier text) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
  v_allowed text[] := (select p.tiers from provisioning.plans p where p.plan = p_organization.plan);
begin
  if not exists (select from provisioning.tiers t where t.tier = p_tier) then
    raise exception 'The tier "%" is unknown. Known: %.', left(p_tier, 63),
      (select string_agg(t.tier, ', ' order by t.tier) from provisioning.tiers t) using errcode = 'TP422';
  end if;
  if p_tier <> all (v_allowed) and coalesce(auth.role(), 'service_role') <> 'service_role' then
    raise exception 'The plan "%" does not have the tier "%". It has: %.', p_organization.plan, p_tier,
      array_to_string(v_allowed, ', ') using errcode = 'TP402';
  end if;
end
$$;
revoke execute on function provisioning.assert_tier(public.organizations, text) from public, anon, authenticated, service_role;
comment on function provisioning.assert_tier(public.organizations, text) is
  'Raises TP422 for an unknown tier, and TP402 for one that the plan does not have, unless the backend asks.';

create function provisioning.choose_tier(
  p_organization public.organizations, p_job public.provisioning_jobs, p_tier text
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_tier(p_organization, p_tier);
  if p_job.tier = p_tier then
    return;
  end if;
  -- Once a worker has had the job, something of the other tier may exist. A cancellation takes it back.
  if p_job.status = 'queued' and p_job.attempts = 0 then
    update public.provisioning_jobs j set tier = p_tier where j.id = p_job.id;
    update public.organizations o
    set provisioning_status = t.initial_status || jsonb_build_object('changed_at', clock_timestamp())
    from provisioning.tiers t where o.id = p_organization.id and t.tier = p_tier;
  elsif p_job.id is not null and not (p_job.status = 'cancelled' and p_organization.provisioned_at is null) then
    raise exception 'The organization is being provisioned in the tier "%", or is ready in it. Cancel that first, when it is not '
      'ready yet, and ask for the other tier when what it made is removed.', p_job.tier using errcode = 'TP409';
  end if;
end
$$;
revoke execute on function provisioning.choose_tier(public.organizations, public.provisioning_jobs, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.choose_tier(public.organizations, public.provisioning_jobs, text) is
  'Lets an organization be provisioned in this tier, as far as nothing of another one can exist. Raises TP422 for an unknown one,
TP402 for one that the plan does not have, unless the backend asks, and TP409 when it is too late.';

create function provisioning.services_to_retry(p_job_id uuid, p_services text[], p_changed text[]) returns text[]
language plpgsql stable security definer set search_path = '' as $$
declare
  v_followers text[] := array(select s.service from provisioning.services s where s.follows && p_changed);
begin
  if v_followers = '{}' then
    return p_services;
  end if;
  -- Services that are named are looked at again even when they are ready; without names, only what has not succeeded.
  return array(
    select unnest(v_followers || coalesce(p_services, array(
      select s.service from public.provisioning_steps s
      where s.job_id = p_job_id and s.status in ('retrying', 'failed', 'cancelled'))))
    group by 1);
end
$$;
revoke execute on function provisioning.services_to_retry(uuid, text[], text[]) from public, anon, authenticated, service_role;
comment on function provisioning.services_to_retry(uuid, text[], text[]) is
  'The services to name in a retry: those that were asked for (null: all that have not succeeded), and those that follow a fact of
the organization that has changed (services.follows).';

create function provisioning.request_provisioning(
  p_organization_id uuid, p_services text[] default null, p_database_size text default null, p_data_region text default null,
  p_requested_by uuid default null, p_tier text default null
) returns table (job_id uuid, status text)
language plpgsql security definer set search_path = '' as $$
declare
  v_held record;
  v_job public.provisioning_jobs;
  v_changed text[] := '{}';
  v_services text[];
begin
  perform provisioning.assert_services_exist(p_services);
  -- A set: neither their order nor one that is named twice makes a difference.
  if p_services is not null then
    p_services := array(select s from unnest(p_services) s group by s order by s);
  end if;
  perform provisioning.count_act(p_organization_id);
  select * into v_held from provisioning.hold_provisioning(p_organization_id);
  v_job := v_held.job;
  if exists (
    select from public.provisioning_jobs j
    where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('revert')
      and j.status in ('queued', 'running')) then
    raise exception 'What the cancelled provisioning had made is still being removed. '
      'Try again when that is done, in about a minute.'
      using errcode = 'TP423';
  end if;
  perform provisioning.ensure_database(p_organization_id);
  if p_data_region is not null then
    perform provisioning.choose_data_region(v_held.organization, p_data_region);
  end if;
  if p_tier is not null then
    perform provisioning.choose_tier(v_held.organization, v_job, p_tier);
  end if;
  if p_database_size is not null and provisioning.choose_database_size(v_held.organization, p_database_size) then
    v_changed := '{database_size}';
  end if;
  -- What a cancelled job had made is gone: everything is made anew, by a job of its own.
  if v_job.id is null or v_job.status = 'cancelled' and (v_held.organization).provisioned_at is null then
    job_id := provisioning.enqueue(
      p_organization_id, provisioning.kind_for('provision'), '{}', p_requested_by, 'request', p_tier);
    status := 'queued';
    perform provisioning.refresh_status(p_organization_id);
  else
    job_id := v_job.id;
    v_services := provisioning.services_to_retry(v_job.id, p_services, v_changed);
    perform provisioning.count_redone_services(v_job.id, v_services);
    status := provisioning.retry_job(v_job.id, v_services);
  end if;
  perform provisioning.audit(p_organization_id, 'provisioning.requested', 'job', job_id::text, jsonb_strip_nulls(
    jsonb_build_object('services', p_services, 'database_size', p_database_size, 'data_region', p_data_region,
      'tier', p_tier)));
  return next;
end
$$;
revoke execute on function provisioning.request_provisioning(uuid, text[], text, text, uuid, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.request_provisioning(uuid, text[], text, text, uuid, text) is
  'Starts or retries the provisioning of an organization and returns the job with its status. Raises TP404 (no such organization),
TP402 (a size or tier that the plan does not have), TP409 (region or tier fixed), TP422 (unknown service, region, size or
tier), TP423 (an undo is at
work), TP425 (a ready service was done again just now) or TP429 (too much was asked).';
