-- A tenant that moves from one tier to another has two databases for a while. The one that is in use stays in
-- organization_databases, where everybody looks; what is known of the other one stands here.

create table provisioning.tenant_moves (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  job_id uuid not null,
  from_tier text not null references provisioning.tiers,
  to_tier text not null references provisioning.tiers,
  with_data boolean not null,
  leave_extra_tables boolean not null,
  -- The row of organization_databases as it will be.
  coming jsonb not null,
  -- And as it was, once the tenant has moved.
  former jsonb,
  -- While the database in use takes no connections, so that nothing changes under the last look: until when at most.
  closed_until timestamptz,
  -- How often it was closed in vain, because the last look took too long.
  closings integer not null default 0,
  moved_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table provisioning.tenant_moves is 'The newest move of an organization into another tier.';
create index tenant_moves_from_tier_idx on provisioning.tenant_moves (from_tier);
create index tenant_moves_to_tier_idx on provisioning.tenant_moves (to_tier);
create index tenant_moves_closed_until_idx on provisioning.tenant_moves (closed_until) where closed_until is not null;
alter table provisioning.tenant_moves enable row level security;
revoke all on provisioning.tenant_moves from anon, authenticated, service_role;

create table provisioning.moved_tables (
  organization_id uuid not null references provisioning.tenant_moves (organization_id) on delete cascade,
  table_name text not null,
  -- The key of the last row that was compared in this pass, as texts; null before the first.
  after_key text[],
  -- Rows that are compared at once; fewer where they are large.
  page_rows integer not null default 2000,
  -- How often the whole table was gone through, and how many rows the newest whole pass has changed.
  passes integer not null default 0,
  changed integer not null default 0,
  changed_in_pass integer not null default 0,
  -- At the end, when both databases had the same.
  rows_moved bigint,
  checksum numeric,
  primary key (organization_id, table_name),
  constraint pages_have_rows check (page_rows > 0)
);
comment on table provisioning.moved_tables is
  'How far the rows of each table are copied. A worker that takes over goes on from here; a page may be copied twice.';
alter table provisioning.moved_tables enable row level security;
revoke all on provisioning.moved_tables from anon, authenticated, service_role;

create function provisioning.moving_database(p_organization_id uuid, p_which_database text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select case p_which_database when 'coming' then m.coming || '{"is_coming": true}' when 'former' then m.former end
    from provisioning.tenant_moves m where m.organization_id = p_organization_id);
end
$$;
revoke execute on function provisioning.moving_database(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.moving_database(uuid, text) is
  'The database that an organization moves to (coming) or has left (former), in the shape of a row of organization_databases.';

create function provisioning.database_of(p_job public.provisioning_jobs) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select k.which_database from provisioning.job_kinds k where k.kind = p_job.kind);
end
$$;
revoke execute on function provisioning.database_of(public.provisioning_jobs) from public, anon, authenticated, service_role;
comment on function provisioning.database_of(public.provisioning_jobs) is 'See job_kinds.which_database.';

create function provisioning.note_coming(p_job public.provisioning_jobs, p_facts jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if provisioning.database_of(p_job) <> 'coming' then
    return false;
  end if;
  update provisioning.tenant_moves m set coming = m.coming || p_facts where m.organization_id = p_job.organization_id;
  return true;
end
$$;
revoke execute on function provisioning.note_coming(public.provisioning_jobs, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.note_coming(public.provisioning_jobs, jsonb) is
  'Notes facts, named as columns of organization_databases, of the database that an organization moves to. False when the job
works with another one, whose row its caller writes.';
