import postgres from 'postgres'
import { supabaseCli } from '../../tools/supabase-cli.ts'

export interface MigrateOptions {
  /** Base URL of the functions as the database reaches them; goes to Vault. */
  readonly functionsUrl?: string
  readonly seed?: boolean
  /** The directory that has supabase/config.toml and the migrations; without it, this one. */
  readonly workdir?: string
}

/**
 * Applies supabase/migrations to a database with the real CLI, as the role in the URL (the non-superuser
 * `postgres`, as on a hosted project), and puts the functions' address into Vault.
 * @throws Error with what the CLI printed.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<void> {
  const seed = options.seed ? ['--include-seed'] : []
  await supabaseCli(['db', 'push', '--yes', ...seed], {
    databaseUrl: `${databaseUrl}?sslmode=disable`,
    env: { FUNCTIONS_BASE_URL: options.functionsUrl ?? 'http://127.0.0.1:9/functions/v1' },
    ...(options.workdir === undefined ? {} : { workdir: options.workdir }),
  })
  if (options.functionsUrl !== undefined) await setFunctionsUrl(databaseUrl, options.functionsUrl)
}

/**
 * The CLI upserts the Vault secrets of config.toml only when there is a migration to apply. A stack that has its data
 * already may have moved to another port, where the database would go on ringing at the old one.
 */
async function setFunctionsUrl(databaseUrl: string, functionsUrl: string): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => undefined })
  try {
    await sql.begin(async (transaction) => {
      const [secret] = await transaction<{ id: string; value: string }[]>`
        select id, decrypted_secret as value from vault.decrypted_secrets where name = 'functions_base_url'`
      if (!secret) await transaction`select vault.create_secret(${functionsUrl}, 'functions_base_url')`
      else if (secret.value !== functionsUrl)
        await transaction`select vault.update_secret(${secret.id}, ${functionsUrl})`
    })
  } finally {
    await sql.end({ timeout: 5 })
  }
}
