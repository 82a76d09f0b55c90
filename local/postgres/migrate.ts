import { supabaseCli } from './supabase-cli.ts'

/**
 * Applies supabase/migrations to a database with the real CLI, as the role in the URL (the non-superuser
 * `postgres`, as on a hosted project), after upserting the Vault secrets that config.toml names.
 * @throws Error with what the CLI printed.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<void> {
  const seed = options.seed ? ['--include-seed'] : []
  await supabaseCli(['db', 'push', '--yes', ...seed], {
    databaseUrl: `${databaseUrl}?sslmode=disable`,
    env: { FUNCTIONS_BASE_URL: options.functionsUrl ?? 'http://127.0.0.1:9/functions/v1' },
  })
}

export interface MigrateOptions {
  /** Base URL of the functions as the database reaches them; goes to Vault. */
  readonly functionsUrl?: string
  readonly seed?: boolean
}
