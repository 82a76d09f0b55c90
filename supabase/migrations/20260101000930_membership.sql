-- Expecting somebody as a member of an organization, and the person's answer.

create function provisioning.count_expectation(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_day constant integer := 86400;
  v_allowed integer := (select s.expected_members_per_day from provisioning.settings s);
begin
  if not provisioning.caller_has_limits() then
    return;
  end if;
  -- Always in this order: the organization, then the user.
  perform provisioning.refuse_until(
    provisioning.count_call('expected/organization/' || p_organization_id, v_allowed, v_day),
    format('This organization came to expect %s people within a day.', v_allowed));
  perform provisioning.refuse_until(
    provisioning.count_call('expected/user/' || auth.uid(), v_allowed, v_day),
    format('You came to expect %s people within a day.', v_allowed));
end
$$;
revoke execute on function provisioning.count_expectation(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.count_expectation(uuid) is
  'Counts that somebody is expected, for the organization and for the user who says so. Raises TP429 beyond
settings.expected_members_per_day.';

create function provisioning.assert_expectable(p_email text, p_organization_id uuid, p_role text, p_ends_at timestamptz)
returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  if provisioning.mapped('members') is not null then
    raise exception 'Members are the rows of %, and are added there.', provisioning.mapped('members') ->> 'table'
      using errcode = 'TP400';
  elsif coalesce(p_email, '') !~ '^[^\s@,]+@[^\s@,]+$' or length(p_email) > 320 then
    raise exception '"%" is no e-mail address.', left(p_email, 100) using errcode = 'TP400';
  elsif p_role is null or p_role not in ('admin', 'member') then
    raise exception 'Somebody is expected as an admin or as a member, and not as "%".', left(p_role, 63) using errcode = 'TP422';
  elsif p_ends_at <= now() or p_ends_at > now() + interval '30 days' then
    raise exception 'Expecting somebody ends within 30 days.' using errcode = 'TP400';
  elsif exists (
    select from auth.users u join public.organization_members m on m.user_id = u.id
    where u.email = p_email and m.organization_id = p_organization_id) then
    raise exception '% is a member of the organization already.', p_email using errcode = 'TP412';
  end if;
end
$$;
revoke execute on function provisioning.assert_expectable(text, uuid, text, timestamptz)
  from public, anon, authenticated, service_role;
comment on function provisioning.assert_expectable(text, uuid, text, timestamptz) is
  'Raises TP400 for an address that is none, an end that is past or too far away, and where members are rows of the project''s own
table, TP422 for another role than admin and member, TP412 for a member. Whether the address has an account is told to nobody.';

create function provisioning.expect_member_as_caller(p_email text, p_organization_id uuid, p_role text, p_ends_at timestamptz)
returns provisioning.expected_members
language plpgsql security definer set search_path = '' as $$
declare
  v_email text := lower(btrim(p_email));
  v_ends_at timestamptz := coalesce(p_ends_at, (
    select now() + make_interval(days => s.expected_member_days) from provisioning.settings s));
  v_expected provisioning.expected_members;
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  perform provisioning.assert_expectable(v_email, p_organization_id, p_role, v_ends_at);
  perform provisioning.count_expectation(p_organization_id);
  insert into provisioning.expected_members as e (organization_id, email, role, expected_by, ends_at)
  values (p_organization_id, v_email, p_role, auth.uid(), v_ends_at)
  on conflict (email, organization_id) do update set role = excluded.role, expected_by = excluded.expected_by,
    -- Whoever waits for the person's answer waits no longer than if it had been said once.
    ends_at = least(excluded.ends_at, e.created_at + interval '30 days')
  returning * into v_expected;
  perform provisioning.record_membership_act('expected', v_expected);
  return v_expected;
end
$$;
revoke execute on function provisioning.expect_member_as_caller(text, uuid, text, timestamptz)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.expect_member_as_caller(text, uuid, text, timestamptz) to authenticated, service_role;
comment on function provisioning.expect_member_as_caller(text, uuid, text, timestamptz) is
  'Says, for the owners and admins of an organization and the backend, that somebody with this address is to be a member of it.
Said again it changes role and end. Raises TP403, TP404, TP429 and what assert_expectable raises.';

create function provisioning.record_membership_act(p_act text, p_expected provisioning.expected_members) returns void
language plpgsql security definer set search_path = '' as $$
declare
  -- The address stays in the row that goes: history names nobody who may never have an account.
  v_about constant jsonb := jsonb_build_object('role', p_expected.role, 'ends_at', p_expected.ends_at);
begin
  perform provisioning.audit(p_expected.organization_id, case p_act when 'expected' then 'member.expected'
    when 'joined' then 'member.joined' when 'declined' then 'member.declined' when 'withdrawn' then 'member.withdrawn' end,
    'expected_member', p_expected.id::text, v_about);
  perform provisioning.record_event(p_expected.organization_id, null, 'member.' || p_act, 'expected_member',
    case when p_act in ('declined', 'withdrawn') then 'cancelled' when p_act = 'joined' then 'succeeded' else 'pending' end,
    p_expected.id::text, null, v_about);
end
$$;
revoke execute on function provisioning.record_membership_act(text, provisioning.expected_members)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_membership_act(text, provisioning.expected_members) is
  'Writes to the audit log and the history that a member was expected or withdrawn, or has joined or declined.';

create function provisioning.expected_members_as_caller(p_organization_id uuid) returns setof provisioning.expected_members
language plpgsql stable security definer set search_path = '' rows 50 as $$
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  return query
    select e.* from provisioning.expected_members e where e.organization_id = p_organization_id and e.ends_at > now()
    order by e.created_at, e.id;
end
$$;
revoke execute on function provisioning.expected_members_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.expected_members_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.expected_members_as_caller(uuid) is
  'Whom an organization expects, for its owners and admins and the backend. Raises TP403 or TP404.';

create function provisioning.withdraw_expected_member_as_caller(p_email text, p_organization_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_expected provisioning.expected_members;
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  delete from provisioning.expected_members e
  where e.organization_id = p_organization_id and e.email = lower(btrim(p_email)) returning * into v_expected;
  if v_expected.id is null then
    return false;
  end if;
  perform provisioning.record_membership_act('withdrawn', v_expected);
  return true;
end
$$;
revoke execute on function provisioning.withdraw_expected_member_as_caller(text, uuid)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.withdraw_expected_member_as_caller(text, uuid) to authenticated, service_role;
comment on function provisioning.withdraw_expected_member_as_caller(text, uuid) is
  'Ends that an organization expects somebody, for its owners and admins and the backend; false when it did not. Raises TP403 or
TP404.';

create function provisioning.end_expectations_of_member() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.role <> 'member' and (tg_op = 'DELETE' or new.role = 'member') then
    delete from provisioning.expected_members e where e.organization_id = old.organization_id and e.expected_by = old.user_id;
  end if;
  return null;
end
$$;
revoke execute on function provisioning.end_expectations_of_member() from public, anon, authenticated, service_role;
comment on function provisioning.end_expectations_of_member() is
  'Trigger: whom an owner or admin expects is expected no longer when they are neither any more.';
create trigger organization_members_end_expectations after delete or update of role on public.organization_members
  for each row execute function provisioning.end_expectations_of_member();

-- The person's answer ----------------------------------------------------------------------------------------------------

create function provisioning.confirmed_address_of_caller() returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select lower(btrim(u.email)) from auth.users u
    where u.id = auth.uid() and u.email_confirmed_at is not null and u.deleted_at is null and not u.is_anonymous);
end
$$;
revoke execute on function provisioning.confirmed_address_of_caller() from public, anon, authenticated, service_role;
comment on function provisioning.confirmed_address_of_caller() is
  'The address that Auth knows to be the calling user''s; null for everybody else. An address that is only claimed answers
nothing.';

create function provisioning.my_expected_memberships_as_caller()
returns table (organization_id uuid, organization_name text, role text, ends_at timestamptz)
language plpgsql stable security definer set search_path = '' rows 2 as $$
begin
  return query
    select e.organization_id, o.name::text, e.role::text, e.ends_at
    from provisioning.expected_members e join public.organizations o on o.id = e.organization_id
    where e.email = provisioning.confirmed_address_of_caller() and e.ends_at > now()
    order by e.created_at, e.id limit 100;
end
$$;
revoke execute on function provisioning.my_expected_memberships_as_caller() from public, anon, authenticated, service_role;
grant execute on function provisioning.my_expected_memberships_as_caller() to authenticated;
comment on function provisioning.my_expected_memberships_as_caller() is
  'Which organizations expect the caller, the first first. Empty until the caller''s address is confirmed.';

create function provisioning.answer_expectation(p_organization_id uuid, p_act text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_expected provisioning.expected_members;
begin
  -- In the order of locks: the user, the organization, what goes with it.
  perform provisioning.hold_user(auth.uid());
  perform from public.organizations o where o.id = p_organization_id for key share;
  delete from provisioning.expected_members e
  where e.organization_id = p_organization_id and e.email = provisioning.confirmed_address_of_caller() and e.ends_at > now()
  returning * into v_expected;
  if v_expected.id is null then
    raise exception 'No organization with this id expects you. Only who has confirmed the address may answer.'
      using errcode = 'TP405';
  end if;
  if p_act = 'joined' then
    insert into public.organization_members (organization_id, user_id, role)
    values (p_organization_id, auth.uid(), v_expected.role) on conflict (organization_id, user_id) do nothing;
  end if;
  perform provisioning.record_membership_act(p_act, v_expected);
end
$$;
revoke execute on function provisioning.answer_expectation(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.answer_expectation(uuid, text) is
  'The calling user has joined or declined. Raises TP405 for whoever is not expected there, or has not confirmed the address.';

create function provisioning.accept_membership_as_caller(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.answer_expectation(p_organization_id, 'joined');
  -- The profile names the organization, unless it names another one that the person belongs to.
  perform provisioning.ensure_user_provisioned(auth.uid());
  return p_organization_id;
end
$$;
revoke execute on function provisioning.accept_membership_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.accept_membership_as_caller(uuid) to authenticated;
comment on function provisioning.accept_membership_as_caller(uuid) is
  'Makes the calling user a member of an organization that expects them, and returns its id. Raises what answer_expectation
raises.';

create function provisioning.decline_membership_as_caller(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.answer_expectation(p_organization_id, 'declined');
  return provisioning.ensure_user_provisioned(auth.uid());
end
$$;
revoke execute on function provisioning.decline_membership_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.decline_membership_as_caller(uuid) to authenticated;
comment on function provisioning.decline_membership_as_caller(uuid) is
  'Ends that an organization expects the calling user, who gets one of their own unless there is one already or another one
expects them. Returns the organization that the user belongs to; null when there is none yet. Raises what answer_expectation
raises.';

-- What the Data API offers of all this -----------------------------------------------------------------------------------

create function public.expect_member(
  email text, organization_id uuid, role text default 'member', ends_at timestamptz default null
) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select to_jsonb(provisioning.expect_member_as_caller(email, organization_id, role, ends_at))
$$;
revoke execute on function public.expect_member(text, uuid, text, timestamptz) from public, anon;
grant execute on function public.expect_member(text, uuid, text, timestamptz) to authenticated, service_role;
comment on function public.expect_member(text, uuid, text, timestamptz) is
  'For owners, admins and the backend: whoever signs up with this address is asked to be a member (or an admin) of the
organization, and gets none of their own before they have answered. Say it before the sign-up. Without ends_at it ends after
settings.expected_member_days. See provisioning.expect_member_as_caller.';

create function public.expected_members(organization_id uuid)
returns table (id uuid, email text, role text, expected_by uuid, created_at timestamptz, ends_at timestamptz)
language sql stable security invoker set search_path = '' as $$
  select e.id, e.email, e.role, e.expected_by, e.created_at, e.ends_at
  from provisioning.expected_members_as_caller(organization_id) e
$$;
revoke execute on function public.expected_members(uuid) from public, anon;
grant execute on function public.expected_members(uuid) to authenticated, service_role;
comment on function public.expected_members(uuid) is
  'For owners, admins and the backend: whom the organization expects. See provisioning.expected_members_as_caller.';

create function public.withdraw_expected_member(email text, organization_id uuid) returns boolean
language sql volatile security invoker set search_path = '' as $$
  select provisioning.withdraw_expected_member_as_caller(email, organization_id)
$$;
revoke execute on function public.withdraw_expected_member(text, uuid) from public, anon;
grant execute on function public.withdraw_expected_member(text, uuid) to authenticated, service_role;
comment on function public.withdraw_expected_member(text, uuid) is
  'For owners, admins and the backend: the organization does not expect this address any more. See
provisioning.withdraw_expected_member_as_caller.';

create function public.my_expected_memberships()
returns table (organization_id uuid, organization_name text, role text, ends_at timestamptz)
language sql stable security invoker set search_path = '' as $$
  select * from provisioning.my_expected_memberships_as_caller()
$$;
revoke execute on function public.my_expected_memberships() from public, anon, service_role;
grant execute on function public.my_expected_memberships() to authenticated;
comment on function public.my_expected_memberships() is
  'Which organizations expect the caller. Empty until the address is confirmed.';

create function public.accept_membership(organization_id uuid) returns uuid
language sql volatile security invoker set search_path = '' as $$
  select provisioning.accept_membership_as_caller(organization_id)
$$;
revoke execute on function public.accept_membership(uuid) from public, anon, service_role;
grant execute on function public.accept_membership(uuid) to authenticated;
comment on function public.accept_membership(uuid) is
  'The caller joins an organization that expects them. See provisioning.accept_membership_as_caller.';

create function public.decline_membership(organization_id uuid) returns uuid
language sql volatile security invoker set search_path = '' as $$
  select provisioning.decline_membership_as_caller(organization_id)
$$;
revoke execute on function public.decline_membership(uuid) from public, anon, service_role;
grant execute on function public.decline_membership(uuid) to authenticated;
comment on function public.decline_membership(uuid) is
  'The caller does not join, and gets an organization of their own where they have none. See
provisioning.decline_membership_as_caller.';
