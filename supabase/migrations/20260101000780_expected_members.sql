-- Whom an organization expects: a colleague who is invited signs up as everybody does, and would get an organization, a
-- customer and a database of their own. What says so is a row that was there before, and never what the sign-up says of itself.

select provisioning.lock_users();

create table provisioning.expected_members (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- As Auth keeps addresses.
  email provisioning_types.email_address not null,
  role provisioning_types.member_role not null,
  -- Null when it was the backend or the owner of the database.
  expected_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  ends_at timestamptz not null,
  constraint email_is_in_lower_case check (email = lower(btrim(email))),
  constraint nobody_is_expected_as_an_owner check (role in ('admin', 'member')),
  constraint expecting_ends_within_30_days check (ends_at > created_at and ends_at <= created_at + interval '30 days')
);
comment on table provisioning.expected_members is
  'Who is expected as a member of an organization, by the address, until an end. A row goes with the answer, with its end, when
it is withdrawn, and with whoever expected the person.';
-- The look of each sign-up: most projects have no row here.
create unique index expected_members_email_key on provisioning.expected_members (email, organization_id);
create index expected_members_organization_id_idx on provisioning.expected_members (organization_id, created_at);
create index expected_members_ends_at_idx on provisioning.expected_members (ends_at);
alter table provisioning.expected_members enable row level security;
revoke all on provisioning.expected_members from anon, authenticated, service_role;

create table provisioning.waiting_users (
  user_id uuid primary key references auth.users (id) on delete cascade,
  -- With which the person came. Who changes it waits no longer.
  email provisioning_types.email_address not null,
  -- What is expected later keeps nobody waiting, or one organization after the other could do so for ever.
  since timestamptz not null default clock_timestamp(),
  -- When something that they waited for went. The sweep looks at them then.
  released_at timestamptz
);
comment on table provisioning.waiting_users is
  'Who signed up while an organization expected them, and has neither answered nor got an organization of their own.';
create index waiting_users_email_idx on provisioning.waiting_users (email);
create index waiting_users_released_at_idx on provisioning.waiting_users (released_at) where released_at is not null;
alter table provisioning.waiting_users enable row level security;
revoke all on provisioning.waiting_users from anon, authenticated, service_role;

create function provisioning.release_waiting_users() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.waiting_users w set released_at = clock_timestamp() where w.email = old.email and w.released_at is null;
  return null;
end
$$;
revoke execute on function provisioning.release_waiting_users() from public, anon, authenticated, service_role;
comment on function provisioning.release_waiting_users() is
  'Trigger: however an expectation ends, the sweep sees to it that nobody goes on waiting for it.';
create trigger expected_members_release after delete on provisioning.expected_members
  for each row execute function provisioning.release_waiting_users();

create function provisioning.make_profile(p_user_id uuid, p_email text, p_metadata jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_person constant jsonb := provisioning.mapped_person(p_user_id);
begin
  insert into public.profiles (id, email, full_name, avatar_url)
  values (p_user_id, coalesce(v_person ->> 'email', nullif(btrim(p_email), '')),
    provisioning.full_name_of(p_metadata || v_person), provisioning.avatar_of(p_metadata || v_person))
  on conflict (id) do nothing;
end
$$;
revoke execute on function provisioning.make_profile(uuid, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.make_profile(uuid, text, jsonb) is
  'The profile of a user who gets nothing else now. The metadata are what cut_metadata reads of them.';

create function provisioning.is_expected(p_email text) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from provisioning.expected_members e where e.email = lower(p_email));
end
$$;
revoke execute on function provisioning.is_expected(text) from public, anon, authenticated, service_role;

create function provisioning.keep_waiting(p_user_id uuid, p_email text, p_metadata jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_email text := lower(btrim(p_email));
  v_since timestamptz := 'infinity';
begin
  -- Who has a profile came before, and is not made to wait by what was said since.
  if exists (select from public.profiles p where p.id = p_user_id) then
    select w.since into v_since from provisioning.waiting_users w where w.user_id = p_user_id and w.email = v_email;
  end if;
  -- The lock: an expectation that ends at this moment finds the waiting user, or is found to have ended.
  perform from provisioning.expected_members e
  where e.email = v_email and e.ends_at > clock_timestamp() and e.created_at <= v_since for key share;
  if not found then
    delete from provisioning.waiting_users w where w.user_id = p_user_id;
    return false;
  end if;
  perform provisioning.make_profile(p_user_id, p_email, p_metadata);
  insert into provisioning.waiting_users (user_id, email) values (p_user_id, v_email)
  on conflict (user_id) do update set released_at = null;
  return true;
end
$$;
revoke execute on function provisioning.keep_waiting(uuid, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.keep_waiting(uuid, text, jsonb) is
  'Whether a user without an organization is expected by one, since before they came: then they get a profile, and nothing else
until they have answered.';

create function provisioning.end_expectations(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id uuid;
  v_seen integer := 0;
begin
  for v_user_id in
    -- As in repair_sign_ups: the user is locked before anything is made.
    select w.user_id from provisioning.waiting_users w join auth.users u on u.id = w.user_id
    where w.released_at is not null
    order by w.released_at limit p_limit for key share of u skip locked
  loop
    perform provisioning.try_to_provision_user(v_user_id, 'batch');
    -- Where another organization expects them still, released_at is null again. Trouble is in sign_up_failures.
    delete from provisioning.waiting_users w where w.user_id = v_user_id and w.released_at is not null;
    v_seen := v_seen + 1;
  end loop;
  -- Last, for the next sweep to go on from: whoever answers has locked the user, and now wants the row that this changes.
  delete from provisioning.expected_members e where e.id in (
    select i.id from provisioning.expected_members i where i.ends_at <= now()
    order by i.ends_at limit p_limit for update skip locked);
  return v_seen;
end
$$;
revoke execute on function provisioning.end_expectations(integer) from public, anon, authenticated, service_role;
comment on function provisioning.end_expectations(integer) is
  'For the sweep: gives up to p_limit users whom nobody expects any more organizations of their own, and returns how many it has
looked at. What nobody has answered in time ends, so that the next sweep finds whoever waited for it.';
