-- Key-value settings of the tenant's application. What the owner makes is granted to the application by itself.
create table public.settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);
comment on table public.settings is 'Application settings of this tenant.';
