-- From auth.users to a tenant in the making, inside the sign-up's own transaction and without ever failing it.

select provisioning.lock_users();

create table provisioning.sign_up_failures (
  user_id uuid primary key references auth.users (id) on delete cascade,
  sqlstate text not null,
  message provisioning_types.kept_text not null,
  attempts integer not null default 1,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);
comment on table provisioning.sign_up_failures is
  'Users whose rows could not be made during sign-up. The sweep tries again, ever less often, and removes the row when it
worked.';
create index sign_up_failures_due_idx on provisioning.sign_up_failures (next_attempt_at);
alter table provisioning.sign_up_failures enable row level security;
revoke all on provisioning.sign_up_failures from anon, authenticated, service_role;

create function provisioning.wanted_regions(
  p_metadata jsonb, p_default text, out data_region text, out hosting_region text, out unknown jsonb
)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_data text := nullif(lower(btrim(left(p_metadata ->> 'data_region', 63))), '');
  v_hosting text := nullif(lower(btrim(left(p_metadata ->> 'hosting_region', 63))), '');
  v_found text;
begin
  unknown := '{}';
  if v_data is not null then
    select r.data_region, r.hosting_region into data_region, hosting_region from provisioning.regions r
    where r.data_region = v_data or r.neon_region = v_data or v_data = any (r.aliases);
  end if;
  if data_region is null then
    unknown := jsonb_strip_nulls(jsonb_build_object('unknown_data_region', provisioning.plain_text(v_data, 63)));
    select r.data_region, r.hosting_region into data_region, hosting_region from provisioning.regions r
    where r.data_region = p_default;
  end if;
  if v_hosting is not null then
    select r.hosting_region into v_found from provisioning.regions r
    where r.hosting_region = v_hosting or v_hosting = any (r.aliases);
    hosting_region := coalesce(v_found, hosting_region);
    if v_found is null then
      unknown := unknown
        || jsonb_strip_nulls(jsonb_build_object('unknown_hosting_region', provisioning.plain_text(v_hosting, 63)));
    end if;
  end if;
end
$$;
revoke execute on function provisioning.wanted_regions(jsonb, text) from public, anon, authenticated, service_role;
comment on function provisioning.wanted_regions(jsonb, text) is
  'The regions that somebody asked for, or the default one, and in `unknown` what was asked for and is not known.';

create function provisioning.make_tenant(
  p_user_id uuid, p_email text, p_metadata jsonb, p_lane text, p_was_asked_for boolean default false, p_id uuid default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  -- As in uuid_v7, because calling that would take as long again.
  v_id uuid := coalesce(p_id, overlay(gen_random_uuid()::text
    placing '0' || to_hex((date_part('epoch', clock_timestamp()) * 1000)::bigint) || '7' from 1 for 15)::uuid);
  v_full_name text := p_metadata ->> 'full_name';
  v_name text;
  v_slug text;
  v_slug_is_held boolean;
  v_slug_is_taken boolean;
  v_email text := nullif(btrim(p_email), '');
  v_person_email text := v_email;
  v_avatar_url text;
  v_plan text;
  v_currency text;
  v_default_region text;
  -- [data region, hosting region]
  v_region jsonb;
  v_mapping jsonb;
  v_person jsonb;
  v_tier text;
  v_kind text;
  v_status jsonb;
  v_data_region text;
  v_hosting_region text;
  v_unknown jsonb := '{}';
  v_expects_members boolean;
begin
  -- Every sign-up waits for this. So names that need no care, as most do, are recognized here, and get the slug that free_slug
  -- would give them; and whether it is taken is read together with all else, after the lock, for the reason that free_slug has.
  if v_full_name ~ '^[A-Za-z0-9]+([ -][A-Za-z0-9]+)*$' and octet_length(v_full_name) <= 34
    and not p_metadata ? 'organization_name' then
    v_name := v_full_name || '''s organization';
    v_slug := translate(lower(v_full_name), ' ', '-') || 's-organization';
    v_slug_is_held := pg_catalog.pg_try_advisory_xact_lock(7223, pg_catalog.hashtext(v_slug) & 1023);
  end if;
  select d.plan, d.currency, d.tier, d.kind, d.initial_status, d.data_region,
    -- No region is named, or one by a name that it has.
    d.regions -> coalesce(p_metadata ->> 'data_region', d.data_region), d.mapping, d.expects_members,
    v_slug_is_held and exists (select from public.organizations o where o.slug = v_slug)
  into v_plan, v_currency, v_tier, v_kind, v_status, v_default_region, v_region, v_mapping, v_expects_members, v_slug_is_taken
  from provisioning.sign_up_defaults d;
  if v_expects_members and not p_was_asked_for then
    if provisioning.is_expected(p_email) and provisioning.keep_waiting(p_user_id, p_email, p_metadata) then
      return null;
    end if;
  end if;
  if v_mapping is not null then
    if p_id is null and v_mapping ? 'tenants' then
      perform provisioning.welcome_without_tenant(p_user_id, p_email, p_metadata, p_was_asked_for);
      return null;
    end if;
    if v_mapping ? 'profiles' then
      v_person := provisioning.person_of_theirs(p_user_id);
      p_metadata := case when jsonb_typeof(p_metadata) = 'object' then p_metadata || v_person else v_person end;
      v_person_email := coalesce(v_person ->> 'email', v_email);
      if p_metadata ->> 'full_name' <> v_full_name then
        v_name := null;
      end if;
    end if;
  end if;
  if v_name is null then
    v_full_name := provisioning.full_name_of(p_metadata);
    v_name := coalesce(provisioning.plain_text(p_metadata ->> 'organization_name', 200),
      left(v_full_name || '''s organization', 200),
      provisioning.plain_text(provisioning.name_in_address(p_email), 200), 'Organization');
    v_slug := provisioning.free_slug(v_name);
  elsif not v_slug_is_held or v_slug_is_taken then
    -- Ten hexadecimal digits as in free_slug. They keep slugs apart and nothing secret, so these need not be hard to guess.
    v_slug := v_slug || '-' || lpad(to_hex((random() * 1099511627775)::bigint), 10, '0');
  end if;
  if p_metadata ?| '{avatar_url,picture}' then
    v_avatar_url := provisioning.avatar_of(p_metadata);
  end if;
  v_data_region := v_region ->> 0;
  v_hosting_region := v_region ->> 1;
  if v_data_region is null or p_metadata ? 'hosting_region' then
    select r.data_region, r.hosting_region, r.unknown into v_data_region, v_hosting_region, v_unknown
    from provisioning.wanted_regions(p_metadata, v_default_region) r;
  end if;
  -- One statement instead of five: each would cost as much again as the row that it writes.
  with organization as (
    insert into public.organizations (id, name, slug, owner_id, plan, billing_email, data_region, hosting_region,
      provisioning_status)
    values (v_id, v_name, v_slug, p_user_id, v_plan, v_email, v_data_region, v_hosting_region,
      v_status || jsonb_build_object('changed_at', now()))
  ), membership as (
    insert into public.organization_members (organization_id, user_id, role) values (v_id, p_user_id, 'owner')
  ), profile as (
    insert into public.profiles (id, email, full_name, avatar_url, organization_id, in_search_index)
    values (p_user_id, v_person_email, v_full_name, v_avatar_url, v_id, false)
    on conflict (id) do nothing
  ), wallet as (
    insert into public.wallets (user_id, currency) values (p_user_id, v_currency)
    on conflict (user_id) do nothing
  )
  -- The first job of an organization has its id. Another one would take as long as a row.
  insert into public.provisioning_jobs (id, organization_id, kind, tier, lane, request, requested_by)
  values (v_id, v_id, v_kind, v_tier, p_lane, v_unknown, p_user_id);
  return v_id;
end
$$;
revoke execute on function provisioning.make_tenant(uuid, text, jsonb, text, boolean, uuid)
  from public, anon, authenticated, service_role;
comment on function provisioning.make_tenant(uuid, text, jsonb, text, boolean, uuid) is
  'A new organization with its owner, their profile and wallet, where they are missing, and the job that provisions it. A region
that is not known becomes the default one, and the job''s request says so. What nobody needs before a worker begins is made then:
see begin_provisioning. Null for somebody whom an organization expects, see keep_waiting, unless they have asked for one of their
own. Where tenants are the project''s own (mapped_tenant), p_id is that of its row; without one there is only a profile.';

create function provisioning.record_sign_up(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, resource_id, status, metadata,
    started_at, completed_at)
  select o.id, j.id, 'sign_up', 'user', j.requested_by::text, 'succeeded', j.request, j.created_at, j.created_at
  from public.organizations o
  -- The job that was made with the organization, in one transaction and so with the same time.
  join public.provisioning_jobs j on j.organization_id = o.id and j.created_at = o.created_at
  where o.id = p_organization_id and not exists (
    select from public.provisioning_events e
    where e.organization_id = o.id and e.event_type in ('sign_up', 'organization.created'));
end
$$;
revoke execute on function provisioning.record_sign_up(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.record_sign_up(uuid) is
  'Adds the event of the sign-up, with the time of the sign-up, unless it is there or the organization was made without one.
Called when something begins to happen to the organization: its provisioning or its removal.';

create function provisioning.begin_provisioning(p_job_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_organization_id uuid := (select j.organization_id from public.provisioning_jobs j where j.id = p_job_id);
begin
  -- The user before the profile, as Auth has it when it changes a user: the index refers to both.
  perform provisioning.hold_owner(v_organization_id);
  perform provisioning.record_sign_up(v_organization_id);
  -- The profile before the database, as in complete_organization, which may run for the same organization at the same time.
  update public.profiles p set in_search_index = true
  from public.organizations o where o.id = v_organization_id and p.id = o.owner_id and not p.in_search_index;
  perform provisioning.ensure_database(v_organization_id);
end
$$;
revoke execute on function provisioning.begin_provisioning(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.begin_provisioning(uuid) is
  'What prepare_job does before the first step of a provisioning: everything that belongs to a sign-up and that nobody needs
sooner. Safe to repeat.';
update provisioning.job_kinds set before_steps = 'begin_provisioning' where purpose = 'provision';

create function provisioning.complete_organization(
  p_organization_id uuid, p_user_id uuid, p_email text, p_metadata jsonb, p_lane text
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_person constant jsonb := provisioning.mapped_person(p_user_id);
begin
  insert into public.organization_members (organization_id, user_id, role)
  select o.id, p_user_id, 'owner' from public.organizations o where o.id = p_organization_id and o.owner_id = p_user_id
  on conflict (organization_id, user_id) do nothing;
  if found and pg_trigger_depth() > 0 then
    perform provisioning.audit(p_organization_id, 'member.added', 'user', p_user_id::text, '{"to": "owner"}');
  end if;
  update public.organization_members m set role = 'owner' from public.organizations o
  where o.id = p_organization_id and o.owner_id = p_user_id
    and m.organization_id = p_organization_id and m.user_id = p_user_id and m.role <> 'owner';
  insert into public.profiles as p (id, email, full_name, avatar_url, organization_id)
  values (p_user_id, coalesce(v_person ->> 'email', p_email),
    provisioning.full_name_of(p_metadata || v_person), provisioning.avatar_of(p_metadata || v_person), p_organization_id)
  on conflict (id) do update set email = excluded.email, organization_id = excluded.organization_id
  where (p.organization_id, p.email) is distinct from (excluded.organization_id, excluded.email);
  -- Whoever calls this holds the user, whom no foreign key looks for.
  insert into public.wallets (user_id, currency) select p_user_id, s.default_currency from provisioning.settings s
  on conflict (user_id) do nothing;
  if not exists (
    select from public.provisioning_jobs j
    where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('provision')) then
    perform provisioning.enqueue(p_organization_id, provisioning.kind_for('provision'), '{}', p_user_id, p_lane);
  end if;
  -- Before a worker has begun, the rest is still to be made.
  perform provisioning.begin_provisioning(j.id) from public.provisioning_jobs j
  where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('provision') and j.started_at is not null
  order by j.created_at desc limit 1;
end
$$;
revoke execute on function provisioning.complete_organization(uuid, uuid, text, jsonb, text)
  from public, anon, authenticated, service_role;
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
revoke execute on function provisioning.profile_organization(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.profile_organization(uuid) is
  'The organization that a profile names; null when the user does not belong to it (any more).';

create function provisioning.hold_user(p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- In this order, because who deletes a user holds the row before anything else.
  perform from auth.users u where u.id = p_user_id for key share;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_user_id::text, 7222));
end
$$;
revoke execute on function provisioning.hold_user(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.hold_user(uuid) is
  'Two entries for the same user (webhook, repair, backfill) take turns, and the user is not deleted until both have ended.
Different users never meet here. It comes before all locks of what is the user''s.';

create function provisioning.ensure_user_provisioned(
  p_user_id uuid, p_metadata jsonb default '{}', p_lane text default 'sign_up'
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_email text;
  v_metadata jsonb;
  v_eligible boolean;
  v_confirmed boolean;
  v_wanted boolean;
  v_organization_id uuid;
begin
  -- The trigger of the sign-up needs no such thing: nobody else sees the user before it has committed.
  perform provisioning.hold_user(p_user_id);
  select nullif(btrim(u.email), ''), provisioning.cut_metadata(coalesce(u.raw_user_meta_data, '{}') || p_metadata),
    not u.is_anonymous and u.deleted_at is null,
    u.email_confirmed_at is not null or u.phone_confirmed_at is not null,
    -- Only the backend writes app metadata.
    (u.raw_app_meta_data @> '{"provision": false}') is not true,
    coalesce(
      provisioning.profile_organization(p_user_id),
      (select m.organization_id from public.organization_members m where m.user_id = p_user_id order by m.created_at limit 1),
      (select o.id from public.organizations o where o.owner_id = p_user_id order by o.created_at limit 1))
  into v_email, v_metadata, v_eligible, v_confirmed, v_wanted, v_organization_id
  from auth.users u where u.id = p_user_id;
  if v_eligible is not true
    or not v_confirmed and (select s.provision_on from provisioning.settings s) = 'email_confirmed' then
    return null;
  end if;
  if v_organization_id is null then
    -- Whose tenant was removed on purpose does not come back with a change of the account.
    if exists (select from provisioning.removed_tenants r where r.user_id = p_user_id) then
      return null;
    end if;
    if not v_wanted then
      perform provisioning.make_profile(p_user_id, v_email, v_metadata);
      return null;
    end if;
    v_organization_id := provisioning.make_tenant(p_user_id, v_email, v_metadata, p_lane);
    if v_organization_id is null then
      perform provisioning.follow_tenants_of(p_user_id);
      v_organization_id := provisioning.profile_organization(p_user_id);
    end if;
    if v_organization_id is null then
      return null;
    end if;
  end if;
  delete from provisioning.waiting_users w where w.user_id = p_user_id;
  perform provisioning.complete_organization(v_organization_id, p_user_id, v_email, v_metadata, p_lane);
  return v_organization_id;
end
$$;
revoke execute on function provisioning.ensure_user_provisioned(uuid, jsonb, text) from public, anon, authenticated, service_role;
comment on function provisioning.ensure_user_provisioned(uuid, jsonb, text) is
  'Creates whatever is missing of a user''s profile, organization, membership, wallet, database row and provision job, and
returns the organization; null for a user who is not to be provisioned: not yet, because the tenant was removed on purpose,
because an organization expects the user as a member, or because the backend says so ("provision": false in the app metadata).
The last two get a profile. Safe to repeat and to run twice at once. p_metadata goes over the user''s own, for what has still to
be made; p_lane is that of a job that has to be made.';

create function provisioning.record_sign_up_failure(p_user_id uuid, p_sqlstate text, p_message text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.sign_up_failures as f (user_id, sqlstate, message)
  values (p_user_id, p_sqlstate, left(p_message, 4000))
  on conflict (user_id) do update set sqlstate = excluded.sqlstate, message = excluded.message,
    attempts = f.attempts + 1,
    next_attempt_at = now() + make_interval(secs => least(3600, 10 * power(2, least(f.attempts, 10))));
exception when others then
  raise warning 'user % needs repair (%), and that could not be recorded: %', p_user_id, p_message, sqlerrm;
end
$$;
revoke execute on function provisioning.record_sign_up_failure(uuid, text, text) from public, anon, authenticated, service_role;

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
revoke execute on function provisioning.try_to_provision_user(uuid, text) from public, anon, authenticated, service_role;
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
revoke execute on function provisioning.repair_sign_ups(integer) from public, anon, authenticated, service_role;

create function provisioning.backfill(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id uuid;
  v_tenant_id uuid;
  v_done integer := 0;
begin
  for v_user_id in
    select u.id from auth.users u left join public.profiles p on p.id = u.id
    where p.id is null and not u.is_anonymous and u.deleted_at is null
      and (u.email_confirmed_at is not null or u.phone_confirmed_at is not null
        or (select s.provision_on from provisioning.settings s) = 'sign_up')
      and not exists (select from provisioning.sign_up_failures f where f.user_id = u.id)
      and not exists (select from provisioning.removed_tenants r where r.user_id = u.id)
    order by u.created_at, u.id limit least(p_limit, 1000)
  loop
    v_done := v_done + provisioning.try_to_provision_user(v_user_id, 'batch')::integer;
  end loop;
  for v_tenant_id in select t.id from provisioning.tenants_to_be_made(null, 100000) t loop
    exit when v_done >= least(p_limit, 1000);
    -- Those without an owner who may have a tenant are left as they are.
    v_done := v_done + (provisioning.try_to_follow_row('tenants', v_tenant_id)
      and exists (select from public.organizations o where o.id = v_tenant_id))::integer;
  end loop;
  return v_done;
end
$$;
revoke execute on function provisioning.backfill(integer) from public, anon, authenticated, service_role;
comment on function provisioning.backfill(integer) is
  'For pg_cron: provisions up to p_limit users (at most 1000) without a profile, the oldest first, and tenants of the project''s
own table where one is mapped, and returns how many. Call it until it returns 0; every call is a transaction of its own, so it can
be interrupted at any time. Trouble goes to sign_up_failures and mapping_failures.';

-- Triggers --------------------------------------------------------------------------------------------------------

create function provisioning.statement_timed_out(p_error text default null) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_timeout text := current_setting('statement_timeout');
begin
  return v_timeout <> '0' and (p_error = 'canceling statement due to statement timeout'
    or clock_timestamp() - statement_timestamp() >= v_timeout::interval - interval '20 ms');
end
$$;
revoke execute on function provisioning.statement_timed_out(text) from public, anon, authenticated, service_role;
comment on function provisioning.statement_timed_out(text) is
  'Whether the time of the running statement (statement_timeout) is up. A query_canceled (p_error is its message) with that came
from the clock, and the server cancels a statement for its time only once. Without, somebody has asked for the cancellation. The
clock alone does not tell: the server counts from the first message of the extended protocol, and statement_timestamp() is that of
the last one; what was waited for in between, a lock on auth.users for example, is missing from it. The message alone does not
tell either: a server may speak another language.';

create function provisioning.handle_new_user() returns trigger
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
  -- Assigning is quicker than PERFORM.
  v_id uuid;
begin
  if new.is_anonymous or new.deleted_at is not null or new.raw_app_meta_data @> '{"provision": false}' then
    if not new.is_anonymous and new.deleted_at is null
      and (coalesce(new.email_confirmed_at, new.phone_confirmed_at) is not null
        or (select s.provision_on from provisioning.settings s) = 'sign_up') then
      perform provisioning.make_profile(new.id, new.email, provisioning.cut_metadata(new.raw_user_meta_data));
    end if;
    return null;
  end if;
  -- What a sign-up needs rarely has a condition of its own: of one expression each part is prepared, also what is not reached.
  if new.email_confirmed_at is null and new.phone_confirmed_at is null then
    if (select s.provision_on from provisioning.settings s) = 'email_confirmed' then
      return null;
    end if;
  end if;
  if current_setting('statement_timeout') <> '0' then
    if provisioning.statement_timed_out() then
      -- Another user of the same statement has used up its time.
      raise query_canceled using message = 'The statement had no time left.';
    end if;
  end if;
  -- As in quick_metadata, because calling that would take as long again.
  if pg_column_size(new.raw_user_meta_data) > 1000 or new.raw_user_meta_data @? '$ ? (
    @.full_name.type() != "string" || @.name.type() != "string" || @.organization_name.type() != "string"
    || @.avatar_url.type() != "string" || @.picture.type() != "string" || @.data_region.type() != "string"
    || @.hosting_region.type() != "string" || exists(@.user_name) || exists(@.preferred_username))'
  then
    v_id := provisioning.make_tenant(new.id, new.email, provisioning.cut_metadata(new.raw_user_meta_data), 'sign_up');
  else
    v_id := provisioning.make_tenant(new.id, new.email, new.raw_user_meta_data, 'sign_up');
  end if;
  return null;
exception
  when query_canceled then
    -- Auth's client that has given up ends the sign-up. A statement_timeout does not: there is nobody to repeat it.
    if not provisioning.statement_timed_out(sqlerrm) then
      raise;
    end if;
    perform provisioning.record_sign_up_failure(new.id, sqlstate, sqlerrm);
    return null;
  when others then
    perform provisioning.record_sign_up_failure(new.id, sqlstate, sqlerrm);
    return null;
end
$$;
revoke execute on function provisioning.handle_new_user() from public, anon, authenticated, service_role;
comment on function provisioning.handle_new_user() is
  'Trigger: the rows of a new user''s tenant, or a row in sign_up_failures, from which the sweep repairs the user. Flat, because
each sign-up waits for it: it uses NEW, asks for nothing that cannot exist yet and takes no lock per user.';
create trigger tenant_provisioning_user_created after insert on auth.users
  for each row execute function provisioning.handle_new_user();

-- Who was anonymous until now. Auth writes in one statement that somebody no longer is, and the address in the next one of the
-- same transaction; the organization gets its name when both are there.
create table provisioning.converted_users (
  user_id uuid primary key
);
comment on table provisioning.converted_users is
  'Users who are provisioned when their transaction is about to commit; empty in between.';
alter table provisioning.converted_users enable row level security;
revoke all on provisioning.converted_users from public, anon, authenticated, service_role;

create function provisioning.provision_converted_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from provisioning.converted_users c where c.user_id = new.user_id;
  if provisioning.profile_organization(new.user_id) is null then
    perform provisioning.try_to_provision_user(new.user_id);
  end if;
  return null;
exception when query_canceled then
  if not provisioning.statement_timed_out(sqlerrm) then
    raise;
  end if;
  perform provisioning.record_sign_up_failure(new.user_id, sqlstate, sqlerrm);
  return null;
end
$$;
revoke execute on function provisioning.provision_converted_user() from public, anon, authenticated, service_role;
comment on function provisioning.provision_converted_user() is
  'Trigger at the end of the transaction in which an anonymous user became a permanent one.';
create constraint trigger converted_users_are_provisioned after insert on provisioning.converted_users
  deferrable initially deferred for each row execute function provisioning.provision_converted_user();

create function provisioning.take_back_tenant(p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
begin
  -- A row of the project's own table is a tenant, whoever owns it.
  if provisioning.mapped('tenants') is not null then
    return;
  end if;
  select o.id into v_id from public.organizations o where o.owner_id = p_user_id and provisioning.is_unseen(o);
  if v_id is null then
    return;
  end if;
  update public.profiles p set organization_id = null, in_search_index = true
  where p.id = p_user_id and p.organization_id = v_id;
  delete from public.wallets w where w.user_id = p_user_id and w.created_at = now();
  perform provisioning.remove_organization(v_id);
end
$$;
revoke execute on function provisioning.take_back_tenant(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.take_back_tenant(uuid) is
  'Leaves a user with a profile whose tenant the running transaction has made. A tenant from before stays.';

create function provisioning.follow_user(p_old auth.users, p_new auth.users) returns void
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
  v_old_email text := nullif(btrim(p_old.email), '');
  v_email text := nullif(btrim(p_new.email), '');
  v_old jsonb;
  v_new jsonb;
begin
  if p_new.raw_user_meta_data is distinct from p_old.raw_user_meta_data then
    v_old := provisioning.cut_metadata(p_old.raw_user_meta_data);
    v_new := provisioning.cut_metadata(p_new.raw_user_meta_data);
  end if;
  -- Auth writes the user first and what the backend says of them after it, in one transaction.
  if p_new.raw_app_meta_data @> '{"provision": false}' then
    perform provisioning.take_back_tenant(p_new.id);
  end if;
  if p_old.is_anonymous and not p_new.is_anonymous then
    insert into provisioning.converted_users (user_id) values (p_new.id) on conflict do nothing;
  -- Only for those who have nothing yet: the lock that it takes for each user would add up in an update of many.
  elsif provisioning.profile_organization(p_new.id) is null then
    perform provisioning.try_to_provision_user(p_new.id);
  end if;
  if provisioning.mapped('profiles') is not null then
    perform provisioning.follow_person(p_new.id);
  else
    -- What is as it was is not copied: the person may have written something else into the profile since.
    update public.profiles p set email = v_email,
      full_name = coalesce(nullif(provisioning.full_name_of(v_new), provisioning.full_name_of(v_old)), p.full_name),
      avatar_url = coalesce(nullif(provisioning.avatar_of(v_new), provisioning.avatar_of(v_old)), p.avatar_url)
    where p.id = p_new.id;
  end if;
  if v_email is distinct from v_old_email then
    update public.organizations o set billing_email = v_email
    where o.owner_id = p_new.id and o.billing_email is not distinct from v_old_email;
  end if;
-- A change of address or name must go through even when its copy cannot be made; the sweep makes up for it.
exception
  when query_canceled then
    if not provisioning.statement_timed_out(sqlerrm) then
      raise;
    end if;
    perform provisioning.record_sign_up_failure(p_new.id, sqlstate, sqlerrm);
  when others then
    perform provisioning.record_sign_up_failure(p_new.id, sqlstate, sqlerrm);
end
$$;
revoke execute on function provisioning.follow_user(auth.users, auth.users) from public, anon, authenticated, service_role;
comment on function provisioning.follow_user(auth.users, auth.users) is
  'Provisions a user who may be eligible only now, and copies a changed name and address.';

create function provisioning.handle_user_updated() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- What a soft deletion writes, a hash for an address and no name, is not to be copied.
  if new.deleted_at is null and (
    old.email is distinct from new.email
    or old.raw_user_meta_data is distinct from new.raw_user_meta_data
    or old.raw_app_meta_data -> 'provision' is distinct from new.raw_app_meta_data -> 'provision'
    or old.is_anonymous is distinct from new.is_anonymous
    or old.email_confirmed_at is null and new.email_confirmed_at is not null
    or old.phone_confirmed_at is null and new.phone_confirmed_at is not null) then
    perform provisioning.follow_user(old, new);
  end if;
  return null;
end
$$;
revoke execute on function provisioning.handle_user_updated() from public, anon, authenticated, service_role;
comment on function provisioning.handle_user_updated() is
  'Trigger: follow_user for what concerns us. Signing in updates auth.users too, so the rest costs a comparison only. It stands
here and not in a WHEN of the trigger, because Postgres refuses to change the type of a column that a trigger names, as updates
of Auth have done.';
create trigger tenant_provisioning_user_updated after update on auth.users
  for each row execute function provisioning.handle_user_updated();
