import postgres from 'postgres'
import type { Environment } from '../environment.ts'
import { knownArrays } from './array-types.ts'

export type Database = postgres.Sql

/**
 * A pool of at most two connections: a project has few, and many workers may run at once. Statements are not prepared,
 * because a pooler in transaction mode would give each to a different server process.
 */
export function connect(environment: Pick<Environment, 'SUPABASE_DB_URL' | 'DATABASE_POOLER_URL'>): Database {
  return postgres(environment.DATABASE_POOLER_URL ?? environment.SUPABASE_DB_URL, {
    max: 2,
    prepare: false,
    idle_timeout: 20,
    connect_timeout: 5,
    ...knownArrays,
    onnotice: () => undefined,
    connection: { application_name: 'tenant-provisioning' },
  })
}

/** SQLSTATE of a Postgres error, or undefined when the error is something else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined
}
