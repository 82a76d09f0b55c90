import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'

/** What a real Auth server needs to find its tables. @param databaseUrl as supabase_auth_admin */
export function authDatabaseEnvironment(databaseUrl: string): Record<string, string> {
  return {
    GOTRUE_DB_DRIVER: 'postgres',
    DB_NAMESPACE: 'auth',
    DATABASE_URL: `${databaseUrl}?sslmode=disable`,
    GOTRUE_LOG_LEVEL: 'error',
  }
}

/** Applies the migrations of a real Auth server. @throws Error with what the program printed */
export async function migrateAuth(executable: string, databaseUrl: string): Promise<void> {
  const child = spawn(executable, ['migrate'], {
    env: {
      ...authDatabaseEnvironment(databaseUrl),
      API_EXTERNAL_URL: 'http://127.0.0.1',
      GOTRUE_SITE_URL: 'http://127.0.0.1',
      GOTRUE_JWT_SECRET: randomBytes(32).toString('hex'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => output.push(String(text)))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${executable} migrate failed: ${output.join('').slice(-2000)}`)
}
