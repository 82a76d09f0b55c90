-- Logins into a tenant's database that people ask for by role and time. They end by themselves: the tenant's server refuses the
-- password, and a sweep ends the sessions and drops the login where the database is awake.

insert into provisioning.job_kinds (kind, label, worker, lane, works_on, purpose) values
  ('grant_access', 'Access for a time', 'provisioning', 'request', '{neon,database}', 'maintain');
insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('grant_access', 'database', 'grant_access', 'neon', 1, '{}'),
  ('grant_access', 'project', 'grant_access', 'database', 1, '{}');

create function provisioning.record_access(p_job_id uuid, p_lease_token uuid, p_logins text[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update provisioning.tenant_logins l set made_at = now()
  where l.organization_id = v_job.organization_id and l.login = any (p_logins) and l.ended_at is null;
end
$$;
revoke execute on function provisioning.record_access(uuid, uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.record_access(uuid, uuid, text[]) is 'These logins, which people have asked for, are made.';

create function provisioning.access_login(p_login provisioning.tenant_logins) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object('id', p_login.id, 'organization_id', p_login.organization_id, 'login', p_login.login,
    'role', p_login.access_role, 'requested_by', p_login.requested_by, 'requested_at', p_login.created_at,
    'made_at', p_login.made_at, 'ends_at', p_login.ends_at, 'ended_at', p_login.ended_at);
end
$$;
revoke execute on function provisioning.access_login(provisioning.tenant_logins) from public, anon, authenticated, service_role;
comment on function provisioning.access_login(provisioning.tenant_logins) is 'What people are told of a login for a time.';

create function provisioning.assert_may_access(p_organization_id uuid, p_role text) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  -- Who may change the schema can do whatever its owners can.
  perform provisioning.assert_may(p_organization_id, case p_role when 'owner' then '{owner}' else '{owner,admin}' end::text[]);
end
$$;
revoke execute on function provisioning.assert_may_access(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.assert_may_access(uuid, text) is
  'Lets owners pass, admins for the roles read and app, and the service role. Raises TP403 and TP404.';

create function provisioning.request_access_as_caller(p_organization_id uuid, p_role text, p_minutes integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_login provisioning.tenant_logins;
  v_job_id uuid;
begin
  perform provisioning.assert_may_access(p_organization_id, p_role);
  select * into v_settings from provisioning.settings;
  if p_role not in ('read', 'app', 'owner') or p_minutes not between 1 and v_settings.access_max_hours * 60 then
    raise exception 'Access is for the roles read, app and owner, and for up to % hours.', v_settings.access_max_hours
      using errcode = 'TP422';
  end if;
  perform provisioning.count_act(p_organization_id);
  if not exists (
    select from public.organization_databases d where d.organization_id = p_organization_id and d.role_name is not null) then
    raise exception 'The organization has no database yet; its provisioning_status says why.' using errcode = 'PT404';
  end if;
  if (
    select count(*) from provisioning.tenant_logins l
    where l.organization_id = p_organization_id and l.access_role is not null and l.ended_at is null and l.ends_at > now())
    >= v_settings.access_logins_per_organization then
    raise exception 'There are % logins for a time already. End one of them first.', v_settings.access_logins_per_organization
      using errcode = 'TP422';
  end if;
  insert into provisioning.tenant_logins (organization_id, login, access_role, requested_by, ends_at, look_at)
  values (p_organization_id, 'access_' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 8), p_role, auth.uid(),
    now() + make_interval(mins => p_minutes), now() + make_interval(mins => p_minutes))
  returning * into v_login;
  v_job_id := provisioning.enqueue(p_organization_id, 'grant_access', '{}', auth.uid());
  -- A job that is at work may have looked before this row was there; it looks again.
  update public.provisioning_jobs j set rerun_services = '{neon,database}' where j.id = v_job_id and j.status = 'running';
  perform provisioning.audit(p_organization_id, 'access.requested', 'login', v_login.id::text,
    jsonb_build_object('login', v_login.login, 'role', p_role, 'ends_at', v_login.ends_at));
  perform provisioning.ring_doorbell('provisioning');
  return provisioning.access_login(v_login) || jsonb_build_object('job_id', v_job_id);
end
$$;
revoke execute on function provisioning.request_access_as_caller(uuid, text, integer)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.request_access_as_caller(uuid, text, integer) to authenticated, service_role;
comment on function provisioning.request_access_as_caller(uuid, text, integer) is
  'Asks for a login of one''s own into an organization''s database, in the role read, app or owner (which may change the schema,
and is for owners), for so many minutes. Returns it with the job that makes it. Raises TP403, TP404, PT404, TP422 or TP429.';

create function provisioning.access_logins_as_caller(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  return (
    select coalesce(jsonb_agg(provisioning.access_login(l) order by l.created_at desc), '[]') from (
      select * from provisioning.tenant_logins t
      where t.organization_id = p_organization_id and t.access_role is not null order by t.created_at desc limit 100) l);
end
$$;
revoke execute on function provisioning.access_logins_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.access_logins_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.access_logins_as_caller(uuid) is
  'The newest 100 logins that people have asked for, for the owners and admins of the organization and the service role.';

create function provisioning.held_access(p_login_id uuid) returns provisioning.tenant_logins
language plpgsql security definer set search_path = '' as $$
declare
  v_login provisioning.tenant_logins;
begin
  select * into v_login from provisioning.tenant_logins l where l.id = p_login_id and l.access_role is not null for update;
  -- To strangers like one that is not theirs.
  if v_login.id is null and auth.role() is distinct from 'service_role' then
    raise exception 'Only owners and admins of the organization may do this.' using errcode = 'TP403';
  end if;
  if v_login.id is null then
    raise exception 'There is no such login.' using errcode = 'PT404';
  end if;
  perform provisioning.assert_may(v_login.organization_id, '{owner,admin}');
  return v_login;
end
$$;
revoke execute on function provisioning.held_access(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.held_access(uuid) is
  'Locks and returns a login for a time, of an organization whose owner or admin the caller is. Raises TP403 and PT404.';

create function provisioning.reveal_access_as_caller(p_login_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_login provisioning.tenant_logins := provisioning.held_access(p_login_id);
  v_database public.organization_databases;
begin
  if auth.role() is distinct from 'service_role' and v_login.requested_by is distinct from auth.uid() then
    raise exception 'The password is for the one who asked for the login.' using errcode = 'TP403';
  end if;
  if v_login.made_at is null or v_login.ended_at is not null or v_login.ends_at <= now() then
    raise exception 'The login is not made yet, or has ended.' using errcode = 'PT404';
  end if;
  perform provisioning.count_reveal(v_login.organization_id);
  select * into v_database from public.organization_databases d where d.organization_id = v_login.organization_id;
  perform provisioning.audit(v_login.organization_id, 'access.revealed', 'login', v_login.id::text,
    jsonb_build_object('login', v_login.login));
  return provisioning.access_login(v_login) || jsonb_build_object('host', v_database.host, 'pooled_host', v_database.pooled_host,
    'port', v_database.port, 'database', v_database.database_name,
    'user', v_database.database_name || '_' || v_login.login || coalesce('.' || v_database.pooler_tenant, ''),
    'ssl_mode', v_database.ssl_mode,
    'password', provisioning.vault_secret(provisioning.login_secret(v_login.organization_id, v_login.login)));
end
$$;
revoke execute on function provisioning.reveal_access_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.reveal_access_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.reveal_access_as_caller(uuid) is
  'How to connect with a login for a time, password included, for whoever asked for it and the service role. Audited. Raises
TP403, PT404 when it is not made yet or has ended, and PT429.';

create function provisioning.end_access_as_caller(p_login_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_login provisioning.tenant_logins := provisioning.held_access(p_login_id);
  v_job_id uuid;
begin
  if v_login.ended_at is null and v_login.ends_at > now() then
    update provisioning.tenant_logins l set ends_at = now(), look_at = now() + interval '10 minutes' where l.id = p_login_id
    returning * into v_login;
    v_job_id := provisioning.enqueue(v_login.organization_id, 'end_logins', '{"wakes": true}', auth.uid(), 'request');
    -- One that is there already may have looked before.
    update public.provisioning_jobs j set request = j.request || '{"wakes": true}',
      rerun_services = case j.status when 'running' then '{neon,database}'::text[] else j.rerun_services end
    where j.id = v_job_id;
    perform provisioning.audit(v_login.organization_id, 'access.ended', 'login', v_login.id::text,
      jsonb_build_object('login', v_login.login));
    perform provisioning.ring_doorbell('provisioning');
  end if;
  return provisioning.access_login(v_login);
end
$$;
revoke execute on function provisioning.end_access_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.end_access_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.end_access_as_caller(uuid) is
  'Ends a login for a time before its time, for the owners and admins of its organization and the service role. Audited.';

create function public.request_access(organization_id uuid, role text default 'read', minutes integer default 60) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.request_access_as_caller(organization_id, role, minutes)
$$;
revoke execute on function public.request_access(uuid, text, integer) from public, anon;
grant execute on function public.request_access(uuid, text, integer) to authenticated, service_role;
comment on function public.request_access(uuid, text, integer) is
  'Asks for a login into an organization''s database for a time. See provisioning.request_access_as_caller.';

create function public.access_logins(organization_id uuid) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.access_logins_as_caller(organization_id)
$$;
revoke execute on function public.access_logins(uuid) from public, anon;
grant execute on function public.access_logins(uuid) to authenticated, service_role;
comment on function public.access_logins(uuid) is 'The logins for a time that people have asked for, for owners and admins.';

create function public.reveal_access(login_id uuid) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.reveal_access_as_caller(login_id)
$$;
revoke execute on function public.reveal_access(uuid) from public, anon;
grant execute on function public.reveal_access(uuid) to authenticated, service_role;
comment on function public.reveal_access(uuid) is 'How to connect with a login for a time, for whoever asked for it. Audited.';

create function public.end_access(login_id uuid) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.end_access_as_caller(login_id)
$$;
revoke execute on function public.end_access(uuid) from public, anon;
grant execute on function public.end_access(uuid) to authenticated, service_role;
comment on function public.end_access(uuid) is 'Ends a login for a time now, for owners and admins.';
