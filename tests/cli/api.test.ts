import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Api, connectApi } from '../../cli/api.ts'
import { createWorkplace } from '../local/commands/command.ts'
import { startTenants } from './cli.ts'

/** Takes every call, and answers only when it is told to. */
let server: Server
let url: string
let calls: ServerResponse[]
beforeEach(async () => {
  calls = []
  server = createServer((_, response) => void calls.push(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const connect = (stop: AbortSignal, ms = 60_000): Api =>
  connectApi({ url, secretKey: 'sb_secret_test', hint: '', isLocal: false }, stop, {
    dataMs: ms,
    functionMs: ms,
  })
const called = () => vi.waitUntil(() => calls.length > 0, { timeout: 15_000 })
const list = (api: Api) => api.client.rpc('list_tenants')

describe('what a limit puts off', () => {
  const refuse = (body: object, headers: Record<string, string> = {}) => {
    server.removeAllListeners('request')
    server.on('request', (_, response) =>
      response
        .writeHead(429, { 'content-type': 'application/problem+json', ...headers })
        .end(JSON.stringify(body)),
    )
  }
  const api = () => connect(new AbortController().signal)

  test.each([
    ['a function', 'Much was asked. Try again in 42 s.', { 'retry-after': '42' }],
    ['a function, with more advice', 'Much was asked. Ask without waiting, or try again in 42 s.', {}],
    ['the platform', 'Much was asked.', { 'retry-after': '42' }],
  ])('says how long to wait, in plain words: %s', async (_, detail, headers) => {
    refuse({ code: 'too_many_attempts', detail }, headers)
    const refused = await api()
      .invoke('provision-tenant-resources', {})
      .catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'too_many_attempts',
      status: 429,
      message: expect.stringMatching(/^Much was asked\. .*Wait 42 s, then give the command again\.$/),
    })
    expect(refused).not.toMatchObject({ message: expect.stringContaining('ry again in') })
  })

  test('says so of the Data API too', async () => {
    refuse({ code: 'TP429', message: 'Much was asked. Try again in 7 s.', details: '7' })
    const limited = api()
    await expect(limited.change('The repair', list(limited))).rejects.toMatchObject({
      code: 'TP429',
      message: 'The repair: Much was asked. Wait 7 s, then give the command again.',
    })
  })
})

describe('what a project answers', () => {
  const EVIL = '\u001b]52;c;x\u0007\u001b[2J\u009b31m\u202eevil\r✓'
  const SHOWN = '\\u{1b}]52;c;x\\u{7}\\u{1b}[2J\\u{9b}31m\\u{202e}evil ✓'
  const answer = (status: number) => {
    server.removeAllListeners('request')
    server.on('request', (_, response) =>
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify({ [EVIL]: [{ text: EVIL }], code: EVIL, detail: EVIL, message: EVIL })),
    )
  }
  const api = () => connect(new AbortController().signal)
  const rows = (from: Api) => from.client.from('tenant_alerts').select()

  test('comes as it may be printed: of functions, of the Data API, and of a call that changes something', async () => {
    answer(200)
    const shown = { [SHOWN]: [{ text: SHOWN }], code: SHOWN, detail: SHOWN, message: SHOWN }
    expect(await api().invoke('provision-tenant-resources', {})).toEqual(shown)
    const [reads, changes] = [api(), api()]
    expect(await reads.read('The alerts', rows(reads))).toEqual(shown)
    expect(await changes.change('The alerts', rows(changes))).toEqual(shown)
  })

  test('comes so too when it is a refusal', async () => {
    answer(400)
    const refused = { message: expect.stringContaining(SHOWN), code: SHOWN }
    await expect(api().invoke('provision-tenant-resources', {})).rejects.toMatchObject(refused)
    const reads = api()
    await expect(reads.read('The alerts', rows(reads))).rejects.toMatchObject(refused)
  })
})

describe('a project that takes calls and does not answer', () => {
  test('is given up after a while', async () => {
    const api = connect(new AbortController().signal, 50)
    const told = { code: 'no_answer', message: expect.stringContaining('has not answered in 0.05 s') }
    await expect(api.read('The list', list(api))).rejects.toMatchObject(told)
    await expect(api.read('The alerts', api.client.from('tenant_alerts').select())).rejects.toMatchObject(
      told,
    )
    await expect(api.change('The repair', list(api))).rejects.toMatchObject(told)
    await expect(api.invoke('check-tenant-health', {})).rejects.toMatchObject(told)
  })

  test('does not keep Ctrl-C waiting while something is read', async () => {
    for (const read of [
      (api: Api) => api.read('The list', list(api)),
      (api: Api) => api.read('The alerts', api.client.from('tenant_alerts').select()),
      (api: Api) => api.describe('acme'),
      (api: Api) => api.invoke('check-tenant-health', {}),
    ]) {
      calls = []
      const interruption = new AbortController()
      const reading = read(connect(interruption.signal))
      const outcome = expect(reading).rejects.toThrow('Interrupted')
      await called()
      interruption.abort(new Error('Interrupted'))
      await outcome
    }
  })

  test('is waited for, Ctrl-C or not, when something is being changed', async () => {
    const interruption = new AbortController()
    const api = connect(interruption.signal)
    const changing = api.change('The repair', list(api))
    await called()
    interruption.abort(new Error('Interrupted'))
    for (const response of calls) response.setHeader('content-type', 'application/json').end('{"done": 3}')
    expect(await changing).toEqual({ done: 3 })
  })

  test.each(['list', 'alerts', 'backfill --yes'])(
    'lets Ctrl-C end %s with 130, and with a document for --json',
    async (command) => {
      await using workplace = await createWorkplace()
      const environment = {
        ...workplace.environment,
        SUPABASE_URL: url,
        SUPABASE_SECRET_KEY: 'sb_secret_test',
      }
      const running = startTenants(environment, ...command.split(' '), '--json')
      await vi.waitUntil(() => calls.length > 0, { timeout: 30_000 })
      running.signalGroup('SIGINT')
      const { code, stdout, stderr } = await running.ended
      expect(code).toBe(130)
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'interrupted' } })
      expect(stderr).toMatch(/^\nInterrupted\. Nothing was changed/)
    },
    40_000,
  )
})
