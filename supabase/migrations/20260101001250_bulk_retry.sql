-- Trying again what has failed for many tenants at once, by the filter of the list.

create function provisioning.failed_provisioning_sql(p_filter jsonb) returns text
language plpgsql stable set search_path = '' as $$
begin
  return format($sql$
    select o.id as organization_id, j.id as job_id, coalesce(j.last_error ->> 'code', 'unknown') as code,
      coalesce(j.last_error ->> 'message', '') as message
    from %s o join lateral (
      select p.id, p.status, p.last_error from %s p
      where p.organization_id = o.id and p.kind = %L order by p.created_at desc limit 1) j on j.status = 'failed'
    where o.provisioning_status ->> 'overall' = 'failed' and %s limit $2$sql$,
    'public.organizations'::regclass, 'public.provisioning_jobs'::regclass, provisioning.kind_for('provision'),
    provisioning.tenant_conditions(p_filter));
end
$$;
revoke execute on function provisioning.failed_provisioning_sql(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.failed_provisioning_sql(jsonb) is
  'Finds tenants of the filter ($1) whose provisioning has failed, $2 at most:
organization_id, job_id, and the code and message of the failure.';

create function provisioning.failures_by_reason(p_filter jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  -- As many as tenant_counts counts.
  v_limit constant integer := 10000;
  v_found jsonb;
begin
  execute format($sql$
    select jsonb_build_object('matched', least(coalesce(sum(r.count), 0), $2 - 1), 'exact', coalesce(sum(r.count), 0) < $2,
      'by_reason', coalesce(jsonb_agg(
        jsonb_build_object('code', r.code, 'message', r.message, 'count', r.count)
        order by r.count desc, r.code), '[]'))
    from (select f.code, min(f.message) as message, count(*) as count from (%s) f group by f.code) r$sql$,
    provisioning.failed_provisioning_sql(p_filter))
  into v_found using p_filter, v_limit + 1;
  return v_found;
end
$$;
revoke execute on function provisioning.failures_by_reason(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.failures_by_reason(jsonb) is
  'How many tenants of the filter have failed, and why: {matched, exact, by_reason: [{code, message, count}]}, with the
message of one of them. Of more than 10000 it counts 10000, and exact is false.';

create function provisioning.retry_tenants(p_filter jsonb, p_dry_run boolean default true, p_max_tenants integer default 100)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_filter jsonb := jsonb_strip_nulls(coalesce(p_filter, '{}'));
  v_found jsonb;
  v_jobs uuid[];
  v_retried integer := 0;
  v_job record;
begin
  perform provisioning.assert_operator();
  if p_max_tenants is null or p_max_tenants not between 1 and 500 then
    raise exception 'One call tries from 1 to 500 tenants again.' using errcode = 'TP422';
  end if;
  v_found := provisioning.failures_by_reason(v_filter);
  if not coalesce(p_dry_run, true) then
    execute format('select array_agg(f.job_id) from (%s) f', provisioning.failed_provisioning_sql(v_filter))
    into v_jobs using v_filter, p_max_tenants;
    -- Jobs before organizations, as workers lock them. Whoever holds one is at it already.
    for v_job in
      select j.id, j.organization_id from public.provisioning_jobs j
      where j.id = any (v_jobs) and j.status = 'failed' order by j.id for update skip locked
    loop
      perform provisioning.retry_job(v_job.id);
      -- Nobody waits for it, and so many must not go before people who do.
      update public.provisioning_jobs j set lane = 'batch' where j.id = v_job.id and j.status = 'queued';
      perform provisioning.audit(v_job.organization_id, 'provisioning.requested', 'job', v_job.id::text, '{"bulk": true}');
      v_retried := v_retried + 1;
    end loop;
    perform provisioning.ring_doorbell('provisioning');
  end if;
  return v_found || jsonb_build_object('dry_run', coalesce(p_dry_run, true), 'retried', v_retried,
    'remaining', greatest((v_found ->> 'matched')::integer - v_retried, 0));
end
$$;
revoke execute on function provisioning.retry_tenants(jsonb, boolean, integer) from public, anon, authenticated, service_role;
grant execute on function provisioning.retry_tenants(jsonb, boolean, integer) to authenticated, service_role;
comment on function provisioning.retry_tenants(jsonb, boolean, integer) is
  'For operators and the service role: tries the failed provisioning of tenants again, in the batch lane, at most so many of those
that the filter (see tenant_conditions) finds; a dry run only counts. {dry_run, matched, exact, by_reason,
retried, remaining}. Whose job somebody else is at is left out: call again while some remain. Raises TP403, and TP422.';

create function public.retry_tenants(filter jsonb default '{}', dry_run boolean default true, max_tenants integer default 100)
returns jsonb
language sql security invoker set search_path = '' as $$
  select provisioning.retry_tenants(filter, dry_run, max_tenants)
$$;
revoke execute on function public.retry_tenants(jsonb, boolean, integer) from public, anon, authenticated;
grant execute on function public.retry_tenants(jsonb, boolean, integer) to service_role;
comment on function public.retry_tenants(jsonb, boolean, integer) is
  'For the backend: tries again what has failed, by filter; without dry_run := false it only counts. See
provisioning.retry_tenants.';
