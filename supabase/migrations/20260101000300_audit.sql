-- Who did what to which tenant. Append-only: nobody has UPDATE or DELETE, and a trigger refuses the owner too.

create table public.audit_logs (
  id uuid primary key default gen_random_uuid(),
  -- No foreign key: the trail outlives the organization.
  organization_id uuid not null,
  actor_type text not null,
  actor_id uuid,
  action text not null,
  resource_type text not null,
  resource_id text,
  metadata jsonb not null default '{}',
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
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
revoke execute on function provisioning.refuse_change() from public;
create trigger audit_logs_are_append_only before update or delete or truncate on public.audit_logs
  for each statement execute function provisioning.refuse_change();

create function provisioning.audit(
  p_organization_id uuid, p_action text, p_resource_type text, p_resource_id text, p_metadata jsonb default '{}'
) returns void
language sql security definer set search_path = '' as $$
  insert into public.audit_logs (organization_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
  select p_organization_id,
    case when auth.uid() is not null then 'user' when auth.role() = 'service_role' then 'service' else 'system' end,
    auth.uid(), p_action, p_resource_type, p_resource_id, coalesce(p_metadata, '{}')
$$;
revoke execute on function provisioning.audit(uuid, text, text, text, jsonb) from public;
comment on function provisioning.audit(uuid, text, text, text, jsonb) is
  'Appends to the audit log. The actor comes from the request''s JWT claims; without any it is the system.';

create function provisioning.audit_member_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Who arrives with the organization itself is no change of it: that is an event of its own, the sign-up. Both rows come in
  -- one transaction, and so with one time.
  if tg_op = 'INSERT' and new.role = 'owner' and exists (
    select from public.organizations o
    where o.id = new.organization_id and o.owner_id = new.user_id and o.created_at = now()) then
    return null;
  end if;
  perform provisioning.audit(
    coalesce(new.organization_id, old.organization_id),
    case tg_op when 'INSERT' then 'member.added' when 'DELETE' then 'member.removed' else 'member.role_changed' end,
    'user', coalesce(new.user_id, old.user_id)::text,
    jsonb_strip_nulls(jsonb_build_object('from', old.role, 'to', new.role)));
  return null;
end
$$;
revoke execute on function provisioning.audit_member_change() from public;
create trigger organization_members_audit after insert or delete or update of role on public.organization_members
  for each row execute function provisioning.audit_member_change();

create function provisioning.audit_organization_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.audit(new.id, 'organization.updated', 'organization', new.id::text, jsonb_build_object(
    'from', jsonb_build_object('name', old.name, 'slug', old.slug, 'plan', old.plan, 'billing_email', old.billing_email),
    'to', jsonb_build_object('name', new.name, 'slug', new.slug, 'plan', new.plan, 'billing_email', new.billing_email)));
  return null;
end
$$;
revoke execute on function provisioning.audit_organization_change() from public;
create trigger organizations_audit after update on public.organizations
  for each row when ((old.name, old.slug, old.plan, old.billing_email)
    is distinct from (new.name, new.slug, new.plan, new.billing_email))
  execute function provisioning.audit_organization_change();

create function provisioning.audit_owner_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.audit(new.id, 'organization.owner_changed', 'user', new.owner_id::text,
    jsonb_build_object('from', old.owner_id, 'to', new.owner_id));
  return null;
end
$$;
revoke execute on function provisioning.audit_owner_change() from public;
create trigger organizations_audit_owner after update of owner_id on public.organizations
  for each row when (old.owner_id is distinct from new.owner_id)
  execute function provisioning.audit_owner_change();
