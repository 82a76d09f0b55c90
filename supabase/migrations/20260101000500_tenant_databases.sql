-- Each organization's own database: where it is, how it stands, and which Vault secret opens it.

create table public.organization_databases (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  neon_project_id text unique,
  neon_branch_id text,
  neon_endpoint_id text,
  supabase_project_ref text unique,
  -- By which the service that hosts the database knows it: of a project of the tenant's own, once that is there.
  hosted_as text generated always as (coalesce(supabase_project_ref, neon_project_id)) stored,
  region text not null,
  size text not null references provisioning.database_sizes,
  host text,
  pooled_host text,
  port integer,
  -- Of pooled_host, where it is another one.
  pooled_port integer,
  -- By which a pooler that many databases share knows this one; a login's name stands before it, with a dot.
  pooler_tenant text,
  database_name text,
  role_name text,
  ssl_mode provisioning_types.ssl_mode not null default 'require',
  ssl_verified_at timestamptz,
  graphql_enabled boolean not null default false,
  graphql_endpoint text,
  schema_version integer,
  -- Since when it is not as the files of that version have made it, as the GraphQL endpoint or a check has found.
  schema_drift_at timestamptz,
  -- Derived from the steps, as the state of the service neon is: active when it is ready, otherwise the same word.
  status text not null default 'pending',
  -- A copy of tenant_health.status, where the whole of it is.
  health_status provisioning_types.health_status not null default 'unknown',
  credentials_secret_id uuid,
  -- Since when role_name has its password, and our own logins theirs.
  password_changed_at timestamptz,
  own_passwords_changed_at timestamptz,
  -- When a sweep looks next whether they are too old.
  rotation_look_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on column public.organization_databases.region is 'Neon''s region id; fixed once the project exists.';
comment on column public.organization_databases.credentials_secret_id is
  'The password of role_name, a login that cannot change the schema. public.database_connection reveals it to owners and
admins, and audits that.';
create index organization_databases_hosted_as_idx on public.organization_databases (hosted_as);
create index organization_databases_size_idx on public.organization_databases (size);
create index organization_databases_drift_idx on public.organization_databases (schema_drift_at)
  where schema_drift_at is not null;
-- Fleet migrations look for those that are behind, and the metrics count each version.
create index organization_databases_schema_version_idx on public.organization_databases (schema_version)
  where status = 'active';
create index organization_databases_rotation_idx on public.organization_databases (rotation_look_at);

create trigger organization_databases_touch before update on public.organization_databases
  for each row execute function provisioning.touch_updated_at();

alter table public.organization_databases enable row level security;
revoke all on public.organization_databases from anon, authenticated, service_role;
grant select on public.organization_databases to authenticated, service_role;
create policy "owners and admins read connection details" on public.organization_databases for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids('{owner,admin}'))));

create function provisioning.ensure_database(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.organization_databases (organization_id, region, size)
  select o.id, r.neon_region, p.default_size from public.organizations o
  join provisioning.regions r using (data_region) join provisioning.plans p using (plan)
  where o.id = p_organization_id
  on conflict (organization_id) do nothing;
end
$$;
revoke execute on function provisioning.ensure_database(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.ensure_database(uuid) is
  'Gives an organization its row in organization_databases, by its data region and plan, when it has none.';

create function provisioning.tenant_database_checks(p_facts jsonb, p_service text)
returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_database jsonb := p_facts -> 'database';
begin
  return next provisioning.resource_check(p_facts, 'schema', p_service,
    case when v_database ->> 'schema_version' is null then 'The tenant schema was not applied.' end,
    'version ' || (v_database ->> 'schema_version'));
  return next provisioning.resource_check(p_facts, 'credentials', p_service,
    case when v_database ->> 'credentials_secret_id' is null then 'No password is in Vault.'
      when not (v_database ->> 'credentials_in_vault')::boolean then 'The password was deleted from Vault.' end,
    'in Vault');
  return next provisioning.resource_check(p_facts, 'connection', p_service,
    case when v_database ->> 'host' is null then 'There is nothing to connect to.'
      when v_database ->> 'ssl_verified_at' is null and v_database ->> 'ssl_mode' <> 'disable' then 'TLS was not verified.'
      when not exists (
        select from jsonb_array_elements(provisioning.job_of(p_facts, 'provision') -> 'steps') s
        where s ->> 'step' = 'verify_connection' and s ->> 'status' = 'succeeded') then 'The connection was not verified.' end,
    coalesce('TLS verified at ' || provisioning.utc_text((v_database ->> 'ssl_verified_at')::timestamptz),
      'without TLS (ssl_mode disable)'));
end
$$;
revoke execute on function provisioning.tenant_database_checks(jsonb, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.tenant_database_checks(jsonb, text) is
  'What is checked of the database of a tenant, whichever service makes it: for services.checked_by.';

create function provisioning.follow_plan() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.plan = new.plan then
    return null;
  end if;
  update public.organization_databases d set size = p.default_size from provisioning.plans p
  where p.plan = new.plan and d.organization_id = new.id and d.size <> all (p.sizes);
  return null;
end
$$;
revoke execute on function provisioning.follow_plan() from public, anon, authenticated, service_role;
comment on function provisioning.follow_plan() is
  'Trigger: a database whose size the new plan does not have gets the plan''s default one. Neon is told with the quota, when the
service is done the next time.';
create trigger organizations_database_follows_plan after update of plan on public.organizations
  for each row execute function provisioning.follow_plan();

-- The keys of this project, made once here and known only to Vault.
do $keys$
declare
  v_name text;
  v_description text;
begin
  for v_name, v_description in values
    ('provisioning_doorbell_key', 'HMAC key of the doorbells that the database sends to the functions'),
    ('provisioning_sealing_key',
      'AES key under which functions hand secrets to the database, so that no statement log holds them')
  loop
    if not exists (select from vault.secrets s where s.name = v_name) then
      perform vault.create_secret(encode(extensions.gen_random_bytes(32), 'hex'), v_name, v_description);
    end if;
  end loop;
end
$keys$;

create function provisioning.vault_secret(p_name text) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select s.decrypted_secret from vault.decrypted_secrets s where s.name = p_name);
exception
  -- Supabase's Vault and the local stand-in say with these that the secret was encrypted under another key.
  when data_exception or data_corrupted then
    return null;
end
$$;
revoke execute on function provisioning.vault_secret(text) from public, anon, authenticated, service_role;
comment on function provisioning.vault_secret(text) is
  'A secret of this project by name. Null when there is none, and when Vault cannot decrypt it, as after a dump was restored into
another project: in both cases it has to be made anew. vault_secret_state tells one from the other. For the owner and definer
functions only.';

create function provisioning.vault_secret_state(p_name text, p_pattern text) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  v_secret text;
begin
  v_secret := provisioning.vault_secret(p_name);
  return case
    when v_secret ~ p_pattern then 'fine'
    when v_secret is not null then 'implausible'
    when exists (select from vault.secrets s where s.name = p_name) then 'unreadable'
    else 'missing' end;
exception when others then
  -- Vault is not installed, for example. Whoever asks wants to tell that, not to fail.
  return 'unreadable';
end
$$;
revoke execute on function provisioning.vault_secret_state(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.vault_secret_state(text, text) is
  'How a secret of this project is: fine, missing, implausible (not of the pattern) or unreadable (encrypted under another key, or
Vault itself is not there).';

create function provisioning.keep_secret(p_name text, p_secret text, p_description text) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
  -- Not vault.update_secret: that decrypts what was there before, which may be what Vault cannot do.
  delete from vault.secrets s where s.name = p_name;
  return vault.create_secret(p_secret, p_name, p_description);
end
$$;
revoke execute on function provisioning.keep_secret(text, text, text) from public, anon, authenticated, service_role;
comment on function provisioning.keep_secret(text, text, text) is
  'Puts a secret into Vault in the place of whatever is there under this name, readable or not, and returns its new id.';

create function provisioning.unseal(p_sealed text) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select convert_from(
      extensions.decrypt_iv(
        substr(decode(p_sealed, 'base64'), 17),
        decode(provisioning.vault_secret('provisioning_sealing_key'), 'hex'),
        substr(decode(p_sealed, 'base64'), 1, 16),
        'aes-cbc/pad:pkcs'),
      'utf8'));
end
$$;
revoke execute on function provisioning.unseal(text) from public, anon, authenticated, service_role;
comment on function provisioning.unseal(text) is
  'Opens base64(iv ‖ AES-256-CBC). A bound parameter lands in the log when log_statement is on; a sealed one says nothing there.';

create function provisioning.reveal_database_connection(p_organization_id uuid, p_reveal_password boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_database public.organization_databases;
  v_password text;
begin
  if auth.role() is distinct from 'service_role'
    and p_organization_id not in (select provisioning.my_organization_ids('{owner,admin}')) then
    raise exception 'Connection details are for the owners and admins of the organization.' using errcode = '42501';
  end if;
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception 'There is no organization %.', p_organization_id using errcode = 'TP404';
  end if;
  select * into v_database from public.organization_databases d where d.organization_id = p_organization_id;
  if v_database.role_name is null then
    raise exception 'The organization has no database yet; its provisioning_status says why.' using errcode = 'PT404';
  end if;
  if p_reveal_password then
    perform provisioning.count_reveal(p_organization_id);
    select provisioning.vault_secret(s.name) into v_password from vault.secrets s
    where s.id = v_database.credentials_secret_id;
    perform provisioning.audit(p_organization_id, 'credentials.revealed', 'database', v_database.hosted_as);
  end if;
  return jsonb_build_object('host', v_database.host, 'pooled_host', v_database.pooled_host, 'port', v_database.port,
    'pooled_port', coalesce(v_database.pooled_port, v_database.port), 'database', v_database.database_name,
    'role', v_database.role_name || coalesce('.' || v_database.pooler_tenant, ''), 'ssl_mode', v_database.ssl_mode,
    'graphql_endpoint', v_database.graphql_endpoint, 'password', v_password);
end
$$;
revoke execute on function provisioning.reveal_database_connection(uuid, boolean) from public, anon, authenticated, service_role;
grant execute on function provisioning.reveal_database_connection(uuid, boolean) to authenticated, service_role;

create function public.database_connection(organization_id uuid, reveal_password boolean default false) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.reveal_database_connection(organization_id, reveal_password)
$$;
revoke execute on function public.database_connection(uuid, boolean) from public, anon;
grant execute on function public.database_connection(uuid, boolean) to authenticated, service_role;
comment on function public.database_connection(uuid, boolean) is
  'How to connect to an organization''s database, for its owners and admins. The password only when asked for, which is audited.';
