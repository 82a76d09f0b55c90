-- Who has lost a tenant on purpose. Nothing makes them another one by itself, whatever they change about their account: an abuser
-- whose tenant was removed would have it back with the next change of the metadata.

select provisioning.lock_users();

create table provisioning.removed_tenants (
  user_id uuid primary key references auth.users (id) on delete cascade,
  organization_id uuid not null,
  -- Whether one of its owners did so, who then may make another one.
  by_its_owners boolean not null,
  removed_at timestamptz not null default now()
);
comment on table provisioning.removed_tenants is
  'Users whose organization was deleted, with its id. While the row is there, they get no organization of their own. lift_removal
takes it away, and so does making an organization, for those of an organization that one of its owners has deleted.';
alter table provisioning.removed_tenants enable row level security;
revoke all on provisioning.removed_tenants from anon, authenticated, service_role;

create function provisioning.remember_removal(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.removed_tenants as r (user_id, organization_id, by_its_owners)
  -- Only owners, the backend, and the owner of the database in SQL can delete one.
  select u.id, p_organization_id, auth.uid() is not null from auth.users u
  where u.deleted_at is null and u.id in (
    select m.user_id from public.organization_members m where m.organization_id = p_organization_id and m.role = 'owner'
    union select o.owner_id from public.organizations o where o.id = p_organization_id)
  -- Accounts come before jobs, and the jobs are held already: whose account is being deleted is passed over, not waited for.
  order by u.id for key share of u skip locked
  on conflict (user_id) do update set organization_id = excluded.organization_id, removed_at = now(),
    by_its_owners = r.by_its_owners and excluded.by_its_owners;
end
$$;
revoke execute on function provisioning.remember_removal(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.remember_removal(uuid) is
  'Notes, before an organization goes, that its owners have lost it on purpose. Whoever was only a member of it may have one
of their own.';

create function provisioning.lift_removal(p_user_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_organization_id uuid;
begin
  delete from provisioning.removed_tenants r where r.user_id = p_user_id returning r.organization_id into v_organization_id;
  if v_organization_id is null then
    return false;
  end if;
  perform provisioning.audit(v_organization_id, 'removal.lifted', 'user', p_user_id::text);
  return true;
end
$$;
revoke execute on function provisioning.lift_removal(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.lift_removal(uuid) is
  'Lets a user whose tenant was removed on purpose have one again: with repair_user, or with the next change of the account. False
when there was nothing to lift. For the owner, in SQL; audited under the removed organization.';

create function provisioning.lift_removal_as_caller(p_user_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return provisioning.lift_removal(p_user_id);
end
$$;
revoke execute on function provisioning.lift_removal_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.lift_removal_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.lift_removal_as_caller(uuid) is
  'lift_removal for operators and the service role. Raises TP403.';

create function public.lift_removal(user_id uuid) returns boolean
language sql volatile security invoker set search_path = '' as $$
  select provisioning.lift_removal_as_caller(user_id)
$$;
revoke execute on function public.lift_removal(uuid) from public, anon;
grant execute on function public.lift_removal(uuid) to authenticated, service_role;
comment on function public.lift_removal(uuid) is
  'For operators and the backend: a user whose tenant was removed may have one again. See provisioning.lift_removal.';
