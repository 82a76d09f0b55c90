import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { supabaseCli } from '../../tools/supabase-cli.ts'

/** TypeScript types of the public schema, as the Supabase CLI writes them. */
export function generateDatabaseTypes(databaseUrl: string): Promise<string> {
  return supabaseCli(['gen', 'types', 'typescript', '--schema', PUBLIC_SCHEMA], {
    databaseUrl: `${databaseUrl}?sslmode=disable`,
  })
}
