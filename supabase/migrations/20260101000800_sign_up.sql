-- From auth.users to a tenant in the making, inside the sign-up's own transaction and without ever failing it.

create table provisioning.sign_up_failures (
  user_id uuid primary key references auth.users (id) on delete cascade,
  sqlstate text not null,
  message text not null,
  attempts integer not null default 1,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);
comment on table provisioning.sign_up_failures is
  'Users whose rows could not be made during sign-up. The sweep tries again, ever less often, and removes the row when it worked.';
create index sign_up_failures_due_idx on provisioning.sign_up_failures (next_attempt_at);
alter table provisioning.sign_up_failures enable row level security;

create function provisioning.slugify(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_ascii text := p_text;
begin
  if p_text ~ '[^\x01-\x7f]' then
    v_ascii := regexp_replace(normalize(p_text, nfkd), '[\u0300-\u036f’]', '', 'g');
  end if;
  v_ascii := regexp_replace(lower(replace(v_ascii, '''', '')), '[^a-z0-9]+', '-', 'g');
  return coalesce(nullif(btrim(left(btrim(v_ascii, '-'), 48), '-'), ''), 'organization');
end
$$;
revoke execute on function provisioning.slugify(text) from public;
comment on function provisioning.slugify(text) is 'Lower-case ASCII letters and digits with single hyphens, at most 48 characters.';

create function provisioning.free_slug(p_name text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_slug text := provisioning.slugify(p_name);
begin
  -- The lock is only tried, never waited for: who loses the race for the plain name takes a suffix instead of
  -- queueing behind somebody else's uncommitted sign-up.
  if pg_catalog.pg_try_advisory_xact_lock(7223, pg_catalog.hashtext(v_slug)) then
    -- A statement of its own: its snapshot is newer than the lock, so a holder that has just committed is seen.
    if not exists (select from public.organizations o where o.slug = v_slug) then
      return v_slug;
    end if;
  end if;
  return v_slug || '-' || encode(extensions.gen_random_bytes(5), 'hex');
end
$$;
revoke execute on function provisioning.free_slug(text) from public;
comment on function provisioning.free_slug(text) is 'A slug for the name that no committed or concurrent sign-up has; never blocks.';

create function provisioning.trimmed(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  -- btrim alone takes off U+0020 only, and a name of no-break spaces looks blank just the same.
  return nullif(btrim(p_text, U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\200B\2028\2029\202F\205F\3000\FEFF'), '');
end
$$;
revoke execute on function provisioning.trimmed(text) from public;
comment on function provisioning.trimmed(text) is 'The text without white space (as Unicode has it) at its ends; null when nothing is left.';

create function provisioning.organization_name(p_metadata jsonb, p_email text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return left(coalesce(
    provisioning.trimmed(p_metadata ->> 'organization_name'),
    provisioning.trimmed(p_metadata ->> 'full_name') || '''s organization',
    provisioning.trimmed(p_metadata ->> 'name') || '''s organization',
    provisioning.trimmed(split_part(p_email, '@', 1)),
    'Organization'), 200);
end
$$;
revoke execute on function provisioning.organization_name(jsonb, text) from public;

create function provisioning.create_organization(p_user_id uuid, p_email text, p_metadata jsonb, p_lane text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_wanted_region text := nullif(lower(btrim(p_metadata ->> 'data_region')), '');
  v_wanted_hosting text := nullif(lower(btrim(p_metadata ->> 'hosting_region')), '');
  v_settings provisioning.settings;
  v_region provisioning.regions;
  v_hosting text;
  v_name text := provisioning.organization_name(p_metadata, p_email);
  v_id uuid := provisioning.uuid_v7();
  v_job_id uuid := provisioning.uuid_v7();
begin
  select * into v_settings from provisioning.settings;
  select * into v_region from provisioning.regions r
  where r.data_region = v_wanted_region or r.neon_region = v_wanted_region or v_wanted_region = any (r.aliases);
  if v_region.data_region is null then
    select * into v_region from provisioning.regions r where r.data_region = v_settings.default_data_region;
  else
    v_wanted_region := null;
  end if;
  v_hosting := v_region.hosting_region;
  if v_wanted_hosting is not null then
    select r.hosting_region into v_hosting from provisioning.regions r
    where r.hosting_region = v_wanted_hosting or v_wanted_hosting = any (r.aliases);
    if found then
      v_wanted_hosting := null;
    else
      v_hosting := v_region.hosting_region;
    end if;
  end if;
  -- One statement instead of eight: each would cost as much again as the rows that it writes.
  with organization as (
    insert into public.organizations (id, name, slug, owner_id, plan, billing_email, data_region, hosting_region, provisioning_status)
    values (v_id, v_name, provisioning.free_slug(v_name), p_user_id, v_settings.default_plan, p_email,
      v_region.data_region, v_hosting, jsonb_build_object(
        'stripe', 'pending', 'neon', 'pending', 'graphql', 'not_requested', 'overall', 'pending', 'changed_at', now()))
  ), membership as (
    insert into public.organization_members (organization_id, user_id, role) values (v_id, p_user_id, 'owner')
  ), profile as (
    insert into public.profiles (id, email, full_name, avatar_url, organization_id)
    values (p_user_id, p_email, coalesce(p_metadata ->> 'full_name', p_metadata ->> 'name'),
      coalesce(p_metadata ->> 'avatar_url', p_metadata ->> 'picture'), v_id)
    on conflict (id) do update set organization_id = excluded.organization_id
  ), wallet as (
    insert into public.wallets (user_id, currency) values (p_user_id, v_settings.default_currency)
    on conflict (user_id) do nothing
  ), database as (
    insert into public.organization_databases (organization_id, region, size)
    select v_id, v_region.neon_region, p.default_size from provisioning.plans p where p.plan = v_settings.default_plan
  ), job as (
    insert into public.provisioning_jobs (id, organization_id, kind, tier, lane, requested_by)
    values (v_job_id, v_id, 'provision', 'database', p_lane, p_user_id)
  ), steps as (
    insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on)
    select v_job_id, d.step, v_id, d.service, d.position, d.depends_on
    from provisioning.step_definitions d where d.kind = 'provision' and d.tier = 'database'
  )
  insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, resource_id, status, metadata, completed_at)
  values (v_id, v_job_id, 'sign_up', 'user', p_user_id::text, 'succeeded', jsonb_strip_nulls(jsonb_build_object(
    'unknown_data_region', v_wanted_region, 'unknown_hosting_region', v_wanted_hosting)), now());
  perform provisioning.ring_doorbell('provisioning');
  return v_id;
end
$$;
revoke execute on function provisioning.create_organization(uuid, text, jsonb, text) from public;
comment on function provisioning.create_organization(uuid, text, jsonb, text) is
  'All the rows of a new tenant and its provision job, and rings the doorbell. A region that is not known becomes the
default one, and the sign-up event says so.';

create function provisioning.complete_organization(
  p_organization_id uuid, p_user_id uuid, p_email text, p_metadata jsonb, p_lane text
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.organization_members as m (organization_id, user_id, role)
  select o.id, p_user_id, 'owner' from public.organizations o where o.id = p_organization_id and o.owner_id = p_user_id
  on conflict (organization_id, user_id) do update set role = excluded.role where m.role <> excluded.role;
  insert into public.profiles as p (id, email, full_name, avatar_url, organization_id)
  values (p_user_id, p_email,
    coalesce(p_metadata ->> 'full_name', p_metadata ->> 'name'),
    coalesce(p_metadata ->> 'avatar_url', p_metadata ->> 'picture'), p_organization_id)
  on conflict (id) do update set email = excluded.email, organization_id = excluded.organization_id
  where (p.organization_id, p.email) is distinct from (excluded.organization_id, excluded.email);
  insert into public.wallets (user_id, currency) select p_user_id, s.default_currency from provisioning.settings s
  on conflict (user_id) do nothing;
  insert into public.organization_databases (organization_id, region, size)
  select o.id, r.neon_region, p.default_size
  from public.organizations o join provisioning.regions r using (data_region) join provisioning.plans p using (plan)
  where o.id = p_organization_id
  on conflict (organization_id) do nothing;
  if not exists (
    select from public.provisioning_jobs j where j.organization_id = p_organization_id and j.kind = 'provision') then
    perform provisioning.enqueue(p_organization_id, 'provision', '{}', p_user_id, p_lane);
    perform provisioning.ring_doorbell('provisioning');
  end if;
end
$$;
revoke execute on function provisioning.complete_organization(uuid, uuid, text, jsonb, text) from public;
comment on function provisioning.complete_organization(uuid, uuid, text, jsonb, text) is
  'Adds what is missing around an organization that exists: a repair, or a user whose profile was lost.';

create function provisioning.profile_organization(p_user_id uuid) returns uuid
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select p.organization_id from public.profiles p
    where p.id = p_user_id and (
      exists (select from public.organization_members m where m.organization_id = p.organization_id and m.user_id = p_user_id)
      or exists (select from public.organizations o where o.id = p.organization_id and o.owner_id = p_user_id)));
end
$$;
revoke execute on function provisioning.profile_organization(uuid) from public;
comment on function provisioning.profile_organization(uuid) is
  'The organization that a profile names; null when the user does not belong to it (any more).';

create function provisioning.ensure_user_provisioned(
  p_user_id uuid, p_metadata jsonb default '{}', p_lane text default 'sign_up'
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_email text;
  v_metadata jsonb;
  v_eligible boolean;
  v_confirmed boolean;
  v_organization_id uuid;
begin
  -- Two entries for the same user (trigger, webhook, backfill) take turns; different users never meet here.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_user_id::text, 7222));
  select u.email, coalesce(u.raw_user_meta_data, '{}') || p_metadata, not u.is_anonymous and u.deleted_at is null,
    u.email_confirmed_at is not null or u.phone_confirmed_at is not null,
    coalesce(
      provisioning.profile_organization(p_user_id),
      (select m.organization_id from public.organization_members m where m.user_id = p_user_id order by m.created_at limit 1),
      (select o.id from public.organizations o where o.owner_id = p_user_id order by o.created_at limit 1))
  into v_email, v_metadata, v_eligible, v_confirmed, v_organization_id
  from auth.users u where u.id = p_user_id;
  if v_eligible is not true
    or not v_confirmed and (select s.provision_on from provisioning.settings s) = 'email_confirmed' then
    return null;
  end if;
  if v_organization_id is null then
    return provisioning.create_organization(p_user_id, v_email, v_metadata, p_lane);
  end if;
  perform provisioning.complete_organization(v_organization_id, p_user_id, v_email, v_metadata, p_lane);
  return v_organization_id;
end
$$;
revoke execute on function provisioning.ensure_user_provisioned(uuid, jsonb, text) from public;
comment on function provisioning.ensure_user_provisioned(uuid, jsonb, text) is
  'Creates whatever is missing of a user''s profile, organization, membership, wallet, database row and provision job, and
returns the organization; null for a user who is not to be provisioned (yet). Safe to repeat and to run twice at once.
p_metadata goes over the user''s own, for what has still to be made; p_lane is that of a job that has to be made.';

create function provisioning.record_sign_up_failure(p_user_id uuid, p_sqlstate text, p_message text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.sign_up_failures as f (user_id, sqlstate, message) values (p_user_id, p_sqlstate, p_message)
  on conflict (user_id) do update set sqlstate = excluded.sqlstate, message = excluded.message,
    attempts = f.attempts + 1,
    next_attempt_at = now() + make_interval(secs => least(3600, 10 * power(2, least(f.attempts, 10))));
exception when others then
  raise warning 'user % needs repair (%), and that could not be recorded: %', p_user_id, p_message, sqlerrm;
end
$$;
revoke execute on function provisioning.record_sign_up_failure(uuid, text, text) from public;

create function provisioning.try_to_provision_user(p_user_id uuid, p_lane text default 'sign_up') returns boolean
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
begin
  perform provisioning.ensure_user_provisioned(p_user_id, p_lane => p_lane);
  return true;
exception when others then
  perform provisioning.record_sign_up_failure(p_user_id, sqlstate, sqlerrm);
  return false;
end
$$;
revoke execute on function provisioning.try_to_provision_user(uuid, text) from public;
comment on function provisioning.try_to_provision_user(uuid, text) is
  'ensure_user_provisioned for callers that must not fail: trouble goes to sign_up_failures, and the answer is false.';

create function provisioning.repair_sign_ups(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id uuid;
  v_repaired integer := 0;
begin
  for v_user_id in
    -- The user is locked here, before anything is made: a deletion of them waits for the whole repair. Were it to come in
    -- between, it would wait for the failure's row and the repair for the user's.
    select f.user_id from provisioning.sign_up_failures f join auth.users u on u.id = f.user_id
    where f.next_attempt_at <= now()
    order by f.next_attempt_at limit p_limit for key share of u skip locked for update of f skip locked
  loop
    if provisioning.try_to_provision_user(v_user_id, 'batch') then
      delete from provisioning.sign_up_failures f where f.user_id = v_user_id;
      v_repaired := v_repaired + 1;
    end if;
  end loop;
  return v_repaired;
end
$$;
revoke execute on function provisioning.repair_sign_ups(integer) from public;

create function provisioning.backfill(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id uuid;
  v_done integer := 0;
begin
  for v_user_id in
    select u.id from auth.users u left join public.profiles p on p.id = u.id
    where p.id is null and not u.is_anonymous and u.deleted_at is null
      and (u.email_confirmed_at is not null or u.phone_confirmed_at is not null
        or (select s.provision_on from provisioning.settings s) = 'sign_up')
      and not exists (select from provisioning.sign_up_failures f where f.user_id = u.id)
    order by u.created_at, u.id limit p_limit
  loop
    v_done := v_done + provisioning.try_to_provision_user(v_user_id, 'batch')::integer;
  end loop;
  return v_done;
end
$$;
revoke execute on function provisioning.backfill(integer) from public;
comment on function provisioning.backfill(integer) is
  'For pg_cron: provisions up to p_limit users without a profile, the oldest first, and returns how many. Call it until it
returns 0; every call is a transaction of its own, so it can be interrupted at any time. Trouble goes to sign_up_failures.';

-- Triggers --------------------------------------------------------------------------------------------------------

create function provisioning.handle_new_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.try_to_provision_user(new.id);
  return null;
end
$$;
revoke execute on function provisioning.handle_new_user() from public;
create trigger tenant_provisioning_user_created after insert on auth.users
  for each row execute function provisioning.handle_new_user();

create function provisioning.handle_user_updated() returns trigger
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
begin
  perform provisioning.try_to_provision_user(new.id);
  update public.profiles p set email = new.email,
    full_name = case when new.raw_user_meta_data is distinct from old.raw_user_meta_data
      then coalesce(new.raw_user_meta_data ->> 'full_name', new.raw_user_meta_data ->> 'name', p.full_name) else p.full_name end,
    avatar_url = case when new.raw_user_meta_data is distinct from old.raw_user_meta_data
      then coalesce(new.raw_user_meta_data ->> 'avatar_url', new.raw_user_meta_data ->> 'picture', p.avatar_url) else p.avatar_url end
  where p.id = new.id;
  if new.email is distinct from old.email then
    update public.organizations o set billing_email = new.email
    where o.owner_id = new.id and o.billing_email is not distinct from old.email;
  end if;
  return null;
exception when others then
  -- A change of address or name must go through even when its copy cannot be made; the sweep makes up for it.
  perform provisioning.record_sign_up_failure(new.id, sqlstate, sqlerrm);
  return null;
end
$$;
revoke execute on function provisioning.handle_user_updated() from public;
-- Signing in updates auth.users too; the condition keeps that free of charge. What a soft deletion writes, a hash for an
-- address and no name, is not to be copied.
create trigger tenant_provisioning_user_updated after update on auth.users
  for each row when (new.deleted_at is null and (
    old.email is distinct from new.email
    or old.raw_user_meta_data is distinct from new.raw_user_meta_data
    or old.is_anonymous is distinct from new.is_anonymous
    or (old.email_confirmed_at is null and new.email_confirmed_at is not null)
    or (old.phone_confirmed_at is null and new.phone_confirmed_at is not null)))
  execute function provisioning.handle_user_updated();
