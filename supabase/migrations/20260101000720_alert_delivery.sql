-- How alerts reach the webhook: each event of an alert once, in order, signed by Standard Webhooks. They have a function of their
-- own, so that a receiver that hangs delays nothing but alerts.

insert into provisioning.workers (worker, function_name) values ('alerts', 'deliver-alerts');
-- Until when its last ring stands for those that follow, for ring_doorbell: many alerts at once ring once.
create sequence provisioning.rung_until_of_alerts;
revoke all on sequence provisioning.rung_until_of_alerts from anon, authenticated, service_role;

create table provisioning.alert_deliveries (
  -- Also the webhook-id, by which a receiver knows a repetition.
  id uuid primary key default gen_random_uuid(),
  alert_id uuid not null references public.tenant_alerts (id) on delete cascade,
  event text not null,
  attempts integer not null default 0,
  -- Null when it was delivered or given up.
  next_attempt_at timestamptz default now(),
  last_error text,
  delivered_at timestamptz,
  -- Not that of the transaction, in which an alert may come and go.
  created_at timestamptz not null default clock_timestamp(),
  constraint event_is_known check (event in ('opened', 'escalated', 'resolved')),
  constraint delivery_is_once unique (alert_id, event),
  constraint delivered_is_done check (delivered_at is null or next_attempt_at is null)
);
create index alert_deliveries_due_idx on provisioning.alert_deliveries (next_attempt_at) where next_attempt_at is not null;
alter table provisioning.alert_deliveries enable row level security;
revoke all on provisioning.alert_deliveries from anon, authenticated, service_role;

-- The receiver checks the signature with this key, see docs/operations.md.
do $secret$
begin
  if not exists (select from vault.secrets s where s.name = 'alert_webhook_secret') then
    perform vault.create_secret('whsec_' || encode(extensions.gen_random_bytes(32), 'base64'), 'alert_webhook_secret',
      'Key that signs the alert webhook (Standard Webhooks)');
  end if;
end
$secret$;

create function provisioning.enqueue_alert_delivery() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_event text := case
    when tg_op = 'INSERT' then 'opened'
    when new.resolved_at is not null and old.resolved_at is null then 'resolved'
    when new.escalated_at is distinct from old.escalated_at then 'escalated' end;
begin
  if v_event is null or provisioning.vault_secret('alert_webhook_url') is null then
    return null;
  end if;
  -- Who was told of an alert hears of its end, whatever the policies say by then; and nobody else.
  insert into provisioning.alert_deliveries (alert_id, event)
  select new.id, v_event
  where case v_event when 'resolved' then exists (select from provisioning.alert_deliveries d where d.alert_id = new.id)
    else exists (select from provisioning.alert_policies p where p.severity = new.severity and p.notify) end
  on conflict do nothing;
  return null;
exception when others then
  -- An alert must be told in its table even when Vault cannot be read.
  raise warning 'the delivery of alert % could not be enqueued: %', new.id, sqlerrm;
  return null;
end
$$;
revoke execute on function provisioning.enqueue_alert_delivery() from public, anon, authenticated, service_role;
create trigger tenant_alerts_deliver after insert or update on public.tenant_alerts
  for each row execute function provisioning.enqueue_alert_delivery();

create function provisioning.claim_alert_deliveries(p_limit integer)
returns table (id uuid, attempts integer, url text, secret text, payload jsonb)
language plpgsql security definer set search_path = '' as $$
begin
  return query
  with due as (
    select d.id from provisioning.alert_deliveries d where d.next_attempt_at <= now()
      -- In order: whoever hears last that an alert has opened takes it for open.
      and not exists (
        select from provisioning.alert_deliveries e
        where e.alert_id = d.alert_id and e.created_at < d.created_at and e.next_attempt_at is not null)
    order by d.next_attempt_at limit p_limit for update skip locked
  ), claimed as (
    -- Longer than a call may take: another worker comes back to it only when this one has died.
    update provisioning.alert_deliveries d set attempts = d.attempts + 1, next_attempt_at = now() + interval '60 seconds'
    from due where d.id = due.id returning d.id, d.alert_id, d.event, d.attempts, d.created_at
  )
  select c.id, c.attempts, provisioning.vault_secret('alert_webhook_url'), provisioning.vault_secret('alert_webhook_secret'),
    jsonb_build_object('type', 'tenant.alert.' || c.event, 'timestamp', c.created_at, 'data', jsonb_build_object(
      'alertId', a.id, 'kind', a.kind, 'severity', a.severity, 'message', a.message, 'metadata', a.metadata,
      'openedAt', a.opened_at, 'escalatedAt', a.escalated_at, 'resolvedAt', a.resolved_at,
      'organization', jsonb_build_object('id', a.organization_id, 'slug', o.slug, 'name', o.name)))
  from claimed c join public.tenant_alerts a on a.id = c.alert_id
  left join public.organizations o on o.id = a.organization_id;
end
$$;
revoke execute on function provisioning.claim_alert_deliveries(integer) from public, anon, authenticated, service_role;
comment on function provisioning.claim_alert_deliveries(integer) is
  'Takes due deliveries for a minute, with where and how to send them; of one alert only the first that is neither delivered nor
given up. url is null when the webhook was removed meanwhile.';

create function provisioning.finish_alert_delivery(p_id uuid, p_error text default null) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- The alert first, as for whoever deletes one: its deliveries go with it, and each would wait for the other.
  perform from public.tenant_alerts a
  where a.id = (select d.alert_id from provisioning.alert_deliveries d where d.id = p_id) for no key update;
  update provisioning.alert_deliveries d set last_error = p_error,
    delivered_at = case when p_error is null then clock_timestamp() end,
    -- Half a minute, doubling to an hour; after 20 attempts, about 14 hours, it is given up.
    next_attempt_at = case when p_error is not null and d.attempts < 20
      then clock_timestamp() + make_interval(secs => least(3600, 30 * power(2, least(d.attempts - 1, 20)))) end
  where d.id = p_id and d.delivered_at is null;
  if p_error is null then
    update public.tenant_alerts a set notified_at = clock_timestamp()
    from provisioning.alert_deliveries d where d.id = p_id and a.id = d.alert_id;
  end if;
end
$$;
revoke execute on function provisioning.finish_alert_delivery(uuid, text) from public, anon, authenticated, service_role;

create function provisioning.next_alert_delivery_at() returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select d.next_attempt_at from provisioning.alert_deliveries d
    where d.next_attempt_at is not null
      and not exists (
        select from provisioning.alert_deliveries e
        where e.alert_id = d.alert_id and e.created_at < d.created_at and e.next_attempt_at is not null)
    order by d.next_attempt_at limit 1);
end
$$;
revoke execute on function provisioning.next_alert_delivery_at() from public, anon, authenticated, service_role;
comment on function provisioning.next_alert_delivery_at() is
  'When the next delivery may be claimed, which is now or before for one that is due; null when none is left.';

create function provisioning.ring_for_alert() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.ring_doorbell('alerts');
  return null;
end
$$;
revoke execute on function provisioning.ring_for_alert() from public, anon, authenticated, service_role;
comment on function provisioning.ring_for_alert() is
  'Trigger: rings when the transaction is about to commit, for the reason of ring_at_commit.';
create constraint trigger alert_deliveries_ring after insert on provisioning.alert_deliveries deferrable initially deferred
  for each row execute function provisioning.ring_for_alert();

create function provisioning.alert_tick() returns integer
language plpgsql security definer set search_path = '' as $$
begin
  if provisioning.next_alert_delivery_at() <= now() then
    return provisioning.send_doorbell('alerts')::integer;
  end if;
  return 0;
end
$$;
revoke execute on function provisioning.alert_tick() from public, anon, authenticated, service_role;
comment on function provisioning.alert_tick() is
  'Rings when a delivery is due: one that is tried again, or whose doorbell was lost. Returns how many doorbells that were.';

select cron.schedule('tenant-provisioning-alert-tick', '30 seconds', 'select provisioning.alert_tick()');
