import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import type { Database } from '../../shared/generated/database-types.ts'

/** Does some work on the database of the signed-in owner's tenant, opened with the password from Vault, which is audited. */
export async function withTenantDatabase<T>(
  client: SupabaseClient<Database>,
  work: (sql: postgres.Sql, address: string) => Promise<T>,
): Promise<T> {
  const { data: own } = await client.from('organizations').select('id').single()
  const { data, error } = await client.rpc('database_connection', {
    organization_id: own?.id ?? '',
    reveal_password: true,
  })
  if (error) throw new Error(error.message)
  const { host, port, database, role, password } = Object(data)
  const sql = postgres({ host, port, database, username: role, password, max: 1, connect_timeout: 15 })
  return work(sql, `${role}@${host}:${port}`).finally(() => sql.end())
}
