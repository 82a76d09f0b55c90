-- The members that a tenant's own database knows follow those of the organization, and nobody is woken for that: a database that
-- sleeps hears of them when a health check has found it awake.

insert into provisioning.job_kinds (kind, label, worker, lane, max_running, works_on, purpose, made_by_sweep) values
  ('copy_people', 'Copy of the members into the tenant database', 'provisioning', 'batch', 8, '{neon,database}', 'maintain',
    'enqueue_people_copies');
insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('copy_people', 'database', 'copy_people', 'neon', 1, '{}'),
  ('copy_people', 'project', 'copy_people', 'database', 1, '{}');

create table provisioning.changed_people (
  id bigint generated always as identity primary key,
  -- No foreign key, as for changed_details.
  organization_id uuid not null,
  -- The job that will copy them; null when none is made yet.
  job_id uuid,
  -- Since when the database is known to sleep; null when it may be awake.
  asleep_since timestamptz,
  -- How often copying it has failed, and when it is tried next.
  failures integer not null default 0,
  due_at timestamptz not null default now(),
  constraint failures_is_not_negative check (failures >= 0)
);
comment on table provisioning.changed_people is
  'Organizations whose members, name or plan have changed since they were copied into the tenant''s own database, a row for each
change: whoever changes them waits for nobody.';
create index changed_people_organization_id_idx on provisioning.changed_people (organization_id);
create index changed_people_job_id_idx on provisioning.changed_people (job_id) where job_id is not null;
create index changed_people_due_idx on provisioning.changed_people (due_at) where job_id is null and asleep_since is null;
alter table provisioning.changed_people enable row level security;
revoke all on provisioning.changed_people from anon, authenticated, service_role;
revoke all on sequence provisioning.changed_people_id_seq from anon, authenticated, service_role;

-- Members are noted by audit_member_change, which knows what is a change: another trigger would cost every sign-up.

create function provisioning.note_changed_people() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_table_name = 'profiles' then
    if (old.email, old.full_name, old.avatar_url) is distinct from (new.email, new.full_name, new.avatar_url) then
      insert into provisioning.changed_people (organization_id)
      select m.organization_id from public.organization_members m where m.user_id = new.id;
    end if;
  elsif (old.name, old.slug, old.plan, old.stripe_subscription_id, old.stripe_subscription_status) is distinct from
    (new.name, new.slug, new.plan, new.stripe_subscription_id, new.stripe_subscription_status) then
    insert into provisioning.changed_people (organization_id) values (new.id);
  end if;
  return null;
end
$$;
revoke execute on function provisioning.note_changed_people() from public, anon, authenticated, service_role;
comment on function provisioning.note_changed_people() is
  'Trigger: what the tenant''s own database has of a profile, or of an organization, has changed.';
create trigger profiles_note_changed_people after update of email, full_name, avatar_url on public.profiles
  for each row execute function provisioning.note_changed_people();
create trigger organizations_note_changed_people
  after update of name, slug, plan, stripe_subscription_id, stripe_subscription_status on public.organizations
  for each row execute function provisioning.note_changed_people();

create function provisioning.enqueue_people_copy(p_organization_id uuid) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_job_id uuid;
begin
  if exists (
    select from public.organization_databases d join public.organizations o on o.id = d.organization_id
    where d.organization_id = p_organization_id and d.schema_version is not null) then
    v_job_id := provisioning.enqueue(p_organization_id, 'copy_people');
    update provisioning.changed_people c set job_id = v_job_id
    where c.organization_id = p_organization_id and c.job_id is null and c.asleep_since is null;
  elsif not exists (
    select from public.provisioning_jobs j
    where j.organization_id = p_organization_id and j.status in ('queued', 'running')) then
    -- A tenant that is provisioned later gets them as they are then.
    delete from provisioning.changed_people c where c.organization_id = p_organization_id;
  end if;
  return (v_job_id is not null)::integer;
end
$$;
revoke execute on function provisioning.enqueue_people_copy(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_people_copy(uuid) is
  'Makes the job that copies an organization''s members, or has the one that is open, and returns 1; 0 when there is no database.
While it is being made, the changes wait, because they may be later than what its step has read.';

create function provisioning.enqueue_people_copies(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_organization_id uuid;
  v_enqueued integer := 0;
begin
  for v_organization_id in
    select distinct c.organization_id from (
      select n.organization_id from provisioning.changed_people n
      where n.job_id is null and n.asleep_since is null and n.due_at <= now()
      order by n.due_at limit p_limit) c
  loop
    begin
      v_enqueued := v_enqueued + provisioning.enqueue_people_copy(v_organization_id);
    exception when others then
      raise warning 'the members of organization % have to wait: %', v_organization_id, sqlerrm;
    end;
  end loop;
  return v_enqueued;
end
$$;
revoke execute on function provisioning.enqueue_people_copies(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_people_copies(integer) is
  'For the sweep: makes jobs of the p_limit changes of members that have been due longest, and returns how many.';

create function provisioning.people_to_copy(p_organization_id uuid, out up_to bigint, out people jsonb)
language plpgsql stable security definer set search_path = '' as $$
begin
  up_to := (select max(c.id) from provisioning.changed_people c where c.organization_id = p_organization_id);
  people := provisioning.tenant_people(p_organization_id);
end
$$;
revoke execute on function provisioning.people_to_copy(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.people_to_copy(uuid) is
  'What tenant_people() has, and the newest change that is in it. Null when nothing has changed, or the organization is gone.';

create function provisioning.record_copied_people(p_job_id uuid, p_lease_token uuid, p_up_to bigint) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  delete from provisioning.changed_people c where c.organization_id = v_job.organization_id and c.id <= p_up_to;
  update provisioning.changed_people c set job_id = null where c.organization_id = v_job.organization_id and c.job_id = p_job_id;
end
$$;
revoke execute on function provisioning.record_copied_people(uuid, uuid, bigint)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_copied_people(uuid, uuid, bigint) is
  'The tenant''s own database has the members as of the change p_up_to. What came later has a job made by the next sweep.';

create function provisioning.leave_people_asleep(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update provisioning.changed_people c set job_id = null, asleep_since = now()
  where c.organization_id = v_job.organization_id and c.asleep_since is null;
end
$$;
revoke execute on function provisioning.leave_people_asleep(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.leave_people_asleep(uuid, uuid) is
  'The tenant''s database sleeps; the members are copied when it is awake.';

create function provisioning.put_off_people_copy() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_failures integer;
begin
  if new.kind <> 'copy_people' or old.status = new.status or new.status not in ('failed', 'cancelled') then
    return null;
  end if;
  v_failures := 1 + coalesce(
    (select max(c.failures) from provisioning.changed_people c where c.organization_id = new.organization_id), 0);
  update provisioning.changed_people c set job_id = null, failures = v_failures,
    due_at = now() + least(interval '1 day', interval '1 minute' * power(2, least(v_failures, 12) - 1))
  where c.job_id = new.id;
  return null;
end
$$;
revoke execute on function provisioning.put_off_people_copy() from public, anon, authenticated, service_role;
comment on function provisioning.put_off_people_copy() is
  'Trigger: members that could not be copied are due again a minute later, then two, four and so on up to a day, until they are.';
create trigger provisioning_jobs_put_off_people_copy after update of status on public.provisioning_jobs
  for each row execute function provisioning.put_off_people_copy();
