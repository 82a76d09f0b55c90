-- What an operator has stopped for a while: all work, one kind of job, or all calls to one provider. Nothing is lost by it: jobs
-- wait in their rows, and whoever waits is told why.

create domain provisioning_types.pause_scope as text
  constraint pause_scope_is_known check (value in ('everything', 'kind', 'provider'));

create table provisioning.pauses (
  scope provisioning_types.pause_scope not null,
  -- A kind of job, or a service, whose providers are not called then. Empty for everything.
  name text not null default '',
  reason text not null,
  paused_at timestamptz not null default now(),
  -- Null for the owner of the database, in SQL, and for the backend.
  paused_by uuid,
  primary key (scope, name),
  constraint only_everything_has_no_name check ((scope = 'everything') = (name = '')),
  constraint reason_is_not_blank check (btrim(reason) <> '')
);
comment on table provisioning.pauses is 'What is paused now. A row goes when the work is resumed; the audit log keeps both.';
alter table provisioning.pauses enable row level security;
revoke all on provisioning.pauses from anon, authenticated, service_role;

create function provisioning.pause(p_scope text, p_name text, p_reason text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_name text := case when p_scope = 'everything' then '' else p_name end;
begin
  -- In parentheses: plpgsql would take the first THEN for the end of the condition.
  if not (case p_scope
    when 'everything' then true
    when 'kind' then exists (select from provisioning.job_kinds k where k.kind = v_name)
    when 'provider' then exists (select from provisioning.provider_status s where s.service = v_name)
    else false end) then
    raise exception 'There is no % "%" to pause.', p_scope, p_name using errcode = 'TP422';
  end if;
  if provisioning.trimmed(p_reason) is null then
    raise exception 'Say why: everybody who waits is shown the reason.' using errcode = 'TP422';
  end if;
  insert into provisioning.pauses as p (scope, name, reason, paused_by)
  values (p_scope, v_name, left(provisioning.trimmed(p_reason), 500), auth.uid())
  on conflict (scope, name) do update set reason = excluded.reason, paused_by = excluded.paused_by
  where p.reason <> excluded.reason;
  if not found then
    return false;
  end if;
  -- A pause belongs to no organization; rows of the nil one are for the service role's eyes.
  perform provisioning.audit('00000000-0000-0000-0000-000000000000', 'work.paused', p_scope, v_name,
    jsonb_build_object('reason', left(provisioning.trimmed(p_reason), 500), 'by_role', session_user));
  return true;
end
$$;
revoke execute on function provisioning.pause(text, text, text) from public, anon, authenticated, service_role;
comment on function provisioning.pause(text, text, text) is
  'Pauses everything (p_name is ignored), one kind of job or one provider (the name of its service), or gives a pause another
reason. A job at work goes on; it is put off when its next call to a provider is paused. False when nothing changed. Audited.
Raises TP422 for an unknown name or a blank reason.';

create function provisioning.make_due_after_pause(p_provider text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  -- The code with which the steps of a service are put off during a pause.
  v_code text := (select s.service || '_paused' from provisioning.provider_status s where s.provider = p_provider);
begin
  -- The jobs before their steps, as workers lock them. One that is at work with other steps is queued for its earliest step when
  -- those have ended.
  with waiting as (
    select j.id from public.provisioning_jobs j
    where j.status in ('queued', 'running') and exists (
      select from public.provisioning_steps s
      where s.job_id = j.id and s.status = 'retrying' and s.error ->> 'code' = v_code)
    order by j.id for update
  ), due as (
    update public.provisioning_jobs j set next_attempt_at = now() from waiting w where j.id = w.id
    returning j.id
  )
  update public.provisioning_steps s set next_attempt_at = greatest(s.settles_at, now()) from due d
  where s.job_id = d.id and s.status = 'retrying' and s.error ->> 'code' = v_code;
end
$$;
revoke execute on function provisioning.make_due_after_pause(text) from public, anon, authenticated, service_role;
comment on function provisioning.make_due_after_pause(text) is
  'Makes the jobs due whose steps were put off because this provider was paused.';

create function provisioning.resume(p_scope text, p_name text default '') returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_name text := case when p_scope = 'everything' then '' else p_name end;
begin
  delete from provisioning.pauses p where p.scope = p_scope and p.name = v_name;
  if not found then
    return false;
  end if;
  perform provisioning.audit('00000000-0000-0000-0000-000000000000', 'work.resumed', p_scope, v_name,
    jsonb_build_object('by_role', session_user));
  if p_scope = 'provider' then
    perform provisioning.make_due_after_pause(v_name);
  end if;
  perform provisioning.ring_doorbell(d.worker) from provisioning.due_by_worker() d where d.jobs > 0;
  return true;
end
$$;
revoke execute on function provisioning.resume(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.resume(text, text) is
  'Ends a pause and rings for the work that has become due; false when there was none. Audited.';

create function provisioning.is_paused(p_kind text) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from provisioning.pauses p where p.scope = 'everything' or p.scope = 'kind' and p.name = p_kind);
end
$$;
revoke execute on function provisioning.is_paused(text) from public, anon, authenticated, service_role;
comment on function provisioning.is_paused(text) is 'Whether no jobs of this kind are claimed now.';

create function provisioning.pause_text(p_scope text, p_label text, p_reason text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return case p_scope when 'everything' then 'All work is paused' else format('%s is paused', p_label) end || ': ' || p_reason;
end
$$;
revoke execute on function provisioning.pause_text(text, text, text) from public, anon, authenticated, service_role;

create function provisioning.current_pauses()
returns table (scope text, name text, label text, reason text, message text, paused_at timestamptz, paused_by uuid)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
  select p.scope::text, p.name, n.label, p.reason, provisioning.pause_text(p.scope, n.label, p.reason), p.paused_at, p.paused_by
  from provisioning.pauses p cross join lateral (
    select coalesce(
      (select k.label from provisioning.job_kinds k where p.scope = 'kind' and k.kind = p.name),
      (select s.label from provisioning.services s where p.scope = 'provider' and s.service = p.name), p.name) as label) n
  order by p.scope, p.name;
end
$$;
revoke execute on function provisioning.current_pauses() from public, anon, authenticated, service_role;
comment on function provisioning.current_pauses() is 'All pauses, each with a sentence for people.';

create function provisioning.paused_because(p_job_id uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  -- Without any pause, as nearly always, nothing else is read.
  if not exists (select from provisioning.pauses) then
    return null;
  end if;
  return (
    select string_agg(c.message, ' ' order by c.scope, c.name)
    from public.provisioning_jobs j, provisioning.current_pauses() c
    where j.id = p_job_id and j.status in ('queued', 'running') and case c.scope
      when 'everything' then true
      when 'kind' then c.name = j.kind
      else exists (
        select from provisioning.steps_of(j.id) s
        where s.service = c.name and s.status in ('pending', 'running', 'retrying')) end);
end
$$;
revoke execute on function provisioning.paused_because(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.paused_because(uuid) is
  'Why an open job waits although it is due, in a sentence: it, or a provider of one of its unfinished steps, is paused. Else
null.';

create function provisioning.assert_operator() returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  if auth.role() is distinct from 'service_role' and not provisioning.is_operator() then
    raise exception 'Only operators may do this.' using errcode = 'TP403';
  end if;
end
$$;
revoke execute on function provisioning.assert_operator() from public, anon, authenticated, service_role;
comment on function provisioning.assert_operator() is 'Lets operators and the service role pass. Raises TP403.';

create function provisioning.pause_as_caller(p_scope text, p_name text, p_reason text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return provisioning.pause(p_scope, p_name, p_reason);
end
$$;
revoke execute on function provisioning.pause_as_caller(text, text, text) from public, anon, authenticated, service_role;
grant execute on function provisioning.pause_as_caller(text, text, text) to authenticated, service_role;
comment on function provisioning.pause_as_caller(text, text, text) is
  'pause for operators and the service role. Raises TP403 and what pause raises.';

create function provisioning.resume_as_caller(p_scope text, p_name text default '') returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return provisioning.resume(p_scope, p_name);
end
$$;
revoke execute on function provisioning.resume_as_caller(text, text) from public, anon, authenticated, service_role;
grant execute on function provisioning.resume_as_caller(text, text) to authenticated, service_role;
comment on function provisioning.resume_as_caller(text, text) is 'resume for operators and the service role. Raises TP403.';

create function provisioning.pauses_as_caller() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return (select coalesce(jsonb_agg(to_jsonb(c)), '[]') from provisioning.current_pauses() c);
end
$$;
revoke execute on function provisioning.pauses_as_caller() from public, anon, authenticated, service_role;
grant execute on function provisioning.pauses_as_caller() to authenticated, service_role;
comment on function provisioning.pauses_as_caller() is
  'All pauses, for operators and the service role: [{scope, name, label, reason, message, paused_at, paused_by}]. Raises TP403.';

create function public.pause_work(scope text, reason text, name text default '') returns boolean
language sql volatile security invoker set search_path = '' as $$
  select provisioning.pause_as_caller(scope, name, reason)
$$;
revoke execute on function public.pause_work(text, text, text) from public, anon;
grant execute on function public.pause_work(text, text, text) to authenticated, service_role;
comment on function public.pause_work(text, text, text) is
  'For operators and the backend: pauses everything, one kind of job or one provider. See provisioning.pause.';

create function public.resume_work(scope text, name text default '') returns boolean
language sql volatile security invoker set search_path = '' as $$
  select provisioning.resume_as_caller(scope, name)
$$;
revoke execute on function public.resume_work(text, text) from public, anon;
grant execute on function public.resume_work(text, text) to authenticated, service_role;
comment on function public.resume_work(text, text) is 'For operators and the backend: ends a pause. See provisioning.resume.';

create function public.paused_work() returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.pauses_as_caller()
$$;
revoke execute on function public.paused_work() from public, anon;
grant execute on function public.paused_work() to authenticated, service_role;
comment on function public.paused_work() is
  'For operators and the backend: what is paused now. See provisioning.pauses_as_caller.';
