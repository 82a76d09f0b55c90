-- The keys with which programs use a tenant's GraphQL endpoint. A key is shown once; what stays is its hash, and its beginning,
-- by which people tell it from others.
--
-- tdk_ · 40 hexadecimal digits · 8 digits of the SHA-256 of all that. The checksum is no secret and no protection: with it,
-- whoever gets a key with a slip of the pen in it, or finds one in a text, can tell without asking this database.

create table public.tenant_api_keys (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  name provisioning_types.key_name not null,
  -- tdk_ and the first 8 digits.
  prefix text not null,
  -- SHA-256 of the whole key. 128 bits of it are in no other place, so that guessing is hopeless and a slow hash needless.
  hash bytea not null,
  scope provisioning_types.key_scope not null,
  -- Null: as many as any key may make.
  requests_per_minute integer,
  created_by uuid,
  created_at timestamptz not null default now(),
  -- Written once a minute at most.
  last_used_at timestamptz,
  expires_at timestamptz,
  revoked_at timestamptz,
  -- The key that has taken its place, while both are valid and afterwards.
  replaced_by uuid,
  -- From then on it opens nothing.
  ended_at timestamptz generated always as (least(expires_at, revoked_at)) stored,
  constraint tenant_api_keys_prefix_key unique (prefix),
  constraint requests_per_minute_is_positive check (requests_per_minute > 0)
);
comment on table public.tenant_api_keys is
  'API keys of tenants'' GraphQL endpoints. created_by is the user who made it; null for the backend.';
create index tenant_api_keys_organization_id_idx on public.tenant_api_keys (organization_id, created_at desc);
create index tenant_api_keys_ended_at_idx on public.tenant_api_keys (ended_at) where ended_at is not null;

alter table public.tenant_api_keys enable row level security;
revoke all on public.tenant_api_keys from anon, authenticated, service_role;
-- All but the hash, and what is computed.
grant select (id, organization_id, name, prefix, scope, requests_per_minute, created_by, created_at, last_used_at, expires_at,
  revoked_at, replaced_by) on public.tenant_api_keys to authenticated, service_role;
create policy "owners and admins read their keys" on public.tenant_api_keys for select to authenticated
  using (organization_id = any (array(select provisioning.my_organization_ids('{owner,admin}'))));

create function provisioning.new_api_key() returns text
language plpgsql volatile set search_path = '' as $$
declare
  v_key text := 'tdk_' || encode(extensions.gen_random_bytes(20), 'hex');
begin
  return v_key || left(encode(sha256(convert_to(v_key, 'utf8')), 'hex'), 8);
end
$$;
revoke execute on function provisioning.new_api_key() from public, anon, authenticated, service_role;
comment on function provisioning.new_api_key() is 'A key that nobody has: 160 random bits with their checksum.';

create function provisioning.assert_key_wishes(p_name text, p_scope text, p_expires_at timestamptz, p_requests_per_minute integer)
returns void
language plpgsql stable set search_path = '' as $$
begin
  if provisioning.plain_text(p_name, 100) is distinct from p_name then
    raise exception 'The name of a key is a text of up to 100 characters on one line, without white space at its ends.'
      using errcode = 'TP422';
  end if;
  if p_scope is null or p_scope not in ('read', 'write') then
    raise exception 'A key has the scope "read" or "write".' using errcode = 'TP422';
  end if;
  if p_expires_at <= now() then
    raise exception 'The key would have expired already.' using errcode = 'TP422';
  end if;
  if p_requests_per_minute not between 1 and 100000 then
    raise exception 'A key may be used from 1 to 100000 times a minute.' using errcode = 'TP422';
  end if;
end
$$;
revoke execute on function provisioning.assert_key_wishes(text, text, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.assert_key_wishes(text, text, timestamptz, integer) is
  'Raises TP422 unless a key can be so.';

create function provisioning.count_key_act(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_allowed integer := (select s.key_acts_per_minute from provisioning.settings s);
begin
  if provisioning.caller_has_limits() then
    perform provisioning.refuse_until(provisioning.count_call('keys/organization/' || p_organization_id, v_allowed),
      format('Much was asked for the keys of this organization just now, and %s acts a minute are allowed.', v_allowed));
  end if;
end
$$;
revoke execute on function provisioning.count_key_act(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.count_key_act(uuid) is
  'Counts an act on an organization''s keys. Raises TP429 when there have been as many as the settings allow.';

create function provisioning.hold_api_key(p_key_id uuid, p_act text) returns public.tenant_api_keys
language plpgsql security definer set search_path = '' as $$
declare
  v_key public.tenant_api_keys;
begin
  select * into v_key from public.tenant_api_keys k where k.id = p_key_id;
  if v_key.id is null and auth.role() = 'service_role' then
    raise exception 'There is no key %.', p_key_id using errcode = 'TP440';
  end if;
  -- A stranger is not told which ones there are.
  perform provisioning.assert_may(coalesce(v_key.organization_id, '00000000-0000-0000-0000-000000000000'), '{owner,admin}');
  perform provisioning.count_key_act(v_key.organization_id);
  select * into v_key from public.tenant_api_keys k where k.id = p_key_id for update;
  if v_key.id is null then
    raise exception 'There is no key %.', p_key_id using errcode = 'TP440';
  end if;
  if v_key.ended_at <= now() then
    raise exception 'The key "%" has ended, so it cannot be %.', v_key.name, p_act using errcode = 'TP441';
  end if;
  return v_key;
end
$$;
revoke execute on function provisioning.hold_api_key(uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.hold_api_key(uuid, text) is
  'Locks a key that is valid, for the owners and admins of its organization and the service role. Raises TP403, TP440
(there is none), TP441 (it has ended) and TP429.';

create function provisioning.insert_api_key(
  p_organization_id uuid, p_name text, p_scope text, p_expires_at timestamptz, p_requests_per_minute integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_most integer := (select s.keys_per_organization from provisioning.settings s);
  v_key text;
  v_id uuid;
begin
  if (select count(*) from public.tenant_api_keys k where k.organization_id = p_organization_id
    and (k.ended_at is null or k.ended_at > now())) >= v_most then
    raise exception 'The organization has % keys already, which is as many as it may have. Revoke one.', v_most
      using errcode = 'TP422';
  end if;
  -- The beginnings of two keys are the same once in four thousand millions.
  while v_id is null loop
    v_key := provisioning.new_api_key();
    insert into public.tenant_api_keys (
      organization_id, name, prefix, hash, scope, expires_at, requests_per_minute, created_by)
    values (p_organization_id, p_name, left(v_key, 12), sha256(convert_to(v_key, 'utf8')), p_scope, p_expires_at,
      p_requests_per_minute, auth.uid())
    on conflict (prefix) do nothing returning id into v_id;
  end loop;
  return provisioning.api_key_as_json(v_id) || jsonb_build_object('key', v_key);
end
$$;
revoke execute on function provisioning.insert_api_key(uuid, text, text, timestamptz, integer)
  from public, anon, authenticated, service_role;
comment on function provisioning.insert_api_key(uuid, text, text, timestamptz, integer) is
  'Makes a key, and returns it as api_key_as_json does, with the key itself under "key", which nobody can read again. Raises TP422
when there are enough.';

create function provisioning.api_key_as_json(p_key_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select to_jsonb(k) - 'hash' - 'ended_at' || jsonb_build_object('status', case
      when k.revoked_at <= now() then 'revoked' when k.ended_at <= now() then 'expired' else 'active' end)
    from public.tenant_api_keys k where k.id = p_key_id);
end
$$;
revoke execute on function provisioning.api_key_as_json(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.api_key_as_json(uuid) is
  'What may be shown of a key: its row without the hash, with the status active, expired or revoked.';

-- What owners and admins ask for -------------------------------------------------------------------------------------------

create function provisioning.create_api_key_as_caller(
  p_organization_id uuid, p_name text, p_scope text, p_expires_at timestamptz, p_requests_per_minute integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_made jsonb;
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  perform provisioning.assert_key_wishes(p_name, p_scope, p_expires_at, p_requests_per_minute);
  perform provisioning.count_key_act(p_organization_id);
  v_made := provisioning.insert_api_key(p_organization_id, p_name, p_scope, p_expires_at, p_requests_per_minute);
  -- The name is a text of people, and stands in the row alone.
  perform provisioning.audit(p_organization_id, 'api_key.created', 'api_key', v_made ->> 'id', jsonb_strip_nulls(
    jsonb_build_object('prefix', v_made -> 'prefix', 'scope', p_scope, 'expires_at', p_expires_at,
      'requests_per_minute', p_requests_per_minute)));
  return v_made;
end
$$;
revoke execute on function provisioning.create_api_key_as_caller(uuid, text, text, timestamptz, integer)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.create_api_key_as_caller(uuid, text, text, timestamptz, integer)
  to authenticated, service_role;
comment on function provisioning.create_api_key_as_caller(uuid, text, text, timestamptz, integer) is
  'insert_api_key for the owners and admins of the organization and the service role. Raises TP403, TP404, TP422 and TP429.';

create function provisioning.rename_api_key_as_caller(p_key_id uuid, p_name text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_key public.tenant_api_keys := provisioning.hold_api_key(p_key_id, 'renamed');
begin
  perform provisioning.assert_key_wishes(p_name, v_key.scope, null, null);
  update public.tenant_api_keys k set name = p_name where k.id = p_key_id;
  perform provisioning.audit(v_key.organization_id, 'api_key.renamed', 'api_key', p_key_id::text,
    jsonb_build_object('prefix', v_key.prefix));
  return provisioning.api_key_as_json(p_key_id);
end
$$;
revoke execute on function provisioning.rename_api_key_as_caller(uuid, text) from public, anon, authenticated, service_role;
grant execute on function provisioning.rename_api_key_as_caller(uuid, text) to authenticated, service_role;
comment on function provisioning.rename_api_key_as_caller(uuid, text) is
  'Gives a key another name, for the owners and admins of its organization and the service role. Raises as hold_api_key does, and
TP422.';

create function provisioning.reroll_api_key_as_caller(p_key_id uuid, p_grace_hours numeric) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_key public.tenant_api_keys := provisioning.hold_api_key(p_key_id, 'replaced');
  v_until timestamptz := now() + make_interval(secs => p_grace_hours * 3600);
  v_made jsonb;
begin
  if p_grace_hours is null or p_grace_hours not between 0 and 720 then
    raise exception 'The old key stays valid for 0 to 720 hours.' using errcode = 'TP422';
  end if;
  if v_key.replaced_by is not null then
    raise exception 'The key "%" has been replaced already, and ends by itself.', v_key.name using errcode = 'TP441';
  end if;
  v_made := provisioning.insert_api_key(v_key.organization_id, v_key.name, v_key.scope, v_key.expires_at,
    v_key.requests_per_minute);
  update public.tenant_api_keys k set replaced_by = (v_made ->> 'id')::uuid, expires_at = least(k.expires_at, v_until)
  where k.id = p_key_id;
  perform provisioning.audit(v_key.organization_id, 'api_key.rerolled', 'api_key', p_key_id::text, jsonb_build_object(
    'prefix', v_key.prefix, 'new_prefix', v_made -> 'prefix', 'valid_until', least(v_key.expires_at, v_until)));
  return v_made;
end
$$;
revoke execute on function provisioning.reroll_api_key_as_caller(uuid, numeric) from public, anon, authenticated, service_role;
grant execute on function provisioning.reroll_api_key_as_caller(uuid, numeric) to authenticated, service_role;
comment on function provisioning.reroll_api_key_as_caller(uuid, numeric) is
  'Makes a key in the place of another one, which stays valid for so many hours more. For the owners and admins of its
organization and the service role. Raises as hold_api_key does, and TP422.';

create function provisioning.revoke_api_key_as_caller(p_key_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_key public.tenant_api_keys := provisioning.hold_api_key(p_key_id, 'revoked');
begin
  update public.tenant_api_keys k set revoked_at = now() where k.id = p_key_id;
  perform provisioning.audit(v_key.organization_id, 'api_key.revoked', 'api_key', p_key_id::text,
    jsonb_build_object('prefix', v_key.prefix));
  return provisioning.api_key_as_json(p_key_id);
end
$$;
revoke execute on function provisioning.revoke_api_key_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.revoke_api_key_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.revoke_api_key_as_caller(uuid) is
  'Ends a key at once: no request that begins more than a second later is served. For the owners and admins of its organization
and the service role. Raises as hold_api_key does.';

create function public.create_api_key(
  organization_id uuid, name text, scope text default 'read', expires_at timestamptz default null,
  requests_per_minute integer default null
) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.create_api_key_as_caller(organization_id, name, scope, expires_at, requests_per_minute)
$$;
revoke execute on function public.create_api_key(uuid, text, text, timestamptz, integer) from public, anon;
grant execute on function public.create_api_key(uuid, text, text, timestamptz, integer) to authenticated, service_role;
comment on function public.create_api_key(uuid, text, text, timestamptz, integer) is
  'Makes an API key for the tenant''s GraphQL endpoint, for its owners and admins; the scope is read or write. The answer has the
key itself under "key", which is shown this once.';

create function public.rename_api_key(key_id uuid, name text) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.rename_api_key_as_caller(key_id, name)
$$;
revoke execute on function public.rename_api_key(uuid, text) from public, anon;
grant execute on function public.rename_api_key(uuid, text) to authenticated, service_role;
comment on function public.rename_api_key(uuid, text) is 'Gives an API key another name.';

create function public.reroll_api_key(key_id uuid, grace_hours numeric default 24) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.reroll_api_key_as_caller(key_id, grace_hours)
$$;
revoke execute on function public.reroll_api_key(uuid, numeric) from public, anon;
grant execute on function public.reroll_api_key(uuid, numeric) to authenticated, service_role;
comment on function public.reroll_api_key(uuid, numeric) is
  'Makes another API key in the place of one, which stays valid for grace_hours (0 to 720) more, so that programs can change over.
The answer has the new key under "key", which is shown this once.';

create function public.revoke_api_key(key_id uuid) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select provisioning.revoke_api_key_as_caller(key_id)
$$;
revoke execute on function public.revoke_api_key(uuid) from public, anon;
grant execute on function public.revoke_api_key(uuid) to authenticated, service_role;
comment on function public.revoke_api_key(uuid) is
  'Ends an API key: no request that begins more than a second later is served.';

-- What the endpoint asks ---------------------------------------------------------------------------------------------------

create function provisioning.use_api_key(p_prefix text, p_hash bytea) returns public.tenant_api_keys
language plpgsql security definer set search_path = '' as $$
declare
  -- Comparing takes the longer, the later two values differ. Hashed anew with this, that tells nothing of either.
  v_blind constant bytea := extensions.gen_random_bytes(16);
  v_key public.tenant_api_keys;
begin
  select * into v_key from public.tenant_api_keys k where k.prefix = p_prefix;
  if v_key.id is null or sha256(v_key.hash || v_blind) <> sha256(p_hash || v_blind) then
    return null;
  end if;
  if v_key.ended_at <= now() or v_key.last_used_at > now() - interval '1 minute' then
    return v_key;
  end if;
  -- Whoever else is at it writes the same.
  update public.tenant_api_keys k set last_used_at = now()
  where k.id = (select f.id from public.tenant_api_keys f where f.id = v_key.id for update skip locked);
  return v_key;
end
$$;
revoke execute on function provisioning.use_api_key(text, bytea) from public, anon, authenticated, service_role;
comment on function provisioning.use_api_key(text, bytea) is
  'The key with this beginning and SHA-256, valid or not; null when there is none. Notes the use of a valid one, once a minute at
most.';
