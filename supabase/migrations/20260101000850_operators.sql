-- Operators, who see every tenant, and the check of who may ask for something.

select provisioning.lock_users();

create table provisioning.operators (
  user_id uuid primary key references auth.users (id) on delete cascade,
  granted_at timestamptz not null default now(),
  -- Why, or until when.
  note text not null default ''
);
comment on table provisioning.operators is 'Users who may list every tenant. Each change is audited, under the nil organization.';
alter table provisioning.operators enable row level security;
revoke all on provisioning.operators from anon, authenticated, service_role;

create function provisioning.audit_operator_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  -- An operator belongs to no organization; rows of the nil one are for the service role's eyes.
  v_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  v_user_id uuid := coalesce(new.user_id, old.user_id);
begin
  perform provisioning.keep_personal_details(
    provisioning.audit(v_nobody, case tg_op when 'INSERT' then 'operator.granted' else 'operator.revoked' end,
      'user', v_user_id::text, jsonb_build_object('by_role', session_user)),
    v_nobody, v_user_id, jsonb_build_object('note', nullif(coalesce(new.note, old.note), '')));
  return null;
end
$$;
revoke execute on function provisioning.audit_operator_change() from public, anon, authenticated, service_role;
create trigger operators_audit after insert or delete on provisioning.operators
  for each row execute function provisioning.audit_operator_change();

create function provisioning.is_operator() returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from provisioning.operators o where o.user_id = (select auth.uid()));
end
$$;
revoke execute on function provisioning.is_operator() from public, anon, authenticated, service_role;
grant execute on function provisioning.is_operator() to authenticated, service_role;
comment on function provisioning.is_operator() is 'Whether the calling user is an operator.';

create function provisioning.grant_operator(p_user_id uuid, p_note text default '') returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.operators (user_id, note) values (p_user_id, p_note) on conflict do nothing;
  return found;
end
$$;
revoke execute on function provisioning.grant_operator(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.grant_operator(uuid, text) is
  'Lets a user see every tenant; false when that was so already. For the owner alone, in SQL; audited.';

create function provisioning.revoke_operator(p_user_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from provisioning.operators o where o.user_id = p_user_id;
  return found;
end
$$;
revoke execute on function provisioning.revoke_operator(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.revoke_operator(uuid) is
  'Takes that away; false when the user was no operator. For the owner alone, in SQL; audited.';

create function provisioning.assert_may(p_organization_id uuid, p_roles text[]) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  -- Before anything is said of the organization: a stranger is not told which ones there are.
  if auth.role() is distinct from 'service_role'
    and p_organization_id not in (select provisioning.my_organization_ids(p_roles))
    and not ('operator' = any (p_roles) and provisioning.is_operator()) then
    raise exception 'Only % of the organization%may do this.',
      case when 'member' = any (p_roles) then 'members' when 'admin' = any (p_roles) then 'owners and admins' else 'owners' end,
      case when 'operator' = any (p_roles) then ', and operators, ' else ' ' end using errcode = 'TP403';
  end if;
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
end
$$;
revoke execute on function provisioning.assert_may(uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.assert_may(uuid, text[]) is
  'Lets the service role pass, and callers who have one of the roles: owner, admin or member of the organization, or operator.
Raises TP403, for strangers whether there is such an organization or not; and TP404 for the service role and operators.';
