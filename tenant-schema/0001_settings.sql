-- Key-value settings of the tenant's application. The application's role owns the database, so no grants are needed.
create table public.settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);
comment on table public.settings is 'Application settings of this tenant.';
