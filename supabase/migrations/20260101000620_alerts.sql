-- What needs a person. One open alert per organization and kind; it is resolved when the state that opened it has passed.

create domain provisioning_types.alert_severity as text
  constraint severity_is_known check (value in ('warning', 'critical'));

create table public.tenant_alerts (
  id uuid primary key default gen_random_uuid(),
  -- No foreign key: the failed undo of a deleted organization is an alert too.
  organization_id uuid not null,
  kind text not null,
  severity provisioning_types.alert_severity not null,
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
revoke execute on function provisioning.open_alert(uuid, text, text, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.open_alert(uuid, text, text, text, jsonb) is
  'Opens an alert, or brings the open one of this kind up to date; a warning that becomes critical is escalated.';

create function provisioning.resolve_alert(p_organization_id uuid, p_kind text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_alerts a set resolved_at = clock_timestamp()
  where a.organization_id = p_organization_id and a.kind = p_kind and a.resolved_at is null;
end
$$;
revoke execute on function provisioning.resolve_alert(uuid, text) from public, anon, authenticated, service_role;

-- A job's end is where provisioning alerts come and go, whichever worker wrote it.
create function provisioning.alert_on_job_end() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.status = new.status or new.status not in ('succeeded', 'failed', 'cancelled') then
    return null;
  end if;
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
revoke execute on function provisioning.alert_on_job_end() from public, anon, authenticated, service_role;
create trigger provisioning_jobs_alert after update of status on public.provisioning_jobs
  for each row execute function provisioning.alert_on_job_end();

create table provisioning.alert_policies (
  severity provisioning_types.alert_severity primary key,
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
revoke all on provisioning.alert_policies from anon, authenticated, service_role;
