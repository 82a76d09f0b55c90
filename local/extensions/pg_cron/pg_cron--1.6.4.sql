-- Stand-in for pg_cron 1.6: the same tables, functions and rights as on a hosted project. The launcher is
-- local/platform-worker, which asks cron._runs_due and cron._interval_seconds, so that there is one parser only.

create schema cron;

create sequence cron.jobid_seq;
create table cron.job (
  jobid bigint primary key default nextval('cron.jobid_seq'),
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport integer not null default pg_catalog.current_setting('port')::integer,
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  constraint jobname_username_uniq unique (jobname, username)
);
alter table cron.job enable row level security;
create policy cron_job_policy on cron.job using (username = current_user);

create sequence cron.runid_seq;
create table cron.job_run_details (
  jobid bigint,
  runid bigint primary key default nextval('cron.runid_seq'),
  job_pid integer,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);
alter table cron.job_run_details enable row level security;
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);

create function cron._interval_seconds(schedule text) returns integer
language sql immutable set search_path = '' as $$
  select case when seconds between 1 and 59 then seconds end
  from (select pg_catalog.substring(schedule, '(?i)^\s*(\d{1,9})\s*seconds?\s*$')::integer as seconds) as parsed
$$;
comment on function cron._interval_seconds(text) is 'Seconds of an interval schedule such as ''30 seconds''; null for any other.';

create function cron._field_values(field text, low integer, high integer, names text[] default '{}') returns integer[]
language plpgsql immutable set search_path = '' as $$
declare
  v_values integer[] := '{}';
  v_part text;
  v_match text[];
  v_from integer;
  v_to integer;
begin
  foreach v_part in array pg_catalog.string_to_array(pg_catalog.lower(field), ',') loop
    -- A step is allowed after * and after a range, not after a single value (1/20 is an error).
    v_match := pg_catalog.regexp_match(v_part, '^(?:(\*)|([a-z0-9]{1,9})(?:-([a-z0-9]{1,9}))?)(?:/(\d{1,9}))?$');
    if v_match is null or (v_match[1] is null and v_match[3] is null and v_match[4] is not null) then
      return null;
    end if;
    v_from := case when v_match[1] is not null then low else cron._field_number(v_match[2], low, names) end;
    v_to := case
      when v_match[1] is not null then high
      when v_match[3] is not null then cron._field_number(v_match[3], low, names)
      else v_from
    end;
    if v_from is null or v_to is null or v_from < low or v_to > high or v_from > v_to or v_match[4]::integer = 0 then
      return null;
    end if;
    v_values := v_values || array(select pg_catalog.generate_series(v_from, v_to, coalesce(v_match[4]::integer, 1)));
  end loop;
  return v_values;
end
$$;
comment on function cron._field_values(text, integer, integer, text[]) is
  'The numbers that one field of a cron schedule stands for; null when it is not valid.';

create function cron._field_number(word text, low integer, names text[]) returns integer
language sql immutable set search_path = '' as $$
  select case
    when word ~ '^\d+$' then word::integer
    else low + pg_catalog.array_position(names, word) - 1
  end
$$;

create type cron._calendar as (
  minutes integer[],
  hours integer[],
  days integer[],
  months integer[],
  weekdays integer[],
  last_day_of_month boolean,
  any_day boolean,
  any_weekday boolean,
  wildcard boolean
);

create function cron._parse_calendar(schedule text) returns cron._calendar
language plpgsql immutable set search_path = '' as $$
declare
  v_fields constant text[] := pg_catalog.regexp_split_to_array(
    case pg_catalog.btrim(schedule)
      when '@yearly' then '0 0 1 1 *'
      when '@annually' then '0 0 1 1 *'
      when '@monthly' then '0 0 1 * *'
      when '@weekly' then '0 0 * * 0'
      when '@daily' then '0 0 * * *'
      when '@midnight' then '0 0 * * *'
      when '@hourly' then '0 * * * *'
      else pg_catalog.btrim(schedule, E' \t\n')
    end, '[ \t]+');
  v_calendar cron._calendar;
begin
  if pg_catalog.cardinality(v_fields) <> 5 then
    return null;
  end if;
  v_calendar := row(
    cron._field_values(v_fields[1], 0, 59),
    cron._field_values(v_fields[2], 0, 23),
    case when v_fields[3] = '$' then array[]::integer[] else cron._field_values(v_fields[3], 1, 31) end,
    cron._field_values(v_fields[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'),
    cron._field_values(v_fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat,sun}'),
    v_fields[3] = '$',
    v_fields[3] ~ '^\*',
    v_fields[5] ~ '^\*',
    v_fields[1] ~ '^\*' or v_fields[2] ~ '^\*'
  )::cron._calendar;
  -- True only when every field is not null.
  return case when v_calendar is not null then v_calendar end;
end
$$;
comment on function cron._parse_calendar(text) is 'A five-field schedule or one of @hourly … @yearly; null when it is not valid.';

create function cron._matches(calendar cron._calendar, minute timestamp) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_weekday constant integer := pg_catalog.date_part('dow', minute);
  v_day_matches constant boolean := pg_catalog.date_part('day', minute)::integer = any (calendar.days)
    or calendar.last_day_of_month and pg_catalog.date_part('day', minute + interval '1 day') = 1;
  v_weekday_matches constant boolean := v_weekday = any (calendar.weekdays)
    or v_weekday = 0 and 7 = any (calendar.weekdays);
begin
  return pg_catalog.date_part('minute', minute)::integer = any (calendar.minutes)
    and pg_catalog.date_part('hour', minute)::integer = any (calendar.hours)
    and pg_catalog.date_part('month', minute)::integer = any (calendar.months)
    -- Cron's rule: when both day fields are restricted, either is enough.
    and case
      when calendar.any_day or calendar.any_weekday then v_day_matches and v_weekday_matches
      else v_day_matches or v_weekday_matches
    end;
end
$$;
comment on function cron._matches(cron._calendar, timestamp) is 'Whether a job with this schedule runs in the minute (GMT).';

create function cron._runs_due(schedule text, last_minute timestamptz, this_minute timestamptz) returns integer
language plpgsql immutable set search_path = '' as $$
declare
  v_calendar cron._calendar;
  v_last constant timestamp := last_minute at time zone 'GMT';
  v_this constant timestamp := this_minute at time zone 'GMT';
  v_runs integer;
begin
  -- Asked of each job several times a second: nothing is parsed before another minute has begun.
  if v_this <= v_last then
    return 0;
  end if;
  v_calendar := cron._parse_calendar(schedule);
  if v_calendar is null then
    return 0;
  end if;
  -- As Vixie cron does after the clock jumped: up to five minutes are caught up; up to three hours too, but
  -- wildcard jobs ("every n minutes") run once; after a longer jump the past is left alone.
  if v_this - v_last > interval '3 hours' or (v_calendar.wildcard and v_this - v_last > interval '5 minutes') then
    return cron._matches(v_calendar, v_this)::integer;
  end if;
  select pg_catalog.count(*) into v_runs
  from pg_catalog.generate_series(v_last + interval '1 minute', v_this, interval '1 minute') as minute
  where cron._matches(v_calendar, minute);
  return v_runs;
end
$$;
comment on function cron._runs_due(text, timestamptz, timestamptz) is
  'How many runs a five-field schedule asks for after last_minute up to this_minute; both are starts of minutes.';

create function cron._assert_schedule(schedule text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if schedule in ('@reboot', '@restart')
    or cron._interval_seconds(schedule) is not null
    or cron._parse_calendar(schedule) is not null then
    return;
  end if;
  raise exception using
    errcode = 'invalid_parameter_value',
    message = pg_catalog.format('invalid schedule: %s', schedule),
    hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
end
$$;

-- The functions run as their caller and put what the caller wants into this view, whose trigger acts as the
-- owner. Nobody may insert into its column `caller`, so the default tells truly who asked. A definer function
-- could not know: inside it, current_user is its owner.
create view cron._request as
select
  null::text as operation,
  null::bigint as job_id,
  null::text as job_name,
  null::text as schedule,
  null::text as command,
  null::text as database,
  null::text as username,
  null::boolean as active,
  null::text as caller
where false;
alter view cron._request alter column caller set default current_user;

create function cron._assert_may_run(username text, database text) returns void
language plpgsql stable set search_path = '' as $$
begin
  if not exists (select from pg_catalog.pg_roles r where r.rolname = username) then
    raise exception 'role "%" does not exist', username;
  end if;
  if not exists (select from pg_catalog.pg_database d where d.datname = database) then
    raise exception using errcode = '3D000', message = pg_catalog.format('database "%s" does not exist', database);
  end if;
  if not pg_catalog.has_database_privilege(username, database, 'connect') then
    raise exception 'User % does not have CONNECT privilege on %', username, database;
  end if;
end
$$;

create function cron._assert_may_choose_user(caller text, username text) returns void
language plpgsql stable set search_path = '' as $$
begin
  if username is null then
    return;
  end if;
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = caller) then
    raise exception 'must be superuser to create a job for another role';
  end if;
  if not exists (select from pg_catalog.pg_roles r where r.rolname = username) then
    raise exception 'role "%" does not exist', username;
  end if;
  if not (select r.rolcanlogin from pg_catalog.pg_roles r where r.rolname = username) then
    raise exception using
      message = pg_catalog.format('role "%s" can not log in', username),
      detail = 'Jobs may only be run by roles that have the LOGIN attribute.';
  end if;
end
$$;

create function cron._schedule(request cron._request) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_username constant text := coalesce(request.username, request.caller);
  v_database constant text := coalesce(request.database, pg_catalog.current_database());
  v_job_id bigint;
begin
  perform cron._assert_schedule(request.schedule);
  perform cron._assert_may_choose_user(request.caller, request.username);
  perform cron._assert_may_run(v_username, v_database);
  insert into cron.job as j (jobname, schedule, command, database, username, active)
  values (request.job_name, request.schedule, request.command, v_database, v_username, coalesce(request.active, true))
  on conflict on constraint jobname_username_uniq do update
  -- A job that was deactivated stays so: the real one does not change `active` here either.
  set schedule = excluded.schedule, command = excluded.command, database = excluded.database
  returning j.jobid into v_job_id;
  return v_job_id;
end
$$;

create function cron._unschedule(request cron._request) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_job cron.job;
begin
  select * into v_job from cron.job j
  where j.jobid = request.job_id or (j.jobname = request.job_name and j.username = request.caller);
  if v_job.jobid is null then
    raise exception using
      errcode = 'internal_error', -- what the real one reports
      message = 'could not find valid entry for job '
        || coalesce(request.job_id::text, pg_catalog.quote_literal(request.job_name));
  end if;
  if v_job.username <> request.caller and not pg_catalog.has_table_privilege(request.caller, 'cron.job', 'delete') then
    raise exception using errcode = 'insufficient_privilege', message = 'permission denied for table job';
  end if;
  delete from cron.job j where j.jobid = v_job.jobid;
  return v_job.jobid;
end
$$;

create function cron._alter(request cron._request) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_is_superuser constant boolean := (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = request.caller);
begin
  if pg_catalog.num_nonnulls(request.schedule, request.command, request.database, request.username, request.active) = 0 then
    raise exception using
      message = 'no updates specified',
      hint = 'You must specify at least one job attribute to change when calling alter_job';
  end if;
  if request.schedule is not null then
    perform cron._assert_schedule(request.schedule);
  end if;
  perform cron._assert_may_choose_user(request.caller, request.username);
  if request.database is not null then
    perform cron._assert_may_run(coalesce(request.username, request.caller), request.database);
  end if;
  update cron.job j
  set
    schedule = coalesce(request.schedule, j.schedule),
    command = coalesce(request.command, j.command),
    database = coalesce(request.database, j.database),
    username = coalesce(request.username, j.username),
    active = coalesce(request.active, j.active)
  where j.jobid = request.job_id and (v_is_superuser or j.username = request.caller);
  if not found then
    raise exception 'Job % does not exist or you don''t own it', request.job_id;
  end if;
  return request.job_id;
end
$$;

create function cron._serve_request() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.job_id := case new.operation
    when 'schedule' then cron._schedule(new)
    when 'unschedule' then cron._unschedule(new)
    when 'alter' then cron._alter(new)
  end;
  return new;
end
$$;
create trigger serve_request instead of insert on cron._request
for each row execute function cron._serve_request();

create function cron.schedule(schedule text, command text) returns bigint
language plpgsql set search_path = '' as $$
#variable_conflict use_variable
declare
  v_job_id bigint;
begin
  insert into cron._request (operation, schedule, command)
  values ('schedule', schedule, command)
  returning job_id into v_job_id;
  return v_job_id;
end
$$;
comment on function cron.schedule(text, text) is 'schedule a pg_cron job';

create function cron.schedule(job_name text, schedule text, command text) returns bigint
language plpgsql set search_path = '' as $$
#variable_conflict use_variable
declare
  v_job_id bigint;
begin
  if job_name is null then
    raise exception 'job_name can not be NULL';
  end if;
  insert into cron._request (operation, job_name, schedule, command)
  values ('schedule', job_name, schedule, command)
  returning job_id into v_job_id;
  return v_job_id;
end
$$;
comment on function cron.schedule(text, text, text) is 'schedule a pg_cron job';

create function cron.schedule_in_database(
  job_name text,
  schedule text,
  command text,
  database text,
  username text default null,
  active boolean default true
) returns bigint
language plpgsql set search_path = '' as $$
#variable_conflict use_variable
declare
  v_job_id bigint;
begin
  insert into cron._request (operation, job_name, schedule, command, database, username, active)
  values ('schedule', job_name, schedule, command, database, username, active)
  returning job_id into v_job_id;
  return v_job_id;
end
$$;
comment on function cron.schedule_in_database(text, text, text, text, text, boolean) is 'schedule a pg_cron job';

create function cron.alter_job(
  job_id bigint,
  schedule text default null,
  command text default null,
  database text default null,
  username text default null,
  active boolean default null
) returns void
language plpgsql set search_path = '' as $$
#variable_conflict use_variable
begin
  insert into cron._request (operation, job_id, schedule, command, database, username, active)
  values ('alter', job_id, schedule, command, database, username, active);
end
$$;
comment on function cron.alter_job(bigint, text, text, text, text, boolean) is
  'Alter the job identified by job_id. Any option left as NULL will not be modified.';

create function cron.unschedule(job_id bigint) returns boolean
language plpgsql set search_path = '' as $$
#variable_conflict use_variable
begin
  insert into cron._request (operation, job_id) values ('unschedule', job_id);
  return true;
end
$$;
comment on function cron.unschedule(bigint) is 'unschedule a pg_cron job';

create function cron.unschedule(job_name text) returns boolean
language plpgsql set search_path = '' as $$
#variable_conflict use_variable
begin
  insert into cron._request (operation, job_name) values ('unschedule', job_name);
  return true;
end
$$;
comment on function cron.unschedule(text) is 'unschedule a pg_cron job';

-- From the real extension. Without usage on the schema they are of no use yet, as on a hosted project.
grant select on cron.job, cron.job_run_details to public;
grant select (job_id) on cron._request to public;
grant insert (operation, job_id, job_name, schedule, command, database, username, active) on cron._request to public;
revoke execute on all functions in schema cron from public;
grant execute on function
  cron.schedule(text, text),
  cron.schedule(text, text, text),
  cron.unschedule(bigint),
  cron.unschedule(text)
to public;

-- What a hosted project adds for postgres: everything but writing to cron.job directly.
grant usage on schema cron to postgres with grant option;
grant execute on function
  cron.schedule(text, text),
  cron.schedule(text, text, text),
  cron.schedule_in_database(text, text, text, text, text, boolean),
  cron.alter_job(bigint, text, text, text, text, boolean),
  cron.unschedule(bigint),
  cron.unschedule(text)
to postgres with grant option;
grant select on cron.job to postgres with grant option;
grant all on cron.job_run_details to postgres with grant option;

select pg_catalog.pg_extension_config_dump('cron.job', '');
select pg_catalog.pg_extension_config_dump('cron.jobid_seq', '');
select pg_catalog.pg_extension_config_dump('cron.job_run_details', '');
select pg_catalog.pg_extension_config_dump('cron.runid_seq', '');
