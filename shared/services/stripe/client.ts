import Stripe from 'stripe'
import type { AssertLease } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import type { Failure } from '../../kernel/failures.ts'
import { retryAfterSeconds } from '../../kernel/http/retry-after.ts'
import { sendOnce } from '../../kernel/http/send-once.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { type GuardedCall, guardProvider, WORTH_WAITING_SECONDS } from '../guard.ts'
import type { StripeEnvironment } from './environment.ts'
import { failure, stripeFailures } from './failures.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
export const STRIPE_TIMEOUT_MS = 20_000

const DASHBOARD = 'https://dashboard.stripe.com'

/** All that a customer is made of: requests with the same details and key are the same request to Stripe. */
export interface CustomerDetails {
  readonly organizationId: string
  readonly name: string
  readonly email: string | null
}

/** What a customer's list entry says of it. */
export interface ListedCustomer {
  readonly customerId: string
  /** metadata.organization_id, as it is. */
  readonly organizationId?: string
  /** ISO 8601. */
  readonly createdAt: string
}

export interface CustomerPage {
  readonly customers: readonly ListedCustomer[]
  /** Where the next page begins; undefined behind the last one. */
  readonly nextCursor?: string
}

/** What people see of a customer. */
export interface StripeCustomer {
  readonly customerId: string
  readonly name: string | null
  readonly email: string | null
}

/** Stripe shows who was deleted for ever. It does not know customers of another account, nor those of the key's other mode. */
export type RecordedCustomer = StripeCustomer | 'deleted' | 'unknown'

export interface StripeProvider {
  /** Where people see a customer. */
  customerUrl(customerId: string): string
  recordedCustomer(customerId: string): Promise<Result<RecordedCustomer>>
  /**
   * Looks for the customer that carries the organization's id: among those with its e-mail address, which is always up to
   * date, and when `thorough` also by Stripe's search, which is about a minute behind.
   */
  findCustomer(details: CustomerDetails, thorough: boolean): Promise<Result<StripeCustomer | undefined>>
  /** Fails with stripe_key_reused when the key belongs to other details, stripe_customer_deleted, or stripe_email_refused. */
  createCustomer(
    details: CustomerDetails,
    idempotencyKey: string,
    assertLease: AssertLease,
  ): Promise<Result<string>>
  /** Gives a customer this name and address, whatever it had. Fails with stripe_email_refused. */
  updateCustomer(customer: StripeCustomer, assertLease: AssertLease): Promise<Result<void>>
  /** A page of up to 100 of all customers, the newest first. */
  customerPage(cursor?: string): Promise<Result<CustomerPage>>
  /** Succeeds for a customer that is deleted already; fails with stripe_customer_unknown for one of another account or mode. */
  deleteCustomer(customerId: string, assertLease: AssertLease): Promise<Result<void>>
}

export function createStripeProvider(environment: StripeEnvironment, sql: Database): StripeProvider {
  const { STRIPE_SECRET_KEY: key, STRIPE_API_URL } = environment
  if (!key) return withoutKey()
  const stripe = createClient(key, new URL(STRIPE_API_URL))
  const live = /^[a-z]+_live_/.test(key)
  const { attempt } = guardProvider({
    sql,
    provider: live ? 'stripe_live' : 'stripe_test',
    failures: stripeFailures,
    leftAlone: (why) => failure('stripe_paused', why),
    maxWaitSeconds: WORTH_WAITING_SECONDS,
    classify,
  })

  return {
    customerUrl: (customerId) => `${DASHBOARD}${live ? '' : '/test'}/customers/${customerId}`,
    recordedCustomer: (customerId) =>
      attempt(async (call) => success(await recordedCustomer(stripe, call, customerId))),
    findCustomer: (details, thorough) => attempt((call) => findCustomer(stripe, call, details, thorough)),
    createCustomer: ({ organizationId, name, email }, idempotencyKey, assertLease) =>
      attempt(async (call) => {
        const details = { name, ...(email ? { email } : {}), metadata: { organization_id: organizationId } }
        const customer = await call(
          'POST /v1/customers',
          () => stripe.customers.create(details, { idempotencyKey }),
          assertLease,
        )
        // A repeated reply is as old as the key: its customer may have been deleted since.
        if (!isReplay(customer.lastResponse)) return success(customer.id)
        const recorded = await recordedCustomer(stripe, call, customer.id)
        return typeof recorded === 'object'
          ? success(customer.id)
          : failed(failure('stripe_customer_deleted'))
      }),
    updateCustomer: ({ customerId, name, email }, assertLease) =>
      attempt(async (call) => {
        // An empty text takes away what stood there.
        const details = { name: name ?? '', email: email ?? '' }
        const request = () => stripe.customers.update(customerId, details)
        await call('POST /v1/customers/{id}', request, assertLease)
        return success(undefined)
      }),
    customerPage: (cursor) => attempt((call) => customerPage(stripe, call, cursor)),
    deleteCustomer: (customerId, assertLease) =>
      attempt((call) => deleteCustomer(stripe, call, customerId, assertLease)),
  }
}

function createClient(key: string, url: URL): Stripe {
  const protocol = url.protocol === 'http:' ? 'http' : 'https'
  return new Stripe(key, {
    host: url.hostname,
    port: url.port || (protocol === 'http' ? '80' : '443'),
    protocol,
    httpClient: Stripe.createFetchHttpClient(sendOnce),
    timeout: STRIPE_TIMEOUT_MS,
    // The job engine retries; a retry here would hide from it what happened.
    maxNetworkRetries: 0,
    telemetry: false,
  })
}

async function recordedCustomer(
  stripe: Stripe,
  call: GuardedCall,
  customerId: string,
): Promise<RecordedCustomer> {
  const customer = await call('GET /v1/customers/{id}', () =>
    stripe.customers.retrieve(customerId).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    }),
  )
  if (!customer) return 'unknown'
  return customer.deleted ? 'deleted' : shown(customer)
}

function shown({ id, name = null, email }: Stripe.Customer): StripeCustomer {
  return { customerId: id, name, email }
}

async function deleteCustomer(
  stripe: Stripe,
  call: GuardedCall,
  customerId: string,
  assertLease: AssertLease,
): Promise<Result<void>> {
  const request = () =>
    stripe.customers.del(customerId).then(
      () => true,
      (error: unknown) => {
        if (isMissing(error)) return false
        throw error
      },
    )
  if (await call('DELETE /v1/customers/{id}', request, assertLease)) return success(undefined)
  // Stripe answers alike for a customer that is deleted and for one that it does not know.
  const recorded = await recordedCustomer(stripe, call, customerId)
  return recorded === 'unknown' ? failed(failure('stripe_customer_unknown', customerId)) : success(undefined)
}

async function customerPage(
  stripe: Stripe,
  call: GuardedCall,
  cursor: string | undefined,
): Promise<Result<CustomerPage>> {
  const query = { limit: 100, ...(cursor ? { starting_after: cursor } : {}) }
  const page = await call('GET /v1/customers', () => stripe.customers.list(query))
  const last = page.has_more ? page.data.at(-1)?.id : undefined
  return success({
    customers: page.data.map(({ id, metadata, created }) => ({
      customerId: id,
      ...(metadata.organization_id ? { organizationId: metadata.organization_id } : {}),
      createdAt: new Date(created * 1000).toISOString(),
    })),
    ...(last ? { nextCursor: last } : {}),
  })
}

async function findCustomer(
  stripe: Stripe,
  call: GuardedCall,
  { organizationId, email }: CustomerDetails,
  thorough: boolean,
): Promise<Result<StripeCustomer | undefined>> {
  const found = email ? await findByEmail(stripe, call, organizationId, email) : undefined
  if (found || !thorough) return success(found)
  const query = `metadata['organization_id']:'${organizationId}'`
  const { data } = await call('GET /v1/customers/search', () => stripe.customers.search({ query, limit: 1 }))
  return success(data[0] && shown(data[0]))
}

async function findByEmail(
  stripe: Stripe,
  call: GuardedCall,
  organizationId: string,
  email: string,
): Promise<StripeCustomer | undefined> {
  let after: string | undefined
  for (;;) {
    const page = await call('GET /v1/customers', () =>
      stripe.customers.list({ email, limit: 100, ...(after ? { starting_after: after } : {}) }),
    )
    const found = page.data.find(({ metadata }) => metadata.organization_id === organizationId)
    after = page.data.at(-1)?.id
    if (found || !page.has_more || !after) return found && shown(found)
  }
}

/** The fetch client hands out the platform's own Response, whose headers are not the plain object that the types promise. */
function isReplay({ headers }: { headers: Readonly<Record<string, string>> | Headers }): boolean {
  const name = 'idempotent-replayed'
  return (headers instanceof Headers ? headers.get(name) : headers[name]) === 'true'
}

function isMissing(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'resource_missing'
}

function classify(error: unknown): Failure {
  if (!(error instanceof Stripe.errors.StripeError)) throw error
  const retryAfter = retryAfterSeconds(error.headers?.['retry-after'])
  if (error instanceof Stripe.errors.StripeAuthenticationError) return failure('stripe_key_rejected')
  if (error instanceof Stripe.errors.StripePermissionError)
    return failure('stripe_key_rejected', error.message)
  if (error instanceof Stripe.errors.StripeRateLimitError)
    return failure('stripe_rate_limited', undefined, retryAfter)
  if (error instanceof Stripe.errors.StripeConnectionError) return failure('stripe_unreachable')
  if (error.statusCode === 409) return failure('stripe_request_in_progress', undefined, retryAfter)
  if (error instanceof Stripe.errors.StripeIdempotencyError) return failure('stripe_key_reused')
  if (error instanceof Stripe.errors.StripeInvalidRequestError)
    return failure(error.param === 'email' ? 'stripe_email_refused' : 'stripe_request_refused', error.message)
  if (error.statusCode !== undefined && error.statusCode < 500)
    return failure('stripe_request_refused', error.message)
  return failure('stripe_unavailable', `status ${error.statusCode ?? 'unknown'}`, retryAfter)
}

function withoutKey(): StripeProvider {
  const refuse = () => Promise.resolve(failed(failure('stripe_key_missing')))
  return {
    customerUrl: (customerId) => `${DASHBOARD}/customers/${customerId}`,
    recordedCustomer: refuse,
    findCustomer: refuse,
    createCustomer: refuse,
    updateCustomer: refuse,
    customerPage: refuse,
    deleteCustomer: refuse,
  }
}
