-- What becomes of the steps of a job that a worker has: which may start, and what the worker writes of each, under its lease.

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

create function provisioning.start_step(p_job_id uuid, p_lease_token uuid, p_step text, p_refreshes boolean default true)
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
  if p_refreshes then
    perform provisioning.refresh_status(v_job.organization_id);
  end if;
  return query select v_step.attempts, v_step.output, provisioning.tenant(v_job.organization_id, (
    select k.which_database from provisioning.job_kinds k where k.kind = v_job.kind));
end
$$;
revoke execute on function provisioning.start_step(uuid, uuid, text, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.start_step(uuid, uuid, text, boolean) is
  'Marks a ready step as running and returns the number of the attempt, the output of earlier ones and the tenant; no row when it
may not start. Whoever starts several in one statement, or one behind an outcome, calls refresh_status once at its end instead of
p_refreshes: each change of the status is another version of the organization''s row.';

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

create function provisioning.complete_step(
  p_job_id uuid, p_lease_token uuid, p_step text, p_output jsonb, p_refreshes boolean default true
)
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
  if p_refreshes then
    perform provisioning.refresh_status(v_job.organization_id);
  end if;
  return query select provisioning.ready_steps(p_job_id);
end
$$;
revoke execute on function provisioning.complete_step(uuid, uuid, text, jsonb, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.complete_step(uuid, uuid, text, jsonb, boolean) is
  'Writes a running step''s success and returns the steps that may start now. A finished step is never written again (TP002).
p_refreshes is as in start_step.';

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
