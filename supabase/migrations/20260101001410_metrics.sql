-- What a monitoring system reads, all of it from rows: a function's own counters would be those of one instance of many. Nothing
-- is counted beyond 10,000 rows of a kind, so that a look costs as much with many tenants as with few. No label names a tenant.

create function provisioning.job_metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_limit constant integer := 10000;
begin
  return query
    with states as (
      -- Those that run or wait for their time have been due for 0 s.
      select k.kind, w.state, w.jobs::double precision as jobs, w.oldest_seconds
      from provisioning.job_kinds k cross join lateral (
        select case when q.next_attempt_at <= now() then 'due' else 'later' end as state, count(*) as jobs,
          greatest(0, extract(epoch from now() - min(q.next_attempt_at)))::double precision as oldest_seconds
        from provisioning.lanes l cross join lateral (
          select j.next_attempt_at from public.provisioning_jobs j
          where j.status = 'queued' and j.kind = k.kind and j.lane = l.lane order by j.next_attempt_at limit v_limit) q
        group by 1
        union all
        select case when h.expires_at <= now() then 'lost' else 'running' end, count(*),
          greatest(0, extract(epoch from now() - min(h.expires_at)))::double precision
        from provisioning.job_leases h where h.kind = k.kind group by 1) w
    )
    select 'provisioning_jobs', jsonb_build_object('kind', k.kind, 'state', n.state), coalesce(s.jobs, 0)
    from provisioning.job_kinds k cross join unnest('{due,later,running,lost}'::text[]) n (state)
    left join states s on s.kind = k.kind and s.state = n.state
    union all
    select 'provisioning_oldest_due_job_seconds', jsonb_build_object('kind', k.kind), coalesce((
      select max(s.oldest_seconds) from states s where s.kind = k.kind), 0)
    from provisioning.job_kinds k
    union all
    select 'provisioning_paused', jsonb_build_object('kind', k.kind), provisioning.is_paused(k.kind)::integer
    from provisioning.job_kinds k
    union all
    select 'provisioning_jobs_finished_last_hour', jsonb_build_object('kind', k.kind, 'status', n.status), count(f.kind)
    from provisioning.job_kinds k cross join unnest('{succeeded,failed,cancelled}'::text[]) n (status)
    left join (
      select j.kind, j.status from public.provisioning_jobs j
      where j.finished_at > now() - interval '1 hour' order by j.finished_at desc limit v_limit) f
      on f.kind = k.kind and f.status = n.status
    group by k.kind, n.status;
end
$$;
revoke execute on function provisioning.job_metrics() from public, anon, authenticated, service_role;
comment on function provisioning.job_metrics() is
  'Jobs by kind: how many wait, run, or were lost by their worker, for how long the oldest has been due, and how those of the last
hour have ended.';

create function provisioning.step_metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    with ended as (
      -- The newest: joining each with its job costs more than reading it.
      select e.job_id, j.kind, e.resource_type as step,
        -- A step of somebody else may put any text where its code belongs.
        case when e.metadata ->> 'code' ~ '^[a-z][a-z0-9_]{0,62}$' then e.metadata ->> 'code'
          when e.metadata ->> 'code' is not null then 'other' end as code,
        case e.event_type when 'step.succeeded' then 'succeeded' when 'step.failed' then 'failed' else 'retrying' end as outcome,
        extract(epoch from e.completed_at - e.started_at)::double precision as seconds
      from (
        select n.* from public.provisioning_events n
        where n.started_at > now() - interval '1 hour' order by n.started_at desc limit 5000) e
      join public.provisioning_jobs j on j.id = e.job_id
      where e.event_type in ('step.succeeded', 'step.failed', 'step.retrying')
    ), durations as (
      select d.kind, d.step, sum(d.seconds) as seconds,
        percentile_cont('{0.5,0.95}'::double precision[]) within group (order by d.seconds) as quantiles
      from ended d where d.outcome = 'succeeded' group by d.kind, d.step
    ), failures as (
      select s.service, d.code, count(*) as steps
      from ended d join public.provisioning_steps s on s.job_id = d.job_id and s.step = d.step
      where d.code is not null group by s.service, d.code order by 3 desc limit 100
    )
    select 'provisioning_steps_last_hour', jsonb_build_object('kind', d.kind, 'step', d.step, 'outcome', d.outcome),
      count(*)::double precision
    from ended d group by d.kind, d.step, d.outcome
    union all
    select 'provisioning_step_seconds_sum_last_hour', jsonb_build_object('kind', d.kind, 'step', d.step), d.seconds
    from durations d
    union all
    select 'provisioning_step_seconds_last_hour', jsonb_build_object('kind', d.kind, 'step', d.step, 'quantile', q.quantile),
      d.quantiles[q.position]
    from durations d cross join unnest('{0.5,0.95}'::text[]) with ordinality q (quantile, position)
    union all
    select 'provisioning_step_failures_last_hour', jsonb_build_object('service', f.service, 'code', f.code), f.steps
    from failures f;
end
$$;
revoke execute on function provisioning.step_metrics() from public, anon, authenticated, service_role;
comment on function provisioning.step_metrics() is
  'Attempts at steps that were begun within the last hour, the newest 5,000 events at most: their outcomes, how long those took
that succeeded, and the codes of the others.';

create function provisioning.provider_metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    with providers as (
      select p.* from jsonb_to_recordset(provisioning.provider_states()) p (provider text, state text,
        consecutive_failures integer, calls_per_second double precision, free_percent double precision,
        wait_seconds double precision)
    )
    select 'provisioning_provider_breaker', jsonb_build_object('provider', p.provider, 'state', n.state),
      (p.state = n.state)::integer::double precision
    from providers p cross join unnest('{closed,open,half_open}'::text[]) n (state)
    union all
    select v.metric, jsonb_build_object('provider', p.provider), v.value
    from providers p cross join lateral (values
      ('provisioning_provider_consecutive_failures', p.consecutive_failures::double precision),
      ('provisioning_provider_calls_per_second', p.calls_per_second),
      ('provisioning_provider_free_ratio', p.free_percent / 100),
      ('provisioning_provider_wait_seconds', coalesce(p.wait_seconds, 0))) v (metric, value)
    where v.value is not null;
end
$$;
revoke execute on function provisioning.provider_metrics() from public, anon, authenticated, service_role;
comment on function provisioning.provider_metrics() is
  'Circuit breakers of the providers, and what is left of their rate limits.';

create function provisioning.schema_version_counts(p_limit integer) returns table (version integer, tenants integer)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    -- From one version to the next in the index, instead of reading all of it.
    with recursive versions as (
      (select d.schema_version as version, 1 as position from public.organization_databases d
      where d.status = 'active' and d.schema_version is not null order by d.schema_version desc limit 1)
      union all
      select (
        select d.schema_version from public.organization_databases d
        where d.status = 'active' and d.schema_version < v.version order by d.schema_version desc limit 1), v.position + 1
      from versions v where v.version is not null and v.position < 20
    )
    select v.version, (
      select count(*) from (
        select from public.organization_databases d
        where d.status = 'active' and d.schema_version = v.version limit p_limit) c)::integer
    from versions v where v.version is not null;
end
$$;
revoke execute on function provisioning.schema_version_counts(integer) from public, anon, authenticated, service_role;
comment on function provisioning.schema_version_counts(integer) is
  'How many ready tenants have each of the newest 20 versions of the tenant schema that are in use, counted up to p_limit.';

create function provisioning.tenant_metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_limit constant integer := 10000;
  v_counts constant jsonb := provisioning.counted_tenants();
begin
  return query
    select 'provisioning_tenants', jsonb_build_object('state', c.status), c.count
    from jsonb_to_recordset(v_counts -> 'by_status') c (status text, count double precision)
    union all
    select 'provisioning_tenants_by_health', jsonb_build_object('health', c.health), c.count
    from jsonb_to_recordset(v_counts -> 'by_health') c (health text, count double precision)
    union all
    select 'provisioning_open_alerts', jsonb_build_object('kind', a.kind, 'severity', a.severity), count(*)
    from (select o.kind, o.severity from public.tenant_alerts o where o.resolved_at is null limit v_limit) a
    group by a.kind, a.severity
    union all
    select 'provisioning_schema_version_tenants', jsonb_build_object('version', v.version::text), v.tenants
    from provisioning.schema_version_counts(v_limit) v
    union all
    select 'provisioning_schema_drifted_tenants', '{}', count(*)
    from (select from public.organization_databases d where d.schema_drift_at is not null limit v_limit) c
    union all
    select 'provisioning_fleet_migration_tenants', jsonb_build_object('state', v.state), v.tenants
    from (select f.* from provisioning.fleet_migrations f where f.state in ('canary', 'rolling', 'stopped')) r
    cross join lateral (values ('queued', r.queued), ('done', r.done), ('failed', r.failed)) v (state, tenants)
    union all
    select 'provisioning_fleet_migration_stopped', '{}', exists (
      select from provisioning.fleet_migrations f where f.state = 'stopped')::integer;
end
$$;
revoke execute on function provisioning.tenant_metrics() from public, anon, authenticated, service_role;
comment on function provisioning.tenant_metrics() is
  'Tenants by state, those in bad health, open alerts, and the versions of the tenant schema. tenant_counts says what is exact.';

create function provisioning.pg_net_metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    with ours as (
      select u.worker, u.calls from provisioning.unsent_calls() u
    ), waiting as (
      select count(*) as calls from (select from net.http_request_queue r limit 10000) q
    )
    select 'provisioning_pg_net_queue', jsonb_build_object('worker', w.worker), coalesce(o.calls, 0)::double precision
    from provisioning.workers w left join ours o on o.worker = w.worker
    union all
    -- Of whoever else uses pg_net.
    select 'provisioning_pg_net_queue', '{"worker": "none"}',
      greatest(0, w.calls - coalesce((select sum(o.calls) from ours o), 0))
    from waiting w;
exception when undefined_table or invalid_schema_name or insufficient_privilege then
  -- Without pg_net there is no queue, and provisioning_dispatch_problem says so.
  return;
end
$$;
revoke execute on function provisioning.pg_net_metrics() from public, anon, authenticated, service_role;
comment on function provisioning.pg_net_metrics() is 'How many calls wait in pg_net''s queue, by the worker that they are for.';

create function provisioning.platform_metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select 'provisioning_pg_net_unsent_seconds', '{}'::jsonb,
      coalesce(extract(epoch from now() - d.unsent_since), 0)::double precision
    from provisioning.dispatch_state d
    union all
    select 'provisioning_sweep_age_seconds', '{}',
      coalesce(extract(epoch from now() - d.last_swept_at)::double precision, 'Infinity')
    from provisioning.dispatch_state d
    union all
    select 'provisioning_dispatch_problem', '{}', (provisioning.dispatch_problem() is not null)::integer
    union all
    select 'provisioning_connections', jsonb_build_object('of', n.whose), count(a.pid)
    from unnest('{functions,others}'::text[]) n (whose)
    left join pg_catalog.pg_stat_activity a on a.backend_type = 'client backend'
      and (a.application_name = 'tenant-provisioning') = (n.whose = 'functions')
    group by n.whose
    union all
    select 'provisioning_connections_max', '{}', current_setting('max_connections')::double precision
    union all
    select 'provisioning_sign_up_failures', '{}', count(*) from (select from provisioning.sign_up_failures f limit 10000) c
    union all
    select 'provisioning_alert_deliveries_waiting', '{}', count(*) from (
      select from provisioning.alert_deliveries a where a.next_attempt_at is not null limit 10000) c;
end
$$;
revoke execute on function provisioning.platform_metrics() from public, anon, authenticated, service_role;
comment on function provisioning.platform_metrics() is
  'Whether the database can ring and sweeps, how many connections the functions and all others have open, and what waits.';

-- One who cannot look now looks again in half a minute, and must not wait for a lock with a connection in hand.
create function provisioning.metrics() returns table (metric text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = '' set lock_timeout = '2s' as $$
begin
  return query
    select m.* from provisioning.job_metrics() m union all
    select m.* from provisioning.step_metrics() m union all
    select m.* from provisioning.provider_metrics() m union all
    select m.* from provisioning.tenant_metrics() m union all
    select m.* from provisioning.pg_net_metrics() m union all
    select m.* from provisioning.platform_metrics() m;
end
$$;
revoke execute on function provisioning.metrics() from public, anon, authenticated, service_role;
grant execute on function provisioning.metrics() to service_role;
comment on function provisioning.metrics() is
  'For the Edge Function metrics: every gauge with its labels and its value. What each says is in shared/metrics/gauges.ts. Counts
end at 10000, which means at least so many.';
