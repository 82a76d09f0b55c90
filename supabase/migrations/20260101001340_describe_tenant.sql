-- How one user or organization stands: facts, checks and verdict.

create function provisioning.tenant_verdict(p_facts jsonb, p_checks jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_name text := coalesce(
    p_facts #>> '{organization,slug}', p_facts #>> '{user,email}', p_facts #>> '{user,id}', p_facts ->> 'subject');
  v_provision jsonb := provisioning.job_of(p_facts, 'provision');
  v_removal jsonb := provisioning.job_of(p_facts, 'remove');
  v_worst jsonb := (
    select c from jsonb_array_elements(p_checks) with ordinality t (c, n)
    where c ->> 'status' in ('failed', 'waiting') order by c ->> 'status' <> 'failed', n limit 1);
  v_warnings integer := (select count(*) from jsonb_array_elements(p_checks) c where c ->> 'status' = 'warning');
  v_state text := case
    when p_facts #>> '{organization,id}' is null and v_removal is not null then 'deleted'
    when p_facts #>> '{user,id}' is null and p_facts #>> '{organization,id}' is null then 'not_found'
    when v_worst is null then 'ready'
    when v_provision ->> 'status' = 'cancelled' then 'cancelled'
    when v_worst ->> 'status' = 'failed' then 'failed'
    when v_provision is null then 'waiting'
    else 'provisioning' end;
begin
  return jsonb_build_object('ready', v_state = 'ready', 'state', v_state, 'check', v_worst ->> 'check',
    'summary', case v_state
      when 'ready' then v_name || ' is ready.' || case v_warnings
        when 0 then '' when 1 then ' One warning.' else format(' %s warnings.', v_warnings) end
      when 'not_found' then
        format('There is no user and no organization with the e-mail address, slug or id "%s".', p_facts ->> 'subject')
      when 'deleted' then format('%s was deleted; the removal of what it had outside is %s.',
        coalesce(v_removal #>> '{details,slug}', v_name), v_removal ->> 'status')
      when 'provisioning' then v_name || ' is being provisioned: ' || (v_worst ->> 'found')
      else format('%s is not ready. %s: %s', v_name, v_worst ->> 'check', v_worst ->> 'found') end);
end
$$;
revoke execute on function provisioning.tenant_verdict(jsonb, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_verdict(jsonb, jsonb) is
  '{ready, state, summary, check}: the last is the check that keeps the tenant from being ready, a failed one rather than a
waiting one.';

create function provisioning.describe_tenant(p_subject text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_user_id uuid;
  v_organization_id uuid;
  v_facts jsonb;
  v_checks jsonb;
begin
  select * into v_user_id, v_organization_id from provisioning.find_tenant(p_subject);
  v_facts := jsonb_build_object('subject', p_subject) || provisioning.user_facts(v_user_id)
    || provisioning.organization_facts(v_organization_id);
  select jsonb_agg(to_jsonb(c) - 'n' order by c.n) into v_checks
  from provisioning.tenant_checks(v_facts) with ordinality as c ("check", status, code, found, service, failure_code, n);
  return v_facts || jsonb_build_object('checks', v_checks, 'verdict', provisioning.tenant_verdict(v_facts, v_checks));
end
$$;
revoke execute on function provisioning.describe_tenant(text) from public, anon, authenticated, service_role;
grant execute on function provisioning.describe_tenant(text) to service_role;
comment on function provisioning.describe_tenant(text) is
  'All about one user and their organization: facts, checks [{check, status, code, found, service, failure_code}] and verdict
{ready, state, summary, check}. Reads only, and never a secret. The subject is what find_tenant understands. What a person does
about a code is in shared/tenants/remedies.ts.';

create function public.describe_tenant(subject text) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.describe_tenant(subject)
$$;
revoke execute on function public.describe_tenant(text) from public, anon, authenticated;
grant execute on function public.describe_tenant(text) to service_role;
comment on function public.describe_tenant(text) is
  'For the backend: how the user or organization with this e-mail address, slug or id stands. See provisioning.describe_tenant.';
