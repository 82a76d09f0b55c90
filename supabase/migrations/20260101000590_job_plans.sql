-- What a job consists of and how it stands: its steps, from the definitions until they have rows, the states of services that
-- follow from them, and the row that puts a job into the queue.

create function provisioning.steps_beside(p_kind provisioning.job_kinds, p_tier text, p_organization_id uuid)
returns setof provisioning.step_definitions
language plpgsql stable security definer set search_path = '' as $$
declare
  v_is_move constant boolean := p_kind.kind = provisioning.kind_for('move');
  v_from text := (select m.from_tier from provisioning.tenant_moves m where m.organization_id = p_organization_id);
  v_first text[] := array(
    select d.step from provisioning.step_definitions d where d.kind = p_kind.kind and d.tier = p_tier and d.depends_on = '{}');
begin
  return query
    with recursive missing as (
      select d.step from provisioning.step_definitions d
      where d.kind = p_kind.has_steps_of and d.tier = p_tier and d.service <> all (array(
        select o.service from provisioning.step_definitions o
        where o.kind = provisioning.kind_for('provision') and o.tier = v_from)) and v_from is not null
      union
      -- What rests on something new is made anew, too. It is not taken back, because the tenant uses the one that it has.
      select d.step from provisioning.step_definitions d join missing m on m.step = any (d.depends_on)
      where v_is_move and d.kind = p_kind.has_steps_of and d.tier = p_tier
    )
    select p_kind.kind, d.tier, d.step, d.service, d.position,
      case when v_is_move then v_first || d.depends_on else d.depends_on end
    from provisioning.step_definitions d join missing m on m.step = d.step
    where d.kind = p_kind.has_steps_of and d.tier = p_tier;
end
$$;
revoke execute on function provisioning.steps_beside(provisioning.job_kinds, text, uuid)
  from public, anon, authenticated, service_role;
comment on function provisioning.steps_beside(provisioning.job_kinds, text, uuid) is
  'The steps that a job has beside its own while a tenant is moved into the tier: those of job_kinds.has_steps_of whose services
the tier that the tenant leaves does not have. In a move they come behind the steps with which it begins.';

create function provisioning.steps_for(p_kind text, p_tier text, p_organization_id uuid default null)
returns setof provisioning.step_definitions
language plpgsql stable security definer set search_path = '' as $$
declare
  v_kind provisioning.job_kinds;
  -- Null where all steps are wanted.
  v_services text[];
begin
  select * into v_kind from provisioning.job_kinds k where k.kind = p_kind;
  if p_kind in (provisioning.kind_for('provision'), provisioning.kind_for('move')) then
    v_services := (select t.services from provisioning.tiers t where t.tier = p_tier);
  end if;
  if v_kind.has_steps_of is not null then
    return query
      with steps as (
        select d.* from provisioning.step_definitions d where d.kind = p_kind and d.tier = p_tier
        union all
        select b.* from provisioning.steps_beside(v_kind, p_tier, p_organization_id) b
        where v_services is null or b.service = any (v_services)
      )
      select s.kind, s.tier, s.step, s.service, s.position, case when s.depends_on = '{*}'
        then array(select o.step from steps o where o.step <> s.step order by o.position, o.step) else s.depends_on end
      from steps s;
    return;
  end if;
  return query
    select d.* from provisioning.step_definitions d
    where d.kind = p_kind and d.tier = p_tier and (v_services is null or d.service = any (v_services));
  if p_kind = provisioning.kind_for('remove') then
    -- A tenant that moves, or has moved, has something in two tiers.
    return query
      select distinct on (d.step) d.* from provisioning.step_definitions d
      where d.kind = p_kind and d.tier <> p_tier and d.service = any (array(
        select r.service from public.tenant_resources r where r.organization_id = p_organization_id and r.state <> 'removed'))
        and not exists (
          select from provisioning.step_definitions o where o.kind = p_kind and o.tier = p_tier and o.step = d.step)
      order by d.step, d.tier;
  end if;
end
$$;
revoke execute on function provisioning.steps_for(text, text, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.steps_for(text, text, uuid) is
  'The steps of a new job. What provisions or moves has those of the services that the tier has today; what removes has all of
them, and those of other tiers whose services the organization has something of.';

create function provisioning.steps_of(p_job_id uuid) returns setof public.provisioning_steps
language plpgsql stable security definer set search_path = '' as $$
begin
  return query select s.* from public.provisioning_steps s where s.job_id = p_job_id order by s.position;
  if found then
    return;
  end if;
  return query
    select j.id, d.step, j.organization_id, d.service, d.position, d.depends_on,
      case when j.status = 'cancelled' then 'cancelled' else 'pending' end::provisioning_types.step_status, 0, null::timestamptz,
      null::timestamptz, '{}'::jsonb, null::jsonb, null::timestamptz, case when j.status = 'cancelled' then j.finished_at end
    from public.provisioning_jobs j, provisioning.steps_for(j.kind, j.tier, j.organization_id) d
    where j.id = p_job_id order by d.position;
end
$$;
revoke execute on function provisioning.steps_of(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.steps_of(uuid) is
  'A job''s steps in their order. Until a worker has claimed the job they have no rows, and are shown as the definitions say:
pending, or cancelled with the job.';

create function provisioning.service_states(p_job_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_object_agg(service, state), '{}') from (
      select s.service, case
        when bool_and(s.status = 'succeeded') then 'ready'
        when bool_or(s.status = 'failed') then 'failed'
        when bool_or(s.status = 'cancelled') then 'cancelled'
        when bool_or(s.status = 'retrying') then 'retrying'
        when bool_or(s.status in ('running', 'succeeded')) then 'running'
        else 'pending' end as state
      from provisioning.steps_of(p_job_id) s group by s.service) by_service);
end
$$;
revoke execute on function provisioning.service_states(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.service_states(uuid) is 'How each service of a job stands, by the steps that it has in it.';

create function provisioning.refresh_status(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_services jsonb;
  v_status jsonb;
begin
  select * into v_job from public.provisioning_jobs
  where organization_id = p_organization_id and kind = provisioning.kind_for('provision') order by created_at desc limit 1;
  if v_job.id is null then
    return;
  end if;
  v_services := provisioning.service_states(v_job.id);
  v_status := (select t.initial_status from provisioning.tiers t where t.tier = v_job.tier) || v_services
    || jsonb_build_object('overall', case
      when v_job.status = 'succeeded' then 'ready'
      when v_job.status in ('failed', 'cancelled') then v_job.status
      when v_job.status = 'running' or exists (
        select from jsonb_each_text(v_services) where value <> 'pending') then 'provisioning'
      else 'pending' end);
  update public.organizations set
    provisioning_status = v_status || jsonb_build_object('changed_at', clock_timestamp()),
    provisioned_at = case when v_status ->> 'overall' = 'ready' then coalesce(provisioned_at, clock_timestamp())
      else provisioned_at end
  where id = p_organization_id and provisioning_status - 'changed_at' <> v_status;
end
$$;
revoke execute on function provisioning.refresh_status(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.refresh_status(uuid) is
  'Derives organizations.provisioning_status from the newest job that provisions and its tier. changed_at moves only when a state
does.';

create function provisioning.tier_of(p_organization_id uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select j.tier from public.provisioning_jobs j join provisioning.job_kinds k using (kind)
    where j.organization_id = p_organization_id and k.which_database = 'current' order by j.created_at desc limit 1);
end
$$;
revoke execute on function provisioning.tier_of(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.tier_of(uuid) is
  'The tier of an organization: that of its newest job, apart from those that work on a database which is not in use. Null without
any job.';

create function provisioning.enqueue(
  p_organization_id uuid, p_kind text, p_request jsonb default '{}', p_requested_by uuid default null,
  p_lane text default null, p_tier text default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_kind provisioning.job_kinds;
  v_tier text := coalesce(p_tier, provisioning.tier_of(p_organization_id), (select s.default_tier from provisioning.settings s));
  v_job_id uuid;
begin
  select * into v_kind from provisioning.job_kinds k where k.kind = p_kind;
  if v_kind.kind is null then
    raise exception 'there is no kind of job "%"', p_kind using errcode = 'TP422';
  end if;
  loop
    insert into public.provisioning_jobs (organization_id, kind, tier, lane, request, requested_by)
    values (p_organization_id, p_kind, v_tier, coalesce(p_lane, v_kind.lane), p_request, p_requested_by)
    on conflict (organization_id, kind) where status in ('queued', 'running') do nothing
    returning id into v_job_id;
    exit when v_job_id is not null;
    select id into v_job_id from public.provisioning_jobs
    where organization_id = p_organization_id and kind = p_kind and status in ('queued', 'running');
    exit when v_job_id is not null;
    -- The job that was in the way has just ended: again.
  end loop;
  return v_job_id;
end
$$;
revoke execute on function provisioning.enqueue(uuid, text, jsonb, uuid, text, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.enqueue(uuid, text, jsonb, uuid, text, text) is
  'The open job of this kind for the organization, created when there is none: in the lane of its kind unless another is named,
and in the tier of the organization. Its steps get their rows when a worker claims it. Raises TP422 for an unknown
kind.';
