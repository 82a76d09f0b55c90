-- What the files of the tenant schema make in a database, so that a check can tell whether somebody has changed that by hand.

create table provisioning.tenant_schemas (
  -- Another host gives other rights on the schema public.
  tier text,
  schema_version integer,
  -- Of the files up to this version, together.
  files_checksum text,
  -- Another one may put the same definition in other words.
  server_major integer,
  fingerprint text not null,
  -- {"relations", "functions", "types"}, each {schema: [name]}.
  names jsonb not null,
  -- {object: definition}: what the fingerprint is of.
  objects jsonb not null,
  recorded_at timestamptz not null default now(),
  primary key (schema_version, files_checksum, server_major, tier),
  constraint fingerprint_is_a_sha256 check (fingerprint ~ '^[0-9a-f]{64}$'),
  constraint version_is_positive check (schema_version > 0)
);
comment on table provisioning.tenant_schemas is
  'The catalogue of a new database to which the files have just been applied, as far as it is of their making: read before anybody
else could have been in it. Where a check finds another one, somebody has changed it by hand.';
alter table provisioning.tenant_schemas enable row level security;
revoke all on provisioning.tenant_schemas from anon, authenticated, service_role;

create function provisioning.record_tenant_schema(
  p_tier text, p_version integer, p_files_checksum text, p_snapshot jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.tenant_schemas (tier, schema_version, files_checksum, server_major, fingerprint, names, objects)
  select p_tier, p_version, p_files_checksum, s."serverMajor", s.fingerprint, s.names, s.objects
  from jsonb_to_record(p_snapshot) s ("serverMajor" integer, fingerprint text, names jsonb, objects jsonb)
  on conflict do nothing;
end
$$;
revoke execute on function provisioning.record_tenant_schema(text, integer, text, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_tenant_schema(text, integer, text, jsonb) is
  'What the files up to this version make in databases of this tier, {"serverMajor", "fingerprint", "names", "objects"}. The first
record stays.';

create function provisioning.note_drift_found(p_organization_ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.organization_databases d set schema_drift_at = case when h.drifted then now() end
  from (
    select t.organization_id, t.metrics ? 'schema_differences' as drifted,
      (t.metrics ->> 'schema_looked_at')::timestamptz as looked_at
    from public.tenant_health t
    where t.organization_id = any (p_organization_ids) and t.metrics ? 'schema_looked_at') h
  where h.organization_id = d.organization_id and h.drifted is distinct from (d.schema_drift_at is not null)
    -- What the endpoint has missed since then is looked at by the next check.
    and (h.drifted or d.schema_drift_at < h.looked_at);
end
$$;
revoke execute on function provisioning.note_drift_found(uuid[]) from public, anon, authenticated, service_role;
comment on function provisioning.note_drift_found(uuid[]) is
  'Sets organization_databases.schema_drift_at of these tenants from what their last check has found of the schema, and clears
it.';

create function provisioning.drifted_tenants(p_limit integer) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_build_object('count', count(*), 'tenants', coalesce(jsonb_agg(to_jsonb(t) - 'place' order by t.place)
      filter (where t.place <= p_limit), '[]'))
    from (
      select d.organization_id, o.slug, d.schema_drift_at as since,
        coalesce(h.metrics -> 'schema_differences', '[]') as differences, row_number() over (order by d.schema_drift_at) as place
      from public.organization_databases d join public.organizations o on o.id = d.organization_id
      left join public.tenant_health h on h.organization_id = d.organization_id
      where d.schema_drift_at is not null) t);
end
$$;
revoke execute on function provisioning.drifted_tenants(integer) from public, anon, authenticated, service_role;
comment on function provisioning.drifted_tenants(integer) is
  'Whose database is not as the files of its schema have made it: how many, and of the first p_limit since when, and in what.';
