import type { HealthBucket } from '../../generated/resolver-types.ts'
import { PUBLIC_SCHEMA } from '../../kernel/database/schema.ts'
import type { KeyedQuery } from '../reader.ts'

export const HEALTH: KeyedQuery = {
  name: 'health',
  missing: null,
  sql: (argument) => `
    select jsonb_object_agg(h.organization_id, jsonb_build_object('organizationId', h.organization_id, 'status', h.status,
      'reasons', h.reasons, 'checkedAt', h.checked_at, 'connectedAt', h.connected_at, 'nextCheckAt', h.next_check_at,
      'metrics', h.metrics))
    from ${PUBLIC_SCHEMA}.tenant_health h
    where h.organization_id = any (array(select jsonb_array_elements_text(${argument} -> 'keys')::uuid))`,
}

/** Points since {since} of each organization: the newest thousand, oldest first. */
export const HEALTH_HISTORY: Readonly<Record<HealthBucket, KeyedQuery>> = {
  CHECK: history(
    'checks',
    (argument) => `
    select c.checked_at as at, 1 as checks, (c.status <> 'unhealthy')::integer as available,
      (c.status <> 'unhealthy')::integer as availability, c.status,
      c.latency_ms as min_latency_ms, c.latency_ms as median_latency_ms, c.latency_ms as p95_latency_ms,
      c.connections, c.cache_hit_ratio, c.size_bytes
    from ${PUBLIC_SCHEMA}.tenant_health_checks c
    where c.organization_id = key.id and c.checked_at >= (${argument} ->> 'since')::timestamptz`,
  ),
  HOUR: history(
    'hours',
    (argument) => `
    select h.hour as at, h.checks, h.available, h.availability, null as status, h.min_latency_ms, h.median_latency_ms, h.p95_latency_ms,
      h.connections, h.cache_hit_ratio, h.size_bytes
    from ${PUBLIC_SCHEMA}.tenant_health_hourly h
    where h.organization_id = key.id and h.hour >= date_trunc('hour', (${argument} ->> 'since')::timestamptz, 'utc')`,
  ),
  // Nobody keeps the day's checks for long: what the hours tell, with the worst of their 95th percentiles.
  DAY: history(
    'days',
    (argument) => `
    select date_trunc('day', h.hour, 'utc') as at, sum(h.checks) as checks, sum(h.available) as available,
      avg(h.availability) as availability, null as status,
      min(h.min_latency_ms) as min_latency_ms,
      percentile_cont(0.5) within group (order by h.median_latency_ms) as median_latency_ms,
      max(h.p95_latency_ms) as p95_latency_ms, max(h.connections) as connections, avg(h.cache_hit_ratio) as cache_hit_ratio,
      max(h.size_bytes) as size_bytes
    from ${PUBLIC_SCHEMA}.tenant_health_hourly h
    where h.organization_id = key.id and h.hour >= date_trunc('day', (${argument} ->> 'since')::timestamptz, 'utc')
    group by 1`,
  ),
}

function history(what: string, points: (argument: string) => string): KeyedQuery {
  return {
    name: `health ${what}`,
    missing: [],
    sql: (argument) => `
      select jsonb_object_agg(key.id, series.list)
      from (select jsonb_array_elements_text(${argument} -> 'keys')::uuid as id) key
      cross join lateral (
        select coalesce(jsonb_agg(jsonb_build_object('at', p.at, 'checks', p.checks, 'available', p.available, 'availability', p.availability, 'status', p.status,
          'minLatencyMs', p.min_latency_ms, 'medianLatencyMs', p.median_latency_ms, 'p95LatencyMs', p.p95_latency_ms,
          'connections', p.connections, 'cacheHitRatio', p.cache_hit_ratio, 'sizeBytes', p.size_bytes) order by p.at), '[]') as list
        from (select * from (${points(argument)}) point order by point.at desc limit 1000) p) series`,
  }
}
