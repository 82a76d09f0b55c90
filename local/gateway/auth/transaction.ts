import postgres, { type Sql, type TransactionSql } from 'postgres'
import { Refusal } from '../exchange.ts'
import { AuthError } from './errors.ts'

/** Errors of the database that GoTrue passes on: what a trigger raises, and violated constraints. */
const TOLD = new Set(['P0001', '23000', '23001', '23502', '23503', '23505', '23514', '23P01'])

/**
 * Runs the work of one request in one transaction. What a trigger on auth.users raises is the client's answer, as it is
 * with GoTrue; any other database error becomes "Database error …", and only the log knows more.
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
    const custom = /^PT([1-5]\d\d)$/.exec(error.code)?.[1]
    if (custom === undefined && !TOLD.has(error.code)) throw new AuthError('unexpected_failure', failure)
    throw new Refusal(custom === undefined ? 500 : Number(custom), {
      code: error.code,
      message: error.message,
      ...(error.hint ? { hint: error.hint } : {}),
      ...(error.detail ? { detail: error.detail } : {}),
    })
  }
}
