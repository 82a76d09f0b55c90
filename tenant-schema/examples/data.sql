-- What `tenants seed` puts into a tenant's database: a small sales team's month. The ids are made of names, so that a second time
-- adds nothing. Runs as the tenant's login, under its policies.

insert into public.companies (id, name, domain, status, industry, employees, city, country, website, owner_id)
select md5('example company ' || c.place)::uuid, c.name, c.domain, c.status, c.industry, c.employees, c.city, c.country,
  'https://' || c.domain, (select u.id from public.users u order by u.created_at, u.id limit 1)
from (values
  (1, 'Northwind Logistics', 'northwind.example.com', 'customer', 'Logistics', 240, 'Hamburg', 'DE'),
  (2, 'Blue Yonder Foods', 'blueyonder.example.com', 'customer', 'Food', 85, 'Lyon', 'FR'),
  (3, 'Fabrikam Machines', 'fabrikam.example.com', 'prospect', 'Manufacturing', 1200, 'Turin', 'IT'),
  (4, 'Contoso Health', 'contoso.example.com', 'prospect', 'Healthcare', 430, 'Boston', 'US'),
  (5, 'Tailwind Studios', 'tailwind.example.com', 'lead', 'Design', 12, 'Lisbon', 'PT'),
  (6, 'Adventure Works', 'adventure.example.com', 'former', 'Retail', 64, 'Denver', 'US')
) c (place, name, domain, status, industry, employees, city, country)
on conflict do nothing;

insert into public.contacts (id, first_name, last_name, email, job_title, company_id, owner_id, status, source, lead_score,
  email_consent, email_consent_at, created_at)
select md5('example contact ' || n)::uuid, f.first_name, l.last_name,
  lower(f.first_name || '.' || l.last_name || n || '@example.com'), j.job_title, md5('example company ' || 1 + n % 6)::uuid,
  (select u.id from public.users u order by u.created_at, u.id limit 1),
  (array['lead', 'qualified', 'opportunity', 'customer'])[1 + n % 4],
  (array['website', 'referral', 'event', 'outbound'])[1 + n % 4]::public.contact_source, n * 17 % 101, 'given',
  now() - n * interval '1 day', now() - n * interval '1 day'
from generate_series(1, 24) n,
  lateral (select (array['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald'])[1 + n % 6] as first_name) f,
  lateral (select (array['Moreau', 'Schmidt', 'Rossi', 'Silva', 'Jones', 'Novak', 'Larsen'])[1 + n % 7] as last_name) l,
  lateral (select (array['Head of Operations', 'Buyer', 'CEO', 'Marketing Manager'])[1 + n % 4] as job_title) j
on conflict do nothing;

insert into public.deals (id, name, stage, company_id, contact_id, owner_id, amount, currency, probability, expected_close_on,
  created_at)
select md5('example deal ' || n)::uuid, (array['Pilot', 'Annual plan', 'Rollout', 'Renewal'])[1 + n % 4] || ' ' || n,
  (array['qualification', 'discovery', 'proposal', 'negotiation', 'won', 'lost'])[1 + n % 6],
  md5('example company ' || 1 + n % 6)::uuid, md5('example contact ' || n)::uuid,
  (select u.id from public.users u order by u.created_at, u.id limit 1), 2500 * n, 'EUR', 10 * (n % 9),
  current_date + 5 * n, now() - n * interval '2 days'
from generate_series(1, 12) n
on conflict do nothing;

insert into public.activities (id, type, status, subject, contact_id, deal_id, user_id, scheduled_at, completed_at, minutes,
  created_at)
select md5('example activity ' || n)::uuid, (array['call', 'email', 'meeting', 'note'])[1 + n % 4]::public.activity_type,
  case when n % 3 = 0 then 'planned' else 'done' end,
  (array['First call', 'Offer sent', 'Demo', 'Notes of the meeting'])[1 + n % 4], md5('example contact ' || 1 + n % 24)::uuid,
  md5('example deal ' || 1 + n % 12)::uuid, (select u.id from public.users u order by u.created_at, u.id limit 1),
  now() + (n - 30) * interval '1 day', case when n % 3 > 0 then now() - n * interval '1 day' end, 15 * (1 + n % 4),
  now() - n * interval '1 day'
from generate_series(1, 48) n
on conflict do nothing;

insert into public.email_templates (id, name, subject, preview_text, body_text, variables) values
  (md5('example template 1')::uuid, 'Example: welcome', 'Welcome, {{first_name}}', 'What happens next',
    'Dear {{first_name}}, thank you for your interest.', '{first_name}'),
  (md5('example template 2')::uuid, 'Example: newsletter', 'News of the month', 'Three things that are new',
    'Dear {{first_name}}, …', '{first_name}')
on conflict do nothing;
insert into public.email_campaigns (id, name, status, template_id, subject, from_name, from_email, recipients, started_at,
  completed_at) values
  (md5('example campaign 1')::uuid, 'Example: news of the month', 'sent', md5('example template 2')::uuid, 'News of the month',
    'Sales', 'sales@example.com', 24, now() - interval '3 days', now() - interval '3 days')
on conflict do nothing;
insert into public.email_sequences (id, name, status, steps) values
  (md5('example sequence 1')::uuid, 'Example: after the first call', 'draft',
    jsonb_build_array(jsonb_build_object('template_id', md5('example template 1')::uuid, 'wait_hours', 24)))
on conflict do nothing;
insert into public.email_sends (id, campaign_id, template_id, contact_id, email, subject, status, scheduled_at, sent_at)
select md5('example send ' || n)::uuid, md5('example campaign 1')::uuid, md5('example template 2')::uuid, c.id, c.email,
  'News of the month', (array['delivered', 'opened', 'clicked', 'delivered', 'bounced'])[1 + n % 5], now() - interval '3 days',
  now() - interval '3 days'
from generate_series(1, 24) n join public.contacts c on c.id = md5('example contact ' || n)::uuid
on conflict do nothing;
insert into public.email_unsubscribes (id, email, contact_id, campaign_id)
select md5('example unsubscribe 1')::uuid, c.email, c.id, md5('example campaign 1')::uuid from public.contacts c
where c.id = md5('example contact 7')::uuid
on conflict do nothing;

insert into public.social_accounts (id, platform, handle, display_name, profile_url, followers) values
  (md5('example account 1')::uuid, 'linkedin', 'example-company', 'Example Company', 'https://social.example.com/example', 1280)
on conflict do nothing;
insert into public.social_posts (id, social_account_id, content, status, scheduled_at, published_at, impressions, reactions)
select md5('example post ' || n)::uuid, md5('example account 1')::uuid, 'Example post ' || n,
  case when n < 4 then 'published' else 'scheduled' end, now() + (n - 3) * interval '2 days',
  case when n < 4 then now() - (4 - n) * interval '2 days' end, case when n < 4 then 900 * n else 0 end,
  case when n < 4 then 31 * n else 0 end
from generate_series(1, 5) n
on conflict do nothing;
insert into public.content_templates (id, name, kind, body, tone) values
  (md5('example content template 1')::uuid, 'Example: customer story', 'case_study', '# {{company}}', 'friendly')
on conflict do nothing;
insert into public.content_queue (id, title, kind, status, template_id, scheduled_at)
select md5('example content ' || n)::uuid, 'Example content ' || n, 'blog_post',
  (array['idea', 'draft', 'in_review', 'approved', 'scheduled'])[n], md5('example content template 1')::uuid,
  now() + n * interval '3 days'
from generate_series(1, 5) n
on conflict do nothing;

insert into public.notifications (id, user_id, type, title, body)
select md5('example notification ' || u.id)::uuid, u.id, 'info', 'Welcome', 'These are example rows; delete what you do not need.'
from public.users u
on conflict do nothing;
insert into public.audit_log (id, action, details)
values (md5('example entry 1')::uuid, 'example_data.added', '{"by": "tenants seed"}')
on conflict do nothing;
