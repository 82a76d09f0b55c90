-- What all workers share about a provider: whether it answers at all (circuit breaker) and how many calls its documented
-- limits still allow (token buckets). A provider that is down costs a handful of calls, not one per tenant.

create table provisioning.provider_status (
  provider text primary key,
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

create table provisioning.rate_limits (
  provider text not null references provisioning.provider_status on delete cascade,
  -- '*' counts every call, '{route}' gives each route a bucket of its own.
  scope text not null,
  -- Calls at once, and calls a second after that: in any t seconds at most burst + t × per_second.
  burst numeric not null check (burst >= 1),
  per_second numeric not null check (per_second > 0),
  primary key (provider, scope)
);
comment on table provisioning.rate_limits is
  'Each provider''s documented limits, with room for what else uses the account.';

create table provisioning.token_buckets (
  provider text not null references provisioning.provider_status on delete cascade,
  scope text not null,
  tokens numeric not null,
  refilled_at timestamptz not null,
  primary key (provider, scope)
);
comment on table provisioning.token_buckets is 'What is left of the limits. Below zero after the provider asked for a pause.';

alter table provisioning.provider_status enable row level security;
alter table provisioning.rate_limits enable row level security;
alter table provisioning.token_buckets enable row level security;

create function provisioning.take_tokens(p_provider text, p_route text, p_max_wait_seconds double precision)
returns double precision
language plpgsql security definer set search_path = '' as $$
declare
  v_wait double precision;
begin
  insert into provisioning.token_buckets (provider, scope, tokens, refilled_at)
  select l.provider, case l.scope when '{route}' then p_route else l.scope end, l.burst, clock_timestamp()
  from provisioning.rate_limits l where l.provider = p_provider
  on conflict do nothing;
  -- Locked in one order, so that two callers of different routes cannot wait for each other.
  perform from provisioning.token_buckets b where b.provider = p_provider and b.scope in ('*', p_route)
  order by b.scope for update;
  update provisioning.token_buckets b set refilled_at = clock_timestamp(), tokens = least(l.burst,
    b.tokens + l.per_second * greatest(0, extract(epoch from clock_timestamp() - b.refilled_at)))
  from provisioning.rate_limits l
  where b.provider = p_provider and l.provider = p_provider and b.scope in ('*', p_route)
    and l.scope = case b.scope when '*' then '*' else '{route}' end;
  select coalesce(max(greatest(0, (1 - b.tokens) / l.per_second)), 0) into v_wait
  from provisioning.token_buckets b join provisioning.rate_limits l
    on l.provider = b.provider and l.scope = case b.scope when '*' then '*' else '{route}' end
  where b.provider = p_provider and b.scope in ('*', p_route);
  if v_wait <= p_max_wait_seconds then
    update provisioning.token_buckets b set tokens = b.tokens - 1
    where b.provider = p_provider and b.scope in ('*', p_route);
  end if;
  return v_wait;
end
$$;
revoke execute on function provisioning.take_tokens(text, text, double precision) from public;
comment on function provisioning.take_tokens(text, text, double precision) is
  'Seconds until a call may be made. When that is within p_max_wait_seconds the place is taken: a bucket below zero is a queue.
Otherwise nothing is taken, and the caller asks again later.';

create function provisioning.begin_call(p_provider text, p_route text, p_max_wait_seconds double precision)
returns table (wait_seconds double precision, paused_seconds double precision, reason text, watched boolean)
language plpgsql security definer set search_path = '' as $$
declare
  v_status provisioning.provider_status;
begin
  select * into v_status from provisioning.provider_status s where s.provider = p_provider;
  if v_status.state <> 'closed' then
    -- Whoever changes the row first makes the one trial call; 15 s later, if nothing was heard of it, somebody else.
    update provisioning.provider_status s set state = 'half_open', next_try_at = clock_timestamp() + interval '15 seconds',
      changed_at = clock_timestamp()
    where s.provider = p_provider and s.state <> 'closed' and s.next_try_at <= clock_timestamp();
    if not found then
      select * into v_status from provisioning.provider_status s where s.provider = p_provider;
      if v_status.state <> 'closed' then
        return query select 0::double precision,
          -- A trial that is under way is answered soon; who waits for it comes back soon.
          least(greatest(0, extract(epoch from v_status.next_try_at - clock_timestamp())),
            case v_status.state when 'half_open' then 2.0 else 'infinity'::double precision end),
          format('%s is not answering.', v_status.label), true;
        return;
      end if;
    end if;
  end if;
  return query select provisioning.take_tokens(p_provider, p_route, p_max_wait_seconds), null::double precision, null::text,
    v_status.state <> 'closed' or v_status.consecutive_failures > 0;
end
$$;
revoke execute on function provisioning.begin_call(text, text, double precision) from public;
comment on function provisioning.begin_call(text, text, double precision) is
  'Asked before every call to a provider: wait_seconds until the rate limits allow it, or a reason and paused_seconds when the
breaker is open. watched: end_call wants to hear of a success too.';

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
    state = case when s.state = 'half_open' or s.consecutive_failures + 1 >= v_settings.breaker_failures then 'open' else s.state end,
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
revoke execute on function provisioning.end_call(text, text) from public;
comment on function provisioning.end_call(text, text) is
  'Told how a call ended; p_error only when the provider did not answer or was broken, not when it refused. Returns the
seconds of the pause when the breaker is open now, else null.';

create function provisioning.pause_calls(p_provider text, p_route text, p_seconds double precision) returns void
language sql security definer set search_path = '' as $$
  update provisioning.token_buckets b set refilled_at = clock_timestamp(),
    tokens = least(b.tokens, - l.per_second * p_seconds)
  from provisioning.rate_limits l
  where b.provider = p_provider and l.provider = p_provider
    and (b.scope = l.scope or l.scope = '{route}' and b.scope = p_route)
$$;
revoke execute on function provisioning.pause_calls(text, text, double precision) from public;
comment on function provisioning.pause_calls(text, text, double precision) is
  'The provider answered 429: nobody calls it for that long, whatever our own count says.';
