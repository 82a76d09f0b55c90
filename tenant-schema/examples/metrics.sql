-- Figures of today for client_usage_metrics, analytics_snapshots and platform_metrics, for a job of yours that runs once a day.
-- Send it in one message as the login `…_schema`, whose password is in Vault as tenant_database_password/ORGANIZATION_ID/schema.
-- It becomes the owner, so that a trigger which the tenant has put on these tables has no more rights than the tenant.
begin;
select pg_catalog.set_config('role', pg_catalog.current_database() || '_owner', true);
set local search_path = public;
set local statement_timeout = '5s';
set local lock_timeout = '1s';

insert into public.client_usage_metrics as m (organization_id, metric, period_start, period_end, quantity, unit)
select o.id, u.metric, current_date, current_date + 1, u.quantity, u.unit
from public.organizations o cross join lateral (values
  ('storage', pg_catalog.pg_database_size(pg_catalog.current_database()), 'bytes'),
  ('contacts', (select count(*) from public.contacts c where c.organization_id = o.id), 'rows')) u (metric, quantity, unit)
on conflict (metric, period_start, organization_id) do update set quantity = excluded.quantity;

insert into public.analytics_snapshots as s (organization_id, period, taken_on, contacts, new_contacts, companies, open_deals)
select o.id, 'day', current_date,
  (select count(*) from public.contacts c where c.organization_id = o.id),
  (select count(*) from public.contacts c where c.organization_id = o.id and c.created_at >= current_date),
  (select count(*) from public.companies c where c.organization_id = o.id),
  (select count(*) from public.deals d where d.organization_id = o.id and d.stage not in ('won', 'lost'))
from public.organizations o
on conflict (taken_on, period, organization_id) do update set contacts = excluded.contacts,
  new_contacts = excluded.new_contacts, companies = excluded.companies, open_deals = excluded.open_deals;

insert into public.platform_metrics (organization_id, metric, value, unit)
select o.id, p.metric, p.value, p.unit
from public.organizations o cross join lateral (values
  ('size', pg_catalog.pg_database_size(pg_catalog.current_database())::numeric, 'bytes'),
  ('connections', (select count(*) from pg_catalog.pg_stat_activity a where a.datname = pg_catalog.current_database()), 'count')
) p (metric, value, unit);

set constraints all immediate;
commit;
