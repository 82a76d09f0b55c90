-- Provisioning by e-mail address, for back ends that know a user's address and no id. Calls are counted, so that nobody can try
-- addresses out.

create function provisioning.address_hash(p_email text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return encode(sha256(convert_to(lower(btrim(p_email)), 'utf8')), 'hex');
end
$$;
revoke execute on function provisioning.address_hash(text) from public, anon, authenticated, service_role;
comment on function provisioning.address_hash(text) is 'Under which calls for an e-mail address are counted.';

create function provisioning.forget_calls(p_email text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  delete from provisioning.counted_calls c where c.subject = provisioning.address_hash(p_email);
end
$$;
revoke execute on function provisioning.forget_calls(text) from public, anon, authenticated, service_role;

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
    -- First the locks of the user, then those of the organization. A worker that begins the job holds its row and waits for the
    -- profile's: here too the job comes before the profile.
    perform provisioning.hold_user(v_user_id);
    organization_id := provisioning.profile_organization(v_user_id);
    if organization_id is not null then
      perform provisioning.hold_provisioning(organization_id);
    end if;
    organization_id := provisioning.ensure_user_provisioned(v_user_id, p_metadata);
    outcome := case when organization_id is null then 'not_eligible' else 'accepted' end;
    if organization_id is not null then
      begin
        job_id := (select r.job_id
          from provisioning.request_provisioning(provision_user.organization_id, p_requested_by => v_user_id) r);
      exception when sqlstate 'TP423' then
        outcome := 'undo_in_progress';
        message := sqlerrm;
      end;
    end if;
  end if;
  return next;
end
$$;
revoke execute on function provisioning.provision_user(text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.provision_user(text, jsonb) is
  'Provisions the user with this e-mail address, made within settings.user_calls_max_age_minutes, and returns the job. outcome:
accepted, user_not_found, user_too_old, not_eligible (anonymous, or not confirmed yet), undo_in_progress, or too_many_attempts,
which says when to come back. Values and no errors, because an error would take the count of the call back.';
