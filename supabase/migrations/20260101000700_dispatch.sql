-- How work reaches the functions. The doorbell is a courtesy: it may be lost. The sweep rings again for whatever is due.

create table provisioning.dispatch_state (
  id boolean primary key default true check (id),
  last_swept_at timestamptz,
  -- Why the database cannot ring, or what is paused, in words; null when all is well.
  problem text,
  -- Our newest call that the last sweep left in pg_net's queue, and since when such a one is known to have stayed there.
  newest_call bigint,
  unsent_since timestamptz,
  -- It has stayed for long: another call would only make the queue longer.
  holds_back boolean not null default false,
  -- The last profile and the last organization that were compared with the project's own tables (settings.mapping).
  compared_profile uuid,
  compared_organization uuid
);
insert into provisioning.dispatch_state default values;
alter table provisioning.dispatch_state enable row level security;
revoke all on provisioning.dispatch_state from anon, authenticated, service_role;

create function provisioning.signed_doorbell(p_worker text, out url text, out body jsonb)
language plpgsql security definer set search_path = '' as $$
declare
  v_ring_id uuid := gen_random_uuid();
  v_url text;
  v_key text;
  v_function text;
  v_expires_at bigint;
begin
  select w.function_name, (extract(epoch from clock_timestamp()) * 1000)::bigint + s.doorbell_ttl_seconds * 1000
  into v_function, v_expires_at
  from provisioning.workers w, provisioning.settings s where w.worker = p_worker;
  v_url := provisioning.vault_secret('functions_base_url');
  v_key := provisioning.vault_secret('provisioning_doorbell_key');
  if v_url is null or v_key is null or v_function is null then
    return;
  end if;
  -- Every database role can read pg_net's queue, so the call carries a signature and no key: hex HMAC-SHA256 over
  -- "ringId.expiresAt", with the end of its validity in milliseconds since 1970. It names no job: whoever hears it does
  -- what is due.
  url := rtrim(v_url, '/') || '/' || v_function;
  body := jsonb_build_object('ringId', v_ring_id, 'expiresAt', v_expires_at,
    'signature', encode(extensions.hmac(v_ring_id::text || '.' || v_expires_at::text, v_key, 'sha256'), 'hex'));
end
$$;
revoke execute on function provisioning.signed_doorbell(text) from public, anon, authenticated, service_role;
comment on function provisioning.signed_doorbell(text) is
  'A doorbell for a worker, good for one answer, and where to send it; nulls when Vault or the worker is missing.';

create function provisioning.send_doorbell(p_worker text) returns boolean
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
  v_url text;
  v_body jsonb;
begin
  if (select s.holds_back from provisioning.dispatch_state s) then
    return false;
  end if;
  select d.url, d.body into v_url, v_body from provisioning.signed_doorbell(p_worker) d;
  if v_url is null then
    return false;
  end if;
  perform net.http_post(url := v_url, body := v_body, timeout_milliseconds := 5000);
  return true;
exception when others then
  raise warning 'the doorbell of worker % could not be rung: %', p_worker, sqlerrm;
  return false;
end
$$;
revoke execute on function provisioning.send_doorbell(text) from public, anon, authenticated, service_role;
comment on function provisioning.send_doorbell(text) is
  'Asks a worker to look for work, after commit, however often it was asked just before. Returns false, and never raises, when it
cannot: the work is safe in its rows.';

-- Until when the last ring of the worker of sign-ups stands for those that follow, in milliseconds since 1970. A sequence,
-- because reading and setting it takes no lock for which another sign-up could wait.
create sequence provisioning.rung_until_of_provisioning;
revoke all on sequence provisioning.rung_until_of_provisioning from anon, authenticated, service_role;
-- Its jobs only: ring_at_commit looks at this sequence without looking the worker up.
alter table provisioning.job_kinds
  add constraint sign_ups_have_one_worker check (lane <> 'sign_up' or worker = 'provisioning');

create function provisioning.ring_doorbell(p_worker text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_rung_until regclass := to_regclass('provisioning.rung_until_of_' || p_worker);
  v_now bigint := date_part('epoch', clock_timestamp()) * 1000;
  v_left bigint := pg_sequence_last_value(v_rung_until) - v_now;
begin
  -- No ring stands for longer than a minute: a clock that was put back, or a restored database, silences nobody for long.
  if v_left between 1 and 60000 then
    return true;
  end if;
  -- Before the call, which takes longer than a sign-up: others who commit meanwhile need no call of their own.
  if v_rung_until is not null then
    perform setval(v_rung_until, v_now + s.doorbell_interval_milliseconds) from provisioning.settings s;
  end if;
  if provisioning.send_doorbell(p_worker) then
    return true;
  end if;
  -- The next one tries again at once.
  if v_rung_until is not null then
    perform setval(v_rung_until, 1, false);
  end if;
  return false;
end
$$;
revoke execute on function provisioning.ring_doorbell(text) from public, anon, authenticated, service_role;
comment on function provisioning.ring_doorbell(text) is
  'Asks a worker to look for work, after commit. One that has a sequence rung_until_of_… is asked at most every
settings.doorbell_interval_milliseconds, because pg_net delivers 200 calls a second in all and makes each later commit of a
session slower; when it has been rung it goes on looking for longer than that. Returns false, and never raises, when it cannot:
the work is safe in its rows.';

create function provisioning.ring_at_commit() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_left bigint;
  v_is_rung boolean;
begin
  -- These are no conditions of the trigger, which would be parsed anew for each job.
  if new.lane = 'sign_up' then
    -- As ring_doorbell would find out, in a fifth of the time: one ring stands for most sign-ups.
    v_left := pg_sequence_last_value('provisioning.rung_until_of_provisioning') - date_part('epoch', clock_timestamp()) * 1000;
    if v_left between 1 and 60000 then
      return null;
    end if;
  elsif new.lane <> 'batch' then
    return null;
  end if;
  v_is_rung := provisioning.ring_doorbell((select k.worker from provisioning.job_kinds k where k.kind = new.kind));
  return null;
end
$$;
revoke execute on function provisioning.ring_at_commit() from public, anon, authenticated, service_role;
comment on function provisioning.ring_at_commit() is
  'Trigger: jobs that are made in masses ring when their transaction is about to commit. Sooner, one that is rolled back, or an
import that stays open for minutes, would keep others from ringing and be heard by nobody itself.';
create constraint trigger provisioning_jobs_ring after insert on public.provisioning_jobs deferrable initially deferred
  for each row execute function provisioning.ring_at_commit();

-- A doorbell is good for one answer. Unlogged: what a crash forgets is at worst rung once more.
create unlogged table provisioning.answered_doorbells (
  signature text primary key,
  expires_at timestamptz not null
);
create index answered_doorbells_expires_at_idx on provisioning.answered_doorbells (expires_at);
alter table provisioning.answered_doorbells enable row level security;
revoke all on provisioning.answered_doorbells from anon, authenticated, service_role;

create function provisioning.answer_doorbell(p_signature text, p_expires_at bigint) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.answered_doorbells (signature, expires_at) values (p_signature, to_timestamp(p_expires_at / 1000.0))
  on conflict do nothing;
  return found;
end
$$;
revoke execute on function provisioning.answer_doorbell(text, bigint) from public, anon, authenticated, service_role;
comment on function provisioning.answer_doorbell(text, bigint) is
  'Remembers a genuine doorbell until it expires; false when it was answered before.';

create function provisioning.unsent_calls() returns table (worker text, calls integer, oldest bigint, newest bigint)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_base text := rtrim(provisioning.vault_secret('functions_base_url'), '/');
begin
  return query
    select w.worker, count(*)::integer, min(q.id), max(q.id)
    from (select r.id, r.url from net.http_request_queue r limit 10000) q
    join provisioning.workers w on q.url = v_base || '/' || w.function_name
    group by w.worker;
exception when others then
  -- Without pg_net there is no queue.
  return;
end
$$;
revoke execute on function provisioning.unsent_calls() from public, anon, authenticated, service_role;
comment on function provisioning.unsent_calls() is
  'Our calls to each worker among the first 10,000 that wait in pg_net''s queue, which has no index.';

create function provisioning.look_for_unsent_calls() returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.dispatch_state s
  set unsent_since = case when u.is_there then coalesce(s.unsent_since, now()) end,
    holds_back = u.is_there and coalesce(s.unsent_since < now() - interval '5 seconds', false)
  from (
    select coalesce(min(c.oldest) <= (select d.newest_call from provisioning.dispatch_state d), false) as is_there
    from provisioning.unsent_calls() c) u
  where s.id;
end
$$;
revoke execute on function provisioning.look_for_unsent_calls() from public, anon, authenticated, service_role;
comment on function provisioning.look_for_unsent_calls() is
  'Notes whether a call that the sweep before left in pg_net''s queue is still there: pg_net takes calls out when it sends them,
and sweeps come ten seconds apart. When the next sweep finds one, too, nobody is rung any more until they have gone.';

create function provisioning.dispatch_problem() returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  v_what text;
  v_name text;
  v_state text;
begin
  for v_what, v_name in values
    ('The address of the functions', 'functions_base_url'), ('The doorbell key', 'provisioning_doorbell_key')
  loop
    v_state := provisioning.vault_secret_state(v_name, '');
    if v_state = 'missing' then
      return format('%s is not in Vault (%s).', v_what, v_name);
    elsif v_state = 'unreadable' then
      return format('%s is in Vault, which cannot decrypt it (%s).', v_what, v_name);
    end if;
  end loop;
  return (
    select format('pg_net does not send our calls (since %s): its worker does not run, or has more to send than it can.',
      to_char(s.unsent_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
    from provisioning.dispatch_state s where s.unsent_since is not null);
end
$$;
revoke execute on function provisioning.dispatch_problem() from public, anon, authenticated, service_role;
comment on function provisioning.dispatch_problem() is
  'Why the database cannot ring any worker, in words; null when it can.';

create function provisioning.due_by_worker(p_kinds text[] default null, p_limit integer default 1)
returns table (worker text, jobs integer)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
  select k.worker, least(p_limit, sum((
      select count(*) from provisioning.lanes l cross join lateral (
        select from public.provisioning_jobs j
        where j.status = 'queued' and j.kind = k.kind and j.lane = l.lane and j.next_attempt_at <= now() limit p_limit) q)
    + (select count(*) from provisioning.job_leases l where l.kind = k.kind and l.expires_at <= now())))::integer
  from provisioning.job_kinds k where (p_kinds is null or k.kind = any (p_kinds)) and not provisioning.is_paused(k.kind)
  group by k.worker;
end
$$;
revoke execute on function provisioning.due_by_worker(text[], integer) from public, anon, authenticated, service_role;
comment on function provisioning.due_by_worker(text[], integer) is
  'How many jobs are due for each worker, counted up to p_limit: of these kinds, or of all; none that is paused.';

create function provisioning.workers_wanted(p_kinds text[]) returns setof text
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select d.worker from provisioning.due_by_worker(p_kinds) d
    where d.jobs > 0
      -- The ring that this worker has answered may stand for sign-ups that have yet to commit.
      or extract(epoch from clock_timestamp()) * 1000 + (select s.doorbell_interval_milliseconds from provisioning.settings s)
        - pg_sequence_last_value(to_regclass('provisioning.rung_until_of_' || d.worker)) between 0 and 1000;
end
$$;
revoke execute on function provisioning.workers_wanted(text[]) from public, anon, authenticated, service_role;
comment on function provisioning.workers_wanted(text[]) is
  'The workers of these kinds for which a job is due, or may be in a moment.';

create function provisioning.successor_doorbells(p_kinds text[]) returns table (url text, body jsonb)
language plpgsql security definer set search_path = '' as $$
begin
  return query
    select d.url, d.body from provisioning.workers_wanted(p_kinds) w cross join provisioning.signed_doorbell(w) d
    where d.url is not null;
end
$$;
revoke execute on function provisioning.successor_doorbells(text[]) from public, anon, authenticated, service_role;
comment on function provisioning.successor_doorbells(text[]) is
  'Doorbells that a worker which has done its share sends itself: pg_net would let them wait for up to a second.';

create function provisioning.ring_for_due_work(p_kinds text[]) returns boolean
language sql volatile security definer set search_path = '' as $$
  select provisioning.send_doorbell(w) from provisioning.workers_wanted(p_kinds) w
$$;
revoke execute on function provisioning.ring_for_due_work(text[]) from public, anon, authenticated, service_role;
comment on function provisioning.ring_for_due_work(text[]) is
  'Rings the worker of these kinds through pg_net when a job of them is due, or may be in a moment; null when none is. For a
worker that has done its share and could not ring itself.';

create function provisioning.enqueue_upkeep(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_kind text;
  v_function text;
begin
  for v_kind, v_function in
    select k.kind, k.made_by_sweep from provisioning.job_kinds k where k.made_by_sweep is not null order by k.kind
  loop
    -- In a block of its own: what one kind has trouble with must not keep the sweep from ringing.
    begin
      execute format('select provisioning.%I($1)', v_function) using p_limit;
    exception when others then
      raise warning 'no jobs of the kind % were made: %', v_kind, sqlerrm;
    end;
  end loop;
end
$$;
revoke execute on function provisioning.enqueue_upkeep(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_upkeep(integer) is
  'Makes the jobs that nobody asks for, up to p_limit of each kind, by job_kinds.made_by_sweep.';

create function provisioning.sweep() returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_problem text;
  v_rung integer := 0;
  v_due record;
begin
  select * into v_settings from provisioning.settings;
  perform provisioning.repair_sign_ups(v_settings.sweep_repairs);
  perform provisioning.end_expectations(v_settings.sweep_repairs);
  perform provisioning.enqueue_updates(v_settings.sweep_repairs);
  perform provisioning.enqueue_upkeep(v_settings.sweep_repairs);
  perform provisioning.follow_mapped_tables(v_settings.sweep_repairs);
  perform provisioning.look_for_unsent_calls();
  v_problem := provisioning.dispatch_problem();
  delete from provisioning.answered_doorbells d where d.expires_at < now();
  update provisioning.dispatch_state set last_swept_at = now(), problem = coalesce(v_problem, (
    select string_agg(c.message, ' ') from provisioning.current_pauses() c)) where id;
  if v_problem is not null then
    update public.provisioning_jobs j set last_error = provisioning.failure('dispatch_unavailable', v_problem)
    where j.id in (
      select q.id from provisioning.job_kinds k cross join provisioning.lanes l cross join lateral (
        select i.id from public.provisioning_jobs i
        where i.status = 'queued' and i.kind = k.kind and i.lane = l.lane and i.next_attempt_at <= now()
          and i.last_error is null
        limit v_settings.sweep_repairs) q
      limit v_settings.sweep_repairs);
  end if;
  -- Each doorbell starts a worker that drains many jobs, so a few are enough for any backlog. Those that wait to be sent count.
  for v_due in
    select d.worker, d.jobs - coalesce(u.calls, 0) as rings
    from provisioning.due_by_worker(null, v_settings.sweep_doorbells) d left join provisioning.unsent_calls() u using (worker)
  loop
    for v_ring in 1 .. v_due.rings loop
      v_rung := v_rung + provisioning.send_doorbell(v_due.worker)::integer;
    end loop;
  end loop;
  update provisioning.dispatch_state s set newest_call = (select max(u.newest) from provisioning.unsent_calls() u)
  where s.id and s.unsent_since is null;
  return v_rung;
end
$$;
revoke execute on function provisioning.sweep() from public, anon, authenticated, service_role;
comment on function provisioning.sweep() is
  'Repairs recorded sign-up trouble, ends what nobody has answered, makes jobs of changed names and billing addresses and of what
else is to be done by itself, compares ours with tables of the project that are read instead (follow_mapped_tables), and rings the
workers that have due jobs, each up to settings.sweep_doorbells times, less what pg_net has yet to send it; returns how many
doorbells that were. Its work is bounded by settings and what is due.';

create function provisioning.prune() returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- A run that the database's end cut off never gets an end time, and one that was cut off early has no time at all: its number
  -- tells its age.
  with old as (
    select d.runid from cron.job_run_details d where coalesce(d.end_time, d.start_time) < now()
      - make_interval(days => (select s.cron_history_days from provisioning.settings s)))
  delete from cron.job_run_details d
  where d.runid in (select o.runid from old o)
    or (coalesce(d.end_time, d.start_time) is null and d.runid < (select max(o.runid) from old o));
  perform provisioning.forget_old_calls();
end
$$;
revoke execute on function provisioning.prune() from public, anon, authenticated, service_role;
comment on function provisioning.prune() is
  'Drops old run records, which pg_cron itself keeps for ever, and counted calls that are too old to limit anybody.';

select cron.schedule('tenant-provisioning-sweep', '10 seconds', 'select provisioning.sweep()');
select cron.schedule('tenant-provisioning-prune', '17 3 * * *', 'select provisioning.prune()');
