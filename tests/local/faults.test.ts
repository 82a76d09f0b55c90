import Stripe from 'stripe'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FaultControl } from '../../local/emulators/http/faults.ts'
import { type StripeEmulator, startStripeEmulator } from '../../local/emulators/stripe/emulator.ts'

const API_KEY = 'sk_test_faults'
const request = { method: 'POST', path: '/v1/customers', operation: 'PostCustomers', body: '' }

let emulator: StripeEmulator
let stripe: Stripe

beforeEach(async () => {
  emulator = await startStripeEmulator({
    apiKey: API_KEY,
    limits: { requestsPerSecond: Number.POSITIVE_INFINITY },
  })
  stripe = client({})
})

afterEach(async () => {
  await emulator.stop()
})

function client(config: Stripe.StripeConfig): Stripe {
  const { host, port } = emulator
  return new Stripe(API_KEY, {
    host,
    port,
    protocol: 'http',
    maxNetworkRetries: 0,
    telemetry: false,
    ...config,
  })
}

async function control(method: string, address: string, body?: unknown) {
  const reply = await fetch(`${emulator.url}/_emulator${address}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: reply.status, body: await reply.json() }
}

/** A creation that is sent once; the SDK repeats one whose connection was cut. */
const createOnce = () =>
  fetch(`${emulator.url}/v1/customers`, { method: 'POST', headers: { authorization: `Bearer ${API_KEY}` } })

const customerCount = async () => (await stripe.customers.list({ limit: 100 })).data.length

describe('a fault', () => {
  test('of latency delays the reply, and several add up', async () => {
    emulator.faults.add({ action: { type: 'latency', ms: 60 } })
    emulator.faults.add({ action: { type: 'latency', ms: 60 } })
    const began = performance.now()
    await stripe.customers.create()
    expect(performance.now() - began).toBeGreaterThanOrEqual(118)
  })

  test('of status answers in the provider’s shape and does nothing', async () => {
    emulator.faults.add({ action: { type: 'status', status: 503, retryAfterSeconds: 7 }, times: 1 })
    await expect(stripe.customers.create()).rejects.toMatchObject({
      statusCode: 503,
      rawType: 'api_error',
      headers: { 'retry-after': '7' },
    })
    expect(await customerCount()).toBe(0)
  })

  test('of status may bring its own body', async () => {
    emulator.faults.add({ action: { type: 'status', status: 502, body: { bad: 'gateway' } } })
    const reply = await fetch(`${emulator.url}/v1/customers`)
    expect([reply.status, await reply.json()]).toEqual([502, { bad: 'gateway' }])
  })

  test('of status can be remembered under the idempotency key, as a failed execution is', async () => {
    emulator.faults.add({ action: { type: 'status', status: 500, remembered: true }, times: 1 })
    const create = () => stripe.customers.create({ name: 'A' }, { idempotencyKey: 'k' })
    await expect(create()).rejects.toMatchObject({ statusCode: 500 })
    await expect(create()).rejects.toMatchObject({
      statusCode: 500,
      headers: { 'idempotent-replayed': 'true' },
    })
  })

  test('of hanging never answers and does nothing', async () => {
    emulator.faults.add({ match: { method: 'post' }, action: { type: 'hang' } })
    await expect(client({ timeout: 1_000 }).customers.create()).rejects.toThrow(/aborted|timed? ?out/i)
    expect(await customerCount()).toBe(0)
  })

  test('of reset cuts the connection before anything happened', async () => {
    emulator.faults.add({ action: { type: 'reset' }, times: 1 })
    await expect(createOnce()).rejects.toThrow()
    expect(await customerCount()).toBe(0)
  })

  test('of acting and resetting does the work and loses the reply', async () => {
    emulator.faults.add({ action: { type: 'act_then_reset' }, times: 1 })
    await expect(createOnce()).rejects.toThrow()
    expect(await customerCount()).toBe(1)
  })

  test('of acting and hanging does the work and never answers', async () => {
    emulator.faults.add({ action: { type: 'act_then_hang' }, times: 1 })
    await expect(client({ timeout: 1_000 }).customers.create()).rejects.toThrow()
    expect(await customerCount()).toBe(1)
  })

  test('of acting and waiting does the work at once and answers late, also when nobody listens any more', async () => {
    emulator.faults.add({ action: { type: 'act_then_wait', ms: 2_000 } })
    await expect(client({ timeout: 500 }).customers.create()).rejects.toThrow(/aborted|timed? ?out/i)
    emulator.faults.clear()
    expect(await customerCount()).toBe(1)
    emulator.faults.add({ match: { method: 'POST' }, action: { type: 'act_then_wait', ms: 3_000 } })
    let answered = false
    const reply = createOnce().finally(() => {
      answered = true
    })
    await expect.poll(customerCount).toBe(2)
    expect(answered).toBe(false)
    expect((await reply).status).toBe(200)
  })

  test('a lost reply is found again by a retry with the same idempotency key', async () => {
    emulator.faults.add({ action: { type: 'act_then_reset' }, times: 1 })
    const { id } = await client({ maxNetworkRetries: 2 }).customers.create()
    expect((await stripe.customers.list()).data.map((customer) => customer.id)).toEqual([id])
  })

  test('can be asked for by a single request', async () => {
    const headers = { authorization: `Bearer ${API_KEY}` }
    const fault = (action: unknown) =>
      fetch(`${emulator.url}/v1/customers`, {
        headers: { ...headers, 'x-emulator-fault': JSON.stringify(action) },
      })
    expect((await fault({ type: 'status', status: 500 })).status).toBe(500)
    await expect(fault({ type: 'reset' })).rejects.toThrow()
    expect((await fetch(`${emulator.url}/v1/customers`, { headers })).status).toBe(200)
    const wrong = await fault({ type: 'latency', ms: 1, unit: 's' })
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining('unit')])
  })

  test('does not keep the emulator from stopping', async () => {
    emulator.faults.add({ action: { type: 'hang' } })
    const hanging = stripe.customers.create().catch((error: unknown) => error)
    await expect.poll(() => emulator.faults.list()[0]?.struck).toBe(1)
    const began = performance.now()
    await emulator.stop()
    expect(performance.now() - began, 'less than is given to requests under way').toBeLessThan(900)
    expect(await hanging).toBeInstanceOf(Error)
  })
})

describe('a rule', () => {
  test.each([
    [{ method: 'POST' }, true],
    [{ method: 'post' }, true],
    [{ method: 'GET' }, false],
    [{ operation: 'PostCustomers' }, true],
    [{ operation: 'GetCustomers' }, false],
    [{ path: '/v1/*' }, true],
    [{ path: '/*' }, false],
    [{ path: '/**' }, true],
    [{ path: '^/v[0-9]/cust' }, true],
    [{ path: '/v1/customer.' }, false],
    [{ bodyIncludes: 'email=a%40b.c' }, true],
    [{ bodyIncludes: 'email=a@b.c' }, true],
    [{ bodyIncludes: 'email=z' }, false],
    [{ method: 'POST', path: '/v1/other' }, false],
  ])('matching %j strikes: %s', (match, strikes) => {
    const faults = new FaultControl()
    faults.add({ match, action: { type: 'reset' } })
    const { ending } = faults.decide({ ...request, body: 'email=a%40b.c' })
    expect(ending !== undefined).toBe(strikes)
  })

  test('strikes as often as it says, after the matches that it skips', () => {
    const faults = new FaultControl()
    faults.add({ action: { type: 'reset' }, skip: 2, times: 2 })
    const struck = Array.from({ length: 6 }, () => faults.decide(request).ending !== undefined)
    expect(struck).toEqual([false, false, true, true, false, false])
    expect(faults.list()).toEqual([])
  })

  test('that could not strike is not used up by another that does', () => {
    const faults = new FaultControl()
    faults.add({ action: { type: 'reset' }, times: 1 })
    faults.add({ action: { type: 'hang' }, times: 1 })
    const endings = Array.from({ length: 3 }, () => faults.decide(request).ending?.type)
    expect(endings).toEqual(['reset', 'hang', undefined])
  })

  test('with a probability strikes about so often, and the same way with the same seed', () => {
    const run = (seed: number) => {
      const faults = new FaultControl(seed)
      faults.add({ action: { type: 'reset' }, probability: 0.3 })
      return Array.from({ length: 1000 }, () => (faults.decide(request).ending ? 'x' : '.')).join('')
    }
    expect(run(7)).toBe(run(7))
    expect(run(7)).not.toBe(run(8))
    const share = run(7).replaceAll('.', '').length / 1000
    expect(share).toBeGreaterThan(0.25)
    expect(share).toBeLessThan(0.35)
  })
})

describe('over HTTP', () => {
  test('rules are added, listed with how often they struck, and removed', async () => {
    const rules = [{ match: { method: 'POST' }, action: { type: 'reset' } }, { action: { type: 'hang' } }]
    const added = await control('POST', '/faults', rules)
    expect(added).toEqual({ status: 201, body: { ids: [1, 2] } })
    await expect(createOnce()).rejects.toThrow()
    const { faults } = (await control('GET', '/faults')).body
    expect(faults).toMatchObject([
      { id: 1, struck: 1 },
      { id: 2, struck: 0 },
    ])
    expect(await control('DELETE', '/faults/1')).toEqual({ status: 200, body: { removed: 1 } })
    expect((await control('DELETE', '/faults/1')).status).toBe(404)
    expect(await control('DELETE', '/faults')).toEqual({ status: 200, body: { removed: 1 } })
    expect(await customerCount()).toBe(0)
  })

  test.each([
    [{ action: { type: 'hang' }, tmies: 1 }, 'tmies'],
    [{ action: { type: 'hang', forever: true } }, 'forever'],
    [{ match: { url: '/x' }, action: { type: 'hang' } }, 'url'],
    [{ action: { type: 'explode' } }, 'action.type'],
    [{ action: { type: 'status', status: 200 } }, 'action.status'],
    [{ match: { path: '^(' }, action: { type: 'hang' } }, 'match.path'],
    [{}, 'action'],
  ])('the rule %j is refused and what is wrong is named', async (rule, name) => {
    const { status, body } = await control('POST', '/faults', [{ action: { type: 'hang' } }, rule])
    expect(status).toBe(400)
    expect(body.error).toContain(name)
    expect(emulator.faults.list()).toEqual([])
  })

  test('timings and limits change, and a wrong one is refused', async () => {
    expect((await control('PATCH', '/timings', { requestMs: 80 })).body).toMatchObject({ requestMs: 80 })
    const began = performance.now()
    await stripe.customers.list()
    expect(performance.now() - began).toBeGreaterThanOrEqual(79)
    expect(await control('PATCH', '/timings', { requestMs: -1 })).toMatchObject({ status: 400 })
    const unknown = await control('PATCH', '/timings', { requestMs: 1, wakeMs: 1 })
    expect([unknown.status, unknown.body.error]).toEqual([400, expect.stringContaining('wakeMs')])
    expect((await control('GET', '/timings')).body).toMatchObject({ requestMs: 80 })
    expect((await control('PATCH', '/limits', { requestsPerSecond: 1 })).status).toBe(200)
    await stripe.customers.list()
    await expect(stripe.customers.list()).rejects.toMatchObject({ statusCode: 429 })
    await control('PATCH', '/limits', { requestsPerSecond: null })
    await Promise.all([1, 2, 3].map(() => stripe.customers.list()))
  })

  test('health and the calls per operation can be read, and control calls do not count', async () => {
    await stripe.customers.create()
    await stripe.customers.list()
    expect((await control('GET', '/health')).body).toEqual({ status: 'ok', emulator: 'stripe' })
    expect((await control('GET', '/stats')).body).toMatchObject({
      calls: { PostCustomers: 1, GetCustomers: 1 },
    })
    expect((await control('GET', '/nothing')).status).toBe(404)
    expect((await control('POST', '/faults', undefined)).status).toBe(400)
  })
})
