-- The undo: what an organization has outside survives its rows in a job, written in the same transaction as the deletion.

create function provisioning.supersede_undo(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.provisioning_jobs j set status = 'cancelled'
  where j.organization_id = p_organization_id and j.kind = 'undo' and j.status = 'failed';
end
$$;
revoke execute on function provisioning.supersede_undo(uuid) from public;
comment on function provisioning.supersede_undo(uuid) is
  'Gives up a failed undo, and so resolves its alert: what it has left is in use again, or another job removes it.';

create function provisioning.handle_provisioning_succeeded() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.supersede_undo(new.organization_id);
  return null;
end
$$;
revoke execute on function provisioning.handle_provisioning_succeeded() from public;
create trigger on_provisioning_succeeded after update of status on public.provisioning_jobs
  for each row when (new.kind = 'provision' and new.status = 'succeeded' and old.status <> 'succeeded')
  execute function provisioning.handle_provisioning_succeeded();

create function provisioning.enqueue_deprovisioning(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_request jsonb;
  v_job_id uuid;
  v_owner_id uuid;
  v_names jsonb;
begin
  select * into v_settings from provisioning.settings;
  perform provisioning.record_sign_up(p_organization_id);
  -- Nothing more is made: a worker that is at it is refused by its stale token.
  update public.provisioning_jobs j set status = 'cancelled', finished_at = now(), rerun_services = null
  where j.organization_id = p_organization_id and j.kind <> 'deprovision' and j.status in ('queued', 'running');
  update public.provisioning_steps s set status = 'cancelled', next_attempt_at = null, finished_at = now()
  from public.provisioning_jobs j
  where j.organization_id = p_organization_id and j.kind <> 'deprovision' and s.job_id = j.id
    and s.status in ('pending', 'running', 'retrying');
  perform provisioning.supersede_undo(p_organization_id);
  -- In the order of record_health_checks: the database before its alert.
  perform from public.organization_databases d where d.organization_id = p_organization_id for no key update;
  -- What was wrong with the organization is nobody's business any more; from here on only its removal can fail.
  update public.tenant_alerts a set resolved_at = clock_timestamp()
  where a.organization_id = p_organization_id and a.kind <> 'deprovision_failed' and a.resolved_at is null;
  select jsonb_strip_nulls(jsonb_build_object(
    'member_ids', (select jsonb_agg(m.user_id) from public.organization_members m where m.organization_id = o.id),
    'provisioned_at', o.provisioned_at, 'stripe_customer_id', o.stripe_customer_id,
    'stripe_customer', v_settings.stripe_customer_on_deprovision,
    'neon_project_id', d.neon_project_id,
    'delete_neon_project_at', now() + make_interval(hours => v_settings.neon_deletion_grace_hours),
    'credentials_secret_id', d.credentials_secret_id)),
    o.owner_id, jsonb_build_object('organization_name', o.name, 'slug', o.slug, 'billing_email', o.billing_email)
  into v_request, v_owner_id, v_names
  from public.organizations o left join public.organization_databases d on d.organization_id = o.id
  where o.id = p_organization_id;
  v_job_id := provisioning.enqueue(p_organization_id, 'deprovision', v_request, auth.uid());
  -- A call that a worker had begun may still create something; by then it has ended, and is found by its name.
  update public.provisioning_jobs j set next_attempt_at = now() + make_interval(secs => v_settings.lease_seconds)
  where j.id = v_job_id and j.status = 'queued' and j.attempts = 0;
  perform provisioning.keep_personal_details(v_job_id, p_organization_id, v_owner_id, v_names);
  perform provisioning.keep_personal_details(
    provisioning.audit(p_organization_id, 'organization.deleted', 'organization', p_organization_id::text, v_request),
    p_organization_id, v_owner_id, v_names);
  return v_job_id;
end
$$;
revoke execute on function provisioning.enqueue_deprovisioning(uuid) from public;
comment on function provisioning.enqueue_deprovisioning(uuid) is
  'Stops an organization''s open jobs and enqueues the removal of everything that it has outside, with all that this needs to
know in the job. Its first step is due when the calls of stopped workers have ended.';

create function provisioning.handle_organization_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.enqueue_deprovisioning(old.id);
  return old;
end
$$;
revoke execute on function provisioning.handle_organization_deleted() from public;
comment on function provisioning.handle_organization_deleted() is
  'Before an organization goes, however it is deleted. Trouble stops the deletion, because what exists outside would be lost track of.';
create trigger on_organization_deleted before delete on public.organizations
  for each row execute function provisioning.handle_organization_deleted();

create function provisioning.remove_organization(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Row locks come in the workers' order: the jobs before the organization, and a provision job before the undo that its
  -- success supersedes.
  perform from public.provisioning_jobs j where j.organization_id = p_organization_id
  order by j.kind <> 'provision', j.created_at for update;
  delete from public.organizations o where o.id = p_organization_id;
end
$$;
revoke execute on function provisioning.remove_organization(uuid) from public;
comment on function provisioning.remove_organization(uuid) is
  'Deletes an organization while its workers may be at it. A plain delete would take the locks the other way round than they do.';

create function provisioning.release_organizations(p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_organization_id uuid;
  v_heir uuid;
begin
  for v_organization_id in select o.id from public.organizations o where o.owner_id = p_user_id loop
    -- Not one who goes in the same statement: the membership is still there, the user is not. One whose account somebody
    -- else is deleting at this moment is waited for, because they stay if that is rolled back.
    select u.id into v_heir from public.organization_members m join auth.users u on u.id = m.user_id
    where m.organization_id = v_organization_id and m.user_id <> p_user_id and m.role = 'owner' and u.deleted_at is null
    order by m.created_at limit 1 for share of u;
    if v_heir is null then
      perform provisioning.remove_organization(v_organization_id);
    else
      update public.organizations o set owner_id = v_heir where o.id = v_organization_id;
    end if;
  end loop;
end
$$;
revoke execute on function provisioning.release_organizations(uuid) from public;
comment on function provisioning.release_organizations(uuid) is
  'What happens to a user''s organizations when the user goes: they pass to another owner, or are removed with an undo job.';

create function provisioning.handle_user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.erase_person(old.id, old.email, old.raw_user_meta_data);
  return old;
end
$$;
revoke execute on function provisioning.handle_user_deleted() from public;
comment on function provisioning.handle_user_deleted() is
  'Before a user goes. Unlike the other triggers it lets trouble stop the deletion, because what exists outside would otherwise
be lost track of.';
create trigger tenant_provisioning_user_deleted before delete on auth.users
  for each row execute function provisioning.handle_user_deleted();

create function provisioning.handle_user_soft_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Whoever is making the user's rows at this moment must have ended, or they would come after their removal.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(new.id::text, 7222));
  perform provisioning.erase_person(new.id, old.email, old.raw_user_meta_data);
  -- The row in auth.users stays, and nothing cascades from it.
  delete from public.organization_members m where m.user_id = new.id;
  delete from public.profiles p where p.id = new.id;
  delete from provisioning.operators o where o.user_id = new.id;
  delete from provisioning.sign_up_failures f where f.user_id = new.id;
  return null;
end
$$;
revoke execute on function provisioning.handle_user_soft_deleted() from public;
comment on function provisioning.handle_user_soft_deleted() is
  'A soft deletion ends a user''s tenants, memberships and rights as a deletion does, and trouble stops it likewise. The wallet
stays with the account''s row: it names nobody, and its balance is for the books.';
create trigger tenant_provisioning_user_soft_deleted after update on auth.users
  for each row when (old.deleted_at is null and new.deleted_at is not null)
  execute function provisioning.handle_user_soft_deleted();

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
  return (select j.id from public.provisioning_jobs j where j.organization_id = p_organization_id and j.kind = 'deprovision'
    order by j.created_at desc limit 1);
end
$$;
revoke execute on function provisioning.delete_organization(uuid, text) from public;
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
  where j.organization_id = p_organization_id and case when v_deleted then j.kind = 'deprovision'
    -- One that was overtaken would remove what is in use.
    else j.kind = 'undo' and j.status = 'failed' and not exists (
      select from public.provisioning_jobs p
      where p.organization_id = p_organization_id and p.kind = 'provision' and p.status <> 'cancelled') end
  order by j.created_at desc limit 1;
  return v_job;
end
$$;
revoke execute on function provisioning.retryable_removal(uuid) from public;
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
    raise exception 'There is no removal for organization % that could be tried again.', p_organization_id using errcode = 'TP404';
  end if;
  -- One that no worker has taken yet waits for the calls of stopped workers, and is not hurried.
  if v_job.attempts > 0 then
    if provisioning.retry_job(v_job.id) = 'queued' then
      perform provisioning.audit(p_organization_id, 'removal.retried', 'job', v_job.id::text, jsonb_build_object('kind', v_job.kind));
    end if;
  end if;
  return v_job.id;
end
$$;
revoke execute on function provisioning.retry_removal(uuid) from public;
comment on function provisioning.retry_removal(uuid) is
  'Tries the removal again that retryable_removal names, and returns its job. Raises TP404 when there is none.';

create function provisioning.forget_credentials(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  delete from vault.secrets s where s.name = 'tenant_database_password/' || v_job.organization_id;
  update public.organization_databases d set credentials_secret_id = null where d.organization_id = v_job.organization_id;
end
$$;
revoke execute on function provisioning.forget_credentials(uuid, uuid) from public;
comment on function provisioning.forget_credentials(uuid, uuid) is 'Deletes the password of the job''s tenant database from Vault.';

create function provisioning.forget_neon_project(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update public.organization_databases d set neon_project_id = null, neon_branch_id = null, neon_endpoint_id = null, host = null,
    pooled_host = null, port = null, database_name = null, role_name = null, schema_version = null, ssl_verified_at = null,
    health_status = 'unknown'
  where d.organization_id = v_job.organization_id;
  delete from public.tenant_health h where h.organization_id = v_job.organization_id;
  perform provisioning.resolve_alert(v_job.organization_id, 'tenant_health');
end
$$;
revoke execute on function provisioning.forget_neon_project(uuid, uuid) from public;
comment on function provisioning.forget_neon_project(uuid, uuid) is
  'The project is deleted; where the organization still has a row for it, nothing of it is left there.';

create function provisioning.forget_stripe_customer(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update public.organizations o set stripe_customer_id = null where o.id = v_job.organization_id;
end
$$;
revoke execute on function provisioning.forget_stripe_customer(uuid, uuid) from public;

-- Cancelling ------------------------------------------------------------------------------------------------------

create function provisioning.cancel_provisioning(p_organization_id uuid) returns table (job_id uuid, undo_job_id uuid)
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_held record;
  v_job public.provisioning_jobs;
  v_organization public.organizations;
  v_undo boolean;
begin
  select * into v_settings from provisioning.settings;
  select * into v_held from provisioning.hold_provisioning(p_organization_id);
  v_organization := v_held.organization;
  v_job := v_held.job;
  -- A tenant that was ready once is in use: a later job on it is stopped, and what it uses stays.
  v_undo := v_organization.provisioned_at is null;
  if v_job.id is null or v_job.status in ('succeeded', 'cancelled') or v_job.status = 'failed' and not v_undo then
    raise exception '%', case coalesce(v_job.status, '')
      when 'cancelled' then 'The provisioning was cancelled before.'
      when '' then 'The organization has no provisioning to cancel.'
      else 'The tenant is ready and nothing is under way. To remove it, delete the organization.' end
      using errcode = 'TP410';
  end if;
  update public.provisioning_jobs j set status = 'cancelled', finished_at = clock_timestamp(), rerun_services = null, last_error = null
  where j.id = v_job.id;
  -- With an undo, what had succeeded is not there any more either.
  update public.provisioning_steps s set status = 'cancelled', next_attempt_at = null, finished_at = clock_timestamp(), error = null,
    -- A call that its worker has begun may still take effect; by then it has ended.
    settles_at = case when s.status = 'running' then clock_timestamp() + make_interval(secs => v_settings.lease_seconds)
      else s.settles_at end
  where s.job_id = v_job.id and (v_undo or s.status in ('pending', 'running', 'retrying'));
  job_id := v_job.id;
  -- A job that no worker ever took has made nothing.
  if v_undo and v_job.attempts > 0 then
    select provisioning.enqueue(p_organization_id, 'undo', jsonb_strip_nulls(jsonb_build_object(
      'stripe_customer_id', v_organization.stripe_customer_id,
      'stripe_customer', case when v_organization.stripe_subscription_id is null then 'delete' else 'keep' end,
      'neon_project_id', (
        select d.neon_project_id from public.organization_databases d where d.organization_id = p_organization_id),
      'delete_neon_project_at', now())), auth.uid()) into undo_job_id;
    -- A call that a worker had begun may still create something; by then it has ended, and is found by its name.
    update public.provisioning_jobs j set next_attempt_at = now() + make_interval(secs => v_settings.lease_seconds)
    where j.id = undo_job_id;
  end if;
  perform provisioning.record_event(p_organization_id, v_job.id, 'job.cancelled', 'provision', 'cancelled', v_job.id::text, null,
    jsonb_strip_nulls(jsonb_build_object('undo_job_id', undo_job_id)), v_job.created_at, clock_timestamp());
  perform provisioning.audit(p_organization_id, 'provisioning.cancelled', 'job', v_job.id::text,
    jsonb_strip_nulls(jsonb_build_object('undo_job_id', undo_job_id)));
  perform provisioning.refresh_status(p_organization_id);
  return next;
end
$$;
revoke execute on function provisioning.cancel_provisioning(uuid) from public;
comment on function provisioning.cancel_provisioning(uuid) is
  'Stops the provision job of an organization. When the tenant was never ready, whatever the job has made is removed by an undo
job, due when the calls of a stopped worker have ended; the organization stays and can be provisioned again. Raises TP404, or
TP410 when there is nothing to cancel.';
