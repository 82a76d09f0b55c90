-- What operators ask: how one user stands, and which tenants there are. The CLI comes through the
-- Data API with the secret key; who lives in the SQL editor calls the functions of `provisioning` (supabase/verify-user.sql).
-- Nothing here returns a secret: of Vault only names are read, and whether something is there.

-- One user -----------------------------------------------------------------------------------------------------------

create function provisioning.find_tenant(p_subject text, out user_id uuid, out organization_id uuid)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_subject text := lower(provisioning.trimmed(p_subject));
begin
  if v_subject ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
    select u.id into user_id from auth.users u where u.id = v_subject::uuid;
    -- A deleted organization is known by its jobs.
    select j.organization_id into organization_id from (
      select o.id as organization_id from public.organizations o where o.id = v_subject::uuid
      union all
      select j.organization_id from public.provisioning_jobs j where j.organization_id = v_subject::uuid) j limit 1;
  end if;
  if strpos(v_subject, '@') > 0 then
    -- Auth writes addresses in lower case, and its unique index leaves out single sign-on. Whoever is not found there, because
    -- of that or because something else wrote the row, is looked for in all of them.
    select u.id into user_id from auth.users u where u.email = v_subject and not u.is_sso_user and u.deleted_at is null;
    if user_id is null then
      select u.id into user_id from auth.users u where lower(u.email) = v_subject
      order by u.deleted_at is not null, u.created_at limit 1;
    end if;
  elsif user_id is null and organization_id is null then
    -- Also for what looks like an id: nothing keeps an organization from being called so.
    select o.id into organization_id from public.organizations o where o.slug = v_subject;
    if organization_id is null then
      select d.organization_id into organization_id
      from provisioning.personal_details d join public.provisioning_jobs j on j.id = d.row_id
      where d.details ->> 'slug' = v_subject and d.details ? 'slug' order by j.created_at desc limit 1;
    end if;
  end if;
  if organization_id is not null and user_id is null then
    user_id := (select o.owner_id from public.organizations o where o.id = organization_id);
  elsif user_id is not null and organization_id is null then
    organization_id := coalesce(
      provisioning.profile_organization(user_id),
      (select m.organization_id from public.organization_members m where m.user_id = find_tenant.user_id order by m.created_at limit 1),
      (select o.id from public.organizations o where o.owner_id = user_id order by o.created_at limit 1));
  end if;
end
$$;
revoke execute on function provisioning.find_tenant(text) from public;
comment on function provisioning.find_tenant(text) is
  'Whom an e-mail address (in any case), a slug, or the id of an organization or user means; nulls when nobody. A deleted
organization is found by its id as long as its undo job is there, and by its slug as long as its last owner is there, too.';

create function provisioning.user_facts(p_user_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object(
    'user', (
      select jsonb_build_object('id', u.id, 'email', u.email, 'created_at', u.created_at, 'last_sign_in_at', u.last_sign_in_at,
        'confirmed_at', coalesce(u.email_confirmed_at, u.phone_confirmed_at), 'is_anonymous', u.is_anonymous,
        'deleted_at', u.deleted_at, 'banned_until', u.banned_until)
      from auth.users u where u.id = p_user_id),
    'sign_up_failure', (select to_jsonb(f) from provisioning.sign_up_failures f where f.user_id = p_user_id),
    'profile', (select to_jsonb(p) from public.profiles p where p.id = p_user_id),
    'wallet', (select to_jsonb(w) from public.wallets w where w.user_id = p_user_id),
    'memberships', (
      select coalesce(jsonb_agg(jsonb_build_object('organization_id', m.organization_id, 'slug', o.slug, 'role', m.role)
        order by m.created_at), '[]')
      from public.organization_members m join public.organizations o on o.id = m.organization_id where m.user_id = p_user_id));
end
$$;
revoke execute on function provisioning.user_facts(uuid) from public;

create function provisioning.newest_jobs(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_object_agg(j.kind, to_jsonb(j) || jsonb_build_object('lease_expires_at', (
      select l.expires_at from provisioning.job_leases l where l.job_id = j.id),
      'details', provisioning.personal_details_of(j.id), 'steps', (
      select coalesce(jsonb_agg(to_jsonb(s) - 'job_id' - 'organization_id' order by s.position), '[]')
      from public.provisioning_steps s where s.job_id = j.id))), '{}')
    from (
      select distinct on (i.kind) i.* from public.provisioning_jobs i
      where i.organization_id = p_organization_id order by i.kind, i.created_at desc) j);
end
$$;
revoke execute on function provisioning.newest_jobs(uuid) from public;
comment on function provisioning.newest_jobs(uuid) is 'The newest job of each kind with its steps and the end of its lease, by kind.';

create function provisioning.organization_facts(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object(
    'organization_id', p_organization_id,
    'organization', (
      select to_jsonb(o) || jsonb_build_object('owner_email', (select u.email from auth.users u where u.id = o.owner_id))
      from public.organizations o where o.id = p_organization_id),
    'members', (
      select coalesce(jsonb_agg(jsonb_build_object('user_id', m.user_id, 'email', u.email, 'role', m.role) order by m.created_at), '[]')
      from (select * from public.organization_members i where i.organization_id = p_organization_id
        order by i.created_at limit 20) m left join auth.users u on u.id = m.user_id),
    'member_count', (select count(*) from public.organization_members m where m.organization_id = p_organization_id),
    'owner_is_member', (
      select exists (select from public.organization_members m
        where m.organization_id = o.id and m.user_id = o.owner_id and m.role = 'owner')
      from public.organizations o where o.id = p_organization_id),
    'plan', (
      select to_jsonb(p) from provisioning.plans p join public.organizations o using (plan) where o.id = p_organization_id),
    'region', (
      select to_jsonb(r) from provisioning.regions r join public.organizations o using (data_region) where o.id = p_organization_id),
    'database', (
      select to_jsonb(d) || jsonb_build_object('credentials_in_vault', exists (
        select from vault.secrets s where s.id = d.credentials_secret_id))
      from public.organization_databases d where d.organization_id = p_organization_id),
    'health', (
      select to_jsonb(h) - 'organization_id' from public.tenant_health h where h.organization_id = p_organization_id),
    'jobs', provisioning.newest_jobs(p_organization_id),
    'events', (
      select coalesce(jsonb_agg(to_jsonb(e) - 'organization_id' order by e.started_at desc, e.id), '[]')
      from (select * from public.provisioning_events i where i.organization_id = p_organization_id
        order by i.started_at desc, i.id limit 20) e),
    'alerts', (
      select coalesce(jsonb_agg(to_jsonb(a) - 'organization_id' order by a.opened_at), '[]')
      from public.tenant_alerts a where a.organization_id = p_organization_id and a.resolved_at is null),
    'audit', (
      select coalesce(jsonb_agg(to_jsonb(l) - 'organization_id' || jsonb_build_object(
        'details', provisioning.personal_details_of(l.id)) order by l.created_at desc, l.id), '[]')
      from (select * from public.audit_logs i where i.organization_id = p_organization_id
        order by i.created_at desc, i.id limit 10) l));
end
$$;
revoke execute on function provisioning.organization_facts(uuid) from public;

-- The checks ---------------------------------------------------------------------------------------------------------

-- status: ok, warning (ready all the same), waiting (nothing to do but wait), failed (somebody has to act) or skipped (there
-- is nothing to look at). fix says what to do in words, command for the terminal, sql for the SQL editor.
create type provisioning.tenant_check as ("check" text, status text, found text, fix text, command text, sql text);

create function provisioning.told(p_time timestamptz) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return to_char(p_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"');
end
$$;
revoke execute on function provisioning.told(timestamptz) from public;

create function provisioning.checked(
  p_check text, p_problem text, p_fine text, p_fix text default null, p_command text default null, p_sql text default null,
  p_status text default 'failed'
) returns provisioning.tenant_check
language plpgsql immutable set search_path = '' as $$
begin
  if p_problem is null then
    return (p_check, 'ok', p_fine, null, null, null)::provisioning.tenant_check;
  end if;
  return (p_check, p_status, p_problem, p_fix, p_command, p_sql)::provisioning.tenant_check;
end
$$;
revoke execute on function provisioning.checked(text, text, text, text, text, text, text) from public;
comment on function provisioning.checked(text, text, text, text, text, text, text) is
  'A check that found p_problem, with what to do about it; or, when that is null, one that found p_fine.';

create function provisioning.account_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_user jsonb := p_facts -> 'user';
  v_name text := coalesce(v_user ->> 'email', v_user ->> 'id');
begin
  if v_name is null then
    return provisioning.checked('user', 'There is no such account.', null,
      'Check the spelling. Otherwise they have to sign up, or be invited, first.');
  elsif v_user ->> 'deleted_at' is not null then
    return provisioning.checked('user', 'The account was deleted.', null);
  elsif (v_user ->> 'is_anonymous')::boolean then
    return provisioning.checked('user', 'The user is anonymous, and those get no tenant.', null,
      'Nothing to do: the tenant is made when they link an e-mail address.', p_status => 'waiting');
  elsif v_user ->> 'confirmed_at' is null and (select s.provision_on from provisioning.settings s) = 'email_confirmed' then
    return provisioning.checked('user', v_name || ' is not confirmed, and settings.provision_on asks for that.', null,
      'The user has to follow the link in the confirmation mail; the rest happens by itself.', p_status => 'waiting');
  elsif (v_user ->> 'banned_until')::timestamptz > now() then
    return provisioning.checked('user', v_name || ' is banned until ' || provisioning.told((v_user ->> 'banned_until')::timestamptz),
      null, p_status => 'warning');
  end if;
  return provisioning.checked('user', null,
    v_name || case when v_user ->> 'confirmed_at' is null then ', not confirmed' else ', confirmed' end);
end
$$;
revoke execute on function provisioning.account_check(jsonb) from public;

create function provisioning.user_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_account provisioning.tenant_check := provisioning.account_check(p_facts);
  v_profile jsonb := p_facts -> 'profile';
  v_wallet jsonb := p_facts -> 'wallet';
  v_email text := p_facts #>> '{user,email}';
  v_fix text := 'Make what is missing.';
  v_command text := 'npm run tenants -- provision ' || coalesce(v_email, p_facts #>> '{user,id}');
  v_sql text := format('select provisioning.repair_user(%L);', p_facts #>> '{user,id}');
begin
  return next v_account;
  if v_account.status in ('failed', 'waiting') then
    return;
  end if;
  return next provisioning.checked('sign_up', 'The rows could not be made: ' || (p_facts #>> '{sign_up_failure,message}'),
    'no trouble', 'Mend the cause. The sweep tries again at '
      || provisioning.told((p_facts #>> '{sign_up_failure,next_attempt_at}')::timestamptz) || '; the command does so now.',
    v_command, v_sql);
  return next provisioning.checked('profile',
    case when v_profile ->> 'id' is null then 'There is none.'
      -- Who has lost the organization on purpose is told so below.
      when v_profile ->> 'organization_id' is null and p_facts #>> '{organization,id}' is not null then 'It names no organization.'
      when v_profile ->> 'organization_id' is not null and provisioning.profile_organization((p_facts #>> '{user,id}')::uuid) is null
        then 'It names an organization that the user does not belong to.' end,
    coalesce(v_profile ->> 'full_name', 'without a name'), v_fix, v_command, v_sql);
  if v_profile ->> 'email' is distinct from v_email and v_profile ->> 'id' is not null then
    return next provisioning.checked('profile_email',
      format('The profile has %s, the account %s.', coalesce(v_profile ->> 'email', 'no address'), coalesce(v_email, 'none')), null,
      'Copy the address of the account.', v_command, v_sql, 'warning');
  end if;
  return next provisioning.checked('wallet', case when v_wallet ->> 'id' is null then 'There is none.' end,
    format('%s %s available, %s pending (minor units)', v_wallet ->> 'available_balance', upper(v_wallet ->> 'currency'),
      v_wallet ->> 'pending_balance'), v_fix, v_command, v_sql);
end
$$;
revoke execute on function provisioning.user_checks(jsonb) from public;

create function provisioning.organization_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization jsonb := p_facts -> 'organization';
  v_plan jsonb := p_facts -> 'plan';
  v_user text := p_facts #>> '{user,id}';
  v_role text := (
    select m ->> 'role' from jsonb_array_elements(p_facts -> 'memberships') m
    where m ->> 'organization_id' = v_organization ->> 'id');
  v_command text := 'npm run tenants -- provision ' || coalesce(p_facts #>> '{user,email}', v_user);
  v_sql text := format('select provisioning.repair_user(%L);', v_user);
begin
  if v_organization ->> 'id' is null then
    return next provisioning.checked('organization', 'The user belongs to no organization.', null,
      'Make one. (After an organization was deleted that is as it should be.)', v_command, v_sql);
    return;
  end if;
  return next provisioning.checked('organization', null, format('%s (%s)', v_organization ->> 'name', v_organization ->> 'slug'));
  return next provisioning.checked('ownership',
    case when not (p_facts ->> 'owner_is_member')::boolean then
        format('%s owns it and is not a member in the role of owner.', coalesce(v_organization ->> 'owner_email', v_organization ->> 'owner_id'))
      when v_role is null and v_user is not null then 'The user is not a member of it.' end,
    format('%s of %s, owned by %s', coalesce(v_role, 'nobody'),
      (p_facts ->> 'member_count') || case when p_facts ->> 'member_count' = '1' then ' member' else ' members' end,
      coalesce(v_organization ->> 'owner_email', v_organization ->> 'owner_id')),
    'Make what is missing.', v_command, v_sql);
  return next provisioning.checked('plan', case when v_plan is null or v_plan ->> 'plan' is null then 'It has no plan.' end,
    format('%s, a new database is %s, %s', v_plan ->> 'plan', v_plan ->> 'default_size',
      coalesce(pg_size_pretty((v_plan ->> 'quota_logical_size_bytes')::bigint) || ' of storage', 'storage without a limit')),
    'Give it one that is in provisioning.plans.', null,
    format('update public.organizations set plan = ''free'' where id = %L;', v_organization ->> 'id'));
  -- A region that the sign-up asked for and nobody knows became the default one; the event says so.
  return next provisioning.checked('region',
    (select 'The sign-up asked for "' || (e #>> '{metadata,unknown_data_region}') || '", which is not offered; it got '
        || (v_organization ->> 'data_region') || '.'
      from jsonb_array_elements(p_facts -> 'events') e where e #>> '{metadata,unknown_data_region}' is not null limit 1),
    format('data %s, hosting %s, database %s', v_organization ->> 'data_region', v_organization ->> 'hosting_region',
      coalesce(p_facts #>> '{database,region}', 'none')),
    'Insert the region or an alias into provisioning.regions, for the next ones.', p_status => 'warning');
end
$$;
revoke execute on function provisioning.organization_checks(jsonb) from public;

create function provisioning.failure_fix(p_code text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return case
    when p_code like '%\_key\_missing' then 'Set the key: supabase secrets set STRIPE_SECRET_KEY=… NEON_API_KEY=…. Then retry.'
    when p_code like '%\_key\_rejected' then 'Replace the key, or give it the missing right (supabase secrets set …), then retry.'
    when p_code = 'neon_project_limit_reached' then 'Delete projects or upgrade at Neon, then retry.'
    when p_code = 'neon_region_unknown' then 'Correct provisioning.regions, then ask again with another dataRegion.'
    when p_code in ('tenant_schema_failed', 'tenant_schema_changed')
      then 'Correct the file in tenant-schema/, npm run tenant-schema, supabase functions deploy, then retry.'
    when p_code = 'credentials_missing' then 'Retry the service neon, which fetches the password again.'
    when p_code = 'tenant_database_login_refused'
      then 'Give the role LOGIN again if somebody took it; then retry the service neon, which fetches the password again.'
    when p_code = 'attempts_exhausted' then 'Every attempt was cut off: look at the function''s log, then retry.'
    else 'Mend what the message names (docs/architecture.md explains each code), then retry.' end;
end
$$;
revoke execute on function provisioning.failure_fix(text) from public;
comment on function provisioning.failure_fix(text) is 'What a person does about a failure code of a step.';

create function provisioning.job_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_job jsonb := p_facts #> '{jobs,provision}';
  v_steps integer := jsonb_array_length(coalesce(v_job -> 'steps', '[]'));
  v_done integer := (select count(*) from jsonb_array_elements(v_job -> 'steps') s where s ->> 'status' = 'succeeded');
  v_slug text := p_facts #>> '{organization,slug}';
  v_due timestamptz := coalesce(v_job ->> 'lease_expires_at', v_job ->> 'next_attempt_at')::timestamptz;
  v_failed jsonb := (
    select s from jsonb_array_elements(v_job -> 'steps') with ordinality t (s, n)
    where s ->> 'status' = 'failed' order by n limit 1);
  v_trouble text := (v_job #>> '{last_error,message}') || ' (' || (v_job #>> '{last_error,code}') || ')';
  v_command text := 'npm run tenants -- retry ' || v_slug;
  v_sql text := format('select * from provisioning.request_provisioning(%L);', p_facts ->> 'organization_id');
begin
  case v_job ->> 'status'
    when 'succeeded' then
      return provisioning.checked('provisioning', null, format('%s of %s steps succeeded', v_done, v_steps));
    when 'failed' then
      return provisioning.checked('provisioning', concat_ws(': ', 'failed' || (' at ' || (v_failed ->> 'step')), v_trouble), null,
        provisioning.failure_fix(v_job #>> '{last_error,code}'), v_command || coalesce(' --service ' || (v_failed ->> 'service'), ''), v_sql);
    when 'cancelled' then
      return provisioning.checked('provisioning', 'It was cancelled.', null, 'Start it again.',
        'npm run tenants -- provision ' || v_slug, v_sql);
    when 'queued', 'running' then
      return provisioning.checked('provisioning', concat_ws(' ', format('%s of %s steps done, %s.', v_done, v_steps,
          case when v_job ->> 'status' = 'running' and v_due > now() then 'at work'
            when v_due > now() then 'next attempt at ' || provisioning.told(v_due)
            else 'due since ' || provisioning.told(v_due) end), v_trouble), null,
        case when v_due < now() - interval '1 minute'
          then 'It should have been claimed by now: npm run tenants -- doctor.'
          else 'Nothing to do: it goes on by itself.' end,
        case when v_due < now() - interval '1 minute' then 'npm run tenants -- doctor' else 'npm run tenants -- watch ' || v_slug end,
        'select provisioning.sweep();', 'waiting');
    else
      return provisioning.checked('provisioning', 'It was never asked for.', null, 'Ask for it.', v_command, v_sql);
  end case;
end
$$;
revoke execute on function provisioning.job_check(jsonb) from public;

-- A resource that is not there is on its way as long as the job is open; after that it is missing.
create function provisioning.resource_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization jsonb := p_facts -> 'organization';
  v_database jsonb := p_facts -> 'database';
  v_job text := coalesce(p_facts #>> '{jobs,provision,status}', 'none');
  v_status text := case when v_job in ('queued', 'running') then 'waiting' else 'failed' end;
  v_fix text := case
    when v_job in ('queued', 'running') then 'It is being made.'
    when v_job in ('failed', 'cancelled') then 'It follows from the provisioning above.'
    else 'Have it looked at again; each step finds what exists.' end;
  -- Only what a finished job has lost needs a request of its own.
  v_retry text := case when v_job in ('succeeded', 'none')
    then 'npm run tenants -- retry ' || (v_organization ->> 'slug') || ' --service ' end;
  v_sql text := case when v_job in ('succeeded', 'none')
    then format('select * from provisioning.request_provisioning(%L, ''{%%s}'');', v_organization ->> 'id') end;
begin
  return next provisioning.checked('stripe_customer',
    case when v_organization ->> 'stripe_customer_id' is null then 'The organization has no customer at Stripe.' end,
    concat_ws(', ', v_organization ->> 'stripe_customer_id', v_organization ->> 'billing_email',
      'subscription ' || (v_organization ->> 'stripe_subscription_status')),
    v_fix, v_retry || 'stripe', format(v_sql, 'stripe'), v_status);
  return next provisioning.checked('database',
    case when v_database ->> 'organization_id' is null then 'There is no row in organization_databases.'
      when v_database ->> 'neon_project_id' is null or v_database ->> 'host' is null then 'There is no Neon project.' end,
    format('%s in %s, size %s', v_database ->> 'neon_project_id', v_database ->> 'region', v_database ->> 'size'),
    v_fix, v_retry || 'neon', format(v_sql, 'neon'), v_status);
  return next provisioning.checked('schema',
    case when v_database ->> 'schema_version' is null then 'The tenant schema was not applied.' end,
    'version ' || (v_database ->> 'schema_version'), v_fix, v_retry || 'neon', format(v_sql, 'neon'), v_status);
  return next provisioning.checked('credentials',
    case when v_database ->> 'credentials_secret_id' is null then 'No password is in Vault.'
      when not (v_database ->> 'credentials_in_vault')::boolean then 'The password was deleted from Vault.' end,
    'in Vault', v_fix, v_retry || 'neon', format(v_sql, 'neon'), v_status);
  return next provisioning.checked('connection',
    case when v_database ->> 'host' is null then 'There is nothing to connect to.'
      when v_database ->> 'ssl_verified_at' is null and v_database ->> 'ssl_mode' <> 'disable' then 'TLS was not verified.'
      when not exists (
        select from jsonb_array_elements(p_facts #> '{jobs,provision,steps}') s
        where s ->> 'step' = 'verify_connection' and s ->> 'status' = 'succeeded') then 'The connection was not verified.' end,
    coalesce('TLS verified at ' || provisioning.told((v_database ->> 'ssl_verified_at')::timestamptz), 'without TLS (ssl_mode disable)'),
    v_fix, v_retry || 'neon', format(v_sql, 'neon'), v_status);
end
$$;
revoke execute on function provisioning.resource_checks(jsonb) from public;

create function provisioning.operation_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_health text := coalesce(p_facts #>> '{health,status}', p_facts #>> '{database,health_status}', 'unknown');
  v_reasons text := (
    select string_agg(r ->> 'message', ' ') from jsonb_array_elements(
      case when jsonb_typeof(p_facts #> '{health,reasons}') = 'array' then p_facts #> '{health,reasons}' else '[]' end) r);
  v_graphql text := coalesce(p_facts #>> '{organization,provisioning_status,graphql}', 'not_requested');
  v_slug text := p_facts #>> '{organization,slug}';
  v_alerts jsonb := p_facts -> 'alerts';
begin
  if v_graphql <> 'not_requested' then
    return next provisioning.checked('graphql', case when v_graphql <> 'ready' then 'The endpoint is ' || v_graphql || '.' end,
      coalesce(p_facts #>> '{database,graphql_endpoint}', 'ready'), 'Have it looked at again.',
      'npm run tenants -- retry ' || v_slug || ' --service graphql', null, case when v_graphql = 'failed' then 'failed' else 'waiting' end);
  end if;
  return next provisioning.checked('health',
    case when v_health in ('unhealthy', 'degraded') then concat_ws(': ', v_health, v_reasons) end,
    concat_ws(', ', v_health, 'checked at ' || provisioning.told((p_facts #>> '{health,checked_at}')::timestamptz)),
    'Look at the database itself.', 'npm run tenants -- health ' || v_slug || ' --deep', null,
    -- Provisioning has connected since, so the trouble may be over; the next check is due.
    case when v_health = 'unhealthy'
      and not (p_facts #>> '{health,connected_at}')::timestamptz > (p_facts #>> '{health,checked_at}')::timestamptz
      then 'failed' else 'warning' end);
  return next provisioning.checked('alerts',
    (select format('%s open: %s', count(*), string_agg(a ->> 'kind', ', ')) from jsonb_array_elements(v_alerts) a having count(*) > 0),
    'none open', 'An alert is resolved when what opened it has passed.', 'npm run tenants -- alerts --tenant ' || v_slug, null, 'warning');
end
$$;
revoke execute on function provisioning.operation_checks(jsonb) from public;

create function provisioning.undo_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_undo jsonb;
  v_due timestamptz;
begin
  for v_undo in
    select j from jsonb_each(p_facts -> 'jobs') e (kind, j) where e.kind in ('undo', 'deprovision')
  loop
    -- Of a living organization only an undo that is not done yet is news, and one that failed only until the provisioning is
    -- begun anew: that takes over what it has left.
    continue when p_facts #>> '{organization,id}' is not null and (v_undo ->> 'status' in ('succeeded', 'cancelled')
      or v_undo ->> 'kind' = 'undo' and v_undo ->> 'status' = 'failed' and p_facts #>> '{jobs,provision,status}' <> 'cancelled');
    -- Of a deleted one, its undo's cancellation is none.
    continue when v_undo ->> 'kind' = 'undo' and v_undo ->> 'status' = 'cancelled';
    v_due := (v_undo ->> 'next_attempt_at')::timestamptz;
    return next provisioning.checked(v_undo ->> 'kind',
      case v_undo ->> 'status'
        when 'succeeded' then null
        when 'failed' then concat_ws(' ', 'The removal failed:', v_undo #>> '{last_error,message}')
        else concat_ws(' ', 'The removal is ' || (v_undo ->> 'status') || ', due at ' || provisioning.told(v_due) || '.',
          v_undo #>> '{last_error,message}') end,
      'Everything outside is removed.',
      case v_undo ->> 'status' when 'failed' then provisioning.failure_fix(v_undo #>> '{last_error,code}')
        else 'Nothing to do: it goes on by itself.' end,
      case v_undo ->> 'status' when 'failed' then 'npm run tenants -- retry ' || (p_facts ->> 'organization_id') end,
      case v_undo ->> 'status' when 'failed' then format('select provisioning.retry_removal(%L);', p_facts ->> 'organization_id') end,
      case v_undo ->> 'status' when 'failed' then 'failed' else 'waiting' end);
  end loop;
end
$$;
revoke execute on function provisioning.undo_checks(jsonb) from public;

create function provisioning.tenant_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
begin
  -- A deleted organization may have had a user who is still there, or not.
  if p_facts #>> '{user,id}' is not null or p_facts ->> 'organization_id' is null then
    return query select * from provisioning.user_checks(p_facts);
  end if;
  return query select * from provisioning.undo_checks(p_facts);
  -- Who is not to have an organization (yet) lacks none; and one that is deleted has nothing left to look at.
  if p_facts #>> '{organization,id}' is null
    and (p_facts ->> 'organization_id' is not null or (provisioning.account_check(p_facts)).status in ('failed', 'waiting')) then
    return;
  end if;
  return query select * from provisioning.organization_checks(p_facts);
  if p_facts #>> '{organization,id}' is not null then
    return next provisioning.job_check(p_facts);
    return query select * from provisioning.resource_checks(p_facts);
    return query select * from provisioning.operation_checks(p_facts);
  end if;
end
$$;
revoke execute on function provisioning.tenant_checks(jsonb) from public;
comment on function provisioning.tenant_checks(jsonb) is
  'What holds and what does not, in the order in which one thing rests on another: the first failed check is the cause.';

create function provisioning.tenant_verdict(p_facts jsonb, p_checks jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_name text := coalesce(p_facts #>> '{organization,slug}', p_facts #>> '{user,email}', p_facts #>> '{user,id}', p_facts ->> 'subject');
  v_undo jsonb := p_facts #> '{jobs,deprovision}';
  v_worst jsonb := (
    select c from jsonb_array_elements(p_checks) with ordinality t (c, n)
    where c ->> 'status' in ('failed', 'waiting') order by c ->> 'status' <> 'failed', n limit 1);
  v_warnings integer := (select count(*) from jsonb_array_elements(p_checks) c where c ->> 'status' = 'warning');
  v_state text := case
    when p_facts #>> '{organization,id}' is null and v_undo is not null then 'deleted'
    when p_facts #>> '{user,id}' is null and p_facts #>> '{organization,id}' is null then 'not_found'
    when v_worst is null then 'ready'
    when p_facts #>> '{jobs,provision,status}' = 'cancelled' then 'cancelled'
    when v_worst ->> 'status' = 'failed' then 'failed'
    when p_facts #>> '{jobs,provision,id}' is null then 'waiting'
    else 'provisioning' end;
begin
  return jsonb_build_object('ready', v_state = 'ready', 'state', v_state,
    'summary', case v_state
      when 'ready' then v_name || ' is ready.' || case v_warnings when 0 then '' when 1 then ' One warning.' else format(' %s warnings.', v_warnings) end
      when 'not_found' then format('Nobody and nothing is called "%s".', p_facts ->> 'subject')
      when 'deleted' then format('%s was deleted; the removal of what it had outside is %s.',
        coalesce(v_undo #>> '{details,slug}', v_name), v_undo ->> 'status')
      when 'provisioning' then v_name || ' is being provisioned: ' || (v_worst ->> 'found')
      else format('%s is not ready. %s: %s', v_name, v_worst ->> 'check', v_worst ->> 'found') end,
    'next', v_worst ->> 'fix',
    'command', v_worst ->> 'command', 'sql', v_worst ->> 'sql');
end
$$;
revoke execute on function provisioning.tenant_verdict(jsonb, jsonb) from public;

create function provisioning.describe_tenant(p_subject text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_user_id uuid;
  v_organization_id uuid;
  v_facts jsonb;
  v_checks jsonb;
begin
  select * into v_user_id, v_organization_id from provisioning.find_tenant(p_subject);
  v_facts := jsonb_build_object('subject', p_subject) || provisioning.user_facts(v_user_id)
    || provisioning.organization_facts(v_organization_id);
  select jsonb_agg(to_jsonb(c) || jsonb_build_object('ok', c.status in ('ok', 'warning')) order by n) into v_checks
  from provisioning.tenant_checks(v_facts) with ordinality as c ("check", status, found, fix, command, sql, n);
  v_checks := (select jsonb_agg(c - 'n') from jsonb_array_elements(v_checks) c);
  return v_facts || jsonb_build_object('checks', v_checks, 'verdict', provisioning.tenant_verdict(v_facts, v_checks));
end
$$;
revoke execute on function provisioning.describe_tenant(text) from public;
grant execute on function provisioning.describe_tenant(text) to service_role;
comment on function provisioning.describe_tenant(text) is
  'All about one user and their organization: facts, checks [{check, status, ok, found, fix, command, sql}] and verdict {ready,
state, summary, next, command, sql}. Reads only, and never a secret. The subject is what find_tenant understands.';

create function public.describe_tenant(subject text) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.describe_tenant(subject)
$$;
revoke execute on function public.describe_tenant(text) from public, anon, authenticated;
grant execute on function public.describe_tenant(text) to service_role;
comment on function public.describe_tenant(text) is
  'For the backend: how the user or organization with this e-mail address, slug or id stands. See provisioning.describe_tenant.';

-- All tenants --------------------------------------------------------------------------------------------------------

create function provisioning.tenant_page(p_filter jsonb, p_limit integer, p_after text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_limit integer := least(greatest(coalesce(p_limit, 50), 1), 1000);
  v_filter jsonb := jsonb_strip_nulls(jsonb_build_object('overall', p_filter -> 'status', 'health', p_filter -> 'health',
    'plan', p_filter -> 'plan', 'search', p_filter -> 'search', 'dataRegion', coalesce((
      select r.data_region from provisioning.regions r where r.neon_region = p_filter ->> 'region'), p_filter ->> 'region')));
  v_tenants jsonb;
begin
  execute format(
    $sql$
      select coalesce(jsonb_agg(to_jsonb(t) order by t.slug), '[]') from (
        select o.id as organization_id, o.slug, o.name, u.email as owner_email, o.plan, o.data_region,
          o.provisioning_status ->> 'overall' as status, d.health_status as health, o.stripe_customer_id, d.neon_project_id,
          d.region, d.size, d.schema_version, o.created_at, o.provisioned_at,
          (select count(*) from public.tenant_alerts a where a.organization_id = o.id and a.resolved_at is null) as open_alerts
        from public.organizations o
        left join public.organization_databases d on d.organization_id = o.id
        left join auth.users u on u.id = o.owner_id
        where ($2 is null or o.slug > $2) and %s
        order by o.slug limit $3) t
    $sql$, provisioning.tenant_conditions(v_filter))
  into v_tenants using v_filter, p_after, v_limit;
  return jsonb_build_object('tenants', v_tenants,
    'after', case when jsonb_array_length(v_tenants) = v_limit then v_tenants -> -1 ->> 'slug' end);
end
$$;
revoke execute on function provisioning.tenant_page(jsonb, integer, text) from public;
grant execute on function provisioning.tenant_page(jsonb, integer, text) to service_role;
comment on function provisioning.tenant_page(jsonb, integer, text) is
  'A page of tenants in the order of their slugs: {tenants, after}. Filters as those of page_of_tenants, under the names
of the CLI: status, health, region (data region or Neon''s), plan, search (in name, slug and billing e-mail).
At most 1000 a page; after is what to ask for next, null when the page was not full.';

create function public.list_tenants(filter jsonb default '{}', page_size integer default 50, after text default null) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.tenant_page(filter, page_size, after)
$$;
revoke execute on function public.list_tenants(jsonb, integer, text) from public, anon, authenticated;
grant execute on function public.list_tenants(jsonb, integer, text) to service_role;
comment on function public.list_tenants(jsonb, integer, text) is 'For the backend: a page of tenants. See provisioning.tenant_page.';
