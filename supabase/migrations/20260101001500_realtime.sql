-- Realtime sends the changes of the tables in this publication to those who may read the row by row level security. Of a deletion
-- it tells everybody who listens, but nothing except the primary key, which is all that Postgres passes on of a deleted row.

-- Every hosted project has the publication, and a project without Realtime has none. Where it is for all tables, ours are in it
-- already. Whoever does not own it cannot add to it, and the installation goes on without.
do $$
begin
  if exists (
    select from pg_catalog.pg_publication p
    where p.pubname = 'supabase_realtime' and not p.puballtables and pg_has_role(p.pubowner, 'usage')
  ) then
    alter publication supabase_realtime add table
      public.organizations, public.provisioning_jobs, public.provisioning_steps, public.tenant_alerts;
  end if;
end
$$;
