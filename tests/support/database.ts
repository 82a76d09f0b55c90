import postgres from 'postgres'
import { inject } from 'vitest'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'

/** Where a test's own statements look for tables that they name without a schema. Nothing of ours relies on it. */
export const SEARCH_PATH = `${PUBLIC_SCHEMA}, public, extensions`

export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  /** Connection URL as a role; without one, as the migrations' non-superuser `postgres`. */
  url(role?: string): string
  /** Ends its connections and drops it. */
  drop(): Promise<void>
}

/**
 * A private copy of a template database; `platform` has no migrations applied, `migrated` has them all.
 * @param realAuth with the schema of the real Auth server that AUTH_SERVER names
 */
export async function createTestDatabase(
  template: 'platform' | 'migrated',
  realAuth = false,
): Promise<TestDatabase> {
  const port = inject('postgresPort')
  const name = `test_${crypto.randomUUID().replaceAll('-', '').slice(0, 12)}`
  const admin = () =>
    postgres(databaseUrl(port, 'template1', SUPERUSER), { max: 1, onnotice: () => undefined })
  const run = async (statement: string) => {
    const sql = admin()
    await sql.unsafe(statement).finally(() => sql.end())
  }
  await run(`create database ${name} template ${template}${realAuth ? '_auth' : ''} owner postgres`)
  const drop = () => run(`drop database if exists ${name} with (force)`)
  return {
    name,
    url: (role = 'postgres') => databaseUrl(port, name, role),
    drop,
    [Symbol.asyncDispose]: drop,
  }
}
