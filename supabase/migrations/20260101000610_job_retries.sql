-- A job once more: due now, with fresh attempts, and with the steps that its tier has got since.

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
    -- Other steps of it may have failed before and wait for a late attempt: the worker gives the job back for the earliest one.
    update public.provisioning_steps s set next_attempt_at = greatest(s.settles_at, clock_timestamp())
    where s.job_id = p_job_id and s.status = 'retrying' and (p_services is null or s.service = any (p_services));
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
named. Of a job at work only what waits for a late attempt is made due, and it looks at the named services again when it is done.
Steps that a provisioning''s tier has got since are added, of the services that are retried. Raises TP409 for an undo that has
been overtaken.';
