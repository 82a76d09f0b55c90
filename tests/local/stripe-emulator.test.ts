import { appendFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Stripe from 'stripe'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type StripeEmulator,
  type StripeEmulatorOptions,
  startStripeEmulator,
} from '../../local/emulators/stripe/emulator.ts'

const API_KEY = 'sk_test_local_emulator_1234'
const DAY_MS = 24 * 60 * 60 * 1000

let emulator: StripeEmulator
let stripe: Stripe
let now: number

beforeEach(async () => {
  now = Date.UTC(2026, 8, 1)
  await restart({})
})

afterEach(async () => {
  await emulator.stop()
})

async function restart(options: Partial<StripeEmulatorOptions>): Promise<void> {
  await emulator?.stop()
  emulator = await startStripeEmulator({
    apiKey: API_KEY,
    clock: () => now,
    limits: { requestsPerSecond: Number.POSITIVE_INFINITY },
    ...options,
  })
  stripe = client(API_KEY)
}

function client(apiKey: string): Stripe {
  const { host, port } = emulator
  return new Stripe(apiKey, { host, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false })
}

/** A request as it is on the wire, for what the SDK would not send. */
async function send(method: string, address: string, body?: string, headers: Record<string, string> = {}) {
  const reply = await fetch(`${emulator.url}${address}`, {
    method,
    headers: {
      authorization: `Bearer ${API_KEY}`,
      'content-type': 'application/x-www-form-urlencoded',
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  })
  return { status: reply.status, headers: reply.headers, body: await reply.json() }
}

const ids = (customers: { id: string }[]) => customers.map(({ id }) => id)

describe('accounts and modes', () => {
  const PLACES = [
    ['another account', { account: 'acct_other' }, "No such customer: 'ID'"],
    [
      'the other mode',
      { livemode: true },
      "No such customer: 'ID'; a similar object exists in test mode, but a live mode key was used to make this request.",
    ],
  ] as const

  test.each(PLACES)('have customers of their own: %s', async (_which, place, message) => {
    const { id } = await stripe.customers.create(
      { email: 'a@example.com', metadata: { organization_id: 'o-1' } },
      { idempotencyKey: 'one' },
    )
    emulator.giveKey('sk_other', place)
    const other = client('sk_other')
    const missing = {
      statusCode: 404,
      code: 'resource_missing',
      param: 'id',
      message: message.replace('ID', id),
    }
    await expect(other.customers.retrieve(id)).rejects.toMatchObject(missing)
    await expect(other.customers.update(id, { name: 'Mine' })).rejects.toMatchObject(missing)
    await expect(other.customers.del(id)).rejects.toMatchObject(missing)
    await expect(other.customers.list({ starting_after: id })).rejects.toMatchObject({
      statusCode: 400,
      code: 'resource_missing',
    })
    expect((await other.customers.list()).data).toEqual([])
    const query = "metadata['organization_id']:'o-1'"
    expect((await other.customers.search({ query })).data).toEqual([])
    const theirs = await other.customers.create({ email: 'b@example.com' }, { idempotencyKey: 'one' })
    expect(theirs).toMatchObject({ email: 'b@example.com', livemode: 'livemode' in place })
    expect(ids((await stripe.customers.list()).data)).toEqual([id])
    await expect(stripe.customers.retrieve(theirs.id)).rejects.toMatchObject({ code: 'resource_missing' })
  })

  test('are kept apart in the file, and a key can come to open another', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'stripe-accounts-'))
    const stateFile = path.join(directory, 'stripe.ndjson')
    try {
      await restart({ stateFile })
      const { id } = await stripe.customers.create({ name: 'Ours' })
      emulator.giveKey(API_KEY, { account: 'acct_other' })
      const theirs = await stripe.customers.create({ name: 'Theirs' })
      await restart({ stateFile })
      expect(ids((await stripe.customers.list()).data)).toEqual([id])
      emulator.giveKey(API_KEY, { account: 'acct_other' })
      expect(ids((await stripe.customers.list()).data)).toEqual([theirs.id])
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  test('have a rate limit each', async () => {
    emulator.setLimits({ requestsPerSecond: 1 })
    emulator.giveKey('sk_other', { account: 'acct_other' })
    await stripe.customers.list()
    await expect(stripe.customers.list()).rejects.toMatchObject({ statusCode: 429 })
    await client('sk_other').customers.list()
  })
})

describe('customers', () => {
  test('a created customer comes back with everything that it was given', async () => {
    const created = await stripe.customers.create({
      email: 'ada@example.com',
      name: 'Ada Lovelace',
      description: 'Analyst',
      phone: '+441234',
      address: { line1: '12 St James’s Square', city: 'London', country: 'GB' },
      shipping: { name: 'Ada', address: { line1: 'Elsewhere' } },
      metadata: { organization_id: 'o-1', 'a key': 'ü & = %' },
      preferred_locales: ['en', 'de'],
      tax_exempt: 'exempt',
      balance: -500,
    })
    expect(created.id).toMatch(/^cus_[A-Za-z0-9]{14}$/)
    const { lastResponse: _, ...plain } = created
    expect(await stripe.customers.retrieve(created.id)).toMatchObject({
      ...plain,
      object: 'customer',
      created: now / 1000,
      livemode: false,
      delinquent: false,
      address: { city: 'London', country: 'GB', line1: '12 St James’s Square', line2: null, state: null },
      shipping: { name: 'Ada', phone: null, address: { line1: 'Elsewhere', city: null } },
      metadata: { organization_id: 'o-1', 'a key': 'ü & = %' },
      preferred_locales: ['en', 'de'],
      tax_exempt: 'exempt',
      balance: -500,
    })
  })

  test('an update keeps what it does not mention, merges metadata, and unsets what is empty', async () => {
    const { id } = await stripe.customers.create({
      email: 'a@example.com',
      name: 'A',
      address: { city: 'Rome' },
      metadata: { keep: '1', change: '1', remove: '1' },
    })
    const updated = await stripe.customers.update(id, {
      name: '',
      address: '',
      metadata: { change: '2', remove: '', add: '1' },
    })
    expect(updated).toMatchObject({
      email: 'a@example.com',
      name: null,
      address: null,
      metadata: { keep: '1', change: '2', add: '1' },
    })
    expect(updated.metadata).not.toHaveProperty('remove')
    expect((await stripe.customers.update(id, { metadata: '' })).metadata).toEqual({})
  })

  test('a deleted customer says so, is in no list, and cannot be changed', async () => {
    const { id } = await stripe.customers.create({ email: 'a@example.com' })
    expect(await stripe.customers.del(id)).toMatchObject({ id, object: 'customer', deleted: true })
    expect(await stripe.customers.retrieve(id)).toMatchObject({ id, deleted: true })
    expect((await stripe.customers.list()).data).toEqual([])
    expect((await stripe.customers.search({ query: "email:'a@example.com'" })).data).toEqual([])
    await expect(stripe.customers.update(id, { name: 'x' })).rejects.toMatchObject({
      statusCode: 404,
      code: 'resource_missing',
    })
    await expect(stripe.customers.del(id)).rejects.toMatchObject({ statusCode: 404 })
  })
})

describe('lists', () => {
  test('are newest first and page in both directions', async () => {
    const created: string[] = []
    for (let index = 0; index < 5; index++) created.push((await stripe.customers.create()).id)
    const newest = created.toReversed()
    const first = await stripe.customers.list({ limit: 2 })
    expect(first).toMatchObject({ object: 'list', url: '/v1/customers', has_more: true })
    expect(ids(first.data)).toEqual(newest.slice(0, 2))
    const last = await stripe.customers.list({ limit: 3, starting_after: newest[1] ?? '' })
    expect(last.has_more).toBe(false)
    expect(ids(last.data)).toEqual(newest.slice(2))
    const before = await stripe.customers.list({ limit: 2, ending_before: newest[3] ?? '' })
    expect(before.has_more).toBe(true)
    expect(ids(before.data)).toEqual(newest.slice(1, 3))
    const all = await stripe.customers.list({ limit: 2 }).autoPagingToArray({ limit: 100 })
    expect(ids(all)).toEqual(newest)
  })

  test('page on from a customer that was deleted meanwhile', async () => {
    const old = await stripe.customers.create()
    const cursor = await stripe.customers.create()
    await stripe.customers.del(cursor.id)
    expect(ids((await stripe.customers.list({ starting_after: cursor.id })).data)).toEqual([old.id])
  })

  test('filter by exact email and by time of creation', async () => {
    const early = await stripe.customers.create({ email: 'Early@example.com' })
    now += 10_000
    const late = await stripe.customers.create({ email: 'late@example.com' })
    expect(ids((await stripe.customers.list({ email: 'Early@example.com' })).data)).toEqual([early.id])
    expect(ids((await stripe.customers.list({ email: 'early@example.com' })).data)).toEqual([])
    expect(ids((await stripe.customers.list({ created: { gt: early.created } })).data)).toEqual([late.id])
    expect(ids((await stripe.customers.list({ created: { lte: early.created } })).data)).toEqual([early.id])
    expect(ids((await stripe.customers.list({ created: late.created })).data)).toEqual([late.id])
  })

  test.each([
    [{ limit: 101 }, { param: 'limit' }],
    [{ limit: 0 }, { param: 'limit' }],
    [{ starting_after: 'cus_none' }, { param: 'starting_after', code: 'resource_missing' }],
  ])('refuse %j with 400', async (parameters, error) => {
    await expect(stripe.customers.list(parameters)).rejects.toMatchObject({ statusCode: 400, ...error })
  })
})

describe('search', () => {
  test.each([
    ["email:'ada@example.com'", ['ada']],
    ['email:"ADA@EXAMPLE.COM"', ['ada']],
    ["email~'example'", ['bob', 'ada']],
    ["name:'Ada O\\'Hara'", ['ada']],
    ["metadata['organization_id']:'o-2'", ['bob']],
    ["metadata['plan']:null", ['bob']],
    ["-email:'ada@example.com'", ['bob']],
    ["email~'example' AND metadata['organization_id']:'o-1'", ['ada']],
    ["email~'example' metadata['organization_id']:'o-1'", ['ada']],
    ["email:'ada@example.com' OR email:'bob@example.com'", ['bob', 'ada']],
    ['created>1788220805', ['bob']],
    ['created<=1788220800', ['ada']],
  ])('%s finds %j', async (query, names) => {
    now = 1_788_220_800_000
    const ada = await stripe.customers.create({
      email: 'ada@example.com',
      name: "Ada O'Hara",
      metadata: { organization_id: 'o-1', plan: 'free' },
    })
    now += 10_000
    const bob = await stripe.customers.create({
      email: 'bob@example.com',
      metadata: { organization_id: 'o-2' },
    })
    const found = ids((await stripe.customers.search({ query })).data)
    expect(found).toEqual(names.map((name) => (name === 'ada' ? ada.id : bob.id)))
  })

  test.each([
    ["email:'a' AND name:'b' OR name:'c'", 'combine'],
    ["nickname:'a'", 'unsupported search field'],
    ['email=a', 'unable to parse'],
    ["email~'ab'", '3 characters'],
    ["email>'a'", 'numbers only'],
  ])('refuses %s', async (query, message) => {
    await expect(stripe.customers.search({ query })).rejects.toMatchObject({
      statusCode: 400,
      param: 'query',
      message: expect.stringContaining(message),
    })
  })

  test('pages with next_page', async () => {
    for (let index = 0; index < 3; index++) await stripe.customers.create({ metadata: { group: 'x' } })
    const query = "metadata['group']:'x'"
    const first = await stripe.customers.search({ query, limit: 2 })
    expect(first).toMatchObject({ object: 'search_result', has_more: true, url: '/v1/customers/search' })
    const second = await stripe.customers.search({ query, limit: 2, page: first.next_page ?? '' })
    expect(second).toMatchObject({ has_more: false, next_page: null })
    expect(new Set([...ids(first.data), ...ids(second.data)]).size).toBe(3)
  })

  test('sees a creation, a change and a deletion only after the lag', async () => {
    emulator.setTimings({ searchLagMs: 1000 })
    const query = "metadata['state']:'new'"
    const count = async (text: string) => (await stripe.customers.search({ query: text })).data.length
    const { id } = await stripe.customers.create({ metadata: { state: 'new' } })
    expect(await count(query)).toBe(0)
    expect((await stripe.customers.list()).data).toHaveLength(1)
    now += 1000
    expect(await count(query)).toBe(1)
    await stripe.customers.update(id, { metadata: { state: 'old' } })
    expect(await count(query)).toBe(1)
    now += 1000
    expect(await count(query)).toBe(0)
    await stripe.customers.del(id)
    expect(await count("metadata['state']:'old'")).toBe(1)
    now += 1000
    expect(await count("metadata['state']:'old'")).toBe(0)
  })
})

describe('idempotency keys', () => {
  const options = { idempotencyKey: 'organization-1' }

  test('the same request again gets the first reply and makes nothing', async () => {
    const first = await send('POST', '/v1/customers', 'email=a%40example.com&name=A', {
      'idempotency-key': 'k1',
    })
    const again = await send('POST', '/v1/customers', 'name=A&email=a%40example.com', {
      'idempotency-key': 'k1',
    })
    expect(first.headers.get('idempotent-replayed')).toBeNull()
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(again.headers.get('original-request')).toBe(first.headers.get('request-id'))
    expect(again.body).toEqual(first.body)
    expect((await stripe.customers.list()).data).toHaveLength(1)
    expect(emulator.stats.replays).toBe(1)
  })

  test('the first reply is repeated even after the customer changed', async () => {
    const first = await stripe.customers.create({ name: 'A' }, options)
    await stripe.customers.update(first.id, { name: 'B' })
    expect(await stripe.customers.create({ name: 'A' }, options)).toMatchObject({ id: first.id, name: 'A' })
  })

  test('other parameters under the same key are refused', async () => {
    await stripe.customers.create({ name: 'A' }, options)
    await expect(stripe.customers.create({ name: 'B' }, options)).rejects.toMatchObject({
      statusCode: 400,
      type: 'StripeIdempotencyError',
    })
  })

  test('a second request while the first is under way gets 409, and the first reply later', async () => {
    emulator.setTimings({ requestMs: 100 })
    const both = await Promise.allSettled([
      stripe.customers.create({ name: 'A' }, options),
      stripe.customers.create({ name: 'A' }, options),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { statusCode: 409, code: 'idempotency_key_in_use' },
    })
    const later = await stripe.customers.create({ name: 'A' }, options)
    expect(ids((await stripe.customers.list()).data)).toEqual([later.id])
  })

  test('a refused request does not use the key up', async () => {
    await expect(stripe.customers.create({ email: 'nonsense' }, options)).rejects.toMatchObject({
      code: 'email_invalid',
    })
    expect((await stripe.customers.create({ email: 'a@example.com' }, options)).email).toBe('a@example.com')
  })

  test('a failure during execution is repeated too', async () => {
    await expect(stripe.customers.update('cus_none', { name: 'A' }, options)).rejects.toMatchObject({
      statusCode: 404,
    })
    await expect(stripe.customers.update('cus_none', { name: 'A' }, options)).rejects.toMatchObject({
      statusCode: 404,
      headers: { 'idempotent-replayed': 'true' },
    })
  })

  test('a key is forgotten after 24 hours, not before', async () => {
    const first = await stripe.customers.create({ name: 'A' }, options)
    now += DAY_MS - 1
    expect((await stripe.customers.create({ name: 'A' }, options)).id).toBe(first.id)
    now += 1
    expect((await stripe.customers.create({ name: 'A' }, options)).id).not.toBe(first.id)
  })
})

describe('refusals', () => {
  test('a wrong key is masked, and a missing one is asked for', async () => {
    await expect(client('sk_test_wrong_secret_9876').customers.list()).rejects.toMatchObject({
      type: 'StripeAuthenticationError',
      statusCode: 401,
      message: 'Invalid API Key provided: sk_test_*************9876',
      rawType: 'invalid_request_error',
    })
    const missing = await send('GET', '/v1/customers', undefined, { authorization: '' })
    expect(missing).toMatchObject({ status: 401, body: { error: { type: 'invalid_request_error' } } })
  })

  test('a customer that does not exist is named with its parameter', async () => {
    await expect(stripe.customers.retrieve('cus_none')).rejects.toMatchObject({
      statusCode: 404,
      code: 'resource_missing',
      param: 'id',
      message: "No such customer: 'cus_none'",
    })
  })

  test.each([
    ['nickname=x', 'parameter_unknown', 'nickname'],
    ['address[planet]=mars', 'parameter_unknown', 'address[planet]'],
    ['email=not-an-address', 'email_invalid', 'email'],
    ['email=a%40localhost', 'email_invalid', 'email'],
    ['email=%20a%40example.com', 'email_invalid', 'email'],
    ['email=a%40example.com%20', 'email_invalid', 'email'],
    ['email=m%C3%BCller%40example.com', 'email_invalid', 'email'],
    ['balance=much', 'parameter_invalid_integer', 'balance'],
    [`metadata[${'k'.repeat(41)}]=v`, undefined, 'metadata'],
    [`metadata[key]=${'v'.repeat(501)}`, undefined, 'metadata[key]'],
    ['metadata=text', undefined, 'metadata'],
    [`name=${'n'.repeat(257)}`, undefined, 'name'],
    ['shipping[name]=x', 'parameter_missing', 'shipping[address]'],
    [Array.from({ length: 51 }, (_, index) => `metadata[k${index}]=v`).join('&'), undefined, 'metadata'],
  ])('a create with wrong parameters is refused: case %#', async (body, code, param) => {
    const { status, body: reply } = await send('POST', '/v1/customers', body)
    expect(status).toBe(400)
    expect(reply.error).toMatchObject({ type: 'invalid_request_error', param })
    expect(reply.error.code).toBe(code)
    expect(emulator.stats.calls).toEqual({ PostCustomers: 1 })
    expect((await stripe.customers.list()).data).toEqual([])
  })

  test('metadata is limited to 50 keys in total, over several updates', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, 'v']))
    const { id } = await stripe.customers.create({ metadata })
    await expect(stripe.customers.update(id, { metadata: { one: 'more' } })).rejects.toMatchObject({
      param: 'metadata',
    })
  })

  test('what the emulator does not act on is refused rather than ignored', async () => {
    expect((await send('POST', '/v1/customers', 'source=tok_visa')).status).toBe(501)
    const elsewhere = await send('GET', '/v1/charges')
    expect(elsewhere.status).toBe(404)
    expect(elsewhere.body.error.message).toContain('Unrecognized request URL (GET: /v1/charges)')
  })

  test('more requests than the rate limit allows get 429 until time has passed', async () => {
    emulator.setLimits({ requestsPerSecond: 2 })
    const statuses = await Promise.all([1, 2, 3].map(async () => (await send('GET', '/v1/customers')).status))
    expect(statuses.sort()).toEqual([200, 200, 429])
    await expect(stripe.customers.list()).rejects.toMatchObject({
      type: 'StripeRateLimitError',
      code: 'rate_limit',
    })
    now += 500
    expect((await send('GET', '/v1/customers')).status).toBe(200)
  })

  test('replies carry a request id and the version asked for', async () => {
    const { headers } = await send('GET', '/v1/customers', undefined, { 'stripe-version': '2024-06-20' })
    expect(headers.get('request-id')).toMatch(/^req_/)
    expect(headers.get('stripe-version')).toBe('2024-06-20')
  })
})

describe('the state file', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'stripe-emulator-'))
  })
  afterEach(async () => {
    await emulator.stop()
    await rm(directory, { recursive: true, force: true })
    await restart({})
  })

  test('keeps customers, deletions and idempotency keys over a restart', async () => {
    const stateFile = path.join(directory, 'stripe.jsonl')
    await restart({ stateFile })
    const kept = await stripe.customers.create({ name: 'Kept' }, { idempotencyKey: 'k' })
    const deleted = await stripe.customers.create()
    await stripe.customers.del(deleted.id)
    await stripe.customers.update(kept.id, { name: 'Changed' })
    await restart({ stateFile })
    expect(await stripe.customers.retrieve(kept.id)).toMatchObject({ name: 'Changed' })
    expect(await stripe.customers.retrieve(deleted.id)).toMatchObject({ deleted: true })
    expect((await stripe.customers.create({ name: 'Kept' }, { idempotencyKey: 'k' })).id).toBe(kept.id)
    expect((await stripe.customers.search({ query: "name:'Changed'" })).data).toHaveLength(1)
  })

  test('survives a torn last line', async () => {
    const stateFile = path.join(directory, 'stripe.jsonl')
    await restart({ stateFile })
    const before = await stripe.customers.create({ name: 'Before' })
    await emulator.stop()
    appendFileSync(stateFile, '[{"type":"customer","id":"cus_torn","val')
    await restart({ stateFile })
    const after = await stripe.customers.create({ name: 'After' })
    await restart({ stateFile })
    expect(ids((await stripe.customers.list()).data)).toEqual([after.id, before.id])
  })
})

test('the emulator stops at once although clients keep their connections open', async () => {
  await stripe.customers.list()
  const began = performance.now()
  await emulator.stop()
  expect(performance.now() - began).toBeLessThan(900)
  await restart({})
})
