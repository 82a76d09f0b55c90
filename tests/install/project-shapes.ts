import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** A Supabase project as people have it: its files by path. */
export interface Shape {
  readonly name: string
  readonly files: Readonly<Record<string, string>>
  /** Where our tables have to go. */
  readonly schema: string
  /** Of init. */
  readonly options?: readonly string[]
  /** Statements on tables of its own that must go on having the same outcome. */
  readonly acts?: readonly string[]
}

const SIGN_UP_TRIGGER = `
  create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.handle_new_user();`

const QUICK_START = `-- Create a table for public profiles
create table profiles (
  id uuid references auth.users on delete cascade not null primary key,
  updated_at timestamp with time zone, username text unique, full_name text, avatar_url text,
  constraint username_length check (char_length(username) >= 3)
);
alter table profiles enable row level security;
create policy "Public profiles are viewable by everyone." on profiles for select using (true);
create function public.handle_new_user() returns trigger set search_path = '' as $$
begin
  insert into public.profiles (id, full_name) values (new.id, new.raw_user_meta_data->>'full_name');
  return new;
end;
$$ language plpgsql security definer;${SIGN_UP_TRIGGER}
`

const COMPANIES = `CREATE TABLE public.companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, owner_id uuid REFERENCES auth.users (id) ON DELETE CASCADE);
CREATE TABLE public.company_members (company_id uuid REFERENCES public.companies (id) ON DELETE CASCADE, user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE, role text, PRIMARY KEY (company_id, user_id));
ALTER TABLE public.companies ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.company_members ENABLE ROW LEVEL SECURITY;
CREATE OR REPLACE FUNCTION public.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE company uuid;
BEGIN
  INSERT INTO companies (name, owner_id) VALUES (coalesce(NEW.raw_user_meta_data->>'company', NEW.email), NEW.id) RETURNING id INTO company;
  INSERT INTO company_members VALUES (company, NEW.id, 'owner');
  RETURN NEW;
END $$;
CREATE TRIGGER zz_company AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.handle_new_user();
`

/** What \`supabase init\` writes, cut down to what the tests need. */
export const CONFIG = `# A string used to distinguish different Supabase projects on the same host.
project_id = "shop"

[api]
enabled = true
# Schemas to expose in your API. Tables, views and stored procedures in this schema will get API endpoints.
schemas = ["public", "graphql_public"]
max_rows = 1000

[db]
port = 54322 # ours
major_version = 17

[auth]
enabled = true
`

export const SHAPES: readonly Shape[] = [
  { name: 'that is new', files: { 'supabase/config.toml': CONFIG }, schema: 'public' },
  {
    name: 'of the quick start',
    files: {
      'supabase/config.toml': CONFIG,
      'supabase/migrations/20261120101500_profiles.sql': QUICK_START,
      'supabase/seed.sql': 'select 1;\n',
    },
    schema: 'tenancy',
  },
  {
    name: 'with companies, numbered migrations and functions of its own',
    files: {
      'supabase/config.toml': `${CONFIG}
[db.vault] # for the mailer
mail_key = "env(MAIL_KEY)"

[functions.hello]
verify_jwt = true # users only
import_map = "./functions/hello/deno.json"
`,
      'supabase/migrations/0001_companies.sql': COMPANIES,
      'supabase/functions/hello/index.ts': "Deno.serve(() => new Response('hello'))\n",
      'supabase/functions/hello/deno.json': '{ "imports": {} }\n',
      'supabase/functions/_shared/cors.ts': 'export const cors = {}\n',
      'shared/theirs.ts': 'export {}\n',
      '.env.example': '# Keys\nSTRIPE_SECRET_KEY=sk_test_…\n',
      '.env': 'MAIL_KEY=x\n',
    },
    schema: 'public',
  },
  {
    name: 'whose clock is ahead, and whose tables have gone',
    files: {
      'supabase/config.toml': 'project_id = "tiny"\n',
      'supabase/migrations/20991231235958_users.sql': `${QUICK_START}
create table public.organizations (id uuid primary key);
create table app_settings (id int primary key);`,
      'supabase/migrations/20991231235959_away.sql': `drop function public.handle_new_user() cascade;
drop table if exists profiles cascade;
alter table public.organizations rename to teams;
alter index organizations_pkey rename to teams_pkey;`,
    },
    schema: 'public',
  },
]

/** Writes a shape into a directory of its own. */
export async function makeProject({ files }: Shape): Promise<{ directory: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'their-project-'))
  for (const [file, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(directory, file)), { recursive: true })
    await writeFile(path.join(directory, file), text)
  }
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/** Every file of a directory, by path, without what the Supabase CLI keeps for itself. */
export async function filesIn(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && !entry.parentPath.endsWith('.temp'))
    .map((entry) => path.join(entry.parentPath, entry.name))
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
  return Object.fromEntries(files.map((file, index) => [path.relative(directory, file), texts[index] ?? '']))
}
