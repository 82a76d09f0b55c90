import { supabaseCli } from '../../tools/supabase-cli.ts'

/** TypeScript types of the schema `public`, as the Supabase CLI writes them. */
export function generateDatabaseTypes(databaseUrl: string): Promise<string> {
  return supabaseCli(['gen', 'types', 'typescript', '--schema', 'public'], {
    databaseUrl: `${databaseUrl}?sslmode=disable`,
  })
}
