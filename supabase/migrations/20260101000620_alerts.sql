-- What needs a person. One open alert per organization and kind; it is resolved when the state that opened it has passed.

create domain provisioning.alert_severity as text
  constraint severity_is_known check (value in ('warning', 'critical'));

create table public.tenant_alerts (
  id uuid primary key default gen_random_uuid(),
  -- No foreign key: the failed undo of a deleted organization is an alert too.
  organization_id uuid not null,
  kind text not null,
  severity provisioning.alert_severity not null,
  message text not null,
  -- {"job_id", "code", "step"}. Never a secret.
  metadata jsonb not null default '{}',
  opened_at timestamptz not null default now(),
  -- When a warning became critical.
  escalated_at timestamptz,
  resolved_at timestamptz,
  -- When the webhook took the newest news of it.
  notified_at timestamptz,
  constraint resolved_at_is_after_opened_at check (resolved_at >= opened_at)
);
create unique index tenant_alerts_open_key on public.tenant_alerts (organization_id, kind) where resolved_at is null;
create index tenant_alerts_organization_id_idx on public.tenant_alerts (organization_id, opened_at desc);

alter table public.tenant_alerts enable row level security;
revoke all on public.tenant_alerts from anon, authenticated, service_role;
grant select on public.tenant_alerts to authenticated, service_role;
create policy "members read their organization's alerts" on public.tenant_alerts for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

create function provisioning.open_alert(
  p_organization_id uuid, p_kind text, p_severity text, p_message text, p_metadata jsonb default '{}'
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.tenant_alerts as a (organization_id, kind, severity, message, metadata)
  values (p_organization_id, p_kind, p_severity, p_message, p_metadata)
  on conflict (organization_id, kind) where resolved_at is null
  do update set severity = excluded.severity, message = excluded.message, metadata = excluded.metadata,
    escalated_at = case when a.severity = 'warning' and excluded.severity = 'critical' then clock_timestamp()
      else a.escalated_at end
  where (a.severity, a.message, a.metadata) is distinct from (excluded.severity, excluded.message, excluded.metadata);
end
$$;
revoke execute on function provisioning.open_alert(uuid, text, text, text, jsonb) from public;
comment on function provisioning.open_alert(uuid, text, text, text, jsonb) is
  'Opens an alert, or brings the open one of this kind up to date; a warning that becomes critical is escalated.';

create function provisioning.resolve_alert(p_organization_id uuid, p_kind text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_alerts a set resolved_at = clock_timestamp()
  where a.organization_id = p_organization_id and a.kind = p_kind and a.resolved_at is null;
end
$$;
revoke execute on function provisioning.resolve_alert(uuid, text) from public;

-- A job's end is where provisioning alerts come and go, whichever worker wrote it.
create function provisioning.alert_on_job_end() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.status = 'failed' then
    perform provisioning.open_alert(new.organization_id, new.kind || '_failed', 'critical',
      coalesce(new.last_error ->> 'message', 'The job failed.'),
      jsonb_strip_nulls(jsonb_build_object('job_id', new.id, 'code', new.last_error ->> 'code', 'step',
        new.last_error ->> 'step')));
  else
    perform provisioning.resolve_alert(new.organization_id, new.kind || '_failed');
  end if;
  return null;
end
$$;
revoke execute on function provisioning.alert_on_job_end() from public;
create trigger provisioning_jobs_alert after update of status on public.provisioning_jobs
  for each row when (old.status is distinct from new.status and new.status in ('succeeded', 'failed', 'cancelled'))
  execute function provisioning.alert_on_job_end();

-- Which matter, and how they reach the webhook: each event of an alert once, in order, signed by Standard Webhooks ----

create table provisioning.alert_policies (
  severity provisioning.alert_severity primary key,
  -- A tenant's trouble becomes an alert of this severity after so many checks in a row: degraded or unhealthy ones
  -- for a warning, unhealthy ones for a critical alert.
  open_after_checks integer not null,
  -- An open warning becomes critical after so long; null for never.
  escalate_after_minutes integer,
  -- Whether it is sent to the webhook.
  notify boolean not null default true,
  constraint policy_is_positive check (open_after_checks > 0 and coalesce(escalate_after_minutes, 1) > 0)
);
insert into provisioning.alert_policies (severity, open_after_checks, escalate_after_minutes) values
  ('warning', 3, 60), ('critical', 3, null);
alter table provisioning.alert_policies enable row level security;

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
  created_at timestamptz not null default now(),
  constraint event_is_known check (event in ('opened', 'escalated', 'resolved')),
  constraint delivery_is_once unique (alert_id, event),
  constraint delivered_is_done check (delivered_at is null or next_attempt_at is null)
);
create index alert_deliveries_due_idx on provisioning.alert_deliveries (next_attempt_at) where next_attempt_at is not null;
alter table provisioning.alert_deliveries enable row level security;

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
revoke execute on function provisioning.enqueue_alert_delivery() from public;
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
revoke execute on function provisioning.claim_alert_deliveries(integer) from public;
comment on function provisioning.claim_alert_deliveries(integer) is
  'Takes due deliveries for a minute, with where and how to send them; of one alert only the first that is neither delivered nor
given up. url is null when the webhook was removed meanwhile.';

create function provisioning.finish_alert_delivery(p_id uuid, p_error text default null) returns void
language plpgsql security definer set search_path = '' as $$
begin
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
revoke execute on function provisioning.finish_alert_delivery(uuid, text) from public;
