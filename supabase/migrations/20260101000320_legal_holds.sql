-- A legal hold keeps whatever is known of an organization: neither retention nor erasure takes anything of it away.

create table provisioning.legal_holds (
  -- No foreign key: what a deleted organization has left can be held, too.
  organization_id uuid primary key,
  -- By which the case is found, such as "2026/114". Names do not belong here.
  reference text not null,
  set_at timestamptz not null default now(),
  -- Null when it was set by SQL or with a secret key.
  set_by uuid,
  constraint reference_is_a_number_of_a_case check (
    reference ~ '^[[:alnum:]._/#-]*[0-9][[:alnum:]._/#-]*$' and length(reference) <= 64)
);
comment on table provisioning.legal_holds is
  'Organizations of which nothing may be deleted: no row by retention, no name by the removal of a person, not the organization
itself. Each change is audited.';
alter table provisioning.legal_holds enable row level security;
revoke all on provisioning.legal_holds from anon, authenticated, service_role;

create function provisioning.audit_legal_hold() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.audit(
    coalesce(new.organization_id, old.organization_id),
    case tg_op when 'INSERT' then 'legal_hold.set' else 'legal_hold.lifted' end,
    'organization', coalesce(new.organization_id, old.organization_id)::text,
    jsonb_build_object('reference', coalesce(new.reference, old.reference)));
  return null;
end
$$;
revoke execute on function provisioning.audit_legal_hold() from public, anon, authenticated, service_role;
create trigger legal_holds_audit after insert or delete on provisioning.legal_holds
  for each row execute function provisioning.audit_legal_hold();

create function provisioning.assert_not_held(p_organization_ids uuid[]) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_hold provisioning.legal_holds;
begin
  select * into v_hold from provisioning.legal_holds h where h.organization_id = any (p_organization_ids) limit 1;
  if v_hold.organization_id is not null then
    raise exception 'Organization % is under the legal hold %, and nothing of it may be deleted until that is lifted.',
      v_hold.organization_id, v_hold.reference using errcode = 'TP451';
  end if;
end
$$;
revoke execute on function provisioning.assert_not_held(uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.assert_not_held(uuid[]) is 'Raises TP451 when one of the organizations is under a legal hold.';

create function provisioning.refuse_held_deletion() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_not_held(array[old.id]);
  return old;
end
$$;
revoke execute on function provisioning.refuse_held_deletion() from public, anon, authenticated, service_role;
comment on function provisioning.refuse_held_deletion() is
  'Trigger: an organization under a legal hold is not deleted, whoever tries.';
create trigger organizations_are_not_held before delete on public.organizations
  for each row execute function provisioning.refuse_held_deletion();

create function provisioning.set_legal_hold(p_organization_id uuid, p_reference text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  -- A deletion that has begun is waited for, and one that begins now waits for the hold.
  perform from public.organizations o where o.id = p_organization_id for share;
  if not found and not exists (select from public.provisioning_jobs j where j.organization_id = p_organization_id)
    and not exists (select from public.audit_logs a where a.organization_id = p_organization_id) then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
  insert into provisioning.legal_holds (organization_id, reference, set_by)
  values (p_organization_id, p_reference, auth.uid()) on conflict do nothing;
  return found;
end
$$;
revoke execute on function provisioning.set_legal_hold(uuid, text) from public, anon, authenticated, service_role;
grant execute on function provisioning.set_legal_hold(uuid, text) to authenticated, service_role;
comment on function provisioning.set_legal_hold(uuid, text) is
  'Puts an organization, or what a deleted one has left, under a legal hold; false when it was already. The reference names the
case by a number. For operators and the service role; audited. Raises TP403 or TP404.';

create function provisioning.lift_legal_hold(p_organization_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  delete from provisioning.legal_holds h where h.organization_id = p_organization_id;
  return found;
end
$$;
revoke execute on function provisioning.lift_legal_hold(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.lift_legal_hold(uuid) to authenticated, service_role;
comment on function provisioning.lift_legal_hold(uuid) is
  'Lifts a legal hold; false when there was none. For operators and the service role; audited. Raises TP403.';

create function public.set_legal_hold(organization_id uuid, reference text) returns boolean
language sql volatile security invoker set search_path = '' as $$
  select provisioning.set_legal_hold(organization_id, reference)
$$;
revoke execute on function public.set_legal_hold(uuid, text) from public, anon;
grant execute on function public.set_legal_hold(uuid, text) to authenticated, service_role;
comment on function public.set_legal_hold(uuid, text) is
  'For operators and the backend: nothing of the organization may be deleted any more. See provisioning.set_legal_hold.';

create function public.lift_legal_hold(organization_id uuid) returns boolean
language sql volatile security invoker set search_path = '' as $$
  select provisioning.lift_legal_hold(organization_id)
$$;
revoke execute on function public.lift_legal_hold(uuid) from public, anon;
grant execute on function public.lift_legal_hold(uuid) to authenticated, service_role;
comment on function public.lift_legal_hold(uuid) is
  'For operators and the backend: lifts a legal hold. See provisioning.lift_legal_hold.';
