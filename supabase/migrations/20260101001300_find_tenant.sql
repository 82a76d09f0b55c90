-- Finds a user and their organization by what people call them.

create function provisioning.find_user(p_email text) returns uuid
language plpgsql stable security definer set search_path = '' as $$
declare
  v_email text := lower(provisioning.trimmed(p_email));
  -- Auth writes addresses in lower case, and this instance, by which an index goes. Its unique index leaves out users of single
  -- sign-on.
  v_ids uuid[] := array(
    select u.id from auth.users u where u.email = v_email and not u.is_sso_user and u.deleted_at is null
    union
    select u.id from auth.users u
    where u.instance_id = '00000000-0000-0000-0000-000000000000' and lower(u.email) = v_email and u.deleted_at is null);
begin
  if v_ids = '{}' then
    -- Rows that something else than Auth has written, and the deleted, are looked for among all users.
    v_ids := array(select u.id from auth.users u where lower(btrim(u.email)) = v_email and u.deleted_at is null);
  end if;
  if cardinality(v_ids) > 1 then
    raise exception '% accounts have the address %: %. Say by its id which one you mean.', cardinality(v_ids), v_email, (
      select string_agg(u.id || case when u.is_sso_user then ' (single sign-on)' else ' (password or social sign-in)' end, ', '
        order by u.created_at, u.id)
      from auth.users u where u.id = any (v_ids)) using errcode = 'TP300';
  end if;
  return coalesce(v_ids[1], (
    select u.id from auth.users u where lower(btrim(u.email)) = v_email order by u.created_at limit 1));
end
$$;
revoke execute on function provisioning.find_user(text) from public, anon, authenticated, service_role;
comment on function provisioning.find_user(text) is
  'The user with this e-mail address, in any case; a deleted one when no other has it, and null when nobody has. Raises TP300,
which names them, when several have it: one who signs in with a password and one of single sign-on.';

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
    user_id := provisioning.find_user(v_subject);
  elsif user_id is null and organization_id is null then
    -- This is tried for a text that looks like an id as well: a slug may look like one.
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
      (select m.organization_id from public.organization_members m
        where m.user_id = find_tenant.user_id order by m.created_at limit 1),
      (select o.id from public.organizations o where o.owner_id = user_id order by o.created_at limit 1));
  end if;
end
$$;
revoke execute on function provisioning.find_tenant(text) from public, anon, authenticated, service_role;
comment on function provisioning.find_tenant(text) is
  'The user and the organization that an e-mail address (in any case), a slug, or the id of either one means; null for what
there is none of. Raises TP300 for an address that several accounts have. A deleted organization is found by its id as long as
its jobs are there, and by its slug as long as its last owner is there, too.';

create function provisioning.find_tenant_as_operator(p_email text, p_id uuid, p_slug text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization_id uuid;
begin
  perform provisioning.assert_operator();
  if p_slug is not null then
    select o.id into v_organization_id from public.organizations o where o.slug = lower(p_slug);
  else
    select t.organization_id into v_organization_id from provisioning.find_tenant(coalesce(p_email, p_id::text)) t;
  end if;
  return provisioning.tenant_summary(v_organization_id);
end
$$;
revoke execute on function provisioning.find_tenant_as_operator(text, uuid, text) from public, anon, authenticated, service_role;
grant execute on function provisioning.find_tenant_as_operator(text, uuid, text) to authenticated, service_role;
comment on function provisioning.find_tenant_as_operator(text, uuid, text) is
  'tenant_summary of the tenant that one of these means (the id of the organization or of a user), for operators and the service
role; null when there is none. Raises TP403.';
