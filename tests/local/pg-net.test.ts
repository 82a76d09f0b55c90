import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type PlatformWorker, startPlatformWorker } from '../../local/platform-worker/worker.ts'
import { freePort } from '../../tools/ports.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answer = (request: Received, response: ServerResponse) => void

let database: TestDatabase
let sql: postgres.Sql
let worker: PlatformWorker
let server: ReturnType<typeof createServer>
let base: string
const received: Received[] = []
let answer: Answer

const plainAnswer: Answer = (_, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'X-Test': 'yes' }).end('fine')
}

beforeAll(async () => {
  database = await createTestDatabase('platform')
  sql = postgres(database.url(), { max: 4, onnotice: () => undefined })
  server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const message = { method: request.method, url: request.url, headers: request.headers, body }
    received.push(message)
    answer(message, response)
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  base = `http://127.0.0.1:${port}`
  // Before the extension exists: the worker has to wait for it.
  worker = await startPlatformWorker({ databaseUrl: database.url('supabase_admin') })
  await sql`create extension pg_net with schema extensions`
  await sql`select net.wait_until_running()`
})

afterEach(() => {
  answer = plainAnswer
  received.length = 0
})

answer = plainAnswer

afterAll(async () => {
  await worker.stop()
  server.closeAllConnections()
  server.close()
  await sql.end()
  await database.drop()
})

interface Response {
  readonly status_code: number | null
  readonly content_type: string | null
  readonly headers: Record<string, string> | null
  readonly content: string | null
  readonly timed_out: boolean
  readonly error_msg: string | null
}

async function responseTo(id: string | undefined): Promise<Response> {
  return vi.waitFor(
    async () => {
      const [row] = await sql<Response[]>`select * from net._http_response where id = ${id ?? null}`
      if (!row) throw new Error(`request ${id} has no response yet`)
      return row
    },
    { timeout: 15_000, interval: 10 },
  )
}

const post = async (
  url: string,
  body: postgres.JSONValue = {},
  db: postgres.Sql | postgres.TransactionSql = sql,
) => {
  const [row] = await db<{ id: string }[]>`select net.http_post(${url}, ${sql.json(body)}) as id`
  return row?.id
}

describe('net.http_post', () => {
  it('sends a JSON body and stores the response', async () => {
    const id = await post(`${base}/hook?x=1`, { jobId: 7 })
    expect(await responseTo(id)).toMatchObject({
      status_code: 200,
      content_type: 'text/plain',
      headers: { 'Content-Type': 'text/plain', 'X-Test': 'yes' },
      content: 'fine',
      timed_out: false,
      error_msg: null,
    })
    expect(received).toHaveLength(1)
    expect(received[0]).toMatchObject({ method: 'POST', url: '/hook?x=1', body: '{"jobId": 7}' })
    expect(received[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'pg_net/0.20.0',
    })
  })

  it('adds the content type to own headers, and refuses another one', async () => {
    const [row] = await sql<{ id: string }[]>`
      select net.http_post(${base}, params => '{"q": "a b&c"}', headers => '{"X-Own": "1"}') as id`
    await responseTo(row?.id)
    expect(received[0]?.url).toBe('/?q=a%20b%26c')
    expect(received[0]?.headers).toMatchObject({ 'x-own': '1', 'content-type': 'application/json' })
    await expect(
      sql`select net.http_post(${base}, headers => '{"content-type": "text/plain"}')`,
    ).rejects.toThrow('Content-Type header must be "application/json"')
  })

  it('sends after commit, not before', async () => {
    const id = await sql.begin(async (tx) => {
      const queued = await post(base, {}, tx)
      await sleep(150)
      expect(received).toHaveLength(0)
      return queued
    })
    await responseTo(id)
    expect(received).toHaveLength(1)
  })

  it('never sends what was rolled back', async () => {
    const rollback = sql.begin(async (tx) => {
      await post(`${base}/rolled-back`, {}, tx)
      throw new Error('rolled back')
    })
    await expect(rollback).rejects.toThrow('rolled back')
    await responseTo(await post(`${base}/later`))
    await sleep(100)
    expect(received.map(({ url }) => url)).toEqual(['/later'])
  })
})

describe('the pg_net worker', () => {
  it('sends GET and DELETE too', async () => {
    const [row] = await sql<{ got: string; deleted: string }[]>`
      select net.http_get(${`${base}/get`}) as got, net.http_delete(${`${base}/delete`}, body => '[1]') as deleted`
    await Promise.all([responseTo(row?.got), responseTo(row?.deleted)])
    expect(received.map(({ method, url, body }) => `${method} ${url} ${body}`).sort()).toEqual([
      'DELETE /delete [1]',
      'GET /get ',
    ])
  })

  it('reports a refused connection without a status', async () => {
    const response = await responseTo(await post(`http://127.0.0.1:${await freePort()}`))
    expect(response).toMatchObject({
      status_code: null,
      timed_out: false,
      error_msg: "Couldn't connect to server",
    })
  })

  it('reports a timeout, and meanwhile starts no other batch', async () => {
    answer = (request, response) => {
      if (request.url !== '/silent') plainAnswer(request, response)
    }
    const [silent] = await sql<{ id: string }[]>`
      select net.http_get(${`${base}/silent`}, timeout_milliseconds => 400) as id`
    await vi.waitFor(() => expect(received).toHaveLength(1), { timeout: 15_000, interval: 5 })
    const next = await post(`${base}/next`)
    await sleep(150)
    expect(received).toHaveLength(1)
    expect(await responseTo(silent?.id)).toMatchObject({
      status_code: null,
      timed_out: true,
      error_msg: expect.stringContaining('Timeout of 400 ms reached'),
    })
    await responseTo(next)
  })

  it('runs the requests of a batch side by side', async () => {
    // Nobody is answered before all have asked.
    const waiting: (() => void)[] = []
    answer = (request, response) => {
      waiting.push(() => plainAnswer(request, response))
    }
    await sql`select net.http_get(${base}) from generate_series(1, 100)`
    await vi.waitFor(() => expect(waiting).toHaveLength(100), { timeout: 15_000, interval: 5 })
    for (const reply of waiting) reply()
    await expect.poll(async () => (await sql`select from net.http_request_queue`).count).toBe(0)
    await worker.pauseHttp()
    worker.resumeHttp()
  })

  it('follows redirects as libcurl does', async () => {
    answer = (request, response) => {
      if (request.url === '/old') response.writeHead(302, { Location: '/new' }).end()
      else plainAnswer(request, response)
    }
    expect(await responseTo(await post(`${base}/old`, { a: 1 }))).toMatchObject({ status_code: 200 })
    expect(received.map(({ method, url, body }) => `${method} ${url} ${body}`)).toEqual([
      'POST /old {"a": 1}',
      'GET /new ',
    ])
  })

  it.each(['not a url', 'ftp://127.0.0.1/x'])('answers %j with an error instead of failing', async (url) => {
    expect(await responseTo(await post(url))).toMatchObject({
      status_code: null,
      error_msg: expect.any(String),
    })
  })

  describe('between two batches', () => {
    /** Milliseconds until a request that is queued now arrives. */
    async function delivered(): Promise<number> {
      const path = `/${crypto.randomUUID()}`
      const started = performance.now()
      await post(`${base}${path}`)
      await vi.waitFor(() => expect(received.map(({ url }) => url)).toContain(path), {
        timeout: 15_000,
        interval: 2,
      })
      return performance.now() - started
    }
    /** Less than the second that it sleeps, and more than a busy machine takes. */
    const AT_ONCE_MS = 700
    /** Long enough for the worker to find nothing, sleep once more and wait for a wake. */
    const idle = () => sleep(2300)

    it('sleeps a second, which the first wake after it has begun cuts short and later ones do not', async () => {
      await idle()
      expect(await delivered(), 'an idle worker').toBeLessThan(AT_ONCE_MS)
      await sleep(50)
      expect(await delivered(), 'the first wake since').toBeLessThan(AT_ONCE_MS)
      await sleep(50)
      expect(await delivered(), 'a later one').toBeGreaterThan(700)
      await idle()
      expect(await delivered(), 'an idle worker again').toBeLessThan(AT_ONCE_MS)
    })

    it('sends no more than 200 a second', async () => {
      await idle()
      const arrivals: number[] = []
      answer = (request, response) => {
        arrivals.push(performance.now())
        plainAnswer(request, response)
      }
      await sql`select net.http_get(${base}) from generate_series(1, 450)`
      await vi.waitFor(() => expect(arrivals).toHaveLength(450), { timeout: 20_000, interval: 20 })
      // The first of a batch comes a second after the last batch was answered, on a slow machine later.
      const pauses = [200, 400].map((at) => (arrivals[at] ?? 0) - (arrivals[at - 1] ?? 0))
      for (const pause of pauses) expect(pause).toBeGreaterThan(700)
    })

    it('notices nothing that was put into the queue without a wake', async () => {
      await idle()
      await sql`insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', ${base}, 5000)`
      await sleep(1300)
      expect(received).toHaveLength(0)
      await sql`select net.wake()`
      await vi.waitFor(() => expect(received).toHaveLength(1), { timeout: 15_000, interval: 5 })
    })
  })

  it('has a queue without an index, like the real one', async () => {
    expect(
      await sql`select from pg_indexes where schemaname = 'net' and tablename = 'http_request_queue'`,
    ).toHaveLength(0)
  })

  it('keeps requests while it is paused', async () => {
    await worker.pauseHttp()
    const id = await post(base)
    await sleep(200)
    expect(received).toHaveLength(0)
    worker.resumeHttp()
    await responseTo(id)
    expect(received).toHaveLength(1)
  })

  it('reconnects after its connections were terminated, and stores the answer that came meanwhile', async () => {
    answer = (request, response) => void setTimeout(() => plainAnswer(request, response), 200)
    const during = await post(`${base}/during`)
    await vi.waitFor(() => expect(received).toHaveLength(1), { timeout: 15_000, interval: 5 })
    const [restart] = await sql`select net.worker_restart() as restarted`
    expect(restart?.restarted).toBe(true)
    const after = await post(`${base}/after`)
    expect(await responseTo(during)).toMatchObject({ status_code: 200 })
    expect(await responseTo(after)).toMatchObject({ status_code: 200 })
    expect(received).toHaveLength(2)
  })

  it('leaves the database to the first worker, and takes over when that stops', async () => {
    const second = await startPlatformWorker({ databaseUrl: database.url('supabase_admin') })
    try {
      await worker.stop()
      await responseTo(await post(base))
      worker = await startPlatformWorker({ databaseUrl: database.url('supabase_admin') })
      await sleep(300)
      const locks =
        await sql`select pid from pg_locks where locktype = 'advisory' and classid = hashtext('platform-worker')::oid
        and database = (select oid from pg_database where datname = current_database())`
      expect(locks).toHaveLength(2)
      await responseTo(await post(base))
      expect(received).toHaveLength(2)
    } finally {
      await second.stop()
    }
    await sql`select net.wait_until_running()`
  })

  it('forgets responses after their time', async () => {
    await worker.stop()
    await expect(sql`select net.check_worker_is_up()`).rejects.toThrow('worker is not up')
    await sql`insert into net._http_response (id, created) values (-1, now() - interval '6 hours 1 minute'), (-2, now() - interval '5 hours')`
    worker = await startPlatformWorker({ databaseUrl: database.url('supabase_admin') })
    await expect.poll(() => sql`select id from net._http_response where id < 0`).toEqual([{ id: '-2' }])
    await sql`select net.check_worker_is_up()`
  })
})

describe('rights on pg_net', () => {
  it.each(['anon', 'authenticated', 'service_role'])(
    'lets %s queue requests and read the queue',
    async (role) => {
      await worker.pauseHttp()
      const rows = await sql.begin(async (tx) => {
        await tx`select set_config('role', ${role}, true)`
        await tx`select net.http_post(${base}, headers => '{"X-Visible": "to all"}')`
        return tx`select headers ->> 'X-Visible' as header from net.http_request_queue`
      })
      expect(rows).toEqual([{ header: 'to all' }])
      await sql`delete from net.http_request_queue`
      worker.resumeHttp()
    },
  )

  it('collects a response as the deprecated function did', async () => {
    const id = await post(base)
    const [row] = await sql`select (net.http_collect_response(${id ?? null}, async => false)).*`
    expect(row).toMatchObject({ status: 'SUCCESS', message: 'ok' })
    const [missing] = await sql`select (net._http_collect_response(0)).*`
    expect(missing).toMatchObject({ status: 'ERROR', message: 'request matching request_id not found' })
  })
})
