-- Status rows are the queue: a job and its steps say what is to be done, what was done and when to try again.

create table public.provisioning_jobs (
  id uuid primary key default provisioning.uuid_v7(),
  -- No foreign key: undoing an organization is a job that outlives it.
  organization_id uuid not null,
  kind text not null,
  -- Fixed when the job is made. It says which steps the job has.
  tier text not null default 'database',
  lane text not null default 'request',
  status provisioning_types.job_status not null default 'queued',
  -- What was asked for. Never a secret.
  request jsonb not null default '{}',
  requested_by uuid,
  -- Services asked for again while a worker was at it; they get another turn when it has finished.
  rerun_services text[],
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default current_timestamp,
  -- {"code", "message", "step", "retryable"} of the newest failure.
  last_error jsonb,
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp,
  started_at timestamptz,
  finished_at timestamptz
);
create unique index provisioning_jobs_open_key on public.provisioning_jobs (organization_id, kind)
  where status in ('queued', 'running');
-- What waits, by kind and lane in the order in which it falls due. The claim and the sweep read this index, whose size is the
-- number of waiting jobs, not of tenants.
create index provisioning_jobs_due_idx on public.provisioning_jobs (kind, lane, next_attempt_at) where status = 'queued';
create index provisioning_jobs_organization_id_idx on public.provisioning_jobs (organization_id, created_at desc);

-- Who is at work. Apart from the jobs, because the token is the workers' proof of ownership and nobody else's to read, and
-- because everything that counts running jobs then reads a table with one row for each of them.
create table provisioning.job_leases (
  job_id uuid primary key references public.provisioning_jobs (id) on delete cascade,
  -- Repeated from the job and its kind, so that a claim sees who excludes whom without looking further.
  organization_id uuid not null,
  kind text not null,
  lane text not null,
  works_on text[] not null,
  -- Fencing token: every write of a worker carries it, and a stale one is refused.
  token uuid not null,
  claimed_at timestamptz not null default current_timestamp,
  expires_at timestamptz not null
) with (fillfactor = 50);
comment on table provisioning.job_leases is
  'The leases of running jobs, one each. A lease that has run out stays until somebody else takes the job over.';
alter table provisioning.job_leases enable row level security;
revoke all on provisioning.job_leases from anon, authenticated, service_role;

create function provisioning.drop_lease() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.status = 'running' and new.status <> 'running' then
    delete from provisioning.job_leases l where l.job_id = new.id;
  end if;
  return null;
end
$$;
revoke execute on function provisioning.drop_lease() from public, anon, authenticated, service_role;
comment on function provisioning.drop_lease() is
  'Trigger: a job that stops running has no lease any more, whoever stops it. Whoever held it is refused from then on.';
create trigger provisioning_jobs_drop_lease after update of status on public.provisioning_jobs
  for each row execute function provisioning.drop_lease();

create table public.provisioning_steps (
  job_id uuid not null references public.provisioning_jobs (id) on delete cascade,
  step text not null,
  -- Repeated from the job, so that policies and realtime filters need no join.
  organization_id uuid not null,
  service text not null,
  position smallint not null,
  depends_on text[] not null,
  status provisioning_types.step_status not null default 'pending',
  attempts integer not null default 0,
  next_attempt_at timestamptz,
  -- Until then a request of the last attempt whose answer is open may still take effect, or not be findable yet: whoever looked
  -- sooner could make a second one.
  settles_at timestamptz,
  -- What the step made, as ids and versions. Never a secret.
  output jsonb not null default '{}',
  -- {"code", "message", "retryable"} of the newest failure.
  error jsonb,
  started_at timestamptz,
  finished_at timestamptz,
  primary key (job_id, step),
  constraint retrying_steps_know_when check ((status = 'retrying') = (next_attempt_at is not null)),
  constraint finished_steps_have_an_end check ((status in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint failed_steps_say_why check (status not in ('failed', 'retrying') or error is not null)
);
create index provisioning_steps_organization_id_idx on public.provisioning_steps (organization_id);

create table public.provisioning_events (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  job_id uuid,
  event_type text not null,
  resource_type text not null,
  resource_id provisioning_types.kept_text,
  status text not null,
  error_message provisioning_types.kept_text,
  metadata provisioning_types.kept_details not null default '{}',
  started_at timestamptz not null default current_timestamp,
  completed_at timestamptz,
  constraint completed_at_is_after_started_at check (completed_at >= started_at)
);
comment on table public.provisioning_events is
  'Append-only history: one row for a sign-up, each attempt of a step and each end of a job.';
create index provisioning_events_organization_id_idx on public.provisioning_events (organization_id, started_at desc, id);

create trigger provisioning_events_are_append_only before update or delete or truncate on public.provisioning_events
  for each statement execute function provisioning.refuse_change();

create function provisioning.touch_job() returns trigger
language plpgsql set search_path = '' as $$
begin
  if (new.status in ('queued', 'running')) <> (new.finished_at is null) then
    raise exception 'Only finished jobs have an end.' using errcode = 'check_violation';
  end if;
  new.updated_at := now();
  return new;
end
$$;
revoke execute on function provisioning.touch_job() from public, anon, authenticated, service_role;
comment on function provisioning.touch_job() is
  'Trigger: stamps updated_at, and refuses a job that has ended without an end or the other way round. A CHECK would be parsed
anew for each job that is made, and new ones are queued.';
create trigger provisioning_jobs_touch before update on public.provisioning_jobs
  for each row execute function provisioning.touch_job();

alter table public.provisioning_jobs enable row level security;
revoke all on public.provisioning_jobs from anon, authenticated, service_role;
grant select on public.provisioning_jobs to authenticated, service_role;
create policy "members read their organization's jobs" on public.provisioning_jobs for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

alter table public.provisioning_steps enable row level security;
revoke all on public.provisioning_steps from anon, authenticated, service_role;
grant select on public.provisioning_steps to authenticated, service_role;
create policy "members read their organization's steps" on public.provisioning_steps for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));

alter table public.provisioning_events enable row level security;
revoke all on public.provisioning_events from anon, authenticated, service_role;
grant select on public.provisioning_events to authenticated, service_role;
create policy "members read their organization's events" on public.provisioning_events for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids())));
