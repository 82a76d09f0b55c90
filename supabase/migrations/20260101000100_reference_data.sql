-- What an operator may tune, and what the providers offer. Part of the bundle, not demo data.

create table provisioning.settings (
  id boolean primary key default true,
  provision_on text not null default 'sign_up',
  -- When the only owner's account goes and others are in the organization: transfer gives it to the longest-serving admin, else
  -- member; delete removes it; refuse keeps the account.
  on_owner_deleted text not null default 'transfer',
  default_plan text not null default 'free',
  -- What a tenant consists of that asks for nothing else; a row of provisioning.tiers.
  default_tier text not null default 'database',
  default_data_region text not null default 'us-east-1',
  default_currency provisioning_types.currency not null default 'usd',
  -- Jobs under a live lease at once, over all workers: bounds database connections and provider calls.
  max_running_jobs integer not null default 40,
  -- One worker stops claiming after this many jobs or seconds, well inside the 2 s CPU and 150 s wall clock of a function.
  worker_concurrency integer not null default 10,
  worker_max_jobs integer not null default 25,
  worker_max_seconds integer not null default 90,
  -- After a ring or a job it looks again by itself for so long and so often, because doorbells that come close together are rung
  -- once.
  worker_linger_milliseconds integer not null default 1500,
  worker_look_again_milliseconds integer not null default 10,
  lease_seconds integer not null default 60,
  -- A step that has not ended by then is failed, and is tried again. A worker that goes on renewing its lease is believed so
  -- long only: then another one takes the job over.
  step_max_seconds integer not null default 120,
  lease_max_seconds integer not null default 600,
  max_step_attempts integer not null default 8,
  backoff_base_seconds numeric not null default 1,
  backoff_cap_seconds numeric not null default 300,
  -- Failures in a row that open a provider's circuit breaker, and its first and longest pause.
  breaker_failures integer not null default 5,
  breaker_pause_seconds integer not null default 15,
  breaker_pause_cap_seconds integer not null default 300,
  doorbell_ttl_seconds integer not null default 600,
  -- The worker of sign-ups is rung at most so often; 0 rings for each. A worker has to linger for longer than that.
  doorbell_interval_milliseconds integer not null default 250,
  -- Doorbells one sweep may ring; each starts a worker that drains many jobs.
  sweep_doorbells integer not null default 4,
  sweep_repairs integer not null default 100,
  cron_history_days integer not null default 3,
  -- provision_user, for back ends that know an address: calls a minute and address, and how old its user may be.
  user_calls_per_minute integer not null default 5,
  user_calls_max_age_minutes integer not null default 10,
  -- What owners and admins may ask of provisioning (start, try again, resize, cancel), because each such act costs calls to the
  -- providers that others need too. A service that is ready is done again for them once in so many minutes.
  organization_acts_per_minute integer not null default 5,
  user_acts_per_minute integer not null default 10,
  ready_service_redo_minutes integer not null default 10,
  -- API keys of one organization that are valid at once, and how often its people may make, change and end such.
  keys_per_organization integer not null default 50,
  key_acts_per_minute integer not null default 20,
  -- How often the people of an organization may be told a password of its database. Each time stays in the audit log.
  password_reveals_per_hour integer not null default 60,
  -- Requests of one API key or member to a tenant's GraphQL endpoint, counted by each instance of the function; whether the
  -- endpoint tells its schema; whether it runs only what stands in provisioning.stored_documents.
  tenant_requests_per_minute integer not null default 1200,
  tenant_introspection boolean not null default true,
  tenant_stored_documents_only boolean not null default false,
  -- Organizations that one user may own. Those that a leaving owner passes on are not counted.
  organizations_per_user integer not null default 10,
  -- How long an organization expects somebody, where nothing else is said, and how many an organization may come to expect in a
  -- day; the same for one user over all organizations.
  expected_member_days integer not null default 7,
  expected_members_per_day integer not null default 50,
  -- How often its people may change the name or the billing address of an organization. Each change stays in the history, and
  -- each text about the organization is searched for all names that it had.
  organization_changes_per_day integer not null default 50,
  -- The same of a person's own name and picture, each change of which is copied into the databases of all their organizations.
  profile_changes_per_day integer not null default 50,
  -- How long a password that was replaced by a rotation stays valid, and how old one gets; 0: no rotation by itself.
  rotation_grace_hours integer not null default 24,
  rotation_interval_days integer not null default 0,
  -- Our own logins in tenants' databases whose passwords are older than this get others; null for none.
  own_logins_older_than timestamptz,
  -- Logins for a time: how many an organization has at once, and for how long at most.
  access_logins_per_organization integer not null default 10,
  access_max_hours integer not null default 24,
  -- The hours of the day (UTC) in which a fleet migration wakes sleeping databases; null: it waits until they are awake.
  migration_wakes_from_hour integer,
  migration_wakes_until_hour integer,
  -- Whether the daily reconciliation deletes what it is sure that nobody needs, or only reports it. Leave it off where
  -- another installation shares the Neon organization or the Stripe account: its tenants look like strangers here.
  reconcile_delete boolean not null default false,
  -- How long something must have been reported before it is deleted, and how much one run may delete.
  reconcile_grace_hours integer not null default 24,
  reconcile_delete_cap integer not null default 20,
  -- Of all organizations, at most 1. One deletion a run is allowed in any case.
  reconcile_delete_percent numeric not null default 1,
  -- Health checks: a troubled tenant's interval, and the longest of a calm one, which doubles with every calm check.
  health_interval_seconds integer not null default 30,
  health_interval_cap_seconds integer not null default 900,
  -- A sleeping database is connected to after this long, which wakes it and costs compute time; 0 never does.
  health_deep_check_hours integer not null default 168,
  health_timeout_seconds integer not null default 10,
  -- Of one worker: tenants at once, tenants and seconds before it rings for a successor.
  health_concurrency integer not null default 20,
  health_worker_max_tenants integer not null default 100,
  health_worker_max_seconds integer not null default 60,
  -- How long a claimed tenant is left to its worker.
  health_lease_seconds integer not null default 120,
  -- How often the services beside a database are asked for, where its host has some and they are well; and how long a database
  -- may be becoming something else, such as restored, before that counts as trouble.
  health_services_minutes integer not null default 360,
  health_changing_minutes integer not null default 10,
  -- Doorbells that one tick may ring.
  health_doorbells integer not null default 4,
  -- A tenant that goes on sleeping gets a row in tenant_health_checks this often only.
  health_sleeping_record_minutes integer not null default 60,
  health_retention_days integer not null default 7,
  health_hourly_retention_days integer not null default 90,
  -- Manual checks of one tenant.
  health_requests_per_minute integer not null default 6,
  -- Healthy checks in a row that resolve an alert.
  health_resolve_after_checks integer not null default 2,
  -- How long history is kept; null keeps it for good. The newest job of each kind of an organization stays in any case.
  events_retention_days integer default 400,
  jobs_retention_days integer default 400,
  alerts_retention_days integer default 400,
  audit_retention_days integer,
  resources_retention_days integer default 400,
  reconciliation_retention_days integer default 400,
  sign_up_failures_retention_days integer default 400,
  -- After their end.
  api_keys_retention_days integer default 400,
  -- Rows of each kind that one run of the retention, once a minute, looks at.
  retention_batch_rows integer not null default 500,
  -- Whom search_profiles finds besides the own profile and colleagues: nobody, or everybody whose profile is discoverable.
  profile_search text not null default 'colleagues',
  -- Tables of the project's own that are read instead of ours, by part; written by map_tables, which knows what belongs to it.
  mapping jsonb,
  updated_at timestamptz not null default now(),
  constraint settings_has_one_row check (id),
  constraint grace_is_not_negative check (reconcile_grace_hours >= 0),
  constraint access_is_positive check (least(access_logins_per_organization, access_max_hours) > 0),
  constraint migration_window_is_of_a_day check (migration_wakes_from_hour between 0 and 23
    and migration_wakes_until_hour between 0 and 24),
  constraint rotation_is_not_negative check (least(rotation_grace_hours, rotation_interval_days) >= 0),
  constraint reconcile_delete_cap_is_not_negative check (reconcile_delete_cap >= 0),
  -- Whoever wants more deleted orders it by id.
  constraint reconcile_delete_percent_is_at_most_one check (reconcile_delete_percent between 0 and 1),
  constraint expecting_ends_within_30_days check (expected_member_days between 1 and 30),
  constraint on_owner_deleted_is_known check (on_owner_deleted in ('transfer', 'delete', 'refuse')),
  constraint provision_on_is_known check (provision_on in ('sign_up', 'email_confirmed')),
  constraint profile_search_is_known check (profile_search in ('colleagues', 'everyone')),
  constraint limits_are_positive check (
    least(max_running_jobs, worker_concurrency, worker_max_jobs, worker_max_seconds, max_step_attempts) > 0
    and worker_look_again_milliseconds > 0 and worker_linger_milliseconds >= 0
    and doorbell_interval_milliseconds between 0 and 60000
    and least(breaker_failures, breaker_pause_seconds, breaker_pause_cap_seconds, doorbell_ttl_seconds, sweep_doorbells,
      sweep_repairs, cron_history_days) > 0
    and least(user_calls_per_minute, user_calls_max_age_minutes, organization_changes_per_day) > 0
    and least(organization_acts_per_minute, user_acts_per_minute, ready_service_redo_minutes, organizations_per_user) > 0
    and least(keys_per_organization, key_acts_per_minute, password_reveals_per_hour, tenant_requests_per_minute) > 0
    and least(expected_members_per_day, profile_changes_per_day) > 0
    and least(health_interval_seconds, health_timeout_seconds, health_concurrency, health_worker_max_tenants,
      health_worker_max_seconds) > 0
    and least(health_doorbells, health_sleeping_record_minutes, health_retention_days, health_hourly_retention_days) > 0
    and least(health_requests_per_minute, health_resolve_after_checks) > 0
    and least(health_services_minutes, health_changing_minutes) > 0
  ),
  constraint retention_is_positive check (
    least(events_retention_days, jobs_retention_days, alerts_retention_days, audit_retention_days) > 0
    and least(resources_retention_days, reconciliation_retention_days, sign_up_failures_retention_days) > 0
    and api_keys_retention_days > 0
    and retention_batch_rows > 0),
  constraint health_deep_check_is_not_negative check (health_deep_check_hours >= 0),
  constraint health_interval_is_ordered check (health_interval_cap_seconds >= health_interval_seconds),
  -- A claimed tenant may wait for its turn in the worker, and then be checked.
  constraint health_lease_outlasts_a_worker check (health_lease_seconds >= health_worker_max_seconds
    + 2 * health_timeout_seconds),
  -- A create call may take 30 s; a shorter lease could expire under it.
  constraint lease_outlasts_a_call check (lease_seconds >= 45),
  constraint step_has_a_deadline check (step_max_seconds > 0 and lease_max_seconds >= step_max_seconds + lease_seconds),
  constraint backoff_is_ordered check (backoff_base_seconds > 0 and backoff_cap_seconds >= backoff_base_seconds)
);
comment on table provisioning.settings is 'One row. Units are in the names; update it to tune the engine, no restart needed.';
insert into provisioning.settings default values;

create trigger settings_touch before update on provisioning.settings
  for each row execute function provisioning.touch_updated_at();

create table provisioning.regions (
  data_region provisioning_types.region primary key,
  label text not null,
  aliases text[] not null default '{}',
  neon_region provisioning_types.region not null,
  hosting_region provisioning_types.region not null,
  -- Where it is, for people who choose: the country as two letters of ISO 3166, the city's place in degrees.
  city text,
  country text,
  latitude numeric,
  longitude numeric,
  constraint country_is_two_letters check (country ~ '^[A-Z]{2}$'),
  constraint place_is_on_earth check (latitude between -90 and 90 and longitude between -180 and 180),
  constraint place_is_whole check ((latitude is null) = (longitude is null))
);
comment on table provisioning.regions is
  'Data region → Neon region (fixed once a project exists) and Supabase region. Aliases are what sign-up forms tend to send.';
insert into provisioning.regions (data_region, label, aliases, neon_region, hosting_region, city, country, latitude, longitude)
values
  ('us-east-1', 'US East (N. Virginia)', '{us,usa,us-east,north-america}', 'aws-us-east-1', 'us-east-1',
    'Ashburn', 'US', 39.04, -77.49),
  ('us-east-2', 'US East (Ohio)', '{}', 'aws-us-east-2', 'us-east-2',
    'Columbus', 'US', 39.96, -83.0),
  ('us-west-2', 'US West (Oregon)', '{us-west}', 'aws-us-west-2', 'us-west-2',
    'Boardman', 'US', 45.84, -119.7),
  ('eu-central-1', 'Europe (Frankfurt)', '{eu,europe,de,eu-central}', 'aws-eu-central-1', 'eu-central-1',
    'Frankfurt', 'DE', 50.11, 8.68),
  ('eu-west-2', 'Europe (London)', '{uk,gb,eu-west}', 'aws-eu-west-2', 'eu-west-2',
    'London', 'GB', 51.51, -0.13),
  ('ap-southeast-1', 'Asia Pacific (Singapore)', '{ap,apac,asia,sg}', 'aws-ap-southeast-1', 'ap-southeast-1',
    'Singapore', 'SG', 1.35, 103.82),
  ('ap-southeast-2', 'Asia Pacific (Sydney)', '{au,oceania}', 'aws-ap-southeast-2', 'ap-southeast-2',
    'Sydney', 'AU', -33.87, 151.21),
  ('sa-east-1', 'South America (São Paulo)', '{sa,br,south-america}', 'aws-sa-east-1', 'sa-east-1',
    'São Paulo', 'BR', -23.55, -46.63);
alter table provisioning.settings
  add constraint default_data_region_exists foreign key (default_data_region) references provisioning.regions;
create index settings_default_data_region_idx on provisioning.settings (default_data_region);

create table provisioning.database_sizes (
  size text primary key,
  label text not null default '',
  min_compute_units numeric not null,
  max_compute_units numeric not null,
  -- 0 is Neon's default of 300 s, -1 never. Only Neon's dearer plans take another value than the default.
  suspend_timeout_seconds integer not null,
  -- When the Neon account's plan refused it last, so that computes of this size sleep after 300 s. Null: never, or taken since.
  suspend_refused_at timestamptz,
  constraint compute_units_are_offered check (min_compute_units >= 0.25 and max_compute_units >= min_compute_units),
  constraint suspend_timeout_is_offered
    check (suspend_timeout_seconds in (-1, 0) or suspend_timeout_seconds between 60 and 604800)
);
comment on table provisioning.database_sizes is 'Size → limits of a Neon compute. A compute unit is 1 vCPU with 4 GB.';
insert into provisioning.database_sizes (size, label, min_compute_units, max_compute_units, suspend_timeout_seconds) values
  ('small', 'For trying out and small applications', 0.25, 0.25, 0),
  ('medium', 'For applications with steady use', 0.25, 2, 600),
  ('large', 'For many users at once', 1, 8, 3600);

create table provisioning.plans (
  plan text primary key,
  default_size text not null references provisioning.database_sizes,
  -- What its owners and admins may choose from; the backend may give any size.
  sizes text[] not null,
  -- Likewise the tiers.
  tiers text[] not null default '{database}',
  -- Limits of the Neon project per billing period; null is unlimited.
  quota_active_time_seconds bigint,
  quota_compute_time_seconds bigint,
  quota_written_data_bytes bigint,
  quota_data_transfer_bytes bigint,
  quota_logical_size_bytes bigint,
  history_retention_seconds integer not null,
  -- When the Neon account's plan refused it last, so that projects got the most that it has. Null: never, or taken since.
  history_refused_at timestamptz,
  label text not null default '',
  -- What people are told that it costs a month, in the smallest unit of settings.default_currency; null is "on request". Nothing
  -- is charged by it.
  monthly_price bigint,
  constraint default_size_is_allowed check (default_size = any (sizes)),
  constraint monthly_price_is_not_negative check (monthly_price >= 0)
);
comment on table provisioning.plans is
  'Plan → size of a new database, sizes that may be chosen, and quota of its Neon project.';
create index plans_default_size_idx on provisioning.plans (default_size);
insert into provisioning.plans (plan, default_size, sizes, quota_active_time_seconds, quota_compute_time_seconds,
  quota_written_data_bytes, quota_data_transfer_bytes, quota_logical_size_bytes, history_retention_seconds, label, monthly_price)
values
  ('free', 'small', '{small}', 360000, 180000, 5368709120, 5368709120, 536870912, 21600, 'Free', 0),
  ('pro', 'medium', '{small,medium}', null, null, null, 107374182400, 10737418240, 86400, 'Pro', 2500),
  ('enterprise', 'large', '{small,medium,large}', null, null, null, null, null, 604800, 'Enterprise', null);
update provisioning.plans p set tiers = '{database,project}' where p.plan = 'enterprise';
alter table provisioning.settings
  add constraint default_plan_exists foreign key (default_plan) references provisioning.plans;
create index settings_default_plan_idx on provisioning.settings (default_plan);

create table provisioning.health_thresholds (
  plan text primary key references provisioning.plans,
  -- Round trip of `select 1` on an open connection, through the pooler.
  latency_degraded_ms integer not null default 500,
  latency_unhealthy_ms integer not null default 3000,
  connect_degraded_ms integer not null default 3000,
  -- Of max_connections.
  connections_degraded_percent integer not null default 80,
  connections_unhealthy_percent integer not null default 95,
  -- Judged only after enough blocks were read for it to mean something.
  cache_hit_degraded_percent integer not null default 90,
  longest_query_degraded_seconds integer not null default 300,
  -- Of the plan's quota_logical_size_bytes; and full within so many days at the present growth.
  storage_degraded_percent integer not null default 80,
  storage_unhealthy_percent integer not null default 95,
  storage_degraded_days_left integer not null default 7,
  certificate_degraded_days integer not null default 14,
  constraint thresholds_are_ordered check (latency_unhealthy_ms >= latency_degraded_ms
    and connections_unhealthy_percent >= connections_degraded_percent and storage_unhealthy_percent >= storage_degraded_percent)
);
comment on table provisioning.health_thresholds is
  'Plan → from which measurements on a tenant''s database counts as degraded or unhealthy.';
insert into provisioning.health_thresholds (plan) select plan from provisioning.plans;

create function provisioning.add_health_thresholds() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into provisioning.health_thresholds (plan) values (new.plan) on conflict do nothing;
  return null;
end
$$;
revoke execute on function provisioning.add_health_thresholds() from public, anon, authenticated, service_role;
comment on function provisioning.add_health_thresholds() is
  'Trigger: a plan without thresholds would leave its tenants unchecked.';
create trigger plans_have_thresholds after insert on provisioning.plans
  for each row execute function provisioning.add_health_thresholds();

-- Private tables have RLS too, without policies: only their owner and the definer functions reach them.
alter table provisioning.settings enable row level security;
revoke all on provisioning.settings from anon, authenticated, service_role;
alter table provisioning.regions enable row level security;
revoke all on provisioning.regions from anon, authenticated, service_role;
alter table provisioning.database_sizes enable row level security;
revoke all on provisioning.database_sizes from anon, authenticated, service_role;
alter table provisioning.plans enable row level security;
revoke all on provisioning.plans from anon, authenticated, service_role;
alter table provisioning.health_thresholds enable row level security;
revoke all on provisioning.health_thresholds from anon, authenticated, service_role;
