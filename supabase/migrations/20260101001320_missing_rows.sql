-- Users without some of their rows: from before the installation, or whose rows somebody deleted. Each is made whole in a
-- transaction, one by one or in portions.

create function provisioning.users_not_whole(p_after uuid, p_window integer) returns setof uuid
language plpgsql stable security definer set search_path = '' set enable_memoize = off as $$
declare
  v_kind text := provisioning.kind_for('provision');
begin
  -- Profiles and wallets have the user's id for a key: the next ones of them, as many as users, are all that these users can
  -- have. Of the rest, laterals with a limit are index lookups; joins and EXISTS would be hashed over whole tables, for each
  -- window.
  return query
  select u.id from (
    select i.id, i.is_anonymous, i.deleted_at from auth.users i where i.id > p_after order by i.id limit p_window) u
  left join (
    select i.id, i.organization_id from public.profiles i where i.id > p_after order by i.id limit p_window) p on p.id = u.id
  left join (
    select i.user_id from public.wallets i where i.user_id > p_after order by i.user_id limit p_window) w on w.user_id = u.id
  left join lateral (
    select i.role from public.organization_members i where i.organization_id = p.organization_id
      and i.user_id = u.id limit 1) m on true
  left join lateral (select i.owner_id from public.organizations i where i.id = p.organization_id limit 1) o on true
  left join lateral (
    select i.organization_id from public.organization_databases i where i.organization_id = p.organization_id limit 1) d on true
  left join lateral (
    select i.id, i.started_at, i.status from public.provisioning_jobs i
    where i.organization_id = p.organization_id and i.kind = v_kind order by i.created_at desc limit 1) j on true
  where not u.is_anonymous and u.deleted_at is null
    and (w.user_id is null or j.id is null or m.role is null or o.owner_id is null
      or (d.organization_id is null and j.started_at is not null and j.status <> 'running')
      or (o.owner_id = u.id and m.role <> 'owner'));
end
$$;
revoke execute on function provisioning.users_not_whole(uuid, integer) from public, anon, authenticated, service_role;
comment on function provisioning.users_not_whole(uuid, integer) is
  'Of the next p_window users after p_after, those to be looked at more closely: all others have every row that a user has. Nearly
everybody is among the others, so this look is made to be cheap.';

create function provisioning.users_with_missing_rows(p_after uuid, p_window integer)
returns table (user_id uuid, email text, missing text[])
language plpgsql stable security definer set search_path = '' as $$
declare
  v_kind text := provisioning.kind_for('provision');
begin
  return query
  with placed as materialized (
    select u.id, u.email::text, p.id as profile_id, b.organization_id as profile_organization_id, coalesce(b.organization_id,
      (select m.organization_id from public.organization_members m where m.user_id = u.id order by m.created_at limit 1),
      (select o.id from public.organizations o where o.owner_id = u.id order by o.created_at limit 1)) as organization_id
    from provisioning.users_not_whole(p_after, p_window) n (id)
    join auth.users u on u.id = n.id
    left join public.profiles p on p.id = u.id
    left join lateral (select provisioning.profile_organization(u.id) as organization_id) b on true
    where coalesce(u.email_confirmed_at, u.phone_confirmed_at) is not null
      or (select s.provision_on from provisioning.settings s) = 'sign_up'
  ), counted as materialized (
    select p.id, p.email, array_remove(array[
      case when p.profile_id is null then 'profile' end,
      case when p.organization_id is null then 'organization' end,
      case when p.profile_id is not null and p.profile_organization_id is null and p.organization_id is not null
        then 'profile_organization' end,
      case when o.owner_id = p.id and m.role is distinct from 'owner' then 'membership' end,
      case when w.user_id is null then 'wallet' end,
      -- It comes a moment after a worker has taken the job.
      case when o.id is not null and d.organization_id is null and j.started_at is not null and j.status <> 'running'
        then 'database' end,
      case when o.id is not null and j.id is null then 'job' end], null) as missing
    from placed p
    left join public.organizations o on o.id = p.organization_id
    left join public.organization_members m on m.organization_id = p.organization_id and m.user_id = p.id
    left join public.wallets w on w.user_id = p.id
    left join public.organization_databases d on d.organization_id = p.organization_id
    left join lateral (
      select i.id, i.started_at, i.status from public.provisioning_jobs i
      where i.organization_id = p.organization_id and i.kind = v_kind order by i.created_at desc limit 1) j on true
  )
  select c.id, c.email, c.missing from counted c
  where cardinality(c.missing) > 0
    -- Whose organization was deleted has lost it on purpose.
    and not ('organization' = any (c.missing)
      and exists (select from provisioning.removed_tenants r where r.user_id = c.id))
    -- Who has a profile only, because that is all that they are to have now.
    and not ('organization' = any (c.missing) and 'profile' <> all (c.missing) and (
      exists (select from provisioning.waiting_users w where w.user_id = c.id)
      or provisioning.mapped('tenants') is not null
      or exists (select from auth.users u where u.id = c.id and u.raw_app_meta_data @> '{"provision": false}')))
  order by c.id;
end
$$;
revoke execute on function provisioning.users_with_missing_rows(uuid, integer) from public, anon, authenticated, service_role;
comment on function provisioning.users_with_missing_rows(uuid, integer) is
  'Of the next p_window users after p_after, in the order of their ids, those who should be provisioned and lack rows.';

create function provisioning.repair_user(p_user_id uuid, p_missing text[] default null,
  p_metadata jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_email text := (select u.email from auth.users u where u.id = p_user_id);
  v_organization_id uuid;
begin
  if not exists (select from auth.users u where u.id = p_user_id) then
    raise exception 'There is no user %.', p_user_id using errcode = 'TP404';
  end if;
  begin
    v_organization_id := provisioning.ensure_user_provisioned(p_user_id, p_metadata,
      case when p_missing is null then 'request' else 'batch' end);
  exception when others then
    perform provisioning.record_sign_up_failure(p_user_id, sqlstate, sqlerrm);
    return jsonb_build_object('user_id', p_user_id, 'email', v_email, 'missing', p_missing, 'outcome', 'failed', 'message',
      sqlerrm);
  end;
  if v_organization_id is null then
    return jsonb_build_object('user_id', p_user_id, 'email', v_email, 'missing', p_missing) || case
      when exists (select from provisioning.removed_tenants r where r.user_id = p_user_id)
        then '{"outcome": "removed", "message": "The tenant was removed on purpose. Lift that first, with lift_removal."}'::jsonb
      when exists (select from provisioning.waiting_users w where w.user_id = p_user_id) then
        '{"outcome": "not_eligible", "message": "An organization expects the user as a member, who has not answered."}'
      when exists (select from auth.users u where u.id = p_user_id and u.raw_app_meta_data @> '{"provision": false}') then
        '{"outcome": "not_eligible", "message": "The backend says so, with \"provision\": false in the app metadata."}'
      else '{"outcome": "not_eligible", "message": "Deleted, anonymous, or not confirmed yet (settings.provision_on)."}' end;
  end if;
  delete from provisioning.sign_up_failures f where f.user_id = p_user_id;
  perform provisioning.audit(v_organization_id, 'user.repaired', 'user', p_user_id::text,
    jsonb_strip_nulls(jsonb_build_object('missing', p_missing)));
  return jsonb_build_object('user_id', p_user_id, 'email', v_email, 'missing', p_missing, 'outcome', 'repaired',
    'organization_id', v_organization_id, 'slug', (select o.slug from public.organizations o where o.id = v_organization_id));
end
$$;
revoke execute on function provisioning.repair_user(uuid, text[], jsonb) from public, anon, authenticated, service_role;
grant execute on function provisioning.repair_user(uuid, text[], jsonb) to service_role;
comment on function provisioning.repair_user(uuid, text[], jsonb) is
  'Makes what a user lacks, as the sign-up would have, and returns {user_id, email, outcome, …}: repaired, not_eligible, removed
(see removed_tenants), or failed with a message, which the sweep will try again. p_metadata goes over what the user gave at the
sign-up, for rows that have still to be made. Audited with p_missing. Raises TP404 for an unknown user.';

create function public.repair_user(user_id uuid, metadata jsonb default '{}') returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.repair_user(user_id, null, metadata)
$$;
revoke execute on function public.repair_user(uuid, jsonb) from public, anon, authenticated;
grant execute on function public.repair_user(uuid, jsonb) to service_role;
comment on function public.repair_user(uuid, jsonb) is
  'For the backend: makes whatever rows a user lacks. See provisioning.repair_user.';

create function provisioning.backfill_users(p_max_users integer, p_dry_run boolean, p_after uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_window constant integer := 1000;
  v_windows constant integer := 20;
  v_max integer := least(greatest(coalesce(p_max_users, 100), 1), 500);
  v_at uuid := coalesce(p_after, '00000000-0000-0000-0000-000000000000');
  v_end uuid;
  v_examined integer := 0;
  v_count integer;
  v_user record;
  v_users jsonb := '[]';
begin
  for v_i in 1..v_windows loop
    v_end := null;
    for v_user in select *
      from provisioning.users_with_missing_rows(v_at, v_window) limit v_max - jsonb_array_length(v_users) loop
      v_end := v_user.user_id;
      v_users := v_users || case when p_dry_run
        then jsonb_build_object('user_id', v_user.user_id, 'email', v_user.email, 'missing', v_user.missing, 'outcome',
          'would_repair')
        else provisioning.repair_user(v_user.user_id, v_user.missing) end;
    end loop;
    -- A full portion ends at its last user, any other at the end of the window.
    select count(*), (array_agg(w.id order by w.id desc))[1] into v_count, v_end from (
      select u.id from auth.users u where u.id > v_at
        and (jsonb_array_length(v_users) < v_max or u.id <= v_end)
      order by u.id limit v_window) w;
    v_examined := v_examined + v_count;
    v_at := coalesce(v_end, v_at);
    exit when v_count = 0 or jsonb_array_length(v_users) = v_max;
  end loop;
  return jsonb_build_object('examined', v_examined, 'users', v_users,
    'total', case when p_after is null then (select count(*) from auth.users) end,
    'after', case when exists (select from auth.users u where u.id > v_at) then v_at end);
end
$$;
revoke execute on function provisioning.backfill_users(integer, boolean, uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.backfill_users(integer, boolean, uuid) to service_role;
comment on function provisioning.backfill_users(integer, boolean, uuid) is
  'Examines up to 20000 users in the order of their ids and repairs (or, in a dry run, names) up to p_max_users (500 at most) of
those who lack rows. Returns {examined, total (with the first portion), users: [{user_id, email, missing, outcome, message}],
after}: call again with after until it is null. Every call is a transaction, and who was repaired lacks nothing: stop and go on
at any time. Whose organization was deleted is left alone.';

create function public.backfill_users(max_users integer default 100, dry_run boolean default true,
  after uuid default null) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.backfill_users(max_users, dry_run, after)
$$;
revoke execute on function public.backfill_users(integer, boolean, uuid) from public, anon, authenticated;
grant execute on function public.backfill_users(integer, boolean, uuid) to service_role;
comment on function public.backfill_users(integer, boolean, uuid) is
  'For the backend: repairs users from before the installation, or with missing rows, in portions. See
provisioning.backfill_users.';
