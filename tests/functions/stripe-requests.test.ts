import Stripe from 'stripe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startStripeEmulator } from '../../local/emulators/stripe/emulator.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import type { Result } from '../../shared/kernel/result.ts'
import { createStripeProvider, type StripeProvider } from '../../shared/services/stripe/client.ts'
import { findProgram } from '../../tools/find-program.ts'
import { freePort } from '../../tools/ports.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startRealServer } from '../support/real-server.ts'

const KEY = 'sk_test_requests'

interface StripeServer {
  readonly url: string
  stop(): Promise<void>
}

/** Stripe's own program, which checks each request against their OpenAPI file and answers with examples from it. */
const mock = await findProgram('stripe-mock')

const SERVERS: readonly (readonly [name: string, start: () => Promise<StripeServer>])[] = [
  ['the emulator', () => startStripeEmulator({ apiKey: KEY })],
  ...(mock === undefined ? [] : [['stripe-mock', () => startStripeMock(mock)] as const]),
]

async function startStripeMock(file: string): Promise<StripeServer> {
  const address = `127.0.0.1:${await freePort()}`
  const isReady = () => fetch(`http://${address}`).then(() => true)
  const server = await startRealServer({ file, args: ['-http-addr', address], isReady })
  return { url: `http://${address}`, ...server }
}

const details = (email: string | null, name = 'Ünïcode & Søns 株式会社') => ({
  organizationId: crypto.randomUUID(),
  name,
  email,
})
const held = () => Promise.resolve()
const someone = details('ann@example.com')

/** Every request that our client makes, in each of its forms. One that is added without being tried here does not compile. */
const REQUESTS: Readonly<
  Record<
    Exclude<keyof StripeProvider, 'customerUrl'>,
    readonly ((stripe: StripeProvider, id: string) => Promise<Result<unknown>>)[]
  >
> = {
  createCustomer: [
    (stripe) => stripe.createCustomer(someone, crypto.randomUUID(), held),
    (stripe) => stripe.createCustomer(details(null), crypto.randomUUID(), held),
    (stripe) =>
      stripe.createCustomer(details("o'neil+1@ex-ample.co", 'x'.repeat(200)), crypto.randomUUID(), held),
  ],
  findCustomer: [
    (stripe) => stripe.findCustomer(someone, false),
    (stripe) => stripe.findCustomer(details('nobody@example.com'), true),
    (stripe) => stripe.findCustomer(details(null), true),
  ],
  recordedCustomer: [(stripe, id) => stripe.recordedCustomer(id)],
  updateCustomer: [
    (stripe, customerId) => stripe.updateCustomer({ customerId, name: 'Näme', email: 'b@example.com' }, held),
    (stripe, customerId) => stripe.updateCustomer({ customerId, name: null, email: null }, held),
  ],
  customerPage: [(stripe) => stripe.customerPage(), (stripe, id) => stripe.customerPage(id)],
  deleteCustomer: [(stripe, id) => stripe.deleteCustomer(id, held)],
}

const FIELDS = [
  ...[
    'id',
    'object',
    'address',
    'balance',
    'created',
    'currency',
    'default_source',
    'delinquent',
    'description',
  ],
  ...['discount', 'email', 'invoice_prefix', 'invoice_settings', 'livemode', 'metadata', 'name'],
  ...['next_invoice_sequence', 'phone', 'preferred_locales', 'shipping', 'tax_exempt', 'test_clock'],
]

let database: TestDatabase
let sql: Database

beforeAll(async () => {
  database = await createTestDatabase('migrated')
  sql = connect({ SUPABASE_DB_URL: database.url() })
})

afterAll(async () => {
  await sql?.end({ timeout: 1 })
  await database?.drop()
})

describe.each(SERVERS)('%s', (_name, start) => {
  let server: StripeServer
  let stripe: StripeProvider

  beforeAll(async () => {
    server = await start()
    stripe = createStripeProvider({ STRIPE_SECRET_KEY: KEY, STRIPE_API_URL: server.url }, sql)
  })

  afterAll(() => server?.stop())

  it.each(Object.entries(REQUESTS))('understands %s', async (_operation, requests) => {
    const made = await stripe.createCustomer(someone, crypto.randomUUID(), held)
    expect(made).toEqual({ ok: true, value: expect.stringMatching(/^cus_/) })
    for (const request of requests)
      expect(await request(stripe, made.ok ? made.value : '')).toMatchObject({ ok: true })
  })

  it('shows a customer with the fields of Stripe’s own example', async () => {
    const { hostname, port } = new URL(server.url)
    const client = new Stripe(KEY, { host: hostname, port, protocol: 'http', maxNetworkRetries: 0 })
    const { lastResponse: _, ...customer } = await client.customers.create({
      name: 'A',
      email: 'a@example.com',
    })
    expect(Object.keys(customer)).toEqual(expect.arrayContaining(FIELDS))
  })
})
