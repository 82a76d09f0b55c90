-- How often something may be asked for: calls are counted, and whoever has had enough is told when to come again.

-- One row for whatever was asked for lately, such as the hash of an address, a tenant or a user, with the times of its calls.
create table provisioning.counted_calls (
  subject text primary key,
  -- At most as many as are allowed: calls that are refused are not kept.
  called_at timestamptz[] not null,
  -- From then on none of them counts any more.
  forget_at timestamptz not null
);
alter table provisioning.counted_calls enable row level security;
revoke all on provisioning.counted_calls from anon, authenticated, service_role;

create function provisioning.count_call(p_subject text, p_allowed integer, p_seconds integer default 60) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_window interval := make_interval(secs => p_seconds);
  v_called_at timestamptz[];
begin
  -- Locks the row that is there, so that two calls at once do not both take the last place.
  insert into provisioning.counted_calls as c (subject, called_at, forget_at) values (p_subject, '{}', now())
  on conflict (subject) do update set forget_at = c.forget_at where false;
  select array(select t from unnest(c.called_at) t where t > clock_timestamp() - v_window order by t)
  into v_called_at from provisioning.counted_calls c where c.subject = p_subject;
  if cardinality(v_called_at) >= p_allowed then
    return greatest(1, ceil(extract(epoch from
      v_called_at[cardinality(v_called_at) - p_allowed + 1] + v_window - clock_timestamp())));
  end if;
  update provisioning.counted_calls c
  set called_at = v_called_at || clock_timestamp(), forget_at = clock_timestamp() + v_window
  where c.subject = p_subject;
  return 0;
end
$$;
revoke execute on function provisioning.count_call(text, integer, integer) from public, anon, authenticated, service_role;
comment on function provisioning.count_call(text, integer, integer) is
  'Counts a call and returns 0; or, when this subject has had p_allowed within the last p_seconds, the seconds until its next may
be made. A transaction that is rolled back has not been counted.';

create function provisioning.forget_old_calls() returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Passing over what is in use: whoever counts for an organization and then for a user would wait the other way round.
  delete from provisioning.counted_calls c where c.subject in (
    select f.subject from provisioning.counted_calls f where f.forget_at < now() for update skip locked);
end
$$;
revoke execute on function provisioning.forget_old_calls() from public, anon, authenticated, service_role;
comment on function provisioning.forget_old_calls() is
  'Removes the rows of subjects whose calls do not count any more, so that there are only those of whoever has called lately.';

-- Acts: what owners and admins ask of provisioning -----------------------------------------------------------------------

create function provisioning.caller_has_limits() returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  -- Without claims it is the database's owner, in SQL.
  return coalesce(auth.role(), 'service_role') <> 'service_role' and not provisioning.is_operator();
end
$$;
revoke execute on function provisioning.caller_has_limits() from public, anon, authenticated, service_role;
comment on function provisioning.caller_has_limits() is
  'Whether acts of the caller are limited: those of users are, those of the backend and of operators are not.';

create function provisioning.refuse_until(p_seconds integer, p_why text, p_code text default 'TP429') returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  if p_seconds > 0 then
    raise exception '% Try again in % s.', p_why, p_seconds using errcode = p_code, detail = p_seconds;
  end if;
end
$$;
revoke execute on function provisioning.refuse_until(integer, text, text) from public, anon, authenticated, service_role;
comment on function provisioning.refuse_until(integer, text, text) is
  'Raises TP429, or another code, with why and when to come again, the seconds alone as its detail; does nothing for 0 seconds.';

create function provisioning.count_act(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
begin
  if not provisioning.caller_has_limits() then
    return;
  end if;
  select * into v_settings from provisioning.settings;
  -- Always in this order: the organization, then the user.
  perform provisioning.refuse_until(
    provisioning.count_call('acts/organization/' || p_organization_id, v_settings.organization_acts_per_minute),
    format('Much was asked for this organization just now, and %s acts a minute are allowed.',
      v_settings.organization_acts_per_minute));
  perform provisioning.refuse_until(
    provisioning.count_call('acts/user/' || auth.uid(), v_settings.user_acts_per_minute),
    format('You have asked for much just now, and %s acts a minute are allowed.', v_settings.user_acts_per_minute));
end
$$;
revoke execute on function provisioning.count_act(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.count_act(uuid) is
  'Counts an act on an organization''s provisioning, for the organization and for the user who asks. Raises TP429 when either has
had what the settings allow. Acts that are refused for whatever reason are not counted, since they cost no provider a call.';

create function provisioning.count_reveal(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_allowed integer := (select s.password_reveals_per_hour from provisioning.settings s);
begin
  if provisioning.caller_has_limits() then
    perform provisioning.refuse_until(
      provisioning.count_call('reveals/organization/' || p_organization_id, v_allowed, 3600),
      format('Passwords of this organization were told often just now, and %s times an hour are allowed.', v_allowed), 'PT429');
  end if;
end
$$;
revoke execute on function provisioning.count_reveal(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.count_reveal(uuid) is
  'Counts that a password of an organization''s database is told. Raises PT429 when that was done as often as the settings allow:
each time stays in the audit log, which nobody can clear.';

create function provisioning.count_redone_services(p_job_id uuid, p_services text[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_minutes integer := (select s.ready_service_redo_minutes from provisioning.settings s);
  v_service record;
begin
  if p_services is null or not provisioning.caller_has_limits() then
    return;
  end if;
  for v_service in
    select j.organization_id, s.service from public.provisioning_steps s join public.provisioning_jobs j on j.id = s.job_id
    where s.job_id = p_job_id and s.service = any (p_services)
    group by j.id, s.service
    -- A job at work does the services again that are named meanwhile, when they have become ready.
    having exists (select from provisioning.job_leases l where l.job_id = j.id and l.expires_at > now())
      or j.finished_at is not null and bool_and(s.status = 'succeeded')
    order by s.service
  loop
    perform provisioning.refuse_until(
      provisioning.count_call(format('redo/%s/%s', v_service.organization_id, v_service.service), 1, v_minutes * 60),
      format('The service "%s" was done again just now, which is possible once in %s minutes.', v_service.service, v_minutes),
      'TP425');
  end loop;
end
$$;
revoke execute on function provisioning.count_redone_services(uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.count_redone_services(uuid, text[]) is
  'Counts, for each of these services that is ready, that it is done again. Raises TP425 for one that was done again within
settings.ready_service_redo_minutes.';

-- Owning ---------------------------------------------------------------------------------------------------------------

create function provisioning.limit_organizations_of_owner() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_allowed integer;
begin
  -- Not within other triggers: a sign-up makes somebody's first organization and has no time to lose, and an owner who leaves
  -- must be able to pass theirs on. As a condition of the trigger this would be parsed anew for each sign-up.
  if tg_op = 'INSERT' then
    if pg_trigger_depth() > 1 then
      return new;
    end if;
  elsif old.owner_id = new.owner_id then
    return new;
  end if;
  -- There is no foreign key, see keep_owners.
  perform from auth.users u where u.id = new.owner_id for key share;
  if not found then
    raise exception 'There is no user % to own the organization.', new.owner_id using errcode = 'foreign_key_violation';
  end if;
  if pg_trigger_depth() > 1 then
    return new;
  end if;
  select s.organizations_per_user into v_allowed from provisioning.settings s;
  -- Two organizations for one user take turns.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(new.owner_id::text, 7226));
  if (select count(*) from public.organizations o where o.owner_id = new.owner_id and o.id <> new.id) >= v_allowed then
    raise exception 'One user may own % organizations (settings.organizations_per_user).', v_allowed using errcode = 'TP411';
  end if;
  return new;
end
$$;
revoke execute on function provisioning.limit_organizations_of_owner() from public, anon, authenticated, service_role;
comment on function provisioning.limit_organizations_of_owner() is
  'Trigger: an owner exists, and nobody gets to own more than settings.organizations_per_user. Raises 23503 and TP411.';
create trigger organizations_limited_for_a_new_owner before insert on public.organizations
  for each row execute function provisioning.limit_organizations_of_owner();
create trigger organizations_limited_for_another_owner before update of owner_id on public.organizations
  for each row execute function provisioning.limit_organizations_of_owner();
