import { CONFIG, type Shape } from './project-shapes.ts'

/** A project whose migrations are these, dated this year. */
function shape(name: string, schema: string, migrations: readonly string[]): Shape {
  const files = migrations.map((text, index) => [
    `supabase/migrations/2026${String(1001000000 + index)}_step_${index}.sql`,
    `${text.trim()}\n`,
  ])
  return { name, schema, files: { 'supabase/config.toml': CONFIG, ...Object.fromEntries(files) } }
}

const NOTE_USERS = `
create table public.user_events (id bigint generated always as identity primary key, user_id uuid, what text not null);
create function public.note_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.user_events (user_id, what) values (coalesce(new.id, old.id), tg_op);
  return coalesce(new, old);
end $$;`

const OTHER_KEY = `
     create table public.profiles (id uuid primary key default gen_random_uuid(),
       user_id uuid not null unique references auth.users (id) on delete cascade, email text not null, role text not null default 'user');
     create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = public as $$
       begin insert into profiles (user_id, email) values (new.id, coalesce(new.email, new.id::text)); return new; end $$;
     create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();`

/** What people have that most often meets ours, beside the shapes that the tests install one by one. */
export const MORE_SHAPES: readonly Shape[] = [
  shape('with profiles of another key and required fields', 'tenancy', [OTHER_KEY]),
  {
    ...shape('with profiles that are read instead of ours', 'tenancy', [
      `${OTHER_KEY} alter table public.profiles add column full_name text, add column avatar_url text;`,
    ]),
    options: ['--profiles', 'profiles'],
    acts: [
      `update public.profiles set full_name = 'Eve', email = 'eve@example.com'`,
      `insert into public.profiles (user_id, email) select user_id, email from public.profiles limit 1`,
      `delete from public.profiles where full_name = 'Eve'`,
      'alter table public.profiles alter column full_name type varchar(50)',
      'alter table public.profiles drop column full_name',
      `update public.profiles set email = 'x'`,
    ],
  },
  shape('with roles of users', 'public', [
    `create type public.app_role as enum ('admin', 'user');
     create table public.user_roles (user_id uuid references auth.users (id) on delete cascade, role public.app_role, primary key (user_id, role));
     alter table public.user_roles enable row level security;
     create function public.has_role(_user_id uuid, _role public.app_role) returns boolean language sql stable security definer
       set search_path = public as $$ select exists (select 1 from user_roles where user_id = _user_id and role = _role) $$;
     create policy "own roles" on public.user_roles for select using (auth.uid() = user_id);
     create function public.assign_role() returns trigger language plpgsql security definer set search_path = public as $$
       begin insert into user_roles values (new.id, 'user'); return new; end $$;
     create trigger a_role after insert on auth.users for each row execute function public.assign_role();`,
  ]),
  shape(
    'with thirty migrations of this year',
    'public',
    Array.from(
      { length: 30 },
      (_, index) =>
        `create table public.thing_${index} (id uuid primary key default gen_random_uuid(), owner uuid references auth.users (id) on delete cascade);
         create index on public.thing_${index} (owner);`,
    ),
  ),
  shape('with an audit log and triggers on every act', 'tenancy', [
    `create table public.audit_logs (id bigint generated always as identity primary key, what text not null);
     create function public.log_user() returns trigger language plpgsql security definer set search_path = '' as $$
       begin insert into public.audit_logs (what) values (tg_op || tg_when); return coalesce(new, old); end $$;
     create trigger aa_log before insert or update or delete on auth.users for each row execute function public.log_user();
     create trigger zz_log after insert or update or delete on auth.users for each row execute function public.log_user();`,
  ]),
  shape('that keeps users who are deleted', 'public', [
    `${NOTE_USERS}
     create function public.keep_user() returns trigger language plpgsql security definer set search_path = '' as $$
       begin update auth.users set deleted_at = now() where id = old.id; return null; end $$;
     create trigger zz_keep_user before delete on auth.users for each row execute function public.keep_user();
     create trigger note_user after update on auth.users for each row execute function public.note_user();`,
  ]),
  shape('with pg_trgm in public', 'public', [
    `create extension pg_trgm with schema public;
     create table public.books (id uuid primary key default gen_random_uuid(), title text not null);
     create index books_title_idx on public.books using gin (title gin_trgm_ops);`,
  ]),
  shape('with organizations and members', 'tenancy', [
    `create table public.organizations (id uuid primary key default gen_random_uuid(), name text not null, slug text unique,
       created_by uuid references auth.users (id) on delete set null);
     create table public.organization_members (organization_id uuid references public.organizations (id) on delete cascade,
       user_id uuid references auth.users (id) on delete cascade, primary key (organization_id, user_id));
     alter table public.organizations enable row level security;
     create function public.first_organization() returns trigger language plpgsql security definer set search_path = public as $$
       declare o uuid; begin
         insert into organizations (name, created_by) values (coalesce(new.email, 'nobody'), new.id) returning id into o;
         insert into organization_members values (o, new.id); return new; end $$;
     create trigger zzz_organization after insert on auth.users for each row execute function public.first_organization();`,
    `alter table public.organizations rename constraint organizations_slug_key to org_slug;`,
  ]),
  shape('with rights for everybody and an index of our name', 'tenancy', [
    `alter default privileges grant all on functions to authenticated;
     alter default privileges grant all on tables to authenticated;
     create table public.people (id uuid primary key references auth.users (id) on delete cascade, name text not null);
     create index profiles_search_idx on public.people (name);
     ${NOTE_USERS}
     create trigger note_user after insert or delete on auth.users for each row execute function public.note_user();`,
  ]),
  {
    ...shape('with organizations that are read instead of ours', 'tenancy', [
      `create table public.profiles (id uuid primary key references auth.users (id) on delete cascade, full_name text);
       create table public.organizations (id uuid primary key default gen_random_uuid(), name text not null,
         created_by uuid references auth.users (id) on delete cascade);
       create table public.organization_members (organization_id uuid references public.organizations (id) on delete cascade,
         user_id uuid references public.profiles (id) on delete cascade, role text, primary key (organization_id, user_id));
       create function public.first_organization() returns trigger language plpgsql security definer set search_path = public as $$
         declare o uuid; begin
           insert into profiles (id, full_name) values (new.id, new.raw_user_meta_data ->> 'full_name');
           insert into organizations (name, created_by) values (coalesce(new.email, 'nobody'), new.id) returning id into o;
           insert into organization_members values (o, new.id, 'admin'); return new; end $$;
       create trigger organization after insert on auth.users for each row execute function public.first_organization();`,
    ]),
    options: ['--tenants', 'organizations', '--members', 'organization_members', '--profiles', 'profiles'],
    acts: [
      `update public.organizations set name = left(name, 3)`,
      `insert into public.organizations (name) values ('Nobody''s')`,
      `insert into public.organization_members select o.id, p.id, 'x' from public.organizations o, public.profiles p on conflict do nothing`,
      `update public.organization_members set role = 'owner'`,
      `delete from public.organization_members where role = 'owner' and ctid in (select ctid from public.organization_members limit 3)`,
      `insert into public.organizations (name, created_by) select 'Many', p.id from public.profiles p, generate_series(1, 15) order by p.id limit 15`,
      `delete from public.organizations where name = 'Many'`,
      'alter table public.organizations alter column name type varchar(80)',
      'alter table public.organization_members drop column role',
      `insert into public.organization_members select o.id, p.id from public.organizations o, public.profiles p on conflict do nothing`,
      `update public.organizations set id = gen_random_uuid() where name = 'Nobody''s'`,
      'truncate public.organization_members',
    ],
  },
]
