-- Tenants with their history, by rows alone, and a clock inside the database, so that no client and no network is measured.
create schema growth;

-- Ids that begin with a time, as those of organizations and jobs do.
create function growth.id(p_kind text, p_number bigint) returns uuid
language sql immutable as $$
  select ('0190' || lpad(to_hex(p_number), 8, '0') || '7' || substr(md5(p_kind || p_number), 1, 3)
    || '8' || substr(md5(p_kind || p_number), 4, 15))::uuid
$$;

-- Auth's own ids are random.
create function growth.user_id(p_number bigint) returns uuid
language sql immutable as $$
  select md5('user' || p_number)::uuid
$$;

-- Everybody has signed up within the last year, so that no history is old enough to be deleted.
create view growth.people as
  select n, growth.user_id(n) as user_id, growth.id('organization', n) as organization_id,
    now() - interval '1 day' - (1 - n::numeric / greatest(t.count, 1)) * interval '360 days' as created_at,
    ('{Ann,Ben,Cleo,Dora,Emil,Fay,Gus,Hana,Ivo,Jun,Kaja,Luis,Mia,Nils,Olga,Pia,Quinn}'::text[])[1 + n % 17] as first_name,
    ('{Archer,Baker,Carver,Dyer,Fuller,Glover,Hooper,Mason,Miller,Porter,Sawyer,Tanner,Weaver}'::text[])[1 + n % 13] as last_name
  from (select current_setting('growth.tenants')::int as count) t cross join lateral generate_series(1, t.count) n;

-- About 30 rows a tenant. Without triggers and foreign keys: a hundred thousand real sign-ups would take minutes.
create procedure growth.fill(p_tenants integer)
language plpgsql as $$
declare
  v_indexes constant text[] := array[
    pg_get_indexdef('public.profiles_search_idx'::regclass), pg_get_indexdef('public.organizations_search_idx'::regclass)];
  v_index text;
begin
  -- Filled at once they cost a third of what they cost row by row.
  drop index public.profiles_search_idx, public.organizations_search_idx;
  perform set_config('growth.tenants', p_tenants::text, false), set_config('session_replication_role', 'replica', false),
    set_config('synchronous_commit', 'off', false), set_config('maintenance_work_mem', '512MB', false);
  insert into auth.users (instance_id, id, aud, role, email, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
    created_at, updated_at)
  select '00000000-0000-0000-0000-000000000000', user_id, 'authenticated', 'authenticated', 'user' || n || '@example.com',
    created_at, '{"provider": "email", "providers": ["email"]}', jsonb_build_object('full_name', first_name || ' ' || last_name),
    created_at, created_at
  from growth.people;
  commit;
  insert into public.organizations (id, name, slug, owner_id, billing_email, data_region, hosting_region, stripe_customer_id,
    provisioning_status, provisioned_at, created_at)
  select organization_id, first_name || ' ' || last_name || '''s organization', lower(first_name || '-' || last_name) || '-' || n,
    user_id, 'user' || n || '@example.com', 'eu-central-1', 'eu-central-1', 'cus_' || n,
    '{"stripe": "ready", "neon": "ready", "graphql": "ready", "overall": "ready"}', created_at, created_at
  from growth.people;
  insert into public.profiles (id, email, full_name, organization_id, created_at)
  select user_id, 'user' || n || '@example.com', first_name || ' ' || last_name, organization_id, created_at from growth.people;
  insert into public.organization_members (organization_id, user_id, role, created_at)
  select organization_id, user_id, 'owner', created_at from growth.people;
  insert into public.wallets (user_id, currency) select user_id, 'usd' from growth.people;
  insert into public.organization_databases (organization_id, neon_project_id, region, size, status, health_status)
  select organization_id, 'project-' || n, 'aws-eu-central-1', 'small', 'active', 'sleeping' from growth.people;
  insert into public.tenant_health (organization_id, status, next_check_at)
  select organization_id, 'sleeping', now() + interval '1 day' from growth.people;
  commit;
  -- The first job, and a second one of the same kind: a retry, half a year later at most.
  insert into public.provisioning_jobs (id, organization_id, kind, status, attempts, created_at, started_at, finished_at)
  select growth.id('job' || turn, n), organization_id, 'provision', 'succeeded', 1, at, at, at + interval '2 seconds'
  from growth.people cross join lateral (
    values (1, created_at), (2, created_at + (now() - created_at) / 2)) t (turn, at);
  commit;
  insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on, status, attempts,
    output, started_at, finished_at)
  select j.id, d.step, j.organization_id, d.service, d.position, d.depends_on, 'succeeded', 1,
    '{"resourceId": "quiet-sun-12345678"}', j.started_at, j.finished_at
  from public.provisioning_jobs j join provisioning.step_definitions d on d.kind = j.kind and d.tier = j.tier;
  commit;
  insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, resource_id, status, metadata,
    started_at, completed_at)
  select j.organization_id, j.id, e.event_type, e.resource_type, j.id::text, 'succeeded', '{"attempt": 1}',
    j.started_at, j.finished_at
  from public.provisioning_jobs j cross join (
    values ('step.succeeded', 'stripe_customer'), ('step.succeeded', 'neon_project'), ('step.succeeded', 'verify_connection'),
      ('job.succeeded', 'provision')) e (event_type, resource_type);
  insert into public.provisioning_events (organization_id, event_type, resource_type, resource_id, status, started_at)
  select organization_id, 'sign_up', 'user', user_id::text, 'succeeded', created_at from growth.people;
  commit;
  insert into public.audit_logs (organization_id, actor_type, actor_id, action, resource_type, resource_id, metadata, created_at)
  select p.organization_id, 'user', p.user_id, a.action, 'organization', p.organization_id::text, '{"changed": ["name"]}', p.created_at
  from growth.people p cross join (values ('organization.updated'), ('provisioning.requested')) a (action);
  insert into public.tenant_alerts (organization_id, kind, severity, message, opened_at, resolved_at)
  select organization_id, 'tenant_health', 'critical', 'The database cannot be reached.', created_at, created_at + interval '1 hour'
  from growth.people where n % 3 = 0;
  commit;
  foreach v_index in array v_indexes loop
    execute v_index;
  end loop;
  perform set_config('session_replication_role', 'origin', false);
end
$$;

-- Milliseconds that each of p_times runs of a statement took. What it writes is taken back, and a first run is not counted.
create function growth.time(p_statement text, p_times integer, p_role text default 'none') returns double precision[]
language plpgsql as $$
declare
  v_started_at timestamptz;
  v_took double precision[] := '{}';
begin
  for i in 0..p_times loop
    begin
      perform set_config('request.jwt.claims', case p_role when 'none' then '' else jsonb_build_object('role', p_role)::text end, true),
        set_config('role', p_role, true);
      v_started_at := clock_timestamp();
      execute p_statement;
      v_took := v_took || extract(epoch from clock_timestamp() - v_started_at)::double precision * 1000;
      raise exception using errcode = 'GR000';
    exception when sqlstate 'GR000' then
      null;
    end;
  end loop;
  return v_took[2:];
end
$$;

-- A whole look for users who lack rows, as the command for operators makes it: portion by portion.
create function growth.look_for_missing_rows() returns integer
language plpgsql as $$
declare
  v_portion jsonb;
  v_found integer := 0;
begin
  perform set_config('request.jwt.claims', '{"role": "service_role"}', true);
  loop
    v_portion := provisioning.backfill_users(100, true, (v_portion ->> 'after')::uuid);
    v_found := v_found + jsonb_array_length(v_portion -> 'users');
    exit when v_portion ->> 'after' is null;
  end loop;
  return v_found;
end
$$;
