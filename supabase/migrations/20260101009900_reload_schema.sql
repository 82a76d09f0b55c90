-- PostgREST keeps the schema in memory and looks again only when it is told.
notify pgrst, 'reload schema';
