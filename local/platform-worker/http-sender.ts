import type postgres from 'postgres'
import { HttpClient, type QueuedRequest, type StoredResponse } from './http-request.ts'
import { type ExclusiveSession, isExtensionMissing, pause } from './session.ts'
import { WakeFlag } from './wake-flag.ts'

export interface HttpSenderOptions {
  readonly batchSize: number
  readonly responseTtlMs: number
  readonly stopping: AbortSignal
  /** Aborted some time after `stopping`: ends requests that are still under way. */
  readonly halt: AbortSignal
}

const EXTENSION_POLL_MS = 200
/** pg_net sleeps after each batch, "to avoid using too much CPU" (src/worker.c): 200 requests a second at most. */
const SLEEP_AFTER_BATCH_MS = 1000

/**
 * The worker of pg_net. Woken by a commit that queued requests, it takes up to `batchSize` of them, sends them all at
 * once, and goes on when the last has been answered or has timed out; after each batch it sleeps for a second, until
 * there is nothing left. The first wake after it has begun cuts one sleep short, later ones do not (see WakeFlag).
 * A request is deleted when it is taken, so it is sent once at most.
 */
export class HttpSender {
  readonly #options: HttpSenderOptions
  readonly #client = new HttpClient()
  readonly #wake: WakeFlag
  #paused = false
  #batch: Promise<number> = Promise.resolve(0)
  /** Answers that could not be stored yet because the connection was lost meanwhile. */
  #unstored: readonly StoredResponse[] = []

  constructor(options: HttpSenderOptions) {
    this.#options = options
    this.#wake = new WakeFlag(options.stopping)
  }

  /** Takes no more requests; resolves when those under way are answered and stored. */
  async pause(): Promise<void> {
    this.#paused = true
    await this.#batch.catch(() => undefined)
  }

  /** What was queued meanwhile is sent at once. */
  resume(): void {
    this.#paused = false
    this.#wake.interrupt()
  }

  close(): void {
    this.#client.close()
  }

  /** Serves the queue until the session is lost or the worker stops. */
  async serve({ sql, lost, listen }: ExclusiveSession): Promise<void> {
    const { stopping } = this.#options
    await listen('pg_net_wake', () => this.#wake.raise())
    // Whoever was woken before this session listened is not known.
    this.#wake.interrupt()
    const loss = () => this.#wake.interrupt()
    lost.addEventListener('abort', loss, { once: true })
    try {
      while (!stopping.aborted) {
        lost.throwIfAborted()
        if (this.#wake.lower()) await this.#workOff(sql, lost)
        else await this.#wake.wait()
      }
    } finally {
      lost.removeEventListener('abort', loss)
    }
  }

  /** Sends batch after batch until one is empty. */
  async #workOff(sql: postgres.Sql, lost: AbortSignal): Promise<void> {
    const { stopping } = this.#options
    let handled = 0
    do {
      const done = await this.#runBatch(sql)
      if (done === 'extension missing') {
        // There is nothing that could wake the worker before it is there.
        await pause(EXTENSION_POLL_MS, stopping)
        this.#wake.raise()
        return
      }
      handled = done
      await this.#wake.wait(SLEEP_AFTER_BATCH_MS)
      lost.throwIfAborted()
    } while (handled > 0 && !stopping.aborted)
  }

  /** @returns how many rows it has dealt with: requests sent and old responses removed */
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
    const removed = await this.#removeOldResponses(sql)
    if (this.#paused) return removed
    const requests = await this.#takeRequests(sql)
    if (requests.length === 0) return removed
    this.#unstored = await Promise.all(
      requests.map((request) => this.#client.send(request, this.#options.halt)),
    )
    await this.#storeResponses(sql)
    return removed + requests.length
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

  /** As many as a batch has, as in the real one; the rest goes with the next. */
  async #removeOldResponses(sql: postgres.Sql): Promise<number> {
    const { batchSize, responseTtlMs } = this.#options
    const { count } = await sql`
      delete from net._http_response r using (
        select ctid from net._http_response where created < now() - make_interval(secs => ${responseTtlMs / 1000})
        order by created limit ${batchSize}) old
      where r.ctid = old.ctid`
    return count
  }
}
