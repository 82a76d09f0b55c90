-- What `doctor` asks: whether the installation works. Of Vault only names are read, and whether a value could be right.

create function provisioning.diagnose_platform() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_worker_problem text;
begin
  begin
    perform net.check_worker_is_up();
  exception when others then
    v_worker_problem := sqlerrm;
  end;
  return jsonb_build_object(
    'extensions', (
      select jsonb_agg(jsonb_build_object('name', w.name, 'version', e.extversion) order by w.name)
      from unnest(array['pg_cron', 'pg_net', 'pg_trgm', 'pgcrypto', 'supabase_vault']) w (name)
      left join pg_catalog.pg_extension e on e.extname = w.name),
    -- Names, and whether a value could be right; never a value.
    'vault', (
      select jsonb_agg(jsonb_build_object('name', w.name, 'state', provisioning.vault_secret_state(w.name, w.pattern))
        order by w.name)
      from (values ('functions_base_url', '^https?://[^[:space:]]+$'), ('provisioning_doorbell_key', '^.{32,}$'),
        ('provisioning_sealing_key', '^[0-9a-f]{64}$'), ('alert_webhook_url', '^https?://[^[:space:]]+$'),
        ('alert_webhook_secret', '^whsec_.{24,}$')) w (name, pattern)),
    -- By what they call: a project may have had to give them other names.
    'triggers', (
      select jsonb_agg(jsonb_build_object('function', w.name, 'table', w.relation::text, 'enabled', exists (
        select from pg_catalog.pg_trigger t
        where t.tgrelid = w.relation and t.tgfoid = ('provisioning.' || w.name)::regproc and t.tgenabled in ('O', 'A')),
        -- The quick start of Supabase and starters have a public.handle_new_user.
        'namesakes', (
          select coalesce(jsonb_agg(jsonb_build_object('trigger', t.tgname,
            'function', p.pronamespace::regnamespace || '.' || p.proname) order by t.tgname), '[]')
          from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
          where t.tgrelid = w.relation and p.proname = w.name and p.pronamespace <> 'provisioning'::regnamespace))
        order by w.name)
      from (values ('handle_new_user', 'auth.users'::regclass), ('handle_user_updated', 'auth.users'),
        ('handle_user_deleted', 'auth.users'), ('handle_user_soft_deleted', 'auth.users'),
        ('keep_owners', 'auth.users'), ('handle_organization_deleted', 'public.organizations'::regclass),
        ('handle_provisioning_succeeded', 'public.provisioning_jobs'::regclass),
        ('alert_on_job_end', 'public.provisioning_jobs'::regclass),
        ('enqueue_alert_delivery', 'public.tenant_alerts'::regclass)) w (name, relation)),
    'cron', (
      select coalesce(jsonb_agg(jsonb_build_object('name', j.jobname, 'schedule', j.schedule, 'active', j.active,
        'here', j.database = current_database(), 'last_run', (
          select jsonb_build_object('status', d.status, 'message', left(d.return_message, 300), 'started_at', d.start_time,
            'finished_at', d.end_time)
          from cron.job_run_details d where d.jobid = j.jobid and d.start_time is not null order by d.runid desc limit 1))
            order by j.jobname), '[]')
      from cron.job j where j.command like '%provisioning.%'),
    'pg_net', jsonb_build_object('problem', v_worker_problem,
      'queued', (select count(*) from net.http_request_queue),
      'last_hour', (
        select coalesce(jsonb_agg(jsonb_build_object('status_code', r.status_code, 'error', r.error, 'calls', r.calls)
          order by r.calls desc), '[]')
        from (
          select a.status_code, left(coalesce(a.error_msg, case when a.timed_out then 'timed out' end), 200) as error,
            count(*) as calls
          from net._http_response a where a.created > now() - interval '1 hour' group by 1, 2 order by 3 desc limit 10) r)));
end
$$;
revoke execute on function provisioning.diagnose_platform() from public, anon, authenticated, service_role;

create function provisioning.diagnose_neighbours() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tables text[] := array['audit_logs', 'organization_databases', 'organization_members', 'organizations', 'profiles',
    'provisioning_events', 'provisioning_jobs', 'provisioning_steps', 'tenant_alerts', 'tenant_api_keys', 'tenant_health',
    'tenant_health_checks', 'tenant_health_hourly', 'tenant_resources', 'wallets'];
  v_schema text := (select c.relnamespace::regnamespace from pg_catalog.pg_class c where c.oid = 'public.profiles'::regclass);
begin
  return jsonb_build_object(
    -- Without what may stand before an @.
    'functions_url', case when provisioning.vault_secret_state('functions_base_url', '^https?://') = 'fine' then
      regexp_replace(provisioning.vault_secret('functions_base_url'), '//[^/@]*@', '//') end,
    'identity', (
      select to_jsonb(i) - 'id' from provisioning.project_identity i),
    'policies', (
      select coalesce(jsonb_agg(jsonb_build_object('table', p.tablename, 'name', p.policyname, 'command', lower(p.cmd),
        'permissive', p.permissive = 'PERMISSIVE', 'roles', p.roles) order by p.tablename, p.policyname), '[]')
      from pg_catalog.pg_policies p where p.schemaname = v_schema and p.tablename = any (v_tables)),
    -- Tables of the project that are read instead of ours, and whether our trigger on them is at work.
    'mapping', (
      select coalesce(jsonb_agg(jsonb_build_object('part', m.part, 'table', m.map ->> 'table', 'followed', exists (
        select from pg_catalog.pg_trigger t
        where t.tgrelid = to_regclass(m.map ->> 'table')
          and t.tgfoid = to_regprocedure('provisioning.handle_mapped_' || m.part || '()')
          and t.tgname = 'A_tenant_provisioning_' || m.part and t.tgenabled in ('O', 'A')),
        -- Each row of ours that follows is looked up there.
        'indexed', exists (
          select from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
          where i.indrelid = to_regclass(m.map ->> 'table') and a.attname = (provisioning.mapped_columns(m.part, m.map))[1]),
        'problem', provisioning.mapping_problem(m.part, m.map)) order by m.part), '[]')
      from provisioning.settings s cross join lateral jsonb_each(s.mapping) m (part, map)),
    'mapping_failures', (
      select jsonb_build_object('rows', count(*), 'message', min(f.message)) from provisioning.mapping_failures f),
    -- What a reset of the database left: nothing of ours knows these organizations any more.
    'left_behind', (
      select jsonb_build_object('passwords', count(*), 'organizations', count(distinct split_part(s.name, '/', 2)))
      from vault.secrets s
      where s.name like 'tenant_database_password/%'
        and not exists (select from public.organizations o where o.id::text = split_part(s.name, '/', 2))
        and not exists (select from public.provisioning_jobs j where j.organization_id::text = split_part(s.name, '/', 2))),
    -- The quick start's trigger makes a profile. When the table is ours, it is there already and every sign-up fails.
    'user_triggers', (
      select coalesce(jsonb_agg(jsonb_build_object('name', t.tgname, 'function', t.tgfoid::regprocedure, 'inserts_into', w.tables)
        order by t.tgname), '[]')
      from pg_catalog.pg_trigger t
      join pg_catalog.pg_proc f on f.oid = t.tgfoid and f.pronamespace <> 'provisioning'::regnamespace
      cross join lateral (
        select jsonb_agg(distinct replace(i.found[1], '"', '')) as tables
        from regexp_matches(f.prosrc, '\minsert\s+into\s+((?:"?\w+"?\.)?"?\w+)', 'gi') i (found)
        where lower(substring(replace(i.found[1], '"', '') from '\w+$')) = any (v_tables)) w
      where t.tgrelid = 'auth.users'::regclass and not t.tgisinternal and t.tgenabled in ('O', 'A') and w.tables is not null));
end
$$;
revoke execute on function provisioning.diagnose_neighbours() from public, anon, authenticated, service_role;
comment on function provisioning.diagnose_neighbours() is
  'What others have put on our tables, which triggers on auth.users write to tables with our names, how tables of the project are
read instead of ours, and where the functions are.';

create function provisioning.diagnose_work() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object(
    'dispatch', (
      select jsonb_build_object('last_swept_at', s.last_swept_at, 'problem', provisioning.dispatch_problem())
      from provisioning.dispatch_state s),
    'pauses', (
      select coalesce(jsonb_agg(to_jsonb(c)), '[]') from provisioning.current_pauses() c),
    'open_jobs', (
      select coalesce(jsonb_agg(to_jsonb(o) order by o.kind, o.status), '[]') from (
        select j.kind, j.status, count(*) as jobs, min(coalesce(l.expires_at, j.next_attempt_at)) as first_due
        from public.provisioning_jobs j left join provisioning.job_leases l on l.job_id = j.id
          where j.status in ('queued', 'running') group by 1, 2) o),
    -- Due for a minute, and nobody has taken them: six sweeps should have rung for them.
    'stuck_jobs', (
      select coalesce(jsonb_agg(to_jsonb(s) order by s.due_at), '[]') from (
        select j.id, j.organization_id, o.slug, j.kind, j.status, j.attempts, coalesce(l.expires_at, j.next_attempt_at) as due_at,
          j.last_error ->> 'message' as last_error
        from public.provisioning_jobs j left join public.organizations o on o.id = j.organization_id
        left join provisioning.job_leases l on l.job_id = j.id
        where j.status in ('queued', 'running') and coalesce(l.expires_at, j.next_attempt_at) < now() - interval '1 minute'
          and provisioning.paused_because(j.id) is null
        order by due_at limit 20) s),
    -- The newest job of its kind: a failure that another job made good counts no more, and of a deleted organization only
    -- the removal does. Not from the alerts, which a trigger opens that may be missing.
    'failed_jobs', (
      select coalesce(jsonb_agg(to_jsonb(f) order by f.jobs desc), '[]') from (
        select j.kind, j.last_error ->> 'code' as code, count(*) as jobs, min(j.last_error ->> 'message') as message
        from public.provisioning_jobs j
        where j.status = 'failed'
          and (j.kind = provisioning.kind_for('remove')
            or exists (select from public.organizations o where o.id = j.organization_id))
          and not exists (
            select from public.provisioning_jobs n
            where n.organization_id = j.organization_id and n.kind = j.kind and n.created_at > j.created_at)
        group by 1, 2) f),
    'sign_up_failures', (
      select jsonb_build_object('users', count(*), 'message', min(f.message)) from provisioning.sign_up_failures f),
    'users_without_profile', (
      select count(*) from auth.users u
      where not u.is_anonymous and u.deleted_at is null and not exists (select from public.profiles p where p.id = u.id)
        and (coalesce(u.email_confirmed_at, u.phone_confirmed_at) is not null
          or (select s.provision_on from provisioning.settings s) = 'sign_up')),
    'providers', (
      select jsonb_agg(to_jsonb(p) order by p.provider) from provisioning.provider_status p),
    'refused_limits', provisioning.refused_limits(),
    'alerts', (
      select jsonb_build_object('open', count(*), 'critical', count(*) filter (where a.severity = 'critical'), 'oldest',
        min(a.opened_at))
      from public.tenant_alerts a where a.resolved_at is null),
    'reconciliation', jsonb_build_object(
      'last_run', (
        select to_jsonb(r) from provisioning.reconciliation_runs r order by r.started_at desc limit 1),
      'findings', (
        select coalesce(jsonb_agg(to_jsonb(f)), '[]') from (
          select k.label, i.kind, count(*) as resources
          from provisioning.reconciliation_findings i join provisioning.resource_kinds k on k.kind = i.resource_kind
          where i.resolved_at is null group by 1, 2 order by 1, 2) f)));
end
$$;
revoke execute on function provisioning.diagnose_work() from public, anon, authenticated, service_role;

create function provisioning.applied_migrations() returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
  -- The table is the Supabase CLI's; who installs in another way has none.
  if to_regclass('supabase_migrations.schema_migrations') is null then
    return null;
  end if;
  -- Names came later than versions: the column may be missing.
  return array(
    select concat_ws('_', m.version, to_jsonb(m) ->> 'name') from supabase_migrations.schema_migrations m order by m.version);
end
$$;
revoke execute on function provisioning.applied_migrations() from public, anon, authenticated, service_role;

create function provisioning.diagnose_provisioning() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return provisioning.diagnose_platform() || provisioning.diagnose_neighbours() || provisioning.diagnose_work()
    || jsonb_build_object('database_time', clock_timestamp(), 'migrations', to_jsonb(provisioning.applied_migrations()));
end
$$;
revoke execute on function provisioning.diagnose_provisioning() from public, anon, authenticated, service_role;
grant execute on function provisioning.diagnose_provisioning() to service_role;
comment on function provisioning.diagnose_provisioning() is
  'What the installation rests on and how it is at work: extensions, names in Vault, triggers, cron jobs with their last runs, the
pg_net worker, dispatch, stuck and failed jobs, providers, alerts, reconciliation, clock. Facts; the judgement is the CLI''s.';

create function public.diagnose_provisioning() returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.diagnose_provisioning()
$$;
revoke execute on function public.diagnose_provisioning() from public, anon, authenticated;
grant execute on function public.diagnose_provisioning() to service_role;
comment on function public.diagnose_provisioning() is
  'For the backend: the facts that the doctor of the command line judges. See provisioning.diagnose_provisioning.';

create function provisioning.probe_functions(p_names text[]) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_url text := provisioning.vault_secret('functions_base_url');
begin
  if v_url is null or cardinality(p_names) > 50 then
    return '{}';
  end if;
  -- Without credentials, so that nothing happens: a function of ours answers 401 with a problem of its own.
  return coalesce((
    select jsonb_object_agg(n.name, net.http_post(url := rtrim(v_url, '/') || '/' || n.name, body := '{}',
      timeout_milliseconds := 5000))
    from unnest(p_names) n (name) where n.name ~ '^[a-z0-9-]{1,60}$'), '{}');
end
$$;
revoke execute on function provisioning.probe_functions(text[]) from public, anon, authenticated, service_role;
grant execute on function provisioning.probe_functions(text[]) to service_role;
comment on function provisioning.probe_functions(text[]) is
  'Calls functions from the database as the doorbell does, but without credentials, after commit: {name: request id} for
probe_results.';

create function provisioning.probe_results(p_requests bigint[]) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('request', r.id, 'status_code', r.status_code,
      'error', coalesce(r.error_msg, case when r.timed_out then 'timed out' end),
      'refused_by_platform', r.status_code = 401
        and coalesce(r.content !~ 'urn:tenant-provisioning:' and r.content ~* 'authorization header', false))), '[]')
    from net._http_response r where r.id = any (p_requests));
end
$$;
revoke execute on function provisioning.probe_results(bigint[]) from public, anon, authenticated, service_role;
grant execute on function provisioning.probe_results(bigint[]) to service_role;
comment on function provisioning.probe_results(bigint[]) is
  'What came back so far: [{request, status_code, error, refused_by_platform}]. The last: deployed with verify_jwt, so that no
doorbell gets in.';

create function public.probe_functions(names text[]) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.probe_functions(names)
$$;
revoke execute on function public.probe_functions(text[]) from public, anon, authenticated;
grant execute on function public.probe_functions(text[]) to service_role;
comment on function public.probe_functions(text[]) is
  'For the backend: whether the database reaches the functions. See provisioning.probe_functions.';

create function public.probe_results(requests bigint[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.probe_results(requests)
$$;
revoke execute on function public.probe_results(bigint[]) from public, anon, authenticated;
grant execute on function public.probe_results(bigint[]) to service_role;
comment on function public.probe_results(bigint[]) is
  'For the backend: the answers to probe_functions. See provisioning.probe_results.';
