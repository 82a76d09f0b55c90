-- The logins that people have into their tenant's database for a time. Two take turns as the one that is shown: a rotation makes
-- the other one, shows it, and lets the former live on for a while.

insert into provisioning.job_kinds (kind, label, worker, lane, works_on, purpose, made_by_sweep) values
  ('rotate_credentials', 'Rotation of the password', 'provisioning', 'request', '{neon,database}', 'maintain',
    'enqueue_rotations'),
  ('renew_own_logins', 'Renewal of our own logins', 'provisioning', 'batch', '{neon,database}', 'maintain', null),
  ('end_logins', 'End of logins', 'provisioning', 'batch', '{neon,database}', 'maintain', 'enqueue_login_ends');
insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('rotate_credentials', 'database', 'new_login', 'neon', 1, '{}'),
  ('rotate_credentials', 'database', 'limit_former_login', 'neon', 2, '{new_login}'),
  ('renew_own_logins', 'database', 'renew_own_logins', 'neon', 1, '{}'),
  ('end_logins', 'database', 'end_logins', 'neon', 1, '{}'),
  ('rotate_credentials', 'project', 'new_login', 'database', 1, '{}'),
  ('rotate_credentials', 'project', 'limit_former_login', 'database', 2, '{new_login}'),
  ('renew_own_logins', 'project', 'renew_own_logins', 'database', 1, '{}'),
  ('end_logins', 'project', 'end_logins', 'database', 1, '{}');

create table provisioning.tenant_logins (
  id uuid primary key default provisioning.uuid_v7(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- Its name without that of the database, such as app_1.
  login text not null,
  -- What somebody asked to be in the database for a time, and who; null for a login in whose place another one is shown.
  access_role text,
  requested_by uuid,
  -- When it was made; null as long as it is only asked for.
  made_at timestamptz,
  ends_at timestamptz not null,
  -- Its sessions have ended, and it opens nothing any more.
  ended_at timestamptz,
  -- When a sweep looks next whether it can be ended. The database may sleep then, and nobody wakes it for this.
  look_at timestamptz not null,
  created_at timestamptz not null default now(),
  constraint access_role_is_known check (access_role in ('read', 'app', 'owner')),
  constraint login_is_a_word check (login ~ '^[a-z0-9_]{1,30}$')
);
comment on table provisioning.tenant_logins is
  'Logins that end: those whose place another one has taken, and those that somebody has asked for. The tenant''s server refuses
their passwords from ends_at on by itself.';
create unique index tenant_logins_open_key on provisioning.tenant_logins (organization_id, login) where ended_at is null;
create index tenant_logins_organization_id_idx on provisioning.tenant_logins (organization_id, created_at);
create index tenant_logins_look_at_idx on provisioning.tenant_logins (look_at) where ended_at is null;
alter table provisioning.tenant_logins enable row level security;
revoke all on provisioning.tenant_logins from anon, authenticated, service_role;

-- What steps write.

create function provisioning.show_login(p_job_id uuid, p_lease_token uuid, p_login text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_database public.organization_databases;
  v_ends_at timestamptz := now() + make_interval(hours => coalesce((v_job.request ->> 'grace_hours')::integer, (
    select s.rotation_grace_hours from provisioning.settings s)));
  v_former text;
begin
  select * into v_database from public.organization_databases d where d.organization_id = v_job.organization_id for update;
  v_former := substr(v_database.role_name, length(v_database.database_name) + 2);
  -- The one that is shown now may have been waiting for its end.
  delete from provisioning.tenant_logins l
  where l.organization_id = v_job.organization_id and l.login = p_login and l.ended_at is null;
  insert into provisioning.tenant_logins (organization_id, login, made_at, ends_at, look_at)
  values (v_job.organization_id, v_former, v_database.password_changed_at, v_ends_at, v_ends_at)
  on conflict (organization_id, login) where ended_at is null do nothing;
  update public.organization_databases d set role_name = d.database_name || '_' || p_login, password_changed_at = now(),
    credentials_secret_id = (
      select s.id from vault.secrets s where s.name = provisioning.login_secret(v_job.organization_id, p_login))
  where d.organization_id = v_job.organization_id;
  perform provisioning.audit(v_job.organization_id, 'credentials.rotated', 'database', v_database.neon_project_id,
    jsonb_build_object('login', p_login, 'former_login', v_former, 'former_ends_at', v_ends_at, 'job_id', v_job.id));
end
$$;
revoke execute on function provisioning.show_login(uuid, uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.show_login(uuid, uuid, text) is
  'People are shown this login from now on. The one before ends after the hours of grace that the job asks for, or the settings
say.';

create function provisioning.record_own_logins(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update public.organization_databases d set own_passwords_changed_at = now()
  where d.organization_id = v_job.organization_id;
end
$$;
revoke execute on function provisioning.record_own_logins(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.record_own_logins(uuid, uuid) is 'Our own logins in the tenant''s database have new passwords.';

create function provisioning.record_ended_logins(p_job_id uuid, p_lease_token uuid, p_logins text[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update provisioning.tenant_logins l set ended_at = now()
  where l.organization_id = v_job.organization_id and l.login = any (p_logins) and l.ended_at is null;
  delete from vault.secrets s where s.name in (
    select provisioning.login_secret(v_job.organization_id, l) from unnest(p_logins) l);
  perform provisioning.audit(v_job.organization_id, 'login.ended', 'login', l) from unnest(p_logins) l;
end
$$;
revoke execute on function provisioning.record_ended_logins(uuid, uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.record_ended_logins(uuid, uuid, text[]) is
  'These logins open the tenant''s database no more, and their passwords are nobody''s.';

-- What the sweep makes.

create function provisioning.is_known_asleep(p_organization_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from public.tenant_health h where h.organization_id = p_organization_id and h.status = 'sleeping');
end
$$;
revoke execute on function provisioning.is_known_asleep(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.is_known_asleep(uuid) is
  'Whether the newest check found the database asleep. What may wait is not done then; a step that begins asks the provider
again.';

create function provisioning.enqueue_login_ends(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
begin
  for v_id in
    with due as (
      select l.id from provisioning.tenant_logins l where l.ended_at is null and l.look_at <= now()
      order by l.look_at limit p_limit for update skip locked
    )
    update provisioning.tenant_logins l set look_at = now() + interval '10 minutes' from due where l.id = due.id
    returning l.organization_id
  loop
    if not provisioning.is_known_asleep(v_id) then
      perform provisioning.enqueue(v_id, 'end_logins');
    end if;
  end loop;
end
$$;
revoke execute on function provisioning.enqueue_login_ends(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_login_ends(integer) is
  'Makes a job for each of up to p_limit logins whose end has come, unless its database sleeps: then it has no sessions either.';

create function provisioning.enqueue_rotations(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_days integer;
  v_own_before timestamptz;
  v_id uuid;
  v_kind text;
begin
  select s.rotation_interval_days, s.own_logins_older_than into v_days, v_own_before from provisioning.settings s;
  if v_days = 0 and v_own_before is null then
    return;
  end if;
  for v_id, v_kind in
    with looked_at as (
      select d.organization_id from public.organization_databases d where d.rotation_look_at <= now()
      order by d.rotation_look_at limit p_limit for update skip locked
    )
    update public.organization_databases d set rotation_look_at = now() + interval '1 hour' from looked_at l
    where d.organization_id = l.organization_id
    returning d.organization_id,
      case when d.own_passwords_changed_at < v_own_before then 'renew_own_logins'
        when v_days > 0 and d.password_changed_at < now() - make_interval(days => v_days) and not exists (
          select from provisioning.tenant_logins l
          where l.organization_id = d.organization_id and l.ended_at is null and l.access_role is null)
          then 'rotate_credentials' end
  loop
    if v_kind is not null and not provisioning.is_known_asleep(v_id) then
      perform provisioning.enqueue(v_id, v_kind, '{"scheduled": true}', null, 'batch');
    end if;
  end loop;
end
$$;
revoke execute on function provisioning.enqueue_rotations(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_rotations(integer) is
  'Looks at up to p_limit databases, at each once an hour, and makes a job where a password is older than
settings.rotation_interval_days, or our own logins'' than settings.own_logins_older_than, unless the database sleeps.';

-- What people ask for.

create function provisioning.request_rotation(p_organization_id uuid, p_grace_hours integer) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_database public.organization_databases;
  v_request jsonb := jsonb_strip_nulls(jsonb_build_object('grace_hours', p_grace_hours));
  v_former timestamptz;
  v_job_id uuid;
begin
  if p_grace_hours not between 0 and 720 then
    raise exception 'The hours of grace are from 0 to 720.' using errcode = 'TP422';
  end if;
  perform provisioning.count_act(p_organization_id);
  select * into v_database from public.organization_databases d where d.organization_id = p_organization_id;
  if v_database.role_name is null then
    raise exception 'The organization has no database yet; its provisioning_status says why.' using errcode = 'PT404';
  end if;
  select max(l.ends_at) into v_former from provisioning.tenant_logins l
  where l.organization_id = p_organization_id and l.ended_at is null and l.access_role is null;
  if v_former > now() and p_grace_hours is distinct from 0 then
    raise exception 'The password before this one is still valid until %. Ask for 0 hours of grace to end both now.',
      to_char(v_former at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') using errcode = 'TP426';
  end if;
  v_job_id := provisioning.enqueue(p_organization_id, 'rotate_credentials', v_request, auth.uid());
  -- One that is under way already takes up what is asked of it now.
  update public.provisioning_jobs j set request = (j.request - 'scheduled') || v_request
  where j.id = v_job_id and j.request <> v_request;
  perform provisioning.audit(p_organization_id, 'credentials.rotation_requested', 'job', v_job_id::text, v_request);
  perform provisioning.ring_doorbell('provisioning');
  return v_job_id;
end
$$;
revoke execute on function provisioning.request_rotation(uuid, integer) from public, anon, authenticated, service_role;
comment on function provisioning.request_rotation(uuid, integer) is
  'Makes the job that gives people another login with a password of its own, and returns it. The present one stays valid for
p_grace_hours, null for settings.rotation_grace_hours. Raises PT404 (no database), TP426 (two are valid already, and
p_grace_hours is not 0), TP422 or TP429.';

create function provisioning.rotate_as_caller(p_organization_id uuid, p_grace_hours integer default null) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  return provisioning.request_rotation(p_organization_id, p_grace_hours);
end
$$;
revoke execute on function provisioning.rotate_as_caller(uuid, integer) from public, anon, authenticated, service_role;
grant execute on function provisioning.rotate_as_caller(uuid, integer) to authenticated, service_role;
comment on function provisioning.rotate_as_caller(uuid, integer) is
  'request_rotation for the owners and admins of the organization and the service role. Raises TP403 and what that raises.';

create function public.rotate_credentials(organization_id uuid, grace_hours integer default null) returns uuid
language sql volatile security invoker set search_path = '' as $$
  select provisioning.rotate_as_caller(organization_id, grace_hours)
$$;
revoke execute on function public.rotate_credentials(uuid, integer) from public, anon;
grant execute on function public.rotate_credentials(uuid, integer) to authenticated, service_role;
comment on function public.rotate_credentials(uuid, integer) is
  'Gives an organization''s people another login into their database, for its owners and admins, and returns the job. The present
password stays valid for grace_hours, as a rule 24.';

create function provisioning.rotate_keys(p_keys text[]) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
  v_key text;
begin
  if not (p_keys <@ '{doorbell,sealing,logins}'::text[]) or cardinality(p_keys) = 0 then
    raise exception 'Keys are: doorbell, sealing, logins.' using errcode = 'TP422';
  end if;
  foreach v_key in array p_keys loop
    if v_key = 'logins' then
      -- Each database is looked at once an hour, some at each sweep. To make all of them due here would be one statement over all
      -- rows, which everybody who writes one waits for.
      update provisioning.settings s set own_logins_older_than = now() where s.id;
    else
      perform provisioning.keep_secret('provisioning_' || v_key || '_key', encode(extensions.gen_random_bytes(32), 'hex'),
        (select s.description from vault.secrets s where s.name = 'provisioning_' || v_key || '_key'));
    end if;
    perform provisioning.audit('00000000-0000-0000-0000-000000000000', 'key.rotated', 'key', v_key,
      jsonb_build_object('by_role', session_user));
  end loop;
  return p_keys;
end
$$;
revoke execute on function provisioning.rotate_keys(text[]) from public, anon, authenticated, service_role;
grant execute on function provisioning.rotate_keys(text[]) to service_role;
comment on function provisioning.rotate_keys(text[]) is
  'Makes keys of this project anew: doorbell, sealing, and logins for the passwords of our own logins in all tenants'' databases,
which the sweep renews within an hour or so, in those that are awake. Audited. Raises TP422 for another word.';

create function public.rotate_keys(keys text[]) returns text[]
language sql volatile security invoker set search_path = '' as $$
  select provisioning.rotate_keys(keys)
$$;
revoke execute on function public.rotate_keys(text[]) from public, anon, authenticated;
grant execute on function public.rotate_keys(text[]) to service_role;
comment on function public.rotate_keys(text[]) is
  'For the backend: makes keys of this project anew. See provisioning.rotate_keys.';
