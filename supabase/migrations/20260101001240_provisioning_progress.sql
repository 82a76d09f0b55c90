-- How the provisioning of an organization stands, as people and programs watch it: the newest job, its services and its steps.
-- The steps get their rows when a worker claims the job; before that they are shown as they will be, pending.

create function provisioning.visible_organizations(p_ids uuid[]) returns uuid[]
language plpgsql stable security definer set search_path = '' as $$
begin
  if auth.role() = 'service_role' or provisioning.is_operator() then
    return p_ids;
  end if;
  return array(
    select provisioning.my_organization_ids() intersect select i.id from unnest(p_ids) i (id));
end
$$;
revoke execute on function provisioning.visible_organizations(uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.visible_organizations(uuid[]) is
  'Those of the organizations that the caller may watch: a member their own, operators and the service role all of them.';

create function provisioning.step_progress(p_job_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('step', s.step, 'service', s.service, 'status', s.status, 'attempts', s.attempts,
      'next_attempt_at', s.next_attempt_at, 'started_at', s.started_at, 'finished_at', s.finished_at, 'error', s.error)
      order by s.position), '[]')
    from provisioning.steps_of(p_job_id) s);
end
$$;
revoke execute on function provisioning.step_progress(uuid) from public, anon, authenticated, service_role;

create function provisioning.service_progress(p_status jsonb, p_steps jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', state.key, 'status', state.value, 'attempts', of.attempts,
      'next_attempt_at', of.next_attempt_at, 'error', of.error) order by of.first, state.key), '[]')
    from jsonb_each_text(p_status - 'overall' - 'changed_at') state
    cross join lateral (
      select coalesce(sum((s.step ->> 'attempts')::integer), 0) as attempts, min(s.step ->> 'next_attempt_at') as next_attempt_at,
        min(s.n) as first,
        (array_agg(s.step -> 'error' order by s.n) filter (where s.step ->> 'error' is not null))[1] as error
      from jsonb_array_elements(p_steps) with ordinality s (step, n) where s.step ->> 'service' = state.key) of);
end
$$;
revoke execute on function provisioning.service_progress(jsonb, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.service_progress(jsonb, jsonb) is
  'Each service of a provisioning_status with what its steps amount to, in the order of its first step.';

create function provisioning.move_progress(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_move provisioning.tenant_moves;
  v_job public.provisioning_jobs;
  v_steps jsonb;
begin
  select * into v_move from provisioning.tenant_moves m where m.organization_id = p_organization_id and m.moved_at is null;
  if v_move.job_id is null then
    return null;
  end if;
  select * into v_job from public.provisioning_jobs j where j.id = v_move.job_id;
  if v_job.status is null or v_job.status not in ('queued', 'running', 'failed') then
    return null;
  end if;
  v_steps := provisioning.step_progress(v_job.id);
  return jsonb_build_object('to', v_move.to_tier, 'job_id', v_job.id, 'job_status', v_job.status, 'error', v_job.last_error,
    'is_closed', v_move.closed_until is not null, 'paused_because', provisioning.paused_because(v_job.id),
    'percent', 100 * (select count(*) from jsonb_array_elements(v_steps) s where s ->> 'status' = 'succeeded')
      / greatest(jsonb_array_length(v_steps), 1),
    'steps', v_steps);
end
$$;
revoke execute on function provisioning.move_progress(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.move_progress(uuid) is
  'How the move of an organization into another tier stands; null when none is under way, or has failed.';

create function provisioning.organization_progress(p_organization public.organizations) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_steps jsonb;
  v_done integer;
  v_document jsonb;
begin
  select * into v_job from public.provisioning_jobs j
  where j.organization_id = p_organization.id and j.kind = provisioning.kind_for('provision') order by j.created_at desc limit 1;
  v_steps := provisioning.step_progress(v_job.id);
  v_done := (select count(*) from jsonb_array_elements(v_steps) s where s ->> 'status' = 'succeeded');
  v_document := jsonb_build_object(
    'organization_id', p_organization.id, 'overall', p_organization.provisioning_status -> 'overall',
    'percent', case when p_organization.provisioning_status ->> 'overall' = 'ready' then 100
      else 100 * v_done / greatest(jsonb_array_length(v_steps), 1) end,
    'attempts', coalesce(v_job.attempts, 0),
    'next_attempt_at', case when v_job.status = 'queued' then v_job.next_attempt_at end,
    'error', v_job.last_error, 'paused_because', provisioning.paused_because(v_job.id),
    'tier', v_job.tier, 'move', provisioning.move_progress(p_organization.id), 'job_id', v_job.id, 'job_status', v_job.status,
    'services', provisioning.service_progress(p_organization.provisioning_status, v_steps), 'steps', v_steps,
    'changed_at', p_organization.provisioning_status -> 'changed_at', 'provisioned_at', p_organization.provisioned_at);
  return v_document || jsonb_build_object('revision', md5(v_document::text));
end
$$;
revoke execute on function provisioning.organization_progress(public.organizations)
  from public, anon, authenticated, service_role;

create function provisioning.progress_of(p_organization_ids uuid[]) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_object_agg(o.id, provisioning.organization_progress(o)), '{}')
    from public.organizations o where o.id = any (provisioning.visible_organizations(p_organization_ids)));
end
$$;
revoke execute on function provisioning.progress_of(uuid[]) from public, anon, authenticated, service_role;
grant execute on function provisioning.progress_of(uuid[]) to authenticated, service_role;
comment on function provisioning.progress_of(uuid[]) is
  'How the provisioning of several organizations stands, by id; only of those that the caller may watch. Each is
{organization_id, overall, percent, attempts, next_attempt_at, error, paused_because, tier, move, job_id, job_status,
services, steps, changed_at, provisioned_at, revision}; the revision changes whenever anything else does. Steps are pending until
a worker has claimed the job.';

create function provisioning.watched_progress(p_watched jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_watched jsonb;
  v_ids uuid[];
  v_visible jsonb := '[]';
  v_all uuid[] := '{}';
  v_progress jsonb;
begin
  for v_watched in select w from jsonb_array_elements(p_watched) w loop
    perform set_config('request.jwt.claims', case when v_watched ->> 'user_id' is null then '{"role": "service_role"}'
      else jsonb_build_object('sub', v_watched ->> 'user_id', 'role', 'authenticated')::text end, true);
    v_ids := provisioning.visible_organizations(
      array(select id::uuid from jsonb_array_elements_text(v_watched -> 'organization_ids') id));
    v_visible := v_visible || jsonb_build_array(to_jsonb(v_ids));
    v_all := v_all || v_ids;
  end loop;
  perform set_config('request.jwt.claims', '{"role": "service_role"}', true);
  v_progress := provisioning.progress_of(v_all);
  perform set_config('request.jwt.claims', '', true);
  return jsonb_build_object('visible', v_visible, 'progress', v_progress);
end
$$;
revoke execute on function provisioning.watched_progress(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.watched_progress(jsonb) is
  'How the provisioning of all organizations stands that somebody listens to: p_watched is a list of {user_id, organization_ids},
where the user_id is null for the backend. Returns {visible, progress}: for each of these, in this order, the organizations that
this caller may watch; and the progress of all of them, see progress_of. For the owner alone: it trusts the ids of users.';

create function public.provisioning_progress(organization_id uuid) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_progress jsonb := provisioning.progress_of(array[organization_id]) -> organization_id::text;
begin
  if v_progress is null then
    raise exception 'There is no organization % that you may see.', organization_id using errcode = 'PT404';
  end if;
  return v_progress;
end
$$;
revoke execute on function public.provisioning_progress(uuid) from public, anon;
grant execute on function public.provisioning_progress(uuid) to authenticated, service_role;
comment on function public.provisioning_progress(uuid) is
  'For members, operators and the backend: how the provisioning of an organization stands, with services and steps, from the
moment of the sign-up on. The rows in provisioning_steps come a moment later, when a worker has claimed the job. Raises PT404
(HTTP 404) for everybody else. See provisioning.progress_of.';
