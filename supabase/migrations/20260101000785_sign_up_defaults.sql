-- What a sign-up needs of the settings, the tiers and the regions, prepared in one short row: reading the three tables one after
-- the other takes as long as writing the profile.

create table provisioning.sign_up_defaults (
  id boolean primary key default true,
  plan text,
  currency text,
  tier text,
  -- Those of the tier: the kind of job that provisions it, and what provisioning_status says at first.
  kind text,
  initial_status jsonb,
  data_region text,
  -- Each name by which somebody may ask for a data region → [data region, hosting region].
  regions jsonb,
  mapping jsonb,
  -- Whether anybody was ever expected as a member. Until then no sign-up looks for itself among those who are.
  expects_members boolean not null default false,
  constraint sign_up_defaults_has_one_row check (id)
);
comment on table provisioning.sign_up_defaults is
  'One row, which triggers keep as settings, tiers and regions are. Change those, not this.';
-- A sign-up reads it as it stands, without unpacking it.
alter table provisioning.sign_up_defaults alter regions set storage plain, alter initial_status set storage plain;
alter table provisioning.sign_up_defaults enable row level security;
revoke all on provisioning.sign_up_defaults from public, anon, authenticated, service_role;
insert into provisioning.sign_up_defaults default values;

create function provisioning.refresh_sign_up_defaults() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Two changes at once take turns, and the later one sees both: what follows is a statement of its own.
  perform from provisioning.sign_up_defaults d for update;
  update provisioning.sign_up_defaults d set (plan, currency, tier, kind, initial_status, data_region, regions, mapping) = (
    select s.default_plan, s.default_currency, s.default_tier, t.provisioned_by, t.initial_status, s.default_data_region, (
        -- Of two regions with one name, whose own it is comes last and so prevails.
        select jsonb_object_agg(n.name, jsonb_build_array(r.data_region, r.hosting_region) order by n.rank, r.data_region desc)
        from provisioning.regions r cross join lateral (
          select 1 as rank, unnest(r.aliases) as name
          union all values (2, r.neon_region::text), (3, r.data_region::text)) n),
      s.mapping
    from provisioning.settings s join provisioning.tiers t on t.tier = s.default_tier);
  return null;
end
$$;
revoke execute on function provisioning.refresh_sign_up_defaults() from public, anon, authenticated, service_role;
comment on function provisioning.refresh_sign_up_defaults() is 'Trigger: brings sign_up_defaults up to date.';
create trigger settings_refresh_sign_up_defaults after insert or update or delete on provisioning.settings
  for each statement execute function provisioning.refresh_sign_up_defaults();
create trigger tiers_refresh_sign_up_defaults after insert or update or delete on provisioning.tiers
  for each statement execute function provisioning.refresh_sign_up_defaults();
create trigger regions_refresh_sign_up_defaults after insert or update or delete on provisioning.regions
  for each statement execute function provisioning.refresh_sign_up_defaults();
-- The first time.
update provisioning.settings set id = id;

create function provisioning.note_expectations() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update provisioning.sign_up_defaults d set expects_members = true where not d.expects_members;
  return null;
end
$$;
revoke execute on function provisioning.note_expectations() from public, anon, authenticated, service_role;
comment on function provisioning.note_expectations() is
  'Trigger: from the first expectation on, sign-ups look whether they are expected.';
create trigger expected_members_are_noted after insert on provisioning.expected_members
  for each statement execute function provisioning.note_expectations();
