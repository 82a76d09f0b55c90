-- The undo: what an organization has outside outlives its rows, and a job that removes it is written in the same transaction as
-- the deletion.

select provisioning.lock_users();

create function provisioning.supersede_undo(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.provisioning_jobs j set status = 'cancelled'
  where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('revert') and j.status = 'failed';
end
$$;
revoke execute on function provisioning.supersede_undo(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.supersede_undo(uuid) is
  'Gives up a failed undo, and so resolves its alert: what it has left is in use again, or another job removes it.';

create function provisioning.handle_provisioning_succeeded() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.status = 'succeeded' and old.status <> 'succeeded' and new.kind = provisioning.kind_for('provision') then
    perform provisioning.supersede_undo(new.organization_id);
  end if;
  return null;
end
$$;
revoke execute on function provisioning.handle_provisioning_succeeded() from public, anon, authenticated, service_role;
create trigger on_provisioning_succeeded after update of status on public.provisioning_jobs
  for each row execute function provisioning.handle_provisioning_succeeded();

create function provisioning.stop_jobs(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  with stopped as (
    update public.provisioning_jobs j set status = 'cancelled', finished_at = now(), rerun_services = null
    where j.organization_id = p_organization_id and j.kind <> provisioning.kind_for('remove')
      and j.status in ('queued', 'running')
  )
  update public.provisioning_steps s set status = 'cancelled', next_attempt_at = null, finished_at = now()
  from public.provisioning_jobs j
  where j.organization_id = p_organization_id and j.kind <> provisioning.kind_for('remove') and s.job_id = j.id
    and s.status in ('pending', 'running', 'retrying');
  perform provisioning.supersede_undo(p_organization_id);
end
$$;
revoke execute on function provisioning.stop_jobs(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.stop_jobs(uuid) is
  'Nothing more is made for an organization: its open jobs are cancelled, and a worker that is at one is refused from then on.';

create function provisioning.enqueue_removal(
  p_organization_id uuid, p_kind text, p_request jsonb default '{}', p_tier text default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_job_id uuid := provisioning.enqueue(p_organization_id, p_kind, p_request, auth.uid(), p_tier => p_tier);
begin
  -- A call that a worker had begun may still create something; by then it has ended, and is found by its name.
  update public.provisioning_jobs j set next_attempt_at = now()
    + make_interval(secs => (select s.lease_seconds from provisioning.settings s))
  where j.id = v_job_id and j.status = 'queued' and j.attempts = 0;
  return v_job_id;
end
$$;
revoke execute on function provisioning.enqueue_removal(uuid, text, jsonb, text) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_removal(uuid, text, jsonb, text) is
  'Enqueues the removal of what an organization has outside, due when the calls of stopped workers have ended. The job holds no
name: its steps read tenant_resources.';

create function provisioning.enqueue_deprovisioning(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_kind text := provisioning.kind_for('remove');
  v_organization public.organizations;
  v_names jsonb;
  v_job_id uuid;
begin
  select * into v_organization from public.organizations o where o.id = p_organization_id;
  v_names := jsonb_build_object('organization_name', v_organization.name, 'slug', v_organization.slug,
    'billing_email', v_organization.billing_email);
  perform provisioning.record_sign_up(p_organization_id);
  perform provisioning.stop_jobs(p_organization_id);
  -- In the order of record_health_checks: the database before its alert.
  perform from public.organization_databases d where d.organization_id = p_organization_id for no key update;
  -- What was wrong with the organization is nobody's business any more; from here on only its removal can fail.
  update public.tenant_alerts a set resolved_at = clock_timestamp()
  where a.organization_id = p_organization_id and a.kind <> v_kind || '_failed' and a.resolved_at is null;
  perform provisioning.release_resources(p_organization_id, p_with_grace => true);
  v_job_id := provisioning.enqueue_removal(p_organization_id, v_kind,
    jsonb_strip_nulls(jsonb_build_object('provisioned_at', v_organization.provisioned_at)));
  perform provisioning.remember_removal(p_organization_id);
  perform provisioning.keep_personal_details(v_job_id, p_organization_id, v_organization.owner_id, v_names);
  perform provisioning.keep_personal_details(
    provisioning.audit(p_organization_id, 'organization.deleted', 'organization', p_organization_id::text,
      jsonb_build_object('job_id', v_job_id)),
    p_organization_id, v_organization.owner_id, v_names);
  return v_job_id;
end
$$;
revoke execute on function provisioning.enqueue_deprovisioning(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_deprovisioning(uuid) is
  'Stops an organization''s open jobs and enqueues the removal of everything that it has outside, each thing after its grace. Its
first step is due when the calls of stopped workers have ended.';

create function provisioning.is_unseen(p_organization public.organizations) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return p_organization.created_at = now()
    and not exists (select from public.provisioning_events e where e.organization_id = p_organization.id)
    and not exists (select from public.tenant_resources r where r.organization_id = p_organization.id);
end
$$;
revoke execute on function provisioning.is_unseen(public.organizations) from public, anon, authenticated, service_role;
comment on function provisioning.is_unseen(public.organizations) is
  'Whether the running transaction has made the organization without a word of it: no worker can have begun with it, and nobody
else knows of it.';

create function provisioning.handle_organization_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if provisioning.is_unseen(old) then
    delete from public.provisioning_jobs j where j.organization_id = old.id;
  else
    perform provisioning.enqueue_deprovisioning(old.id);
  end if;
  return old;
end
$$;
revoke execute on function provisioning.handle_organization_deleted() from public, anon, authenticated, service_role;
comment on function provisioning.handle_organization_deleted() is
  'Before an organization goes, however it is deleted. Trouble stops the deletion, because what exists outside would be lost track
of. One that goes in the transaction that made it has nothing outside, and leaves nothing.';
create trigger on_organization_deleted before delete on public.organizations
  for each row execute function provisioning.handle_organization_deleted();

create function provisioning.remove_organization(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Row locks come in the workers' order: the jobs before the organization, and a provision job before the undo that its
  -- success supersedes.
  perform from public.provisioning_jobs j where j.organization_id = p_organization_id
  order by j.kind <> provisioning.kind_for('provision'), j.created_at for update;
  delete from public.organizations o where o.id = p_organization_id;
end
$$;
revoke execute on function provisioning.remove_organization(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.remove_organization(uuid) is
  'Deletes an organization while its workers may be at it. A plain delete would take the locks the other way round than they do.';

create function provisioning.possible_heirs(p_organization_id uuid, p_user_id uuid) returns table (user_id uuid, place bigint)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select m.user_id, row_number() over (order by array_position('{owner,admin,member}', m.role::text), m.created_at, m.user_id)
    from public.organization_members m
    where m.organization_id = p_organization_id and m.user_id <> p_user_id
      and (m.role = 'owner' or (select s.on_owner_deleted from provisioning.settings s) = 'transfer')
    -- Of a large organization the first ones are enough, however many of them go at the same moment.
    order by 2 limit 50;
end
$$;
revoke execute on function provisioning.possible_heirs(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.possible_heirs(uuid, uuid) is
  'To whom an organization may pass when the user goes: its other owners and, where settings.on_owner_deleted says so, its admins
and then its members; of each the longest-serving first.';

create function provisioning.bequeath_organization(p_organization_id uuid, p_heir uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_role text := (
    select m.role from public.organization_members m where m.organization_id = p_organization_id and m.user_id = p_heir);
begin
  update public.organization_members m set role = 'owner'
  where m.organization_id = p_organization_id and m.user_id = p_heir and m.role <> 'owner';
  update public.organizations o set owner_id = p_heir where o.id = p_organization_id;
  if v_role <> 'owner' then
    -- News, and no state that could pass.
    perform provisioning.open_alert(p_organization_id, 'owner_inherited', 'warning',
      format('The account of the only owner was deleted, and the organization belongs to its longest-serving %s now.', v_role),
      jsonb_build_object('user_id', p_heir, 'role', v_role));
    perform provisioning.resolve_alert(p_organization_id, 'owner_inherited');
  end if;
end
$$;
revoke execute on function provisioning.bequeath_organization(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.bequeath_organization(uuid, uuid) is
  'Makes a member the owner of an organization whose owner goes. An alert tells of one who was no owner before.';

create function provisioning.release_organizations(p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_wish constant text := (select s.on_owner_deleted from provisioning.settings s);
  v_organization record;
  v_heir uuid;
begin
  for v_organization in select o.id, o.slug from public.organizations o where o.owner_id = p_user_id loop
    -- Not one who goes in the same statement: the membership is still there, the user is not. One whose account somebody
    -- else is deleting at this moment is waited for, because they stay if that is rolled back.
    select u.id into v_heir from provisioning.possible_heirs(v_organization.id, p_user_id) h
    join auth.users u on u.id = h.user_id where u.deleted_at is null
    order by h.place limit 1 for share of u;
    if v_heir is not null then
      perform provisioning.bequeath_organization(v_organization.id, v_heir);
    elsif v_wish = 'refuse' and exists (
      select from public.organization_members m join auth.users u on u.id = m.user_id
      where m.organization_id = v_organization.id and m.user_id <> p_user_id and u.deleted_at is null) then
      raise exception 'The user is the only owner of the organization "%", in which others are. Make one of them an owner first, '
        'or delete the organization.', v_organization.slug using errcode = 'TP452';
    else
      perform provisioning.remove_organization(v_organization.id);
    end if;
  end loop;
end
$$;
revoke execute on function provisioning.release_organizations(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.release_organizations(uuid) is
  'What happens to a user''s organizations when the user goes: they pass to another owner. Where there is none,
settings.on_owner_deleted says whether they pass to the longest-serving admin or else member (transfer), are removed with an undo
job (delete), or keep the user from going as long as others are in them (refuse), which raises TP452. When nobody is left, they
are removed.';

create function provisioning.handle_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.erase_person(old.id, old.email, old.raw_user_meta_data);
  return null;
end
$$;
revoke execute on function provisioning.handle_user_deleted() from public, anon, authenticated, service_role;
comment on function provisioning.handle_user_deleted() is
  'When a user has gone. Unlike the other triggers it lets trouble stop the deletion, because what exists outside would otherwise
be lost track of.';
-- After, because a trigger of the project may still cancel the deletion or make a soft one of it. By its first letter it comes
-- before the foreign keys, whose triggers are called RI_…: memberships and profile are still there, and the organization is
-- gone, or is another owner's, when its key is checked.
create trigger "A_tenant_provisioning_user_deleted" after delete on auth.users
  for each row execute function provisioning.handle_user_deleted();

create function provisioning.handle_user_soft_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.deleted_at is not null or new.deleted_at is null then
    return null;
  end if;
  -- Whoever is making the user's rows at this moment must have ended, or they would come after their removal.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(new.id::text, 7222));
  perform provisioning.erase_person(new.id, old.email, old.raw_user_meta_data);
  -- The row in auth.users stays, and nothing cascades from it.
  delete from public.organization_members m where m.user_id = new.id;
  delete from provisioning.operators o where o.user_id = new.id;
  delete from provisioning.sign_up_failures f where f.user_id = new.id;
  return null;
end
$$;
revoke execute on function provisioning.handle_user_soft_deleted() from public, anon, authenticated, service_role;
comment on function provisioning.handle_user_soft_deleted() is
  'A soft deletion ends a user''s tenants, memberships and rights as a deletion does, and trouble stops it likewise. The wallet
stays with the account''s row: it names nobody, and its balance is for the books.';
create trigger tenant_provisioning_user_soft_deleted after update on auth.users
  for each row execute function provisioning.handle_user_soft_deleted();

create function provisioning.delete_organization(p_organization_id uuid, p_confirm_slug text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_slug text := (select o.slug from public.organizations o where o.id = p_organization_id);
begin
  if v_slug is null then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
  if p_confirm_slug is distinct from v_slug then
    raise exception 'To delete the organization, confirm it with its slug, "%".', v_slug using errcode = 'TP428';
  end if;
  perform provisioning.remove_organization(p_organization_id);
  return (select j.id from public.provisioning_jobs j where j.organization_id = p_organization_id
    and j.kind = provisioning.kind_for('remove')
    order by j.created_at desc limit 1);
end
$$;
revoke execute on function provisioning.delete_organization(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.delete_organization(uuid, text) is
  'Deletes an organization with everything below it and returns the job that undoes what exists outside. Raises TP404, or TP428
when the slug is not the organization''s.';

create function provisioning.retryable_removal(p_organization_id uuid) returns public.provisioning_jobs
language plpgsql stable security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_deleted boolean := not exists (select from public.organizations o where o.id = p_organization_id);
begin
  select j.* into v_job from public.provisioning_jobs j
  where j.organization_id = p_organization_id and case when v_deleted then j.kind = provisioning.kind_for('remove')
    -- One that was overtaken would remove what is in use.
    else j.kind = provisioning.kind_for('revert') and j.status = 'failed' and not exists (
      select from public.provisioning_jobs p
      where p.organization_id = p_organization_id and p.kind = provisioning.kind_for('provision') and p.status <> 'cancelled') end
  order by j.created_at desc limit 1;
  return v_job;
end
$$;
revoke execute on function provisioning.retryable_removal(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.retryable_removal(uuid) is
  'The removal that may be tried again: a deleted organization''s newest deprovision job, however it stands, or a living one''s
failed undo. Null when there is none.';

create function provisioning.retry_removal(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
begin
  -- Nobody provisions the organization between the look and the retry.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_organization_id::text, 7224));
  v_job := provisioning.retryable_removal(p_organization_id);
  if v_job.id is null then
    raise exception 'There is no removal for organization % that could be tried again.', p_organization_id
      using errcode = 'TP404';
  end if;
  -- A removal that no worker has taken yet keeps its time: calls of workers that were stopped may still be under way.
  if v_job.attempts > 0 then
    if provisioning.retry_job(v_job.id) = 'queued' then
      perform provisioning.audit(p_organization_id, 'removal.retried', 'job', v_job.id::text,
        jsonb_build_object('kind', v_job.kind));
    end if;
  end if;
  return v_job.id;
end
$$;
revoke execute on function provisioning.retry_removal(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.retry_removal(uuid) is
  'Tries the removal again that retryable_removal names, and returns its job. Raises TP404 when there is none.';

-- Cancelling ------------------------------------------------------------------------------------------------------

create function provisioning.assert_cancellable(p_job public.provisioning_jobs, p_was_ready boolean) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_job.id is null or p_job.status in ('succeeded', 'cancelled') or p_job.status = 'failed' and p_was_ready then
    raise exception '%', case coalesce(p_job.status, '')
      when 'cancelled' then 'The provisioning was cancelled before.'
      when '' then 'The organization has no provisioning to cancel.'
      else 'The tenant is ready and nothing is under way. To remove it, delete the organization.' end
      using errcode = 'TP410';
  end if;
end
$$;
revoke execute on function provisioning.assert_cancellable(public.provisioning_jobs, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.assert_cancellable(public.provisioning_jobs, boolean) is
  'Raises TP410, with why, when a provisioning cannot be cancelled.';

create function provisioning.cancel_job(p_job_id uuid, p_with_what_succeeded boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.provisioning_jobs j set status = 'cancelled', finished_at = clock_timestamp(), rerun_services = null,
    last_error = null
  where j.id = p_job_id;
  update public.provisioning_steps s set status = 'cancelled', next_attempt_at = null, finished_at = clock_timestamp(),
    error = null,
    -- A call that its worker has begun may still take effect; by then it has ended.
    settles_at = case when s.status = 'running'
      then clock_timestamp() + make_interval(secs => (select v.lease_seconds from provisioning.settings v))
      else s.settles_at end
  where s.job_id = p_job_id and (p_with_what_succeeded or s.status in ('pending', 'running', 'retrying'));
end
$$;
revoke execute on function provisioning.cancel_job(uuid, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.cancel_job(uuid, boolean) is
  'Stops a job for good. p_with_what_succeeded: an undo follows, so that what had succeeded is not there any more either.';

create function provisioning.cancel_provisioning(p_organization_id uuid) returns table (job_id uuid, undo_job_id uuid)
language plpgsql security definer set search_path = '' as $$
declare
  v_held record;
  v_job public.provisioning_jobs;
  -- A tenant that was ready once is in use: a later job on it is stopped, and what it uses stays.
  v_was_ready boolean;
begin
  perform provisioning.count_act(p_organization_id);
  select * into v_held from provisioning.hold_provisioning(p_organization_id);
  v_job := v_held.job;
  v_was_ready := (v_held.organization).provisioned_at is not null;
  perform provisioning.assert_cancellable(v_job, v_was_ready);
  perform provisioning.cancel_job(v_job.id, not v_was_ready);
  job_id := v_job.id;
  -- A job that no worker ever took has made nothing.
  if not v_was_ready and v_job.attempts > 0 then
    perform provisioning.release_resources(p_organization_id, p_with_grace => false);
    undo_job_id := provisioning.enqueue_removal(p_organization_id, provisioning.kind_for('revert'));
  end if;
  perform provisioning.record_event(p_organization_id, v_job.id, 'job.cancelled', v_job.kind, 'cancelled', v_job.id::text, null,
    jsonb_strip_nulls(jsonb_build_object('undo_job_id', undo_job_id)), v_job.created_at, clock_timestamp());
  perform provisioning.audit(p_organization_id, 'provisioning.cancelled', 'job', v_job.id::text,
    jsonb_strip_nulls(jsonb_build_object('undo_job_id', undo_job_id)));
  perform provisioning.refresh_status(p_organization_id);
  return next;
end
$$;
revoke execute on function provisioning.cancel_provisioning(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.cancel_provisioning(uuid) is
  'Stops the provision job of an organization. When the tenant was never ready, whatever the job has made is removed by an undo
job, due when the calls of a stopped worker have ended; the organization stays and can be provisioned again. Raises TP404, or
TP410 when there is nothing to cancel, or TP429 when too much was asked.';
