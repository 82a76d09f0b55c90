-- Some of growth's tenants get into trouble, as in a fleet that is in use: one in 50 has failed, for one of four reasons, one in 100
-- is ill with an open alert, and one in 500 is under way. Without triggers: nobody is to be told of it.
create procedure growth.trouble(p_tenants integer)
language plpgsql as $$
begin
  perform set_config('growth.tenants', p_tenants::text, false), set_config('session_replication_role', 'replica', false);
  update public.organizations o set provisioned_at = null, provisioning_status = '{"stripe": "ready", "neon": "failed", "overall": "failed"}'
  from growth.people p where o.id = p.organization_id and p.n % 50 = 0;
  update public.provisioning_jobs j set status = 'failed', last_error = jsonb_build_object('step', 'neon_project',
    'retryable', false, 'message', 'The provider refused.',
    'code', ('{neon_project_limit_reached,neon_unreachable,stripe_unreachable,neon_request_refused}'::text[])[1 + p.n / 50 % 4])
  from growth.people p where j.id = growth.id('job2', p.n) and p.n % 50 = 0;
  update public.organizations o set provisioned_at = null, provisioning_status = '{"neon": "running", "overall": "provisioning"}'
  from growth.people p where o.id = p.organization_id and p.n % 500 = 1;
  update public.organization_databases d set health_status = case when p.n % 200 = 2 then 'unhealthy' else 'degraded' end
  from growth.people p where d.organization_id = p.organization_id and p.n % 100 = 2;
  insert into public.tenant_alerts (organization_id, kind, severity, message, opened_at)
  select organization_id, 'tenant_health', 'critical', 'The database cannot be reached.', now() - interval '1 hour'
  from growth.people where n % 100 = 2;
  perform set_config('session_replication_role', 'origin', false);
end
$$;
