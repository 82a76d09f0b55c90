-- What work there is, as rows: the engine knows services, tiers, workers, lanes and kinds only from here. The rows of each
-- service stand in its own migration (…_service_stripe.sql, …_service_neon.sql).

-- What holds of a tenant, or does not (tenant_checks.sql). status: ok; warning (the tenant is ready all the same); waiting (it
-- goes on by itself); failed (somebody has to act). code: null when the check is ok. service: of the step or the resource.
-- failure_code: of the job that failed.
create type provisioning.tenant_check as ("check" text, status text, code text, found text, service text, failure_code text);

create table provisioning.services (
  service text primary key,
  label text not null,
  -- Facts of an organization of which a ready service must be told again when they change: 'database_size', 'data_region' …
  follows text[] not null default '{}',
  -- A function of this schema that makes tenant_checks of the facts about a tenant (tenant_facts.sql). Null for one check of what
  -- the service's steps amount to.
  checked_by text
);
comment on table provisioning.services is 'What a tenant is made of outside of this database, one row for each provider''s part.';

create table provisioning.tiers (
  tier text primary key,
  label text not null,
  -- What a tenant of this tier gets, in the order in which provisioning_status lists it. A service that is taken out is not made
  -- for whoever comes from then on; what was made of it is removed as before. One without steps in the tier reads
  -- 'not_requested'.
  services text[] not null,
  -- Databases of this tier are in a list that is read page by page (fleet_list.sql), and have the quotas of plans. Otherwise
  -- their host answers for all of them at once, so that each may be asked for.
  in_fleet_list boolean not null default true,
  -- What provisioning_status says of a new organization of this tier, and the kind of job that provisions it. A trigger keeps
  -- both right, so that a sign-up finds all that it needs to know of the tier in one row.
  initial_status jsonb not null default '{}',
  provisioned_by text
);
comment on table provisioning.tiers is 'What a tenant may consist of: a tier names the services that provisioning_status lists.';
insert into provisioning.tiers (tier, label, services) values
  ('database', 'A database of its own', '{stripe,neon,graphql}'),
  -- Each service of it adds itself.
  ('project', 'A Supabase project of its own', '{stripe}');
alter table provisioning.settings
  add constraint default_tier_exists foreign key (default_tier) references provisioning.tiers;
create index settings_default_tier_idx on provisioning.settings (default_tier);

create table provisioning.workers (
  worker text primary key,
  -- The Edge Function in which it runs.
  function_name text not null
);
comment on table provisioning.workers is 'Who can be rung for work, and at which Edge Function.';
insert into provisioning.workers (worker, function_name) values
  ('provisioning', 'provision-tenant-resources'),
  ('removal', 'deprovision-tenant-resources');

create table provisioning.lanes (
  lane text primary key,
  -- A job in this lane counts as due so much later than it is. There is one order over all lanes; so whoever has waited longer
  -- than this goes before somebody who has just come, and nobody waits for ever. Until then it is not begun in a worker that is
  -- at work for a lane with a smaller handicap.
  handicap_seconds integer not null,
  -- Jobs of this lane under a live lease at once, over all workers and in one worker; null for no limit of its own. They keep
  -- places free for the other lanes.
  max_running integer,
  max_running_per_worker integer,
  -- The share of each provider's rate limits that this lane leaves to the others, from 0 to 1.
  provider_reserve numeric not null default 0,
  constraint handicap_is_not_negative check (handicap_seconds >= 0),
  constraint caps_are_positive check (least(max_running, max_running_per_worker) > 0),
  constraint provider_reserve_is_a_share check (provider_reserve >= 0 and provider_reserve < 1)
);
comment on table provisioning.lanes is
  'Which work goes first. sign_up: people who have just signed up. request: people who wait for something that they have asked
for. batch: what nobody waits for, such as a backfill; it never takes the places or the calls that a sign-up needs.';
insert into provisioning.lanes (lane, handicap_seconds, max_running, max_running_per_worker, provider_reserve) values
  ('sign_up', 0, null, null, 0),
  -- A tenant can make a request last until its step gives up, and many can do so at once: they never have all places of
  -- settings.max_running_jobs, nor all of a worker.
  ('request', 0, 30, 8, 0.25),
  ('batch', 600, 10, 4, 0.5);

create table provisioning.job_kinds (
  kind text primary key,
  label text not null,
  worker text not null references provisioning.workers,
  -- Where a job goes unless it is enqueued into another lane.
  lane text not null references provisioning.lanes,
  -- Jobs of this kind under a live lease at once, over all workers; null for no limit of its own.
  max_running integer,
  -- Jobs of this kind at once in one worker, where its lane has a limit for that: these places are its own, beside those that the
  -- other kinds of the lane share. Null for a kind that shares them.
  max_running_per_worker integer,
  -- The services that it works on, or {*} for all. Two jobs of one organization whose kinds have one in common are never at
  -- work at once.
  works_on text[] not null,
  -- provision: makes the tenant; provisioning_status tells of the newest job of this kind. revert: takes back what a cancelled
  -- provisioning has made. remove: removes what a deleted organization had. follow: tells
  -- services of an organization's new name or billing address. move: brings a tenant into another tier.
  -- maintain: everything else.
  purpose text not null,
  -- Which database its steps see and write while a tenant is moved: the one that is in use (current), the one that it moves to
  -- (coming), or the one that it has left (former). A job of the last two may be of another tier than its organization.
  which_database text not null default 'current',
  -- The kind whose work a job of this kind takes back.
  undoes text references provisioning.job_kinds,
  -- The kind whose steps a job of this kind has beside its own, as far as the tenant that is moved does not have their services
  -- already: see steps_beside.
  has_steps_of text references provisioning.job_kinds,
  -- A function of this schema that prepare_job calls with the job's id, when a worker has claimed the job. Its name and not its
  -- oid (regprocedure), because pg_upgrade refuses a database that keeps those in a table.
  before_steps text,
  -- A function of this schema that each sweep calls with settings.sweep_repairs: it makes jobs of this kind, at most so many.
  made_by_sweep text,
  constraint max_running_is_positive check (least(max_running, max_running_per_worker) > 0),
  constraint works_on_something check (cardinality(works_on) > 0),
  constraint purpose_is_known check (purpose in ('provision', 'revert', 'remove', 'follow', 'move', 'maintain')),
  constraint database_is_known check (which_database in ('current', 'coming', 'former')),
  constraint undoing_kinds_say_what check ((purpose in ('revert', 'remove')) = (undoes is not null))
);
comment on table provisioning.job_kinds is 'The kinds of job: who runs one, in which lane, and what it excludes and undoes.';
create index job_kinds_worker_idx on provisioning.job_kinds (worker);
create index job_kinds_lane_idx on provisioning.job_kinds (lane);
create index job_kinds_undoes_idx on provisioning.job_kinds (undoes);
create index job_kinds_has_steps_of_idx on provisioning.job_kinds (has_steps_of);
create unique index job_kinds_purpose_key on provisioning.job_kinds (purpose) where purpose <> 'maintain';
insert into provisioning.job_kinds (kind, label, worker, lane, works_on, purpose, undoes) values
  ('provision', 'Provisioning', 'provisioning', 'sign_up', '{*}', 'provision', null),
  ('undo', 'Undo of a cancelled provisioning', 'removal', 'request', '{*}', 'revert', 'provision'),
  ('deprovision', 'Removal of a deleted organization', 'removal', 'request', '{*}', 'remove', 'provision'),
  ('update_details', 'Update of name and billing address', 'provisioning', 'batch', '{*}', 'follow', null);

create function provisioning.kind_for(p_purpose text) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select k.kind from provisioning.job_kinds k where k.purpose = p_purpose);
end
$$;
revoke execute on function provisioning.kind_for(text) from public, anon, authenticated, service_role;
comment on function provisioning.kind_for(text) is
  'The kind of job that provisions, reverts or removes. There is one of each.';

create table provisioning.step_definitions (
  kind text not null references provisioning.job_kinds,
  tier text not null references provisioning.tiers,
  step text not null,
  service text not null references provisioning.services,
  position smallint not null,
  -- {*} for all others, in a kind that has the steps of another one.
  depends_on text[] not null default '{}',
  primary key (kind, tier, step)
);
comment on table provisioning.step_definitions is
  'The plan of each kind of job in each tier: its steps, the service each belongs to and their dependencies. The TypeScript step
of the same name does the work.';
create index step_definitions_tier_idx on provisioning.step_definitions (tier);
create index step_definitions_service_idx on provisioning.step_definitions (service);

create function provisioning.refresh_tiers() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.tiers t set provisioned_by = provisioning.kind_for('provision'), initial_status = (
    select jsonb_object_agg(s.service, case when exists (
      select from provisioning.step_definitions d
      where d.kind = provisioning.kind_for('provision') and d.tier = t.tier and d.service = s.service)
      then 'pending' else 'not_requested' end) || '{"overall": "pending"}'
    from unnest(t.services) s (service));
  return null;
end
$$;
revoke execute on function provisioning.refresh_tiers() from public, anon, authenticated, service_role;
comment on function provisioning.refresh_tiers() is
  'Trigger: keeps what tiers repeat from the definitions of steps and the kinds of jobs.';
create trigger tiers_are_refreshed after insert or update of services on provisioning.tiers
  for each statement execute function provisioning.refresh_tiers();
create trigger step_definitions_refresh_tiers after insert or update or delete on provisioning.step_definitions
  for each statement execute function provisioning.refresh_tiers();
create trigger job_kinds_refresh_tiers after insert or update or delete on provisioning.job_kinds
  for each statement execute function provisioning.refresh_tiers();

create function provisioning.services_needed(p_tier text, p_services text[]) returns text[]
language plpgsql stable security definer set search_path = '' as $$
begin
  return array(
    select distinct n.service from provisioning.step_definitions d
    join provisioning.step_definitions n on n.kind = d.kind and n.tier = d.tier and n.step = any (d.depends_on)
    where d.kind = provisioning.kind_for('provision') and d.tier = p_tier and d.service = any (p_services)
      and n.service <> all (p_services) order by 1);
end
$$;
revoke execute on function provisioning.services_needed(text, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.services_needed(text, text[]) is
  'Those without which these services of a tier cannot be made, and that are not among them.';

create function provisioning.check_tier() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_needed text[] := provisioning.services_needed(new.tier, new.services);
begin
  if v_needed <> '{}' then
    raise exception 'The services % of the tier "%" cannot be made without %.', array_to_string(new.services, ', '), new.tier,
      array_to_string(v_needed, ', ') using errcode = 'TP422';
  end if;
  return new;
end
$$;
revoke execute on function provisioning.check_tier() from public, anon, authenticated, service_role;
comment on function provisioning.check_tier() is 'Trigger: a tier has all services that those of it need.';
create trigger tiers_are_checked before update of services on provisioning.tiers
  for each row execute function provisioning.check_tier();

-- Private tables have RLS too, without policies: only their owner and the definer functions reach them.
alter table provisioning.services enable row level security;
revoke all on provisioning.services from anon, authenticated, service_role;
alter table provisioning.tiers enable row level security;
revoke all on provisioning.tiers from anon, authenticated, service_role;
alter table provisioning.workers enable row level security;
revoke all on provisioning.workers from anon, authenticated, service_role;
alter table provisioning.lanes enable row level security;
revoke all on provisioning.lanes from anon, authenticated, service_role;
alter table provisioning.job_kinds enable row level security;
revoke all on provisioning.job_kinds from anon, authenticated, service_role;
alter table provisioning.step_definitions enable row level security;
revoke all on provisioning.step_definitions from anon, authenticated, service_role;
