-- The base of a tenant's own database: customers, sales, e-mail, social media, and what we tell the tenant about itself.
--
-- Columns that queries filter by are uuid, text, integer, boolean or timestamptz, with a named check where a list of values is
-- meant. Under row level security Postgres uses an index only with comparisons that are known not to leak what they compare, and
-- neither those of enums nor casts to a domain are. So enums and domains are for what is shown.
--
-- The policies ask for organization_id in every query. So the index of that foreign key has the state as its second column where
-- rows are counted by state, and indexes of a person's or a company's lists that are counted have organization_id before the
-- column that they are ordered by: then a count need not look at the rows.

create schema tenant;
comment on schema tenant is 'Functions that policies, defaults and triggers call. No data, and no part of the GraphQL API.';

create domain public.web_address as text
  constraint web_address_is_http check (value ~ '^https?://[^\s]+$' and char_length(value) <= 2000);
create domain public.phone_number as text
  constraint phone_number_has_digits check (value ~ '^\+?[0-9][0-9 ()./-]{1,30}( ?(ext|x)\.? ?[0-9]{1,8})?$');
create domain public.country_code as text constraint country_code_is_iso_3166 check (value ~ '^[A-Z]{2}$');
create domain public.currency_code as text constraint currency_code_is_iso_4217 check (value ~ '^[A-Z]{3}$');
create domain public.percentage as smallint constraint percentage_is_0_to_100 check (value between 0 and 100);
create domain public.amount as numeric(14, 2) constraint amount_is_not_negative check (value >= 0);

create type public.member_role as enum ('owner', 'admin', 'member');
create type public.contact_source as enum
  ('website', 'referral', 'event', 'advertising', 'social_media', 'outbound', 'partner', 'import', 'other');
create type public.consent as enum ('unknown', 'given', 'withdrawn');
create type public.activity_type as enum ('call', 'email', 'meeting', 'task', 'note');
create type public.social_platform as enum
  ('linkedin', 'facebook', 'instagram', 'x', 'youtube', 'tiktok', 'threads', 'bluesky', 'mastodon');
create type public.content_kind as enum
  ('social_post', 'blog_post', 'newsletter', 'landing_page', 'case_study', 'video', 'other');
create type public.unsubscribe_reason as enum ('recipient', 'complaint', 'hard_bounce', 'manual');
create type public.billing_interval as enum ('month', 'year');
create type public.snapshot_period as enum ('day', 'week', 'month');

-- The tenant and its people. Both are copies of what the provisioning project knows; what is their own can be changed here.

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint organizations_name_is_short check (char_length(name) between 1 and 200),
  slug text not null constraint organizations_slug_is_unique unique,
  plan text not null default 'free',
  legal_name text constraint organizations_legal_name_is_short check (char_length(legal_name) <= 200),
  industry text constraint organizations_industry_is_short check (char_length(industry) <= 100),
  website public.web_address,
  logo_url public.web_address,
  phone public.phone_number,
  country public.country_code,
  currency public.currency_code not null default 'USD',
  time_zone text not null default 'UTC',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.organizations is 'The tenant itself. Name, slug and plan are copied from the provisioning project.';

create table public.users (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  email text,
  full_name text,
  avatar_url text,
  role public.member_role not null default 'member',
  job_title text constraint users_job_title_is_short check (char_length(job_title) <= 100),
  phone public.phone_number,
  time_zone text,
  email_signature text constraint users_email_signature_is_short check (char_length(email_signature) <= 5000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.users is
  'The members of the organization, with the ids that they sign in with. Address, name, picture and role are copied from the
provisioning project, and who is no member any more is removed; the other columns are the tenant''s own.';

-- Who is asking. See README.md for the claims.

create function tenant.claims() returns jsonb
language plpgsql stable parallel safe set search_path = '' as $$
begin
  return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
end
$$;
comment on function tenant.claims() is 'What the API has verified of the caller. Null for a direct login.';

create function tenant.user_id() returns uuid
language plpgsql stable parallel safe set search_path = '' as $$
begin
  return nullif(tenant.claims() ->> 'sub', '')::uuid;
end
$$;
comment on function tenant.user_id() is
  'The person who asks, as auth.uid() on Supabase. Null for a key and for a direct login.';

create function tenant.only_organization() returns uuid
language plpgsql stable parallel safe security definer set search_path = '' as $$
declare
  v_ids uuid[];
begin
  -- A login that has to become one of these roles first is the API's, and has nothing without claims.
  if not exists (
    select from unnest('{app,read,owner}'::text[]) r (name)
    where pg_has_role(session_user, to_regrole(quote_ident(current_database() || '_' || r.name)), 'usage'))
  then
    return null;
  end if;
  v_ids := array(select o.id from public.organizations o limit 2);
  return case when cardinality(v_ids) = 1 then v_ids[1] end;
end
$$;
comment on function tenant.only_organization() is
  'The organization that a direct login works for: the one that this database holds. Null for a login that has the rights of
_app, _read or _owner only when it becomes that role, and when there is more than one organization.';

create function tenant.unclaimed() returns uuid
language plpgsql stable parallel safe security definer set search_path = '' as $$
begin
  return case when tenant.claims() is null then tenant.only_organization()
    else (select u.organization_id from public.users u where u.id = tenant.user_id()) end;
end
$$;
comment on function tenant.unclaimed() is
  'The organization of a caller whose claims, if there are any, name none. Those of Supabase mean the one whose member it is.';

create function tenant.readable() returns uuid
language plpgsql stable parallel safe as $$
begin
  -- Every query asks this once for each of its tables. So it is a single expression, and sets no search_path, which would cost
  -- more than the expression: every name says its schema instead.
  return coalesce(
    case when pg_catalog.length(pg_catalog.current_setting('request.jwt.claims', true)) operator(pg_catalog.>) 0 then
      (pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb
        operator(pg_catalog.->>) 'organization_id')::pg_catalog.uuid end,
    tenant.unclaimed());
end
$$;
comment on function tenant.readable() is 'The organization whose data the caller may read.';

create function tenant.writable() returns uuid
language plpgsql stable parallel safe set search_path = '' as $$
declare
  v_claims jsonb := tenant.claims();
  v_scope text := v_claims ->> 'scope';
begin
  if v_claims is null or 'write' = any (string_to_array(v_scope, ' ')) or v_scope is null and v_claims ? 'sub' then
    return tenant.readable();
  end if;
  return null;
end
$$;
comment on function tenant.writable() is
  'The organization whose data the caller may write: with the scope write, as a person whose token names no scope, or by a direct
login, whose grants decide.';

create function tenant.is_in_charge() returns boolean
language plpgsql stable parallel safe security definer set search_path = '' as $$
declare
  v_role text := tenant.claims() ->> 'organization_role';
begin
  if tenant.user_id() is null then
    return true;
  end if;
  v_role := coalesce(v_role, (select u.role::text from public.users u where u.id = tenant.user_id()));
  return coalesce(v_role in ('owner', 'admin'), false);
end
$$;
comment on function tenant.is_in_charge() is
  'Whether the caller acts as an owner or admin: such a person, a key, which only they can make, or a direct login.';

create function tenant.overseen() returns uuid
language plpgsql stable parallel safe set search_path = '' as $$
begin
  return case when tenant.is_in_charge() then tenant.readable() end;
end
$$;
comment on function tenant.overseen() is 'The organization of which the caller may read what members may not.';

create function tenant.administered() returns uuid
language plpgsql stable parallel safe set search_path = '' as $$
begin
  return case when tenant.is_in_charge() then tenant.writable() end;
end
$$;
comment on function tenant.administered() is 'The organization of which the caller may write what members may not.';

-- What triggers do.

create function tenant.keep_times() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.created_at := old.created_at;
  new.updated_at := now();
  return new;
end
$$;
comment on function tenant.keep_times() is 'Trigger: created_at stays what it is, updated_at is now.';

create function tenant.lower_email() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.email := lower(btrim(new.email));
  return new;
end
$$;
comment on function tenant.lower_email() is
  'Trigger: addresses are kept in lower case, so that one is found however it was written.';

create function tenant.close_deal() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.closed_at := case when new.stage in ('won', 'lost') then coalesce(new.closed_at, now()) end;
  new.probability := case new.stage when 'won' then 100 when 'lost' then 0 else new.probability end;
  return new;
end
$$;
comment on function tenant.close_deal() is 'Trigger: a deal that is won or lost is closed, and its outcome is certain.';

create function tenant.sign_entry() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.user_id := coalesce(tenant.user_id(), new.user_id);
  new.created_at := now();
  new.updated_at := new.created_at;
  return new;
end
$$;
comment on function tenant.sign_entry() is
  'Trigger: an entry of the audit log is of now, and a person''s is signed by that person.';

create function tenant.note_reading() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.read_at := case when new.read then coalesce(new.read_at, now()) end;
  return new;
end
$$;
comment on function tenant.note_reading() is 'Trigger: read_at says since when a notification is read.';

create trigger organizations_keep_times before update on public.organizations
  for each row execute function tenant.keep_times();
alter table public.organizations enable row level security;
create policy organizations_select on public.organizations for select using (id = (select tenant.readable()));
create policy organizations_insert on public.organizations for insert with check (id = (select tenant.administered()));
create policy organizations_update on public.organizations for update using (id = (select tenant.administered()));
comment on policy organizations_insert on public.organizations is 'Its own row, should it be missing.';

create index users_organization_id_idx on public.users (organization_id);
-- Who is this sender? Find the colleague by address.
create index users_email_idx on public.users (email);
create trigger users_keep_times before update on public.users for each row execute function tenant.keep_times();
create trigger users_lower_email before insert or update of email on public.users
  for each row execute function tenant.lower_email();
alter table public.users enable row level security;
create policy users_select on public.users for select using (organization_id = (select tenant.readable()));
create policy users_update_own on public.users for update using (id = (select tenant.user_id()));
create policy users_update_by_admin on public.users for update using (organization_id = (select tenant.administered()));

-- Customers and sales. In each of these tables one policy says whose rows there are, and a second one who may delete them,
-- because a policy's `with check` does not bind deletions.

create table public.companies (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  name text not null constraint companies_name_is_short check (char_length(name) between 1 and 200),
  domain text constraint companies_domain_is_a_host check (domain ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)+$'),
  status text not null default 'lead'
    constraint companies_status_is_known check (status in ('lead', 'prospect', 'customer', 'partner', 'former', 'disqualified')),
  parent_company_id uuid references public.companies (id) on delete set null,
  owner_id uuid references public.users (id) on delete set null,
  industry text constraint companies_industry_is_short check (char_length(industry) <= 100),
  employees integer constraint companies_employees_is_not_negative check (employees >= 0),
  annual_revenue public.amount,
  currency public.currency_code,
  website public.web_address,
  linkedin_url public.web_address,
  phone public.phone_number,
  street text constraint companies_street_is_short check (char_length(street) <= 200),
  postal_code text constraint companies_postal_code_is_short check (char_length(postal_code) <= 20),
  city text constraint companies_city_is_short check (char_length(city) <= 100),
  region text constraint companies_region_is_short check (char_length(region) <= 100),
  country public.country_code,
  description text constraint companies_description_is_short check (char_length(description) <= 10000),
  tags text[] not null default '{}' constraint companies_tags_are_few check (cardinality(tags) <= 50),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint companies_is_not_its_own_parent check (parent_company_id <> id)
);
comment on table public.companies is 'Accounts: the companies that are sold to.';
-- How many there are in each state.
create index companies_organization_id_status_idx on public.companies (organization_id, status);
-- The list of accounts by name, and those that were added last.
create index companies_name_idx on public.companies (name);
create index companies_created_at_idx on public.companies (created_at);
-- Which account does this address belong to?
create index companies_domain_idx on public.companies (domain);
-- All customers, or all prospects, by name.
create index companies_status_name_idx on public.companies (status, name);
create index companies_owner_id_idx on public.companies (owner_id);
create index companies_parent_company_id_idx on public.companies (parent_company_id);
create trigger companies_keep_times before update on public.companies for each row execute function tenant.keep_times();
alter table public.companies enable row level security;
create policy companies_of_organization on public.companies
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy companies_delete on public.companies as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.contacts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  first_name text constraint contacts_first_name_is_short check (char_length(first_name) <= 100),
  last_name text constraint contacts_last_name_is_short check (char_length(last_name) <= 100),
  email text constraint contacts_email_has_an_at check (email ~ '^[^@\s]+@[^@\s]+$' and char_length(email) <= 320),
  phone public.phone_number,
  mobile public.phone_number,
  job_title text constraint contacts_job_title_is_short check (char_length(job_title) <= 100),
  company_id uuid references public.companies (id) on delete set null,
  owner_id uuid references public.users (id) on delete set null,
  status text not null default 'lead' constraint contacts_status_is_known
    check (status in ('lead', 'qualified', 'opportunity', 'customer', 'evangelist', 'former', 'disqualified')),
  source public.contact_source not null default 'other',
  lead_score smallint not null default 0 constraint contacts_lead_score_is_0_to_100 check (lead_score between 0 and 100),
  email_consent public.consent not null default 'unknown',
  email_consent_at timestamptz,
  linkedin_url public.web_address,
  city text constraint contacts_city_is_short check (char_length(city) <= 100),
  country public.country_code,
  time_zone text,
  birthday date,
  notes text constraint contacts_notes_are_short check (char_length(notes) <= 10000),
  tags text[] not null default '{}' constraint contacts_tags_are_few check (cardinality(tags) <= 50),
  last_contacted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint contacts_can_be_told_apart check (num_nonnulls(first_name, last_name, email, phone, mobile) > 0),
  constraint contacts_consent_has_a_time check (email_consent = 'unknown' or email_consent_at is not null)
);
comment on table public.contacts is 'People outside the organization: leads and customers.';
-- How many there are in each state.
create index contacts_organization_id_status_idx on public.contacts (organization_id, status);
-- Who has this address? An address is one person's.
create unique index contacts_email_idx on public.contacts (email, organization_id);
-- The address book, and the newest leads.
create index contacts_last_name_first_name_idx on public.contacts (last_name, first_name);
create index contacts_created_at_idx on public.contacts (created_at);
-- The people of a company, by name.
create index contacts_company_id_last_name_idx on public.contacts (company_id, organization_id, last_name);
-- The own contacts, those to be called first at the top.
create index contacts_owner_id_lead_score_idx on public.contacts (owner_id, organization_id, lead_score desc);
-- All customers, or all leads, newest first.
create index contacts_status_created_at_idx on public.contacts (status, created_at);
create trigger contacts_keep_times before update on public.contacts for each row execute function tenant.keep_times();
create trigger contacts_lower_email before insert or update of email on public.contacts
  for each row execute function tenant.lower_email();
alter table public.contacts enable row level security;
create policy contacts_of_organization on public.contacts
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy contacts_delete on public.contacts as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.deals (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  name text not null constraint deals_name_is_short check (char_length(name) between 1 and 200),
  stage text not null default 'qualification' constraint deals_stage_is_known
    check (stage in ('qualification', 'discovery', 'proposal', 'negotiation', 'won', 'lost')),
  company_id uuid references public.companies (id) on delete set null,
  contact_id uuid references public.contacts (id) on delete set null,
  owner_id uuid references public.users (id) on delete set null,
  amount public.amount,
  currency public.currency_code not null default 'USD',
  probability public.percentage not null default 10,
  expected_close_on date,
  closed_at timestamptz,
  lost_reason text constraint deals_lost_reason_is_short check (char_length(lost_reason) <= 1000),
  next_step text constraint deals_next_step_is_short check (char_length(next_step) <= 1000),
  description text constraint deals_description_is_short check (char_length(description) <= 10000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint deals_is_closed_when_won_or_lost check ((closed_at is not null) = (stage in ('won', 'lost'))),
  constraint deals_lost_reason_is_of_a_lost_deal check (lost_reason is null or stage = 'lost')
);
comment on table public.deals is 'Opportunities, from the first talk until they are won or lost.';
-- How many there are in each stage.
create index deals_organization_id_stage_idx on public.deals (organization_id, stage);
-- The board: a stage's deals, those that should close first at the top.
create index deals_stage_expected_close_on_idx on public.deals (stage, expected_close_on);
-- The own pipeline, by stage.
create index deals_owner_id_stage_idx on public.deals (owner_id, organization_id, stage);
-- What was won or lost in this quarter.
create index deals_closed_at_idx on public.deals (closed_at);
-- What was won, or lost, last. In the index above, all deals that are open come before these.
create index deals_closed_at_of_closed_idx on public.deals (closed_at) where stage in ('won', 'lost');
create index deals_created_at_idx on public.deals (created_at);
create index deals_company_id_idx on public.deals (company_id);
create index deals_contact_id_idx on public.deals (contact_id);
create trigger deals_keep_times before update on public.deals for each row execute function tenant.keep_times();
create trigger deals_close before insert or update of stage, closed_at on public.deals
  for each row execute function tenant.close_deal();
alter table public.deals enable row level security;
create policy deals_of_organization on public.deals
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy deals_delete on public.deals as restrictive for delete using (organization_id = (select tenant.writable()));

create table public.activities (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  type public.activity_type not null,
  status text not null default 'planned'
    constraint activities_status_is_known check (status in ('planned', 'done', 'cancelled')),
  subject text not null constraint activities_subject_is_short check (char_length(subject) between 1 and 300),
  body text constraint activities_body_is_short check (char_length(body) <= 50000),
  outcome text constraint activities_outcome_is_short check (char_length(outcome) <= 1000),
  contact_id uuid references public.contacts (id) on delete cascade,
  company_id uuid references public.companies (id) on delete cascade,
  deal_id uuid references public.deals (id) on delete set null,
  user_id uuid default tenant.user_id() references public.users (id) on delete set null,
  scheduled_at timestamptz,
  completed_at timestamptz,
  minutes integer constraint activities_minutes_is_at_most_a_day check (minutes between 0 and 1440),
  location text constraint activities_location_is_short check (char_length(location) <= 300),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.activities is 'Calls, e-mails, meetings, tasks and notes, planned or done.';
create index activities_organization_id_idx on public.activities (organization_id);
-- The timeline of a contact, a company, a deal: the last ones first.
create index activities_contact_id_created_at_idx on public.activities (contact_id, organization_id, created_at);
create index activities_company_id_created_at_idx on public.activities (company_id, created_at);
create index activities_deal_id_created_at_idx on public.activities (deal_id, created_at);
-- What a person has to do today.
create index activities_user_id_status_scheduled_at_idx on public.activities (user_id, status, organization_id, scheduled_at);
-- The calendar of everybody, and what was done last.
create index activities_scheduled_at_idx on public.activities (scheduled_at);
create index activities_created_at_idx on public.activities (created_at);
create trigger activities_keep_times before update on public.activities for each row execute function tenant.keep_times();
alter table public.activities enable row level security;
create policy activities_of_organization on public.activities
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy activities_delete on public.activities as restrictive for delete
  using (organization_id = (select tenant.writable()));

-- E-mail.

create table public.email_templates (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  name text not null constraint email_templates_name_is_short check (char_length(name) between 1 and 200),
  subject text not null constraint email_templates_subject_is_short check (char_length(subject) between 1 and 300),
  preview_text text constraint email_templates_preview_text_is_short check (char_length(preview_text) <= 300),
  body_html text constraint email_templates_body_html_is_short check (char_length(body_html) <= 500000),
  body_text text constraint email_templates_body_text_is_short check (char_length(body_text) <= 100000),
  variables text[] not null default '{}' constraint email_templates_variables_are_few check (cardinality(variables) <= 100),
  is_archived boolean not null default false,
  created_by uuid default tenant.user_id() references public.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint email_templates_has_a_body check (num_nonnulls(body_html, body_text) > 0),
  constraint email_templates_name_is_unique unique (name, organization_id)
);
comment on table public.email_templates is 'Texts of e-mails, with placeholders.';
create index email_templates_organization_id_idx on public.email_templates (organization_id);
-- The picker of templates: those in use, by name.
create index email_templates_is_archived_name_idx on public.email_templates (is_archived, name);
create index email_templates_created_by_idx on public.email_templates (created_by);
create trigger email_templates_keep_times before update on public.email_templates
  for each row execute function tenant.keep_times();
alter table public.email_templates enable row level security;
create policy email_templates_of_organization on public.email_templates
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy email_templates_delete on public.email_templates as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.email_campaigns (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  name text not null constraint email_campaigns_name_is_short check (char_length(name) between 1 and 200),
  status text not null default 'draft' constraint email_campaigns_status_is_known
    check (status in ('draft', 'scheduled', 'sending', 'paused', 'sent', 'cancelled')),
  template_id uuid references public.email_templates (id) on delete set null,
  subject text constraint email_campaigns_subject_is_short check (char_length(subject) between 1 and 300),
  from_name text constraint email_campaigns_from_name_is_short check (char_length(from_name) <= 100),
  from_email text constraint email_campaigns_from_email_has_an_at check (from_email ~ '^[^@\s]+@[^@\s]+$'),
  reply_to text constraint email_campaigns_reply_to_has_an_at check (reply_to ~ '^[^@\s]+@[^@\s]+$'),
  audience jsonb not null default '{}' constraint email_campaigns_audience_is_an_object check (jsonb_typeof(audience) = 'object'),
  recipients integer not null default 0 constraint email_campaigns_recipients_is_not_negative check (recipients >= 0),
  scheduled_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  created_by uuid default tenant.user_id() references public.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint email_campaigns_has_a_time_when_scheduled check (status <> 'scheduled' or scheduled_at is not null)
);
comment on table public.email_campaigns is 'A mailing to many contacts at once; audience is the filter that chooses them.';
-- How many there are in each state.
create index email_campaigns_organization_id_status_idx on public.email_campaigns (organization_id, status);
-- Which scheduled campaigns are due? The sender asks every minute.
create index email_campaigns_status_scheduled_at_idx on public.email_campaigns (status, scheduled_at);
create index email_campaigns_created_at_idx on public.email_campaigns (created_at);
create index email_campaigns_template_id_idx on public.email_campaigns (template_id);
create index email_campaigns_created_by_idx on public.email_campaigns (created_by);
create trigger email_campaigns_keep_times before update on public.email_campaigns
  for each row execute function tenant.keep_times();
alter table public.email_campaigns enable row level security;
create policy email_campaigns_of_organization on public.email_campaigns
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy email_campaigns_delete on public.email_campaigns as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.email_sequences (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  name text not null constraint email_sequences_name_is_short check (char_length(name) between 1 and 200),
  description text constraint email_sequences_description_is_short check (char_length(description) <= 2000),
  status text not null default 'draft'
    constraint email_sequences_status_is_known check (status in ('draft', 'active', 'paused', 'archived')),
  steps jsonb not null default '[]' constraint email_sequences_steps_are_a_list
    check (jsonb_typeof(steps) = 'array' and jsonb_array_length(steps) <= 50),
  stops_on_reply boolean not null default true,
  created_by uuid default tenant.user_id() references public.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.email_sequences is 'E-mails that follow one another, for one contact at a time.';
comment on column public.email_sequences.steps is '[{"template_id": …, "wait_hours": …}], in their order.';
create index email_sequences_organization_id_idx on public.email_sequences (organization_id);
-- The sequences that run, by name.
create index email_sequences_status_name_idx on public.email_sequences (status, name);
create index email_sequences_created_by_idx on public.email_sequences (created_by);
create trigger email_sequences_keep_times before update on public.email_sequences
  for each row execute function tenant.keep_times();
alter table public.email_sequences enable row level security;
create policy email_sequences_of_organization on public.email_sequences
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy email_sequences_delete on public.email_sequences as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.email_sends (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  campaign_id uuid references public.email_campaigns (id) on delete set null,
  sequence_id uuid references public.email_sequences (id) on delete set null,
  sequence_step smallint constraint email_sends_sequence_step_is_1_to_50 check (sequence_step between 1 and 50),
  template_id uuid references public.email_templates (id) on delete set null,
  contact_id uuid references public.contacts (id) on delete set null,
  email text not null constraint email_sends_email_has_an_at check (email ~ '^[^@\s]+@[^@\s]+$'),
  subject text not null constraint email_sends_subject_is_short check (char_length(subject) between 1 and 300),
  status text not null default 'queued' constraint email_sends_status_is_known check (status in
    ('queued', 'sending', 'sent', 'delivered', 'opened', 'clicked', 'replied', 'bounced', 'complained', 'failed', 'suppressed')),
  scheduled_at timestamptz not null default now(),
  sent_at timestamptz,
  delivered_at timestamptz,
  opened_at timestamptz,
  clicked_at timestamptz,
  bounced_at timestamptz,
  error text constraint email_sends_error_is_short check (char_length(error) <= 2000),
  provider_message_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint email_sends_is_of_one_origin check (num_nonnulls(campaign_id, sequence_id) <= 1)
);
comment on table public.email_sends is 'One e-mail to one address, and how far it got.';
-- How many there are in each state.
create index email_sends_organization_id_status_idx on public.email_sends (organization_id, status);
-- What is due to be sent, the oldest first; the sender asks every minute.
create index email_sends_status_scheduled_at_idx on public.email_sends (status, scheduled_at);
-- How many of a campaign's, or a sequence's, were delivered, opened, clicked?
create index email_sends_campaign_id_status_idx on public.email_sends (campaign_id, organization_id, status);
create index email_sends_sequence_id_status_idx on public.email_sends (sequence_id, organization_id, status);
-- What was sent to this contact, or to this address?
create index email_sends_contact_id_created_at_idx on public.email_sends (contact_id, created_at);
create index email_sends_email_idx on public.email_sends (email);
-- The provider reports on one of its messages.
create unique index email_sends_provider_message_id_idx on public.email_sends (provider_message_id);
create index email_sends_template_id_idx on public.email_sends (template_id);
create trigger email_sends_keep_times before update on public.email_sends for each row execute function tenant.keep_times();
create trigger email_sends_lower_email before insert or update of email on public.email_sends
  for each row execute function tenant.lower_email();
alter table public.email_sends enable row level security;
create policy email_sends_of_organization on public.email_sends
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy email_sends_delete on public.email_sends as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.email_unsubscribes (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  email text not null constraint email_unsubscribes_email_has_an_at check (email ~ '^[^@\s]+@[^@\s]+$'),
  contact_id uuid references public.contacts (id) on delete set null,
  campaign_id uuid references public.email_campaigns (id) on delete set null,
  reason public.unsubscribe_reason not null default 'recipient',
  comment text constraint email_unsubscribes_comment_is_short check (char_length(comment) <= 2000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.email_unsubscribes is
  'Addresses that nothing may be sent to. Only owners and admins take one off the list.';
create index email_unsubscribes_organization_id_idx on public.email_unsubscribes (organization_id);
-- May anything be sent to this address?
create unique index email_unsubscribes_email_idx on public.email_unsubscribes (email, organization_id);
create index email_unsubscribes_contact_id_idx on public.email_unsubscribes (contact_id);
-- How many has this campaign cost us?
create index email_unsubscribes_campaign_id_idx on public.email_unsubscribes (campaign_id);
create trigger email_unsubscribes_keep_times before update on public.email_unsubscribes
  for each row execute function tenant.keep_times();
create trigger email_unsubscribes_lower_email before insert or update of email on public.email_unsubscribes
  for each row execute function tenant.lower_email();
alter table public.email_unsubscribes enable row level security;
create policy email_unsubscribes_of_organization on public.email_unsubscribes
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy email_unsubscribes_update on public.email_unsubscribes as restrictive for update
  using (organization_id = (select tenant.administered()));
create policy email_unsubscribes_delete on public.email_unsubscribes as restrictive for delete
  using (organization_id = (select tenant.administered()));

-- Social media and content.

create table public.social_accounts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  platform public.social_platform not null,
  handle text not null constraint social_accounts_handle_is_short check (char_length(handle) between 1 and 100),
  display_name text constraint social_accounts_display_name_is_short check (char_length(display_name) <= 200),
  profile_url public.web_address,
  external_id text,
  status text not null default 'connected'
    constraint social_accounts_status_is_known check (status in ('connected', 'expired', 'disconnected')),
  token_expires_at timestamptz,
  followers integer constraint social_accounts_followers_is_not_negative check (followers >= 0),
  connected_by uuid default tenant.user_id() references public.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint social_accounts_handle_is_unique unique (handle, platform, organization_id)
);
comment on table public.social_accounts is
  'Where the organization posts. The tokens are not here: keep them where secrets are kept. Only owners and admins write here.';
create index social_accounts_organization_id_idx on public.social_accounts (organization_id);
-- Whose connection ends soon, or has ended?
create index social_accounts_status_token_expires_at_idx on public.social_accounts (status, token_expires_at);
create index social_accounts_connected_by_idx on public.social_accounts (connected_by);
create trigger social_accounts_keep_times before update on public.social_accounts
  for each row execute function tenant.keep_times();
alter table public.social_accounts enable row level security;
create policy social_accounts_of_organization on public.social_accounts
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.administered()));
create policy social_accounts_delete on public.social_accounts as restrictive for delete
  using (organization_id = (select tenant.administered()));

create table public.social_posts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  social_account_id uuid not null references public.social_accounts (id) on delete cascade,
  author_id uuid default tenant.user_id() references public.users (id) on delete set null,
  content text not null constraint social_posts_content_is_short check (char_length(content) between 1 and 10000),
  media_urls text[] not null default '{}' constraint social_posts_media_urls_are_few check (cardinality(media_urls) <= 20),
  link_url public.web_address,
  status text not null default 'draft' constraint social_posts_status_is_known
    check (status in ('draft', 'scheduled', 'publishing', 'published', 'failed', 'deleted')),
  scheduled_at timestamptz,
  published_at timestamptz,
  external_id text,
  external_url public.web_address,
  error text constraint social_posts_error_is_short check (char_length(error) <= 2000),
  impressions integer not null default 0 constraint social_posts_impressions_is_not_negative check (impressions >= 0),
  reactions integer not null default 0 constraint social_posts_reactions_is_not_negative check (reactions >= 0),
  comments integer not null default 0 constraint social_posts_comments_is_not_negative check (comments >= 0),
  shares integer not null default 0 constraint social_posts_shares_is_not_negative check (shares >= 0),
  clicks integer not null default 0 constraint social_posts_clicks_is_not_negative check (clicks >= 0),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint social_posts_has_a_time_when_scheduled check (status <> 'scheduled' or scheduled_at is not null),
  constraint social_posts_has_a_time_when_published check (status <> 'published' or published_at is not null)
);
comment on table public.social_posts is 'What is posted on an account, and how it was received.';
-- How many there are in each state.
create index social_posts_organization_id_status_idx on public.social_posts (organization_id, status);
-- What is due to be published? And the calendar of all posts.
create index social_posts_status_scheduled_at_idx on public.social_posts (status, scheduled_at);
create index social_posts_scheduled_at_idx on public.social_posts (scheduled_at);
-- The posts of an account, the last ones first.
create index social_posts_social_account_id_published_at_idx on public.social_posts (social_account_id, published_at);
create index social_posts_author_id_idx on public.social_posts (author_id);
create trigger social_posts_keep_times before update on public.social_posts for each row execute function tenant.keep_times();
alter table public.social_posts enable row level security;
create policy social_posts_of_organization on public.social_posts
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy social_posts_delete on public.social_posts as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.content_templates (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  name text not null constraint content_templates_name_is_short check (char_length(name) between 1 and 200),
  kind public.content_kind not null default 'social_post',
  body text not null constraint content_templates_body_is_short check (char_length(body) <= 100000),
  tone text constraint content_templates_tone_is_short check (char_length(tone) <= 100),
  variables text[] not null default '{}' constraint content_templates_variables_are_few check (cardinality(variables) <= 100),
  is_archived boolean not null default false,
  created_by uuid default tenant.user_id() references public.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint content_templates_name_is_unique unique (name, organization_id)
);
comment on table public.content_templates is 'What new content begins with.';
create index content_templates_organization_id_idx on public.content_templates (organization_id);
-- The picker of templates: those in use, by name.
create index content_templates_is_archived_name_idx on public.content_templates (is_archived, name);
create index content_templates_created_by_idx on public.content_templates (created_by);
create trigger content_templates_keep_times before update on public.content_templates
  for each row execute function tenant.keep_times();
alter table public.content_templates enable row level security;
create policy content_templates_of_organization on public.content_templates
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy content_templates_delete on public.content_templates as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.content_queue (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  title text not null constraint content_queue_title_is_short check (char_length(title) between 1 and 300),
  kind public.content_kind not null default 'social_post',
  body text constraint content_queue_body_is_short check (char_length(body) <= 100000),
  status text not null default 'idea' constraint content_queue_status_is_known
    check (status in ('idea', 'draft', 'in_review', 'approved', 'scheduled', 'published', 'rejected')),
  priority smallint not null default 3 constraint content_queue_priority_is_1_to_5 check (priority between 1 and 5),
  template_id uuid references public.content_templates (id) on delete set null,
  social_account_id uuid references public.social_accounts (id) on delete set null,
  social_post_id uuid references public.social_posts (id) on delete set null,
  assigned_to uuid references public.users (id) on delete set null,
  approved_by uuid references public.users (id) on delete set null,
  approved_at timestamptz,
  scheduled_at timestamptz,
  published_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint content_queue_has_a_time_when_scheduled check (status <> 'scheduled' or scheduled_at is not null)
);
comment on table public.content_queue is 'Content on its way from an idea to what is published.';
-- How many there are in each state.
create index content_queue_organization_id_status_idx on public.content_queue (organization_id, status);
-- The board: a status's content by the time it is planned for.
create index content_queue_status_scheduled_at_idx on public.content_queue (status, scheduled_at);
-- What a person has to write.
create index content_queue_assigned_to_status_idx on public.content_queue (assigned_to, organization_id, status);
create index content_queue_approved_by_idx on public.content_queue (approved_by);
create index content_queue_template_id_idx on public.content_queue (template_id);
create index content_queue_social_account_id_idx on public.content_queue (social_account_id);
create index content_queue_social_post_id_idx on public.content_queue (social_post_id);
create trigger content_queue_keep_times before update on public.content_queue for each row execute function tenant.keep_times();
alter table public.content_queue enable row level security;
create policy content_queue_of_organization on public.content_queue
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
create policy content_queue_delete on public.content_queue as restrictive for delete
  using (organization_id = (select tenant.writable()));

-- What we tell the tenant about itself. Only our login `schema` writes these, as the owner.

create table public.client_usage_metrics (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  metric text not null constraint client_usage_metrics_metric_is_a_name check (metric ~ '^[a-z][a-z0-9_]{0,62}$'),
  period_start date not null,
  period_end date not null,
  quantity bigint not null default 0 constraint client_usage_metrics_quantity_is_not_negative check (quantity >= 0),
  quota bigint constraint client_usage_metrics_quota_is_not_negative check (quota >= 0),
  unit text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint client_usage_metrics_ends_after_its_start check (period_end > period_start)
);
comment on table public.client_usage_metrics is 'What the organization has used in a period, and of how much.';
create index client_usage_metrics_organization_id_idx on public.client_usage_metrics (organization_id);
-- The usage of this month, metric by metric, and how it went over the months.
create unique index client_usage_metrics_metric_period_start_idx
  on public.client_usage_metrics (metric, period_start, organization_id);
create trigger client_usage_metrics_keep_times before update on public.client_usage_metrics
  for each row execute function tenant.keep_times();
alter table public.client_usage_metrics enable row level security;
create policy client_usage_metrics_select on public.client_usage_metrics for select
  using (organization_id = (select tenant.readable()));

create table public.subscription_history (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  plan text not null,
  status text not null,
  amount public.amount,
  currency public.currency_code,
  interval public.billing_interval,
  stripe_subscription_id text,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint subscription_history_ends_after_its_start check (ended_at >= started_at)
);
comment on table public.subscription_history is 'The plans that the organization has had. Owners and admins read it.';
comment on column public.subscription_history.status is
  'As Stripe has it, such as trialing, active or past_due; free without a subscription.';
create index subscription_history_organization_id_idx on public.subscription_history (organization_id);
-- Which plan is it now, and which were there before? The newest first.
create index subscription_history_started_at_idx on public.subscription_history (started_at);
create trigger subscription_history_keep_times before update on public.subscription_history
  for each row execute function tenant.keep_times();
alter table public.subscription_history enable row level security;
create policy subscription_history_select on public.subscription_history for select
  using (organization_id = (select tenant.overseen()));

create table public.analytics_snapshots (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  period public.snapshot_period not null default 'day',
  taken_on date not null,
  contacts integer not null default 0,
  new_contacts integer not null default 0,
  companies integer not null default 0,
  open_deals integer not null default 0,
  open_deals_amount public.amount not null default 0,
  won_deals integer not null default 0,
  won_deals_amount public.amount not null default 0,
  lost_deals integer not null default 0,
  activities_done integer not null default 0,
  emails_sent integer not null default 0,
  emails_opened integer not null default 0,
  emails_clicked integer not null default 0,
  unsubscribes integer not null default 0,
  posts_published integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint analytics_snapshots_counts_are_not_negative check (least(contacts, new_contacts, companies, open_deals, won_deals,
    lost_deals, activities_done, emails_sent, emails_opened, emails_clicked, unsubscribes, posts_published) >= 0)
);
comment on table public.analytics_snapshots is
  'Figures of a day, week or month, for charts that need not count everything again.';
create index analytics_snapshots_organization_id_idx on public.analytics_snapshots (organization_id);
-- The chart of the last days, weeks or months.
create unique index analytics_snapshots_taken_on_idx on public.analytics_snapshots (taken_on, period, organization_id);
create trigger analytics_snapshots_keep_times before update on public.analytics_snapshots
  for each row execute function tenant.keep_times();
alter table public.analytics_snapshots enable row level security;
create policy analytics_snapshots_select on public.analytics_snapshots for select
  using (organization_id = (select tenant.readable()));

create table public.platform_metrics (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  metric text not null constraint platform_metrics_metric_is_a_name check (metric ~ '^[a-z][a-z0-9_]{0,62}$'),
  value numeric not null,
  unit text not null,
  measured_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.platform_metrics is 'How this database does: its size, connections, latency.';
create index platform_metrics_organization_id_idx on public.platform_metrics (organization_id);
-- The chart of one metric over time.
create index platform_metrics_metric_measured_at_idx on public.platform_metrics (metric, measured_at);
create trigger platform_metrics_keep_times before update on public.platform_metrics
  for each row execute function tenant.keep_times();
alter table public.platform_metrics enable row level security;
create policy platform_metrics_select on public.platform_metrics for select
  using (organization_id = (select tenant.readable()));

-- What people are told, and what they have done.

create table public.notifications (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  user_id uuid not null references public.users (id) on delete cascade,
  type text not null default 'info' constraint notifications_type_is_a_name check (type ~ '^[a-z][a-z0-9_.]{0,62}$'),
  title text not null constraint notifications_title_is_short check (char_length(title) between 1 and 200),
  body text constraint notifications_body_is_short check (char_length(body) <= 5000),
  link text constraint notifications_link_is_short check (char_length(link) <= 2000),
  read boolean not null default false,
  read_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.notifications is 'Messages to one person, who alone sees them; everybody may send one to a colleague.';
create index notifications_organization_id_idx on public.notifications (organization_id);
-- The inbox of a person: what is unread, the newest first, and how many these are.
create index notifications_user_id_read_created_at_idx on public.notifications (user_id, read, organization_id, created_at);
create trigger notifications_keep_times before update on public.notifications for each row execute function tenant.keep_times();
create trigger notifications_note_reading before insert or update on public.notifications
  for each row execute function tenant.note_reading();
alter table public.notifications enable row level security;
create policy notifications_of_organization on public.notifications
  using (organization_id = (select tenant.readable())) with check (organization_id = (select tenant.writable()));
-- A key and a direct login are no person, and see those of all.
create policy notifications_of_person on public.notifications as restrictive
  using (coalesce(user_id = (select tenant.user_id()), true)) with check (true);
create policy notifications_delete on public.notifications as restrictive for delete
  using (organization_id = (select tenant.writable()));

create table public.audit_log (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null default tenant.writable() references public.organizations (id) on delete cascade,
  user_id uuid,
  action text not null constraint audit_log_action_is_a_name check (action ~ '^[a-z][a-z0-9_.]{0,62}$'),
  table_name text,
  record_id uuid,
  details jsonb not null default '{}' constraint audit_log_details_is_an_object check (jsonb_typeof(details) = 'object'),
  ip_address inet,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.audit_log is
  'Who did what, written by the application. Entries are added and never changed. Owners and admins read all, members their own.';
comment on column public.audit_log.user_id is 'Stays when the person is no member any more; refers to no row for that reason.';
create index audit_log_organization_id_idx on public.audit_log (organization_id);
-- The newest entries, those of a person, and the history of one record.
create index audit_log_created_at_idx on public.audit_log (created_at);
create index audit_log_user_id_created_at_idx on public.audit_log (user_id, created_at);
create index audit_log_record_id_created_at_idx on public.audit_log (record_id, created_at);
create trigger audit_log_keep_times before update on public.audit_log for each row execute function tenant.keep_times();
create trigger audit_log_sign_entry before insert on public.audit_log for each row execute function tenant.sign_entry();
alter table public.audit_log enable row level security;
create policy audit_log_select on public.audit_log for select using (organization_id = (select tenant.overseen()));
create policy audit_log_select_own on public.audit_log for select using (user_id = (select tenant.user_id()));
create policy audit_log_insert on public.audit_log for insert with check (organization_id = (select tenant.writable()));

-- Who was granted these tables when they were made is not known here, so what nobody may do is taken from everybody.

do $$
declare
  v_right record;
begin
  for v_right in
    select c.relname as name, a.grantee::regrole as grantee, c.relname in ('organizations', 'users') and
      bool_or(a.privilege_type = 'UPDATE') as is_copy, c.relname in ('organizations', 'audit_log') as is_added_to
    from pg_class c, aclexplode(c.relacl) a
    where c.relnamespace = 'public'::regnamespace and a.grantee not in (0, c.relowner) and c.relname in ('organizations', 'users',
      'audit_log', 'client_usage_metrics', 'subscription_history', 'analytics_snapshots', 'platform_metrics')
      and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE')
    group by 1, 2, c.relname
  loop
    execute format('revoke update, delete on public.%I from %s', v_right.name, v_right.grantee);
    if not v_right.is_added_to then
      execute format('revoke insert on public.%I from %s', v_right.name, v_right.grantee);
    end if;
    if v_right.is_copy then
      execute format('grant update (%s) on public.%I to %s', case v_right.name
        when 'users' then 'job_title, phone, time_zone, email_signature'
        else 'legal_name, industry, website, logo_url, phone, country, currency, time_zone' end, v_right.name, v_right.grantee);
    end if;
  end loop;
end
$$;
