-- A starting point for what a tenant stores; replace or extend it by adding files with higher numbers.
create table public.records (
  id uuid primary key default gen_random_uuid(),
  type text not null,
  data jsonb not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index records_type_created_at_idx on public.records (type, created_at desc);

create table public.activity (
  id bigint generated always as identity primary key,
  actor_id uuid,
  action text not null,
  record_id uuid references public.records (id) on delete set null,
  created_at timestamptz not null default now()
);
create index activity_record_id_idx on public.activity (record_id);
