import postgres, { type Sql, type TransactionSql } from 'postgres'
import { AuthError } from './errors.ts'

/**
 * Runs the work of one request in one transaction. A database error (say, of a trigger on auth.users) becomes
 * GoTrue's "Database error …": the client learns no more, the log everything.
 * @throws AuthError
 */
export async function inTransaction<T>(
  sql: Sql,
  failure: string,
  log: (text: string) => void,
  work: (sql: TransactionSql) => Promise<T>,
): Promise<T> {
  try {
    // Wrapped, since postgres.js would otherwise unwrap an array of promises.
    const { result } = await sql.begin(async (transaction) => ({ result: await work(transaction) }))
    return result
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error
    log(`auth: ${failure}: ${error.message} (${error.code})${error.where ? `, ${error.where}` : ''}`)
    throw new AuthError('unexpected_failure', failure)
  }
}
