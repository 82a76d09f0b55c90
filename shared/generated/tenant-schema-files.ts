// Written by `npm run tenant-schema` from tenant-schema/*.sql; edit those.
export interface SchemaFile {
  readonly version: number
  /** NNNN_what.sql */
  readonly name: string
  readonly sql: string
}

export const tenantSchemaFiles: readonly SchemaFile[] = [
  {
    version: 1,
    name: '0001_settings.sql',
    sql: `-- Key-value settings of the tenant's application. What the owner makes is granted to the application by itself.
create table public.settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);
comment on table public.settings is 'Application settings of this tenant.';
`,
  },
  {
    version: 2,
    name: '0002_records.sql',
    sql: `-- A starting point for what a tenant stores; replace or extend it by adding files with higher numbers.
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
`,
  },
]
