-- Whose rows these are. A clone or a restored copy has the same rows, Vault and cron jobs as the original, so only the address
-- under which functions run tells them apart.

create table provisioning.project_identity (
  id boolean primary key default true check (id),
  -- The project whose resources the rows name, as project_of gives it; null until deploy or a function has recorded it.
  project text,
  recorded_at timestamptz,
  -- Functions of another project that were refused: this is a copy, or functions elsewhere use this database.
  foreign_project text,
  foreign_seen_at timestamptz,
  constraint project_has_a_time check ((project is null) = (recorded_at is null)),
  constraint foreign_project_has_a_time check ((foreign_project is null) = (foreign_seen_at is null)),
  constraint foreign_project_is_another check (foreign_project <> project)
);
insert into provisioning.project_identity default values;
alter table provisioning.project_identity enable row level security;
revoke all on provisioning.project_identity from anon, authenticated, service_role;

create function provisioning.project_of(p_url text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_host text := substring(lower(p_url) from '^https?://(?:[^/@]*@)?(\[[0-9a-f:]+\]|[^/:?#]+)');
begin
  if v_host is null then
    raise exception 'The address of a project begins with http:// or https:// and has a host.' using errcode = 'TP422';
  end if;
  return case
    when v_host in ('localhost', '[::1]') or v_host ~ '^127(\.[0-9]+){3}$' then 'local'
    when v_host ~ '^[a-z]{20}\.supabase\.co$' then split_part(v_host, '.', 1)
    else left(v_host, 253) end;
end
$$;
revoke execute on function provisioning.project_of(text) from public, anon, authenticated, service_role;
comment on function provisioning.project_of(text) is
  'Which project has this address: the ref of a hosted one; "local" on this machine, whose ports change with each start; else the
host. Raises TP422 for what is no address.';

create function provisioning.record_project(p_url text, p_instead_of text default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_project text := provisioning.project_of(p_url);
  v_recorded text;
begin
  select i.project into v_recorded from provisioning.project_identity i for update;
  if v_recorded = v_project then
    return v_project;
  elsif v_recorded is distinct from p_instead_of then
    raise exception 'These rows belong to the project %: their resources must not be touched by %.',
      coalesce(v_recorded, '(none recorded)'), v_project using errcode = 'TP409';
  end if;
  update provisioning.project_identity i
  set project = v_project, recorded_at = now(), foreign_project = null, foreign_seen_at = null where i.id;
  -- It belongs to no organization; rows of the nil one are for the service role's eyes.
  perform provisioning.audit('00000000-0000-0000-0000-000000000000', 'project.recorded', 'project', v_project,
    jsonb_build_object('instead_of', v_recorded, 'by_role', session_user));
  return v_project;
end
$$;
revoke execute on function provisioning.record_project(text, text) from public, anon, authenticated, service_role;
comment on function provisioning.record_project(text, text) is
  'Records whose rows these are, by the address of the project, and returns it; for deploy, as often as it likes. Raises TP409
when another project is recorded, unless p_instead_of names it: that is for a project which takes the place of one that is gone,
with all its resources. Audited.';

create function provisioning.check_project(p_url text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_project text := provisioning.project_of(p_url);
  v_identity provisioning.project_identity;
begin
  select * into v_identity from provisioning.project_identity;
  if v_identity.project is null then
    -- Two that come first take turns; the later one may be another project.
    select * into v_identity from provisioning.project_identity for update;
    if v_identity.project is null then
      perform provisioning.record_project(p_url);
      return null;
    end if;
  end if;
  if v_identity.project = v_project then
    return null;
  end if;
  -- Callers come as often as they like; nobody needs the time to the second.
  update provisioning.project_identity i set foreign_project = v_project, foreign_seen_at = now()
  where i.foreign_project is distinct from v_project or i.foreign_seen_at < now() - interval '1 minute';
  return v_identity.project;
end
$$;
revoke execute on function provisioning.check_project(text) from public, anon, authenticated, service_role;
comment on function provisioning.check_project(text) is
  'For functions, with the address under which they run: null when these rows are theirs, else the project whose rows they are.
The first contact records the project.';
