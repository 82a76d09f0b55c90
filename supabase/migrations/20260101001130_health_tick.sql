-- What pg_cron does for health: rings for what is due, makes and drops partitions, adds up trends.

create function provisioning.health_tick() returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_settings provisioning.settings;
  v_limit integer;
  v_due integer;
  v_rung integer := 0;
begin
  select * into v_settings from provisioning.settings;
  v_limit := v_settings.health_doorbells * v_settings.health_worker_max_tenants;
  select (select count(*) from (select from public.tenant_health h where h.awake and h.next_check_at <= now() limit v_limit) a)
    + (select count(*) from (select from public.tenant_health h where not h.awake and h.next_check_at <= now() limit v_limit) b)
  into v_due;
  while v_rung < least(v_settings.health_doorbells, ceil(v_due::numeric / v_settings.health_worker_max_tenants)) loop
    exit when not provisioning.ring_doorbell('health');
    v_rung := v_rung + 1;
  end loop;
  return v_rung;
end
$$;
revoke execute on function provisioning.health_tick() from public, anon, authenticated, service_role;
comment on function provisioning.health_tick() is
  'Rings for tenants whose check is due, one doorbell for each worker''s share, and returns how many. It reads only what is due,
and only as much as it can ring for. Workers claim; so a lost doorbell loses nothing.';

-- Apart from each other, so that none waits within the transaction, and under the locks, of another.
select provisioning.make_health_partitions();
select cron.schedule('tenant-provisioning-health-tick', '30 seconds', 'select provisioning.health_tick()');
select cron.schedule('tenant-provisioning-health-partitions', '3 * * * *', 'select provisioning.make_health_partitions()');
select cron.schedule('tenant-provisioning-health-trends', '*/5 * * * *', 'select provisioning.roll_up_health()');
select cron.schedule('tenant-provisioning-health-retention', '33 * * * *', 'select provisioning.drop_health_partitions()');
