/** For a session of the login `schema`: what happens between these is the owner's. A file may build an index, and finds public as it would by hand. */
export const ACT_AS_OWNER = `select pg_catalog.set_config('role', pg_catalog.current_database() || '_owner', true);
  set local search_path = public, pg_temp; set local statement_timeout = '60s';`
/** What the tenant's triggers have put off until the end happens as the owner, and before what is ours. */
export const STOP_ACTING = `set constraints all immediate; set local role none;
  set local search_path to default; set local statement_timeout to default;`
