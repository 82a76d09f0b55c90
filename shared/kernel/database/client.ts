import postgres from 'postgres'
import type { Environment } from '../environment.ts'
import { knownArrays } from './array-types.ts'
import { type Database, openPool } from './pool.ts'
import { PUBLIC_SCHEMA } from './schema.ts'

export type { Database } from './pool.ts'

/** The public schema's name as a part of a statement. What makes it never connects. */
export const publicSchema = postgres({ max: 1 }).unsafe(PUBLIC_SCHEMA)

type Addresses = Pick<Environment, 'SUPABASE_DB_URL' | 'DATABASE_POOLER_URL'>

/** Where Supabase's poolers give each transaction to whichever server process is free. */
const TRANSACTION_MODE_PORT = '6543'

/**
 * Preparing a statement spares its next use a round trip, and the server its parsing. Not through a pooler in transaction mode:
 * what is prepared in one server process is unknown to the next.
 */
export function preparesStatements({
  DATABASE_POOLER_URL: pooler,
  SUPABASE_DB_URL: url,
}: Addresses): boolean {
  return pooler === undefined && URL.parse(url)?.port !== TRANSACTION_MODE_PORT
}

/** A pool of at most two connections: a project has few, and many workers may run at once. */
export function connect(environment: Addresses): Database {
  return openPool(
    environment.DATABASE_POOLER_URL ?? environment.SUPABASE_DB_URL,
    {
      prepare: preparesStatements(environment),
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
