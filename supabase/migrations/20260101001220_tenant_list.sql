-- The one list of tenants and the one summary of a tenant, for operators and the backend. GraphQL and the CLI read both here.

-- One index for each order in which the list is read page by page; slugs are unique and have theirs.
create index organizations_created_at_idx on public.organizations (created_at, id);
create index organizations_name_idx on public.organizations (name, id);
-- Nearly all tenants are ready; those that are not are what operators look for.
create index organizations_not_ready_idx on public.organizations ((provisioning_status ->> 'overall'), created_at, id)
  where provisioning_status ->> 'overall' <> 'ready';
create index organization_databases_ailing_idx on public.organization_databases (health_status, organization_id)
  where health_status in ('degraded', 'unhealthy');
-- Putting a text into a trigram index takes longer than the rest of a sign-up's organization. So it happens when the tenant is
-- ready, where nobody waits; the few others are found without.
select provisioning.with_trigrams($create$
create index organizations_search_idx on public.organizations
  using gin ((name || ' ' || slug || ' ' || coalesce(billing_email, '')) extensions.gin_trgm_ops)
  where provisioned_at is not null
$create$);
-- Without these the planner takes every state and every text for equally frequent. They cost nothing until ANALYZE.
create statistics provisioning.organizations_overall on (provisioning_status ->> 'overall') from public.organizations;
create statistics provisioning.organizations_search on (name || ' ' || slug || ' ' || coalesce(billing_email, ''))
  from public.organizations;

create function provisioning.like_pattern(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return '%' || replace(replace(replace(p_text, '\', '\\'), '%', '\%'), '_', '\_') || '%';
end
$$;
revoke execute on function provisioning.like_pattern(text) from public, anon, authenticated, service_role;
comment on function provisioning.like_pattern(text) is
  'The pattern that matches wherever the text occurs, its % and _ taken literally.';

create function provisioning.words_of(p_value jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select coalesce(string_agg(quote_literal(w.word), ', '), 'null')
    from jsonb_array_elements_text(
      case jsonb_typeof(p_value) when 'array' then p_value else jsonb_build_array(p_value) end) w (word));
end
$$;
revoke execute on function provisioning.words_of(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.words_of(jsonb) is
  'A word, or an array of words, as quoted literals with commas between them, for `in (…)`. No words are `null`, which nothing
equals.';

select provisioning.with_trigrams($create$
create function provisioning.tenant_conditions(p_filter jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_conditions text[] := '{true}';
begin
  -- Texts of ours, chosen by which filters there are. The words stand in them as quoted literals, because the planner uses an
  -- index of some states only when it sees that the states asked for are among them; the search stays in $1.
  if p_filter ? 'status' then
    v_conditions := v_conditions
      || format($sql$o.provisioning_status ->> 'overall' in (%s)$sql$, provisioning.words_of(p_filter -> 'status'));
  end if;
  if p_filter ? 'region' then
    v_conditions := v_conditions || format(
      'o.data_region in (
        select r.data_region from provisioning.regions r where r.data_region in (%1$s) or r.neon_region in (%1$s))',
      provisioning.words_of(p_filter -> 'region'));
  end if;
  if p_filter ? 'plan' then
    v_conditions := v_conditions || format('o.plan in (%s)', provisioning.words_of(p_filter -> 'plan'));
  end if;
  if p_filter ? 'search' then
    -- Two ways to find a text, each with its own index. The words are in another order in the second, because the planner takes
    -- what alternatives have in common out of them, and would then see neither index.
    v_conditions := v_conditions || format($sql$(
      o.provisioned_at is not null
        and o.name || ' ' || o.slug || ' ' || coalesce(o.billing_email, '') ilike provisioning.like_pattern($1 ->> 'search') %s
      or o.provisioned_at is null and o.provisioning_status ->> 'overall' <> 'ready'
        and coalesce(o.billing_email, '') || ' ' || o.name || ' ' || o.slug
          ilike provisioning.like_pattern($1 ->> 'search'))$sql$,
      -- The index knows three letters or digits in a row, and two that begin a word.
      case when p_filter ->> 'search' ~ '[[:alnum:]]{2}' and p_filter ->> 'search' !~ '[[:alnum:]]{3}' then
        $sql$and o.name || ' ' || o.slug || ' ' || coalesce(o.billing_email, '') operator(extensions.%>) ($1 ->> 'search')$sql$
        end);
  end if;
  if p_filter ? 'health' then
    -- Of a tenant without a database row, which is made when a worker begins with it, nothing is known.
    v_conditions := v_conditions || format(
      '(o.id in (select d.organization_id from %1$s d where d.health_status in (%2$s))'
        || case when p_filter -> 'health' ? 'unknown' then
          ' or not exists (select from %1$s d where d.organization_id = o.id)' else '' end || ')',
      'public.organization_databases'::regclass, provisioning.words_of(p_filter -> 'health'));
  end if;
  if p_filter ? 'error_code' then
    -- The state comes first, because there is an index of those that are not ready.
    v_conditions := v_conditions || format(
      $sql$(o.provisioning_status ->> 'overall' = 'failed' and exists (
        select from %s j where j.organization_id = o.id and j.kind = provisioning.kind_for('provision')
          and j.status = 'failed' and j.last_error ->> 'code' in (%s)))$sql$,
      'public.provisioning_jobs'::regclass, provisioning.words_of(p_filter -> 'error_code'));
  end if;
  if p_filter -> 'has_open_alerts' = 'true' then
    v_conditions := v_conditions
      || format('o.id in (select a.organization_id from %s a where a.resolved_at is null)', 'public.tenant_alerts'::regclass);
  end if;
  return array_to_string(v_conditions, ' and ');
end
$$
$create$);
revoke execute on function provisioning.tenant_conditions(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_conditions(jsonb) is
  'The WHERE clause of a filter {status, health, region, plan, error_code (each a word or an array of words), search,
has_open_alerts}. error_code is that of a failed provisioning. What is searched for is read from $1; two letters or digits are
found where a word begins with them.';

create function provisioning.tenant_page_sql(p_filter jsonb, p_sort text, p_has_after boolean) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_descending boolean := p_sort like '-%';
  v_column text := ltrim(p_sort, '-');
begin
  if v_column not in ('created_at', 'name', 'slug') then
    raise exception 'Tenants are sorted by created_at, name or slug, with a - before it for descending; not by "%".', p_sort
      using errcode = 'TP422';
  end if;
  return format(
    'select o.id, o.%1$I as sort_key from %2$s o where %3$s %4$s order by o.%1$I %5$s, o.id %5$s limit $2 + 1',
    v_column, 'public.organizations'::regclass, provisioning.tenant_conditions(p_filter),
    case when p_has_after then
      format('and (o.%I, o.id) %s (($3 ->> 1)::%s, ($3 ->> 2)::uuid)', v_column, case when v_descending then '<' else '>' end,
        case v_column when 'created_at' then 'timestamptz' else 'text' end) end,
    case when v_descending then 'desc' else 'asc' end);
end
$$;
revoke execute on function provisioning.tenant_page_sql(jsonb, text, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_page_sql(jsonb, text, boolean) is
  'Finds one page of tenants, and one row more: $1 filter, $2 rows, $3 the parts of a cursor. A text of its own for each
combination, because one plan for all of them could use no index. Raises TP422 for an unknown order.';

create function provisioning.tenant_cursor(p_sort text, p_key jsonb, p_id uuid) returns text
language plpgsql immutable set search_path = '' as $$
begin
  -- base64 breaks its lines.
  return replace(encode(convert_to(jsonb_build_array(p_sort, p_key, p_id)::text, 'utf8'), 'base64'), E'\n', '');
end
$$;
revoke execute on function provisioning.tenant_cursor(text, jsonb, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_cursor(text, jsonb, uuid) is
  'The place of a tenant in the list: opaque to callers, and stable whatever is inserted or deleted around it.';

create function provisioning.read_tenant_cursor(p_cursor text, p_sort text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_parts jsonb;
begin
  v_parts := convert_from(decode(p_cursor, 'base64'), 'utf8')::jsonb;
  if v_parts ->> 0 is distinct from p_sort or (v_parts ->> 2)::uuid is null
    or p_sort like '%created_at' and (v_parts ->> 1)::timestamptz is null then
    raise invalid_parameter_value;
  end if;
  return v_parts;
exception when others then
  raise exception 'This is not a cursor of the list in the order "%": ask for the first page again.', p_sort
    using errcode = 'TP422';
end
$$;
revoke execute on function provisioning.read_tenant_cursor(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.read_tenant_cursor(text, text) is
  'The parts of a cursor: [sort, key, id]. Raises TP422 for anything else.';

create function provisioning.tenant_summaries(p_organization_ids uuid[]) returns table (organization_id uuid, summary jsonb)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_kind constant text := provisioning.kind_for('provision');
begin
  return query
    select o.id, jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'plan', o.plan, 'owner_id', o.owner_id,
      'owner_email', u.email, 'billing_email', o.billing_email, 'stripe_customer_id', o.stripe_customer_id,
      'stripe_subscription_status', o.stripe_subscription_status,
      'data_region', o.data_region, 'hosting_region', o.hosting_region,
      'status', o.provisioning_status ->> 'overall', 'provisioning_status', o.provisioning_status,
      'job_id', j.id, 'job_status', j.status, 'error', j.last_error,
      'next_attempt_at', case when j.status = 'queued' then j.next_attempt_at end,
      'neon_project_id', d.neon_project_id, 'database_region', d.region, 'database_size', d.size,
      'schema_version', d.schema_version, 'schema_drift_at', d.schema_drift_at,
      -- Before the first claim there is no database row, and nothing is known of it.
      'health', coalesce(d.health_status::text, 'unknown'), 'health_checked_at', h.checked_at,
      'open_alerts', (
        select count(*) from public.tenant_alerts a where a.organization_id = o.id and a.resolved_at is null),
      'provisioned_at', o.provisioned_at, 'created_at', o.created_at, 'updated_at', o.updated_at)
    from public.organizations o
    left join public.organization_databases d on d.organization_id = o.id
    left join public.tenant_health h on h.organization_id = o.id
    left join auth.users u on u.id = o.owner_id
    left join lateral (
      select p.id, p.status, p.last_error, p.next_attempt_at from public.provisioning_jobs p
      where p.organization_id = o.id and p.kind = v_kind order by p.created_at desc limit 1) j on true
    where o.id = any (p_organization_ids);
end
$$;
revoke execute on function provisioning.tenant_summaries(uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_summaries(uuid[]) is
  'Tenants as operators see them, in the list and alone; those that there are, in no order. No secrets. All of a page with one
query: fifty calls for one tenant each take ten times as long.';

create function provisioning.tenant_summary(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select s.summary from provisioning.tenant_summaries(array[p_organization_id]) s);
end
$$;
revoke execute on function provisioning.tenant_summary(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.tenant_summary(uuid) is 'The one of tenant_summaries; null when there is no such tenant.';

create function provisioning.tenant_as_operator(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return provisioning.tenant_summary(p_organization_id);
end
$$;
revoke execute on function provisioning.tenant_as_operator(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.tenant_as_operator(uuid) to authenticated, service_role;
comment on function provisioning.tenant_as_operator(uuid) is 'tenant_summary for operators and the service role. Raises TP403.';

create function provisioning.list_tenants(
  p_filter jsonb default '{}', p_sort text default 'slug', p_page_size integer default 50, p_after text default null
) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_rows integer := least(greatest(coalesce(p_page_size, 50), 1), 1000);
  v_filter jsonb := jsonb_strip_nulls(coalesce(p_filter, '{}'));
  v_after jsonb;
  v_page jsonb;
begin
  perform provisioning.assert_operator();
  if p_after is not null then
    v_after := provisioning.read_tenant_cursor(p_after, p_sort);
  end if;
  -- The summaries of the page's rows alone: the row behind it only says that there are more.
  execute format(
    $sql$
      with page as materialized (select found.*, row_number() over () as place from (%s) found)
      select jsonb_build_object(
        'tenants', (
          select coalesce(jsonb_agg(s.summary
            || jsonb_build_object('cursor', provisioning.tenant_cursor($4, to_jsonb(p.sort_key), p.id)) order by p.place), '[]')
          from page p
          join provisioning.tenant_summaries(array(select w.id from page w where w.place <= $2)) s on s.organization_id = p.id),
        'has_next_page', (select count(*) from page) > $2)
    $sql$, provisioning.tenant_page_sql(v_filter, p_sort, v_after is not null))
  into v_page using v_filter, v_rows, v_after, p_sort;
  return v_page || jsonb_build_object('end_cursor', v_page #> '{tenants,-1,cursor}');
end
$$;
revoke execute on function provisioning.list_tenants(jsonb, text, integer, text) from public, anon, authenticated, service_role;
grant execute on function provisioning.list_tenants(jsonb, text, integer, text) to authenticated, service_role;
comment on function provisioning.list_tenants(jsonb, text, integer, text) is
  'A page of tenants, for operators and the service role: {tenants: [a summary with its cursor], has_next_page, end_cursor}.
p_filter: see tenant_conditions. p_sort: created_at, name or slug, with a - before it for descending. p_page_size: 1 to 1000.
p_after: the cursor of the row before. Raises TP403, and TP422 for an unknown order or cursor.';

create function public.list_tenants(
  filter jsonb default '{}', sort text default 'slug', page_size integer default 50, after text default null
) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.list_tenants(filter, sort, page_size, after)
$$;
revoke execute on function public.list_tenants(jsonb, text, integer, text) from public, anon, authenticated;
grant execute on function public.list_tenants(jsonb, text, integer, text) to service_role;
comment on function public.list_tenants(jsonb, text, integer, text) is
  'For the backend: a page of tenants. See provisioning.list_tenants.';
