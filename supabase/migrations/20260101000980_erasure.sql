-- What becomes of names and addresses: which texts are written without them, and what the removal of a person takes away.

-- Texts without names ------------------------------------------------------------------------------------------------

create function provisioning.without_names(p_text text, p_names text[]) returns text
language plpgsql immutable set search_path = '' as $$
declare
  -- No asterisk: what a masked password has left of a connection URI is no address.
  v_text text := regexp_replace(p_text, '[^][\s@<>()"'',;:*]+@[^][\s@<>()"'',;:*]+\.[[:alpha:]]{2,}', '[address]', 'g');
  v_name text;
begin
  -- The longest first, so that "Ann Archer" is found before "Ann". Two letters are too little to be told from other words.
  foreach v_name in array coalesce(array(
    select distinct on (length(n), n) n from unnest(p_names) n where length(n) > 2 order by length(n) desc, n), '{}')
  loop
    v_text := regexp_replace(v_text,
      '(?<![[:alnum:]])' || regexp_replace(v_name, '([][\\.^$*+?(){}|])', '\\\1', 'g') || '(?![[:alnum:]])', '[name]', 'gi');
  end loop;
  return v_text;
end
$$;
revoke execute on function provisioning.without_names(text, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.without_names(text, text[]) is
  'The text with [address] in place of each e-mail address and [name] in place of each of the names, where they are whole words.';

create function provisioning.without_names(p_value jsonb, p_names text[]) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return case jsonb_typeof(p_value)
    -- What was an address and nothing else is read by programs, which would take the words for one.
    when 'string' then to_jsonb(nullif(provisioning.without_names(p_value #>> '{}', p_names), '[address]'))
    when 'array' then (
      select coalesce(jsonb_agg(provisioning.without_names(e.value, p_names) order by e.n), '[]')
      from jsonb_array_elements(p_value) with ordinality e (value, n))
    when 'object' then (
      -- Codes and ids are ours.
      select coalesce(jsonb_object_agg(e.key, case when e.key in ('code', 'step', 'kind', 'key') or e.key like '%id' then e.value
        else provisioning.without_names(e.value, p_names) end), '{}')
      from jsonb_each(p_value) e)
    else p_value end;
end
$$;
revoke execute on function provisioning.without_names(jsonb, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.without_names(jsonb, text[]) is
  'The value with names and addresses taken out of each text in it. A text that is an address as a whole becomes null.';

create function provisioning.names_kept(p_organization_ids uuid[], p_person_id uuid default null) returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
  return array(
    select v #>> '{}' from provisioning.personal_details d
    cross join lateral jsonb_path_query(d.details, 'strict $.** ? (@.type() == "string")') v
    where d.organization_id = any (p_organization_ids) and (p_person_id is null or d.person_id = p_person_id));
end
$$;
revoke execute on function provisioning.names_kept(uuid[], uuid) from public, anon, authenticated, service_role;
comment on function provisioning.names_kept(uuid[], uuid) is
  'The names and addresses in personal_details that belong to organizations, of everybody or of one person.';

create function provisioning.names_of_organization(p_organization_id uuid) returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
  return array(
    select unnest(array[o.name, o.slug, o.billing_email]) from public.organizations o where o.id = p_organization_id
    union
    select unnest(array[p.full_name, p.email]) from (
      select m.user_id from public.organization_members m where m.organization_id = p_organization_id
      order by m.created_at limit 50) m join public.profiles p on p.id = m.user_id
    union
    select unnest(provisioning.names_kept(array[p_organization_id])));
end
$$;
revoke execute on function provisioning.names_of_organization(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.names_of_organization(uuid) is
  'What the organization and its members are called and were called, with their addresses: what texts about it must not hold.';

-- A provider or a tenant's database may repeat in an error whatever it was sent. So these triggers take the names out before the
-- text is stored; a row of the history could not be corrected afterwards.

create function provisioning.store_event_without_names() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.error_message := provisioning.without_names(new.error_message, provisioning.names_of_organization(new.organization_id));
  return new;
end
$$;
revoke execute on function provisioning.store_event_without_names() from public, anon, authenticated, service_role;
create trigger provisioning_events_name_nobody before insert on public.provisioning_events
  for each row when (new.error_message is not null) execute function provisioning.store_event_without_names();

create function provisioning.store_job_error_without_names() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.last_error is null or new.last_error is not distinct from old.last_error then
    return new;
  end if;
  new.last_error := provisioning.without_names(new.last_error, provisioning.names_of_organization(new.organization_id));
  return new;
end
$$;
revoke execute on function provisioning.store_job_error_without_names() from public, anon, authenticated, service_role;
create trigger provisioning_jobs_name_nobody before update of last_error on public.provisioning_jobs
  for each row execute function provisioning.store_job_error_without_names();

create function provisioning.store_step_error_without_names() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.error := provisioning.without_names(new.error, provisioning.names_of_organization(new.organization_id));
  return new;
end
$$;
revoke execute on function provisioning.store_step_error_without_names() from public, anon, authenticated, service_role;
create trigger provisioning_steps_name_nobody before update of error on public.provisioning_steps
  for each row when (new.error is not null and new.error is distinct from old.error)
  execute function provisioning.store_step_error_without_names();

create function provisioning.store_alert_without_names() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_names text[] := provisioning.names_of_organization(new.organization_id);
begin
  new.message := provisioning.without_names(new.message, v_names);
  new.metadata := provisioning.without_names(new.metadata, v_names);
  return new;
end
$$;
revoke execute on function provisioning.store_alert_without_names() from public, anon, authenticated, service_role;
create trigger tenant_alerts_name_nobody before insert or update of message, metadata on public.tenant_alerts
  for each row execute function provisioning.store_alert_without_names();

create function provisioning.store_delivery_error_without_names() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.last_error := provisioning.without_names(new.last_error, provisioning.names_of_organization((
    select a.organization_id from public.tenant_alerts a where a.id = new.alert_id)));
  return new;
end
$$;
revoke execute on function provisioning.store_delivery_error_without_names() from public, anon, authenticated, service_role;
create trigger alert_deliveries_name_nobody before update of last_error on provisioning.alert_deliveries
  for each row when (new.last_error is not null) execute function provisioning.store_delivery_error_without_names();

-- The organization goes to another owner -----------------------------------------------------------------------------

create function provisioning.adopt_billing_address() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if old.owner_id = new.owner_id or old.billing_email is distinct from new.billing_email then
    return new;
  end if;
  new.billing_email := (select u.email from auth.users u where u.id = new.owner_id);
  return new;
end
$$;
revoke execute on function provisioning.adopt_billing_address() from public, anon, authenticated, service_role;
comment on function provisioning.adopt_billing_address() is
  'Trigger: an organization that gets another owner keeps its name and gets that owner''s address for bills, unless the same
statement gives it one.';
create trigger organizations_adopt_billing_address before update of owner_id on public.organizations
  for each row execute function provisioning.adopt_billing_address();

-- A person goes ------------------------------------------------------------------------------------------------------

create function provisioning.erase_names(p_organization_id uuid, p_names text[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.provisioning_jobs j set request = provisioning.without_names(j.request, p_names),
    last_error = provisioning.without_names(j.last_error, p_names)
  where j.organization_id = p_organization_id
    and (j.request, j.last_error) is distinct from
      (provisioning.without_names(j.request, p_names), provisioning.without_names(j.last_error, p_names));
  update public.provisioning_steps s set output = provisioning.without_names(s.output, p_names),
    error = provisioning.without_names(s.error, p_names)
  where s.organization_id = p_organization_id
    and (s.output, s.error) is distinct from
      (provisioning.without_names(s.output, p_names), provisioning.without_names(s.error, p_names));
  -- What was sent in a request whose answer is open. What it made is found by the organization's id, too.
  update public.tenant_resources r set details = provisioning.without_names(r.details, p_names)
  where r.organization_id = p_organization_id and r.details is distinct from provisioning.without_names(r.details, p_names);
  update public.tenant_alerts a set message = provisioning.without_names(a.message, p_names),
    metadata = provisioning.without_names(a.metadata, p_names)
  where a.organization_id = p_organization_id
    and (a.message, a.metadata) is distinct from
      (provisioning.without_names(a.message, p_names), provisioning.without_names(a.metadata, p_names));
  update provisioning.alert_deliveries d set last_error = provisioning.without_names(d.last_error, p_names)
  from public.tenant_alerts a
  where a.organization_id = p_organization_id and d.alert_id = a.id
    and d.last_error is distinct from provisioning.without_names(d.last_error, p_names);
  update public.tenant_api_keys k set name = left(provisioning.without_names(k.name, p_names), 100)
  where k.organization_id = p_organization_id and k.name is distinct from provisioning.without_names(k.name, p_names);
  update public.tenant_health_checks h set reasons = provisioning.without_names(h.reasons, p_names)
  where h.organization_id = p_organization_id and h.reasons is distinct from provisioning.without_names(h.reasons, p_names);
end
$$;
revoke execute on function provisioning.erase_names(uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.erase_names(uuid, text[]) is
  'Takes names and all e-mail addresses out of whatever of an organization can still be changed.';

create function provisioning.organizations_around(p_user_id uuid) returns uuid[]
language plpgsql stable security definer set search_path = '' as $$
begin
  return array(
    select o.id from public.organizations o where o.owner_id = p_user_id
    union
    select m.organization_id from public.organization_members m where m.user_id = p_user_id
    union
    -- The nil organization stands for none: it has the entries about operators.
    select d.organization_id from provisioning.personal_details d
    where d.person_id = p_user_id and d.organization_id <> '00000000-0000-0000-0000-000000000000');
end
$$;
revoke execute on function provisioning.organizations_around(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.organizations_around(uuid) is
  'The organizations whose rows may name a person: those that the person owns, belongs to, or has left names in.';

create function provisioning.erase_person(p_user_id uuid, p_email text, p_metadata jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_around uuid[] := provisioning.organizations_around(p_user_id);
  v_names text[];
  -- The account may have a name of 16 MB, of which nothing of ours holds more than the beginning.
  v_metadata constant jsonb := provisioning.cut_metadata(p_metadata);
  v_of_organizations jsonb;
  v_gone uuid[];
begin
  perform provisioning.assert_not_held(v_around);
  -- Accounts come before jobs in the order of locks: whoever may inherit is locked first, or waited for when just being deleted.
  perform from auth.users u
  where u.id in (
    select h.user_id from public.organizations o cross join provisioning.possible_heirs(o.id, p_user_id) h
    where o.owner_id = p_user_id)
  order by u.id for share of u;
  -- Jobs are locked before their organization, as workers do, and a provision job before what undoes it.
  perform from public.provisioning_jobs j where j.organization_id = any (v_around)
  order by j.organization_id, j.kind <> provisioning.kind_for('provision'), j.created_at for update;
  v_names := provisioning.names_kept(v_around, p_user_id) || array[p_email,
      provisioning.plain_text(v_metadata ->> 'full_name', 200), provisioning.plain_text(v_metadata ->> 'name', 200)]
    || coalesce((select array[p.full_name, p.email] from public.profiles p where p.id = p_user_id), '{}');
  select jsonb_object_agg(o.id, array[o.name, o.slug, o.billing_email]) into v_of_organizations
  from public.organizations o where o.owner_id = p_user_id;
  -- What the running transaction has made of a user who has gone is not to be changed any more, which would have the key to the
  -- user checked again. So it goes before that which would change it.
  delete from public.profiles p where p.id = p_user_id;
  delete from provisioning.waiting_users w where w.user_id = p_user_id;
  perform provisioning.release_organizations(p_user_id);
  v_gone := array(select unnest(v_around) except select o.id from public.organizations o where o.id = any (v_around));
  perform provisioning.erase_names(around.id, v_names || case when around.id = any (v_gone) then
    array(select jsonb_array_elements_text(v_of_organizations -> around.id::text)) else '{}' end)
  from unnest(v_around) around (id);
  delete from provisioning.personal_details d where d.person_id = p_user_id or d.organization_id = any (v_gone);
  delete from provisioning.expected_members e where e.email = lower(btrim(p_email));
  perform provisioning.forget_calls(p_email);
end
$$;
revoke execute on function provisioning.erase_person(uuid, text, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.erase_person(uuid, text, jsonb) is
  'What happens when a user goes: the user''s organizations pass to another owner or are removed (release_organizations), and of
the rest, ids and acts stay, while names and addresses go. Raises TP451 when an organization of the user is under a legal hold.';
