-- Tables of the project's own that are read instead of ours. Which ones is data (settings.mapping), written by map_tables;
-- without it nothing here does anything.
--
-- Ours keep a copy of what is read, because policies, search and indexes rest on it. Triggers on the project's tables have the
-- copy follow: they read the row again by its key and make ours like it, so that the end is the same whatever came before.
-- They never stop a statement of the project. What they could not do is recorded, and the sweep does it; and the sweep compares
-- all the rest in turn, for what no trigger told it (a restored dump, a trigger that was switched off).

create function provisioning.mapped(p_part text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select s.mapping -> p_part from provisioning.settings s);
end
$$;
revoke execute on function provisioning.mapped(text) from public, anon, authenticated, service_role;
comment on function provisioning.mapped(text) is
  'Which table of the project is read for a part (profiles, tenants, members) and the names of its columns; null when ours is in
use.';

-- Profiles ------------------------------------------------------------------------------------------------------------

create function provisioning.read_person(p_user_id uuid, out name text, out email text, out avatar_url text)
language plpgsql stable security definer set search_path = '' as $$
begin
  raise exception 'No table of profiles is read. Call provisioning.map_tables.'
    using errcode = 'object_not_in_prerequisite_state';
end
$$;
revoke execute on function provisioning.read_person(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.read_person(uuid) is
  'What is read of a user in the project''s own table, as it stands there; nulls without a row. map_tables writes it anew.';

create function provisioning.person_of_theirs(p_user_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_person record;
begin
  select p.name, p.email, p.avatar_url into v_person from provisioning.read_person(p_user_id) p;
  return jsonb_strip_nulls(jsonb_build_object('full_name', provisioning.plain_text(v_person.name, 200),
    'email', provisioning.plain_text(v_person.email, 320), 'avatar_url', case when v_person.avatar_url is not null then
      provisioning.avatar_of(jsonb_build_object('avatar_url', v_person.avatar_url)) end));
end
$$;
revoke execute on function provisioning.person_of_theirs(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.person_of_theirs(uuid) is
  'mapped_person for callers who know that profiles are mapped.';

create function provisioning.mapped_person(p_user_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if provisioning.mapped('profiles') is null then
    return '{}';
  end if;
  return provisioning.person_of_theirs(p_user_id);
end
$$;
revoke execute on function provisioning.mapped_person(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.mapped_person(uuid) is
  'Name, e-mail address and picture of a user as the project''s own table has them, without those that are empty or that a profile
could not have; {} without a row, or where no table is mapped.';

create function provisioning.follow_person(p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_person jsonb;
  v_email text;
begin
  -- During the sign-up the project's row may come first; ours is made with what stands there.
  if not exists (select from public.profiles p where p.id = p_user_id) then
    return;
  end if;
  v_person := provisioning.mapped_person(p_user_id);
  v_email := coalesce(v_person ->> 'email', (select nullif(btrim(u.email), '') from auth.users u where u.id = p_user_id));
  update public.profiles p
  set email = v_email, full_name = v_person ->> 'full_name', avatar_url = v_person ->> 'avatar_url'
  where p.id = p_user_id and (p.email, p.full_name, p.avatar_url)
    is distinct from (v_email, v_person ->> 'full_name', v_person ->> 'avatar_url');
end
$$;
revoke execute on function provisioning.follow_person(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.follow_person(uuid) is
  'Makes a profile say what the project''s own table says. Without an address there, it is the account''s.';

-- Following -----------------------------------------------------------------------------------------------------------

create table provisioning.mapping_failures (
  part text not null,
  -- Of the user or, with tenants and members, of the organization.
  id uuid not null,
  -- Whether it was deleted there.
  is_gone boolean not null,
  sqlstate text not null,
  message provisioning_types.kept_text not null,
  attempts integer not null default 1,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (part, id)
);
comment on table provisioning.mapping_failures is
  'Rows of the project''s own tables that ours could not follow. The sweep tries again, ever less often, and removes the row when
it worked.';
create index mapping_failures_due_idx on provisioning.mapping_failures (next_attempt_at);
alter table provisioning.mapping_failures enable row level security;
revoke all on provisioning.mapping_failures from anon, authenticated, service_role;

create function provisioning.record_mapping_failure(
  p_part text, p_id uuid, p_is_gone boolean, p_sqlstate text, p_message text
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into provisioning.mapping_failures as f (part, id, is_gone, sqlstate, message)
  values (p_part, p_id, p_is_gone, p_sqlstate, left(p_message, 4000))
  on conflict (part, id) do update set is_gone = excluded.is_gone, sqlstate = excluded.sqlstate, message = excluded.message,
    attempts = f.attempts + 1,
    next_attempt_at = now() + make_interval(secs => least(3600, 10 * power(2, least(f.attempts, 10))));
exception when others then
  raise warning '% % needs repair (%), and that could not be recorded: %', p_part, p_id, p_message, sqlerrm;
end
$$;
revoke execute on function provisioning.record_mapping_failure(text, uuid, boolean, text, text)
  from public, anon, authenticated, service_role;

create function provisioning.follow_row(
  p_part text, p_id uuid, p_user_id uuid default null, p_is_gone boolean default false
) returns void
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
begin
  case p_part
    when 'profiles' then perform provisioning.follow_person(p_id);
    when 'tenants' then perform provisioning.follow_tenant(p_id, p_is_gone);
    when 'members' then perform provisioning.follow_members(p_id, p_user_id);
  end case;
end
$$;
revoke execute on function provisioning.follow_row(text, uuid, uuid, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.follow_row(text, uuid, uuid, boolean) is
  'Makes ours say what the project''s own table says of this id; of its members, one or all. Safe to repeat.';

create function provisioning.try_to_follow_row(p_part text, p_id uuid, p_is_gone boolean default false) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.follow_row(p_part, p_id, p_is_gone => p_is_gone);
  return true;
exception when others then
  perform provisioning.record_mapping_failure(p_part, p_id, p_is_gone, sqlstate, sqlerrm);
  return false;
end
$$;
revoke execute on function provisioning.try_to_follow_row(text, uuid, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.try_to_follow_row(text, uuid, boolean) is
  'follow_row for the sweep: trouble goes to mapping_failures, and the answer is false.';

create function provisioning.follow_new_person(p_user_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  -- During the sign-up ours is made later, with what stands there.
  return p_user_id is null or not exists (select from public.profiles p where p.id = p_user_id);
end
$$;
revoke execute on function provisioning.follow_new_person(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.follow_new_person(uuid) is
  'For a new row of the project''s profiles: whether there is nothing to do. False when follow_row has to look.';

create function provisioning.follow_changed_row(p_part text, p_columns text[], p_old jsonb, p_new jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_before constant text[] := array(
    select p_old ->> c.name from unnest(p_columns) with ordinality c (name, place) order by c.place);
  v_after constant text[] := array(
    select p_new ->> c.name from unnest(p_columns) with ordinality c (name, place) order by c.place);
  v_key record;
begin
  if v_before = v_after then
    return;
  end if;
  if provisioning.statement_timed_out() then
    raise query_canceled using message = 'The statement had no time left.';
  end if;
  for v_key in
    select distinct k.id::uuid as id, case when p_part = 'members' then k.user_id::uuid end as user_id
    from (values (v_before[1], v_before[2]), (v_after[1], v_after[2])) k (id, user_id) where k.id is not null
  loop
    perform provisioning.follow_row(p_part, v_key.id, v_key.user_id, v_key.id::text is distinct from v_after[1]);
  end loop;
end
$$;
revoke execute on function provisioning.follow_changed_row(text, text[], jsonb, jsonb)
  from public, anon, authenticated, service_role;
comment on function provisioning.follow_changed_row(text, text[], jsonb, jsonb) is
  'For the triggers on tables of the project: has ours follow when something changed in a row that is read. p_columns are
mapped_columns, p_old and p_new the whole row before and after, null where there is none.';

create function provisioning.record_unfollowed_row(
  p_part text, p_key text, p_old jsonb, p_new jsonb, p_sqlstate text, p_message text
) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.record_mapping_failure(p_part, k.id::uuid, k.id is distinct from p_new ->> p_key, p_sqlstate, p_message)
  from (select p_old ->> p_key union select p_new ->> p_key) k (id) where k.id is not null;
-- The key may be another one by now.
exception when others then
  raise warning 'a row of % needs repair (%), and that could not be recorded: %', p_part, p_message, sqlerrm;
end
$$;
revoke execute on function provisioning.record_unfollowed_row(text, text, jsonb, jsonb, text, text)
  from public, anon, authenticated, service_role;

create function provisioning.handle_mapped_profiles() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  return null;
end
$$;
revoke execute on function provisioning.handle_mapped_profiles() from public, anon, authenticated, service_role;
comment on function provisioning.handle_mapped_profiles() is
  'Trigger on a table of the project: has ours follow when a row is new or something changed that is read. It never stops the
statement; trouble goes to mapping_failures. map_tables writes it anew.';

create function provisioning.repair_mapped_rows(p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_failure record;
  v_repaired integer := 0;
begin
  for v_failure in
    select f.part, f.id, f.is_gone from provisioning.mapping_failures f where f.next_attempt_at <= now()
    order by f.next_attempt_at limit p_limit for update skip locked
  loop
    if provisioning.try_to_follow_row(v_failure.part, v_failure.id, v_failure.is_gone) then
      delete from provisioning.mapping_failures f where f.part = v_failure.part and f.id = v_failure.id;
      v_repaired := v_repaired + 1;
    end if;
  end loop;
  return v_repaired;
end
$$;
revoke execute on function provisioning.repair_mapped_rows(integer) from public, anon, authenticated, service_role;

create function provisioning.compare_profiles(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_at constant uuid := (select d.compared_profile from provisioning.dispatch_state d);
  v_ids constant uuid[] := array(
    select p.id from public.profiles p where v_at is null or p.id > v_at order by p.id limit p_limit);
begin
  perform provisioning.try_to_follow_row('profiles', i.id) from unnest(v_ids) i (id);
  -- A portion that is not full was the last of its round.
  update provisioning.dispatch_state set compared_profile = case when cardinality(v_ids) = p_limit then v_ids[p_limit] end;
end
$$;
revoke execute on function provisioning.compare_profiles(integer) from public, anon, authenticated, service_role;
comment on function provisioning.compare_profiles(integer) is
  'Has the next p_limit profiles follow the project''s own table, and begins anew after the last.';

create function provisioning.follow_mapped_tables(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_mapping constant jsonb := (select s.mapping from provisioning.settings s);
begin
  if v_mapping is null then
    return;
  end if;
  perform provisioning.repair_mapped_rows(p_limit);
  if v_mapping ? 'profiles' then
    perform provisioning.compare_profiles(p_limit);
  end if;
  if v_mapping ? 'tenants' then
    perform provisioning.compare_organizations(p_limit);
  end if;
end
$$;
revoke execute on function provisioning.follow_mapped_tables(integer) from public, anon, authenticated, service_role;
comment on function provisioning.follow_mapped_tables(integer) is
  'For the sweep: does what triggers could not, and compares the next p_limit rows of ours with the project''s own tables.';

-- Choosing ------------------------------------------------------------------------------------------------------------

create function provisioning.mapped_columns(p_part text, p_map jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return case p_part
    when 'profiles' then array[p_map ->> 'user'] || array(select jsonb_array_elements_text(p_map -> 'name'))
      || array_remove(array[p_map ->> 'email', p_map ->> 'avatar'], null)
    when 'tenants' then array_remove(array[p_map ->> 'id', p_map ->> 'name', p_map ->> 'owner'], null)
    when 'members' then array_remove(array[p_map ->> 'organization', p_map ->> 'user', p_map ->> 'role'], null) end;
end
$$;
revoke execute on function provisioning.mapped_columns(text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.mapped_columns(text, jsonb) is 'The columns of a mapped table that are read, its key first.';

create function provisioning.mapped_ids(p_map jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return array_remove(array[p_map ->> 'user', p_map ->> 'id', p_map ->> 'owner', p_map ->> 'organization'], null);
end
$$;
revoke execute on function provisioning.mapped_ids(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.mapped_ids(jsonb) is 'The columns of a mapped table that are ids.';

create function provisioning.assert_mappable(p_table regclass, p_columns text[], p_ids text[]) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
  v_missing text := (
    select string_agg(c.name, ', ') from unnest(p_columns) c (name) where not exists (
      select from pg_catalog.pg_attribute a
      where a.attrelid = p_table and a.attname = c.name and a.attnum > 0 and not a.attisdropped));
  v_other text := (
    select string_agg(a.attname || ' is ' || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ') from pg_catalog.pg_attribute a
    where a.attrelid = p_table and a.attname = any (p_ids) and a.atttypid <> 'uuid'::regtype);
begin
  if not exists (select from pg_catalog.pg_class c where c.oid = p_table and c.relkind in ('r', 'p')) then
    raise exception '% is no table.', p_table using errcode = 'wrong_object_type';
  elsif v_missing is not null then
    raise exception 'The table % has no column %.', p_table, v_missing using errcode = 'undefined_column';
  elsif v_other is not null then
    raise exception 'Ids are uuid here, and in % the column %.', p_table, v_other using errcode = 'datatype_mismatch';
  end if;
end
$$;
revoke execute on function provisioning.assert_mappable(regclass, text[], text[]) from public, anon, authenticated, service_role;

create function provisioning.mapping_problem(p_part text, p_map jsonb) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  perform provisioning.assert_mappable((p_map ->> 'table')::regclass, provisioning.mapped_columns(p_part, p_map),
    provisioning.mapped_ids(p_map));
  return null;
exception when others then
  return left(sqlerrm, 1000);
end
$$;
revoke execute on function provisioning.mapping_problem(text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.mapping_problem(text, jsonb) is
  'Why a table of the project cannot be read as it was mapped: the table or a column has another name, or is something else. Null
while it can.';

-- What each sign-up of the project runs is written with the names of its table and columns when these are chosen: a statement
-- that is put together when it runs is planned each time, and a row is read by its fields in a fraction of the time that a copy
-- of it as jsonb takes.

create function provisioning.write_person_reader(p_map jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  -- Only the beginning of a text is read: theirs have no limits.
  v_names constant text := (
    select string_agg(format('nullif(btrim(left(t.%I::text, 1000)), '''')', c.name), ', ' order by c.place)
    from jsonb_array_elements_text(p_map -> 'name') with ordinality c (name, place));
  v_email constant text := case when p_map ? 'email' then format('left(t.%I::text, 1000)', p_map ->> 'email') else 'null' end;
  v_avatar constant text := case when p_map ? 'avatar' then format('left(t.%I::text, 2049)', p_map ->> 'avatar') else 'null' end;
begin
  -- By its number, because a column may be called as the argument is.
  execute format('create or replace function provisioning.read_person(p_user_id uuid, out name text, out email text, '
    'out avatar_url text) language plpgsql stable security definer set search_path = '''' as %L', format('
begin
  select concat_ws('' '', %s), %s, %s into name, email, avatar_url
  from %s t where t.%I = $1 limit 1;
end
', v_names, v_email, v_avatar, p_map ->> 'table', p_map ->> 'user'));
end
$$;
revoke execute on function provisioning.write_person_reader(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.write_person_reader(jsonb) is
  'Makes read_person, which reads the row of a user in the table and columns of a mapping.';

create function provisioning.write_row_trigger(p_part text, p_map jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_columns constant text[] := provisioning.mapped_columns(p_part, p_map);
  v_is_done text;
begin
  case p_part
    when 'profiles' then
      v_is_done := format('provisioning.follow_new_person(new.%I)', p_map ->> 'user');
    when 'tenants' then
      v_is_done := format('provisioning.make_new_tenant(new.%I, left(new.%I::text, 1000), %s)', p_map ->> 'id', p_map ->> 'name',
        case when p_map ? 'owner' then format('new.%I', p_map ->> 'owner') else 'null' end);
    when 'members' then
      v_is_done := format('provisioning.add_new_member(new.%I, new.%I, %s)', p_map ->> 'organization', p_map ->> 'user',
        case when p_map ? 'role' then format('left(new.%I::text, 100)', p_map ->> 'role') else 'null' end);
  end case;
  execute format('create or replace function provisioning.%I() returns trigger language plpgsql security definer '
    'set search_path = '''' as %L', 'handle_mapped_' || p_part, format('
begin
  if tg_op = ''INSERT'' then
    if current_setting(''statement_timeout'') <> ''0'' then
      if provisioning.statement_timed_out() then
        raise query_canceled using message = ''The statement had no time left.'';
      end if;
    end if;
    if %s then
      return null;
    end if;
  end if;
  perform provisioning.follow_changed_row(%L, %L, to_jsonb(old), to_jsonb(new));
  return null;
exception
  when query_canceled then
    -- A client that has given up ends its statement. A statement_timeout does not: the project''s own work was done in time.
    if not provisioning.statement_timed_out(sqlerrm) then
      raise;
    end if;
    perform provisioning.record_unfollowed_row(%2$L, %4$L, to_jsonb(old), to_jsonb(new), sqlstate, sqlerrm);
    return null;
  when others then
    perform provisioning.record_unfollowed_row(%2$L, %4$L, to_jsonb(old), to_jsonb(new), sqlstate, sqlerrm);
    return null;
end
', v_is_done, p_part, v_columns, v_columns[1]));
end
$$;
revoke execute on function provisioning.write_row_trigger(text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.write_row_trigger(text, jsonb) is
  'Makes handle_mapped_ and the part, the function of our trigger on the table of a mapping.';

create function provisioning.map_table(p_part text, p_map jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_trigger constant text := 'A_tenant_provisioning_' || p_part;
  v_table constant regclass := (p_map ->> 'table')::regclass;
  v_before constant regclass := to_regclass(provisioning.mapped(p_part) ->> 'table');
  v_columns constant text[] := provisioning.mapped_columns(p_part, p_map);
begin
  perform provisioning.assert_mappable(v_table, v_columns, provisioning.mapped_ids(p_map));
  if v_before <> v_table then
    perform provisioning.lock_table(v_before);
    execute format('drop trigger if exists %I on %s', v_trigger, v_before);
  end if;
  perform provisioning.lock_table(v_table);
  p_map := p_map || jsonb_build_object('table', v_table::text);
  if p_part = 'profiles' then
    perform provisioning.write_person_reader(p_map);
  end if;
  perform provisioning.write_row_trigger(p_part, p_map);
  -- By its first letter it comes before the triggers of foreign keys, which are called RI_…. It names no column, because Postgres
  -- would not let the project change the type of one that a trigger names.
  execute format('create or replace trigger %I after insert or update or delete on %s for each row '
    'execute function provisioning.%I()', v_trigger, v_table, 'handle_mapped_' || p_part);
  return p_map;
end
$$;
revoke execute on function provisioning.map_table(text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.map_table(text, jsonb) is
  'Writes what reads and follows a table of the project, puts our trigger on it, and takes it off the one that was mapped before.
Returns the mapping with the full name of the table. Raises when the table cannot be mapped.';

create function provisioning.map_tables(p_mapping jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_part text;
  v_mapping jsonb := coalesce((select s.mapping from provisioning.settings s), '{}');
begin
  for v_part in select jsonb_object_keys(p_mapping) loop
    v_mapping := v_mapping || jsonb_build_object(v_part, provisioning.map_table(v_part, p_mapping -> v_part));
  end loop;
  if (v_mapping ? 'tenants') <> (v_mapping ? 'members') then
    raise exception 'Tenants are read together with their members.' using errcode = 'invalid_parameter_value';
  end if;
  update provisioning.settings set mapping = v_mapping;
  -- What comes from there is not said in ours any more.
  if v_mapping ? 'profiles' then
    revoke insert, update on public.profiles from authenticated, service_role;
    grant update (discoverable) on public.profiles to authenticated, service_role;
  end if;
  if v_mapping ? 'tenants' then
    revoke update (name) on public.organizations from authenticated, service_role;
    revoke insert, update, delete on public.organization_members from service_role;
    delete from provisioning.expected_members;
  end if;
end
$$;
revoke execute on function provisioning.map_tables(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.map_tables(jsonb) is
  'For migrations: from now on reads tables of the project instead of ours. By part: profiles {table, user, name: [columns],
email, avatar}, tenants {table, id, name, owner}, members {table, organization, user, role, roles: {theirs: ours}}; email, avatar,
owner, role and roles are optional. Ours follow within the sweep''s next rounds. To be called again for other tables.';
