import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { knownArrays } from '../../shared/kernel/database/array-types.ts'

/** One connection that holds the lock of its part: as long as it lives, no other worker does that part's work. */
export interface ExclusiveSession {
  readonly sql: postgres.Sql
  /** Aborted as soon as the connection, and with it the lock, is gone. */
  readonly lost: AbortSignal
  /** Calls `listener` whenever a commit notifies the channel, as long as the session lives. */
  listen(channel: string, listener: () => void): Promise<void>
}

export interface SessionOptions {
  readonly databaseUrl: string
  /** Names the lock (net.check_worker_is_up() looks for it) and the connection. */
  readonly part: 'pg_net' | 'pg_cron'
  readonly stopping: AbortSignal
  readonly log: (message: string) => void
}

const LOCK_POLL_MS = 100
const FIRST_BACKOFF_MS = 50
const LONGEST_BACKOFF_MS = 2000

/**
 * Calls `work` with an exclusive session, and again with a new one whenever the session was lost or the work
 * failed, until `stopping` is aborted. Never rejects: a lost connection is routine, other errors are logged.
 */
export async function keepSession(
  options: SessionOptions,
  work: (session: ExclusiveSession) => Promise<void>,
): Promise<void> {
  let backoffMs = FIRST_BACKOFF_MS
  while (!options.stopping.aborted) {
    const session = openSession(options)
    try {
      await waitForLock(session, options)
      backoffMs = FIRST_BACKOFF_MS
      if (!options.stopping.aborted) await work(session)
    } catch (error) {
      if (!isConnectionLoss(error)) options.log(`${options.part} worker: ${describe(error)}; it goes on.`)
    }
    await session.sql.end({ timeout: 1 }).catch(() => undefined)
    await pause(backoffMs, options.stopping)
    backoffMs = Math.min(backoffMs * 2, LONGEST_BACKOFF_MS)
  }
}

function openSession({ databaseUrl, part }: SessionOptions): ExclusiveSession {
  const lost = new AbortController()
  const listeners = new Map<string, () => void>()
  // The client hands its options through to the connection, this one too, though its types do not know it. Its own
  // `listen` would open a second connection, whose loss nobody here would notice.
  const notifications = { onnotify: (channel: string) => listeners.get(channel)?.() }
  const sql = postgres(databaseUrl, {
    max: 1,
    // The client would open a second connection, without the lock, after closing this one for its age.
    max_lifetime: null,
    connect_timeout: 5,
    ...knownArrays,
    connection: { application_name: `${part} worker` },
    onclose: () => lost.abort(),
    onnotice: () => undefined,
    ...notifications,
  })
  const listen = async (channel: string, listener: () => void) => {
    listeners.set(channel, listener)
    await sql`listen ${sql(channel)}`
  }
  return { sql, lost: lost.signal, listen }
}

/** Asks again and again, because a backend that blocks in pg_advisory_lock does not notice that its client left. */
async function waitForLock(
  { sql, lost }: ExclusiveSession,
  { part, stopping }: SessionOptions,
): Promise<void> {
  while (!stopping.aborted) {
    lost.throwIfAborted()
    const [row] = await sql<{ locked: boolean }[]>`
      select pg_try_advisory_lock(hashtext('platform-worker'), hashtext(${part})) as locked`
    if (row?.locked) return
    await pause(LOCK_POLL_MS, stopping)
  }
}

/** Waits, but not longer than until `signal` is aborted; does not throw then. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined)
}

/** True when a query failed because the extension has not been created in this database (yet). */
export function isExtensionMissing(error: unknown): boolean {
  return ['42P01', '3F000', '42883'].includes(errorCode(error))
}

/** True for what a restart of the server, pg_terminate_backend or a dropped database cause. */
function isConnectionLoss(error: unknown): boolean {
  const code = errorCode(error)
  return (
    /^(CONNECT|ECONN|EPIPE|57P0[1-5]$|08|3D000)/.test(code) ||
    (error instanceof Error && error.name === 'AbortError')
  )
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
