-- The job engine. Workers claim jobs under a lease, write each step's outcome at once (step_outcomes.sql), and may die at any
-- line: whatever they held falls due again when the lease runs out, and every later write of theirs is refused.

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
