-- What functions and people may ask of the engine, each checked and audited here.

-- Operators: people who see every tenant ---------------------------------------------------------------------------

create table provisioning.operators (
  user_id uuid primary key references auth.users (id) on delete cascade,
  granted_at timestamptz not null default now(),
  -- Why, or until when.
  note text not null default ''
);
comment on table provisioning.operators is 'Users who may list every tenant. Each change is audited, under the nil organization.';
alter table provisioning.operators enable row level security;

create function provisioning.audit_operator_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  -- An operator belongs to no organization; rows of the nil one are for the service role's eyes.
  v_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  v_user_id uuid := coalesce(new.user_id, old.user_id);
begin
  perform provisioning.keep_personal_details(
    provisioning.audit(v_nobody, case tg_op when 'INSERT' then 'operator.granted' else 'operator.revoked' end,
      'user', v_user_id::text, jsonb_build_object('by_role', session_user)),
    v_nobody, v_user_id, jsonb_build_object('note', nullif(coalesce(new.note, old.note), '')));
  return null;
end
$$;
revoke execute on function provisioning.audit_operator_change() from public;
create trigger operators_audit after insert or delete on provisioning.operators
  for each row execute function provisioning.audit_operator_change();

create function provisioning.is_operator() returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from provisioning.operators o where o.user_id = (select auth.uid()));
end
$$;
revoke execute on function provisioning.is_operator() from public;
grant execute on function provisioning.is_operator() to authenticated, service_role;
comment on function provisioning.is_operator() is 'Whether the calling user is an operator.';

create function provisioning.grant_operator(p_user_id uuid, p_note text default '') returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.operators (user_id, note) values (p_user_id, p_note) on conflict do nothing;
  return found;
end
$$;
revoke execute on function provisioning.grant_operator(uuid, text) from public;
comment on function provisioning.grant_operator(uuid, text) is
  'Lets a user see every tenant; false when that was so already. For the owner alone, in SQL; audited.';

create function provisioning.revoke_operator(p_user_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from provisioning.operators o where o.user_id = p_user_id;
  return found;
end
$$;
revoke execute on function provisioning.revoke_operator(uuid) from public;
comment on function provisioning.revoke_operator(uuid) is
  'Takes that away; false when the user was no operator. For the owner alone, in SQL; audited.';

-- Who may ask -----------------------------------------------------------------------------------------------------

create function provisioning.assert_may(p_organization_id uuid, p_roles text[]) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  -- Before anything is said of the organization: a stranger is not told which ones there are.
  if auth.role() is distinct from 'service_role'
    and p_organization_id not in (select provisioning.my_organization_ids(p_roles))
    and not ('operator' = any (p_roles) and provisioning.is_operator()) then
    raise exception 'Only % of the organization%may do this.',
      case when 'member' = any (p_roles) then 'members' else 'owners and admins' end,
      case when 'operator' = any (p_roles) then ', and operators, ' else ' ' end using errcode = 'TP403';
  end if;
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
end
$$;
revoke execute on function provisioning.assert_may(uuid, text[]) from public;
comment on function provisioning.assert_may(uuid, text[]) is
  'Lets the service role pass, and callers who have one of the roles: owner, admin or member of the organization, or operator.
Raises TP403, for strangers whether there is such an organization or not; and TP404 for the service role and operators.';

-- Requests ------------------------------------------------------------------------------------------------------

create function provisioning.hold_provisioning(
  p_organization_id uuid, out organization public.organizations, out job public.provisioning_jobs
) language plpgsql security definer set search_path = '' as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_organization_id::text, 7224));
  perform provisioning.hold_owner(p_organization_id);
  select j.* into job from public.provisioning_jobs j
  where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('provision') order by j.created_at desc limit 1 for update;
  select o.* into organization from public.organizations o where o.id = p_organization_id for update;
  if organization.id is null then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
end
$$;
revoke execute on function provisioning.hold_provisioning(uuid) from public;
comment on function provisioning.hold_provisioning(uuid) is
  'Waits for other requests for the organization, then locks its owner''s account, its newest provision job (if any) and the
organization, in the order in which workers lock them. Raises TP404.';

create function provisioning.assert_services_exist(p_services text[]) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
  -- Those that have work to do; others are only listed in the status.
  v_known text[] := array(
    select distinct d.service from provisioning.step_definitions d where d.kind = provisioning.kind_for('provision') order by 1);
  v_unknown text := (select s from unnest(p_services) s where s <> all (v_known) limit 1);
begin
  if v_unknown is not null then
    raise exception 'The service "%" is unknown. Known: %.', v_unknown, array_to_string(v_known, ', ') using errcode = 'TP422';
  end if;
end
$$;
revoke execute on function provisioning.assert_services_exist(text[]) from public;

create function provisioning.choose_data_region(p_organization public.organizations, p_data_region text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_region text;
  v_fixed_by text;
begin
  select r.data_region into v_region from provisioning.regions r
  where r.data_region = lower(p_data_region) or lower(p_data_region) = any (r.aliases);
  if v_region is null then
    raise exception 'The region "%" is unknown. Known: %.', p_data_region,
      (select string_agg(r.data_region, ', ' order by r.data_region) from provisioning.regions r) using errcode = 'TP422';
  end if;
  select k.label into v_fixed_by from public.tenant_resources t join provisioning.resource_kinds k using (kind)
  where t.organization_id = p_organization.id and t.state in ('planned', 'active') and k.is_regional limit 1;
  if v_region <> p_organization.data_region and v_fixed_by is not null then
    raise exception 'The % is being made in % or is there already, and a region is fixed from then on.',
      v_fixed_by, p_organization.data_region using errcode = 'TP409';
  end if;
  -- Also when it is the same one: what the region stands for at a provider may have been corrected meanwhile.
  update public.organizations o set data_region = v_region where o.id = p_organization.id;
end
$$;
revoke execute on function provisioning.choose_data_region(public.organizations, text) from public;
comment on function provisioning.choose_data_region(public.organizations, text) is
  'Gives an organization the data region that the word means. Raises TP422 for an unknown word, and TP409 when something that stands
in another region may exist already.';

create function provisioning.choose_database_size(p_organization_id uuid, p_size text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from provisioning.database_sizes z where z.size = p_size) then
    raise exception 'The size "%" is unknown. Known: %.', p_size,
      (select string_agg(z.size, ', ' order by z.max_compute_units) from provisioning.database_sizes z) using errcode = 'TP422';
  end if;
  update public.organization_databases d set size = p_size where d.organization_id = p_organization_id and d.size <> p_size;
  return found;
end
$$;
revoke execute on function provisioning.choose_database_size(uuid, text) from public;
comment on function provisioning.choose_database_size(uuid, text) is
  'Gives an organization''s database this size; false when it has it already. Raises TP422 for an unknown one.';

create function provisioning.services_to_retry(p_job_id uuid, p_services text[], p_changed text[]) returns text[]
language plpgsql stable security definer set search_path = '' as $$
declare
  v_followers text[] := array(select s.service from provisioning.services s where s.follows && p_changed);
begin
  if v_followers = '{}' then
    return p_services;
  end if;
  -- Services that are named are looked at again even when they are ready; without names, only what has not succeeded.
  return array(
    select unnest(v_followers || coalesce(p_services, array(
      select s.service from public.provisioning_steps s
      where s.job_id = p_job_id and s.status in ('retrying', 'failed', 'cancelled'))))
    group by 1);
end
$$;
revoke execute on function provisioning.services_to_retry(uuid, text[], text[]) from public;
comment on function provisioning.services_to_retry(uuid, text[], text[]) is
  'The services to name in a retry: those that were asked for (null: all that have not succeeded), and those that follow a fact of
the organization that has changed (services.follows).';

create function provisioning.request_provisioning(
  p_organization_id uuid, p_services text[] default null, p_database_size text default null, p_data_region text default null,
  p_requested_by uuid default null
) returns table (job_id uuid, status text)
language plpgsql security definer set search_path = '' as $$
declare
  v_held record;
  v_job public.provisioning_jobs;
  v_changed text[] := '{}';
begin
  perform provisioning.assert_services_exist(p_services);
  select * into v_held from provisioning.hold_provisioning(p_organization_id);
  v_job := v_held.job;
  if exists (
    select from public.provisioning_jobs j
    where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('revert') and j.status in ('queued', 'running')) then
    raise exception 'What the cancelled provisioning had made is still being removed. Try again when that is done, in about a minute.'
      using errcode = 'TP423';
  end if;
  perform provisioning.ensure_database(p_organization_id);
  if p_data_region is not null then
    perform provisioning.choose_data_region(v_held.organization, p_data_region);
  end if;
  if p_database_size is not null and provisioning.choose_database_size(p_organization_id, p_database_size) then
    v_changed := '{database_size}';
  end if;
  -- What a cancelled job had made is gone: everything is made anew, by a job of its own.
  if v_job.id is null or v_job.status = 'cancelled' and (v_held.organization).provisioned_at is null then
    job_id := provisioning.enqueue(p_organization_id, provisioning.kind_for('provision'), '{}', p_requested_by, 'request');
    status := 'queued';
    perform provisioning.refresh_status(p_organization_id);
  else
    job_id := v_job.id;
    status := provisioning.retry_job(v_job.id, provisioning.services_to_retry(v_job.id, p_services, v_changed));
  end if;
  perform provisioning.audit(p_organization_id, 'provisioning.requested', 'job', job_id::text, jsonb_strip_nulls(
    jsonb_build_object('services', p_services, 'database_size', p_database_size, 'data_region', p_data_region)));
  return next;
end
$$;
revoke execute on function provisioning.request_provisioning(uuid, text[], text, text, uuid) from public;
comment on function provisioning.request_provisioning(uuid, text[], text, text, uuid) is
  'Starts or retries the provisioning of an organization and returns the job with its status. Raises TP404 (no such organization),
TP409 (region fixed), TP422 (unknown service, region or size) or TP423 (an undo is at work).';

-- One row for whatever was asked for lately, the hash of an address or a tenant, with the times of its calls within the last
-- minute.
create table provisioning.counted_calls (
  subject text primary key,
  called_at timestamptz[] not null
);
alter table provisioning.counted_calls enable row level security;

create function provisioning.count_call(p_subject text, p_per_minute integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_called_at timestamptz[];
begin
  insert into provisioning.counted_calls as c (subject, called_at) values (p_subject, '{}') on conflict (subject) do nothing;
  select array(select t from unnest(c.called_at) t where t > clock_timestamp() - interval '1 minute' order by t)
  into v_called_at from provisioning.counted_calls c where c.subject = p_subject for update;
  if cardinality(v_called_at) >= p_per_minute then
    return ceil(extract(epoch from
      v_called_at[cardinality(v_called_at) - p_per_minute + 1] + interval '1 minute' - clock_timestamp()));
  end if;
  update provisioning.counted_calls c set called_at = v_called_at || clock_timestamp() where c.subject = p_subject;
  return 0;
end
$$;
revoke execute on function provisioning.count_call(text, integer) from public;
comment on function provisioning.count_call(text, integer) is
  'Counts a call and returns 0; or, when this subject has had p_per_minute within the last minute, the seconds until its next may be made.';

create function provisioning.address_hash(p_email text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return encode(sha256(convert_to(lower(btrim(p_email)), 'utf8')), 'hex');
end
$$;
revoke execute on function provisioning.address_hash(text) from public;
comment on function provisioning.address_hash(text) is 'Under which calls for an e-mail address are counted.';

create function provisioning.forget_calls(p_email text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  delete from provisioning.counted_calls c where c.subject = provisioning.address_hash(p_email);
end
$$;
revoke execute on function provisioning.forget_calls(text) from public;

create function provisioning.provision_user(p_email text, p_metadata jsonb default '{}')
returns table (outcome text, organization_id uuid, job_id uuid, retry_after_seconds integer, message text)
language plpgsql security definer set search_path = '' as $$
declare
  v_email text := lower(btrim(p_email));
  v_user_id uuid;
  v_created_at timestamptz;
begin
  retry_after_seconds := provisioning.count_call(
    provisioning.address_hash(v_email), (select s.user_calls_per_minute from provisioning.settings s));
  if retry_after_seconds > 0 then
    outcome := 'too_many_attempts';
    return next;
    return;
  end if;
  select u.id, u.created_at into v_user_id, v_created_at from auth.users u
  -- As sign-ins find them: the addresses of single sign-on are not unique, and not in the index.
  where u.email = v_email and not u.is_sso_user and u.deleted_at is null;
  if v_user_id is null then
    outcome := 'user_not_found';
  elsif v_created_at < now() - make_interval(mins => (select s.user_calls_max_age_minutes from provisioning.settings s)) then
    outcome := 'user_too_old';
  else
    organization_id := provisioning.ensure_user_provisioned(v_user_id, p_metadata);
    outcome := case when organization_id is null then 'not_eligible' else 'accepted' end;
    if organization_id is not null then
      begin
        job_id := (select r.job_id from provisioning.request_provisioning(provision_user.organization_id, p_requested_by => v_user_id) r);
      exception when sqlstate 'TP423' then
        outcome := 'undo_in_progress';
        message := sqlerrm;
      end;
    end if;
  end if;
  return next;
end
$$;
revoke execute on function provisioning.provision_user(text, jsonb) from public;
comment on function provisioning.provision_user(text, jsonb) is
  'Provisions the user with this e-mail address, made within settings.user_calls_max_age_minutes, and returns the job. outcome: accepted,
user_not_found, user_too_old, not_eligible (anonymous, or not confirmed yet), undo_in_progress, or too_many_attempts, which says
when to come back. Values and no errors, because an error would take the count of the call back.';
