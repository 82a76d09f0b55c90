import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { supabaseCli } from '../../tools/supabase-cli.ts'

/** TypeScript types of the public schema, as the Supabase CLI writes them. */
export async function generateDatabaseTypes(databaseUrl: string): Promise<string> {
  const types = await supabaseCli(['gen', 'types', 'typescript', '--schema', PUBLIC_SCHEMA], {
    databaseUrl: `${databaseUrl}?sslmode=disable`,
  })
  return `// Written by \`npm run types\` from supabase/migrations; edit those.\n${types}`
}
