-- People make, change and delete organizations themselves, through GraphQL. Each function checks who asks.

create function provisioning.assert_may_create(p_user_id uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_day constant integer := 86400;
  v_allowed constant integer := (select s.organizations_per_user from provisioning.settings s);
begin
  if not exists (
    select from auth.users u cross join provisioning.settings s
    where u.id = p_user_id and not u.is_anonymous and u.deleted_at is null
      and (coalesce(u.email_confirmed_at, u.phone_confirmed_at) is not null or s.provision_on = 'sign_up')) then
    raise exception 'Organizations are for signed-in users who are not anonymous and, where that is asked for, have confirmed '
      'their address.' using errcode = 'TP424';
  end if;
  -- Who has deleted theirs may make another one. Who was relieved of it may not.
  if exists (select from provisioning.removed_tenants r where r.user_id = p_user_id and not r.by_its_owners) then
    raise exception 'Your organization was removed. Ask for it to be lifted.' using errcode = 'TP403';
  end if;
  if provisioning.caller_has_limits() then
    -- Beside how many somebody may own at once: whoever makes and deletes them in turn keeps the providers busy as well.
    perform provisioning.refuse_until(
      provisioning.count_call('organizations/user/' || p_user_id, v_allowed, v_day),
      format('You have made %s organizations within a day.', v_allowed));
  end if;
end
$$;
revoke execute on function provisioning.assert_may_create(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.assert_may_create(uuid) is
  'Raises TP424 for whoever would not be provisioned by signing up, TP403 for whose organization was removed on purpose, and TP429
beyond settings.organizations_per_user in a day.';

create function provisioning.create_organization_as_caller(
  p_name text, p_data_region text, p_database_size text, p_tier text
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id constant uuid := auth.uid();
  v_name constant text := provisioning.plain_text(p_name, 200);
  v_organization public.organizations;
  v_email text;
  v_metadata jsonb;
begin
  perform provisioning.assert_may_create(v_user_id);
  if v_name is null then
    raise exception 'The organization needs a name.' using errcode = 'TP400';
  end if;
  perform provisioning.hold_user(v_user_id);
  select u.email, provisioning.cut_metadata(u.raw_user_meta_data) - '{data_region,hosting_region}'::text[]
  into v_email, v_metadata from auth.users u where u.id = v_user_id;
  v_organization.id := provisioning.make_tenant(v_user_id, v_email, v_metadata || jsonb_build_object('organization_name', v_name),
    'request', p_was_asked_for => true);
  select * into v_organization from public.organizations o where o.id = v_organization.id;
  if p_data_region is not null then
    perform provisioning.choose_data_region(v_organization, p_data_region);
  end if;
  if p_tier is not null then
    perform provisioning.choose_tier(v_organization, (
      select j from public.provisioning_jobs j where j.organization_id = v_organization.id), p_tier);
  end if;
  if p_database_size is not null then
    perform provisioning.ensure_database(v_organization.id);
    perform provisioning.choose_database_size(v_organization, p_database_size);
  end if;
  update public.profiles p set organization_id = v_organization.id
  where p.id = v_user_id and provisioning.profile_organization(v_user_id) is null;
  delete from provisioning.waiting_users w where w.user_id = v_user_id;
  delete from provisioning.removed_tenants r where r.user_id = v_user_id;
  perform provisioning.audit(v_organization.id, 'organization.created', 'organization', v_organization.id::text,
    jsonb_strip_nulls(jsonb_build_object('data_region', p_data_region, 'database_size', p_database_size, 'tier', p_tier)));
  perform provisioning.record_event(v_organization.id, null, 'organization.created', 'user', 'succeeded', v_user_id::text,
    p_completed_at => now());
  perform provisioning.ring_doorbell('provisioning');
  return v_organization.id;
end
$$;
revoke execute on function provisioning.create_organization_as_caller(text, text, text, text)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.create_organization_as_caller(text, text, text, text) to authenticated;
comment on function provisioning.create_organization_as_caller(text, text, text, text) is
  'A new organization of the calling user, beside others or as the first one, in the region, with the database size and in the
tier that are asked for or the usual ones; rings, and returns it. Raises TP400 without a name, TP402 (a size or tier that the plan
does not have), TP411 (enough organizations), TP422 (unknown region, size or tier), and what assert_may_create raises.';

create function provisioning.update_organization_as_caller(p_organization_id uuid, p_changes jsonb) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_name constant text := provisioning.plain_text(p_changes ->> 'name', 200);
  v_address constant text := provisioning.plain_text(p_changes ->> 'billingEmail', 320);
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  if p_changes ? 'name' and v_name is null then
    raise exception 'The organization needs a name.' using errcode = 'TP400';
  elsif v_address !~ '^[^\s@,]+@[^\s@,]+$' then
    raise exception '"%" is no e-mail address.', left(v_address, 100) using errcode = 'TP400';
  end if;
  update public.organizations o set name = coalesce(v_name, o.name),
    billing_email = case when p_changes ? 'billingEmail' then v_address else o.billing_email end
  where o.id = p_organization_id;
  return p_organization_id;
end
$$;
revoke execute on function provisioning.update_organization_as_caller(uuid, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.update_organization_as_caller(uuid, jsonb) to authenticated, service_role;
comment on function provisioning.update_organization_as_caller(uuid, jsonb) is
  'Changes name and billing address ({name, billingEmail}; what is not named stays, and null takes the address away), for owners,
admins and the backend. Returns the organization. Raises TP400 for a blank name or what is no address, TP403, TP404, and PT429
beyond settings.organization_changes_per_day.';

create function provisioning.planned_removals(p_organization_id uuid, p_with_grace boolean) returns table (
  kind text, label text, external_id text, kept boolean, removed_after_hours integer
) language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select t.kind, k.label, t.external_id::text, p_with_grace and k.kept_on_deletion,
      case when p_with_grace and not k.kept_on_deletion then k.grace_hours else 0 end
    from public.tenant_resources t join provisioning.resource_kinds k using (kind)
    where t.organization_id = p_organization_id and t.state in ('planned', 'active') order by t.created_at, t.kind;
end
$$;
revoke execute on function provisioning.planned_removals(uuid, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.planned_removals(uuid, boolean) is
  'What would be removed if the organization were deleted now, after how many hours, and what kept; or, without grace, if its
provisioning were undone. It does not ask who calls.';

create function provisioning.delete_organization_as_caller(p_organization_id uuid, p_confirm_slug text, p_dry_run boolean)
  returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_removals jsonb;
  v_job_id uuid;
begin
  perform provisioning.assert_may(p_organization_id, '{owner}');
  v_removals := (
    select coalesce(jsonb_agg(jsonb_build_object('kind', r.kind, 'label', r.label, 'externalId', r.external_id, 'kept', r.kept,
      'removedAfterHours', r.removed_after_hours)), '[]')
    from provisioning.planned_removals(p_organization_id, true) r);
  if not p_dry_run then
    perform provisioning.count_act(p_organization_id);
    v_job_id := provisioning.delete_organization(p_organization_id, p_confirm_slug);
  end if;
  return jsonb_build_object('organizationId', p_organization_id, 'dryRun', p_dry_run, 'jobId', v_job_id, 'resources', v_removals);
end
$$;
revoke execute on function provisioning.delete_organization_as_caller(uuid, text, boolean)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.delete_organization_as_caller(uuid, text, boolean) to authenticated, service_role;
comment on function provisioning.delete_organization_as_caller(uuid, text, boolean) is
  'delete_organization for the owners of an organization and the backend: {organizationId, dryRun, jobId, resources}. A dry run
only tells, and needs no slug. Raises TP403, TP404, TP428 when the slug is not the organization''s, TP429, and TP451 under a
legal hold.';
