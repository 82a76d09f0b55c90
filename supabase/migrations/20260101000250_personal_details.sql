-- What names a person, beside the rows that are kept for long. Append-only rows hold ids and acts; the names and addresses that
-- belong to them stand here, and go when the person goes.

create table provisioning.personal_details (
  -- The row that the details belong to: an entry of the audit log, or a job.
  row_id uuid not null,
  person_id uuid not null,
  organization_id uuid not null,
  details provisioning_types.kept_details not null,
  primary key (row_id, person_id)
);
comment on table provisioning.personal_details is
  'Names and addresses that belong to a row of the audit log or to a job, by the person whose they are. Removing that person
removes them; the row itself stays.';
create index personal_details_person_id_idx on provisioning.personal_details (person_id);
create index personal_details_organization_id_idx on provisioning.personal_details (organization_id);
-- A deleted organization is looked up by its slug.
create index personal_details_slug_idx on provisioning.personal_details ((details ->> 'slug')) where details ? 'slug';
alter table provisioning.personal_details enable row level security;
revoke all on provisioning.personal_details from anon, authenticated, service_role;

create function provisioning.keep_personal_details(
  p_row_id uuid, p_organization_id uuid, p_person_id uuid, p_details jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.personal_details as d (row_id, person_id, organization_id, details)
  select p_row_id, u.id, p_organization_id, jsonb_strip_nulls(p_details) from auth.users u
  where u.id = p_person_id and u.deleted_at is null and jsonb_strip_nulls(p_details) not in ('{}', 'null')
  on conflict (row_id, person_id) do update set details = d.details || excluded.details;
end
$$;
revoke execute on function provisioning.keep_personal_details(uuid, uuid, uuid, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.keep_personal_details(uuid, uuid, uuid, jsonb) is
  'Keeps names and addresses that belong to a row, under the person whose they are. Nothing is kept of a person who is gone, or
is just going: some rows are written by the deletion itself.';

create function provisioning.personal_details_of(p_row_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_object_agg(detail.key, detail.value)
    from provisioning.personal_details d cross join lateral jsonb_each(d.details) detail where d.row_id = p_row_id);
end
$$;
revoke execute on function provisioning.personal_details_of(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.personal_details_of(uuid) is
  'The names and addresses that belong to a row, of all persons who are still there; null when there are none. It does not ask who
calls, and is for functions that have done so.';
