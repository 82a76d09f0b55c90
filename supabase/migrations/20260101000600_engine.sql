-- The job engine. Workers claim jobs under a lease, write each step's outcome at once, and may die at any line: whatever
-- they held falls due again when the lease runs out, and every later write of theirs is refused.

create function provisioning.hold_lease(p_job_id uuid, p_lease_token uuid) returns public.provisioning_jobs
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
begin
  select * into v_job from public.provisioning_jobs where id = p_job_id for update;
  -- Only now: whoever takes the job over or stops it holds its row while they change the lease.
  if not exists (
    select from provisioning.job_leases l where l.job_id = p_job_id and l.token = p_lease_token) then
    raise exception 'the lease on job % is no longer held', p_job_id using errcode = 'TP001';
  end if;
  return v_job;
end
$$;
revoke execute on function provisioning.hold_lease(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.hold_lease(uuid, uuid) is
  'Locks the job until the end of the transaction and returns it. Raises TP001 when another worker has taken it over.';

create function provisioning.hold_owner(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform from public.organizations o join auth.users u on u.id = o.owner_id
  where o.id = p_organization_id for key share of u;
end
$$;
revoke execute on function provisioning.hold_owner(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.hold_owner(uuid) is
  'Keeps the owner''s account from being deleted until the end of the transaction, or waits until it is. Comes before the lock of
a job wherever a transaction may write the organization''s row twice: the second write looks the owner up again, and would wait
for a deletion that waits for the job.';

create function provisioning.record_event(
  p_organization_id uuid, p_job_id uuid, p_event_type text, p_resource_type text, p_status text,
  p_resource_id text default null, p_error_message text default null, p_metadata jsonb default '{}',
  p_started_at timestamptz default now(), p_completed_at timestamptz default null
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, resource_id, status,
    error_message, metadata, started_at, completed_at)
  values (p_organization_id, p_job_id, p_event_type, p_resource_type, p_resource_id, p_status,
    left(p_error_message, 4000), coalesce(p_metadata, '{}'), p_started_at, p_completed_at);
end
$$;
revoke execute on function provisioning.record_event(uuid, uuid, text, text, text, text, text, jsonb, timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

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

create function provisioning.due_jobs(p_kinds text[], p_limit integer, p_running jsonb)
returns table (job_id uuid, works_on text[])
language plpgsql security definer set search_path = '' as $$
begin
  return query
  with at_work as materialized (
    select l.kind, l.lane from provisioning.job_leases l where l.expires_at > now()
  ), in_worker as materialized (
    select min(make_interval(secs => l.handicap_seconds)) as handicap
    from provisioning.lanes l where (p_running ->> l.lane)::integer > 0
  ), own_places as materialized (
    select k.kind, k.max_running_per_worker as places,
      coalesce(sum((p_running ->> (l.lane || '/' || k.kind))::integer), 0) as taken
    from provisioning.job_kinds k cross join provisioning.lanes l
    where k.max_running_per_worker is not null group by k.kind
  ), places as materialized (
    select k.kind, k.works_on, l.lane, make_interval(secs => l.handicap_seconds) as handicap,
      case when l.max_running_per_worker is not null and o.kind is not null then k.kind end as own_place,
      least(coalesce(k.max_running - (select count(*) from at_work a where a.kind = k.kind), p_limit), p_limit) as of_kind,
      least(coalesce(l.max_running - (select count(*) from at_work a where a.lane = l.lane), p_limit), p_limit) as of_lane,
      least(case when l.max_running_per_worker is null then p_limit when o.kind is not null then o.places - o.taken
        else l.max_running_per_worker - coalesce((p_running ->> l.lane)::integer, 0) + coalesce((
          select sum((p_running ->> (l.lane || '/' || i.kind))::integer) from own_places i), 0) end, p_limit) as of_worker
    from provisioning.job_kinds k cross join provisioning.lanes l left join own_places o using (kind)
    where k.kind = any (p_kinds) and not provisioning.is_paused(k.kind)
  ), due as materialized (
    select p.*, q.id, q.organization_id, q.due_at from places p cross join lateral (
      select j.id, j.organization_id, j.next_attempt_at as due_at from public.provisioning_jobs j
      where j.status = 'queued' and j.kind = p.kind and j.lane = p.lane and j.next_attempt_at <= now()
        -- Whose worker died excludes others too: their heartbeat may bring them back to life.
        and not exists (
          select from provisioning.job_leases o where o.organization_id = j.organization_id
            and (o.works_on && p.works_on or '*' = any (o.works_on || p.works_on)))
      order by j.next_attempt_at limit greatest(least(p.of_kind, p.of_lane, p.of_worker), 0) for update of j skip locked) q
    union all
    select p.*, r.id, r.organization_id, r.due_at from places p cross join lateral (
      select j.id, j.organization_id, l.expires_at as due_at
      from provisioning.job_leases l join public.provisioning_jobs j on j.id = l.job_id
      where l.kind = p.kind and l.lane = p.lane and l.expires_at <= now() for update of j skip locked) r
  ), one_each as (
    -- Two of one organization could exclude each other; the second one has its chance at the next claim.
    select distinct on (d.organization_id) d.* from due d order by d.organization_id, d.due_at + d.handicap, d.id
  ), ranked as (
    select o.*, least(min(o.handicap) over (), (select w.handicap from in_worker w)) as least_handicap,
      row_number() over (partition by o.kind order by o.due_at + o.handicap, o.id) as in_kind,
      row_number() over (partition by o.lane order by o.due_at + o.handicap, o.id) as in_lane,
      row_number() over (partition by o.lane, o.own_place order by o.due_at + o.handicap, o.id) as in_worker
    from one_each o
  )
  select r.id, r.works_on from ranked r
  where r.in_kind <= r.of_kind and r.in_lane <= r.of_lane and r.in_worker <= r.of_worker
    -- They share the worker's CPU. So beside work of a lane that goes first it begins only what has waited long enough.
    and (r.handicap = r.least_handicap or r.due_at + r.handicap <= now())
  order by r.due_at + r.handicap, r.id limit greatest(p_limit, 0);
end
$$;
revoke execute on function provisioning.due_jobs(text[], integer, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.due_jobs(text[], integer, jsonb) is
  'Locks and returns up to p_limit jobs that may be claimed now, in the order of the lanes, within the caps of lanes and kinds and
without those whose organization has a job at work that excludes them. While the worker has work of a lane that goes first, or
takes some, the others give way until they have waited for their handicap. For claim_jobs, which holds the claim''s lock.';

create function provisioning.claim_jobs(p_kinds text[], p_limit integer, p_running jsonb default '{}')
returns table (job_id uuid, organization_id uuid, kind text, tier text, lane text, request jsonb, attempts integer,
  lease_token uuid, lease_expires_at timestamptz)
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_free integer;
begin
  select * into v_settings from provisioning.settings;
  -- One claim at a time, for the few milliseconds it takes: two could each count the same free places.
  perform pg_catalog.pg_advisory_xact_lock(7221, 1);
  select v_settings.max_running_jobs - count(*) into v_free from provisioning.job_leases l where l.expires_at > now();
  return query
  with claimed as (
    update public.provisioning_jobs j set status = 'running', attempts = j.attempts + 1,
      started_at = coalesce(j.started_at, now())
    from provisioning.due_jobs(p_kinds, least(p_limit, v_free), p_running) d where j.id = d.job_id
    returning j.*, d.works_on
  ), leased as (
    insert into provisioning.job_leases as l (job_id, organization_id, kind, lane, works_on, token, expires_at)
    select c.id, c.organization_id, c.kind, c.lane, c.works_on, gen_random_uuid(),
      now() + make_interval(secs => v_settings.lease_seconds)
    from claimed c
    on conflict on constraint job_leases_pkey do update set token = excluded.token, expires_at = excluded.expires_at,
      claimed_at = excluded.claimed_at, lane = excluded.lane, works_on = excluded.works_on
    returning l.*
  )
  select c.id, c.organization_id, c.kind, c.tier, c.lane, c.request, c.attempts, l.token, l.expires_at
  from claimed c join leased l on l.job_id = c.id;
end
$$;
revoke execute on function provisioning.claim_jobs(text[], integer, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.claim_jobs(text[], integer, jsonb) is
  'Takes up to p_limit due jobs under a new lease, never exceeding settings.max_running_jobs over all workers, nor the caps of
their lanes and kinds, and none that is paused. p_running: how many jobs of each lane, and of each kind in it, the worker has
already, such as {"batch": 2, "batch/update_details": 2}. prepare_job comes next.';

create function provisioning.prepare_job(p_job_id uuid, p_lease_token uuid) returns setof text
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_before_steps text;
begin
  -- The owner's account comes before the job: a deletion of it, which waits for the job, is waited for here.
  perform provisioning.hold_owner((select j.organization_id from public.provisioning_jobs j where j.id = p_job_id));
  v_job := provisioning.hold_lease(p_job_id, p_lease_token);
  v_before_steps := (select k.before_steps from provisioning.job_kinds k where k.kind = v_job.kind);
  insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on)
  select v_job.id, d.step, v_job.organization_id, d.service, d.position, d.depends_on
  from provisioning.steps_for(v_job.kind, v_job.tier, v_job.organization_id) d
  where not exists (select from public.provisioning_steps s where s.job_id = p_job_id);
  with interrupted as (
    -- A worker died in these steps. What they did is unknown, which is why every step looks before it creates.
    update public.provisioning_steps s set status = 'retrying', next_attempt_at = now(),
      error = provisioning.failure('worker_lost')
    where s.job_id = p_job_id and s.status = 'running'
    returning s.step, s.attempts, s.started_at, s.error
  )
  insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, status, error_message,
    metadata, started_at, completed_at)
  select v_job.organization_id, p_job_id, 'step.interrupted', i.step, 'retrying', i.error ->> 'message',
    jsonb_build_object('code', i.error ->> 'code', 'attempt', i.attempts), i.started_at, now()
  from interrupted i;
  if v_before_steps is not null then
    execute format('select provisioning.%I($1)', v_before_steps) using p_job_id;
  end if;
  return query select provisioning.ready_steps(p_job_id);
end
$$;
revoke execute on function provisioning.prepare_job(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.prepare_job(uuid, uuid) is
  'What follows a claim, under the lease and outside of the claim''s lock: gives a new job its steps, makes those due again in
which a worker died, calls job_kinds.before_steps, and returns the steps that may start now.';

create function provisioning.extend_lease(p_job_id uuid, p_lease_token uuid) returns timestamptz
language plpgsql security definer set search_path = '' as $$
declare
  v_expires_at timestamptz;
begin
  perform provisioning.hold_lease(p_job_id, p_lease_token);
  update provisioning.job_leases l set expires_at = clock_timestamp() + make_interval(secs => s.lease_seconds)
  from provisioning.settings s
  where l.job_id = p_job_id and l.claimed_at > clock_timestamp() - make_interval(secs => s.lease_max_seconds)
  returning l.expires_at into v_expires_at;
  if v_expires_at is null then
    raise exception 'the lease on job % is not renewed any more', p_job_id using errcode = 'TP001';
  end if;
  return v_expires_at;
end
$$;
revoke execute on function provisioning.extend_lease(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.extend_lease(uuid, uuid) is
  'Renews the lease and returns its end. Called as a heartbeat, and right before a call that creates something outside. Raises
TP001 when another worker has the job, or the lease was taken more than settings.lease_max_seconds ago.';

create function provisioning.ready_steps(p_job_id uuid) returns setof text
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select s.step from public.provisioning_steps s
    where s.job_id = p_job_id
      and (s.status = 'pending' or (s.status = 'retrying' and s.next_attempt_at <= clock_timestamp()))
      and not exists (
        select from public.provisioning_steps d
        where d.job_id = s.job_id and d.step = any (s.depends_on) and d.status <> 'succeeded')
    order by s.position;
end
$$;
revoke execute on function provisioning.ready_steps(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.ready_steps(uuid) is
  'Steps that may start now: pending or due again, with every dependency succeeded.';

create function provisioning.next_step_at(p_job_id uuid) returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select min(coalesce(s.next_attempt_at, clock_timestamp())) from public.provisioning_steps s
    where s.job_id = p_job_id and s.status in ('pending', 'retrying', 'running')
      and not exists (
        select from public.provisioning_steps d
        where d.job_id = s.job_id and d.step = any (s.depends_on) and d.status <> 'succeeded'));
end
$$;
revoke execute on function provisioning.next_step_at(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.next_step_at(uuid) is
  'When the first step may start, now for one whose worker is gone; null when none can because of what others have not done.';

create function provisioning.start_step(p_job_id uuid, p_lease_token uuid, p_step text)
returns table (attempt integer, output jsonb, tenant jsonb)
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_step public.provisioning_steps;
begin
  if not exists (select from provisioning.ready_steps(p_job_id) ready where ready = p_step) then
    return;
  end if;
  update public.provisioning_steps s set status = 'running', attempts = s.attempts + 1, next_attempt_at = null,
    settles_at = null, started_at = clock_timestamp()
  where s.job_id = p_job_id and s.step = p_step returning * into v_step;
  if v_step.attempts > (select max_step_attempts from provisioning.settings) then
    -- Only interruptions get here: an ordinary failure stops at the limit by itself.
    perform provisioning.fail_step(p_job_id, p_lease_token, p_step,
      coalesce(v_step.error, '{}') || provisioning.failure('attempts_exhausted'));
    return;
  end if;
  perform provisioning.refresh_status(v_job.organization_id);
  return query select v_step.attempts, v_step.output, provisioning.tenant(v_job.organization_id, (
    select k.which_database from provisioning.job_kinds k where k.kind = v_job.kind));
end
$$;
revoke execute on function provisioning.start_step(uuid, uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.start_step(uuid, uuid, text) is
  'Marks a ready step as running and returns the number of the attempt, the output of earlier ones and the tenant; no row when it
may not start.';

create function provisioning.save_output(p_job_id uuid, p_lease_token uuid, p_step text, p_output jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.hold_lease(p_job_id, p_lease_token);
  update public.provisioning_steps s set output = jsonb_strip_nulls(s.output || p_output)
  where s.job_id = p_job_id and s.step = p_step and s.status = 'running';
  if not found then
    raise exception 'step % of job % is not running', p_step, p_job_id using errcode = 'TP002';
  end if;
end
$$;
revoke execute on function provisioning.save_output(uuid, uuid, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.save_output(uuid, uuid, text, jsonb) is
  'Adds to the output of a running step what a later attempt must know although this one may never end. As in every output that
is written, null removes a key.';

create function provisioning.complete_step(p_job_id uuid, p_lease_token uuid, p_step text, p_output jsonb)
returns setof text
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_step public.provisioning_steps;
begin
  update public.provisioning_steps s set status = 'succeeded', output = jsonb_strip_nulls(s.output || p_output), error = null,
    next_attempt_at = null, finished_at = clock_timestamp()
  where s.job_id = p_job_id and s.step = p_step and s.status = 'running' returning * into v_step;
  if v_step.job_id is null then
    raise exception 'step % of job % is not running', p_step, p_job_id using errcode = 'TP002';
  end if;
  perform provisioning.record_event(v_job.organization_id, p_job_id, 'step.succeeded', p_step, 'succeeded',
    p_output ->> 'resourceId', null, jsonb_build_object('attempt', v_step.attempts) || jsonb_strip_nulls(p_output - 'resourceId'),
    v_step.started_at, v_step.finished_at);
  perform provisioning.refresh_status(v_job.organization_id);
  return query select provisioning.ready_steps(p_job_id);
end
$$;
revoke execute on function provisioning.complete_step(uuid, uuid, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.complete_step(uuid, uuid, text, jsonb) is
  'Writes a running step''s success and returns the steps that may start now. A finished step is never written again (TP002).';

create function provisioning.backoff_seconds(p_attempts integer) returns double precision
language plpgsql volatile set search_path = '' as $$
begin
  return (
    select random() * least(s.backoff_cap_seconds, s.backoff_base_seconds * power(2, least(p_attempts - 1, 30)))
    from provisioning.settings s);
end
$$;
revoke execute on function provisioning.backoff_seconds(integer) from public, anon, authenticated, service_role;
comment on function provisioning.backoff_seconds(integer) is
  'Exponential backoff with full jitter: uniform in [0, min(cap, base·2^(attempts−1))], as in the AWS Architecture Blog''s
"Exponential Backoff And Jitter".';

create function provisioning.fail_step(
  p_job_id uuid, p_lease_token uuid, p_step text, p_error jsonb, p_retry_after_seconds double precision default 0,
  p_output jsonb default '{}', p_settle_seconds double precision default 0
) returns timestamptz
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_step public.provisioning_steps;
  v_error jsonb;
  v_settles_at timestamptz;
  v_next timestamptz;
begin
  select * into v_step from public.provisioning_steps s
  where s.job_id = p_job_id and s.step = p_step and s.status = 'running';
  if v_step.job_id is null then
    raise exception 'step % of job % is not running', p_step, p_job_id using errcode = 'TP002';
  end if;
  v_error := p_error || jsonb_build_object('step', p_step);
  v_settles_at := case when p_settle_seconds > 0 then clock_timestamp() + make_interval(secs => p_settle_seconds) end;
  if coalesce((p_error ->> 'retryable')::boolean, false)
    and v_step.attempts < (select max_step_attempts from provisioning.settings) then
    v_next := greatest(v_settles_at, clock_timestamp()
      + make_interval(secs => greatest(provisioning.backoff_seconds(v_step.attempts), p_retry_after_seconds)));
  end if;
  update public.provisioning_steps s set status = case when v_next is null then 'failed' else 'retrying' end,
    error = v_error, output = jsonb_strip_nulls(s.output || p_output), next_attempt_at = v_next, settles_at = v_settles_at,
    finished_at = case when v_next is null then clock_timestamp() end
  where s.job_id = p_job_id and s.step = p_step;
  update public.provisioning_jobs j set last_error = v_error where j.id = p_job_id;
  perform provisioning.record_event(v_job.organization_id, p_job_id,
    case when v_next is null then 'step.failed' else 'step.retrying' end, p_step,
    case when v_next is null then 'failed' else 'retrying' end, null, p_error ->> 'message',
    jsonb_strip_nulls(jsonb_build_object('attempt', v_step.attempts, 'code', p_error ->> 'code', 'next_attempt_at', v_next)),
    v_step.started_at, clock_timestamp());
  perform provisioning.refresh_status(v_job.organization_id);
  return v_next;
end
$$;
revoke execute on function provisioning.fail_step(uuid, uuid, text, jsonb, double precision, jsonb, double precision)
  from public, anon, authenticated, service_role;
comment on function provisioning.fail_step(uuid, uuid, text, jsonb, double precision, jsonb, double precision) is
  'Writes a failed attempt and returns when the next one is due, never before p_retry_after_seconds; null when it is final.
p_settle_seconds is for a request whose answer is open: within that time not even retry_job makes the step due.';

create function provisioning.defer_step(
  p_job_id uuid, p_lease_token uuid, p_step text, p_until timestamptz, p_reason jsonb, p_output jsonb default '{}',
  p_settle_seconds double precision default 0
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_settles_at timestamptz := case when p_settle_seconds > 0 then clock_timestamp() + make_interval(secs => p_settle_seconds) end;
begin
  update public.provisioning_steps s set status = 'retrying', attempts = s.attempts - 1,
    next_attempt_at = greatest(v_settles_at, p_until), settles_at = v_settles_at,
    error = p_reason, output = jsonb_strip_nulls(s.output || p_output)
  where s.job_id = p_job_id and s.step = p_step and s.status = 'running';
  if not found then
    raise exception 'step % of job % is not running', p_step, p_job_id using errcode = 'TP002';
  end if;
  update public.provisioning_jobs j set last_error = p_reason || jsonb_build_object('step', p_step) where j.id = p_job_id;
  perform provisioning.refresh_status(v_job.organization_id);
end
$$;
revoke execute on function provisioning.defer_step(uuid, uuid, text, timestamptz, jsonb, jsonb, double precision)
  from public, anon, authenticated, service_role;
comment on function provisioning.defer_step(uuid, uuid, text, timestamptz, jsonb, jsonb, double precision) is
  'Puts a running step off without counting the attempt: the provider is busy with it, which is nobody''s failure.
p_settle_seconds is as in fail_step.';

create function provisioning.finish_job(p_job_id uuid, p_lease_token uuid)
returns table (status text, next_attempt_at timestamptz)
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_status text;
  v_next timestamptz;
  v_error jsonb;
begin
  -- A worker that gives up in the middle of a step says so by ending the job under it.
  update public.provisioning_steps s set status = 'retrying', next_attempt_at = clock_timestamp(),
    error = provisioning.failure('worker_lost')
  where s.job_id = p_job_id and s.status = 'running';
  with recursive blocked as (
    select s.step from public.provisioning_steps s where s.job_id = p_job_id and s.status in ('failed', 'cancelled')
    union
    select s.step from public.provisioning_steps s join blocked b on b.step = any (s.depends_on) where s.job_id = p_job_id
  )
  select
    case
      -- Without any, the job has not been prepared yet.
      when count(*) = 0 then 'queued'
      when bool_and(s.status = 'succeeded') then 'succeeded'
      when bool_or(s.status in ('pending', 'retrying') and s.step not in (select b.step from blocked b)) then 'queued'
      else 'failed'
    end,
    (array_agg(s.error order by s.position) filter (where s.status = 'failed'))[1]
  into v_status, v_error
  from public.provisioning_steps s where s.job_id = p_job_id;
  v_next := provisioning.next_step_at(p_job_id);
  if v_status = 'queued' and v_next is null then
    -- It could not be prepared. The next claim tries again, later each time.
    v_next := clock_timestamp() + make_interval(secs => least(60, power(2, least(v_job.attempts, 6) - 1)));
  end if;
  update public.provisioning_jobs j set status = v_status, next_attempt_at = coalesce(v_next, j.next_attempt_at),
    last_error = case v_status when 'succeeded' then null when 'failed' then v_error else j.last_error end,
    finished_at = case when v_status <> 'queued' then clock_timestamp() end
  where j.id = p_job_id;
  if v_status <> 'queued' and v_job.rerun_services is not null then
    update public.provisioning_jobs j set rerun_services = null where j.id = p_job_id;
    v_status := provisioning.retry_job(p_job_id, v_job.rerun_services);
    v_next := provisioning.next_step_at(p_job_id);
  end if;
  if v_status <> 'queued' then
    perform provisioning.record_event(v_job.organization_id, p_job_id, 'job.' || v_status, v_job.kind, v_status,
      p_job_id::text, v_error ->> 'message', jsonb_build_object('attempts', v_job.attempts), v_job.created_at, clock_timestamp());
  end if;
  perform provisioning.refresh_status(v_job.organization_id);
  return query select v_status, v_next;
end
$$;
revoke execute on function provisioning.finish_job(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.finish_job(uuid, uuid) is
  'Gives the lease back: succeeded when every step is, failed when nothing more can run, else queued for the earliest step, or
after a pause when the job could not be prepared.';

create function provisioning.next_due_at(p_kinds text[]) returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
begin
  return least(
    (select min(q.due_at) from provisioning.job_kinds k, provisioning.lanes l cross join lateral (
      select j.next_attempt_at as due_at from public.provisioning_jobs j
      where j.status = 'queued' and j.kind = k.kind and j.lane = l.lane order by j.next_attempt_at limit 1) q
    where k.kind = any (p_kinds) and not provisioning.is_paused(k.kind)),
    (select min(l.expires_at) from provisioning.job_leases l where l.kind = any (p_kinds)
      and not provisioning.is_paused(l.kind)));
end
$$;
revoke execute on function provisioning.next_due_at(text[]) from public, anon, authenticated, service_role;
comment on function provisioning.next_due_at(text[]) is
  'When the next job of these kinds falls due; null when none is open, or their work is paused.';

create function provisioning.add_new_steps(p_job public.provisioning_jobs, p_services text[]) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_services text[] := p_services;
  v_more text[];
begin
  -- What made nothing yet gets its steps when a worker begins; what reverts or removes has the steps of its time.
  if p_job.kind <> provisioning.kind_for('provision')
    or not exists (select from public.provisioning_steps s where s.job_id = p_job.id) then
    return false;
  end if;
  loop
    -- What the named services need, and what that needs.
    v_more := provisioning.services_needed(p_job.tier, v_services);
    exit when v_services is null or v_more = '{}';
    v_services := v_services || v_more;
  end loop;
  insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on)
  select p_job.id, d.step, p_job.organization_id, d.service, d.position, d.depends_on
  from provisioning.steps_for(p_job.kind, p_job.tier, p_job.organization_id) d
  where (v_services is null or d.service = any (v_services))
    and not exists (select from public.provisioning_steps s where s.job_id = p_job.id and s.step = d.step);
  return found;
end
$$;
revoke execute on function provisioning.add_new_steps(public.provisioning_jobs, text[])
  from public, anon, authenticated, service_role;
comment on function provisioning.add_new_steps(public.provisioning_jobs, text[]) is
  'Adds to a provisioning the steps that its tier has got since it began: of all services or, with what they need, of the named
ones. Returns whether there were any.';

create function provisioning.retry_job(p_job_id uuid, p_services text[] default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_added boolean;
  v_reset boolean;
  v_now timestamptz;
begin
  -- A provisioning and what reverts it exclude each other. Whoever begins either holds the organization's lock
  -- (provisioning.hold_provisioning) and sees what the other has begun; it comes before the job's row, as there.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(j.organization_id::text, 7224))
  from public.provisioning_jobs j join provisioning.job_kinds k using (kind) where j.id = p_job_id and k.purpose = 'revert';
  select * into v_job from public.provisioning_jobs where id = p_job_id for update;
  if v_job.status = 'running' and exists (
    select from provisioning.job_leases l where l.job_id = p_job_id and l.expires_at > now()) then
    if p_services is not null then
      update public.provisioning_jobs j
      set rerun_services = array(select s from unnest(coalesce(j.rerun_services, '{}') || p_services) s group by s order by s)
      where j.id = p_job_id;
    end if;
    return 'running';
  end if;
  if exists (
    select from provisioning.job_kinds k join public.provisioning_jobs p on p.kind = k.undoes
    where k.kind = v_job.kind and k.purpose = 'revert'
      and p.organization_id = v_job.organization_id and p.status <> 'cancelled') then
    raise exception 'The organization has been provisioned again since; this undo would remove what it uses.'
      using errcode = 'TP409';
  end if;
  v_added := provisioning.add_new_steps(v_job, p_services);
  v_now := clock_timestamp();
  update public.provisioning_steps s set attempts = 0, started_at = null, finished_at = null,
    status = case when s.settles_at > v_now then 'retrying' else 'pending' end,
    next_attempt_at = case when s.settles_at > v_now then s.settles_at end,
    -- A cancellation has taken the error away.
    error = case when s.settles_at > v_now then coalesce(s.error, provisioning.failure('answer_open')) end
  -- A cancelled step comes along whatever was named: without it the job could never succeed.
  where s.job_id = p_job_id and (p_services is null or s.service = any (p_services) or s.status = 'cancelled')
    and (s.status in ('retrying', 'failed', 'cancelled', 'running')
      -- Named services are looked at again even when they succeeded: each step finds what exists.
      or (s.status = 'succeeded' and p_services is not null and v_job.finished_at is not null));
  -- A job that no worker has taken yet has no steps that could be reset.
  v_reset := found or v_added or not exists (select from public.provisioning_steps s where s.job_id = p_job_id);
  if not v_reset and v_job.finished_at is not null then
    return v_job.status;
  end if;
  update public.provisioning_jobs set status = 'queued', next_attempt_at = coalesce(provisioning.next_step_at(p_job_id), now()),
    lane = 'request', last_error = null, finished_at = null
  where id = p_job_id;
  perform provisioning.refresh_status(v_job.organization_id);
  return 'queued';
end
$$;
revoke execute on function provisioning.retry_job(uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.retry_job(uuid, text[]) is
  'Makes a job due now with fresh attempts, whole or for the named services, and returns its status. A step that has a request
under way whose answer is open is due when that has settled (settles_at). A finished step is left alone unless its service is
named; a job at work is too, and looks at the named services again when it is done. Steps that a provisioning''s tier has got
since are added, of the services that are retried. Raises TP409 for an undo that has been
overtaken.';
