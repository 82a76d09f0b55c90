-- The list of all projects at the provider, read page by page instead of asking about each: who sleeps, who is gone.

create table provisioning.fleet_read (
  id boolean primary key default true check (id),
  -- Of the worker that reads; null when no read is under way.
  token uuid,
  lease_expires_at timestamptz,
  -- Where the next page begins; null for the first one.
  cursor text,
  started_at timestamptz,
  -- Projects were left out of the list, so that absence proves nothing.
  incomplete boolean not null default false,
  seen integer not null default 0,
  -- Projects on the last list that was read to its end.
  projects integer not null default 0,
  finished_at timestamptz,
  constraint readers_have_a_lease check ((token is null) = (lease_expires_at is null))
);
comment on table provisioning.fleet_read is 'How far the provider''s list of the fleet is read. One worker at a time reads it.';
insert into provisioning.fleet_read default values;
alter table provisioning.fleet_read enable row level security;
revoke all on provisioning.fleet_read from anon, authenticated, service_role;

create function provisioning.plan_health_checks() returns table (mode text, token uuid, cursor text)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_read provisioning.fleet_read;
  v_pages integer;
  v_due integer;
begin
  select * into v_read from provisioning.fleet_read r for update;
  if v_read.lease_expires_at > clock_timestamp() then
    return query select 'busy', null::uuid, null::text;
    return;
  end if;
  if v_read.token is null then
    v_pages := ceil(greatest(v_read.projects, 1) / 400.0);
    select count(*) into v_due from (
      select from public.tenant_health h where not h.awake and h.next_check_at <= now() limit v_pages + 1) due;
    if v_due <= v_pages then
      return query select case when v_due > 0 then 'each' else 'none' end, null::uuid, null::text;
      return;
    end if;
    -- A tenant that is missing from the list stays due. Reading the list again at once would not change that, so it waits.
    if v_read.finished_at > clock_timestamp() - (
      select make_interval(secs => s.health_interval_seconds / 2.0) from provisioning.settings s) then
      return query select 'none', null::uuid, null::text;
      return;
    end if;
    update provisioning.fleet_read r set cursor = null, started_at = clock_timestamp(), incomplete = false, seen = 0 where r.id;
  end if;
  -- A new read, or one whose worker fell silent.
  return query
    update provisioning.fleet_read r set token = gen_random_uuid(),
      lease_expires_at = clock_timestamp() + make_interval(secs => 60)
    where r.id returning 'fleet', r.token, r.cursor;
end
$$;
revoke execute on function provisioning.plan_health_checks() from public, anon, authenticated, service_role;
comment on function provisioning.plan_health_checks() is
  'How due tenants are asked for with the fewest calls. none: nothing is due, or the list was read just now. each: so few that
each is asked for on its own. fleet: the caller reads the provider''s list, page by page from `cursor`. busy: another worker is
reading it.';

create function provisioning.fleet_tenants(p_ids text[])
returns table (organization_id uuid, hosted_as text, suspend_timeout_seconds integer, due_soon boolean,
  deep_check_due boolean,
  checked_seconds_ago double precision, reasons jsonb, metrics jsonb, thresholds jsonb)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select h.organization_id, d.hosted_as,
      coalesce(case when z.suspend_refused_at is null then nullif(z.suspend_timeout_seconds, 0) end, 300),
      -- An eighth: more than the tenth by which intervals differ.
      h.next_check_at <= now() + make_interval(secs => s.health_interval_cap_seconds / 8.0)
        and coalesce(h.leased_until <= now(), true),
      s.health_deep_check_hours > 0 and h.probed_at <= now() - make_interval(hours => s.health_deep_check_hours),
      extract(epoch from now() - h.checked_at)::double precision, h.reasons, h.metrics,
        to_jsonb(t) || jsonb_build_object('quota_bytes', p.quota_logical_size_bytes)
    from public.organization_databases d
    join public.tenant_health h on h.organization_id = d.organization_id
    join public.organizations o on o.id = d.organization_id
    join provisioning.plans p on p.plan = o.plan
    join provisioning.health_thresholds t on t.plan = o.plan
    join provisioning.database_sizes z on z.size = d.size
    cross join provisioning.settings s
    where d.hosted_as = any (p_ids) and h.in_fleet_list;
end
$$;
revoke execute on function provisioning.fleet_tenants(text[]) from public, anon, authenticated, service_role;
comment on function provisioning.fleet_tenants(text[]) is
  'The tenants behind a page of the provider''s list. due_soon: those who are due within an eighth of the longest interval are
dealt with, too, so that sleepers fall due together and one list serves them all, unless a worker has them.
suspend_timeout_seconds as claim_health_checks returns it.';

create function provisioning.advance_fleet_read(
  p_token uuid, p_next_cursor text, p_incomplete boolean, p_seen integer, p_listed uuid[], p_awake uuid[]
) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_read provisioning.fleet_read;
begin
  select * into v_read from provisioning.fleet_read r for update;
  if v_read.token is distinct from p_token then
    return false;
  end if;
  -- Rows are locked by ascending id, as record_health_checks does it, so that the two cannot deadlock.
  perform from public.tenant_health h where h.organization_id = any (p_listed) order by h.organization_id for no key update;
  update public.tenant_health h set listed_at = clock_timestamp(),
    awake = h.awake or h.organization_id = any (p_awake) and h.next_check_at <= now()
  where h.organization_id = any (p_listed);
  -- The rest of the list does not matter once every tenant has been seen. That is checked only from the length of the last
  -- list on, because it costs a query.
  if p_next_cursor is not null and (v_read.seen + p_seen < v_read.projects
    or exists (select from public.tenant_health h where h.listed_at < v_read.started_at and h.in_fleet_list)) then
    update provisioning.fleet_read r set cursor = p_next_cursor, incomplete = r.incomplete or p_incomplete,
      seen = r.seen + p_seen,
      lease_expires_at = clock_timestamp() + make_interval(secs => 60)
    where r.id;
    return true;
  end if;
  -- A worker asks the provider for each tenant that was not on the list, and only that answer counts. Tenants that a worker
  -- has already are left out. An incomplete list may lack hundreds because Neon has trouble; after one, a worker asks only for
  -- tenants that no list has had for a long time.
  with missing as (
    select h.organization_id from public.tenant_health h
    where h.listed_at < v_read.started_at and h.in_fleet_list and coalesce(h.leased_until <= now(), true)
      and (not (v_read.incomplete or p_incomplete) or h.listed_at < now() - (
        select make_interval(secs => s.health_interval_cap_seconds) from provisioning.settings s))
    order by h.organization_id for no key update
  )
  update public.tenant_health h set awake = true, next_check_at = least(h.next_check_at, now())
  from missing m where h.organization_id = m.organization_id;
  update provisioning.fleet_read r set token = null, lease_expires_at = null, cursor = null, finished_at = clock_timestamp(),
    projects = r.seen + p_seen
  where r.id;
  return false;
end
$$;
revoke execute on function provisioning.advance_fleet_read(uuid, text, boolean, integer, uuid[], uuid[])
  from public, anon, authenticated, service_role;
comment on function provisioning.advance_fleet_read(uuid, text, boolean, integer, uuid[], uuid[]) is
  'A page of the list is dealt with: p_seen projects, p_listed tenants of ours, p_awake those to look at closer where they are
due. Returns whether the read goes on, at p_next_cursor: not when that is null, every tenant has been seen, or another worker has
taken the read over.';

create function provisioning.abandon_fleet_read(p_token uuid, p_seconds double precision) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.fleet_read r set lease_expires_at = clock_timestamp() + make_interval(secs => p_seconds)
  where r.token = p_token;
end
$$;
revoke execute on function provisioning.abandon_fleet_read(uuid, double precision) from public, anon, authenticated, service_role;
comment on function provisioning.abandon_fleet_read(uuid, double precision) is
  'The page cannot be read now, or the worker has no time left. Another worker goes on at the same page in p_seconds.';

create function provisioning.end_fleet_read(p_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.fleet_read r set token = null, lease_expires_at = null, cursor = null where r.token = p_token;
end
$$;
revoke execute on function provisioning.end_fleet_read(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.end_fleet_read(uuid) is
  'The provider refuses the page, as it does when the cursor came from another account: the next read begins at the first page.
Nothing is concluded about tenants that this read has not come to.';
