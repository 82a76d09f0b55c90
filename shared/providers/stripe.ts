import Stripe from 'stripe'
import type { Environment } from '../environment.ts'
import { type Failure, failure } from '../provisioning/failures.ts'
import { failed, type Result, success } from '../result.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
const TIMEOUT_MS = 20_000

export interface CustomerDetails {
  readonly organizationId: string
  readonly name: string
  readonly email: string | null
}

export interface StripeProvider {
  /** @returns false when Stripe knows no such customer, or has deleted it */
  customerExists(customerId: string): Promise<Result<boolean>>
  /**
   * Looks for the customer that carries the organization's id: among those with its e-mail address, which is always up to
   * date, and when `thorough` also by Stripe's search, which is about a minute behind.
   */
  findCustomer(details: CustomerDetails, thorough: boolean): Promise<Result<string | undefined>>
  createCustomer(details: CustomerDetails, idempotencyKey: string): Promise<Result<string>>
}

export function createStripeProvider(
  environment: Pick<Environment, 'STRIPE_SECRET_KEY' | 'STRIPE_API_URL'>,
): StripeProvider {
  const { STRIPE_SECRET_KEY: key, STRIPE_API_URL } = environment
  if (!key) return withoutKey()
  const url = new URL(STRIPE_API_URL)
  const protocol = url.protocol === 'http:' ? 'http' : 'https'
  const stripe = new Stripe(key, {
    host: url.hostname,
    port: url.port || (protocol === 'http' ? '80' : '443'),
    protocol,
    httpClient: Stripe.createFetchHttpClient(),
    timeout: TIMEOUT_MS,
    // The job engine retries; a retry here would hide from it what happened.
    maxNetworkRetries: 0,
    telemetry: false,
  })

  return {
    customerExists: (customerId) =>
      stripe.customers.retrieve(customerId).then(
        (customer) => success(customer.deleted !== true),
        (error: unknown) => (isMissing(error) ? success(false) : failed(classify(error))),
      ),
    findCustomer: (details, thorough) => attempt(() => findCustomer(stripe, details, thorough)),
    createCustomer: ({ organizationId, name, email }, idempotencyKey) =>
      attempt(async () => {
        const customer = await stripe.customers.create(
          { name, ...(email ? { email } : {}), metadata: { organization_id: organizationId } },
          { idempotencyKey },
        )
        return customer.id
      }),
  }
}

async function findCustomer(
  stripe: Stripe,
  details: CustomerDetails,
  thorough: boolean,
): Promise<string | undefined> {
  const { organizationId, email } = details
  if (email) {
    for await (const customer of stripe.customers.list({ email, limit: 100 }))
      if (customer.metadata.organization_id === organizationId) return customer.id
  }
  if (!thorough) return undefined
  const found = await stripe.customers.search({
    query: `metadata['organization_id']:'${organizationId}'`,
    limit: 1,
  })
  return found.data[0]?.id
}

async function attempt<T>(call: () => Promise<T>): Promise<Result<T>> {
  try {
    return success(await call())
  } catch (error) {
    return failed(classify(error))
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'resource_missing'
}

function classify(error: unknown): Failure {
  if (!(error instanceof Stripe.errors.StripeError)) throw error
  const retryAfter = seconds(error.headers?.['retry-after'])
  if (error instanceof Stripe.errors.StripeAuthenticationError) return failure('stripe_key_rejected')
  if (error instanceof Stripe.errors.StripePermissionError)
    return failure('stripe_key_rejected', error.message)
  if (error instanceof Stripe.errors.StripeRateLimitError)
    return failure('stripe_rate_limited', undefined, retryAfter)
  if (error instanceof Stripe.errors.StripeConnectionError) return failure('stripe_unreachable')
  if (error.statusCode === 409) return failure('stripe_request_in_progress', undefined, retryAfter)
  if (error instanceof Stripe.errors.StripeIdempotencyError) return failure('stripe_key_reused')
  if (error instanceof Stripe.errors.StripeInvalidRequestError)
    return failure('stripe_request_refused', error.message)
  return failure('stripe_unavailable', `status ${error.statusCode ?? 'unknown'}`, retryAfter)
}

/** Retry-After in seconds; Stripe and Neon send a number, never a date. */
export function seconds(header: unknown): number | undefined {
  const value = Number(header)
  return typeof header === 'string' && Number.isFinite(value) && value >= 0 ? value : undefined
}

function withoutKey(): StripeProvider {
  const refuse = () => Promise.resolve(failed(failure('stripe_key_missing')))
  return { customerExists: refuse, findCustomer: refuse, createCustomer: refuse }
}
