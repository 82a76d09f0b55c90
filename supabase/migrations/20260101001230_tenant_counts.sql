-- How many tenants there are in each state: exact where few rows say so, estimated where there are many.

create function provisioning.count_of_tenants(p_condition text, p_limit integer) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('select count(*) from (select from %s o where %s limit $1) counted',
    'public.organizations'::regclass, p_condition)
  into v_count using p_limit;
  return v_count;
end
$$;
revoke execute on function provisioning.count_of_tenants(text, integer) from public, anon, authenticated, service_role;
comment on function provisioning.count_of_tenants(text, integer) is
  'Counts up to p_limit tenants; p_condition is a text of ours.';

create function provisioning.counted_tenants() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  -- So many index entries are counted in a few milliseconds, whatever the number of tenants.
  v_limit constant integer := 10000;
  v_states jsonb := '[]';
  v_state text;
  v_count integer;
  v_total integer := provisioning.count_of_tenants('true', v_limit + 1);
  v_not_ready integer := 0;
  v_all_exact boolean := v_total <= v_limit;
begin
  if not v_all_exact then
    v_total := greatest(v_total, (
      select c.reltuples::integer from pg_catalog.pg_class c where c.oid = 'public.organizations'::regclass));
  end if;
  foreach v_state in array '{pending,provisioning,failed,cancelled}'::text[] loop
    v_count := provisioning.count_of_tenants(
      format('o.provisioning_status ->> ''overall'' = %L', v_state), v_limit + 1);
    v_states := v_states || jsonb_build_object('status', v_state, 'count', least(v_count, v_limit), 'exact', v_count <= v_limit);
    v_not_ready := v_not_ready + v_count;
  end loop;
  return jsonb_build_object(
    'total', jsonb_build_object('count', v_total, 'exact', v_all_exact),
    'by_status', v_states || jsonb_build_object(
      'status', 'ready', 'count', greatest(v_total - v_not_ready, 0), 'exact', v_all_exact),
    'by_health', (
      select jsonb_agg(jsonb_build_object('health', h.health, 'count', least(h.count, v_limit), 'exact', h.count <= v_limit))
      from (
        select w.health, (
          select count(*) from (
            select from public.organization_databases d
            where d.health_status = w.health::text and d.health_status in ('degraded', 'unhealthy') limit v_limit + 1) c) as count
        from unnest('{degraded,unhealthy}'::text[]) w (health)) h),
    'open_alerts', (
      select jsonb_build_object('count', least(count(*), v_limit), 'exact', count(*) <= v_limit)
      from (select from public.tenant_alerts a where a.resolved_at is null limit v_limit + 1) c));
end
$$;
revoke execute on function provisioning.counted_tenants() from public, anon, authenticated, service_role;
comment on function provisioning.counted_tenants() is
  'How many tenants there are, by state, in bad health, and with how many open alerts: what tenant_counts returns, for whoever has
asked before who calls.';

create function provisioning.tenant_counts() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return provisioning.counted_tenants();
end
$$;
revoke execute on function provisioning.tenant_counts() from public, anon, authenticated, service_role;
grant execute on function provisioning.tenant_counts() to authenticated, service_role;
comment on function provisioning.tenant_counts() is
  'How many tenants there are, by state, in bad health, and with how many open alerts, for operators and the service role. Up to
10000 of each are counted, and `exact` is true; beyond that the count of a state stays at 10000, meaning at least so many, and
those of all tenants and of the ready ones are the estimates of the last ANALYZE. Raises TP403.';

create function public.tenant_counts() returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.tenant_counts()
$$;
revoke execute on function public.tenant_counts() from public, anon, authenticated;
grant execute on function public.tenant_counts() to service_role;
comment on function public.tenant_counts() is
  'For the backend: how many tenants are in which state. See provisioning.tenant_counts.';
