-- Checks of the tenants' databases: which are due, who has claimed them, what was found, and how often people may ask for one.

create function provisioning.begin_health_checks(p_organization_id uuid, p_tier text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.tenant_health as h (organization_id, tier, in_fleet_list, awake, status, checked_at, next_check_at)
  select p_organization_id, t.tier, t.in_fleet_list, not t.in_fleet_list, 'healthy', clock_timestamp(),
    now() + make_interval(secs => s.health_interval_seconds)
  from provisioning.settings s join provisioning.tiers t on t.tier = p_tier
  on conflict (organization_id) do update set tier = excluded.tier, in_fleet_list = excluded.in_fleet_list,
    awake = excluded.awake or h.awake and h.in_fleet_list, connected_at = now(), probed_at = now(), used_at = now(),
    next_check_at = now(), leased_until = null;
  update public.organization_databases d set health_status = 'healthy'
  where d.organization_id = p_organization_id and d.health_status = 'unknown';
end
$$;
revoke execute on function provisioning.begin_health_checks(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.begin_health_checks(uuid, text) is
  'A database of this tier that has just been connected to is healthy, and checked from now on; one that is being checked is
looked at again soon.';

create function provisioning.health_check_interval(p_status text, p_calm_checks integer) returns interval
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select make_interval(secs => (1 - random() / 10) * case
      when p_status in ('healthy', 'sleeping')
        then least(s.health_interval_cap_seconds, s.health_interval_seconds * power(2, least(p_calm_checks, 20)))
      else s.health_interval_seconds end)
    from provisioning.settings s);
end
$$;
revoke execute on function provisioning.health_check_interval(text, integer) from public, anon, authenticated, service_role;
comment on function provisioning.health_check_interval(text, integer) is
  'How long after a check the next one is due. It doubles with each calm check before, up to settings.health_interval_cap_seconds,
and is up to a tenth shorter, so that tenants do not fall due together.';

create function provisioning.record_health_history(p_results jsonb, p_organization_ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.tenant_health_checks (organization_id, checked_at, probe, status, reasons, latency_ms, connect_ms,
    pooled_connect_ms, transactions_per_second, cache_hit_ratio, longest_query_seconds, connections, max_connections, size_bytes)
  select r.organization_id, r.checked_at, r.probe, r.status, nullif(r.reasons, '[]'), m.latency_ms, m.connect_ms,
    m.pooled_connect_ms, m.transactions_per_second, m.cache_hit_ratio, m.longest_query_seconds, m.connections, m.max_connections,
    m.size_bytes
  from jsonb_to_recordset(p_results) as r (organization_id uuid, checked_at timestamptz, probe text, status text, reasons jsonb,
    metrics jsonb)
  join public.tenant_health h on h.organization_id = r.organization_id and h.recorded_at = r.checked_at
  cross join lateral jsonb_to_record(coalesce(r.metrics, '{}')) as m (latency_ms real, connect_ms real, pooled_connect_ms real,
    transactions_per_second real, cache_hit_ratio real, longest_query_seconds real, connections integer, max_connections integer,
    size_bytes bigint)
  where h.organization_id = any (p_organization_ids)
  on conflict do nothing;
end
$$;
revoke execute on function provisioning.record_health_history(jsonb, uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.record_health_history(jsonb, uuid[]) is
  'Adds those results to tenant_health_checks whose time the rows of these tenants have as recorded_at.';

create function provisioning.announce_health(p_organization_ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_health public.tenant_health;
begin
  -- Ids in an array, so that the planner knows how few they are.
  update public.organization_databases d set health_status = h.status
  from public.tenant_health h
  where d.organization_id = any (p_organization_ids) and h.organization_id = d.organization_id and d.health_status <> h.status;
  perform provisioning.note_drift_found(p_organization_ids);
  -- Who waited for an awake database has its turn.
  update provisioning.changed_people c set asleep_since = null
  from public.tenant_health h
  where c.organization_id = any (p_organization_ids) and c.asleep_since is not null and h.organization_id = c.organization_id
    and h.status <> 'sleeping';
  for v_health in
    select h.* from public.tenant_health h
    where h.organization_id = any (p_organization_ids) and (h.troubled_checks > 0 or exists (
      select from public.tenant_alerts a
      where a.organization_id = h.organization_id and a.kind = 'tenant_health' and a.resolved_at is null))
    order by h.organization_id
  loop
    perform provisioning.judge_health(v_health);
  end loop;
end
$$;
revoke execute on function provisioning.announce_health(uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.announce_health(uuid[]) is
  'Copies the new status of these tenants to organization_databases, and opens or resolves their alerts. Changes of members that
waited for a database that slept are due when it does not any more.';

create function provisioning.record_health_checks(p_results jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_ids uuid[] := array(select (r ->> 'organization_id')::uuid from jsonb_array_elements(p_results) r);
  v_newer uuid[];
  v_recorded uuid[];
begin
  select * into v_settings from provisioning.settings;
  -- Cron makes partitions ahead, but not while the project is paused.
  perform provisioning.add_partition('public.tenant_health_checks'::regclass, d.day, d.day + interval '24 hours') from (
    select distinct date_trunc('day', (r ->> 'checked_at')::timestamptz, 'utc') as day from jsonb_array_elements(p_results) r) d;
  -- Every transaction locks a tenant's database, then its health, then its alert, and of several tenants the lowest id first;
  -- so none waits for one that waits for it. Provisioning and deletions begin with the database.
  perform from public.organization_databases d where d.organization_id = any (v_ids) order by d.organization_id for no key update;
  with given as (
    select distinct on (r.organization_id) r.*
    from jsonb_to_recordset(p_results) as r (organization_id uuid, checked_at timestamptz, probe text, status text, reasons jsonb,
      metrics jsonb, connected boolean, used_seconds_ago double precision)
    order by r.organization_id, r.checked_at desc
  ), before as (
    select h.organization_id, g.checked_at, h.status is distinct from g.status or g.probe = 'connection' or h.recorded_at is null
      or h.recorded_at <= g.checked_at - make_interval(mins => v_settings.health_sleeping_record_minutes)
      -- Checks come less often than the hour is divided by; without this, trends would lack some hours of a sleeper.
      or v_settings.health_sleeping_record_minutes <= 60
        and date_trunc('hour', h.recorded_at, 'utc') <> date_trunc('hour', g.checked_at, 'utc') as worth_recording,
      -- What could not be found out says nothing for or against; nor does asking again at once.
      g.status <> 'unknown' and (h.counted_at is null
        or h.counted_at <= g.checked_at - make_interval(secs => v_settings.health_interval_seconds / 2.0)) as counts
    from public.tenant_health h join given g using (organization_id)
    where h.checked_at is null or h.checked_at < g.checked_at
    order by h.organization_id for update of h
  ), updated as (
    update public.tenant_health h set status = g.status, reasons = coalesce(g.reasons, '[]'),
      metrics = case g.probe when 'connection' then '{}' else h.metrics end || coalesce(g.metrics, '{}'),
      checked_at = g.checked_at, awake = not h.in_fleet_list, leased_until = null,
      connected_at = case when g.connected then g.checked_at else h.connected_at end,
      probed_at = case g.probe when 'connection' then g.checked_at else h.probed_at end,
      used_at = greatest(h.used_at, g.checked_at - make_interval(secs => g.used_seconds_ago)),
      recorded_at = case when b.worth_recording then g.checked_at else h.recorded_at end,
      counted_at = case when b.counts then g.checked_at else h.counted_at end,
      calm_checks = case when not b.counts then h.calm_checks
        when g.status in ('healthy', 'sleeping') then least(h.calm_checks, 1000) + 1 else 0 end,
      troubled_checks = case when not b.counts then h.troubled_checks
        when g.status in ('degraded', 'unhealthy') then h.troubled_checks + 1 else 0 end,
      unhealthy_checks = case when not b.counts then h.unhealthy_checks
        when g.status = 'unhealthy' then h.unhealthy_checks + 1 else 0 end,
      next_check_at = clock_timestamp() + provisioning.health_check_interval(g.status, h.calm_checks)
    from given g join before b using (organization_id)
    where h.organization_id = g.organization_id
    returning h.organization_id, b.worth_recording
  )
  select coalesce(array_agg(u.organization_id), '{}'),
    coalesce(array_agg(u.organization_id) filter (where u.worth_recording), '{}')
  into v_newer, v_recorded from updated u;
  perform provisioning.record_health_history(p_results, v_recorded);
  perform provisioning.announce_health(v_newer);
  return cardinality(v_newer);
end
$$;
revoke execute on function provisioning.record_health_checks(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.record_health_checks(jsonb) is
  'Writes results [{organization_id, checked_at, probe, status, reasons, metrics, connected, used_seconds_ago}] and what follows
from them: the time of the next check, trends'' rows, alerts. A result that is not newer than what is known changes nothing.
Checks in a row are counted when half of settings.health_interval_seconds lie between them. Returns how many results were newer.';

create function provisioning.claim_health_checks(p_limit integer, p_awake_only boolean, p_organization_id uuid default null)
returns table (organization_id uuid, tier text, hosted_as text, host text, pooled_host text, port integer,
  pooled_port integer, pooler_tenant text, database_name text, role_name text, ssl_mode text, deep_check_due boolean,
  reasons jsonb, metrics jsonb, thresholds jsonb,
  suspend_timeout_seconds integer, probed_seconds_ago double precision, used_seconds_ago double precision,
  last_probe_connected boolean,
  schema_version integer, schema_drift_at timestamptz)
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
begin
  select * into v_settings from provisioning.settings;
  return query
  with awake as (
    select h.organization_id from public.tenant_health h
    where h.awake and h.next_check_at <= now() and p_organization_id is null
    order by h.next_check_at limit p_limit for update skip locked
  ), others as (
    select h.organization_id from public.tenant_health h
    where not h.awake and h.next_check_at <= now() and not p_awake_only and p_organization_id is null
    order by h.next_check_at limit p_limit - (select count(*) from awake) for update skip locked
  ), due as (
    select a.organization_id from awake a union all select x.organization_id from others x union all select p_organization_id
  ), claimed as (
    update public.tenant_health h set next_check_at = now() + make_interval(secs => v_settings.health_lease_seconds),
      leased_until = now() + make_interval(secs => v_settings.health_lease_seconds)
    from due where h.organization_id = due.organization_id
    returning h.organization_id, h.connected_at, h.probed_at, h.used_at, h.reasons, h.metrics, h.tier, h.in_fleet_list
  )
  select c.organization_id, c.tier, d.hosted_as, d.host, d.pooled_host, d.port, d.pooled_port, d.pooler_tenant,
    d.database_name, d.database_name || '_health', d.ssl_mode::text,
    v_settings.health_deep_check_hours > 0 and c.probed_at <= now() - make_interval(hours => v_settings.health_deep_check_hours),
    c.reasons, c.metrics,
    to_jsonb(t) || jsonb_build_object('quota_bytes', case when c.in_fleet_list then p.quota_logical_size_bytes end),
    coalesce(case when z.suspend_refused_at is null then nullif(z.suspend_timeout_seconds, 0) end, 300),
    extract(epoch from now() - c.probed_at)::double precision,
    extract(epoch from now() - c.used_at)::double precision, c.connected_at >= c.probed_at, d.schema_version,
    d.schema_drift_at
  from claimed c
  join public.organization_databases d on d.organization_id = c.organization_id
  join public.organizations o on o.id = c.organization_id
  join provisioning.plans p on p.plan = o.plan
  join provisioning.health_thresholds t on t.plan = o.plan
  join provisioning.database_sizes z on z.size = d.size;
end
$$;
revoke execute on function provisioning.claim_health_checks(integer, boolean, uuid)
  from public, anon, authenticated, service_role;
comment on function provisioning.claim_health_checks(integer, boolean, uuid) is
  'Takes up to p_limit due tenants, those that the fleet''s list showed awake first, or the one that is named, due or not. No
other worker takes them for settings.health_lease_seconds. suspend_timeout_seconds is the usual 300 where the size leaves
it open, -1 for never; last_probe_connected: the last attempt to connect opened a session.';

create function provisioning.release_health_checks(p_organization_ids uuid[], p_seconds double precision,
  p_awake boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_health h set awake = h.awake and (p_awake or not h.in_fleet_list), leased_until = null,
    next_check_at = clock_timestamp() + make_interval(secs => p_seconds * (1 + random() / 5))
  where h.organization_id = any (p_organization_ids);
end
$$;
revoke execute on function provisioning.release_health_checks(uuid[], double precision, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.release_health_checks(uuid[], double precision, boolean) is
  'Puts claimed tenants back, due in p_seconds and up to a fifth later each: nothing could be found out now. p_awake: whether
those that the fleet''s list showed awake still count as such, so that they need no list to be claimed.';

create function provisioning.count_health_request(p_organization_id uuid, p_user_id uuid) returns integer
language plpgsql security definer set search_path = '' as $$
begin
  return provisioning.count_call(
    format('health/%s/%s', case when exists (select from provisioning.operators o where o.user_id = p_user_id)
      then 'operators' else 'members' end, p_organization_id),
    (select s.health_requests_per_minute from provisioning.settings s));
end
$$;
revoke execute on function provisioning.count_health_request(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.count_health_request(uuid, uuid) is
  'Counts a check on demand by a user, for a tenant''s members together and for operators together. Returns 0, or the seconds
until the next may be made.';
