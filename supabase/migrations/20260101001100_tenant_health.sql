-- How each tenant's database is. A sweep reads the fleet from the provider's list and connects to awake computes only:
-- connecting wakes a sleeping one, and that costs money. Whatever is due says so in its row; a tick only rings.

insert into provisioning.workers (worker, function_name) values ('health', 'check-tenant-health');

create table public.tenant_health (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  status provisioning.health_status not null default 'unknown',
  -- [{"code", "severity", "message"}]: why it is not simply healthy.
  reasons jsonb not null default '[]',
  -- What the newest connection measured, and what the provider says of a sleeper. Units are in the names.
  metrics jsonb not null default '{}',
  checked_at timestamptz,
  -- When its database was last connected to, and when that was last tried.
  connected_at timestamptz not null default now(),
  probed_at timestamptz not null default now(),
  -- When somebody else last used it, as far as the provider tells: a check makes a compute active, too.
  used_at timestamptz not null default now(),
  -- When the next check is due; while a worker has the tenant, when another one may take it.
  next_check_at timestamptz not null default now(),
  -- Until when a worker has the tenant; null when none does. What it finds out counts more than the fleet's list.
  leased_until timestamptz,
  -- The fleet's list says that its compute is awake, or it is time to wake it: a worker is to look closer.
  awake boolean not null default false,
  -- When the fleet's list last had it.
  listed_at timestamptz not null default now(),
  -- When a row in tenant_health_checks was last written.
  recorded_at timestamptz,
  -- When a check was last counted: checks on demand must not make a moment's trouble look like a lasting one.
  counted_at timestamptz,
  -- Counted checks in a row: healthy or sleeping; degraded or unhealthy; unhealthy.
  calm_checks integer not null default 0,
  troubled_checks integer not null default 0,
  unhealthy_checks integer not null default 0
) with (fillfactor = 80);
comment on table public.tenant_health is 'The newest knowledge of each tenant''s database, and when it is looked at again.';
-- Every tenant is in exactly one of these two indexes, in the order in which workers take the checks that are due.
create index tenant_health_due_idx on public.tenant_health (next_check_at) where not awake;
create index tenant_health_awake_idx on public.tenant_health (next_check_at) where awake;

alter table public.tenant_health enable row level security;
revoke all on public.tenant_health from anon, authenticated, service_role;
grant select on public.tenant_health to authenticated, service_role;
create policy "members read their organization's health" on public.tenant_health for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

create domain provisioning.health_probe as text
  -- state: the provider was asked. connection: the database was.
  constraint health_probe_is_known check (value in ('state', 'connection'));

-- No foreign key: rows go with their partition, and a deleted organization's soon.
create table public.tenant_health_checks (
  organization_id uuid not null,
  checked_at timestamptz not null,
  probe provisioning.health_probe not null,
  status provisioning.health_status not null,
  reasons jsonb,
  latency_ms real,
  connect_ms real,
  pooled_connect_ms real,
  transactions_per_second real,
  cache_hit_ratio real,
  longest_query_seconds real,
  connections integer,
  max_connections integer,
  size_bytes bigint,
  primary key (organization_id, checked_at)
) partition by range (checked_at);
comment on table public.tenant_health_checks is
  'One row a check, in a partition a day. A tenant that goes on sleeping gets one every settings.health_sleeping_record_minutes
only.';

create table public.tenant_health_hourly (
  organization_id uuid not null,
  hour timestamptz not null,
  checks integer not null,
  -- Checks that were not unhealthy.
  available integer not null,
  -- Share of the watched time, 0 to 1, in which it was not unhealthy. Trouble is looked at more often than calm, so the
  -- share of checks would exaggerate it.
  availability real,
  min_latency_ms real,
  median_latency_ms real,
  p95_latency_ms real,
  size_bytes bigint,
  primary key (organization_id, hour)
) partition by range (hour);
comment on table public.tenant_health_hourly is 'Trends: tenant_health_checks by the hour, in a partition a month.';

alter table public.tenant_health_checks enable row level security;
revoke all on public.tenant_health_checks from anon, authenticated, service_role;
grant select on public.tenant_health_checks to authenticated, service_role;
create policy "members read their organization's checks" on public.tenant_health_checks for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

alter table public.tenant_health_hourly enable row level security;
revoke all on public.tenant_health_hourly from anon, authenticated, service_role;
grant select on public.tenant_health_hourly to authenticated, service_role;
create policy "members read their organization's trends" on public.tenant_health_hourly for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

-- Partitions and trends --------------------------------------------------------------------------------------------

create function provisioning.add_partition(p_parent regclass, p_from timestamptz, p_to timestamptz) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  -- A regclass is written with its schema, because search_path is empty, and with quotes where it needs them.
  v_name text := (parse_ident(p_parent::text))[2] || to_char(p_from at time zone 'utc', '_YYYYMMDD');
begin
  if to_regclass('provisioning.' || v_name) is not null then
    return false;
  end if;
  -- One maker at a time, who looks again: `if not exists` alone looks before it waits for the parent's lock.
  perform pg_catalog.pg_advisory_xact_lock(7225);
  -- By a query, because to_regclass may remember from above that there is none.
  if exists (
    select from pg_catalog.pg_class c
    where c.relname = v_name and c.relnamespace = 'provisioning'::regnamespace) then
    return false;
  end if;
  -- In the private schema: rows are read through the parent, under its policies. Attached, because `partition of` would lock
  -- the parent against everybody, readers included, until the transaction ends.
  execute format('create table provisioning.%I (like %s including all)', v_name, p_parent);
  execute format('alter table provisioning.%I enable row level security', v_name);
  execute format('alter table %s attach partition provisioning.%I for values from (%L) to (%L)', p_parent, v_name, p_from, p_to);
  return true;
end
$$;
revoke execute on function provisioning.add_partition(regclass, timestamptz, timestamptz) from public;

create function provisioning.make_health_partitions(p_now timestamptz default now()) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_today timestamptz := date_trunc('day', p_now, 'utc');
  v_month timestamptz := date_trunc('month', p_now, 'utc');
  v_made integer := 0;
begin
  for v_day in 0..3 loop
    -- Hours, because a day has 23 or 25 of them where the session's time zone changes its clocks.
    v_made := v_made + provisioning.add_partition('public.tenant_health_checks'::regclass, v_today + v_day * interval '24 hours',
      v_today + (v_day + 1) * interval '24 hours')::integer;
  end loop;
  for v_ahead in -1..1 loop
    v_made := v_made + provisioning.add_partition('public.tenant_health_hourly'::regclass,
      ((v_month at time zone 'utc') + v_ahead * interval '1 month') at time zone 'utc',
      ((v_month at time zone 'utc') + (v_ahead + 1) * interval '1 month') at time zone 'utc')::integer;
  end loop;
  return v_made;
end
$$;
revoke execute on function provisioning.make_health_partitions(timestamptz) from public;
comment on function provisioning.make_health_partitions(timestamptz) is
  'Makes what is missing of the partitions of today and three days ahead, and of last, this and next month; returns how many.';

create table provisioning.health_state (
  id boolean primary key default true check (id),
  -- Trends are complete up to here.
  rolled_up_until timestamptz not null default date_trunc('hour', now(), 'utc')
);
insert into provisioning.health_state default values;
alter table provisioning.health_state enable row level security;

create function provisioning.drop_health_partitions(p_now timestamptz default now()) returns integer
language plpgsql security definer set search_path = '' set lock_timeout = '1s' as $$
declare
  v_settings provisioning.settings;
  v_partition record;
  v_dropped integer := 0;
begin
  select * into v_settings from provisioning.settings;
  for v_partition in
    select c.relname, p.relname as parent,
      (regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz as upper_bound
    from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
      join pg_catalog.pg_class p on p.oid = i.inhparent
    where i.inhparent in ('public.tenant_health_checks'::regclass, 'public.tenant_health_hourly'::regclass)
  loop
    if v_partition.upper_bound <= p_now - make_interval(days => case v_partition.parent
        when 'tenant_health_checks' then v_settings.health_retention_days else v_settings.health_hourly_retention_days end)
      -- After a pause of the project the trends of its last days may still be due.
      and (v_partition.parent <> 'tenant_health_checks'
        or v_partition.upper_bound <= (select h.rolled_up_until from provisioning.health_state h)) then
      begin
        execute format('drop table if exists provisioning.%I', v_partition.relname);
      exception when lock_not_available then
        -- Whoever comes after a drop that waits for its lock waits, too. The next call tries again.
        return v_dropped;
      end;
      v_dropped := v_dropped + 1;
    end if;
  end loop;
  return v_dropped;
end
$$;
revoke execute on function provisioning.drop_health_partitions(timestamptz) from public;
comment on function provisioning.drop_health_partitions(timestamptz) is
  'Drops days and months that are wholly older than settings keep them, and days only when their trends are written; returns how
many. It gives up for now when a table is in use for more than a second.';

create function provisioning.roll_up_health(p_now timestamptz default now()) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_until timestamptz;
  v_from timestamptz;
  v_to timestamptz;
  v_rows integer;
begin
  select s.rolled_up_until into v_until from provisioning.health_state s for update;
  v_to := v_until + interval '1 hour';
  if v_to > p_now then
    return 0;
  end if;
  -- The hour before once more: results may come in a little later than they were measured.
  v_from := v_until - interval '1 hour';
  with watched as (
    -- A check speaks for the time until the next one, or until the hour ends.
    select c.organization_id, date_trunc('hour', c.checked_at, 'utc') as hour, c.status <> 'unhealthy' as available, c.latency_ms,
      c.size_bytes, extract(epoch from least(lead(c.checked_at) over (partition by c.organization_id order by c.checked_at),
        date_trunc('hour', c.checked_at, 'utc') + interval '1 hour') - c.checked_at) as seconds
    from public.tenant_health_checks c
    where c.checked_at >= v_from and c.checked_at < v_to and c.status <> 'unknown'
  )
  insert into public.tenant_health_hourly as h (organization_id, hour, checks, available, availability, min_latency_ms,
    median_latency_ms, p95_latency_ms, size_bytes)
  select w.organization_id, w.hour, count(*), count(*) filter (where w.available),
    coalesce(sum(w.seconds) filter (where w.available), 0) / sum(w.seconds), min(w.latency_ms),
    percentile_cont(0.5) within group (order by w.latency_ms), percentile_cont(0.95) within group (order by w.latency_ms),
    max(w.size_bytes)
  from watched w
  group by 1, 2
  on conflict (organization_id, hour) do update set checks = excluded.checks, available = excluded.available,
    availability = excluded.availability, min_latency_ms = excluded.min_latency_ms,
      median_latency_ms = excluded.median_latency_ms,
    p95_latency_ms = excluded.p95_latency_ms, size_bytes = excluded.size_bytes
  where (h.checks, h.available) is distinct from (excluded.checks, excluded.available);
  get diagnostics v_rows = row_count;
  update provisioning.health_state set rolled_up_until = v_to where id;
  return v_rows;
end
$$;
revoke execute on function provisioning.roll_up_health(timestamptz) from public;
comment on function provisioning.roll_up_health(timestamptz) is
  'Adds the oldest full hour that the trends lack, one a call, so that no transaction is long; returns how many rows were
written.';

-- Alerts --------------------------------------------------------------------------------------------------------------

create function provisioning.judge_health(p_health public.tenant_health) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_warning provisioning.alert_policies;
  v_critical provisioning.alert_policies;
  v_open public.tenant_alerts;
  v_severity text;
begin
  select * into v_open from public.tenant_alerts a
  where a.organization_id = p_health.organization_id and a.kind = 'tenant_health' and a.resolved_at is null for update;
  if v_open.id is not null and p_health.calm_checks >= (select s.health_resolve_after_checks from provisioning.settings s) then
    perform provisioning.resolve_alert(p_health.organization_id, 'tenant_health');
    return;
  end if;
  if p_health.status not in ('degraded', 'unhealthy') then
    return;
  end if;
  select * into v_warning from provisioning.alert_policies p where p.severity = 'warning';
  select * into v_critical from provisioning.alert_policies p where p.severity = 'critical';
  v_severity := case
    when v_open.severity = 'critical' or p_health.unhealthy_checks >= v_critical.open_after_checks
      or v_open.opened_at <= now() - make_interval(mins => v_warning.escalate_after_minutes) then 'critical'
    when v_open.severity = 'warning' or p_health.troubled_checks >= v_warning.open_after_checks then 'warning'
  end;
  if v_severity is not null then
    perform provisioning.open_alert(p_health.organization_id, 'tenant_health', v_severity,
      (select string_agg(reason ->> 'message', ' ' order by position)
        from jsonb_array_elements(p_health.reasons) with ordinality as r (reason, position)
          where reason ->> 'severity' <> 'info'),
      jsonb_build_object('status', p_health.status, 'codes', (
        select jsonb_agg(reason -> 'code') from jsonb_array_elements(p_health.reasons) reason
          where reason ->> 'severity' <> 'info')));
  end if;
end
$$;
revoke execute on function provisioning.judge_health(public.tenant_health) from public;
comment on function provisioning.judge_health(public.tenant_health) is
  'Opens, escalates or resolves a tenant''s health alert. One bad check opens nothing and one good check resolves nothing, as
alert_policies and settings.health_resolve_after_checks say.';

-- Checks ------------------------------------------------------------------------------------------------------------

create function provisioning.begin_health_checks(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.tenant_health as h (organization_id, status, checked_at, next_check_at)
  select p_organization_id, 'healthy', clock_timestamp(), now() + make_interval(secs => s.health_interval_seconds)
  from provisioning.settings s
  on conflict (organization_id) do update set connected_at = now(), probed_at = now(), used_at = now(), next_check_at = now(),
    leased_until = null;
  update public.organization_databases d set health_status = 'healthy'
  where d.organization_id = p_organization_id and d.health_status = 'unknown';
end
$$;
revoke execute on function provisioning.begin_health_checks(uuid) from public;
comment on function provisioning.begin_health_checks(uuid) is
  'A database that has just been connected to is healthy, and checked from now on; one that is being checked is looked at again
soon.';

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
revoke execute on function provisioning.health_check_interval(text, integer) from public;
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
revoke execute on function provisioning.record_health_history(jsonb, uuid[]) from public;
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
revoke execute on function provisioning.announce_health(uuid[]) from public;
comment on function provisioning.announce_health(uuid[]) is
  'Copies the new status of these tenants to organization_databases, and opens or resolves their alerts.';

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
      checked_at = g.checked_at, awake = false, leased_until = null,
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
revoke execute on function provisioning.record_health_checks(jsonb) from public;
comment on function provisioning.record_health_checks(jsonb) is
  'Writes results [{organization_id, checked_at, probe, status, reasons, metrics, connected, used_seconds_ago}] and what follows
from them: the time of the next check, trends'' rows, alerts. A result that is not newer than what is known changes nothing.
Checks in a row are counted when half of settings.health_interval_seconds lie between them. Returns how many results were newer.';

create function provisioning.claim_health_checks(p_limit integer, p_awake_only boolean, p_organization_id uuid default null)
returns table (organization_id uuid, neon_project_id text, host text, pooled_host text, port integer, database_name text,
  role_name text,
  ssl_mode text, deep_check_due boolean, reasons jsonb, metrics jsonb, thresholds jsonb,
  suspend_timeout_seconds integer, probed_seconds_ago double precision, used_seconds_ago double precision,
  last_probe_connected boolean,
  schema_version integer)
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
    returning h.organization_id, h.connected_at, h.probed_at, h.used_at, h.reasons, h.metrics
  )
  select c.organization_id, d.neon_project_id, d.host, d.pooled_host, d.port, d.database_name,
    d.database_name || '_health', d.ssl_mode::text,
    v_settings.health_deep_check_hours > 0 and c.probed_at <= now() - make_interval(hours => v_settings.health_deep_check_hours),
    c.reasons, c.metrics, to_jsonb(t) || jsonb_build_object('quota_bytes', p.quota_logical_size_bytes),
    coalesce(case when z.suspend_refused_at is null then nullif(z.suspend_timeout_seconds, 0) end, 300),
    extract(epoch from now() - c.probed_at)::double precision,
    extract(epoch from now() - c.used_at)::double precision, c.connected_at >= c.probed_at, d.schema_version
  from claimed c
  join public.organization_databases d on d.organization_id = c.organization_id
  join public.organizations o on o.id = c.organization_id
  join provisioning.plans p on p.plan = o.plan
  join provisioning.health_thresholds t on t.plan = o.plan
  join provisioning.database_sizes z on z.size = d.size;
end
$$;
revoke execute on function provisioning.claim_health_checks(integer, boolean, uuid) from public;
comment on function provisioning.claim_health_checks(integer, boolean, uuid) is
  'Takes up to p_limit due tenants, those that the fleet''s list showed awake first, or the one that is named, due or not. No
other worker takes them for settings.health_lease_seconds. suspend_timeout_seconds is Neon''s default of 300 where the size leaves
it open, -1 for never; last_probe_connected: the last attempt to connect opened a session.';

create function provisioning.release_health_checks(p_organization_ids uuid[], p_seconds double precision,
  p_awake boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_health h set awake = h.awake and p_awake, leased_until = null,
    next_check_at = clock_timestamp() + make_interval(secs => p_seconds * (1 + random() / 5))
  where h.organization_id = any (p_organization_ids);
end
$$;
revoke execute on function provisioning.release_health_checks(uuid[], double precision, boolean) from public;
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
revoke execute on function provisioning.count_health_request(uuid, uuid) from public;
comment on function provisioning.count_health_request(uuid, uuid) is
  'Counts a check on demand by a user, for a tenant''s members together and for operators together. Returns 0, or the seconds
until the next may be made.';

-- The fleet's list -----------------------------------------------------------------------------------------------------

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
revoke execute on function provisioning.plan_health_checks() from public;
comment on function provisioning.plan_health_checks() is
  'How due tenants are asked for with the fewest calls. none: nothing is due, or the list was read just now. each: so few that
each is asked for on its own. fleet: the caller reads the provider''s list, page by page from `cursor`. busy: another worker is
reading it.';

create function provisioning.fleet_tenants(p_project_ids text[])
returns table (organization_id uuid, neon_project_id text, suspend_timeout_seconds integer, due_soon boolean,
  deep_check_due boolean,
  checked_seconds_ago double precision, reasons jsonb, metrics jsonb, thresholds jsonb)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select h.organization_id, d.neon_project_id,
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
    where d.neon_project_id = any (p_project_ids);
end
$$;
revoke execute on function provisioning.fleet_tenants(text[]) from public;
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
    or exists (select from public.tenant_health h where h.listed_at < v_read.started_at)) then
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
    where h.listed_at < v_read.started_at and coalesce(h.leased_until <= now(), true)
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
revoke execute on function provisioning.advance_fleet_read(uuid, text, boolean, integer, uuid[], uuid[]) from public;
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
revoke execute on function provisioning.abandon_fleet_read(uuid, double precision) from public;
comment on function provisioning.abandon_fleet_read(uuid, double precision) is
  'The page cannot be read now, or the worker has no time left. Another worker goes on at the same page in p_seconds.';

create function provisioning.end_fleet_read(p_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.fleet_read r set token = null, lease_expires_at = null, cursor = null where r.token = p_token;
end
$$;
revoke execute on function provisioning.end_fleet_read(uuid) from public;
comment on function provisioning.end_fleet_read(uuid) is
  'The provider refuses the page, as it does when the cursor came from another account: the next read begins at the first page.
Nothing is concluded about tenants that this read has not come to.';

-- The tick ------------------------------------------------------------------------------------------------------------

create function provisioning.health_tick() returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_limit integer;
  v_due integer;
  v_rung integer := 0;
begin
  select * into v_settings from provisioning.settings;
  v_limit := v_settings.health_doorbells * v_settings.health_worker_max_tenants;
  select (select count(*) from (select from public.tenant_health h where h.awake and h.next_check_at <= now() limit v_limit) a)
    + (select count(*) from (select from public.tenant_health h where not h.awake and h.next_check_at <= now() limit v_limit) b)
  into v_due;
  while v_rung < least(v_settings.health_doorbells, ceil(v_due::numeric / v_settings.health_worker_max_tenants)) loop
    exit when not provisioning.ring_doorbell('health');
    v_rung := v_rung + 1;
  end loop;
  return v_rung;
end
$$;
revoke execute on function provisioning.health_tick() from public;
comment on function provisioning.health_tick() is
  'Rings for tenants whose check is due, one doorbell for each worker''s share, and returns how many. It reads only what is due,
and only as much as it can ring for. Workers claim; so a lost doorbell loses nothing.';

-- Apart from each other, so that none waits within the transaction, and under the locks, of another.
select provisioning.make_health_partitions();
select cron.schedule('tenant-provisioning-health-tick', '30 seconds', 'select provisioning.health_tick()');
select cron.schedule('tenant-provisioning-health-partitions', '3 * * * *', 'select provisioning.make_health_partitions()');
select cron.schedule('tenant-provisioning-health-trends', '*/5 * * * *', 'select provisioning.roll_up_health()');
select cron.schedule('tenant-provisioning-health-retention', '33 * * * *', 'select provisioning.drop_health_partitions()');
