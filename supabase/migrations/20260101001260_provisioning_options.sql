-- What people choose from when they provision a tenant, and what the caller may do in an organization.

create function provisioning.provisioning_options() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object(
    'defaultDataRegion', (select s.default_data_region from provisioning.settings s),
    'defaultTier', (select s.default_tier from provisioning.settings s),
    'currency', (select s.default_currency from provisioning.settings s),
    'regions', (
      select coalesce(jsonb_agg(jsonb_build_object('dataRegion', r.data_region, 'label', r.label, 'city', r.city,
        'country', r.country, 'latitude', r.latitude, 'longitude', r.longitude) order by r.data_region), '[]')
      from provisioning.regions r),
    'sizes', (
      select coalesce(jsonb_agg(jsonb_build_object('size', z.size, 'label', z.label, 'minComputeUnits', z.min_compute_units,
        'maxComputeUnits', z.max_compute_units,
        -- 0 is Neon's default.
        'suspendAfterSeconds', case z.suspend_timeout_seconds when 0 then 300 when -1 then null
          else z.suspend_timeout_seconds end) order by z.max_compute_units, z.size), '[]')
      from provisioning.database_sizes z),
    'tiers', (
      select coalesce(jsonb_agg(jsonb_build_object('tier', t.tier, 'label', t.label, 'services', t.services)
        order by t.tier), '[]')
      from provisioning.tiers t),
    'plans', (
      select coalesce(jsonb_agg(jsonb_build_object('plan', p.plan, 'label', coalesce(nullif(p.label, ''), p.plan),
        'monthlyPrice', p.monthly_price, 'defaultSize', p.default_size, 'sizes', p.sizes, 'tiers', p.tiers,
        'storageBytes', p.quota_logical_size_bytes, 'transferBytes', p.quota_data_transfer_bytes,
        'computeSeconds', p.quota_compute_time_seconds, 'historySeconds', p.history_retention_seconds)
        order by p.monthly_price nulls last, p.plan), '[]')
      from provisioning.plans p));
end
$$;
revoke execute on function provisioning.provisioning_options() from public, anon, authenticated, service_role;
grant execute on function provisioning.provisioning_options() to authenticated, service_role;
comment on function provisioning.provisioning_options() is
  'Regions, sizes, tiers and plans as an operator keeps them in their tables, for whoever is signed in.';

create function provisioning.permissions_of(p_role text) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return case p_role
    when 'owner' then '{check_health,wake_database,provision,read_connection,manage_keys,manage_members,edit_organization,
      delete_organization}'
    when 'admin' then '{check_health,wake_database,provision,read_connection,manage_keys,manage_members,edit_organization}'
    when 'member' then '{check_health}'
    else '{}' end;
end
$$;
revoke execute on function provisioning.permissions_of(text) from public, anon, authenticated, service_role;
grant execute on function provisioning.permissions_of(text) to authenticated, service_role;
comment on function provisioning.permissions_of(text) is
  'What a role in an organization may do, for interfaces that show only what is possible. The functions themselves decide.';
