-- A tenant's database with 100,000 rows in each table that the queries of the bench read; :rows is their number.
set session_replication_role = replica;
insert into public.organizations (id, name, slug) values ('00000000-0000-4000-8000-00000000000a', 'Bench', 'bench');
insert into public.users (id, organization_id, email, full_name, role)
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-4000-8000-00000000000a',
  'user' || n || '@example.com', 'User ' || n, 'member' from generate_series(1, 100) n;
insert into public.companies (id, organization_id, name, domain, status, owner_id, created_at)
select ('00000000-0000-4000-8001-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-4000-8000-00000000000a',
  'Company ' || md5(n::text), 'company' || n || '.example.com',
  (array['lead', 'prospect', 'customer', 'partner', 'former', 'disqualified'])[1 + n % 6],
  ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid, now() - n * interval '7 minutes'
from generate_series(1, :rows) n;
insert into public.contacts (id, organization_id, first_name, last_name, email, company_id, owner_id, status, created_at)
select ('00000000-0000-4000-8002-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-4000-8000-00000000000a',
  'First ' || n, md5(n::text), 'person' || n || '@example.com',
  ('00000000-0000-4000-8001-' || lpad((1 + abs(hashint4(n)) % :rows)::text, 12, '0'))::uuid,
  ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid,
  (array['lead', 'qualified', 'opportunity', 'customer', 'evangelist', 'former', 'disqualified'])[1 + n % 7],
  now() - n * interval '7 minutes'
from generate_series(1, :rows) n;
insert into public.deals (organization_id, name, stage, company_id, contact_id, owner_id, amount, expected_close_on, closed_at,
  created_at)
select '00000000-0000-4000-8000-00000000000a', 'Deal ' || n, s.stage,
  ('00000000-0000-4000-8001-' || lpad((1 + abs(hashint4(n + 1)) % :rows)::text, 12, '0'))::uuid,
  ('00000000-0000-4000-8002-' || lpad((1 + abs(hashint4(n + 2)) % :rows)::text, 12, '0'))::uuid,
  ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid, n % 100000, current_date + n % 300,
  case when s.stage in ('won', 'lost') then now() - n * interval '11 minutes' end, now() - n * interval '7 minutes'
from generate_series(1, :rows) n,
  lateral (select (array['qualification', 'discovery', 'proposal', 'negotiation', 'won', 'lost'])[1 + n % 6] as stage) s;
insert into public.activities (organization_id, type, status, subject, contact_id, user_id, created_at)
select '00000000-0000-4000-8000-00000000000a', 'call', 'done', 'Call ' || n,
  ('00000000-0000-4000-8002-' || lpad((1 + abs(hashint4(n)) % (:rows / 5))::text, 12, '0'))::uuid,
  ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid, now() - n * interval '5 minutes'
from generate_series(1, :rows) n;
insert into public.email_campaigns (id, organization_id, name, from_name, from_email)
select ('00000000-0000-4000-8003-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-4000-8000-00000000000a', 'Campaign ' || n,
  'Bench', 'bench@example.com' from generate_series(1, 100) n;
insert into public.email_sends (organization_id, campaign_id, contact_id, email, subject, status, scheduled_at, created_at)
select '00000000-0000-4000-8000-00000000000a', ('00000000-0000-4000-8003-' || lpad((1 + n % 100)::text, 12, '0'))::uuid,
  ('00000000-0000-4000-8002-' || lpad(n::text, 12, '0'))::uuid, 'person' || n || '@example.com', 'Subject ' || n,
  case when n % 20 = 0 then 'queued' else 'delivered' end, '2026-01-01'::timestamptz - n * interval '1 minute', now()
from generate_series(1, :rows) n;
insert into public.notifications (organization_id, user_id, title, read, created_at)
select '00000000-0000-4000-8000-00000000000a', ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid,
  'Notification ' || n, n % 10 > 0, now() - n * interval '1 minute'
from generate_series(1, :rows) n;
set session_replication_role = origin;
