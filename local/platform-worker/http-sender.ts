import type postgres from 'postgres'
import { HttpClient, type QueuedRequest, type StoredResponse } from './http-request.ts'
import { type ExclusiveSession, isExtensionMissing, pause } from './session.ts'

export interface HttpSenderOptions {
  /** How often the queue is looked at while there was something in it lately. */
  readonly pollMs: number
  /** How often otherwise; also the longest that a first request waits. */
  readonly idlePollMs: number
  readonly batchSize: number
  readonly responseTtlMs: number
  readonly stopping: AbortSignal
  /** Aborted some time after `stopping`: ends requests that are still under way. */
  readonly halt: AbortSignal
}

const EXTENSION_POLL_MS = 200
const IDLE_AFTER_MS = 2000
const PRUNE_INTERVAL_MS = 60_000

/**
 * The worker of pg_net. Takes up to `batchSize` queued requests, sends them all at once, and goes on when the
 * last has been answered or has timed out. A request is deleted when it is taken, so it is sent once at most.
 */
export class HttpSender {
  readonly #options: HttpSenderOptions
  readonly #client = new HttpClient()
  #paused = false
  #batch: Promise<number> = Promise.resolve(0)
  /** Answers that could not be stored yet because the connection was lost meanwhile. */
  #unstored: readonly StoredResponse[] = []

  constructor(options: HttpSenderOptions) {
    this.#options = options
  }

  /** Takes no more requests; resolves when those under way are answered and stored. */
  async pause(): Promise<void> {
    this.#paused = true
    await this.#batch.catch(() => undefined)
  }

  resume(): void {
    this.#paused = false
  }

  close(): void {
    this.#client.close()
  }

  /** Serves the queue until the session is lost or the worker stops. */
  async serve({ sql, lost }: ExclusiveSession): Promise<void> {
    const { stopping, pollMs, idlePollMs } = this.#options
    let lastRequestAt = performance.now()
    let lastPruneAt = Number.NEGATIVE_INFINITY
    while (!stopping.aborted) {
      lost.throwIfAborted()
      const sent = await this.#runBatch(sql)
      if (sent === 'extension missing') {
        await pause(EXTENSION_POLL_MS, stopping)
        continue
      }
      const now = performance.now()
      if (now - lastPruneAt > PRUNE_INTERVAL_MS) {
        await this.#pruneResponses(sql)
        lastPruneAt = now
      }
      if (sent > 0) lastRequestAt = now
      else await pause(now - lastRequestAt > IDLE_AFTER_MS ? idlePollMs : pollMs, stopping)
    }
  }

  async #runBatch(sql: postgres.Sql): Promise<number | 'extension missing'> {
    this.#batch = this.#sendBatch(sql)
    try {
      return await this.#batch
    } catch (error) {
      if (isExtensionMissing(error)) return 'extension missing'
      throw error
    }
  }

  async #sendBatch(sql: postgres.Sql): Promise<number> {
    await this.#storeResponses(sql)
    if (this.#paused) return 0
    const requests = await this.#takeRequests(sql)
    if (requests.length === 0) return 0
    this.#unstored = await Promise.all(
      requests.map((request) => this.#client.send(request, this.#options.halt)),
    )
    await this.#storeResponses(sql)
    return requests.length
  }

  async #takeRequests(sql: postgres.Sql): Promise<readonly QueuedRequest[]> {
    return sql<QueuedRequest[]>`
      delete from net.http_request_queue q
      using (select id from net.http_request_queue order by id limit ${this.#options.batchSize}) oldest
      where q.id = oldest.id
      returning q.id, q.method, q.url, q.headers, q.body, q.timeout_milliseconds`
  }

  async #storeResponses(sql: postgres.Sql): Promise<void> {
    if (this.#unstored.length === 0) return
    await sql`
      insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
      select id, status_code, content_type, headers, content, timed_out, error_msg
      from jsonb_to_recordset(${JSON.stringify(this.#unstored)}::text::jsonb) as r (
        id bigint, status_code integer, content_type text, headers jsonb, content text,
        timed_out boolean, error_msg text)`
    this.#unstored = []
  }

  async #pruneResponses(sql: postgres.Sql): Promise<void> {
    await sql`
      delete from net._http_response
      where created < now() - make_interval(secs => ${this.#options.responseTtlMs / 1000})`
  }
}
