-- Stand-in for supabase_vault 0.3.1: the same schema, columns, functions and rights. Where the real one calls
-- libsodium with a key that the platform manages, this one encrypts with AES-256-CBC and then authenticates
-- with HMAC-SHA-256 (encrypt-then-MAC), both from pgcrypto, under a root key in a file beside the data.

-- The root key belongs to the server, not to a database: every database of a server, and every copy made from a
-- template, reads the same file. COPY, because it is the one way in SQL to write a file without the key passing
-- through a table, the write-ahead log or the statement log; the binary format, because reading it back then
-- needs no decoding.
do $root_key$
begin
  -- Two databases may create the extension at once. Advisory locks are per database, so the lock is on a catalog
  -- that all databases share and nobody uses here. Readers are not blocked.
  lock table pg_catalog.pg_shseclabel in exclusive mode;
  if exists (select from pg_catalog.pg_stat_file('vault_root.key', true) f where f.size = 91) then
    return;
  end if;
  execute pg_catalog.format(
    'copy (select extensions.gen_random_bytes(64)) to %L with (format binary)',
    pg_catalog.current_setting('data_directory') || '/vault_root.key'
  );
end
$root_key$;

-- The control file names the schema vault, so that Postgres has made it by now.

create table vault.secrets (
  id uuid primary key default pg_catalog.gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  nonce bytea default extensions.gen_random_bytes(16),
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create unique index secrets_name_idx on vault.secrets (name) where name is not null;
comment on table vault.secrets is
  'Secrets, encrypted. Write with vault.create_secret and vault.update_secret, read from vault.decrypted_secrets.';
comment on column vault.secrets.key_id is 'Unused since 0.3; kept because callers may name it.';

-- plpgsql and not sql: a definer function is not inlined, and a plpgsql one keeps its plans for the session.
create function vault._encrypt(plaintext text, secret_id uuid, nonce bytea) returns text
language plpgsql volatile strict security definer set search_path = '' as $$
declare
  -- In a binary COPY file of one row with one column the value starts at byte 25 (91 bytes in all).
  v_key constant bytea := pg_catalog.pg_read_binary_file('vault_root.key', 25, 64);
  v_ciphertext constant bytea := extensions.encrypt_iv(
    pg_catalog.convert_to(plaintext, 'UTF8'), pg_catalog.substr(v_key, 1, 32), nonce, 'aes-cbc');
begin
  return pg_catalog.encode(
    v_ciphertext || extensions.hmac(
      pg_catalog.uuid_send(secret_id) || nonce || v_ciphertext, pg_catalog.substr(v_key, 33, 32), 'sha256'),
    'base64');
end
$$;
comment on function vault._encrypt(text, uuid, bytea) is
  'Base64 of ciphertext and tag. The tag covers id and nonce, so a ciphertext moved to another row is refused.';

create function vault._decrypt(secret text, secret_id uuid, nonce bytea) returns text
language plpgsql stable strict security definer set search_path = '' as $$
declare
  v_key constant bytea := pg_catalog.pg_read_binary_file('vault_root.key', 25, 64);
  v_sealed constant bytea := pg_catalog.decode(secret, 'base64');
  v_ciphertext constant bytea := pg_catalog.substr(v_sealed, 1, greatest(pg_catalog.length(v_sealed) - 32, 0));
begin
  if extensions.hmac(
    pg_catalog.uuid_send(secret_id) || nonce || v_ciphertext, pg_catalog.substr(v_key, 33, 32), 'sha256'
  ) <> pg_catalog.substr(v_sealed, greatest(pg_catalog.length(v_sealed) - 31, 1)) then
    raise exception using
      errcode = 'data_corrupted',
      message = pg_catalog.format('vault: invalid ciphertext in secret %s', secret_id),
      detail = 'It was changed after it was written, or written under another root key.',
      hint = 'Delete the secret and create it again, or restore vault_root.key in the data directory.';
  end if;
  return pg_catalog.convert_from(
    extensions.decrypt_iv(v_ciphertext, pg_catalog.substr(v_key, 1, 32), nonce, 'aes-cbc'), 'UTF8');
end
$$;
comment on function vault._decrypt(text, uuid, bytea) is
  'The plaintext; raises data_corrupted when ciphertext, nonce or id are not the ones that were written.';

create view vault.decrypted_secrets as
select
  s.id,
  s.name,
  s.description,
  s.secret,
  vault._decrypt(s.secret, s.id, s.nonce) as decrypted_secret,
  s.key_id,
  s.nonce,
  s.created_at,
  s.updated_at
from vault.secrets s;

create function vault.create_secret(
  new_secret text,
  new_name text default null,
  new_description text default '',
  new_key_id uuid default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_id constant uuid := pg_catalog.gen_random_uuid();
  v_nonce constant bytea := extensions.gen_random_bytes(16);
begin
  insert into vault.secrets (id, name, description, secret, nonce)
  values (v_id, new_name, new_description, vault._encrypt(new_secret, v_id, v_nonce), v_nonce);
  return v_id;
end
$$;
comment on function vault.create_secret(text, text, text, uuid) is
  'Stores a secret and returns its id. A name can be used once. new_key_id is ignored since 0.3.';

create function vault.update_secret(
  secret_id uuid,
  new_secret text default null,
  new_name text default null,
  new_description text default null,
  new_key_id uuid default null
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  -- As the real one does, which therefore fails for a secret that was encrypted under another key.
  v_decrypted constant text := (select s.decrypted_secret from vault.decrypted_secrets s where s.id = secret_id);
  -- A nonce is never used for two plaintexts.
  v_nonce constant bytea := case when new_secret is not null then extensions.gen_random_bytes(16) end;
begin
  update vault.secrets s
  set
    secret = coalesce(vault._encrypt(new_secret, s.id, v_nonce), s.secret),
    nonce = coalesce(v_nonce, s.nonce),
    name = coalesce(new_name, s.name),
    description = coalesce(new_description, s.description),
    updated_at = pg_catalog.now()
  where s.id = secret_id;
end
$$;
comment on function vault.update_secret(uuid, text, text, text, uuid) is
  'Changes what is given and keeps what is null. An unknown id changes nothing. Fails when the old secret cannot be decrypted.';

-- postgres may hand its rights on, service_role may not: as on a hosted project.
revoke execute on all functions in schema vault from public;
grant usage on schema vault to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function
  vault._decrypt(text, uuid, bytea),
  vault.create_secret(text, text, text, uuid),
  vault.update_secret(uuid, text, text, text, uuid)
to postgres with grant option;
grant usage on schema vault to service_role;
grant select, delete on vault.secrets, vault.decrypted_secrets to service_role;
grant execute on function
  vault._decrypt(text, uuid, bytea),
  vault.create_secret(text, text, text, uuid),
  vault.update_secret(uuid, text, text, text, uuid)
to service_role;

select pg_catalog.pg_extension_config_dump('vault.secrets', '');
