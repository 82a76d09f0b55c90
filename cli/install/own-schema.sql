-- The schema that holds what users may see. It is made after the check of names, and before the first table.
-- Its name in supabase/config.toml, or in the settings of the Data API, exposes it; without that nobody reaches it from outside.

create schema if not exists public;
-- As the platform has it for the schema that it exposes. Tables and functions grant what they allow by name.
grant usage on schema public to anon, authenticated, service_role;
