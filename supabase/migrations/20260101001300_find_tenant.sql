-- Finds a user and their organization by what people call them.

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
    -- Auth writes addresses in lower case, and its unique index leaves out users of single sign-on. So a second look goes through
    -- all users, for those and for rows that something else than Auth has written.
    select u.id into user_id from auth.users u where u.email = v_subject and not u.is_sso_user and u.deleted_at is null;
    if user_id is null then
      select u.id into user_id from auth.users u where lower(u.email) = v_subject
      order by u.deleted_at is not null, u.created_at limit 1;
    end if;
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
there is none of. A deleted organization is found by its id as long as its jobs are there, and by its slug as long as its last
owner is there, too.';

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
