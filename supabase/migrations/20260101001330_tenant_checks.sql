-- What holds of one user and their organization, and what does not. A check says what was found, and its code says which kind of
-- trouble that is. What a person does about a code, and with which command, is not here: shared/tenants/remedies.ts knows.

create function provisioning.utc_text(p_time timestamptz) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return to_char(p_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"');
end
$$;
revoke execute on function provisioning.utc_text(timestamptz) from public, anon, authenticated, service_role;

create function provisioning.passed_check(p_check text, p_found text) returns provisioning.tenant_check
language plpgsql immutable set search_path = '' as $$
begin
  return (p_check, 'ok', null, p_found, null, null)::provisioning.tenant_check;
end
$$;
revoke execute on function provisioning.passed_check(text, text) from public, anon, authenticated, service_role;

create function provisioning.failed_check(
  p_check text, p_code text, p_found text, p_status text default 'failed', p_service text default null,
  p_failure_code text default null
) returns provisioning.tenant_check
language plpgsql immutable set search_path = '' as $$
begin
  return (p_check, p_status, p_code, p_found, p_service, p_failure_code)::provisioning.tenant_check;
end
$$;
revoke execute on function provisioning.failed_check(text, text, text, text, text, text)
  from public, anon, authenticated, service_role;

create function provisioning.account_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_user jsonb := p_facts -> 'user';
  v_name text := coalesce(v_user ->> 'email', v_user ->> 'id');
begin
  if v_name is null then
    return provisioning.failed_check('user', 'account_missing', 'There is no such account.');
  elsif v_user ->> 'deleted_at' is not null then
    return provisioning.failed_check('user', 'account_deleted', 'The account was deleted.');
  elsif (v_user ->> 'is_anonymous')::boolean then
    return provisioning.failed_check('user', 'account_anonymous',
      'The user is anonymous, and anonymous users get no tenant.', 'waiting');
  elsif v_user ->> 'confirmed_at' is null and (select s.provision_on from provisioning.settings s) = 'email_confirmed' then
    return provisioning.failed_check('user', 'account_unconfirmed',
      v_name || ' is not confirmed, and settings.provision_on asks for that.', 'waiting');
  elsif not (v_user ->> 'is_provisioned')::boolean and p_facts -> 'memberships' = '[]' then
    return provisioning.failed_check('user', 'account_not_provisioned',
      v_name || ' has the profile only, because the app metadata say "provision": false.', 'waiting');
  elsif p_facts #>> '{expected_by,0,slug}' is not null and p_facts -> 'memberships' = '[]' then
    return provisioning.failed_check('user', 'account_expected', format(
      '%s is expected as %s of "%s" until %s, and has not answered.', v_name,
      p_facts #>> '{expected_by,0,role}', p_facts #>> '{expected_by,0,slug}',
      provisioning.utc_text((p_facts #>> '{expected_by,0,ends_at}')::timestamptz)), 'waiting');
  elsif p_facts -> 'memberships' = '[]' and provisioning.mapped('members') is not null then
    return provisioning.failed_check('user', 'account_without_tenant', format(
      '%s is in no tenant that is made: %s names none.', v_name, provisioning.mapped('members') ->> 'table'), 'waiting');
  elsif (v_user ->> 'banned_until')::timestamptz > now() then
    return provisioning.failed_check('user', 'account_banned',
      format('%s is banned until %s.', v_name, provisioning.utc_text((v_user ->> 'banned_until')::timestamptz)), 'warning');
  end if;
  return provisioning.passed_check('user',
    v_name || case when v_user ->> 'confirmed_at' is null then ', not confirmed' else ', confirmed' end);
end
$$;
revoke execute on function provisioning.account_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.profile_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_profile jsonb := p_facts -> 'profile';
  v_names_organization boolean := v_profile ->> 'organization_id' is not null;
begin
  if v_profile ->> 'id' is null then
    return provisioning.failed_check('profile', 'rows_missing', 'There is none.');
  -- A user whose organization was deleted has none to name; the check of the organization says so.
  elsif not v_names_organization and p_facts #>> '{organization,id}' is not null then
    return provisioning.failed_check('profile', 'rows_missing', 'It names no organization.');
  elsif v_names_organization and provisioning.profile_organization((p_facts #>> '{user,id}')::uuid) is null then
    return provisioning.failed_check('profile', 'rows_missing', 'It names an organization that the user does not belong to.');
  end if;
  return provisioning.passed_check('profile', coalesce(v_profile ->> 'full_name', 'without a name'));
end
$$;
revoke execute on function provisioning.profile_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.user_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_account provisioning.tenant_check := provisioning.account_check(p_facts);
  v_failure jsonb := p_facts -> 'sign_up_failure';
  v_profile jsonb := p_facts -> 'profile';
  v_wallet jsonb := p_facts -> 'wallet';
  v_email text := p_facts #>> '{user,email}';
begin
  return next v_account;
  if v_account.status in ('failed', 'waiting') then
    return;
  end if;
  return next case when v_failure ->> 'message' is null then provisioning.passed_check('sign_up', 'no trouble')
    else provisioning.failed_check('sign_up', 'sign_up_failed',
      format('The rows could not be made: %s The sweep tries again at %s.', v_failure ->> 'message',
        provisioning.utc_text((v_failure ->> 'next_attempt_at')::timestamptz))) end;
  return next provisioning.profile_check(p_facts);
  if v_profile ->> 'email' is distinct from v_email and v_profile ->> 'id' is not null
    -- The project's own table may have another address.
    and provisioning.mapped('profiles') is null then
    return next provisioning.failed_check('profile_email', 'profile_email_differs', format('The profile has %s, the account %s.',
      coalesce(v_profile ->> 'email', 'no address'), coalesce(v_email, 'none')), 'warning');
  end if;
  return next case when v_wallet ->> 'user_id' is null then provisioning.failed_check('wallet', 'rows_missing', 'There is none.')
    else provisioning.passed_check('wallet', format('%s %s available, %s pending (minor units)',
      v_wallet ->> 'available_balance', upper(v_wallet ->> 'currency'), v_wallet ->> 'pending_balance')) end;
end
$$;
revoke execute on function provisioning.user_checks(jsonb) from public, anon, authenticated, service_role;

create function provisioning.ownership_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization jsonb := p_facts -> 'organization';
  v_owner text := coalesce(v_organization ->> 'owner_email', v_organization ->> 'owner_id');
  v_role text := (
    select m ->> 'role' from jsonb_array_elements(p_facts -> 'memberships') m
    where m ->> 'organization_id' = v_organization ->> 'id');
begin
  if not (p_facts ->> 'owner_is_member')::boolean then
    return provisioning.failed_check('ownership', 'rows_missing',
      format('%s owns it and is not a member in the role of owner.', v_owner));
  elsif v_role is null and p_facts #>> '{user,id}' is not null then
    return provisioning.failed_check('ownership', 'rows_missing', 'The user is not a member of it.');
  end if;
  return provisioning.passed_check('ownership', format('%s of %s, owned by %s', coalesce(v_role, 'nobody'),
    (p_facts ->> 'member_count') || case when p_facts ->> 'member_count' = '1' then ' member' else ' members' end, v_owner));
end
$$;
revoke execute on function provisioning.ownership_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.region_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization jsonb := p_facts -> 'organization';
  -- A region that the sign-up asked for and that is not offered became the default one; the event says so.
  v_unknown text := (
    select e #>> '{metadata,unknown_data_region}' from jsonb_array_elements(p_facts -> 'events') e
    where e #>> '{metadata,unknown_data_region}' is not null limit 1);
begin
  if v_unknown is not null then
    return provisioning.failed_check('region', 'region_unknown',
      format('The sign-up asked for "%s", which is not offered; it got %s.', v_unknown, v_organization ->> 'data_region'),
      'warning');
  end if;
  return provisioning.passed_check('region', format('data %s, hosting %s, database %s', v_organization ->> 'data_region',
    v_organization ->> 'hosting_region', coalesce(p_facts #>> '{database,region}', 'none')));
end
$$;
revoke execute on function provisioning.region_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.organization_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization jsonb := p_facts -> 'organization';
  v_plan jsonb := p_facts -> 'plan';
begin
  if v_organization ->> 'id' is null then
    return next case when exists (
      select from provisioning.removed_tenants r where r.user_id = (p_facts #>> '{user,id}')::uuid)
      then provisioning.failed_check('organization', 'organization_removed', 'The organization was removed on purpose.')
      else provisioning.failed_check('organization', 'organization_missing', 'The user belongs to no organization.') end;
    return;
  end if;
  return next provisioning.passed_check('organization', format('%s (%s)', v_organization ->> 'name', v_organization ->> 'slug'));
  return next provisioning.ownership_check(p_facts);
  return next case when v_plan ->> 'plan' is null then provisioning.failed_check('plan', 'plan_missing', 'It has no plan.')
    else provisioning.passed_check('plan', format('%s, a new database is %s, %s', v_plan ->> 'plan', v_plan ->> 'default_size',
      coalesce(pg_size_pretty((v_plan ->> 'quota_logical_size_bytes')::bigint) || ' of storage', 'storage without a limit'))) end;
  return next provisioning.region_check(p_facts);
end
$$;
revoke execute on function provisioning.organization_checks(jsonb) from public, anon, authenticated, service_role;

create function provisioning.job_of(p_facts jsonb, p_purpose text) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select e.job from jsonb_each(p_facts -> 'jobs') e (kind, job) where e.job ->> 'purpose' = p_purpose);
end
$$;
revoke execute on function provisioning.job_of(jsonb, text) from public, anon, authenticated, service_role;
comment on function provisioning.job_of(jsonb, text) is
  'The newest job with the purpose provision, revert or remove; null when there is none.';

create function provisioning.job_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_job jsonb := provisioning.job_of(p_facts, 'provision');
  v_steps integer := jsonb_array_length(coalesce(v_job -> 'steps', '[]'));
  v_done integer := (select count(*) from jsonb_array_elements(v_job -> 'steps') s where s ->> 'status' = 'succeeded');
  v_due timestamptz := coalesce(v_job ->> 'lease_expires_at', v_job ->> 'next_attempt_at')::timestamptz;
  v_failed jsonb := (
    select s from jsonb_array_elements(v_job -> 'steps') with ordinality t (s, n)
    where s ->> 'status' = 'failed' order by n limit 1);
  v_trouble text := (v_job #>> '{last_error,message}') || ' (' || (v_job #>> '{last_error,code}') || ')';
begin
  case v_job ->> 'status'
    when 'succeeded' then
      return provisioning.passed_check('provisioning', format('%s of %s steps succeeded', v_done, v_steps));
    when 'failed' then
      return provisioning.failed_check('provisioning', 'job_failed',
        concat_ws(': ', 'failed' || (' at ' || (v_failed ->> 'step')), v_trouble),
        p_service => v_failed ->> 'service', p_failure_code => v_job #>> '{last_error,code}');
    when 'cancelled' then
      return provisioning.failed_check('provisioning', 'job_cancelled', 'It was cancelled.');
    when 'queued', 'running' then
      return provisioning.failed_check('provisioning', case
          when v_job ->> 'paused_because' is not null then 'job_paused'
          when v_due < now() - interval '1 minute' then 'job_overdue'
          else 'job_open' end,
        concat_ws(' ', format('%s of %s steps done, %s.', v_done, v_steps, case
          when v_job ->> 'status' = 'running' and v_due > now() then 'at work'
          when v_due > now() then 'next attempt at ' || provisioning.utc_text(v_due)
          else 'due since ' || provisioning.utc_text(v_due) end), v_job ->> 'paused_because', v_trouble), 'waiting');
    else
      return provisioning.failed_check('provisioning', 'job_missing', 'It was never asked for.');
  end case;
end
$$;
revoke execute on function provisioning.job_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.resource_check(
  p_facts jsonb, p_check text, p_service text, p_problem text, p_found text
) returns provisioning.tenant_check
language plpgsql immutable set search_path = '' as $$
declare
  v_job text := coalesce(provisioning.job_of(p_facts, 'provision') ->> 'status', 'none');
begin
  if p_problem is null then
    return provisioning.passed_check(p_check, p_found);
  elsif v_job in ('queued', 'running') then
    return provisioning.failed_check(p_check, 'resource_pending', 'It is not made yet.', 'waiting', p_service);
  end if;
  return provisioning.failed_check(p_check,
    case when v_job in ('failed', 'cancelled') then 'resource_unmade' else 'resource_missing' end,
    p_problem, p_service => p_service);
end
$$;
revoke execute on function provisioning.resource_check(jsonb, text, text, text, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.resource_check(jsonb, text, text, text, text) is
  'A resource that is not there is on its way as long as the job is open. After a failed job it is unmade, which the check of the
job explains; after one that succeeded it is missing, and needs a request of its own.';

create function provisioning.service_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_service text;
  v_state text;
  v_checked_by text;
begin
  for v_service, v_state, v_checked_by in
    select s.key, s.value, o.checked_by
    from jsonb_each_text(p_facts #> '{organization,provisioning_status}') s
    left join provisioning.services o on o.service = s.key
    left join provisioning.tiers t on t.tier = provisioning.job_of(p_facts, 'provision') ->> 'tier'
    where s.key not in ('overall', 'changed_at') and s.value <> 'not_requested'
    order by array_position(t.services, s.key), s.key
  loop
    if v_checked_by is not null then
      return query execute format('select * from provisioning.%I($1)', v_checked_by) using p_facts;
    else
      return next case when v_state = 'ready' then provisioning.passed_check(v_service, 'ready')
        else provisioning.failed_check(v_service, 'service_not_ready', 'It is ' || v_state || '.',
          case when v_state = 'failed' then 'failed' else 'waiting' end, v_service) end;
    end if;
  end loop;
end
$$;
revoke execute on function provisioning.service_checks(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.service_checks(jsonb) is
  'The checks of each service that was asked for, in the order of the tier: its own (services.checked_by), or one of what its
steps amount to.';

create function provisioning.health_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_health jsonb := p_facts -> 'health';
  v_status text := coalesce(v_health ->> 'status', p_facts #>> '{database,health_status}', 'unknown');
  v_reasons text := (
    select string_agg(r ->> 'message', ' ')
    from jsonb_array_elements(
      case when jsonb_typeof(v_health -> 'reasons') = 'array' then v_health -> 'reasons' else '[]' end) r);
begin
  if v_status not in ('unhealthy', 'degraded') then
    return provisioning.passed_check('health',
      concat_ws(', ', v_status, 'checked at ' || provisioning.utc_text((v_health ->> 'checked_at')::timestamptz)));
  end if;
  return provisioning.failed_check('health', 'health_bad', concat_ws(': ', v_status, v_reasons),
    -- When provisioning has connected since the check, the trouble may be over, and the next check is due.
    case when v_status = 'unhealthy'
      and (v_health ->> 'connected_at')::timestamptz > (v_health ->> 'checked_at')::timestamptz is not true
      then 'failed' else 'warning' end);
end
$$;
revoke execute on function provisioning.health_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.alerts_check(p_facts jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_open text := (
    select format('%s open: %s', count(*), string_agg(a ->> 'kind', ', '))
    from jsonb_array_elements(p_facts -> 'alerts') a having count(*) > 0);
begin
  if v_open is null then
    return provisioning.passed_check('alerts', 'none open');
  end if;
  return provisioning.failed_check('alerts', 'alerts_open', v_open, 'warning');
end
$$;
revoke execute on function provisioning.alerts_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.removal_check(p_removal jsonb) returns provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_kind text := p_removal ->> 'kind';
begin
  case p_removal ->> 'status'
    when 'succeeded' then
      return provisioning.passed_check(v_kind, 'Everything outside is removed.');
    when 'failed' then
      return provisioning.failed_check(v_kind, 'removal_failed',
        concat_ws(' ', 'The removal failed:', p_removal #>> '{last_error,message}'),
        p_failure_code => p_removal #>> '{last_error,code}');
    else
      return provisioning.failed_check(v_kind,
        case when p_removal ->> 'paused_because' is null then 'removal_open' else 'job_paused' end,
        concat_ws(' ', format('The removal is %s, due at %s.', p_removal ->> 'status',
            provisioning.utc_text((p_removal ->> 'next_attempt_at')::timestamptz)),
          p_removal ->> 'paused_because', p_removal #>> '{last_error,message}'), 'waiting');
  end case;
end
$$;
revoke execute on function provisioning.removal_check(jsonb) from public, anon, authenticated, service_role;

create function provisioning.removal_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization_lives boolean := p_facts #>> '{organization,id}' is not null;
  v_removal jsonb;
begin
  for v_removal in
    select e.job from jsonb_each(p_facts -> 'jobs') e (kind, job) where e.job ->> 'purpose' in ('revert', 'remove')
  loop
    -- An organization that lives has news of a removal only while that is not done. One that failed is news until the
    -- provisioning is begun anew, which takes over what the removal has left.
    continue when v_organization_lives and (v_removal ->> 'status' in ('succeeded', 'cancelled')
      or v_removal ->> 'purpose' = 'revert' and v_removal ->> 'status' = 'failed'
        and provisioning.job_of(p_facts, 'provision') ->> 'status' <> 'cancelled');
    -- The deletion of an organization cancels the undo of its provisioning and does that work itself.
    continue when v_removal ->> 'purpose' = 'revert' and v_removal ->> 'status' = 'cancelled';
    return next provisioning.removal_check(v_removal);
  end loop;
end
$$;
revoke execute on function provisioning.removal_checks(jsonb) from public, anon, authenticated, service_role;

create function provisioning.tenant_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
begin
  -- The user of a deleted organization may be deleted, too; then there is no account to check.
  if p_facts #>> '{user,id}' is not null or p_facts ->> 'organization_id' is null then
    return query select * from provisioning.user_checks(p_facts);
  end if;
  return query select * from provisioning.removal_checks(p_facts);
  -- A deleted organization has nothing left to check, and a user who is not to have one (yet) does not lack it.
  if p_facts #>> '{organization,id}' is null
    and (p_facts ->> 'organization_id' is not null or (provisioning.account_check(p_facts)).status in ('failed', 'waiting')) then
    return;
  end if;
  return query select * from provisioning.organization_checks(p_facts);
  if p_facts #>> '{organization,id}' is not null then
    return next provisioning.job_check(p_facts);
    return query select * from provisioning.service_checks(p_facts);
    return next provisioning.health_check(p_facts);
    return next provisioning.alerts_check(p_facts);
  end if;
end
$$;
revoke execute on function provisioning.tenant_checks(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_checks(jsonb) is
  'What holds and what does not, in the order in which one thing rests on another: the first failed check is the cause.';
