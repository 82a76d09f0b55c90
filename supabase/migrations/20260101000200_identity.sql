-- Who the users are and which organization they belong to.

select provisioning.lock_users();

-- Plan and region are no foreign keys: every sign-up would lock the same few rows of the lookup tables, and with several at once
-- burn a multixact id each. The values come from those tables, and triggers below keep them true.
create table public.organizations (
  id uuid primary key default provisioning.uuid_v7(),
  name provisioning_types.organization_name not null,
  slug provisioning_types.slug not null,
  -- No foreign key either: see keep_owners.
  owner_id uuid not null,
  plan text not null default 'free',
  billing_email provisioning_types.email_address,
  data_region text not null,
  hosting_region text not null,
  stripe_customer_id text,
  stripe_subscription_id text,
  stripe_subscription_status text,
  -- Derived from the steps by provisioning.refresh_status, never written by hand.
  provisioning_status jsonb not null,
  provisioned_at timestamptz,
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create unique index organizations_slug_key on public.organizations (slug);
create unique index organizations_stripe_customer_id_key on public.organizations (stripe_customer_id)
  where stripe_customer_id is not null;
create index organizations_owner_id_idx on public.organizations (owner_id);
-- For lists of those who pay. Most are on the free plan, where every sign-up begins.
create index organizations_paid_idx on public.organizations (plan, created_at, id) where plan <> 'free';

-- The triggers on this table, on profiles and on provisioning_jobs name the columns whose change concerns them and have no WHEN:
-- its text would be copied for each row that a sign-up inserts, though none of them is for inserts. Their functions begin with
-- the comparison instead.
create function provisioning.check_plan_and_region() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (old.plan, old.data_region) is not distinct from (new.plan, new.data_region) then
    return new;
  end if;
  perform from provisioning.plans p, provisioning.regions r
  where p.plan = new.plan and r.data_region = new.data_region for key share;
  if not found then
    raise exception 'There is no plan "%" or no data region "%".', new.plan, new.data_region
      using errcode = 'foreign_key_violation';
  end if;
  return new;
end
$$;
revoke execute on function provisioning.check_plan_and_region() from public, anon, authenticated, service_role;
comment on function provisioning.check_plan_and_region() is
  'Trigger: an organization goes to a plan and a region that exist, and whoever removes one at that moment waits.';
create trigger organizations_check_plan_and_region before update of plan, data_region on public.organizations
  for each row execute function provisioning.check_plan_and_region();

create function provisioning.keep_used_plans() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from public.organizations o where o.plan = old.plan) then
    raise exception 'Organizations use the plan "%".', old.plan using errcode = 'foreign_key_violation';
  end if;
  return null;
end
$$;
revoke execute on function provisioning.keep_used_plans() from public, anon, authenticated, service_role;
create trigger plans_in_use_stay after delete or update of plan on provisioning.plans
  for each row execute function provisioning.keep_used_plans();

create function provisioning.keep_used_regions() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from public.organizations o where o.data_region = old.data_region) then
    raise exception 'Organizations use the data region "%".', old.data_region using errcode = 'foreign_key_violation';
  end if;
  return null;
end
$$;
revoke execute on function provisioning.keep_used_regions() from public, anon, authenticated, service_role;
create trigger regions_in_use_stay after delete or update of data_region on provisioning.regions
  for each row execute function provisioning.keep_used_regions();

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email provisioning_types.email_address,
  full_name provisioning_types.person_name,
  avatar_url provisioning_types.avatar_url,
  organization_id uuid references public.organizations (id) on delete set null,
  in_search_index boolean not null default true,
  discoverable boolean not null default true,
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
comment on column public.profiles.id is 'The id of the auth user; there is no second id.';
comment on column public.profiles.in_search_index is
  'False from the sign-up until a worker begins with the tenant: putting a text into a trigram index takes longer than the rest of
a profile. search_profiles finds both.';
comment on column public.profiles.discoverable is
  'Whether strangers may find the profile by its name, where settings.profile_search is everyone. The person decides.';
create index profiles_organization_id_idx on public.profiles (organization_id);
select provisioning.with_trigrams($create$
create index profiles_search_idx on public.profiles
  using gin ((coalesce(full_name, '') || ' ' || coalesce(email, '')) extensions.gin_trgm_ops)
  -- Searches read the whole pending list, so it is kept short.
  with (gin_pending_list_limit = 512) where in_search_index
$create$);
-- The planner takes no statistics from a partial index. These tell it how frequent a text is, as soon as there was an ANALYZE.
create statistics provisioning.profiles_search on (coalesce(full_name, '') || ' ' || coalesce(email, '')) from public.profiles;
create index profiles_not_in_search_index_idx on public.profiles (created_at) where not in_search_index;

create table public.organization_members (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role provisioning_types.member_role not null default 'member',
  created_at timestamptz not null default current_timestamp,
  primary key (organization_id, user_id)
);
-- Serves every policy: a user's organizations and role without touching the table.
create index organization_members_user_id_idx on public.organization_members (user_id) include (organization_id, role);

create table public.wallets (
  -- No foreign key: see keep_owners.
  user_id uuid primary key,
  currency provisioning_types.currency not null,
  available_balance bigint not null default 0,
  pending_balance bigint not null default 0,
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
comment on table public.wallets is 'Balances in minor units of the currency (cents).';

create function provisioning.keep_owners() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from public.organizations o where o.owner_id = old.id) then
    raise exception 'The user % owns an organization.', old.id using errcode = 'foreign_key_violation';
  end if;
  delete from public.wallets w where w.user_id = old.id;
  return null;
end
$$;
revoke execute on function provisioning.keep_owners() from public, anon, authenticated, service_role;
comment on function provisioning.keep_owners() is
  'Trigger: stands for foreign keys of organizations.owner_id (no action) and wallets.user_id (on delete cascade). Each would cost
every sign-up about 4 % of all that we do in it, and both rows are made in one statement with a membership of the same user, whose
own key sees to it that the user exists and stays. Where a wallet is made later, the user is locked first; an owner who is named
otherwise is looked for by limit_organizations_of_owner.';
create trigger tenant_provisioning_owners_stay after delete on auth.users
  for each row execute function provisioning.keep_owners();

-- A sign-up brings its texts in order. These are for changes, by the Data API above all.
create function provisioning.put_organization_texts_in_order() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_day constant integer := 86400;
  v_seconds integer;
begin
  if (old.name, old.billing_email) is not distinct from (new.name, new.billing_email) then
    return new;
  end if;
  if provisioning.caller_has_limits() then
    v_seconds := provisioning.count_call('changes/organization/' || new.id,
      (select s.organization_changes_per_day from provisioning.settings s), v_day);
    perform provisioning.refuse_until(v_seconds, 'The organization was changed too often today.', 'PT429');
  end if;
  new.name := coalesce(provisioning.plain_text(new.name, 200), '');
  new.billing_email := provisioning.plain_text(new.billing_email, 320);
  -- What Auth has taken for an address comes without claims, and stays what it is.
  if new.billing_email !~ '^[^\s@,]+@[^\s@,]+$' and auth.role() is not null then
    raise exception '"%" is no e-mail address.', left(new.billing_email, 100) using errcode = 'invalid_parameter_value';
  end if;
  return new;
end
$$;
revoke execute on function provisioning.put_organization_texts_in_order() from public, anon, authenticated, service_role;
comment on function provisioning.put_organization_texts_in_order() is
  'Trigger: what nobody sees is taken out of the name and the address. Texts that are too long never come here: their domains
refuse them. Raises 22023 for a billing address that people give and that is none, and PT429, which the Data API answers as HTTP
429, for members who have changed too much today.';
-- A new owner's address may become the one for bills.
create trigger organizations_put_texts_in_order before update of name, billing_email, owner_id on public.organizations
  for each row execute function provisioning.put_organization_texts_in_order();

create function provisioning.put_profile_texts_in_order() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_day constant integer := 86400;
  v_seconds integer := 0;
  -- What Auth has taken comes without claims, from a trigger of ours. What the project's own table says is followed in any case.
  v_is_from_auth constant boolean := auth.role() is null and pg_trigger_depth() > 1 and provisioning.mapped('profiles') is null;
begin
  if (old.full_name, old.avatar_url) is not distinct from (new.full_name, new.avatar_url) then
    return new;
  end if;
  if v_is_from_auth or provisioning.caller_has_limits() then
    v_seconds := provisioning.count_call('changes/profile/' || new.id,
      (select s.profile_changes_per_day from provisioning.settings s), v_day);
  end if;
  if v_seconds > 0 and v_is_from_auth then
    new.full_name := old.full_name;
    new.avatar_url := old.avatar_url;
    return new;
  end if;
  perform provisioning.refuse_until(v_seconds, 'The profile was changed too often today.', 'PT429');
  new.full_name := provisioning.plain_text(new.full_name, 200);
  new.avatar_url := provisioning.plain_text(new.avatar_url, 2048);
  return new;
end
$$;
revoke execute on function provisioning.put_profile_texts_in_order() from public, anon, authenticated, service_role;
comment on function provisioning.put_profile_texts_in_order() is
  'Trigger: what nobody sees is taken out of the name and the address of the picture. Raises PT429 for people who have changed
theirs too often today. A change of the account goes through all the same, and the profile keeps what it has.';
create trigger profiles_put_texts_in_order before update of full_name, avatar_url on public.profiles
  for each row execute function provisioning.put_profile_texts_in_order();

create trigger organizations_touch before update on public.organizations
  for each row execute function provisioning.touch_updated_at();
create trigger profiles_touch before update on public.profiles
  for each row execute function provisioning.touch_updated_at();
create trigger wallets_touch before update on public.wallets
  for each row execute function provisioning.touch_updated_at();

create function provisioning.my_organization_ids(p_roles text[] default '{owner,admin,member}') returns setof uuid
language plpgsql stable security definer set search_path = '' rows 2 as $$
begin
  return query
    select m.organization_id from public.organization_members m
    where m.user_id = (select auth.uid()) and m.role = any (p_roles);
end
$$;
revoke execute on function provisioning.my_organization_ids(text[]) from public, anon, authenticated, service_role;
grant execute on function provisioning.my_organization_ids(text[]) to authenticated;
comment on function provisioning.my_organization_ids(text[]) is
  'Organizations in which the caller has one of the roles. Security definer, because a policy on organization_members cannot
query itself. Policies compare with an array of them, which the planner can look up in an index; with IN it would read every
tenant''s rows.';

create function provisioning.my_colleague_ids() returns setof uuid
language plpgsql stable security definer set search_path = '' rows 10 as $$
begin
  return query
    select colleague.user_id
    from public.organization_members mine join public.organization_members colleague using (organization_id)
    where mine.user_id = (select auth.uid());
end
$$;
revoke execute on function provisioning.my_colleague_ids() from public, anon, authenticated, service_role;
grant execute on function provisioning.my_colleague_ids() to authenticated;
comment on function provisioning.my_colleague_ids() is 'Everybody who is a member of one of the caller''s organizations.';

create function provisioning.has_profile() returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from public.profiles p where p.id = (select auth.uid()));
end
$$;
revoke execute on function provisioning.has_profile() from public, anon, authenticated, service_role;
grant execute on function provisioning.has_profile() to authenticated;
comment on function provisioning.has_profile() is
  'Whether the caller has a profile. One that a user could make would be taken for that of a provisioned user.';

alter table public.organizations enable row level security;
revoke all on public.organizations from anon, authenticated, service_role;
grant select, update (name, billing_email) on public.organizations to authenticated;
grant select, update (name, slug, billing_email, plan, stripe_subscription_id, stripe_subscription_status)
  on public.organizations to service_role;
create policy "members read their organization" on public.organizations for select to authenticated
  using (id = any (array(select provisioning.my_organization_ids())));
create policy "owners and admins edit their organization" on public.organizations for update to authenticated
  using (id = any (array(select provisioning.my_organization_ids('{owner,admin}'))))
  with check (id = any (array(select provisioning.my_organization_ids('{owner,admin}'))));

alter table public.profiles enable row level security;
revoke all on public.profiles from anon, authenticated, service_role;
-- An upsert, as Supabase's quick start has it, needs the rights to insert and to change all that it names, also the id and the
-- time that a trigger sets.
grant select, insert (id, full_name, avatar_url, updated_at), update (id, full_name, avatar_url, discoverable, updated_at)
  on public.profiles to authenticated;
grant select, update (full_name, avatar_url, discoverable) on public.profiles to service_role;
create policy "users read their own profile and their colleagues'" on public.profiles for select to authenticated
  using (id = (select auth.uid()) or id = any (array(select provisioning.my_colleague_ids())));
create policy "users edit their own profile" on public.profiles for update to authenticated
  using (id = (select auth.uid())) with check (id = (select auth.uid()));
create policy "users upsert their own profile, and make none" on public.profiles for insert to authenticated
  with check (id = (select auth.uid()) and (select provisioning.has_profile()));

alter table public.organization_members enable row level security;
revoke all on public.organization_members from anon, authenticated, service_role;
grant select on public.organization_members to authenticated;
grant select, insert, update (role), delete on public.organization_members to service_role;
create policy "members see who else is a member" on public.organization_members for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

alter table public.wallets enable row level security;
revoke all on public.wallets from anon, authenticated, service_role;
grant select on public.wallets to authenticated, service_role;
create policy "users read their own wallet" on public.wallets for select to authenticated
  using (user_id = (select auth.uid()));

select provisioning.with_trigrams($create$
create function provisioning.discoverable_profiles(p_query text, p_limit integer) returns setof public.profiles
language plpgsql stable security definer set search_path = '' set plan_cache_mode = 'force_custom_plan' rows 20 as $$
declare
  v_candidates constant integer := 1000;
  v_user_id constant uuid := auth.uid();
  v_like text := '%' || replace(replace(replace(left(p_query, 200), '\', '\\'), '%', '\%'), '_', '\_') || '%';
begin
  if v_user_id is null or left(p_query, 200) !~ '[[:alnum:]]{3}'
    or (select s.profile_search from provisioning.settings s) <> 'everyone' then
    return;
  end if;
  return query
  with candidates as materialized (
    (select i.* from public.profiles i
      where i.in_search_index and coalesce(i.full_name, '') || ' ' || coalesce(i.email, '') ilike v_like
      limit v_candidates)
    union all
    (select w.* from public.profiles w where not w.in_search_index order by w.created_at desc limit v_candidates)
  )
  select shown.* from candidates c
  cross join lateral jsonb_populate_record(null::public.profiles, jsonb_build_object(
    'id', c.id, 'full_name', c.full_name, 'avatar_url', c.avatar_url)) shown
  -- An address tells nobody who has it: only the name is compared.
  where c.discoverable and c.full_name ilike v_like and c.id <> v_user_id
    and c.id <> all (array(select provisioning.my_colleague_ids()))
  order by extensions.similarity(c.full_name, left(p_query, 200)) desc, c.created_at desc
  limit p_limit;
end
$$
$create$);
revoke execute on function provisioning.discoverable_profiles(text, integer) from public, anon, authenticated, service_role;
grant execute on function provisioning.discoverable_profiles(text, integer) to authenticated, service_role;
comment on function provisioning.discoverable_profiles(text, integer) is
  'Strangers whose name has the text, which needs three letters or digits in a row: id, name and picture, and null in each other
column. Nobody unless settings.profile_search is everyone. Looks at 1000 profiles that have the text in name or address, and at
the newest 1000 that are not in the index yet.';

select provisioning.with_trigrams($create$
create function public.search_profiles(query text) returns setof public.profiles
-- Planned anew at each call: which way is the shortest depends on how frequent the text is.
language plpgsql stable security invoker set search_path = '' set plan_cache_mode = 'force_custom_plan' rows 20 as $$
declare
  v_candidates constant integer := 250;
  -- No name is longer, and a pattern of a megabyte would keep a processor busy until the statement is ended.
  v_query constant text := left(query, 200);
  v_like text := '%' || replace(replace(replace(v_query, '\', '\\'), '%', '\%'), '_', '\_') || '%';
  v_begins text := '(^|[^[:alnum:]])' || regexp_replace(v_query, '([][\\.^$*+?(){}|])', '\\\1', 'g');
  -- Letters or digits in a row: none, one, two, or more. Where the database's locale is C, the index knows no letters but
  -- ASCII's; two of others are looked for as one is.
  v_letters integer := case
    when v_query ~ '[[:alnum:]]{3}' then 3 when v_query ~ '[A-Za-z0-9]{2}' then 2
    when v_query ~ '[[:alnum:]]' then 1 else 0 end;
  v_found integer;
begin
  return query
  with anywhere as materialized (
    select i.* from public.profiles i
    where v_letters = 3 and i.in_search_index and coalesce(i.full_name, '') || ' ' || coalesce(i.email, '') ilike v_like
    limit v_candidates
  ), found as (
    select * from anywhere
    union
    -- When so many have it, those in which a word begins with it come first.
    (select i.* from public.profiles i
      where (v_letters = 1 or v_letters = 3 and (select count(*) from anywhere) = v_candidates)
        and v_query ~ '^[[:alnum:]]'
        and i.in_search_index and coalesce(i.full_name, '') || ' ' || coalesce(i.email, '') ~* v_begins
      limit v_candidates)
    union
    -- The index knows three letters or digits in a row, and two that begin a word.
    (select i.* from public.profiles i
      where v_letters = 2 and i.in_search_index
        and coalesce(i.full_name, '') || ' ' || coalesce(i.email, '') operator(extensions.%>) v_query
        and coalesce(i.full_name, '') || ' ' || coalesce(i.email, '') ilike v_like
      limit v_candidates)
    union
    select n.* from (
      select * from public.profiles w where not w.in_search_index order by w.created_at desc limit 4 * v_candidates) n
    where v_letters > 0 and coalesce(n.full_name, '') || ' ' || coalesce(n.email, '') ilike v_like
  )
  select p.* from found p
  order by extensions.similarity(coalesce(p.full_name, '') || ' ' || coalesce(p.email, ''), v_query) desc, p.created_at desc
  limit 20;
  get diagnostics v_found = row_count;
  return query select * from provisioning.discoverable_profiles(v_query, 20 - v_found);
end
$$
$create$);
revoke execute on function public.search_profiles(text) from public, anon;
grant execute on function public.search_profiles(text) to authenticated, service_role;
comment on function public.search_profiles(text) is
  'The 20 best matches of a part of a name or e-mail address (its first 200 characters), among the profiles that the caller may
see. A text that many have is looked for in a bounded number of them: 250 that have it anywhere, 250 in which a word begins with
it, and the newest 1000 that are not in the index yet. One or two letters or digits are found where a word begins with them. Where
settings.profile_search is everyone, discoverable strangers come after them, with id, name and picture only.';
