-- Extensions, and the private schema that holds the engine. The Data API exposes `public` only.

-- Before anything is created: whatever would stop a later file, or be overwritten by it. A project that is in use may have tables
-- with our names, the quick start's `profiles` above all.
do $names$
declare
  -- Where what the Data API exposes is about to be made; there may be no such schema yet.
  v_schema constant text := 'public';
  v_relations text[] := array['audit_logs', 'organization_databases', 'organization_members', 'organizations', 'profiles',
    'provisioning_events', 'provisioning_jobs', 'provisioning_steps', 'tenant_alerts', 'tenant_api_keys', 'tenant_health',
    'tenant_health_checks', 'tenant_health_hourly', 'tenant_resources', 'wallets'];
  -- Names of indexes live among those of tables, and an index keeps its own when its table gets another one.
  v_indexes text[] := array['audit_logs_created_at_idx', 'audit_logs_organization_id_idx', 'audit_logs_pkey',
    'organization_databases_ailing_idx', 'organization_databases_drift_idx', 'organization_databases_hosted_as_idx',
    'organization_databases_neon_project_id_key', 'organization_databases_pkey', 'organization_databases_rotation_idx',
    'organization_databases_schema_version_idx',
    'organization_databases_size_idx', 'organization_databases_supabase_project_ref_key', 'organization_members_pkey',
    'organization_members_user_id_idx',
    'organizations_created_at_idx', 'organizations_name_idx', 'organizations_not_ready_idx', 'organizations_owner_id_idx',
    'organizations_paid_idx', 'organizations_pkey', 'organizations_search_idx', 'organizations_slug_key',
    'organizations_stripe_customer_id_key', 'profiles_not_in_search_index_idx', 'profiles_organization_id_idx', 'profiles_pkey',
    'profiles_search_idx', 'provisioning_events_organization_id_idx', 'provisioning_events_pkey',
    'provisioning_events_started_at_idx', 'provisioning_jobs_due_idx', 'provisioning_jobs_finished_at_idx',
    'provisioning_jobs_open_key', 'provisioning_jobs_organization_id_idx', 'provisioning_jobs_pkey',
    'provisioning_steps_organization_id_idx', 'provisioning_steps_pkey', 'tenant_alerts_open_key',
    'tenant_alerts_organization_id_idx', 'tenant_alerts_pkey', 'tenant_alerts_resolved_at_idx', 'tenant_api_keys_ended_at_idx',
    'tenant_api_keys_organization_id_idx', 'tenant_api_keys_pkey', 'tenant_api_keys_prefix_key', 'tenant_health_awake_idx',
    'tenant_health_checks_pkey', 'tenant_health_due_idx', 'tenant_health_hourly_pkey', 'tenant_health_pkey',
    'tenant_resources_current_key', 'tenant_resources_external_id_key', 'tenant_resources_organization_id_idx',
    'tenant_resources_pkey', 'tenant_resources_removed_at_idx', 'tenant_resources_service_kind_idx', 'wallets_pkey'];
  -- By name alone: with another one of the name, calls through the Data API would be ambiguous.
  v_functions text[] := array['accept_membership', 'access_logins', 'audit_trail', 'backfill_tenants', 'backfill_users',
    'cancel_move', 'create_api_key', 'database_connection', 'decline_membership', 'describe_tenant', 'diagnose_provisioning',
    'end_access', 'expect_member', 'expected_members', 'fleet_migration_status', 'lift_legal_hold', 'lift_removal',
    'list_tenants', 'migrate_fleet', 'move_tenant', 'my_expected_memberships', 'pause_work', 'paused_work', 'probe_functions',
    'probe_results', 'provider_states', 'provisioning_progress', 'rename_api_key', 'repair_user', 'request_access',
    'reroll_api_key', 'resume_work', 'retry_tenants', 'reveal_access', 'revoke_api_key', 'rotate_credentials', 'rotate_keys',
    'search_profiles', 'schema_trials', 'set_legal_hold', 'stop_fleet_migration', 'tenant_counts', 'try_fleet_migration',
    'withdraw_expected_member'];
  v_taken text[];
begin
  if to_regproc('provisioning.apply_retention') is not null then
    raise exception 'Nothing was installed, because this database has all of it already and has only lost the history of its
migrations, as a restored dump has. Say so with "supabase migration repair --status applied --remote"; then run the doctor, which
says what else is missing; see docs/installation.md, "Copies and dumps".' using errcode = 'duplicate_object';
  end if;
  v_taken := array(
    select concat(v_schema, '.', c.relname) from pg_catalog.pg_class c
    where c.relnamespace = to_regnamespace(v_schema) and c.relname = any (v_relations)
    union
    -- Those of a table with a name of ours go where it goes.
    select concat(v_schema, '.', c.relname) from pg_catalog.pg_class c
    where c.relnamespace = to_regnamespace(v_schema) and c.relname = any (v_indexes) and not exists (
      select from pg_catalog.pg_index i join pg_catalog.pg_class t on t.oid = i.indrelid
      where i.indexrelid = c.oid and t.relname = any (v_relations))
    union
    select concat(v_schema, '.', t.typname) from pg_catalog.pg_type t
    where t.typnamespace = to_regnamespace(v_schema) and t.typname = any (v_relations) and t.typrelid = 0
    union
    select concat(v_schema, '.', p.proname, '()') from pg_catalog.pg_proc p
    where p.pronamespace = to_regnamespace(v_schema) and p.proname = any (v_functions)
    union
    select 'trigger ' || t.tgname from pg_catalog.pg_trigger t
    where t.tgrelid = 'auth.users'::regclass and t.tgname ~ '^(A_)?tenant_provisioning_'
    union
    select 'schema ' || n.nspname from pg_catalog.pg_namespace n where n.nspname in ('provisioning', 'provisioning_types'));
  if to_regclass('cron.job') is not null then
    v_taken := v_taken || array(select 'cron job ' || j.jobname from cron.job j where j.jobname like 'tenant-provisioning-%');
  end if;
  if v_taken <> '{}' then
    raise exception 'Nothing was installed, because these names are taken: %. Move them to another schema or rename them, then
push again; see docs/installation.md, "Beside existing tables".',
      (select string_agg(taken.name, ', ' order by taken.name) from unnest(v_taken) taken (name))
      using errcode = 'duplicate_object';
  end if;
end
$names$;

create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron with schema pg_catalog;

-- What was there before may be too old, or where users may not go.
do $extensions$
declare
  v_trigrams oid := (select e.extnamespace from pg_catalog.pg_extension e where e.extname = 'pg_trgm');
  v_cron text := (select e.extversion from pg_catalog.pg_extension e where e.extname = 'pg_cron');
begin
  if string_to_array(v_cron, '.')::integer[] < array[1, 5] then
    raise exception 'Nothing was installed, because pg_cron % knows no intervals in seconds, as 1.5 does. Bring it up to date with
"alter extension pg_cron update", where that is not enough after an upgrade of Postgres, then push again.', v_cron
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if not has_schema_privilege('authenticated', v_trigrams, 'usage') then
    raise exception 'Nothing was installed, because users search with pg_trgm and may not use its schema. Allow that with
"grant usage on schema % to authenticated, service_role", then push again.', v_trigrams::regnamespace
      using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$extensions$;

create schema provisioning;
revoke all on schema provisioning from public, anon, authenticated, service_role;
-- Policies call helper functions here as the caller's role; EXECUTE is granted by name.
grant usage on schema provisioning to authenticated, service_role;

create function provisioning.with_trigrams(p_statement text) returns void
language plpgsql set search_path = '' as $$
begin
  execute replace(p_statement, 'extensions.', (
    select e.extnamespace::regnamespace::text || '.' from pg_catalog.pg_extension e where e.extname = 'pg_trgm'));
end
$$;
revoke execute on function provisioning.with_trigrams(text) from public, anon, authenticated, service_role;
comment on function provisioning.with_trigrams(text) is
  'For migrations: runs a statement that has pg_trgm in the schema "extensions", for the schema that the project has it in.';

-- Types of columns that people's data stand in have a schema of their own: whoever drops the engine with "cascade" would drop
-- those columns otherwise.
create schema provisioning_types;
revoke all on schema provisioning_types from public, anon, authenticated, service_role;
grant usage on schema provisioning_types to authenticated, service_role;

-- States are text whose values a domain checks. A CHECK on the table would be parsed from its catalogue form in every
-- statement that writes the table, which for a list of words costs more than writing the row; a domain's is kept.
create domain provisioning_types.job_status as text
  constraint job_status_is_known check (value in ('queued', 'running', 'succeeded', 'failed', 'cancelled'));
create domain provisioning_types.step_status as text
  constraint step_status_is_known check (value in ('pending', 'running', 'retrying', 'succeeded', 'failed', 'cancelled'));
create domain provisioning_types.member_role as text
  constraint role_is_known check (value in ('owner', 'admin', 'member'));
create domain provisioning_types.health_status as text
  constraint health_status_is_known check (value in ('unknown', 'healthy', 'degraded', 'unhealthy', 'sleeping'));
create domain provisioning_types.ssl_mode as text
  constraint ssl_mode_is_known check (value in ('disable', 'require', 'verify-full'));
create domain provisioning_types.currency as text
  constraint currency_is_iso_4217 check (value ~ '^[a-z]{3}$');
create domain provisioning_types.slug as text
  constraint slug_is_url_safe check (value ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(value) <= 63);
-- Texts that people give have an end, whichever way they come: rows, indexes and a history that nobody can delete hold them.
create domain provisioning_types.organization_name as text
  constraint name_is_at_most_200_characters check (length(value) <= 200)
  constraint name_is_not_blank check (btrim(value) <> '');
create domain provisioning_types.person_name as text
  constraint name_is_at_most_200_characters check (length(value) <= 200);
create domain provisioning_types.email_address as text
  constraint email_is_at_most_320_characters check (length(value) <= 320);
create domain provisioning_types.avatar_url as text
  constraint avatar_url_is_at_most_2048_characters check (length(value) <= 2048)
  constraint avatar_url_is_http_or_https check (value ~* '^https?://[^\s<>"]+$');
create domain provisioning_types.region as text
  constraint region_is_at_most_63_characters check (length(value) <= 63);
create domain provisioning_types.key_name as text
  constraint name_is_at_most_100_characters check (length(value) <= 100)
  constraint name_is_not_blank check (btrim(value) <> '');
create domain provisioning_types.key_scope as text
  constraint scope_is_known check (value in ('read', 'write'));
-- What history keeps. The number is that of the row as it is stored, in bytes.
create domain provisioning_types.kept_text as text
  constraint kept_text_is_at_most_4000_characters check (length(value) <= 4000);
create domain provisioning_types.kept_details as jsonb
  constraint kept_details_are_at_most_16_kilobytes check (pg_column_size(value) <= 16384);

-- Functions that are called often are plpgsql even for a single query: plpgsql keeps its plan for the session, while one in
-- SQL that cannot be inlined (security definer, or with a search_path of its own) is planned at every call.
create function provisioning.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
revoke execute on function provisioning.touch_updated_at() from public, anon, authenticated, service_role;
comment on function provisioning.touch_updated_at() is 'Trigger: stamps updated_at on every change of a row.';

create function provisioning.trimmed(p_text text) returns text
language plpgsql immutable strict set search_path = '' as $$
begin
  -- btrim alone takes off U+0020 only, and a name of no-break spaces looks blank just the same.
  return nullif(btrim(p_text,
    U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006'
    '\2007\2008\2009\200A\200B\2028\2029\202F\205F\3000\FEFF'), '');
end
$$;
revoke execute on function provisioning.trimmed(text) from public, anon, authenticated, service_role;
comment on function provisioning.trimmed(text) is
  'The text without white space (as Unicode has it) at its ends; null when nothing is left.';

create function provisioning.without_unseen(p_text text, p_length integer) returns text
language plpgsql immutable strict set search_path = '' as $$
declare
  v_text text := provisioning.trimmed(left(provisioning.trimmed(
    regexp_replace(regexp_replace(p_text, '[\t-\r\u0085\u2028\u2029]+', ' ', 'g'),
      '[\x01-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]',
      '', 'g')), p_length));
begin
  -- Joiners, selectors, fillers and blank signs belong to the letters beside them; alone, nobody sees them.
  if v_text ~ ('^[\s\u00a0\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200d\u202f\u205f\u2800\u3000\u3164'
    || '\ufe00-\ufe0f\uffa0\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0080-\U000e0fff]*$') then
    return null;
  end if;
  return v_text;
end
$$;
revoke execute on function provisioning.without_unseen(text, integer) from public, anon, authenticated, service_role;
comment on function provisioning.without_unseen(text, integer) is 'For plain_text: what it does with texts not in order.';

create function provisioning.plain_text(p_text text, p_length integer) returns text
language plpgsql immutable strict set search_path = '' as $$
begin
  -- Most texts are in order: short, of printable ASCII, without a blank at either end. One expression and no more functions than
  -- it needs, because plpgsql prepares each of them anew in every transaction, and a sign-up is one.
  if octet_length(p_text) <= p_length and p_text ~ '^[!-~]([ -~]*[!-~])?$' then
    return p_text;
  end if;
  -- Cut before anything looks at each letter: somebody may give 16 MB.
  return provisioning.without_unseen(left(p_text, 4 * p_length), p_length);
end
$$;
revoke execute on function provisioning.plain_text(text, integer) from public, anon, authenticated, service_role;
comment on function provisioning.plain_text(text, integer) is
  'The text on one line, cut after p_length characters, without control characters and marks of direction and without white space
at its ends; null when nothing is left. Joiners stay, since words and emoji need them.';

create function provisioning.uuid_v7() returns uuid
language plpgsql volatile parallel safe set search_path = '' as $$
begin
  -- A random UUID whose first 48 bits are replaced by milliseconds since 1970 and whose version becomes 7 (RFC 9562, 5.7). From
  -- 2004 to 2527 the milliseconds have 11 hexadecimal digits. Postgres has a function of its own for this from version 18 on.
  return overlay(gen_random_uuid()::text
    placing '0' || to_hex((date_part('epoch', clock_timestamp()) * 1000)::bigint) || '7' from 1 for 15);
end
$$;
revoke execute on function provisioning.uuid_v7() from public, anon, authenticated, service_role;
comment on function provisioning.uuid_v7() is
  'A new id that begins with the time. Rows that are made one after another lie side by side in their indexes, which on large
tables halves what a sign-up writes.';

create function provisioning.lock_table(p_table regclass) returns void
language plpgsql security definer set search_path = '' set lock_timeout = '400ms' as $$
declare
  v_attempts constant integer := 10;
  v_holders text;
begin
  for v_attempt in 1 .. v_attempts loop
    begin
      execute format('lock table %s in share row exclusive mode', p_table);
      return;
    exception when lock_not_available then
      select string_agg(format('process %s (%s%s): %s', a.pid, a.usename, coalesce(', ' || nullif(a.application_name, ''), ''),
        left(a.query, 100)), '; ') into v_holders
      from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
      where l.relation = p_table and a.datname = current_database() and l.granted and l.pid <> pg_backend_pid();
      if v_attempt = v_attempts then
        raise exception 'The table % is in use by others for too long, so this migration was not applied: %. Let them
end, then push again.', p_table, coalesce(v_holders, 'whoever it was has ended now') using errcode = 'lock_not_available';
      end if;
      raise notice 'Waiting for %, which is in use: %', p_table, v_holders;
      perform pg_sleep(0.4);
    end;
  end loop;
end
$$;
revoke execute on function provisioning.lock_table(regclass) from public, anon, authenticated, service_role;
comment on function provisioning.lock_table(regclass) is
  'For migrations that add triggers or foreign keys to a table in use. Whoever waits for that lock makes all others wait,
so each of ten attempts ends after 0.4 s and lets them through. Raises lock_not_available with what holds the table.';

create function provisioning.lock_users() returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.lock_table('auth.users');
end
$$;
revoke execute on function provisioning.lock_users() from public, anon, authenticated, service_role;
comment on function provisioning.lock_users() is 'lock_table for auth.users, where all sign-ins would wait.';

-- The numbers of the advisory locks. Every lock names one of these, so that no two purposes meet by accident; each is held until
-- the end of its transaction.
--   7221 one claim at a time (claim_jobs). In a tenant's own database: one worker at a time applies its schema.
--   7222 one entry at a time for a user: webhook, repair, backfill, deletion (the hash of the user's id)
--   7223 a slug that is being given away
--   7224 one request at a time for an organization: provision, cancel, resize, undo (the hash of the organization's id)
--   7225 one maker of partitions at a time
--   7226 one organization at a time that a user gets to own (the hash of the user's id)
