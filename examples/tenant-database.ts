// An application's server works in the database of one tenant. Never in a browser: the secret key opens every tenant.
//   SUPABASE_URL=… SUPABASE_SERVICE_ROLE_KEY=… npx tsx examples/tenant-database.ts ORGANIZATION_ID
import { createClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import type { Database } from '../shared/generated/database-types.ts'

const { SUPABASE_URL, VITE_SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY } = process.env
const supabase = createClient<Database>(
  SUPABASE_URL ?? VITE_SUPABASE_URL ?? '',
  SUPABASE_SERVICE_ROLE_KEY ?? '',
  { auth: { persistSession: false, autoRefreshToken: false } },
)

// Each revelation is in the audit log, so a server asks once, keeps the address in memory, and asks again when the login is refused.
const { data } = await supabase
  .rpc('database_connection', { organization_id: process.argv[2] ?? '', reveal_password: true })
  .throwOnError()
const { host, pooled_host, port, database, role, password, ssl_mode } = Object(data)

const sql = postgres({
  // Many short connections go through the pooler, which does not keep prepared statements.
  host: pooled_host ?? host,
  port,
  database,
  username: role,
  password,
  ssl: ssl_mode === 'disable' ? false : 'verify-full',
  prepare: false,
  max: 1,
})
const [contact] =
  await sql`insert into contacts (first_name, last_name) values ('Ada', 'Lovelace') returning id, last_name`
console.log(contact)
await sql.end()
