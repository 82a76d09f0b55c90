-- Services that keep an organization's name or billing address hear of changes: the sweep makes a job of the kind that follows.

create table provisioning.changed_details (
  id bigint generated always as identity primary key,
  -- No foreign key: whoever deletes the organization would wait for the sweep, which may wait for its jobs.
  organization_id uuid not null
);
comment on table provisioning.changed_details is
  'Organizations whose name or billing address has changed, a row for each change, until the sweep has made a job of it. Whoever
changes them holds the organization''s row, and must not wait for its jobs, whose workers may wait for that row.';
create index changed_details_organization_id_idx on provisioning.changed_details (organization_id);
alter table provisioning.changed_details enable row level security;
revoke all on provisioning.changed_details from anon, authenticated, service_role;
revoke all on sequence provisioning.changed_details_id_seq from anon, authenticated, service_role;

create function provisioning.note_changed_details() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (old.name, old.billing_email) is distinct from (new.name, new.billing_email) then
    insert into provisioning.changed_details (organization_id) values (new.id);
  end if;
  return null;
end
$$;
revoke execute on function provisioning.note_changed_details() from public, anon, authenticated, service_role;
create trigger organizations_note_changed_details after update of name, billing_email, owner_id on public.organizations
  for each row execute function provisioning.note_changed_details();

create function provisioning.enqueue_update(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_kind constant text := provisioning.kind_for('follow');
  v_services text[];
  v_job_id uuid;
  v_status text;
begin
  -- What changes after this statement is a row of its own, and another update.
  delete from provisioning.changed_details c where c.organization_id = p_organization_id;
  v_services := array(
    select distinct d.service from provisioning.step_definitions d
    where d.kind = v_kind and d.tier = provisioning.tier_of(p_organization_id));
  if v_services = '{}' or not exists (select from public.organizations o where o.id = p_organization_id)
    -- Who has not been begun with gets everything as it is then.
    or not exists (
      select from public.provisioning_jobs j where j.organization_id = p_organization_id and j.started_at is not null) then
    return null;
  end if;
  loop
    v_job_id := provisioning.enqueue(p_organization_id, v_kind);
    v_status := (select j.status from public.provisioning_jobs j where j.id = v_job_id);
    -- One that has ended since has not seen the change.
    exit when v_status in ('queued', 'running');
  end loop;
  -- One that is at work may have read what stood there before.
  if v_status = 'running' then
    perform provisioning.retry_job(v_job_id, v_services);
  end if;
  return v_job_id;
end
$$;
revoke execute on function provisioning.enqueue_update(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_update(uuid) is
  'Makes one job of all changes of an organization''s name and billing address that are known, or has the one that is at work look
again; returns it. Null when nobody has to be told.';

create function provisioning.enqueue_updates(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_organization_id uuid;
  v_enqueued integer := 0;
begin
  for v_organization_id in
    select distinct c.organization_id from (
      select d.organization_id from provisioning.changed_details d order by d.id limit p_limit) c
  loop
    begin
      v_enqueued := v_enqueued + (provisioning.enqueue_update(v_organization_id) is not null)::integer;
    exception when others then
      raise warning 'the update of organization % has to wait: %', v_organization_id, sqlerrm;
    end;
  end loop;
  return v_enqueued;
end
$$;
revoke execute on function provisioning.enqueue_updates(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_updates(integer) is
  'For the sweep: makes jobs of the oldest p_limit changes of names and billing addresses, and returns how many.';
