-- What the function tenant-graphql asks: who may come in to which tenant's database, and what operators allow.

create table provisioning.stored_documents (
  -- SHA-256 of the document, in hexadecimal digits.
  hash text primary key,
  document text not null,
  stored_at timestamptz not null default now(),
  constraint document_is_at_most_64_kilobytes check (octet_length(document) <= 65536)
);
comment on table provisioning.stored_documents is
  'GraphQL documents that are called by their hash; with settings.tenant_stored_documents_only no others are run.';
alter table provisioning.stored_documents enable row level security;
revoke all on provisioning.stored_documents from anon, authenticated, service_role;

create function provisioning.store_document(p_document text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_hash text := encode(sha256(convert_to(p_document, 'utf8')), 'hex');
begin
  insert into provisioning.stored_documents (hash, document) values (v_hash, p_document) on conflict do nothing;
  return v_hash;
end
$$;
revoke execute on function provisioning.store_document(text) from public, anon, authenticated, service_role;
comment on function provisioning.store_document(text) is
  'Stores a GraphQL document for all tenants and returns its hash. For the owner, in SQL.';

create function provisioning.stored_document(p_hash text) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select d.document from provisioning.stored_documents d where d.hash = p_hash);
end
$$;
revoke execute on function provisioning.stored_document(text) from public, anon, authenticated, service_role;

create function provisioning.endpoint_facts(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select jsonb_build_object('organizationId', d.organization_id,
      'endpoint', case when d.graphql_enabled then jsonb_build_object('host', d.host, 'pooledHost', d.pooled_host,
        'port', d.port, 'pooledPort', d.pooled_port, 'poolerTenant', d.pooler_tenant, 'databaseName', d.database_name,
        'roleName', d.role_name, 'sslMode', d.ssl_mode, 'schemaVersion', d.schema_version) end,
      -- Nobody writes into the database while the last of it is copied to another one.
      'isMoving', exists (
        select from provisioning.tenant_moves m where m.organization_id = d.organization_id and m.closed_until is not null),
      'requestsPerMinute', s.tenant_requests_per_minute, 'introspection', s.tenant_introspection,
      'storedDocumentsOnly', s.tenant_stored_documents_only)
    from public.organization_databases d cross join provisioning.settings s where d.organization_id = p_organization_id);
end
$$;
revoke execute on function provisioning.endpoint_facts(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.endpoint_facts(uuid) is
  'Where the requests of an organization go, and what the settings allow them; "endpoint" is null while it is not enabled, and
"isMoving" is true for the moment in which the tenant changes its database. Null
when the organization has no database.';

create function provisioning.open_endpoint_with_key(p_prefix text, p_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_key public.tenant_api_keys := provisioning.use_api_key(p_prefix, decode(p_hash, 'hex'));
  v_facts jsonb;
begin
  if v_key.id is null then
    return null;
  end if;
  v_facts := coalesce(provisioning.endpoint_facts(v_key.organization_id), jsonb_build_object(
    'organizationId', v_key.organization_id, 'endpoint', null, 'isMoving', false, 'requestsPerMinute', 1, 'introspection', false,
    'storedDocumentsOnly', true));
  return v_facts || jsonb_build_object('keyId', v_key.id, 'scope', v_key.scope,
    'requestsPerMinute', coalesce(v_key.requests_per_minute, (v_facts ->> 'requestsPerMinute')::integer),
    'endsInMs', extract(epoch from v_key.ended_at - clock_timestamp()) * 1000);
end
$$;
revoke execute on function provisioning.open_endpoint_with_key(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.open_endpoint_with_key(text, text) is
  'endpoint_facts of the tenant whose key has this beginning and SHA-256 (hexadecimal), with what the key may and how long it is
valid yet. Null when there is no such key. Notes that it was used.';

create function provisioning.open_endpoint_as_member(p_user_id uuid, p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select provisioning.endpoint_facts(m.organization_id) || jsonb_build_object('role', m.role)
    from public.organization_members m where m.organization_id = p_organization_id and m.user_id = p_user_id);
end
$$;
revoke execute on function provisioning.open_endpoint_as_member(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.open_endpoint_as_member(uuid, uuid) is
  'endpoint_facts of an organization, with the role that a user has in it. Null when the user is no member.';

create function provisioning.note_tenant_behind(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.request_schema_migration(p_organization_id);
  perform provisioning.ring_doorbell('provisioning');
end
$$;
revoke execute on function provisioning.note_tenant_behind(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.note_tenant_behind(uuid) is
  'A tenant has used its database, which is awake therefore, and is behind: request_schema_migration, and a ring.';

create function provisioning.note_schema_drift(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.organization_databases d set schema_drift_at = now()
  where d.organization_id = p_organization_id
    and (d.schema_drift_at is null or d.schema_drift_at < now() - interval '1 minute');
end
$$;
revoke execute on function provisioning.note_schema_drift(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.note_schema_drift(uuid) is
  'The endpoint has found that the database lacks what its schema says. Written once a minute at most.';
