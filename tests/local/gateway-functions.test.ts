import { spawn } from 'node:child_process'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startGateway } from '../../local/gateway/gateway.ts'
import { TYPESCRIPT } from '../support/typescript.ts'
import { type GatewayFixture, startFixtureGateway, supabaseClient } from './fixtures/gateway.ts'

let fixture: GatewayFixture
beforeAll(async () => {
  fixture = await startFixtureGateway({ functionTimeoutMs: 2000 })
})
afterAll(() => fixture.stop())

const call = (name: string, init: RequestInit = {}, from = fixture) =>
  fetch(`${from.gateway.url}/functions/v1/${name}`, init)

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('a function sees path, query, method, body and keys as when hosted, and its reply comes back whole', async () => {
  const supabase = supabaseClient(fixture.gateway.url, fixture.keys.publishableKey)
  const { data } = await supabase.functions.invoke('hello', { body: { name: 'Ada' } })
  expect(data).toMatchObject({
    greeting: 'Hello Ada',
    method: 'POST',
    path: '/hello',
    apikey: fixture.keys.publishableKey,
  })
  const reply = await call('hello/deep/path?a=1&b=%20', { headers: { authorization: 'Bearer anything' } })
  expect(reply.status).toBe(201)
  expect(reply.headers.get('x-fixture')).toBe('hello')
  expect(await reply.json()).toMatchObject({
    path: '/hello/deep/path?a=1&b=%20',
    authorization: 'Bearer anything',
  })
})

test('one process serves all calls of a function, also those that arrive while it starts', async () => {
  fixture.gateway.functions.restart('hello')
  const replies = await Promise.all(
    Array.from({ length: 10 }, () => call('hello').then((reply) => reply.json())),
  )
  expect(new Set(replies.map(({ pid }) => pid)).size).toBe(1)
  const [running] = fixture.gateway.functions.processes().filter(({ pid }) => pid === replies[0].pid)
  expect(running?.name).toBe('hello')
  expect(await fixture.gateway.functions.memoryMb('hello')).toBeGreaterThan(20)
})

test('the environment holds exactly what a hosted function gets and the project’s own secrets', async () => {
  const environment: Record<string, string> = await call('environment').then((reply) => reply.json())
  const { keys, gateway, database } = fixture
  expect(environment).toEqual({
    OWN_SECRET: 'from the project',
    SUPABASE_URL: gateway.url,
    SUPABASE_DB_URL: database.url('postgres'),
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
    SUPABASE_JWKS: expect.any(String),
    SUPABASE_ANON_KEY: keys.anonKey,
    SUPABASE_SERVICE_ROLE_KEY: keys.serviceRoleKey,
  })
  const [key] = JSON.parse(environment.SUPABASE_JWKS ?? '').keys
  expect(key).toMatchObject({ kid: keys.signingKey.kid, alg: 'ES256' })
  expect(key).not.toHaveProperty('d')
})

test('own secrets may not pretend to be the platform’s', async () => {
  const options = {
    port: 0,
    host: '127.0.0.1',
    keys: fixture.keys,
    functionsDir: '',
    configFile: '',
  } as const
  const refused = startGateway({ ...options, database: () => '', functionEnv: { SUPABASE_URL: 'x' } })
  await expect(refused).rejects.toThrow('SUPABASE_URL cannot be set')
})

test('verify_jwt, the default, lets in users and legacy keys only', async () => {
  const supabase = supabaseClient(fixture.gateway.url, fixture.keys.publishableKey)
  const { data } = await supabase.auth.signInAnonymously()
  const as = (token: string) => call('checked', { headers: { authorization: `Bearer ${token}` } })
  expect(await (await as(data.session?.access_token ?? '')).text()).toBe('let in')
  expect((await as(fixture.keys.anonKey)).status).toBe(200)
  expect((await as(fixture.keys.secretKey)).status).toBe(401)
  expect((await as('nonsense')).status).toBe(401)
  const missing = await call('checked')
  expect(missing.status).toBe(401)
  expect(await missing.json()).toMatchObject({ message: 'Missing authorization header' })
  expect((await call('checked', { method: 'OPTIONS' })).status).toBe(200)
})

test('a name without a function is 404', async () => {
  for (const name of ['nobody', '_shared', '..%2f..', '']) {
    const reply = await call(name)
    expect(reply.status).toBe(404)
    expect(await reply.json()).toMatchObject({ code: 'NOT_FOUND' })
  }
})

test('a process that ends in the middle of a request is a 502, and the next call starts another', async () => {
  const before = await call('crash').then((reply) => reply.json())
  const cut = await call('crash?now')
  expect(cut.status).toBe(502)
  expect(cut.headers.get('x-relay-error')).toBe('true')
  const after = await call('crash').then((reply) => reply.json())
  expect(after.pid).not.toBe(before.pid)
  expect(alive(before.pid)).toBe(false)
  expect(fixture.log).toContain('crash: The process ended (exit code 7)')
})

test('a killed process is replaced at the next call', async () => {
  const before = await call('crash').then((reply) => reply.json())
  expect(fixture.gateway.functions.kill('crash', 'SIGKILL')).toBe(true)
  const after = await call('crash').then((reply) => reply.json())
  expect(after.pid).not.toBe(before.pid)
})

test('a function that cannot start is a 503 that says why, without a stack', async () => {
  const reply = await call('broken')
  expect(reply.status).toBe(503)
  const body = await reply.json()
  expect(body).toMatchObject({ code: 'BOOT_ERROR', message: expect.stringContaining('no configuration') })
  expect(body.message).not.toContain('\n')
})

test('an answer that takes too long is a 504', async () => {
  expect((await call('slow?ms=10')).status).toBe(200)
  expect((await call('slow?ms=4000')).status).toBe(504)
})

test('bodies stream in both directions', async () => {
  const { readable, writable } = new TransformStream<string, string>()
  const writer = writable.getWriter()
  const init = { method: 'POST', body: readable.pipeThrough(new TextEncoderStream()), duplex: 'half' }
  const replying = call('stream', init)
  await writer.write('first')
  const reply = await replying
  expect(reply.headers.get('content-type')).toBe('text/event-stream')
  const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader()
  // The first event is here before the second chunk was sent.
  expect(await reader?.read()).toMatchObject({ value: 'data: first\n\n' })
  await writer.write('second')
  expect(await reader?.read()).toMatchObject({ value: 'data: second\n\n' })
  await writer.close()
  expect(await reader?.read()).toMatchObject({ done: true })
})

test('a body beyond the limit is refused, announced or not', async () => {
  const big = new Uint8Array(3 * 1024 * 1024)
  expect((await call('hello', { method: 'POST', body: big })).status).toBe(413)
  const init = { method: 'POST', body: new Blob([big]).stream(), duplex: 'half' }
  expect((await call('hello', init)).status).toBe(413)
})

test('work handed to waitUntil goes on after the reply, and its failure is logged without ending the process', async () => {
  expect((await call('background?ms=300')).status).toBe(202)
  expect(fixture.log).not.toContain('background: background work finished')
  await expect.poll(() => fixture.log).toContain('background: background work finished')
  expect((await call('background?ms=0&fail')).status).toBe(202)
  await expect
    .poll(() => fixture.log.join('\n'))
    .toContain('Background task failed: Error: the background task broke')
  expect((await call('background?ms=0')).status).toBe(202)
})

test('a restart lets open requests and background work finish', async () => {
  await call('slow?ms=0')
  const open = call('slow?ms=500')
  const from = fixture.log.length
  expect((await call('background?ms=500')).status).toBe(202)
  await expect.poll(() => fixture.gateway.functions.processes().length).toBeGreaterThan(1)
  fixture.gateway.functions.restart()
  expect(await (await open).text()).toBe('done')
  await expect.poll(() => fixture.log.slice(from)).toContain('background: background work finished')
  await expect.poll(() => fixture.gateway.functions.processes()).toEqual([])
})

const FIVE_ANSWERS = [200, 200, 200, 200, 200]
const fiveAnswers = () =>
  Promise.all(Array.from({ length: 5 }, () => call('slow?ms=50').then(({ status }) => status)))

test('a restart breaks no request on its way to a process that has not taken it yet', async () => {
  for (let round = 0; round < 10; round++) {
    await call('slow?ms=0')
    fixture.gateway.functions.kill('slow', 'SIGSTOP')
    const answers = fiveAnswers()
    await sleep(20)
    fixture.gateway.functions.restart('slow')
    fixture.gateway.functions.kill('slow', 'SIGCONT')
    expect(await answers).toEqual(FIVE_ANSWERS)
  }
})

test('a restart breaks no request that waits for a process to start', async () => {
  for (const pause of [0, 1, 2, 4, 8, 16, 32]) {
    fixture.gateway.functions.restart('slow')
    const answers = fiveAnswers()
    await sleep(pause)
    fixture.gateway.functions.restart('slow')
    expect(await answers).toEqual(FIVE_ANSWERS)
  }
  // The last one of these may have come before the requests.
  fixture.gateway.functions.restart('slow')
  await expect
    .poll(() => fixture.gateway.functions.processes().some(({ name }) => name === 'slow'))
    .toBe(false)
})

test('stop ends every process, also one that does not want to', async () => {
  const own = await startFixtureGateway({ functionStopGraceMs: 200 })
  await call('background?ms=60000', {}, own)
  const pids = own.gateway.functions.processes().map(({ pid }) => pid)
  expect(pids).toHaveLength(1)
  await own.stop()
  expect(pids.some(alive)).toBe(false)
})

test('a process ends with its parent, even when that is killed', async () => {
  const script = fileURLToPath(new URL('fixtures/hold-function.ts', import.meta.url))
  const parent = spawn(process.execPath, [...TYPESCRIPT, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const line = await new Promise<string>((resolve) =>
    createInterface({ input: parent.stdout }).once('line', resolve),
  )
  expect(alive(Number(line))).toBe(true)
  parent.kill('SIGKILL')
  await expect.poll(() => alive(Number(line))).toBe(false)
})

test('watching restarts a function whose source was saved, and only that one', async () => {
  const functionsDir = await mkdtemp(path.join(tmpdir(), 'functions-'))
  try {
    for (const name of ['crash', 'slow'])
      await cp(
        fileURLToPath(new URL(`fixtures/functions/${name}`, import.meta.url)),
        path.join(functionsDir, name),
        {
          recursive: true,
        },
      )
    await using own = await startFixtureGateway({ functionsDir, watch: true })
    await Promise.all([call('crash', {}, own), call('slow?ms=0', {}, own)])
    const slow = own.gateway.functions.processes().find(({ name }) => name === 'slow')
    await writeFile(
      path.join(functionsDir, 'crash/index.ts'),
      'declare const Deno: { serve(handler: () => Response): void }\nDeno.serve(() => new Response("new"))\n',
    )
    await expect.poll(async () => (await call('crash', {}, own)).text()).toBe('new')
    expect(own.gateway.functions.processes()).toContainEqual(slow)
  } finally {
    await rm(functionsDir, { recursive: true, force: true })
  }
})
