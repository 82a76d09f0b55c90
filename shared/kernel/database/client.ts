import postgres from 'postgres'
import type { Environment } from '../environment.ts'
import { knownArrays } from './array-types.ts'
import { type Database, openPool } from './pool.ts'
import { PUBLIC_SCHEMA } from './schema.ts'

export type { Database } from './pool.ts'

/** The public schema's name as a part of a statement. What makes it never connects. */
export const publicSchema = postgres({ max: 1 }).unsafe(PUBLIC_SCHEMA)

/**
 * A pool of at most two connections: a project has few, and many workers may run at once. Statements are not prepared,
 * because a pooler in transaction mode would give each to a different server process.
 */
export function connect(environment: Pick<Environment, 'SUPABASE_DB_URL' | 'DATABASE_POOLER_URL'>): Database {
  return openPool(
    environment.DATABASE_POOLER_URL ?? environment.SUPABASE_DB_URL,
    {
      prepare: false,
      ...knownArrays,
      onnotice: () => undefined,
      connection: { application_name: 'tenant-provisioning' },
    },
    { connections: 2, connectMs: 5_000, idleMs: 20_000, lifeMs: 1_800_000 },
  )
}

/** SQLSTATE of a Postgres error, or undefined when the error is something else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined
}
