-- What all workers share about a provider: whether it answers at all (circuit breaker) and how many calls its documented
-- limits still allow (token buckets). A provider that is down costs a handful of calls, not one per tenant.

create table provisioning.provider_status (
  provider text primary key,
  service text not null references provisioning.services,
  label text not null,
  state text not null default 'closed',
  consecutive_failures integer not null default 0,
  -- How often in a row it was opened; each time the pause doubles.
  openings integer not null default 0,
  next_try_at timestamptz,
  last_error text,
  changed_at timestamptz not null default now(),
  constraint state_is_known check (state in ('closed', 'open', 'half_open')),
  constraint only_a_closed_breaker_has_no_next_try check ((state = 'closed') = (next_try_at is null))
);
comment on table provisioning.provider_status is
  'Circuit breakers. closed: calls pass. open: none until next_try_at. half_open: one call is trying, the others wait for it.';
create index provider_status_service_idx on provisioning.provider_status (service);

create table provisioning.rate_limits (
  provider text not null references provisioning.provider_status on delete cascade,
  -- '*' counts every call, '{changes}' those that do not only read, '{route}' gives each route a bucket of its own.
  scope text not null,
  -- Calls at once, and calls a second after that: in any t seconds at most burst + t × per_second.
  burst numeric not null check (burst >= 1),
  per_second numeric not null check (per_second > 0),
  primary key (provider, scope)
);
comment on table provisioning.rate_limits is
  'Each provider''s documented limits, with room for what else uses the account.';

create table provisioning.provider_shares (
  provider text not null references provisioning.provider_status on delete cascade,
  -- As which it calls: what begin_call is told as its lane.
  holder text not null check (holder <> ''),
  share numeric not null,
  primary key (provider, holder),
  constraint share_is_less_than_all check (share > 0 and share < 1)
);
comment on table provisioning.provider_shares is
  'Who has a share of a provider''s rate limits alone, in buckets that nobody else takes from. All others share what is left.';

create function provisioning.leave_some_to_all() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Two who set shares of one provider take turns.
  perform from provisioning.provider_status s where s.provider = new.provider for no key update;
  if (select sum(s.share) from provisioning.provider_shares s where s.provider = new.provider) >= 1 then
    raise exception 'The shares of "%" must be less than 1 together: calls that have none need the rest.', new.provider
      using errcode = 'check_violation', constraint = 'shares_leave_some_to_all';
  end if;
  return null;
end
$$;
revoke execute on function provisioning.leave_some_to_all() from public, anon, authenticated, service_role;
comment on function provisioning.leave_some_to_all() is
  'Trigger: the shares of a provider never add up to all of its limits, since the rate of what is left is divided by.';
create trigger shares_leave_some_to_all after insert or update on provisioning.provider_shares
  for each row execute function provisioning.leave_some_to_all();

create table provisioning.token_buckets (
  provider text not null references provisioning.provider_status on delete cascade,
  scope text not null,
  -- Of provider_shares; empty for what all share.
  holder text not null default '',
  tokens numeric not null,
  refilled_at timestamptz not null,
  primary key (provider, scope, holder)
);
comment on table provisioning.token_buckets is 'What is left of the limits. Below zero after the provider asked for a pause.';

alter table provisioning.provider_status enable row level security;
revoke all on provisioning.provider_status from anon, authenticated, service_role;
alter table provisioning.rate_limits enable row level security;
revoke all on provisioning.rate_limits from anon, authenticated, service_role;
alter table provisioning.provider_shares enable row level security;
revoke all on provisioning.provider_shares from anon, authenticated, service_role;
alter table provisioning.token_buckets enable row level security;
revoke all on provisioning.token_buckets from anon, authenticated, service_role;

create function provisioning.bucket_limits(p_provider text, p_route text)
returns table (scope text, holder text, burst numeric, per_second numeric)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query
    select case l.scope when '{route}' then p_route else l.scope end, h.holder, greatest(1, l.burst * h.share),
      l.per_second * h.share
    from provisioning.rate_limits l cross join (
      select s.holder, s.share from provisioning.provider_shares s where s.provider = p_provider
      union all
      select '', 1 - coalesce(sum(s.share), 0) from provisioning.provider_shares s where s.provider = p_provider) h
    where l.provider = p_provider
      and (l.scope <> '{changes}' or p_route !~ '^(GET|HEAD) ')
      -- Of the bucket of changes by its own name.
      and (l.scope <> '{route}' or p_route is distinct from '{changes}');
end
$$;
revoke execute on function provisioning.bucket_limits(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.bucket_limits(text, text) is
  'The buckets that calls of a route are taken from, with the limits of each: those that all share have the holder ''''. A route
begins with its HTTP method where the provider limits changes apart.';

create function provisioning.take_tokens(
  p_provider text, p_route text, p_max_wait_seconds double precision, p_reserve numeric default 0, p_holder text default ''
) returns double precision
language plpgsql security definer set search_path = '' as $$
declare
  v_scopes constant text[] := array(
    select l.scope from provisioning.bucket_limits(p_provider, p_route) l where l.holder = p_holder);
  v_wait double precision;
begin
  insert into provisioning.token_buckets (provider, scope, holder, tokens, refilled_at)
  select p_provider, l.scope, l.holder, l.burst, clock_timestamp()
  from provisioning.bucket_limits(p_provider, p_route) l where l.holder = p_holder
  on conflict do nothing;
  -- Locked in one order, so that two callers of different routes cannot wait for each other.
  perform from provisioning.token_buckets b
  where b.provider = p_provider and b.scope = any (v_scopes) and b.holder = p_holder
  order by b.scope for update;
  update provisioning.token_buckets b set refilled_at = clock_timestamp(), tokens = least(l.burst,
    b.tokens + l.per_second * greatest(0, extract(epoch from clock_timestamp() - b.refilled_at)))
  from provisioning.bucket_limits(p_provider, p_route) l
  where b.provider = p_provider and b.scope = l.scope and b.holder = l.holder and l.holder = p_holder;
  -- A bucket is never larger than its burst: with less than one call left to take, the reserve gives way.
  select coalesce(max(greatest(0, (1 + least(p_reserve * l.burst, l.burst - 1) - b.tokens) / l.per_second)), 0) into v_wait
  from provisioning.token_buckets b join provisioning.bucket_limits(p_provider, p_route) l using (scope, holder)
  where b.provider = p_provider and b.holder = p_holder;
  if v_wait <= p_max_wait_seconds then
    update provisioning.token_buckets b set tokens = b.tokens - 1
    where b.provider = p_provider and b.scope = any (v_scopes) and b.holder = p_holder;
  end if;
  return v_wait;
end
$$;
revoke execute on function provisioning.take_tokens(text, text, double precision, numeric, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.take_tokens(text, text, double precision, numeric, text) is
  'Seconds until a call may be made. When that is within p_max_wait_seconds the place is taken: a bucket below zero is a queue.
Otherwise nothing is taken, and the caller asks again later. p_reserve: the share of each bucket that is left to others. p_holder:
whose buckets these are; empty for those that all share.';

create function provisioning.breaker_pause(p_provider text) returns double precision
language plpgsql security definer set search_path = '' as $$
declare
  v_status provisioning.provider_status;
begin
  -- Whoever changes the row first makes the one trial call; 15 s later, if nothing was heard of it, somebody else.
  update provisioning.provider_status s set state = 'half_open', next_try_at = clock_timestamp() + interval '15 seconds',
    changed_at = clock_timestamp()
  where s.provider = p_provider and s.state <> 'closed' and s.next_try_at <= clock_timestamp();
  if found then
    return null;
  end if;
  select * into v_status from provisioning.provider_status s where s.provider = p_provider;
  return case when v_status.state <> 'closed' then
    -- A trial that is under way is answered soon; who waits for it comes back soon.
    least(greatest(0, extract(epoch from v_status.next_try_at - clock_timestamp())),
      case v_status.state when 'half_open' then 2.0 else 'infinity'::double precision end) end;
end
$$;
revoke execute on function provisioning.breaker_pause(text) from public, anon, authenticated, service_role;
comment on function provisioning.breaker_pause(text) is
  'For a provider whose breaker is not closed: seconds to wait, or null when the caller makes the trial call.';

create function provisioning.begin_call(
  p_provider text, p_route text, p_max_wait_seconds double precision, p_lane text default null
) returns table (wait_seconds double precision, taken boolean, paused_seconds double precision, reason text, watched boolean)
language plpgsql security definer set search_path = '' as $$
declare
  v_status provisioning.provider_status;
  v_reserve numeric := coalesce((select l.provider_reserve from provisioning.lanes l where l.lane = p_lane), 0);
  -- A lane that leaves a share to others does not take it as a place in the queue either.
  v_max_wait double precision := case when v_reserve > 0 then least(p_max_wait_seconds, 1) else p_max_wait_seconds end;
  v_own_wait double precision;
begin
  select * into v_status from provisioning.provider_status s where s.provider = p_provider;
  watched := v_status.state <> 'closed' or v_status.consecutive_failures > 0;
  select provisioning.pause_text(p.scope, v_status.label, p.reason), 30 into reason, paused_seconds
  from provisioning.pauses p where p.scope = 'everything' or p.scope = 'provider' and p.name = v_status.service
  order by p.scope limit 1;
  if reason is null and v_status.state <> 'closed' then
    paused_seconds := provisioning.breaker_pause(p_provider);
    reason := case when paused_seconds is not null then format('%s is not answering.', v_status.label) end;
  end if;
  wait_seconds := 0;
  taken := false;
  -- Whoever has a share uses that first: it is nobody else's.
  if reason is null and exists (
    select from provisioning.provider_shares s where s.provider = p_provider and s.holder = p_lane) then
    wait_seconds := provisioning.take_tokens(p_provider, p_route, 0, 0, p_lane);
    taken := wait_seconds <= 0;
    v_own_wait := wait_seconds;
  end if;
  if reason is null and not taken then
    wait_seconds := provisioning.take_tokens(p_provider, p_route, v_max_wait, v_reserve);
    taken := wait_seconds <= v_max_wait;
    if not taken then
      wait_seconds := least(wait_seconds, v_own_wait);
    end if;
  end if;
  return next;
end
$$;
revoke execute on function provisioning.begin_call(text, text, double precision, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.begin_call(text, text, double precision, text) is
  'Asked before every call to a provider: taken, and wait_seconds until the rate limits allow the call; not taken, when that is
too long to wait for; or a reason and paused_seconds when the provider is paused or its breaker is open. p_lane: of the job that
calls, or the holder of a share (provider_shares). watched: end_call wants to hear of a success too.';

create function provisioning.end_call(p_provider text, p_error text default null) returns double precision
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_next timestamptz;
begin
  if p_error is null then
    update provisioning.provider_status s set state = 'closed', consecutive_failures = 0, openings = 0, next_try_at = null,
      last_error = null, changed_at = clock_timestamp()
    where s.provider = p_provider and (s.state <> 'closed' or s.consecutive_failures > 0);
    return null;
  end if;
  select * into v_settings from provisioning.settings;
  update provisioning.provider_status s set
    consecutive_failures = s.consecutive_failures + 1,
    last_error = p_error,
    state = case when s.state = 'half_open' or s.consecutive_failures + 1 >= v_settings.breaker_failures then 'open'
      else s.state end,
    openings = s.openings + (s.state = 'half_open'
      or s.state = 'closed' and s.consecutive_failures + 1 >= v_settings.breaker_failures)::integer,
    next_try_at = case
      when s.state = 'half_open' or s.state = 'closed' and s.consecutive_failures + 1 >= v_settings.breaker_failures
        then clock_timestamp() + make_interval(secs => least(v_settings.breaker_pause_cap_seconds,
          v_settings.breaker_pause_seconds * power(2, least(s.openings, 20))))
      else s.next_try_at end,
    changed_at = clock_timestamp()
  where s.provider = p_provider
  returning s.next_try_at into v_next;
  return case when v_next is not null then greatest(0, extract(epoch from v_next - clock_timestamp())) end;
end
$$;
revoke execute on function provisioning.end_call(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.end_call(text, text) is
  'Told how a call ended; p_error only when the provider did not answer or was broken, not when it refused. Returns the
seconds of the pause when the breaker is open now, else null.';

create function provisioning.pause_calls(p_provider text, p_route text, p_seconds double precision) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Of holders, too, who have not called yet.
  insert into provisioning.token_buckets (provider, scope, holder, tokens, refilled_at)
  select p_provider, l.scope, l.holder, l.burst, clock_timestamp()
  from provisioning.bucket_limits(p_provider, p_route) l order by l.scope, l.holder
  on conflict do nothing;
  update provisioning.token_buckets b set refilled_at = clock_timestamp(),
    tokens = least(b.tokens, - l.per_second * p_seconds)
  from provisioning.bucket_limits(p_provider, p_route) l
  where b.provider = p_provider and b.scope = l.scope and b.holder = l.holder;
end
$$;
revoke execute on function provisioning.pause_calls(text, text, double precision) from public, anon, authenticated, service_role;
comment on function provisioning.pause_calls(text, text, double precision) is
  'The provider answered 429: nobody calls it for that long, whatever our own count says.';

-- What operators are told.

create function provisioning.provider_states() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object(
      'calls_per_second', (
        select l.per_second from provisioning.rate_limits l where l.provider = s.provider and l.scope = '*'),
      'free_percent', b.free_percent, 'wait_seconds', b.wait_seconds) order by s.provider), '[]')
    from provisioning.provider_status s cross join lateral (
      -- Of a provider that nobody has called yet there is no bucket, which is as good as a full one.
      select greatest(0, floor(100 * coalesce(min(least(1, n.tokens / l.burst)), 1))) as free_percent,
        round(greatest(0, max((1 - n.tokens) / l.per_second)), 1) as wait_seconds
      from provisioning.token_buckets t
      -- The bucket of all calls belongs to no route.
      cross join lateral provisioning.bucket_limits(s.provider, nullif(t.scope, '*')) l
      cross join lateral (
        select t.tokens + l.per_second * greatest(0, extract(epoch from clock_timestamp() - t.refilled_at)) as tokens) n
      where t.provider = s.provider and t.holder = '' and l.scope = t.scope and l.holder = t.holder) b);
end
$$;
revoke execute on function provisioning.provider_states() from public, anon, authenticated, service_role;
grant execute on function provisioning.provider_states() to service_role;
comment on function provisioning.provider_states() is
  'Each provider with its circuit breaker and what is left of its limits: [{provider, service, label, state, consecutive_failures,
openings, next_try_at, last_error, changed_at, calls_per_second, free_percent, wait_seconds}]. free_percent is of the bucket with
the least, wait_seconds how long a call waits now.';

create function public.provider_states() returns jsonb
language sql stable security invoker set search_path = '' as $$
  select provisioning.provider_states()
$$;
revoke execute on function public.provider_states() from public, anon, authenticated;
grant execute on function public.provider_states() to service_role;
comment on function public.provider_states() is
  'For the backend: circuit breakers and rates of the providers. See provisioning.provider_states.';
