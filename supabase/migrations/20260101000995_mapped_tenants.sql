-- Tenants of the project's own: rows of its table are the organizations, under the same id, and its table of members says who is
-- in them and in which role. Slug, plan, region and the state of the provisioning stay ours.

-- Reading -------------------------------------------------------------------------------------------------------------

create function provisioning.mapped_tenant(p_id uuid) returns table (name text, owner_id uuid)
language plpgsql stable security definer set search_path = '' rows 1 as $$
declare
  v_map constant jsonb := provisioning.mapped('tenants');
begin
  if v_map is not null then
    return query execute format(
      'select provisioning.plain_text(left(t.%I::text, 1000), 200), %s from %s t where t.%I = $1 limit 1',
      v_map ->> 'name', case when v_map ? 'owner' then format('t.%I', v_map ->> 'owner') else 'null::uuid' end,
      v_map ->> 'table', v_map ->> 'id') using p_id;
  end if;
end
$$;
revoke execute on function provisioning.mapped_tenant(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.mapped_tenant(uuid) is
  'What the project''s own table says of a tenant; no row when there is none there, or no table is mapped.';

create function provisioning.role_rank(p_role text, p_roles jsonb) returns integer
language plpgsql immutable set search_path = '' as $$
begin
  return coalesce(array_position('{owner,admin}', coalesce(p_roles ->> lower(p_role), lower(p_role))), 3);
end
$$;
revoke execute on function provisioning.role_rank(text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.role_rank(text, jsonb) is
  '1 for an owner, 2 for an admin, 3 for a member. A role of the project is what p_roles says, or what it is called; any other is
that of a member.';

create function provisioning.mapped_members(p_organization_id uuid, p_user_id uuid default null)
returns table (user_id uuid, rank integer)
language plpgsql stable security definer set search_path = '' rows 10 as $$
declare
  v_map constant jsonb := provisioning.mapped('members');
begin
  -- Whoever has two roles has the higher one. Of one user the index of theirs finds the rows.
  return query execute format('select u.id, min(provisioning.role_rank(t.role, $3))
    from (select m.%1$I as user_id, %2$s as role from %3$s m where m.%4$I = $1 and ($2 is null or m.%1$I = $2)) t
    join auth.users u on u.id = t.user_id where u.deleted_at is null group by u.id', v_map ->> 'user',
    case when v_map ? 'role' then format('left(m.%I::text, 100)', v_map ->> 'role') else 'null::text' end,
    v_map ->> 'table', v_map ->> 'organization')
    using p_organization_id, p_user_id, coalesce(v_map -> 'roles', '{}');
end
$$;
revoke execute on function provisioning.mapped_members(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.mapped_members(uuid, uuid) is
  'The members of a tenant, or one of them, as the project''s own table says, with role_rank.';

create function provisioning.mapped_owner(p_organization_id uuid) returns uuid
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select u.id from (
      select t.owner_id as user_id, 0 as rank from provisioning.mapped_tenant(p_organization_id) t
      union all select m.user_id, m.rank from provisioning.mapped_members(p_organization_id) m) c
    join auth.users u on u.id = c.user_id
    where u.deleted_at is null and not u.is_anonymous and (coalesce(u.email_confirmed_at, u.phone_confirmed_at) is not null
      or (select s.provision_on from provisioning.settings s) = 'sign_up')
    -- Among equals whoever owns it already, then the oldest account.
    order by c.rank, not exists (select from public.organizations o where o.id = p_organization_id and o.owner_id = u.id),
      u.created_at, u.id
    limit 1);
end
$$;
revoke execute on function provisioning.mapped_owner(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.mapped_owner(uuid) is
  'Whose organization a tenant is: the user in the column of owners, else the member with the highest role. Null when there is
nobody who may have a tenant (yet): anonymous, or not confirmed where settings.provision_on asks for that.';

-- Following -----------------------------------------------------------------------------------------------------------

create function provisioning.make_mapped_tenant(p_id uuid, p_name text, p_owner_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_allowed constant integer := (select s.organizations_per_user from provisioning.settings s);
begin
  -- Each costs a database, and the project may let its users make as many rows as they like.
  if (select count(*) from public.organizations o where o.owner_id = p_owner_id) >= v_allowed then
    raise exception 'One user may own % organizations (settings.organizations_per_user).', v_allowed using errcode = 'TP411';
  end if;
  perform provisioning.make_tenant(u.id, u.email, provisioning.cut_metadata(u.raw_user_meta_data)
      || jsonb_strip_nulls(jsonb_build_object('organization_name', p_name)),
    case when pg_trigger_depth() > 0 then 'sign_up' else 'batch' end, true, p_id)
  from auth.users u where u.id = p_owner_id;
end
$$;
revoke execute on function provisioning.make_mapped_tenant(uuid, text, uuid) from public, anon, authenticated, service_role;

create function provisioning.follow_tenant(p_id uuid, p_is_gone boolean default false) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_theirs record;
  v_owner_id uuid;
begin
  select t.name, t.owner_id into v_theirs from provisioning.mapped_tenant(p_id) t;
  if not found then
    -- Not without being told: a table that is empty by mistake must not cost everybody their database.
    if p_is_gone then
      perform provisioning.remove_organization(p_id);
    end if;
    return;
  end if;
  v_owner_id := provisioning.mapped_owner(p_id);
  if v_owner_id is null then
    return;
  end if;
  if exists (select from public.organizations o where o.id = p_id) then
    update public.organizations o set name = coalesce(v_theirs.name, o.name), owner_id = v_owner_id
    where o.id = p_id and (o.name, o.owner_id) is distinct from (coalesce(v_theirs.name, o.name), v_owner_id);
    if not found then
      return;
    end if;
  -- What was removed does not come back under its id: its removal may still be at work.
  elsif exists (select from public.provisioning_jobs j where j.organization_id = p_id) then
    return;
  else
    perform provisioning.make_mapped_tenant(p_id, v_theirs.name, v_owner_id);
  end if;
  perform provisioning.follow_members(p_id);
end
$$;
revoke execute on function provisioning.follow_tenant(uuid, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.follow_tenant(uuid, boolean) is
  'Makes an organization say what the project''s own table says of the tenant: one is made with its provisioning as soon as there
is an owner, and removed when the row is known to be gone (p_is_gone). Raises TP411 when the owner has too many.';

create function provisioning.complete_members(p_user_ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.make_profile(u.id, u.email, provisioning.cut_metadata(u.raw_user_meta_data))
  from auth.users u where u.id = any (p_user_ids) and not exists (select from public.profiles p where p.id = u.id);
  insert into public.wallets (user_id, currency)
  select u.id, s.default_currency from auth.users u cross join provisioning.settings s
  where u.id = any (p_user_ids) and exists (select from public.organization_members m where m.user_id = u.id)
    -- Whoever has one is not locked: their deletion would wait for the membership that was changed above.
    and not exists (select from public.wallets w where w.user_id = u.id)
  for key share of u
  on conflict (user_id) do nothing;
  update public.profiles p set organization_id = n.organization_id
  from unnest(p_user_ids) u (id) cross join lateral (
    select (select m.organization_id from public.organization_members m where m.user_id = u.id
      order by m.created_at, m.organization_id limit 1) as organization_id) n
  where p.id = u.id and p.organization_id is distinct from n.organization_id and not exists (
    select from public.organization_members m where m.user_id = p.id and m.organization_id = p.organization_id);
end
$$;
revoke execute on function provisioning.complete_members(uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.complete_members(uuid[]) is
  'Gives members the profile and the wallet that they lack, and each profile an organization that its user belongs to, if any.';

create function provisioning.follow_members(p_organization_id uuid, p_user_id uuid default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_owner_id uuid := (select o.owner_id from public.organizations o where o.id = p_organization_id);
  v_user_ids uuid[];
begin
  -- A member may be the owner that the tenant has waited for, or whoever owns it may be another one now.
  if v_owner_id is null or p_user_id is not null and provisioning.mapped_owner(p_organization_id) <> v_owner_id
    and (p_user_id = v_owner_id or exists (
      select from provisioning.mapped_members(p_organization_id, p_user_id) m where m.rank = 1)) then
    perform provisioning.follow_tenant(p_organization_id);
    return;
  elsif not exists (select from provisioning.mapped_tenant(p_organization_id)) then
    return;
  end if;
  with theirs as materialized (
    select m.user_id, (array['owner', 'admin', 'member'])[m.rank] as role
    from provisioning.mapped_members(p_organization_id, p_user_id) m where m.user_id <> v_owner_id
    union all select v_owner_id, 'owner'
  ), gone as (
    delete from public.organization_members o
    where o.organization_id = p_organization_id and (p_user_id is null or o.user_id = p_user_id)
      and o.user_id not in (select t.user_id from theirs t)
    returning o.user_id
  ), changed as (
    insert into public.organization_members as o (organization_id, user_id, role)
    select p_organization_id, t.user_id, t.role from theirs t
    on conflict (organization_id, user_id) do update set role = excluded.role where o.role <> excluded.role
    returning o.user_id
  )
  select array(select g.user_id from gone g union all select c.user_id from changed c) || v_owner_id into v_user_ids;
  perform provisioning.complete_members(v_user_ids);
end
$$;
revoke execute on function provisioning.follow_members(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.follow_members(uuid, uuid) is
  'Makes the members of an organization, or one of them, those of the project''s own table. Its owner is one in any case.';

-- New rows, which a sign-up of the project may make: what stands in the row is enough, and nothing has to be read again.

create function provisioning.make_new_tenant(p_id uuid, p_name text, p_owner_id uuid) returns boolean
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
  v_email text;
  v_metadata jsonb;
  v_allowed integer;
  v_owned integer;
  v_is_known boolean;
  v_has_no_other boolean;
begin
  if p_owner_id is null then
    return true;
  end if;
  -- Without an owner who may have a tenant it waits for one; and members cannot be there before the row that they refer to.
  -- One statement for all that has to be known, because each would cost as much again.
  select u.email, u.raw_user_meta_data, s.organizations_per_user,
    (select count(*) from public.organizations o where o.owner_id = u.id),
    exists (select from public.provisioning_jobs j where j.organization_id = p_id),
    exists (select from public.profiles p where p.id = u.id and p.organization_id is null)
  into v_email, v_metadata, v_allowed, v_owned, v_is_known, v_has_no_other
  from auth.users u cross join provisioning.settings s
  where u.id = p_owner_id and u.deleted_at is null and not u.is_anonymous
    and (u.email_confirmed_at is not null or u.phone_confirmed_at is not null or s.provision_on = 'sign_up');
  if not found then
    return true;
  elsif v_is_known or v_owned >= v_allowed then
    return false;
  end if;
  v_metadata := provisioning.quick_metadata(v_metadata);
  p_name := provisioning.plain_text(p_name, 200);
  if p_name is not null then
    v_metadata := v_metadata || jsonb_build_object('organization_name', p_name);
  end if;
  p_id := provisioning.make_tenant(p_owner_id, v_email, v_metadata, 'sign_up', true, p_id);
  if v_has_no_other then
    update public.profiles p set organization_id = p_id where p.id = p_owner_id and p.organization_id is null;
  end if;
  return true;
end
$$;
revoke execute on function provisioning.make_new_tenant(uuid, text, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.make_new_tenant(uuid, text, uuid) is
  'For a new row of the project''s tenants: makes the organization, or finds that there is nothing to do. False when follow_row
has to look, which also tells what stands against it.';

create function provisioning.add_new_member(p_organization_id uuid, p_user_id uuid, p_role text) returns boolean
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
  v_owner_id constant uuid := (select o.owner_id from public.organizations o where o.id = p_organization_id);
  v_rank integer;
begin
  if v_owner_id = p_user_id or p_organization_id is null or p_user_id is null then
    return true;
  end if;
  v_rank := provisioning.role_rank(p_role, provisioning.mapped('members') -> 'roles');
  if v_owner_id is null or v_rank = 1 then
    return false;
  end if;
  insert into public.organization_members as o (organization_id, user_id, role)
  select p_organization_id, u.id, (array['owner', 'admin', 'member'])[v_rank]
  from auth.users u where u.id = p_user_id and u.deleted_at is null
  on conflict (organization_id, user_id) do update set role = excluded.role
  where o.role = 'member' and excluded.role = 'admin';
  perform provisioning.complete_members(array[p_user_id]);
  return true;
end
$$;
revoke execute on function provisioning.add_new_member(uuid, uuid, text) from public, anon, authenticated, service_role;

create function provisioning.handle_mapped_tenants() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  return null;
end
$$;
revoke execute on function provisioning.handle_mapped_tenants() from public, anon, authenticated, service_role;
comment on function provisioning.handle_mapped_tenants() is 'As handle_mapped_profiles, for rows that are organizations.';

create function provisioning.handle_mapped_members() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  return null;
end
$$;
revoke execute on function provisioning.handle_mapped_members() from public, anon, authenticated, service_role;
comment on function provisioning.handle_mapped_members() is 'As handle_mapped_profiles, for members of organizations.';

create function provisioning.compare_organizations(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_at constant uuid := (select d.compared_organization from provisioning.dispatch_state d);
  v_ids constant uuid[] := array(
    select o.id from public.organizations o where v_at is null or o.id > v_at order by o.id limit p_limit);
begin
  perform provisioning.try_to_follow_row('tenants', i.id) and provisioning.try_to_follow_row('members', i.id)
  from unnest(v_ids) i (id);
  -- A portion that is not full was the last of its round.
  update provisioning.dispatch_state set compared_organization = case when cardinality(v_ids) = p_limit then v_ids[p_limit] end;
end
$$;
revoke execute on function provisioning.compare_organizations(integer) from public, anon, authenticated, service_role;
comment on function provisioning.compare_organizations(integer) is
  'Has the next p_limit organizations and their members follow the project''s own tables, and begins anew after the last. Those
that are no rows there stay as they are.';

-- Users ---------------------------------------------------------------------------------------------------------------

create function provisioning.welcome_without_tenant(
  p_user_id uuid, p_email text, p_metadata jsonb, p_was_asked_for boolean
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if p_was_asked_for then
    raise exception 'Organizations are the rows of %, and are made there.', provisioning.mapped('tenants') ->> 'table'
      using errcode = 'TP400';
  end if;
  -- The row of the tenant may have come first.
  if not exists (select from public.profiles p where p.id = p_user_id) then
    perform provisioning.make_profile(p_user_id, p_email, p_metadata);
  end if;
end
$$;
revoke execute on function provisioning.welcome_without_tenant(uuid, text, jsonb, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.welcome_without_tenant(uuid, text, jsonb, boolean) is
  'What a sign-up makes where tenants are the project''s own: a profile. Raises TP400 for somebody who asks for an organization.';

create function provisioning.follow_tenants_of(p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_tenants constant jsonb := provisioning.mapped('tenants');
  v_members constant jsonb := provisioning.mapped('members');
  v_id uuid;
begin
  if v_tenants is null then
    return;
  end if;
  for v_id in execute format('select m.%I from %s m where m.%I = $1', v_members ->> 'organization', v_members ->> 'table',
      v_members ->> 'user')
    || case when v_tenants ? 'owner' then format(' union select t.%I from %s t where t.%I = $1', v_tenants ->> 'id',
      v_tenants ->> 'table', v_tenants ->> 'owner') else '' end using p_user_id
  loop
    perform provisioning.follow_row('tenants', v_id), provisioning.follow_row('members', v_id);
  end loop;
end
$$;
revoke execute on function provisioning.follow_tenants_of(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.follow_tenants_of(uuid) is
  'Has everything follow that the project''s own tables say of the tenants of a user, who may have become one of ours only now.';

-- Tenants from before -------------------------------------------------------------------------------------------------

create function provisioning.tenants_to_be_made(p_after uuid, p_limit integer) returns table (id uuid, name text)
language plpgsql stable security definer set search_path = '' rows 100 as $$
declare
  v_map constant jsonb := provisioning.mapped('tenants');
  v_found integer := 0;
begin
  if v_map is null then
    return;
  end if;
  for id, name in
    execute format('select t.%1$I, left(t.%2$I::text, 200) from %3$s t where $1 is null or t.%1$I > $1 order by t.%1$I',
      v_map ->> 'id', v_map ->> 'name', v_map ->> 'table') using p_after
  loop
    exit when v_found = p_limit;
    continue when exists (select from public.organizations o where o.id = tenants_to_be_made.id)
      or exists (select from public.provisioning_jobs j where j.organization_id = tenants_to_be_made.id);
    v_found := v_found + 1;
    return next;
  end loop;
end
$$;
revoke execute on function provisioning.tenants_to_be_made(uuid, integer) from public, anon, authenticated, service_role;
comment on function provisioning.tenants_to_be_made(uuid, integer) is
  'The next tenants of the project''s own table, by id, that have no organization and never had one.';

create function provisioning.backfill_tenant(p_id uuid, p_name text, p_dry_run boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_owner_id constant uuid := provisioning.mapped_owner(p_id);
  v_about constant jsonb := jsonb_build_object('user_id', v_owner_id, 'organization_id', p_id, 'name', p_name,
    'email', (select u.email from auth.users u where u.id = v_owner_id), 'missing', '["organization"]'::jsonb);
begin
  if v_owner_id is null then
    return v_about || jsonb_build_object('outcome', 'not_eligible', 'message', 'It has no owner who may have a tenant.');
  elsif p_dry_run then
    return v_about || jsonb_build_object('outcome', 'would_repair');
  elsif not provisioning.try_to_follow_row('tenants', p_id) then
    return v_about || jsonb_build_object('outcome', 'failed', 'message', (
      select f.message from provisioning.mapping_failures f where f.part = 'tenants' and f.id = p_id));
  end if;
  return v_about || jsonb_build_object('outcome', 'repaired', 'slug', (
    select o.slug from public.organizations o where o.id = p_id));
end
$$;
revoke execute on function provisioning.backfill_tenant(uuid, text, boolean) from public, anon, authenticated, service_role;

create function provisioning.backfill_tenants(p_max_tenants integer, p_dry_run boolean, p_after uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_max constant integer := least(greatest(coalesce(p_max_tenants, 100), 1), 500);
  v_tenants constant jsonb := coalesce((
    select jsonb_agg(to_jsonb(t) order by t.id) from provisioning.tenants_to_be_made(p_after, v_max) t), '[]');
begin
  return jsonb_build_object('examined', jsonb_array_length(v_tenants), 'total', null,
    'users', coalesce((
      select jsonb_agg(provisioning.backfill_tenant((t.tenant ->> 'id')::uuid, t.tenant ->> 'name', p_dry_run) order by t.place)
      from jsonb_array_elements(v_tenants) with ordinality t (tenant, place)), '[]'),
    'after', case when jsonb_array_length(v_tenants) = v_max then v_tenants -> -1 -> 'id' end);
end
$$;
revoke execute on function provisioning.backfill_tenants(integer, boolean, uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.backfill_tenants(integer, boolean, uuid) to service_role;
comment on function provisioning.backfill_tenants(integer, boolean, uuid) is
  'Makes organizations of up to p_max_tenants (500 at most) rows of the project''s own table that have none, or only names them in
a dry run. Returns what backfill_users does, with the owner of each for the user, its id and its name: call again with after until
that is null.';

create function public.backfill_tenants(max_tenants integer default 100, dry_run boolean default true,
  after uuid default null) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.backfill_tenants(max_tenants, dry_run, after)
$$;
revoke execute on function public.backfill_tenants(integer, boolean, uuid) from public, anon, authenticated;
grant execute on function public.backfill_tenants(integer, boolean, uuid) to service_role;
comment on function public.backfill_tenants(integer, boolean, uuid) is
  'For the backend: provisions tenants of the project''s own table from before the installation, in portions. See
provisioning.backfill_tenants.';
