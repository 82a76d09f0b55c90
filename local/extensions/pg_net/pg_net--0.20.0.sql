-- Stand-in for pg_net 0.20: the same tables, functions and rights. The background worker is local/platform-worker,
-- which a NOTIFY wakes at commit, as a commit callback wakes the real one. Unlike that, it makes transactions that
-- queue requests commit one after another.

create schema net;

create domain net.http_method as text
  constraint http_method_is_supported check (value in ('GET', 'POST', 'DELETE') or value ~* '^(get|post|delete)$');

create unlogged table net.http_request_queue (
  id bigserial,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer not null
);

create unlogged table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);
create index _http_response_created_idx on net._http_response (created);

create function net._urlencode_string(string varchar) returns text
language sql immutable strict set search_path = '' as $$
  select coalesce(pg_catalog.string_agg(
    case
      when c ~ '[A-Za-z0-9._~-]' then c
      else pg_catalog.regexp_replace(
        pg_catalog.upper(pg_catalog.encode(pg_catalog.convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g')
    end, '' order by position), '')
  from pg_catalog.string_to_table(string, null) with ordinality as characters (c, position)
$$;
comment on function net._urlencode_string(varchar) is 'Percent-encodes everything but RFC 3986 unreserved characters.';

create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language sql immutable set search_path = '' as $$
  select case when pg_catalog.cardinality(params_array) > 0
    then base
      || case when pg_catalog.strpos(base, '?') = 0 then '?' when base ~ '[?&]$' then '' else '&' end
      || pg_catalog.array_to_string(params_array, '&')
      || pg_catalog.substr(url, pg_catalog.length(base) + 1)
    else url end
  from pg_catalog.split_part(url, '#', 1) as base
$$;
comment on function net._encode_url_with_params_array(text, text[]) is
  'Appends encoded name=value pairs to the query of a URL, before its fragment.';

create function net._url_with_params(url text, params jsonb) returns text
language sql immutable set search_path = '' as $$
  select net._encode_url_with_params_array(url, pg_catalog.array_agg(
    net._urlencode_string(p.key) || '=' || net._urlencode_string(p.value)))
  from pg_catalog.jsonb_each_text(params) p
$$;

create function net.wake() returns void
language plpgsql as $$
begin
  perform pg_catalog.pg_notify('pg_net_wake', '');
end
$$;
comment on function net.wake() is 'Wakes the worker when the transaction commits, once however often it is called, and not after a rollback.';

-- The three below have no `set search_path`, like the real ones: it would cost a third of the call. They run with
-- the caller's rights, so there is nothing to hijack.
create function net.http_get(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
  v_id bigint;
begin
  if params <> '{}' then
    url := net._url_with_params(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
  values ('GET', url, headers, timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;
comment on function net.http_get(text, jsonb, jsonb, integer) is
  'Queues a GET request that is sent after commit, and returns the id that its response will have.';

create function net.http_post(
  url text,
  body jsonb default '{}',
  params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}',
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
  v_id bigint;
begin
  -- The usual spelling costs one comparison; only others are searched for.
  if (headers ->> 'Content-Type') is distinct from 'application/json' then
    headers := net._with_json_content_type(headers);
  end if;
  if params <> '{}' then
    url := net._url_with_params(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', url, headers, pg_catalog.convert_to(body::text, 'UTF8'), timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;
comment on function net.http_post(text, jsonb, jsonb, jsonb, integer) is
  'Queues a POST request with a JSON body that is sent after commit, and returns the id that its response will have.';

create function net._with_json_content_type(headers jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
  v_content_type constant text := (
    select h.value from pg_catalog.jsonb_each_text(headers) h
    where pg_catalog.lower(h.key) = 'content-type' limit 1);
begin
  if v_content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  return case when v_content_type is null then headers || '{"Content-Type": "application/json"}' else headers end;
end
$$;

create function net.http_delete(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds integer default 5000,
  body jsonb default null
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
  v_id bigint;
begin
  if params <> '{}' then
    url := net._url_with_params(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', url, headers, pg_catalog.convert_to(body::text, 'UTF8'), timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;
comment on function net.http_delete(text, jsonb, jsonb, integer, jsonb) is
  'Queues a DELETE request that is sent after commit, and returns the id that its response will have.';

create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
create type net.http_response as (status_code integer, headers jsonb, body text);
create type net.http_response_result as (status net.request_status, message text, response net.http_response);

create function net._await_response(request_id bigint) returns boolean
language plpgsql set search_path = '' as $$
begin
  while not exists (select from net._http_response r where r.id = request_id) loop
    perform pg_catalog.pg_sleep(0.05);
  end loop;
  return true;
end
$$;

create function net._http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language plpgsql set search_path = '' as $$
declare
  v_response net._http_response;
begin
  if not async then
    perform net._await_response(request_id);
  end if;
  select * into v_response from net._http_response r where r.id = request_id;
  if v_response.id is null or v_response.error_msg is not null then
    return ('ERROR', coalesce(v_response.error_msg, 'request matching request_id not found'), null)
      ::net.http_response_result;
  end if;
  return ('SUCCESS', 'ok', (v_response.status_code, v_response.headers, v_response.content)::net.http_response)
    ::net.http_response_result;
end
$$;
comment on function net._http_collect_response(bigint, boolean) is
  'The response as a result. A request that is still under way looks like one that never was.';

create function net.http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language plpgsql set search_path = '' as $$
begin
  raise notice 'The net.http_collect_response function is deprecated.';
  return net._http_collect_response(request_id, async);
end
$$;

-- The worker holds this advisory lock as long as it serves the database (local/platform-worker/http-sender.ts).
create function net._worker_pid() returns integer
language sql stable set search_path = '' as $$
  select l.pid
  from pg_catalog.pg_locks l
  where l.locktype = 'advisory' and l.granted and l.objsubid = 2
    and l.classid = pg_catalog.hashtext('platform-worker')::oid and l.objid = pg_catalog.hashtext('pg_net')::oid
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
$$;

create function net.check_worker_is_up() returns void
language plpgsql set search_path = '' as $$
begin
  if net._worker_pid() is null then
    raise exception using
      message = 'the pg_net background worker is not up',
      detail = 'No platform worker serves this database, so queued requests wait.',
      hint = 'Start the local stack, or wait until its worker has reconnected.';
  end if;
end
$$;
comment on function net.check_worker_is_up() is 'Raises an error while no worker serves this database.';

create function net.wait_until_running() returns void
language plpgsql set search_path = '' as $$
begin
  while net._worker_pid() is null loop
    perform pg_catalog.pg_sleep(0.02);
  end loop;
end
$$;
comment on function net.wait_until_running() is 'Returns when a worker serves this database.';

create function net.worker_restart() returns boolean
language sql security definer set search_path = '' as $$
  select coalesce(pg_catalog.pg_terminate_backend(net._worker_pid()), false)
$$;
comment on function net.worker_restart() is
  'Ends the session of the worker, which then connects again. False when there was none.';

-- As in the real extension: any role may queue requests, and read those of others, headers included.
grant usage on schema net to public;
grant all on all sequences in schema net to public;
grant all on all tables in schema net to public;
