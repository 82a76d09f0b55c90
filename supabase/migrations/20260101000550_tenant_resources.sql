-- What a tenant has outside of this database, as rows of one shape: so that listing, undo and reconciliation work for every
-- service. The columns that applications know (organizations.stripe_customer_id, organization_databases.neon_project_id …) stay
-- beside it, and are written by the same functions.

create table provisioning.resource_kinds (
  kind text primary key,
  service text not null references provisioning.services,
  -- What people call one of them.
  label text not null,
  -- It stands in the organization's data region. From the request that makes one, the region is fixed.
  is_regional boolean not null default false,
  -- What becomes of it when its organization is deleted: it is kept for ever, or removed when so many hours have passed.
  kept_on_deletion boolean not null default false,
  grace_hours integer not null default 0,
  -- Of what is made for a while: older than that it is left over from something interrupted. No row says who has one.
  lasts_hours integer,
  constraint grace_is_not_negative check (grace_hours >= 0),
  constraint lasting_is_positive check (lasts_hours > 0),
  constraint resource_kinds_service_kind_key unique (service, kind)
);
comment on table provisioning.resource_kinds is
  'What services make for tenants, and what becomes of it when an organization is deleted. Tune it with update.';
alter table provisioning.resource_kinds enable row level security;
revoke all on provisioning.resource_kinds from anon, authenticated, service_role;

create domain provisioning_types.resource_state as text
  constraint resource_state_is_known check (value in ('planned', 'active', 'kept', 'removed'));

create table public.tenant_resources (
  id uuid primary key default provisioning.uuid_v7(),
  -- No foreign key: what exists outside outlives the organization.
  organization_id uuid not null,
  service text not null,
  kind text not null,
  -- By which it is found at the provider, from the first attempt on and before the provider has an id for it.
  name text not null,
  external_id text,
  url text,
  -- More about it, such as places and sizes. Under "request", while the answer to a request that makes it is open, what was sent;
  -- this may name people, and goes when it is removed or kept. Never a secret.
  details jsonb not null default '{}',
  -- planned: it may exist, because a request that makes it was sent. active: it exists. kept: its organization is deleted, and
  -- it was left on purpose. removed: it is gone.
  state provisioning_types.resource_state not null default 'planned',
  -- How many requests that make it were begun while it was not known to exist.
  requests integer not null default 0,
  -- When it may be removed; null as long as it is wanted.
  remove_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  removed_at timestamptz,
  constraint resource_kind_exists foreign key (service, kind) references provisioning.resource_kinds (service, kind),
  constraint active_resources_have_an_id check (state <> 'active' or external_id is not null),
  constraint only_removed_resources_have_an_end check ((state = 'removed') = (removed_at is not null))
);
comment on table public.tenant_resources is
  'What each organization has outside, one row for each thing that was ever made. At most one of a kind is planned or active.';
create unique index tenant_resources_current_key on public.tenant_resources (organization_id, kind)
  where state in ('planned', 'active');
create index tenant_resources_organization_id_idx on public.tenant_resources (organization_id, created_at);
create unique index tenant_resources_external_id_key on public.tenant_resources (kind, external_id) where state = 'active';
create index tenant_resources_service_kind_idx on public.tenant_resources (service, kind);
create trigger tenant_resources_touch before update on public.tenant_resources
  for each row execute function provisioning.touch_updated_at();

alter table public.tenant_resources enable row level security;
revoke all on public.tenant_resources from anon, authenticated, service_role;
grant select on public.tenant_resources to authenticated, service_role;
create policy "owners and admins read their organization's resources" on public.tenant_resources for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids('{owner,admin}'))));

-- What steps write. plan_resource and unplan_resource are called by themselves, the others by a service's own functions, in the
-- statement that completes the step.

create function provisioning.plan_resource(
  p_job_id uuid, p_lease_token uuid, p_kind text, p_name text, p_details jsonb default '{}'
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  insert into public.tenant_resources as r (organization_id, service, kind, name, details, requests)
  select v_job.organization_id, k.service, k.kind, p_name, p_details, 1 from provisioning.resource_kinds k where k.kind = p_kind
  on conflict (organization_id, kind) where state in ('planned', 'active')
  do update set details = r.details || excluded.details, requests = r.requests + 1;
  if not found then
    raise exception 'there is no kind of resource "%"', p_kind using errcode = 'TP422';
  end if;
  perform provisioning.extend_lease(p_job_id, p_lease_token);
end
$$;
revoke execute on function provisioning.plan_resource(uuid, uuid, text, text, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.plan_resource(uuid, uuid, text, text, jsonb) is
  'Called right before a request that makes something: from here on it may exist. The name stays that of the first request;
details are added. Renews the lease. Raises TP001 when another worker has the job.';

create function provisioning.unplan_resource(p_job_id uuid, p_lease_token uuid, p_kind text, p_details jsonb default '{}')
returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update public.tenant_resources r set requests = greatest(r.requests - 1, 0), details = jsonb_strip_nulls(r.details || p_details)
  where r.organization_id = v_job.organization_id and r.kind = p_kind and r.state in ('planned', 'active');
  -- Of a request before this one nobody knows what became of it.
  delete from public.tenant_resources r
  where r.organization_id = v_job.organization_id and r.kind = p_kind and r.state = 'planned' and r.requests = 0;
end
$$;
revoke execute on function provisioning.unplan_resource(uuid, uuid, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.unplan_resource(uuid, uuid, text, jsonb) is
  'The provider has refused the request that was planned last, so that it made nothing for certain. The plan stays when an earlier
request may have made something. Of p_details, null removes a key.';

create function provisioning.record_resource(
  p_organization_id uuid, p_kind text, p_name text, p_external_id text, p_url text default null, p_details jsonb default '{}'
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.tenant_resources as r (organization_id, service, kind, name, external_id, url, details, state)
  select p_organization_id, k.service, k.kind, p_name, p_external_id, p_url, p_details, 'active'
  from provisioning.resource_kinds k where k.kind = p_kind
  on conflict (organization_id, kind) where state in ('planned', 'active')
  do update set external_id = excluded.external_id, url = excluded.url, details = excluded.details, state = 'active',
    requests = 0,
    remove_at = null
  where (r.external_id, r.url, r.details, r.state, r.requests, r.remove_at)
    is distinct from (excluded.external_id, excluded.url, excluded.details, 'active'::text, 0, null::timestamptz);
end
$$;
revoke execute on function provisioning.record_resource(uuid, text, text, text, text, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_resource(uuid, text, text, text, text, jsonb) is
  'It exists, with this id. What was planned is active now; what had another id before is replaced by it. For the functions of
services, which hold the lease.';

create function provisioning.forget_resource(p_organization_id uuid, p_kind text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_resources r set state = 'removed', removed_at = clock_timestamp(), details = r.details - 'request',
    remove_at = null
  where r.organization_id = p_organization_id and r.kind = p_kind and r.state in ('planned', 'active');
end
$$;
revoke execute on function provisioning.forget_resource(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.forget_resource(uuid, text) is
  'It is gone. For the functions of services, which hold the lease.';

create function provisioning.release_resources(p_organization_id uuid, p_with_grace boolean, p_services text[] default null)
returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.tenant_resources r set
    state = case when p_with_grace and k.kept_on_deletion then 'kept' else r.state end,
    -- What was sent in a request that is still open is needed to find what it made, and goes when that is removed.
    details = case when p_with_grace and k.kept_on_deletion then r.details - 'request' else r.details end,
    remove_at = case
      when not p_with_grace then now()
      when not k.kept_on_deletion then now() + make_interval(hours => k.grace_hours) end
  from provisioning.resource_kinds k
  where r.organization_id = p_organization_id and r.state in ('planned', 'active') and k.kind = r.kind
    and (p_services is null or r.service = any (p_services));
end
$$;
revoke execute on function provisioning.release_resources(uuid, boolean, text[])
  from public, anon, authenticated, service_role;
comment on function provisioning.release_resources(uuid, boolean, text[]) is
  'Nobody wants an organization''s resources any more, or those of these services: each may be removed at once or, when the
organization is deleted or has left them (p_with_grace), as its kind says: after its hours of grace, or never.';

-- What steps read.

create function provisioning.tenant(p_organization_id uuid, p_which_database text default 'current') returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization public.organizations;
  v_database public.organization_databases;
begin
  select * into v_organization from public.organizations o where o.id = p_organization_id;
  select * into v_database from public.organization_databases d where d.organization_id = p_organization_id;
  return jsonb_build_object(
    'organizationId', p_organization_id,
    'organization', case when v_organization.id is not null then to_jsonb(v_organization) end,
    'database', case when p_which_database <> 'current' then provisioning.moving_database(p_organization_id, p_which_database)
      when v_database.organization_id is not null then to_jsonb(v_database) end,
    'size', (select to_jsonb(z) from provisioning.database_sizes z where z.size = v_database.size),
    'plan', (select to_jsonb(p) from provisioning.plans p where p.plan = v_organization.plan),
    'resources', (
      select coalesce(jsonb_object_agg(r.kind, to_jsonb(r) order by r.created_at), '{}') from public.tenant_resources r
      where r.organization_id = p_organization_id and r.state <> 'removed'));
end
$$;
revoke execute on function provisioning.tenant(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.tenant(uuid, text) is
  'The rows that steps may need of an organization, as they are: organization and database (null when they are gone; which one is
said as in job_kinds.which_database), size, plan, and what it has outside by kind. No secrets. Each service takes what it needs.';
