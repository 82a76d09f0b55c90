-- Who the users are and which organization they belong to.

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name provisioning.organization_name not null,
  slug provisioning.slug not null,
  owner_id uuid not null references auth.users (id),
  plan text not null default 'free' references provisioning.plans,
  billing_email text,
  data_region text not null references provisioning.regions,
  hosting_region text not null,
  stripe_customer_id text,
  stripe_subscription_id text,
  stripe_subscription_status text,
  -- Derived from the steps by provisioning.refresh_status, never written by hand.
  provisioning_status jsonb not null,
  provisioned_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index organizations_slug_key on public.organizations (slug);
create unique index organizations_stripe_customer_id_key on public.organizations (stripe_customer_id)
  where stripe_customer_id is not null;
create index organizations_owner_id_idx on public.organizations (owner_id);
create index organizations_plan_idx on public.organizations (plan);
create index organizations_data_region_idx on public.organizations (data_region);

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  full_name text,
  avatar_url text,
  organization_id uuid references public.organizations (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on column public.profiles.id is 'The id of the auth user; there is no second id.';
create index profiles_organization_id_idx on public.profiles (organization_id);
-- A short pending list keeps the flush, which falls on some unlucky sign-up, to a few milliseconds.
create index profiles_search_idx on public.profiles
  using gin ((coalesce(full_name, '') || ' ' || coalesce(email, '')) extensions.gin_trgm_ops)
  with (gin_pending_list_limit = 512);

create table public.organization_members (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role provisioning.member_role not null default 'member',
  created_at timestamptz not null default now(),
  primary key (organization_id, user_id)
);
-- Serves every policy: a user's organizations and role without touching the table.
create index organization_members_user_id_idx on public.organization_members (user_id) include (organization_id, role);

create table public.wallets (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null unique references auth.users (id) on delete cascade,
  currency provisioning.currency not null,
  available_balance bigint not null default 0,
  pending_balance bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.wallets is 'Balances in minor units of the currency (cents).';

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
revoke execute on function provisioning.my_organization_ids(text[]) from public;
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
revoke execute on function provisioning.my_colleague_ids() from public;
grant execute on function provisioning.my_colleague_ids() to authenticated;
comment on function provisioning.my_colleague_ids() is 'Everybody who is a member of one of the caller''s organizations.';

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
grant select, update (full_name, avatar_url) on public.profiles to authenticated;
grant select, update (full_name, avatar_url) on public.profiles to service_role;
create policy "users read their own profile and their colleagues'" on public.profiles for select to authenticated
  using (id = (select auth.uid()) or id = any (array(select provisioning.my_colleague_ids())));
create policy "users edit their own profile" on public.profiles for update to authenticated
  using (id = (select auth.uid())) with check (id = (select auth.uid()));

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

create function public.search_profiles(query text) returns setof public.profiles
language sql stable security invoker set search_path = '' rows 20 as $$
  select p.* from public.profiles p
  where coalesce(p.full_name, '') || ' ' || coalesce(p.email, '')
    ilike '%' || replace(replace(replace(query, '\', '\\'), '%', '\%'), '_', '\_') || '%'
    and btrim(query) <> ''
  order by extensions.similarity(coalesce(p.full_name, '') || ' ' || coalesce(p.email, ''), query) desc, p.created_at desc
  limit 20
$$;
revoke execute on function public.search_profiles(text) from public, anon;
grant execute on function public.search_profiles(text) to authenticated, service_role;
comment on function public.search_profiles(text) is
  'The 20 best matches of a part of a name or e-mail address, among the profiles that the caller may see.';
