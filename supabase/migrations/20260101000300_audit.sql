-- Who did what to which tenant. Append-only: nobody has UPDATE or DELETE, and a trigger refuses the owner too. An entry holds ids
-- and acts; names and addresses stand in provisioning.personal_details.

create table public.audit_logs (
  id uuid primary key default gen_random_uuid(),
  -- No foreign key: the trail outlives the organization.
  organization_id uuid not null,
  actor_type text not null,
  actor_id uuid,
  action text not null,
  resource_type text not null,
  resource_id provisioning_types.kept_text,
  metadata provisioning_types.kept_details not null default '{}',
  created_at timestamptz not null default now(),
  constraint actor_type_is_known check (actor_type in ('user', 'service', 'system'))
);
create index audit_logs_organization_id_idx on public.audit_logs (organization_id, created_at desc);

alter table public.audit_logs enable row level security;
revoke all on public.audit_logs from anon, authenticated, service_role;
grant select on public.audit_logs to authenticated, service_role;
create policy "owners and admins read their audit log" on public.audit_logs for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids('{owner,admin}'))));

create function provisioning.refuse_change() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_calls text;
begin
  get diagnostics v_calls = pg_context;
  -- The list of calls begins with this function. The statement that fired the trigger comes next, in quotes, and then the
  -- function that runs that statement, if one does.
  if tg_op = 'DELETE' and v_calls ~ ('^[^\n"]*\mprovisioning\.refuse_change\(\)[^\n"]*\n[^\n"]*"[^"]*"\n'
    || '[^\n"]*\mprovisioning\.expire_(events|audit_logs)\(') then
    return null;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
revoke execute on function provisioning.refuse_change() from public, anon, authenticated, service_role;
comment on function provisioning.refuse_change() is
  'Trigger: refuses every change of an append-only table, also to its owner, except what the retention (provisioning.expire_events
and provisioning.expire_audit_logs) deletes.';
create trigger audit_logs_are_append_only before update or delete or truncate on public.audit_logs
  for each statement execute function provisioning.refuse_change();

create function provisioning.audit(
  p_organization_id uuid, p_action text, p_resource_type text, p_resource_id text, p_metadata jsonb default '{}'
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
begin
  insert into public.audit_logs (organization_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
  select p_organization_id,
    case when auth.uid() is not null then 'user' when auth.role() = 'service_role' then 'service' else 'system' end,
    auth.uid(), p_action, p_resource_type, p_resource_id, coalesce(p_metadata, '{}')
  returning id into v_id;
  return v_id;
end
$$;
revoke execute on function provisioning.audit(uuid, text, text, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.audit(uuid, text, text, text, jsonb) is
  'Appends to the audit log and returns the id of the entry. The actor comes from the request''s JWT claims; without any it is the
system. Names and addresses do not belong into p_metadata: give them to keep_personal_details with the id.';

-- The audit log as people read it: with the names that belong to its entries, as long as the persons are there ----------

create function provisioning.audited_details(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select provisioning.personal_details_of(a.id) from public.audit_logs a
    where a.id = p_id
      and (auth.role() = 'service_role' or a.organization_id in (select provisioning.my_organization_ids('{owner,admin}'))));
end
$$;
revoke execute on function provisioning.audited_details(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.audited_details(uuid) to authenticated, service_role;
comment on function provisioning.audited_details(uuid) is
  'The names and addresses that belong to an entry of the audit log, for whoever may read the entry; null for everybody else.';

create function public.audit_trail(organization_id uuid, page_size integer default 100, before timestamptz default null)
returns table (id uuid, created_at timestamptz, actor_type text, actor_id uuid, action text, resource_type text,
  resource_id text, metadata jsonb, details jsonb)
language sql stable security invoker set search_path = '' as $$
  select a.id, a.created_at, a.actor_type, a.actor_id, a.action, a.resource_type, a.resource_id, a.metadata,
    provisioning.audited_details(a.id)
  from public.audit_logs a
  where a.organization_id = audit_trail.organization_id and (before is null or a.created_at < before)
  order by a.created_at desc, a.id limit least(greatest(page_size, 1), 1000)
$$;
revoke execute on function public.audit_trail(uuid, integer, timestamptz) from public, anon;
grant execute on function public.audit_trail(uuid, integer, timestamptz) to authenticated, service_role;
comment on function public.audit_trail(uuid, integer, timestamptz) is
  'The audit log of an organization, the newest entries first, with the names and addresses that belong to them (details) as long
as the persons are there. For its owners and admins, and the backend; nobody else gets a row.';

create function provisioning.audit_member_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- The trigger of a sign-up adds owners all the time and has nothing to tell; complete_organization, which may run in a trigger
  -- too, makes its own entry. As a condition of the trigger this would be parsed anew for each sign-up.
  if tg_op = 'INSERT' and new.role = 'owner' and pg_trigger_depth() > 1 then
    return null;
  end if;
  -- Who arrives with the organization itself is no change of it: that is an event of its own, the sign-up. Both rows come in
  -- one transaction, and so with one time.
  if tg_op = 'INSERT' and new.role = 'owner' and exists (
    select from public.organizations o
    where o.id = new.organization_id and o.owner_id = new.user_id and o.created_at = now()) then
    return null;
  end if;
  -- Nor is it one to go with an organization that goes in the transaction in which both came.
  if tg_op = 'DELETE' and old.created_at = now() and not exists (
    select from public.organizations o where o.id = old.organization_id) then
    return null;
  end if;
  perform provisioning.audit(
    coalesce(new.organization_id, old.organization_id),
    case tg_op when 'INSERT' then 'member.added' when 'DELETE' then 'member.removed' else 'member.role_changed' end,
    'user', coalesce(new.user_id, old.user_id)::text,
    jsonb_strip_nulls(jsonb_build_object('from', old.role, 'to', new.role)));
  insert into provisioning.changed_people (organization_id) values (coalesce(new.organization_id, old.organization_id));
  return null;
end
$$;
revoke execute on function provisioning.audit_member_change() from public, anon, authenticated, service_role;
create trigger organization_members_audit after delete or update of role on public.organization_members
  for each row execute function provisioning.audit_member_change();
create trigger organization_members_audit_addition after insert on public.organization_members
  for each row execute function provisioning.audit_member_change();

create function provisioning.audit_organization_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_from jsonb := jsonb_build_object('name', old.name, 'slug', old.slug, 'billing_email', old.billing_email);
  v_to jsonb := jsonb_build_object('name', new.name, 'slug', new.slug, 'billing_email', new.billing_email);
  v_changed text[] := array(
    select key from jsonb_each(v_to || jsonb_build_object('plan', new.plan)) field
    where field.value is distinct from (v_from || jsonb_build_object('plan', old.plan)) -> field.key order by key);
  v_id uuid;
begin
  if v_changed = '{}' then
    return null;
  end if;
  v_id := provisioning.audit(new.id, 'organization.updated', 'organization', new.id::text, jsonb_strip_nulls(jsonb_build_object(
    'changed', v_changed,
    'plan', case when 'plan' = any (v_changed) then jsonb_build_object('from', old.plan, 'to', new.plan) end)));
  perform provisioning.keep_personal_details(v_id, new.id, old.owner_id,
    jsonb_build_object('from', (select jsonb_object_agg(key, value) from jsonb_each(v_from) where key = any (v_changed))));
  perform provisioning.keep_personal_details(v_id, new.id, new.owner_id,
    jsonb_build_object('to', (select jsonb_object_agg(key, value) from jsonb_each(v_to) where key = any (v_changed))));
  return null;
end
$$;
revoke execute on function provisioning.audit_organization_change() from public, anon, authenticated, service_role;
comment on function provisioning.audit_organization_change() is
  'Trigger: the entry says which columns changed. What stood there belongs to the owner before, what stands there to the owner
now.';
create trigger organizations_audit after update of name, slug, plan, billing_email, owner_id on public.organizations
  for each row execute function provisioning.audit_organization_change();

create function provisioning.audit_owner_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.owner_id = new.owner_id then
    return null;
  end if;
  perform provisioning.audit(new.id, 'organization.owner_changed', 'user', new.owner_id::text,
    jsonb_build_object('from', old.owner_id, 'to', new.owner_id));
  return null;
end
$$;
revoke execute on function provisioning.audit_owner_change() from public, anon, authenticated, service_role;
create trigger organizations_audit_owner after update of owner_id on public.organizations
  for each row execute function provisioning.audit_owner_change();
