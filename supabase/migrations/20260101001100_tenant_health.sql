-- How each tenant's database is. A sweep reads the fleet from the provider's list and connects to awake computes only:
-- connecting wakes a sleeping one, and that costs money. Whatever is due says so in its row; a tick only rings.

insert into provisioning.workers (worker, function_name) values ('health', 'check-tenant-health');

create table public.tenant_health (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  -- Of the database that is checked: who hosts it, and whether that is asked page by page (tiers.in_fleet_list).
  tier text not null default 'database',
  in_fleet_list boolean not null default true,
  status provisioning_types.health_status not null default 'unknown',
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
  -- The fleet's list says that its compute is awake, or it is time to wake it: a worker is to look closer. Always, where there
  -- is no such list: whoever takes it asks its host, whose one answer is for all.
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

create domain provisioning_types.health_probe as text
  -- state: the provider was asked. connection: the database was.
  constraint health_probe_is_known check (value in ('state', 'connection'));

-- No foreign key: rows go with their partition, and a deleted organization's soon.
create table public.tenant_health_checks (
  organization_id uuid not null,
  checked_at timestamptz not null,
  probe provisioning_types.health_probe not null,
  status provisioning_types.health_status not null,
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
  -- The most that a check has seen, and the mean.
  connections integer,
  cache_hit_ratio real,
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
  execute format('revoke all on provisioning.%I from anon, authenticated, service_role', v_name);
  execute format('alter table %s attach partition provisioning.%I for values from (%L) to (%L)', p_parent, v_name, p_from, p_to);
  return true;
end
$$;
revoke execute on function provisioning.add_partition(regclass, timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

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
revoke execute on function provisioning.make_health_partitions(timestamptz) from public, anon, authenticated, service_role;
comment on function provisioning.make_health_partitions(timestamptz) is
  'Makes what is missing of the partitions of today and three days ahead, and of last, this and next month; returns how many.';

create table provisioning.health_state (
  id boolean primary key default true check (id),
  -- Trends are complete up to here.
  rolled_up_until timestamptz not null default date_trunc('hour', now(), 'utc')
);
insert into provisioning.health_state default values;
alter table provisioning.health_state enable row level security;
revoke all on provisioning.health_state from anon, authenticated, service_role;

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
revoke execute on function provisioning.drop_health_partitions(timestamptz) from public, anon, authenticated, service_role;
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
      c.connections, c.cache_hit_ratio, c.size_bytes,
      extract(epoch from least(lead(c.checked_at) over (partition by c.organization_id order by c.checked_at),
        date_trunc('hour', c.checked_at, 'utc') + interval '1 hour') - c.checked_at) as seconds
    from public.tenant_health_checks c
    where c.checked_at >= v_from and c.checked_at < v_to and c.status <> 'unknown'
  )
  insert into public.tenant_health_hourly as h (organization_id, hour, checks, available, availability, min_latency_ms,
    median_latency_ms, p95_latency_ms, connections, cache_hit_ratio, size_bytes)
  select w.organization_id, w.hour, count(*), count(*) filter (where w.available),
    coalesce(sum(w.seconds) filter (where w.available), 0) / sum(w.seconds), min(w.latency_ms),
    percentile_cont(0.5) within group (order by w.latency_ms), percentile_cont(0.95) within group (order by w.latency_ms),
    max(w.connections), avg(w.cache_hit_ratio), max(w.size_bytes)
  from watched w
  group by 1, 2
  on conflict (organization_id, hour) do update set checks = excluded.checks, available = excluded.available,
    availability = excluded.availability, min_latency_ms = excluded.min_latency_ms,
      median_latency_ms = excluded.median_latency_ms,
    p95_latency_ms = excluded.p95_latency_ms, connections = excluded.connections, cache_hit_ratio = excluded.cache_hit_ratio,
    size_bytes = excluded.size_bytes
  where (h.checks, h.available) is distinct from (excluded.checks, excluded.available);
  get diagnostics v_rows = row_count;
  update provisioning.health_state set rolled_up_until = v_to where id;
  return v_rows;
end
$$;
revoke execute on function provisioning.roll_up_health(timestamptz) from public, anon, authenticated, service_role;
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
revoke execute on function provisioning.judge_health(public.tenant_health) from public, anon, authenticated, service_role;
comment on function provisioning.judge_health(public.tenant_health) is
  'Opens, escalates or resolves a tenant''s health alert. One bad check opens nothing and one good check resolves nothing, as
alert_policies and settings.health_resolve_after_checks say.';
