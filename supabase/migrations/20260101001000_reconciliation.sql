-- What slipped past exactly-once provisioning: once a day the providers' own lists are compared with tenant_resources, one list
-- for each kind of resource. A list is read page by page into reconciliation_inventory, and compared when it is at its end; so
-- a run can go on from its rows wherever its worker died. Presence in a list proves something, absence only when the list is
-- complete.

insert into provisioning.workers (worker, function_name) values ('reconciliation', 'reconcile-tenants');

create table provisioning.reconciliation_runs (
  id uuid primary key default gen_random_uuid(),
  status text not null default 'running',
  -- Reports only, whatever settings.reconcile_delete says.
  dry_run boolean not null,
  -- Every list was read to its end without a gap.
  complete boolean not null default false,
  -- By kind of resource: {"resources", "duplicate", "stranger", "missing", "resolved", "deleted"}.
  counts jsonb not null default '{}',
  -- Deletions that were begun without an order; reconciliation_allowance bounds them.
  deletions integer not null default 0,
  error text,
  started_at timestamptz not null default now(),
  progressed_at timestamptz not null default now(),
  compared_at timestamptz,
  finished_at timestamptz,
  constraint run_status_is_known check (status in ('running', 'finished', 'failed')),
  constraint only_ended_runs_have_an_end check ((status = 'running') = (finished_at is null))
);
create unique index reconciliation_runs_open_key on provisioning.reconciliation_runs (status) where status = 'running';
create index reconciliation_runs_started_at_idx on provisioning.reconciliation_runs (started_at desc);

create table provisioning.reconciliation_lists (
  run_id uuid not null references provisioning.reconciliation_runs on delete cascade,
  resource_kind text not null,
  -- Where the next page begins; null for the first one and behind the last.
  cursor text,
  ended boolean not null default false,
  pages integer not null default 0,
  resources integer not null default 0,
  -- Why the list is not complete; null when nothing is known to be left out.
  gap text,
  primary key (run_id, resource_kind)
);
comment on table provisioning.reconciliation_lists is 'How far a run has read the list of each kind of resource.';

create table provisioning.reconciliation_inventory (
  run_id uuid not null references provisioning.reconciliation_runs on delete cascade,
  resource_kind text not null,
  resource_id text not null,
  -- The organization that its name or metadata carries; null for one that only a row of ours names.
  organization_id uuid,
  created_at timestamptz not null,
  primary key (run_id, resource_kind, resource_id)
);
comment on table provisioning.reconciliation_inventory is 'What an open run has read so far of the lists, as far as it is ours.';

create table provisioning.reconciliation_findings (
  id uuid primary key default gen_random_uuid(),
  resource_kind text not null,
  kind text not null,
  resource_id text not null,
  -- No foreign key: a stranger is one whose organization is gone.
  organization_id uuid not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  resolved_at timestamptz,
  deleted_at timestamptz,
  -- Somebody has named it by its id, to be deleted.
  ordered_at timestamptz,
  constraint finding_kind_is_known check (kind in ('duplicate', 'stranger', 'missing', 'deletions_stopped')),
  constraint last_seen_at_is_not_before_first_seen_at check (last_seen_at >= first_seen_at),
  constraint deleted_findings_are_resolved check (deleted_at is null or resolved_at is not null)
);
comment on table provisioning.reconciliation_findings is
  'duplicate: one more resource than an organization needs. stranger: a resource whose organization has no row any more.
missing: an active resource of a ready tenant that the provider does not know. One open finding for each.
deletions_stopped: a run had more to delete than it may; of no organization, and its resource_id is that of the run.';
create unique index reconciliation_findings_open_key on provisioning.reconciliation_findings (resource_kind, kind, resource_id)
  where resolved_at is null;
create index reconciliation_findings_last_seen_at_idx on provisioning.reconciliation_findings (last_seen_at);

alter table provisioning.reconciliation_runs enable row level security;
revoke all on provisioning.reconciliation_runs from anon, authenticated, service_role;
alter table provisioning.reconciliation_lists enable row level security;
revoke all on provisioning.reconciliation_lists from anon, authenticated, service_role;
alter table provisioning.reconciliation_inventory enable row level security;
revoke all on provisioning.reconciliation_inventory from anon, authenticated, service_role;
alter table provisioning.reconciliation_findings enable row level security;
revoke all on provisioning.reconciliation_findings from anon, authenticated, service_role;

-- A run, from its start to its last page ----------------------------------------------------------------------------

create function provisioning.close_reconciliation(p_run_id uuid, p_status text, p_error text default null) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.reconciliation_runs r set status = p_status, finished_at = clock_timestamp(),
    error = coalesce(p_error, r.error)
  where r.id = p_run_id and r.status = 'running';
  delete from provisioning.reconciliation_inventory i where i.run_id = p_run_id;
end
$$;
revoke execute on function provisioning.close_reconciliation(uuid, text, text) from public, anon, authenticated, service_role;

create function provisioning.start_reconciliation(p_dry_run boolean default false, p_ring boolean default true) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_run_id uuid;
begin
  perform provisioning.close_reconciliation(r.id, 'failed', 'The run was abandoned: it made no progress for an hour.')
  from provisioning.reconciliation_runs r where r.status = 'running' and r.progressed_at < now() - interval '1 hour';
  loop
    insert into provisioning.reconciliation_runs (dry_run) values (p_dry_run)
    on conflict (status) where status = 'running' do nothing returning id into v_run_id;
    if v_run_id is not null then
      insert into provisioning.reconciliation_lists (run_id, resource_kind)
      select v_run_id, k.kind from provisioning.resource_kinds k
      -- A service that no tenant has may have no key.
      where not exists (select from public.provisioning_jobs)
        or exists (select from public.tenant_resources r where r.service = k.service and r.kind = k.kind)
        or exists (
          select from provisioning.tiers t where k.service = any (t.services)
            and exists (select from public.provisioning_jobs j where j.tier = t.tier));
      exit;
    end if;
    select r.id into v_run_id from provisioning.reconciliation_runs r where r.status = 'running';
    -- Without one, the run that was in the way has just ended: again.
    exit when v_run_id is not null;
  end loop;
  if p_ring then
    perform provisioning.ring_doorbell('reconciliation');
  end if;
  return v_run_id;
end
$$;
revoke execute on function provisioning.start_reconciliation(boolean, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.start_reconciliation(boolean, boolean) is
  'Starts a run, or goes on with the open one, and returns its id; rings for it unless the caller does the work itself. Deletes
only when settings.reconcile_delete says so and p_dry_run does not forbid it. A run without progress for an hour is closed as
failed first.';

create function provisioning.resume_reconciliation() returns boolean
language sql volatile security definer set search_path = '' as $$
  select provisioning.ring_doorbell('reconciliation') from provisioning.reconciliation_runs r
  where r.status = 'running' and r.progressed_at < now() - interval '2 minutes'
$$;
revoke execute on function provisioning.resume_reconciliation() from public, anon, authenticated, service_role;
comment on function provisioning.resume_reconciliation() is
  'Rings again for an open run that has fallen silent, because its doorbell or its worker was lost; null when there is none.';

create function provisioning.save_inventory_page(
  p_run_id uuid, p_resource_kind text, p_cursor text, p_next_cursor text, p_gap text, p_resources jsonb
) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.reconciliation_lists l set cursor = p_next_cursor, ended = p_next_cursor is null, pages = l.pages + 1,
    resources = l.resources + jsonb_array_length(p_resources), gap = coalesce(l.gap, p_gap)
  from provisioning.reconciliation_runs r
  where l.run_id = p_run_id and l.resource_kind = p_resource_kind and not l.ended and l.cursor is not distinct from p_cursor
    and r.id = l.run_id and r.status = 'running';
  if not found then
    return false;
  end if;
  insert into provisioning.reconciliation_inventory (run_id, resource_kind, resource_id, organization_id, created_at)
  select p_run_id, p_resource_kind, page.resource_id, page.organization_id, page.created_at
  from jsonb_to_recordset(p_resources) as page (resource_id text, organization_id uuid, created_at timestamptz)
  where page.organization_id is not null
    or exists (
      select from public.tenant_resources t
      where t.kind = p_resource_kind and t.external_id = page.resource_id and t.state = 'active')
  on conflict do nothing;
  update provisioning.reconciliation_runs r set progressed_at = clock_timestamp() where r.id = p_run_id;
  return true;
end
$$;
revoke execute on function provisioning.save_inventory_page(uuid, text, text, text, text, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.save_inventory_page(uuid, text, text, text, text, jsonb) is
  'Keeps what of a page ([{resource_id, organization_id, created_at}]) is ours, and where the next one begins; null is the end.
Returns false and keeps nothing when the list does not stand at p_cursor: another worker reads it.';

create function provisioning.end_list(p_run_id uuid, p_resource_kind text, p_gap text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.reconciliation_lists l set ended = true, gap = coalesce(l.gap, p_gap)
  where l.run_id = p_run_id and l.resource_kind = p_resource_kind and not l.ended;
  update provisioning.reconciliation_runs r set progressed_at = clock_timestamp() where r.id = p_run_id;
end
$$;
revoke execute on function provisioning.end_list(uuid, text, text) from public, anon, authenticated, service_role;
comment on function provisioning.end_list(uuid, text, text) is 'The rest of a list cannot be read; it stays incomplete.';

-- The comparison -----------------------------------------------------------------------------------------------------

create function provisioning.is_being_removed(p_organization_id uuid, p_resource_kind text, p_since timestamptz) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from public.provisioning_jobs j
    where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('remove')
      -- The list may be older than the end of the removal.
      and (j.status in ('queued', 'running') or j.finished_at >= p_since))
    -- Also when the removal has failed: the promised grace is kept.
    or exists (
      select from public.tenant_resources t
      where t.organization_id = p_organization_id and t.kind = p_resource_kind and t.state <> 'removed' and t.remove_at > now());
end
$$;
revoke execute on function provisioning.is_being_removed(uuid, text, timestamptz) from public, anon, authenticated, service_role;

create function provisioning.is_kept(p_organization_id uuid, p_resource_kind text) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from public.tenant_resources t
    where t.organization_id = p_organization_id and t.kind = p_resource_kind and t.state = 'kept');
end
$$;
revoke execute on function provisioning.is_kept(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.is_kept(uuid, text) is
  'Whether what a deleted organization had of this kind was left on purpose (resource_kinds.kept_on_deletion).';

create function provisioning.unneeded_resources(p_run_id uuid)
returns table (resource_kind text, kind text, resource_id text, organization_id uuid)
language sql stable security definer set search_path = '' as $$
  with listed as (
    select i.resource_kind, i.resource_id, coalesce(t.organization_id, i.organization_id) as organization_id,
      t.id is not null as is_recorded, i.created_at
    from provisioning.reconciliation_inventory i
    left join public.tenant_resources t on t.kind = i.resource_kind and t.external_id = i.resource_id and t.state = 'active'
    where i.run_id = p_run_id
  ), ranked as (
    select l.*, row_number() over (
      partition by l.resource_kind, l.organization_id order by l.is_recorded desc, l.created_at, l.resource_id) as place
    from listed l where l.organization_id is not null
  )
  select r.resource_kind, case when o.id is null then 'stranger' else 'duplicate' end, r.resource_id, r.organization_id
  from ranked r join provisioning.resource_kinds k on k.kind = r.resource_kind
  left join public.organizations o on o.id = r.organization_id
  where not (r.is_recorded and o.id is not null)
    and case
      when k.lasts_hours is not null then r.created_at < now() - make_interval(hours => k.lasts_hours)
      when o.id is not null then r.place > 1
      else not provisioning.is_being_removed(r.organization_id, r.resource_kind, (
          select run.started_at from provisioning.reconciliation_runs run where run.id = p_run_id))
        and not provisioning.is_kept(r.organization_id, r.resource_kind) end
$$;
revoke execute on function provisioning.unneeded_resources(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.unneeded_resources(uuid) is
  'Duplicates and strangers in a run''s inventory, as the rows stand now. What a living organization has recorded is never one;
of an organization''s resources the recorded one is kept, else the oldest. Of what is made for a while it is what is older than
that.';

create function provisioning.missing_resources(p_run_id uuid)
returns table (resource_kind text, kind text, resource_id text, organization_id uuid)
language sql stable security definer set search_path = '' as $$
  select t.kind, 'missing', t.external_id, t.organization_id
  from provisioning.reconciliation_runs run
  join provisioning.reconciliation_lists l on l.run_id = run.id and l.ended and l.gap is null
  join public.tenant_resources t on t.kind = l.resource_kind and t.state = 'active'
  -- What a deleted one had is for its removal, to which all that is gone is fine.
  join public.organizations o on o.id = t.organization_id
  where run.id = p_run_id
    and not exists (
      select from provisioning.reconciliation_inventory i
      where i.run_id = run.id and i.resource_kind = t.kind and i.resource_id = t.external_id)
    and (
      exists (
        select from provisioning.reconciliation_findings f
        where f.resource_kind = t.kind and f.kind = 'missing' and f.resource_id = t.external_id and f.resolved_at is null)
      -- Ready, and since before the run: what was made meanwhile may have been too late for its page.
      or (
        select j.status = 'succeeded' and j.finished_at < run.started_at from public.provisioning_jobs j
        where j.organization_id = t.organization_id and j.kind = provisioning.kind_for('provision')
        order by j.created_at desc limit 1))
$$;
revoke execute on function provisioning.missing_resources(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.missing_resources(uuid) is
  'What ready tenants have recorded and a complete list of the run does not hold. A finding stays until that changes.';

create function provisioning.refresh_finding_alert(p_organization_id uuid, p_resource_kind text, p_kind text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_alert text := p_resource_kind || '_' || p_kind;
  v_label text := (select k.label from provisioning.resource_kinds k where k.kind = p_resource_kind);
  v_ids text[] := array(
    select f.resource_id from provisioning.reconciliation_findings f
    where f.organization_id = p_organization_id and f.resource_kind = p_resource_kind and f.kind = p_kind
      and f.resolved_at is null
    order by f.first_seen_at, f.resource_id);
begin
  if v_ids = '{}' then
    perform provisioning.resolve_alert(p_organization_id, v_alert);
  elsif p_kind = 'missing' then
    perform provisioning.open_alert(p_organization_id, v_alert, 'critical',
      format('The %s %s is gone.', v_label, v_ids[1]), jsonb_build_object('resource_ids', v_ids));
  else
    perform provisioning.open_alert(p_organization_id, v_alert, 'warning',
      format('There is more than one %s; not in use: %s.', v_label, array_to_string(v_ids, ', ')),
      jsonb_build_object('resource_ids', v_ids));
  end if;
end
$$;
revoke execute on function provisioning.refresh_finding_alert(uuid, text, text) from public, anon, authenticated, service_role;
comment on function provisioning.refresh_finding_alert(uuid, text, text) is
  'Opens, updates or resolves the alert of a kind of resource, …_missing or …_duplicate, after the open findings.';

create function provisioning.compare_inventory(p_run_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_run provisioning.reconciliation_runs;
  v_now timestamptz := clock_timestamp();
begin
  select * into v_run from provisioning.reconciliation_runs r where r.id = p_run_id for update;
  if v_run.status is distinct from 'running' or v_run.compared_at is not null or exists (
    select from provisioning.reconciliation_lists l where l.run_id = p_run_id and not l.ended) then
    return false;
  end if;
  -- A run with many pages has filled the table since anything last counted it, and the plans depend on its size.
  analyze provisioning.reconciliation_inventory;
  insert into provisioning.reconciliation_findings as f
    (resource_kind, kind, resource_id, organization_id, first_seen_at, last_seen_at)
  select found.resource_kind, found.kind, found.resource_id, found.organization_id, v_now, v_now
  from (
    select * from provisioning.unneeded_resources(p_run_id)
    union all
    select * from provisioning.missing_resources(p_run_id)) found
  on conflict (resource_kind, kind, resource_id) where resolved_at is null
  do update set last_seen_at = excluded.last_seen_at, organization_id = excluded.organization_id;
  update provisioning.reconciliation_findings f set resolved_at = v_now
  from provisioning.reconciliation_lists l
  where f.resolved_at is null and f.last_seen_at < v_now
    and l.run_id = p_run_id and l.resource_kind = f.resource_kind and l.gap is null;
  perform provisioning.refresh_finding_alert(changed.organization_id, changed.resource_kind, changed.kind)
  from (
    select distinct f.organization_id, f.resource_kind, f.kind from provisioning.reconciliation_findings f
    where f.kind in ('duplicate', 'missing') and (f.last_seen_at = v_now or f.resolved_at = v_now)) changed;
  update provisioning.reconciliation_runs r set compared_at = v_now, progressed_at = v_now,
    complete = not exists (select from provisioning.reconciliation_lists l where l.run_id = p_run_id and l.gap is not null)
  where r.id = p_run_id;
  return true;
end
$$;
revoke execute on function provisioning.compare_inventory(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.compare_inventory(uuid) is
  'Compares a run whose lists are at their end with the rows, once: writes, renews and resolves findings and their alerts. A
list with a gap proves nothing absent: nothing of its kind is missing or resolved then. False when it is not the time.';

-- Deletion -----------------------------------------------------------------------------------------------------------

create function provisioning.reconciliation_allowance() returns integer
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select least(s.reconcile_delete_cap,
      greatest(1, floor((select count(*) from public.organizations) * s.reconcile_delete_percent / 100)))
    from provisioning.settings s);
end
$$;
revoke execute on function provisioning.reconciliation_allowance() from public, anon, authenticated, service_role;
comment on function provisioning.reconciliation_allowance() is
  'How many resources a run may delete that nobody has ordered to be deleted: reconcile_delete_percent of all organizations, at
least one, at most reconcile_delete_cap. Something is wrong where there are more.';

create function provisioning.due_findings(p_run_id uuid) returns setof provisioning.reconciliation_findings
language sql stable security definer set search_path = '' as $$
  select f.*
  from provisioning.reconciliation_runs run
  cross join provisioning.settings s
  join provisioning.reconciliation_findings f on f.last_seen_at = run.compared_at
  join provisioning.reconciliation_lists l on l.run_id = run.id and l.resource_kind = f.resource_kind and l.gap is null
  join provisioning.unneeded_resources(run.id) unneeded
    on unneeded.resource_kind = f.resource_kind and unneeded.kind = f.kind and unneeded.resource_id = f.resource_id
  where run.id = p_run_id and run.status = 'running' and not run.dry_run and f.resolved_at is null
    and (
      f.ordered_at is not null
      or s.reconcile_delete and f.first_seen_at <= now() - make_interval(hours => s.reconcile_grace_hours)
        -- What no row knows may be a tenant of ours all the same: after the database was restored, all that was made since.
        and exists (
          select from public.tenant_resources t
          where t.kind = f.resource_kind and t.external_id = f.resource_id and t.state = 'removed'
          union all
          -- Such a thing is nobody's data.
          select from provisioning.resource_kinds k where k.kind = f.resource_kind and k.lasts_hours is not null))
    and not exists (
      select from public.provisioning_jobs j
      where j.organization_id = f.organization_id and j.kind = provisioning.kind_for('provision')
        and j.status in ('queued', 'running'))
$$;
revoke execute on function provisioning.due_findings(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.due_findings(uuid) is
  'Duplicates and strangers that the run has seen again, in a complete list, and that are to go: because somebody has ordered it
by id, or because settings.reconcile_delete is on, a row of ours says that they were removed, and they have been known for
settings.reconcile_grace_hours. What no row of ours names never goes without an order.';

create function provisioning.deletable_findings(p_run_id uuid) returns setof provisioning.reconciliation_findings
language sql stable security definer set search_path = '' as $$
  select f.* from provisioning.due_findings(p_run_id) f
  -- In a query of its own the allowance, which counts all organizations, is found out once and not for each finding.
  where f.ordered_at is not null or (select provisioning.reconciliation_allowance()) > (
    select run.deletions from provisioning.reconciliation_runs run where run.id = p_run_id)
  order by f.ordered_at, f.first_seen_at, f.id
$$;
revoke execute on function provisioning.deletable_findings(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.deletable_findings(uuid) is
  'What the run may delete, as settings and rows stand now: what was ordered first, and of the rest nothing when the run has
deleted as many as reconciliation_allowance lets it.';

create function provisioning.order_deletion(p_resource_kind text, p_resource_id text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_finding provisioning.reconciliation_findings;
begin
  update provisioning.reconciliation_findings f set ordered_at = clock_timestamp()
  where f.resource_kind = p_resource_kind and f.resource_id = p_resource_id and f.resolved_at is null
    and f.kind in ('duplicate', 'stranger')
  returning * into v_finding;
  if v_finding.id is null then
    raise exception 'There is no open finding of a stranger or duplicate % with the id %.', p_resource_kind, p_resource_id
      using errcode = 'TP404';
  end if;
  perform provisioning.audit(v_finding.organization_id, 'reconciliation.deletion_ordered',
    v_finding.resource_kind, v_finding.resource_id, jsonb_build_object('kind', v_finding.kind));
  return v_finding.id;
end
$$;
revoke execute on function provisioning.order_deletion(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.order_deletion(text, text) is
  'For an operator, in SQL: the next run that is no dry run deletes this stranger or duplicate, whatever the settings say, if it
is still one. The only way in which something goes that no row of ours names. Audited. Raises TP404 when no finding names it.';

create function provisioning.begin_deletion(p_run_id uuid, p_finding_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_finding provisioning.reconciliation_findings;
begin
  -- Taken by one worker at a time, so that the cap holds.
  perform from provisioning.reconciliation_runs r where r.id = p_run_id for update;
  select * into v_finding from provisioning.deletable_findings(p_run_id) f where f.id = p_finding_id;
  if v_finding.id is null then
    return false;
  end if;
  update provisioning.reconciliation_runs r set progressed_at = clock_timestamp(),
    deletions = r.deletions + (v_finding.ordered_at is null)::integer
  where r.id = p_run_id;
  -- Before the call: whatever becomes of it, the trail has it.
  perform provisioning.audit(v_finding.organization_id, 'reconciliation.deletion_started',
    v_finding.resource_kind, v_finding.resource_id,
    jsonb_build_object('run_id', p_run_id, 'kind', v_finding.kind, 'first_seen_at', v_finding.first_seen_at));
  return true;
end
$$;
revoke execute on function provisioning.begin_deletion(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.begin_deletion(uuid, uuid) is
  'Asked right before a resource is deleted: checks everything once more, counts it and audits it. False forbids the deletion.';

create function provisioning.complete_deletion(p_run_id uuid, p_finding_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_finding provisioning.reconciliation_findings;
begin
  update provisioning.reconciliation_findings f set deleted_at = clock_timestamp(), resolved_at = clock_timestamp()
  where f.id = p_finding_id and f.deleted_at is null returning * into v_finding;
  if v_finding.id is null then
    return;
  end if;
  perform provisioning.audit(v_finding.organization_id, 'reconciliation.deleted',
    v_finding.resource_kind, v_finding.resource_id,
    jsonb_build_object('run_id', p_run_id, 'kind', v_finding.kind, 'first_seen_at', v_finding.first_seen_at));
  -- Of a deleted organization, whose removal has failed.
  update public.tenant_resources t set state = 'removed', removed_at = clock_timestamp(), details = t.details - 'request',
    remove_at = null
  where t.kind = v_finding.resource_kind and t.external_id = v_finding.resource_id and t.state = 'active';
  if v_finding.kind = 'duplicate' then
    perform provisioning.refresh_finding_alert(v_finding.organization_id, v_finding.resource_kind, v_finding.kind);
  end if;
end
$$;
revoke execute on function provisioning.complete_deletion(uuid, uuid) from public, anon, authenticated, service_role;

create function provisioning.report_stopped_deletions(p_run_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_left integer;
begin
  select count(*) into v_left from provisioning.due_findings(p_run_id) f where f.ordered_at is null;
  if v_left = 0 or exists (
    select from provisioning.reconciliation_runs r
    where r.id = p_run_id and r.deletions < provisioning.reconciliation_allowance()) then
    return null;
  end if;
  insert into provisioning.reconciliation_findings as f
    (resource_kind, kind, resource_id, organization_id, first_seen_at, last_seen_at)
  select distinct due.resource_kind, 'deletions_stopped', p_run_id::text, '00000000-0000-0000-0000-000000000000'::uuid,
    r.compared_at, r.compared_at
  from provisioning.due_findings(p_run_id) due join provisioning.reconciliation_runs r on r.id = p_run_id
  where due.ordered_at is null
  on conflict (resource_kind, kind, resource_id) where resolved_at is null do nothing;
  return format('The run has stopped: %s more would have gone, and a run may delete %s.', v_left,
    provisioning.reconciliation_allowance());
end
$$;
revoke execute on function provisioning.report_stopped_deletions(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.report_stopped_deletions(uuid) is
  'When a run had more to delete than it may: writes a finding for each kind of resource that is left, which the next comparison
resolves, and returns the sentence; else null.';

create function provisioning.finish_reconciliation(p_run_id uuid, p_error text default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_stopped text := provisioning.report_stopped_deletions(p_run_id);
begin
  update provisioning.reconciliation_runs r set counts = (
    select jsonb_object_agg(l.resource_kind, jsonb_build_object(
      'resources', l.resources,
      'duplicate', (select count(*) from provisioning.reconciliation_findings f
        where f.resource_kind = l.resource_kind and f.kind = 'duplicate' and f.last_seen_at = r.compared_at),
      'stranger', (select count(*) from provisioning.reconciliation_findings f
        where f.resource_kind = l.resource_kind and f.kind = 'stranger' and f.last_seen_at = r.compared_at),
      'missing', (select count(*) from provisioning.reconciliation_findings f
        where f.resource_kind = l.resource_kind and f.kind = 'missing' and f.last_seen_at = r.compared_at),
      'resolved', (select count(*) from provisioning.reconciliation_findings f
        where f.resource_kind = l.resource_kind and f.resolved_at = r.compared_at),
      'deleted', (select count(*) from provisioning.reconciliation_findings f
        where f.resource_kind = l.resource_kind and f.last_seen_at = r.compared_at and f.deleted_at is not null)))
    from provisioning.reconciliation_lists l where l.run_id = r.id)
  where r.id = p_run_id and r.status = 'running' and r.compared_at is not null;
  if found then
    perform provisioning.close_reconciliation(p_run_id, 'finished', nullif(concat_ws(' ', p_error, v_stopped), ''));
  end if;
end
$$;
revoke execute on function provisioning.finish_reconciliation(uuid, text) from public, anon, authenticated, service_role;

create function provisioning.reconciliation_report(p_run_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_build_object(
      'runId', r.id, 'status', r.status, 'dryRun', r.dry_run, 'complete', r.complete, 'counts', r.counts, 'error', r.error,
      'startedAt', r.started_at, 'finishedAt', r.finished_at,
      'gaps', (select coalesce(jsonb_object_agg(l.resource_kind, l.gap) filter (where l.gap is not null), '{}')
        from provisioning.reconciliation_lists l where l.run_id = r.id),
      'findings', coalesce((
        select jsonb_agg(jsonb_build_object(
          'resourceKind', f.resource_kind, 'kind', f.kind, 'resourceId', f.resource_id, 'organizationId', f.organization_id,
          'firstSeenAt', f.first_seen_at, 'deletedAt', f.deleted_at) order by f.first_seen_at, f.id)
        from (
          select * from provisioning.reconciliation_findings found where found.last_seen_at = r.compared_at
          order by found.first_seen_at, found.id limit 500) f), '[]'))
    from provisioning.reconciliation_runs r where r.id = p_run_id);
end
$$;
revoke execute on function provisioning.reconciliation_report(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.reconciliation_report(uuid) is
  'A run with what it found, up to 500 findings; counts has them all. Null when there is no such run.';

select cron.schedule('tenant-provisioning-reconcile', '43 4 * * *', 'select provisioning.start_reconciliation()');
select cron.schedule('tenant-provisioning-reconcile-resume', '*/10 * * * *', 'select provisioning.resume_reconciliation()');
