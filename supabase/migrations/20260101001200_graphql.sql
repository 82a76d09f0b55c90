-- What the GraphQL function needs of the database: a way to be the caller, lists of tenants, and requests that check who asks.

create function provisioning.query_as(p_claims jsonb, p_query text, p_arguments jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_role_before text := current_setting('role');
  v_role text := p_claims ->> 'role';
  v_result jsonb;
begin
  if v_role is null or v_role not in ('authenticated', 'service_role') then
    raise exception 'There are no queries as the role "%".', v_role using errcode = 'insufficient_privilege';
  end if;
  perform set_config('request.jwt.claims', p_claims::text, true), set_config('role', v_role, true);
  -- Planned only now, so that grants and policies are those of the caller.
  execute p_query into v_result using p_arguments;
  -- Both settings end with the transaction, and so does an error's; this is for whatever else the transaction does.
  perform set_config('role', v_role_before, true), set_config('request.jwt.claims', '', true);
  return v_result;
end
$$;
revoke execute on function provisioning.query_as(jsonb, text, jsonb) from public;
comment on function provisioning.query_as(jsonb, text, jsonb) is
  'Runs a query of the GraphQL function as the caller that the claims name (authenticated or service_role), in one round trip and
one transaction, which a pooler in transaction mode serves too. The query is a fixed text; what callers say is in p_arguments, its $1.
For the owner alone: it trusts the claims.';

-- The list of all tenants ------------------------------------------------------------------------------------------

-- One index for each order in which the list is read page by page.
create index organizations_created_at_idx on public.organizations (created_at, id);
create index organizations_name_idx on public.organizations (name, id);
-- Nearly all tenants are ready; those that are not are what operators look for.
create index organizations_not_ready_idx on public.organizations ((provisioning_status ->> 'overall'), created_at, id)
  where provisioning_status ->> 'overall' <> 'ready';
create index organization_databases_ailing_idx on public.organization_databases (health_status, organization_id)
  where health_status in ('degraded', 'unhealthy');
-- Putting a text into a trigram index takes longer than the rest of a sign-up's organization. So it happens when the tenant is
-- ready, where nobody waits; the few others are found without.
create index organizations_search_idx on public.organizations
  using gin ((name || ' ' || slug || ' ' || coalesce(billing_email, '')) extensions.gin_trgm_ops)
  where provisioned_at is not null;
-- Without these the planner takes every state and every text for equally frequent. They cost nothing until ANALYZE.
create statistics provisioning.organizations_overall on (provisioning_status ->> 'overall') from public.organizations;
create statistics provisioning.organizations_search on (name || ' ' || slug || ' ' || coalesce(billing_email, ''))
  from public.organizations;

create function provisioning.tenant_conditions(p_filter jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_conditions text[] := '{true}';
begin
  -- Texts of ours, chosen by which filters are there; their values stay in $1.
  if p_filter ? 'overall' then
    v_conditions := v_conditions || $sql$o.provisioning_status ->> 'overall' = $1 ->> 'overall'$sql$::text;
  end if;
  if p_filter ? 'dataRegion' then
    v_conditions := v_conditions || $sql$o.data_region = $1 ->> 'dataRegion'$sql$::text;
  end if;
  if p_filter ? 'plan' then
    v_conditions := v_conditions || $sql$o.plan = $1 ->> 'plan'$sql$::text;
  end if;
  if p_filter ? 'search' then
    -- Two ways to find a text, each with its own index. The words are in another order in the second, because the planner takes
    -- what alternatives have in common out of them, and would then see neither index.
    v_conditions := v_conditions || $sql$(
      o.provisioned_at is not null
        and o.name || ' ' || o.slug || ' ' || coalesce(o.billing_email, '') ilike provisioning.like_pattern($1 ->> 'search')
      or o.provisioned_at is null and o.provisioning_status ->> 'overall' <> 'ready'
        and coalesce(o.billing_email, '') || ' ' || o.name || ' ' || o.slug ilike provisioning.like_pattern($1 ->> 'search'))$sql$::text;
  end if;
  if p_filter ? 'health' then
    v_conditions := v_conditions
      || $sql$o.id in (select d.organization_id from public.organization_databases d where d.health_status = $1 ->> 'health')$sql$::text;
  end if;
  return array_to_string(v_conditions, ' and ');
end
$$;
revoke execute on function provisioning.tenant_conditions(jsonb) from public;
comment on function provisioning.tenant_conditions(jsonb) is
  'The WHERE clause of a filter {overall, health, dataRegion, plan, search}: fixed texts that read the values from $1.';

create function provisioning.like_pattern(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return '%' || replace(replace(replace(p_text, '\', '\\'), '%', '\%'), '_', '\_') || '%';
end
$$;
revoke execute on function provisioning.like_pattern(text) from public;
comment on function provisioning.like_pattern(text) is 'The pattern that matches wherever the text occurs, its % and _ taken literally.';

create function provisioning.tenant_page_sql(p_filter jsonb, p_sort text, p_after jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_column text := case when p_sort like 'NAME%' then 'name' else 'created_at' end;
  v_type text := case when p_sort like 'NAME%' then 'text' else 'timestamptz' end;
  v_descending boolean := p_sort like '%DESC';
begin
  -- %1$s and its kind are words from above, never the caller's.
  return format(
    'select o.id, o.%1$s as sort_key from public.organizations o where %2$s %3$s order by o.%1$s %4$s, o.id %4$s limit $2 + 1',
    v_column, provisioning.tenant_conditions(p_filter),
    case when p_after is null then '' else
      format('and (o.%s, o.id) %s (($3 ->> 0)::%s, ($3 ->> 1)::uuid)', v_column, case when v_descending then '<' else '>' end, v_type) end,
    case when v_descending then 'desc' else 'asc' end);
end
$$;
revoke execute on function provisioning.tenant_page_sql(jsonb, text, jsonb) from public;
comment on function provisioning.tenant_page_sql(jsonb, text, jsonb) is
  'Finds one page of tenants, and one row more: $1 filter, $2 rows, $3 [sort key, id] of the row before. A text of its own for each
combination, because one plan for all of them could use no index.';

create function provisioning.tenant_summary(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'plan', o.plan, 'ownerId', o.owner_id,
      'billingEmail', o.billing_email, 'stripeCustomerId', o.stripe_customer_id,
      'stripeSubscriptionStatus', o.stripe_subscription_status, 'dataRegion', o.data_region, 'hostingRegion', o.hosting_region,
      'overall', o.provisioning_status ->> 'overall', 'provisioningStatus', o.provisioning_status,
      'neonProjectId', d.neon_project_id, 'databaseSize', d.size, 'schemaVersion', d.schema_version, 'health', d.health_status,
      'error', j.last_error, 'nextAttemptAt', case when j.status = 'queued' then j.next_attempt_at end,
      'openAlerts', (
        select count(*) from public.tenant_alerts a where a.organization_id = o.id and a.resolved_at is null),
      'provisionedAt', o.provisioned_at, 'createdAt', o.created_at, 'updatedAt', o.updated_at)
    from public.organizations o
    left join public.organization_databases d on d.organization_id = o.id
    left join lateral (
      select p.status, p.last_error, p.next_attempt_at from public.provisioning_jobs p
      where p.organization_id = o.id and p.kind = 'provision' order by p.created_at desc limit 1) j on true
    where o.id = p_organization_id);
end
$$;
revoke execute on function provisioning.tenant_summary(uuid) from public;
comment on function provisioning.tenant_summary(uuid) is 'A tenant as operators see it in the list; no secrets.';

create function provisioning.page_of_tenants(p_filter jsonb, p_sort text, p_first integer, p_after jsonb default null) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_page jsonb;
begin
  if auth.role() is distinct from 'service_role' and not provisioning.is_operator() then
    raise exception 'Only operators see all tenants.' using errcode = 'TP403';
  end if;
  execute format(
    $sql$
      select coalesce(jsonb_agg(provisioning.tenant_summary(p.id) || jsonb_build_object('cursor', jsonb_build_array(p.sort_key, p.id))
        order by p.place), '[]')
      from (select page.*, row_number() over () as place from (%s) page) p
    $sql$, provisioning.tenant_page_sql(p_filter, p_sort, p_after))
  into v_page using p_filter, least(greatest(p_first, 1), 100), p_after;
  return v_page;
end
$$;
revoke execute on function provisioning.page_of_tenants(jsonb, text, integer, jsonb) from public;
grant execute on function provisioning.page_of_tenants(jsonb, text, integer, jsonb) to authenticated, service_role;
comment on function provisioning.page_of_tenants(jsonb, text, integer, jsonb) is
  'Tenants of everybody, for operators and the service role: p_first (at most 100) and, when there are more, one row further.
p_sort: CREATED_AT_DESC, CREATED_AT_ASC, NAME_ASC or NAME_DESC; p_after: the cursor of the row before. Raises TP403.';

-- Requests that check who asks -------------------------------------------------------------------------------------

create function provisioning.provision_as_caller(
  p_organization_id uuid, p_services text[] default null, p_database_size text default null, p_data_region text default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_job_id uuid;
  v_known text[] := array(select distinct d.service from provisioning.step_definitions d where d.kind = 'provision' order by 1);
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  if not p_services <@ v_known then
    raise exception 'There is an unknown service in "%". Known: %.', array_to_string(p_services, ', '), array_to_string(v_known, ', ')
      using errcode = 'TP422';
  end if;
  select r.job_id into v_job_id from provisioning.request_provisioning(
    p_organization_id, p_services, p_database_size, p_data_region, auth.uid()) r;
  perform provisioning.ring_doorbell('provisioning');
  return v_job_id;
end
$$;
revoke execute on function provisioning.provision_as_caller(uuid, text[], text, text) from public;
grant execute on function provisioning.provision_as_caller(uuid, text[], text, text) to authenticated, service_role;
comment on function provisioning.provision_as_caller(uuid, text[], text, text) is
  'request_provisioning for the owners and admins of the organization and the service role; rings, and returns the job.
Raises TP403 and what request_provisioning raises.';

create function provisioning.cancel_as_caller(p_organization_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_job_id uuid;
  v_undo_job_id uuid;
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  select c.job_id, c.undo_job_id into v_job_id, v_undo_job_id from provisioning.cancel_provisioning(p_organization_id) c;
  -- The undo is not due yet; the sweep will ring for it.
  return jsonb_build_object('organizationId', p_organization_id, 'jobId', v_job_id, 'undoJobId', v_undo_job_id);
end
$$;
revoke execute on function provisioning.cancel_as_caller(uuid) from public;
grant execute on function provisioning.cancel_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.cancel_as_caller(uuid) is
  'cancel_provisioning for the owners and admins of the organization and the service role: {organizationId, jobId, undoJobId}.
Raises TP403 and what cancel_provisioning raises.';
