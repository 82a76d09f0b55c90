-- Bringing all tenants' databases to a newer version of the tenant schema: some of them first, then the others, and no further
-- once too many have failed. A run is rows. Each job's end moves it on, and the sweep moves on what no job does.

insert into provisioning.job_kinds (kind, label, worker, lane, max_running, max_running_per_worker, works_on, purpose,
  made_by_sweep) values
  ('migrate_schema', 'Migration of the tenant schema', 'provisioning', 'batch', 8, 8, '{neon,database}', 'maintain',
    'advance_fleet_migrations');
insert into provisioning.job_kinds (kind, label, worker, lane, max_running, works_on, purpose) values
  ('try_schema', 'Trial of the tenant schema', 'provisioning', 'batch', 4, '{neon,database}', 'maintain');
insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  -- Only where a database can be copied.
  ('try_schema', 'database', 'try_schema', 'neon', 1, '{}'),
  ('migrate_schema', 'database', 'migrate_schema', 'neon', 1, '{}'),
  ('migrate_schema', 'project', 'migrate_schema', 'database', 1, '{}');

create domain provisioning_types.fleet_migration_state as text
  -- canary: the first few. rolling: all others. stopped: too many failed, or somebody said so. cancelled: another one came.
  constraint fleet_migration_state_is_known check (value in ('canary', 'rolling', 'stopped', 'done', 'cancelled'));

create table provisioning.fleet_migrations (
  id uuid primary key default provisioning.uuid_v7(),
  to_version integer not null,
  state provisioning_types.fleet_migration_state not null default 'canary',
  -- How many tenants come first: the others follow when these have ended, and not too many of them have failed.
  canary_tenants integer not null,
  -- It stops when more than this share of those that have ended has failed.
  max_failures_percent numeric not null,
  stopped_because text,
  -- Since it began, or went on after a stop. Kept here, because to count the tenants at each end would take ever longer.
  queued integer not null default 0,
  done integer not null default 0,
  failed integer not null default 0,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  constraint version_is_positive check (to_version > 0),
  constraint percent_is_a_share check (max_failures_percent between 0 and 100),
  constraint counts_are_not_negative check (least(queued, done, failed, canary_tenants) >= 0),
  constraint ended_migrations_have_an_end check ((state in ('done', 'cancelled')) = (ended_at is not null))
);
comment on table provisioning.fleet_migrations is
  'Runs that bring all tenants to a version of the tenant schema. One is open at most.';
create unique index fleet_migrations_open_key on provisioning.fleet_migrations ((true))
  where state in ('canary', 'rolling', 'stopped');

create domain provisioning_types.fleet_tenant_state as text
  -- waiting: it has its turn later. asleep: when it is awake. queued: it has a job. left: nothing is to be done any more.
  constraint fleet_tenant_state_is_known check (value in ('waiting', 'asleep', 'queued', 'done', 'failed', 'left'));

create table provisioning.fleet_migration_tenants (
  fleet_migration_id uuid not null references provisioning.fleet_migrations (id) on delete cascade,
  -- No foreign key: a deleted organization stays in the counts.
  organization_id uuid not null,
  state provisioning_types.fleet_tenant_state not null default 'waiting',
  -- At random, so that the first few are like the others.
  position double precision not null default random(),
  job_id uuid,
  -- {"code", "message"} of the job's failure.
  error jsonb,
  -- Of one that sleeps: when it was found asleep, and when a sweep last looked whether it is awake.
  asleep_at timestamptz,
  looked_at timestamptz,
  primary key (fleet_migration_id, organization_id)
);
comment on table provisioning.fleet_migration_tenants is 'How each tenant stands in a fleet migration.';
create index fleet_migration_tenants_waiting_idx on provisioning.fleet_migration_tenants (fleet_migration_id, position)
  where state = 'waiting';
create index fleet_migration_tenants_asleep_idx on provisioning.fleet_migration_tenants (fleet_migration_id, looked_at)
  where state = 'asleep';
create index fleet_migration_tenants_job_id_idx on provisioning.fleet_migration_tenants (job_id) where state = 'queued';

alter table provisioning.fleet_migrations enable row level security;
revoke all on provisioning.fleet_migrations from anon, authenticated, service_role;
alter table provisioning.fleet_migration_tenants enable row level security;
revoke all on provisioning.fleet_migration_tenants from anon, authenticated, service_role;

-- Moving on. Whoever does so holds the row of the run, after the row of a job that has ended.

create function provisioning.open_fleet_migration() returns provisioning.fleet_migrations
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations;
begin
  select * into v_run from provisioning.fleet_migrations f where f.state in ('canary', 'rolling', 'stopped') for update;
  return v_run;
end
$$;
revoke execute on function provisioning.open_fleet_migration() from public, anon, authenticated, service_role;
comment on function provisioning.open_fleet_migration() is 'Locks the run that is open, and returns it; nulls when none is.';

create function provisioning.queue_fleet_tenant(p_run provisioning.fleet_migrations, p_organization_id uuid, p_request jsonb,
  p_lane text default 'batch') returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_request jsonb := p_request || jsonb_build_object('to', p_run.to_version);
  v_job_id uuid := provisioning.enqueue(p_organization_id, 'migrate_schema', v_request, auth.uid(), p_lane);
begin
  -- One that was open already may have been for another version.
  update public.provisioning_jobs j set request = j.request || v_request where j.id = v_job_id and not j.request @> v_request;
  update provisioning.fleet_migration_tenants t set state = 'queued', job_id = v_job_id, error = null
  where t.fleet_migration_id = p_run.id and t.organization_id = p_organization_id;
  update provisioning.fleet_migrations f set queued = f.queued + 1 where f.id = p_run.id;
  return v_job_id;
end
$$;
revoke execute on function provisioning.queue_fleet_tenant(provisioning.fleet_migrations, uuid, jsonb, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.queue_fleet_tenant(provisioning.fleet_migrations, uuid, jsonb, text) is
  'Makes a tenant''s job in a run whose row is held, and returns it.';

create function provisioning.fill_fleet_migration(p_run provisioning.fleet_migrations) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_places constant integer := (select k.max_running from provisioning.job_kinds k where k.kind = 'migrate_schema');
  -- A few for each place: enough that no worker waits, and few enough that a stop comes soon. Not one at each end: several at
  -- once take less time.
  v_free integer := case when p_run.queued <= 2 * v_places then 4 * v_places - p_run.queued else 0 end;
  v_request constant jsonb := case when provisioning.may_wake_to_migrate() then '{"wakes": true}' else '{}' end;
  v_id uuid;
begin
  if p_run.state = 'canary' then
    v_free := least(v_free, p_run.canary_tenants - p_run.queued - p_run.done - p_run.failed);
  end if;
  for v_id in
    select t.organization_id from provisioning.fleet_migration_tenants t
    where t.fleet_migration_id = p_run.id and t.state = 'waiting' order by t.position limit greatest(v_free, 0)
  loop
    perform provisioning.queue_fleet_tenant(p_run, v_id, v_request);
  end loop;
end
$$;
revoke execute on function provisioning.fill_fleet_migration(provisioning.fleet_migrations)
  from public, anon, authenticated, service_role;
comment on function provisioning.fill_fleet_migration(provisioning.fleet_migrations) is
  'Gives the next tenants of a run their jobs, as far as there are places.';

create function provisioning.stop_fleet_migration(p_id uuid, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.fleet_migrations f set state = 'stopped', stopped_because = p_reason
  where f.id = p_id and f.state in ('canary', 'rolling');
  -- Jobs that are queued already wait as well, and those that others ask for.
  perform provisioning.pause('kind', 'migrate_schema', p_reason);
end
$$;
revoke execute on function provisioning.stop_fleet_migration(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.stop_fleet_migration(uuid, text) is
  'No further tenant is migrated until the run goes on. Jobs at work end by themselves.';

create function provisioning.move_fleet_migration(p_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations;
begin
  select * into v_run from provisioning.fleet_migrations f where f.id = p_id for update;
  if v_run.state not in ('canary', 'rolling') then
    return;
  end if;
  -- Of the first few all count, also those that have yet to end.
  if v_run.failed * 100 > v_run.max_failures_percent * greatest(v_run.canary_tenants, v_run.done + v_run.failed) then
    perform provisioning.stop_fleet_migration(p_id, format('%s of %s tenants could not be brought to version %s.',
      v_run.failed, v_run.done + v_run.failed, v_run.to_version));
    return;
  end if;
  if v_run.state = 'canary' and v_run.done + v_run.failed >= v_run.canary_tenants then
    update provisioning.fleet_migrations f set state = 'rolling' where f.id = p_id returning * into v_run;
  end if;
  perform provisioning.fill_fleet_migration(v_run);
  update provisioning.fleet_migrations f set state = 'done', ended_at = now()
  where f.id = p_id and f.queued = 0 and not exists (
    select from provisioning.fleet_migration_tenants t where t.fleet_migration_id = p_id and t.state in ('waiting', 'asleep'));
end
$$;
revoke execute on function provisioning.move_fleet_migration(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.move_fleet_migration(uuid) is
  'Moves a run on after something has ended: stops it, lets the others follow the first few, makes jobs, or ends it.';

create function provisioning.commit_later() returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform set_config('synchronous_commit', 'off', true);
end
$$;
revoke execute on function provisioning.commit_later() from public, anon, authenticated, service_role;
comment on function provisioning.commit_later() is
  'This transaction ends without waiting for the disk, and so without making others wait that long for the rows that it holds. For
what may be done again: should the server crash in that moment, rows say that a migration is under way or to be done which the
tenant''s own database has recorded, and the next worker finds it there.';

create function provisioning.begin_schema_migration(p_job_id uuid) returns void
language sql volatile security definer set search_path = '' as $$
  select provisioning.commit_later()
$$;
revoke execute on function provisioning.begin_schema_migration(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.begin_schema_migration(uuid) is
  'For prepare_job (job_kinds.before_steps).';
update provisioning.job_kinds set before_steps = 'begin_schema_migration' where kind = 'migrate_schema';

create function provisioning.end_fleet_tenant() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_tenant provisioning.fleet_migration_tenants;
  v_version integer;
  v_state text;
begin
  if new.kind <> 'migrate_schema' or old.status = new.status or new.status not in ('succeeded', 'failed', 'cancelled') then
    return null;
  end if;
  select * into v_tenant from provisioning.fleet_migration_tenants t where t.job_id = new.id and t.state = 'queued';
  if v_tenant.organization_id is null then
    return null;
  end if;
  perform provisioning.commit_later();
  select d.schema_version into v_version from public.organization_databases d where d.organization_id = new.organization_id;
  v_state := case
    when v_version >= (select f.to_version from provisioning.fleet_migrations f where f.id = v_tenant.fleet_migration_id)
      then 'done'
    when new.status = 'failed' then 'failed'
    when new.status = 'cancelled' or v_version is null then 'left'
    when exists (
      select from public.provisioning_steps s where s.job_id = new.id and s.output ->> 'left' = 'asleep') then 'asleep'
    else 'waiting' end;
  update provisioning.fleet_migration_tenants t set state = v_state, asleep_at = now(), looked_at = now(),
    error = case v_state when 'failed' then new.last_error - 'retryable' end
  where t.fleet_migration_id = v_tenant.fleet_migration_id and t.organization_id = v_tenant.organization_id;
  update provisioning.fleet_migrations f set queued = f.queued - 1, done = f.done + (v_state = 'done')::integer,
    failed = f.failed + (v_state = 'failed')::integer
  where f.id = v_tenant.fleet_migration_id;
  perform provisioning.move_fleet_migration(v_tenant.fleet_migration_id);
  return null;
end
$$;
revoke execute on function provisioning.end_fleet_tenant() from public, anon, authenticated, service_role;
comment on function provisioning.end_fleet_tenant() is
  'Trigger: notes in the run how a tenant''s job has ended, whichever worker ended it, and moves the run on.';
create trigger provisioning_jobs_end_fleet_tenant after update of status on public.provisioning_jobs
  for each row execute function provisioning.end_fleet_tenant();

create function provisioning.may_wake_to_migrate() returns boolean
language plpgsql stable security definer set search_path = '' as $$
declare
  v_from integer;
  v_until integer;
  v_hour constant integer := extract(hour from now() at time zone 'UTC');
begin
  select s.migration_wakes_from_hour, s.migration_wakes_until_hour into v_from, v_until from provisioning.settings s;
  return coalesce(case when v_from <= v_until then v_hour >= v_from and v_hour < v_until
    else v_hour >= v_from or v_hour < v_until end, false);
end
$$;
revoke execute on function provisioning.may_wake_to_migrate() from public, anon, authenticated, service_role;
comment on function provisioning.may_wake_to_migrate() is
  'Whether it is between settings.migration_wakes_from_hour and migration_wakes_until_hour, when sleeping databases are woken.';

create function provisioning.advance_fleet_migrations(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations := provisioning.open_fleet_migration();
  v_wakes constant boolean := provisioning.may_wake_to_migrate();
  v_id uuid;
  v_awake boolean;
begin
  if v_run.id is null or v_run.state = 'stopped' then
    return;
  end if;
  for v_id, v_awake in
    with looked_at as (
      select t.organization_id from provisioning.fleet_migration_tenants t
      where t.fleet_migration_id = v_run.id and t.state = 'asleep' order by t.looked_at limit p_limit
    )
    update provisioning.fleet_migration_tenants t set looked_at = now() from looked_at l
    where t.fleet_migration_id = v_run.id and t.organization_id = l.organization_id
    returning t.organization_id, v_wakes or exists (
      -- Checks connect to those alone that are awake.
      select from public.tenant_health h where h.organization_id = t.organization_id and h.connected_at > t.asleep_at)
  loop
    if v_awake then
      update provisioning.fleet_migration_tenants t set state = 'waiting'
      where t.fleet_migration_id = v_run.id and t.organization_id = v_id;
    end if;
  end loop;
  perform provisioning.move_fleet_migration(v_run.id);
end
$$;
revoke execute on function provisioning.advance_fleet_migrations(integer) from public, anon, authenticated, service_role;
comment on function provisioning.advance_fleet_migrations(integer) is
  'For the sweep: looks at up to p_limit sleeping tenants of the run, whether a check has found them awake since, and moves the
run on.';

-- What is asked for.

create function provisioning.start_fleet_migration(p_to_version integer, p_canary_percent numeric, p_concurrency integer,
  p_max_failures_percent numeric) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations := provisioning.open_fleet_migration();
  v_places constant integer := (
    select coalesce(l.max_running, 100) from provisioning.job_kinds k join provisioning.lanes l using (lane)
    where k.kind = 'migrate_schema');
  v_tenants integer;
begin
  if p_concurrency > v_places then
    raise exception 'The lane of these jobs has % places, so no more tenants can have their turn at once.', v_places
      using errcode = 'TP422', hint = 'provisioning.lanes.max_running says so.';
  end if;
  if p_to_version < 1 or p_canary_percent not between 0 and 100 or p_max_failures_percent not between 0 and 100
    or p_concurrency not between 1 and 100 then
    raise exception 'A version is from 1, shares are from 0 to 100, and the concurrency is from 1 to 100.'
      using errcode = 'TP422';
  end if;
  if v_run.state <> 'stopped' and v_run.to_version <> p_to_version then
    raise exception 'A migration to version % is under way. Stop it first.', v_run.to_version using errcode = 'TP409';
  end if;
  update provisioning.job_kinds k set max_running = p_concurrency,
    -- One worker takes them all, as far as that leaves some of its places to those who have signed up.
    max_running_per_worker = greatest(1, least(p_concurrency, (select s.worker_concurrency - 2 from provisioning.settings s)))
  where k.kind = 'migrate_schema';
  if v_run.state in ('canary', 'rolling') then
    return v_run.id;
  end if;
  update provisioning.fleet_migrations f set state = 'cancelled', ended_at = now() where f.id = v_run.id;
  -- The end of a job that is open counts in the new run, and in no other.
  update provisioning.fleet_migration_tenants t set state = 'left' where t.fleet_migration_id = v_run.id and t.state = 'queued';
  delete from provisioning.fleet_migrations f where f.ended_at < now() - interval '400 days';
  insert into provisioning.fleet_migrations (to_version, canary_tenants, max_failures_percent)
  values (p_to_version, 0, p_max_failures_percent) returning * into v_run;
  insert into provisioning.fleet_migration_tenants (fleet_migration_id, organization_id)
  select v_run.id, d.organization_id from public.organization_databases d
  where d.schema_version < p_to_version and d.status = 'active';
  get diagnostics v_tenants = row_count;
  update provisioning.fleet_migrations f set canary_tenants = ceil(v_tenants * p_canary_percent / 100) where f.id = v_run.id;
  perform provisioning.audit('00000000-0000-0000-0000-000000000000', 'fleet_migration.started', 'fleet_migration', v_run.id::text,
    jsonb_build_object('to_version', p_to_version, 'tenants', v_tenants, 'by_role', session_user));
  perform provisioning.resume('kind', 'migrate_schema');
  perform provisioning.move_fleet_migration(v_run.id);
  return v_run.id;
end
$$;
revoke execute on function provisioning.start_fleet_migration(integer, numeric, integer, numeric)
  from public, anon, authenticated, service_role;
comment on function provisioning.start_fleet_migration(integer, numeric, integer, numeric) is
  'Begins to bring all ready tenants to this version, the first few before the others, and returns the run. A run to the same
version that is under way stays as it is, but for the concurrency; one that was stopped is cancelled, and what it has not done is
part of the new one. Raises TP409 while one to another version is under way, and TP422.';

create function provisioning.request_schema_migration(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations := provisioning.open_fleet_migration();
  v_state text;
begin
  if v_run.id is null then
    return provisioning.enqueue(p_organization_id, 'migrate_schema', '{"wakes": true}', null, 'request');
  end if;
  select t.state into v_state from provisioning.fleet_migration_tenants t
  where t.fleet_migration_id = v_run.id and t.organization_id = p_organization_id;
  if v_run.state = 'stopped' or v_state not in ('waiting', 'asleep')
    or v_run.state = 'canary' and v_run.queued + v_run.done + v_run.failed >= v_run.canary_tenants then
    return (
      select j.id from public.provisioning_jobs j
      where j.organization_id = p_organization_id and j.kind = 'migrate_schema' and j.status in ('queued', 'running'));
  end if;
  return provisioning.queue_fleet_tenant(v_run, p_organization_id, '{"wakes": true}', 'request');
end
$$;
revoke execute on function provisioning.request_schema_migration(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.request_schema_migration(uuid) is
  'For whoever has just used a tenant''s database and found it behind: makes the job that brings it up to date, and returns it.
Null while a run is stopped, or has its first few tenants and this one is none of them: nobody goes past these.';

-- Before it is asked for: the same files on copies of a few tenants' databases. Each job's step has what came of it.

create function provisioning.schema_trials(p_job_ids uuid[]) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'job_id', j.id, 'organization_id', j.organization_id, 'slug', o.slug,
      'state', case j.status when 'succeeded' then
        case when s.output #>> '{trial,code}' is null then 'applied' else 'refused' end else j.status end,
      'took_ms', (s.output #>> '{trial,tookMs}')::integer,
      'code', coalesce(s.output #>> '{trial,code}', j.last_error ->> 'code'),
      'message', coalesce(s.output #>> '{trial,message}', j.last_error ->> 'message')) order by o.slug), '[]')
    from public.provisioning_jobs j
    left join public.organizations o on o.id = j.organization_id
    left join public.provisioning_steps s on s.job_id = j.id
    where j.id = any (p_job_ids) and j.kind = 'try_schema');
end
$$;
revoke execute on function provisioning.schema_trials(uuid[]) from public, anon, authenticated, service_role;

create function provisioning.try_schema(p_to_version integer, p_tenants integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_jobs uuid[];
begin
  perform provisioning.assert_operator();
  if p_to_version < 1 or p_tenants not between 1 and 20 then
    raise exception 'A version is from 1, and it is tried on 1 to 20 tenants.' using errcode = 'TP422';
  end if;
  v_jobs := array(
    select provisioning.enqueue(t.organization_id, 'try_schema', jsonb_build_object('to', p_to_version), auth.uid())
    from (
      select d.organization_id from public.organization_databases d
      join provisioning.step_definitions s on s.kind = 'try_schema' and s.tier = provisioning.tier_of(d.organization_id)
      where d.status = 'active' and d.schema_version < p_to_version order by random() limit p_tenants) t);
  if v_jobs = '{}' then
    raise exception 'No tenant whose database can be copied is behind version %.', p_to_version using errcode = 'TP409';
  end if;
  perform provisioning.audit('00000000-0000-0000-0000-000000000000', 'schema_trial.started', 'fleet_migration',
    p_to_version::text, jsonb_build_object('jobs', v_jobs, 'by_role', session_user));
  return provisioning.schema_trials(v_jobs);
end
$$;
revoke execute on function provisioning.try_schema(integer, integer) from public, anon, authenticated, service_role;
grant execute on function provisioning.try_schema(integer, integer) to service_role;
comment on function provisioning.try_schema(integer, integer) is
  'For the service role: begins to try a version on copies of up to p_tenants databases, chosen at random among those behind it,
and returns their jobs as schema_trials does. Raises TP409 when there is none, and TP422.';

create function provisioning.schema_trials_as_caller(p_job_ids uuid[]) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  return provisioning.schema_trials(p_job_ids[:20]);
end
$$;
revoke execute on function provisioning.schema_trials_as_caller(uuid[]) from public, anon, authenticated, service_role;
grant execute on function provisioning.schema_trials_as_caller(uuid[]) to service_role;
comment on function provisioning.schema_trials_as_caller(uuid[]) is
  'For the service role: how the trials of up to 20 jobs stand. state is queued, running, applied, refused (with code and
message), failed or cancelled.';

-- What is told.

create function provisioning.fleet_migration_errors(p_id uuid, p_limit integer) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(e)), '[]') from (
      select t.organization_id, o.slug, t.error ->> 'code' as code, t.error ->> 'message' as message
      from provisioning.fleet_migration_tenants t left join public.organizations o on o.id = t.organization_id
      where t.fleet_migration_id = p_id and t.state = 'failed' order by t.position limit p_limit) e);
end
$$;
revoke execute on function provisioning.fleet_migration_errors(uuid, integer) from public, anon, authenticated, service_role;

create function provisioning.fleet_migration_status(p_to_version integer default null) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations;
begin
  select * into v_run from provisioning.fleet_migrations f order by f.id desc limit 1;
  return jsonb_build_object(
    'versions', (
      select coalesce(jsonb_agg(to_jsonb(v) order by v.version desc nulls last), '[]') from (
        select d.schema_version as version, count(*) as tenants from public.organization_databases d
        where d.status = 'active' group by d.schema_version) v),
    'drifted', provisioning.drifted_tenants(50),
    'plan', case when p_to_version is not null then (
      select jsonb_build_object('to_version', p_to_version, 'tenants', count(*), 'asleep', count(*) filter (
          where provisioning.is_known_asleep(d.organization_id)))
      from public.organization_databases d where d.schema_version < p_to_version and d.status = 'active') end,
    'run', case when v_run.id is not null then to_jsonb(v_run) || jsonb_build_object(
      'tenants', (
        select coalesce(jsonb_object_agg(s.state, s.tenants), '{}') from (
          select t.state, count(*) as tenants from provisioning.fleet_migration_tenants t
          where t.fleet_migration_id = v_run.id group by t.state) s),
      'errors', provisioning.fleet_migration_errors(v_run.id, 50)) end);
end
$$;
revoke execute on function provisioning.fleet_migration_status(integer) from public, anon, authenticated, service_role;
grant execute on function provisioning.fleet_migration_status(integer) to service_role;
comment on function provisioning.fleet_migration_status(integer) is
  'The versions of all ready tenants, who is not as that version, the newest run with its counts and errors by tenant, and whom a
run to p_to_version would be about.';

create function provisioning.migrate_fleet_as_caller(p_to_version integer, p_canary_percent numeric, p_concurrency integer,
  p_max_failures_percent numeric) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.assert_operator();
  perform provisioning.start_fleet_migration(p_to_version, p_canary_percent, p_concurrency, p_max_failures_percent);
  return provisioning.fleet_migration_status(p_to_version);
end
$$;
revoke execute on function provisioning.migrate_fleet_as_caller(integer, numeric, integer, numeric)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.migrate_fleet_as_caller(integer, numeric, integer, numeric) to service_role;
comment on function provisioning.migrate_fleet_as_caller(integer, numeric, integer, numeric) is
  'start_fleet_migration for the service role; returns the status.';

create function provisioning.stop_fleet_as_caller(p_reason text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.fleet_migrations := provisioning.open_fleet_migration();
begin
  perform provisioning.assert_operator();
  if v_run.state in ('canary', 'rolling') then
    perform provisioning.stop_fleet_migration(v_run.id, p_reason);
  end if;
  return provisioning.fleet_migration_status();
end
$$;
revoke execute on function provisioning.stop_fleet_as_caller(text) from public, anon, authenticated, service_role;
grant execute on function provisioning.stop_fleet_as_caller(text) to service_role;
comment on function provisioning.stop_fleet_as_caller(text) is
  'Stops the run that is under way, for the service role; returns the status.';

create function public.migrate_fleet(to_version integer, canary_percent numeric default 5, concurrency integer default 8,
  max_failures_percent numeric default 10) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.migrate_fleet_as_caller(to_version, canary_percent, concurrency, max_failures_percent)
$$;
revoke execute on function public.migrate_fleet(integer, numeric, integer, numeric) from public, anon, authenticated;
grant execute on function public.migrate_fleet(integer, numeric, integer, numeric) to service_role;
comment on function public.migrate_fleet(integer, numeric, integer, numeric) is
  'For the backend: brings all ready tenants to a version of the tenant schema. See provisioning.start_fleet_migration.';

create function public.stop_fleet_migration(reason text) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.stop_fleet_as_caller(reason)
$$;
revoke execute on function public.stop_fleet_migration(text) from public, anon, authenticated;
grant execute on function public.stop_fleet_migration(text) to service_role;
comment on function public.stop_fleet_migration(text) is 'For the backend: stops the fleet migration that is under way.';

create function public.fleet_migration_status(to_version integer default null) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.fleet_migration_status(to_version)
$$;
revoke execute on function public.fleet_migration_status(integer) from public, anon, authenticated;
grant execute on function public.fleet_migration_status(integer) to service_role;
comment on function public.fleet_migration_status(integer) is
  'For the backend: which version of the tenant schema the tenants have, and how the newest fleet migration stands.';

create function public.try_fleet_migration(to_version integer, tenants integer default 3) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.try_schema(to_version, tenants)
$$;
revoke execute on function public.try_fleet_migration(integer, integer) from public, anon, authenticated;
grant execute on function public.try_fleet_migration(integer, integer) to service_role;
comment on function public.try_fleet_migration(integer, integer) is
  'For the backend: tries a version of the tenant schema on copies of a few tenants'' databases. See provisioning.try_schema.';

create function public.schema_trials(job_ids uuid[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.schema_trials_as_caller(job_ids)
$$;
revoke execute on function public.schema_trials(uuid[]) from public, anon, authenticated;
grant execute on function public.schema_trials(uuid[]) to service_role;
comment on function public.schema_trials(uuid[]) is 'For the backend: how the trials that try_fleet_migration began stand.';
