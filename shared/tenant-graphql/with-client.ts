import { escapeLiteral } from 'pg'
import { networkError } from '../kernel/database/socket.ts'
import { roleOf } from '../tenant-database/roles.ts'
import type { Access } from './access.ts'
import type { Connection, Rows, Statement } from './connection.ts'
import type { Lease } from './pool.ts'
import type { Usage } from './usage.ts'

/** As the plans of PostGraphile use it. */
export interface PlanClient {
  query(statement: Statement): Promise<Rows>
  withTransaction<T>(work: (client: PlanClient) => Promise<T>): Promise<T>
}

export type WithPgClient = <T>(settings: unknown, work: (client: PlanClient) => Promise<T>) => Promise<T>

const STATEMENT_MS = 3_000
const LOCK_MS = 2_000

/** What the policies of the tenant schema read: tenant-schema/README.md. */
function claimsOf({ endpoint, scope, member }: Access): string {
  return JSON.stringify({
    organization_id: endpoint.organizationId,
    scope: scope === 'write' ? 'read write' : 'read',
    ...(member ? { sub: member.userId, organization_role: member.role } : {}),
  })
}

/** The same text for all that one access begins, which is remembered for less than a second. */
const beginnings = new WeakMap<Access, Map<boolean, string>>()

function beginningOf(access: Access, isReading: boolean): string {
  const known = beginnings.get(access) ?? new Map<boolean, string>()
  beginnings.set(access, known)
  const text = known.get(isReading) ?? beginAs(access, isReading)
  known.set(isReading, text)
  return text
}

/**
 * Begins a transaction as the role of the request. Whatever a transaction before it, or the database's owner, has set for the
 * session is overruled, and ends with the transaction.
 */
function beginAs(access: Access, isReading: boolean): string {
  const settings: Readonly<Record<string, string>> = {
    'request.jwt.claims': claimsOf(access),
    statement_timeout: String(STATEMENT_MS),
    lock_timeout: String(LOCK_MS),
    idle_in_transaction_session_timeout: String(STATEMENT_MS),
    search_path: 'pg_catalog, public, pg_temp',
    row_security: 'on',
    jit: 'off',
    standard_conforming_strings: 'on',
    DateStyle: 'ISO',
    IntervalStyle: 'iso_8601',
    TimeZone: 'UTC',
    extra_float_digits: '1',
  }
  const values = Object.entries(settings).map(([name, value]) => [name, escapeLiteral(value)] as const)
  const each = [['role', roleOf(access.scope)] as const, ...values].map(
    ([name, value]) => `pg_catalog.set_config('${name}', ${value}, true)`,
  )
  return `begin ${isReading ? 'read only' : 'read write'}; select ${each.join(', ')}`
}

/**
 * Gives each plan a transaction of its own in the tenant's database. Nothing is waited for that need not be: the beginning goes
 * out together with the first statement, and reads do not wait for the end.
 * @param acquire a connection for one transaction
 */
export function createWithClient(
  access: Access,
  { isReading, usage, acquire }: { isReading: boolean; usage: Usage; acquire: () => Promise<Lease> },
): WithPgClient {
  const begin = beginningOf(access, isReading)

  const attempt = async <T>(lease: Lease, work: (client: PlanClient) => Promise<T>): Promise<T> => {
    const { connection } = lease
    const opened = connection.run(begin)
    opened.catch(() => undefined)
    try {
      const result = await work(clientOf(connection, 0)).catch(async (error: unknown) => {
        // If the beginning was refused, that is what is wrong.
        await opened
        throw error
      })
      await opened
      return result
    } catch (error) {
      finish(lease, 'rollback').catch(() => undefined)
      throw error
    }
  }
  const commit = async (lease: Lease): Promise<void> => {
    const done = finish(lease, 'commit')
    if (isReading) return void done.catch(() => undefined)
    await done.catch((error: unknown) => {
      if (lease.connection.isLost) throw networkError('COMMIT_UNKNOWN', 'the connection was lost in the end')
      throw error
    })
  }
  const acquireCounted = async (): Promise<Lease> => {
    const lease = await acquire()
    usage.openedInMs = Math.max(usage.openedInMs, lease.openedInMs)
    return lease
  }

  return async (_settings, work) => {
    let lease = await acquireCounted()
    const result = await attempt(lease, work).catch(async (error: unknown) => {
      // The server had gone away before, and nothing was committed.
      if (!lease.isReused || !lease.connection.isLost || !isGone(error)) throw error
      lease = await acquireCounted()
      return attempt(lease, work)
    })
    await commit(lease)
    return result
  }
}

/** Not when we have cut it ourselves: the next one would end likewise. */
function isGone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return !['ANSWER_TOO_LARGE', 'DEADLINE', 'BUSY'].includes(code)
}

/** @throws what the database says, for instance of a deferred constraint */
async function finish({ connection, release }: Lease, how: 'commit' | 'rollback'): Promise<void> {
  try {
    await connection.run(how)
  } finally {
    release()
  }
}

function clientOf(connection: Connection, depth: number): PlanClient {
  return {
    query: (statement) => connection.query(statement),
    async withTransaction(work) {
      const name = `plan_${depth}`
      await connection.run(`savepoint ${name}`)
      try {
        const result = await work(clientOf(connection, depth + 1))
        await connection.run(`release savepoint ${name}`)
        return result
      } catch (error) {
        await connection.run(`rollback to savepoint ${name}`)
        throw error
      }
    },
  }
}
