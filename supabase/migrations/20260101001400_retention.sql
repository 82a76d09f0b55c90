-- What is old goes, a few rows at a time: once a minute pg_cron has each function below look at the next rows that are older than
-- settings keep them. Rows that stay although they are old (newest jobs, legal holds) are passed over, and met again in the next
-- round; so a run costs the same whatever has piled up. Nothing but row locks on old rows is taken, and locked ones are skipped.

create table provisioning.retention_progress (
  -- events, jobs, … as in the names of the settings.
  subject text primary key,
  -- Where the next run goes on.
  reached timestamptz not null default '-infinity',
  expired bigint not null default 0
);
comment on table provisioning.retention_progress is
  'How far the present round has come through each kind of old rows, and how many have gone in all.';
insert into provisioning.retention_progress (subject) values
  ('events'), ('jobs'), ('resources'), ('alerts'), ('audit'), ('reconciliation'), ('sign_up_failures'), ('api_keys');
alter table provisioning.retention_progress enable row level security;
revoke all on provisioning.retention_progress from anon, authenticated, service_role;

create index provisioning_events_started_at_idx on public.provisioning_events (started_at);
create index provisioning_jobs_finished_at_idx on public.provisioning_jobs (finished_at) where finished_at is not null;
create index tenant_resources_removed_at_idx on public.tenant_resources (removed_at) where removed_at is not null;
create index tenant_alerts_resolved_at_idx on public.tenant_alerts (resolved_at) where resolved_at is not null;
create index audit_logs_created_at_idx on public.audit_logs (created_at);

-- What a run has looked at: how many rows, how many of them are gone, and the time of the newest.
create type provisioning.expiry as (examined integer, expired integer, reached timestamptz);

create function provisioning.is_held(p_organization_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from provisioning.legal_holds h where h.organization_id = p_organization_id);
end
$$;
revoke execute on function provisioning.is_held(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.is_held(uuid) is 'Whether the organization is under a legal hold.';

create function provisioning.expire_events(p_before timestamptz, p_from timestamptz, p_limit integer) returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with examined as materialized (
    select e.id, e.started_at from public.provisioning_events e
    where e.started_at >= p_from and e.started_at < p_before order by e.started_at limit p_limit
  ), expired as (
    delete from public.provisioning_events e using examined x
    where e.id = x.id and not provisioning.is_held(e.organization_id)
      -- As long as a job is open, its steps decide by what has happened before.
      and not exists (select from public.provisioning_jobs j where j.id = e.job_id and j.finished_at is null)
    returning e.id
  )
  select (select count(*) from examined), (select count(*) from expired), (select max(x.started_at) from examined x) into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_events(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_events(timestamptz, timestamptz, integer) is
  'Deletes old rows of the history. The only function that the trigger on provisioning_events lets do so.';

create function provisioning.expire_jobs(p_before timestamptz, p_from timestamptz, p_limit integer) returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with examined as materialized (
    select j.id, j.finished_at from public.provisioning_jobs j
    where j.finished_at >= p_from and j.finished_at < p_before order by j.finished_at limit p_limit
  ), deletable as materialized (
    select j.id from public.provisioning_jobs j join examined x using (id)
    where j.finished_at < p_before and not provisioning.is_held(j.organization_id)
      -- The newest of its kind is what completion, undo, reconciliation and lists go by.
      and exists (
        select from public.provisioning_jobs n
        where n.organization_id = j.organization_id and n.kind = j.kind and (n.created_at, n.id) > (j.created_at, j.id))
    for update of j skip locked
  ), details as (
    delete from provisioning.personal_details d using deletable x where d.row_id = x.id
  ), expired as (
    delete from public.provisioning_jobs j using deletable x where j.id = x.id returning j.id
  )
  select (select count(*) from examined), (select count(*) from expired), (select max(x.finished_at) from examined x) into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_jobs(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_jobs(timestamptz, timestamptz, integer) is
  'Deletes finished jobs with their steps, but never the newest job of a kind of an organization.';

create function provisioning.expire_resources(p_before timestamptz, p_from timestamptz, p_limit integer)
returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with examined as materialized (
    select r.id, r.removed_at from public.tenant_resources r
    where r.removed_at >= p_from and r.removed_at < p_before order by r.removed_at limit p_limit
  ), deletable as materialized (
    select r.id from public.tenant_resources r join examined x using (id)
    where not provisioning.is_held(r.organization_id) for update of r skip locked
  ), expired as (
    delete from public.tenant_resources r using deletable x where r.id = x.id returning r.id
  )
  select (select count(*) from examined), (select count(*) from expired), (select max(x.removed_at) from examined x) into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_resources(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_resources(timestamptz, timestamptz, integer) is
  'Deletes the rows of resources that were removed long ago, never of what exists or is kept.';

create function provisioning.expire_alerts(p_before timestamptz, p_from timestamptz, p_limit integer) returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with examined as materialized (
    select a.id, a.resolved_at from public.tenant_alerts a
    where a.resolved_at >= p_from and a.resolved_at < p_before order by a.resolved_at limit p_limit
  ), deletable as materialized (
    select a.id from public.tenant_alerts a join examined x using (id)
    where not provisioning.is_held(a.organization_id) for update of a skip locked
  ), expired as (
    delete from public.tenant_alerts a using deletable x where a.id = x.id returning a.id
  )
  select (select count(*) from examined), (select count(*) from expired), (select max(x.resolved_at) from examined x) into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_alerts(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_alerts(timestamptz, timestamptz, integer) is
  'Deletes resolved alerts with their deliveries.';

create function provisioning.expire_audit_logs(p_before timestamptz, p_from timestamptz, p_limit integer)
returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with examined as materialized (
    select a.id, a.created_at from public.audit_logs a
    where a.created_at >= p_from and a.created_at < p_before order by a.created_at limit p_limit
  ), expired as (
    delete from public.audit_logs a using examined x
    where a.id = x.id and not provisioning.is_held(a.organization_id) returning a.id
  ), details as (
    delete from provisioning.personal_details d using expired x where d.row_id = x.id
  )
  select (select count(*) from examined), (select count(*) from expired), (select max(x.created_at) from examined x) into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_audit_logs(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_audit_logs(timestamptz, timestamptz, integer) is
  'Deletes old entries of the audit log with the names that belong to them. The only function that the trigger on audit_logs lets
do so; it has nothing to do unless settings.audit_retention_days is set.';

create function provisioning.expire_reconciliation(p_before timestamptz, p_from timestamptz, p_limit integer)
returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  -- There is a run a day, and findings are few: no index is worth its while.
  with deletable as materialized (
    select f.id from provisioning.reconciliation_findings f
    where f.resolved_at < p_before and not provisioning.is_held(f.organization_id) limit p_limit for update skip locked
  ), findings as (
    delete from provisioning.reconciliation_findings f using deletable x where f.id = x.id returning f.id
  ), runs as (
    delete from provisioning.reconciliation_runs r where r.finished_at < p_before
      and exists (select from provisioning.reconciliation_runs n where n.started_at > r.started_at) returning r.id
  )
  select 0, (select count(*) from findings) + (select count(*) from runs), null into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_reconciliation(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_reconciliation(timestamptz, timestamptz, integer) is
  'Deletes resolved findings, and finished runs with their lists except the newest run.';

create function provisioning.expire_sign_up_failures(p_before timestamptz, p_from timestamptz, p_limit integer)
returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with deletable as materialized (
    select f.user_id from provisioning.sign_up_failures f where f.created_at < p_before limit p_limit for update skip locked
  ), expired as (
    delete from provisioning.sign_up_failures f using deletable x where f.user_id = x.user_id returning f.user_id
  )
  select 0, (select count(*) from expired), null into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_sign_up_failures(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_sign_up_failures(timestamptz, timestamptz, integer) is
  'Gives up repairs that have failed for so long. A backfill still finds the user, whose rows are missing as before.';

create function provisioning.expire_api_keys(p_before timestamptz, p_from timestamptz, p_limit integer)
returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
declare
  v_done provisioning.expiry;
begin
  with examined as materialized (
    select k.id, k.ended_at from public.tenant_api_keys k
    where k.ended_at >= p_from and k.ended_at < p_before order by k.ended_at limit p_limit
  ), deletable as materialized (
    select k.id from public.tenant_api_keys k join examined x using (id)
    where not provisioning.is_held(k.organization_id) for update of k skip locked
  ), expired as (
    delete from public.tenant_api_keys k using deletable x where k.id = x.id returning k.id
  )
  select (select count(*) from examined), (select count(*) from expired), (select max(x.ended_at) from examined x) into v_done;
  return v_done;
end
$$;
revoke execute on function provisioning.expire_api_keys(timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.expire_api_keys(timestamptz, timestamptz, integer) is
  'Deletes the rows of API keys that ended long ago.';

create function provisioning.expire(p_subject text, p_before timestamptz, p_from timestamptz, p_limit integer)
returns provisioning.expiry
language plpgsql security definer set search_path = '' as $$
begin
  return case p_subject
    when 'events' then provisioning.expire_events(p_before, p_from, p_limit)
    when 'jobs' then provisioning.expire_jobs(p_before, p_from, p_limit)
    when 'resources' then provisioning.expire_resources(p_before, p_from, p_limit)
    when 'alerts' then provisioning.expire_alerts(p_before, p_from, p_limit)
    when 'audit' then provisioning.expire_audit_logs(p_before, p_from, p_limit)
    when 'reconciliation' then provisioning.expire_reconciliation(p_before, p_from, p_limit)
    when 'sign_up_failures' then provisioning.expire_sign_up_failures(p_before, p_from, p_limit)
    when 'api_keys' then provisioning.expire_api_keys(p_before, p_from, p_limit) end;
end
$$;
revoke execute on function provisioning.expire(text, timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;

create function provisioning.apply_retention() returns integer
language plpgsql security definer set search_path = '' set lock_timeout = '1s' as $$
declare
  v_settings provisioning.settings;
  v_progress provisioning.retention_progress;
  v_days integer;
  v_done provisioning.expiry;
  v_expired integer := 0;
begin
  select * into v_settings from provisioning.settings;
  -- Two runs do not meet: the second one finds no row that is free.
  for v_progress in select * from provisioning.retention_progress p order by p.subject for update skip locked loop
    v_days := (to_jsonb(v_settings) ->> (v_progress.subject || '_retention_days'))::integer;
    continue when v_days is null;
    begin
      v_done := provisioning.expire(
        v_progress.subject, now() - make_interval(days => v_days), v_progress.reached, v_settings.retention_batch_rows);
    exception when lock_not_available then
      -- Whoever holds the lock keeps it. The next run comes in a minute.
      continue;
    end;
    update provisioning.retention_progress p set expired = p.expired + v_done.expired, reached = case
      -- The end: the next round begins.
      when v_done.examined < v_settings.retention_batch_rows then '-infinity'::timestamptz
      -- A whole batch of one and the same moment that stays.
      when v_done.expired = 0 and v_done.reached = v_progress.reached then v_done.reached + interval '1 microsecond'
      else v_done.reached end
    where p.subject = v_progress.subject;
    v_expired := v_expired + v_done.expired;
  end loop;
  return v_expired;
end
$$;
revoke execute on function provisioning.apply_retention() from public, anon, authenticated, service_role;
comment on function provisioning.apply_retention() is
  'For pg_cron: looks at up to settings.retention_batch_rows old rows of each kind, deletes those that may go, and returns how
many.';

select cron.schedule('tenant-provisioning-retention', '* * * * *', 'select provisioning.apply_retention()');
