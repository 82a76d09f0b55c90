import { type FailureCatalogue, failuresOf } from '../../kernel/failures.ts'

export const stripeFailures = {
  stripe_key_missing: {
    retryable: false,
    sentence: 'There is no Stripe key.',
    docs: 'The function secret is not set.',
    remedy: {
      text: 'Set the function secret STRIPE_SECRET_KEY, then retry.',
      commands: [
        { command: 'set_secret', name: 'STRIPE_SECRET_KEY' },
        { command: 'retry', service: 'stripe' },
      ],
    },
  },
  stripe_key_rejected: {
    retryable: false,
    sentence: 'Stripe does not accept STRIPE_SECRET_KEY.',
    docs: 'Stripe answered 401, or 403: the key lacks a right.',
    remedy: {
      text: 'Put a valid key into the function secrets, then retry.',
      commands: [
        { command: 'set_secret', name: 'STRIPE_SECRET_KEY' },
        { command: 'retry', service: 'stripe' },
      ],
    },
  },
  stripe_request_refused: {
    retryable: false,
    sentence: 'Stripe refused the customer.',
    docs: 'Another 4xx; the message quotes Stripe.',
    remedy: {
      text: 'Correct the organization’s name or billing e-mail, then retry.',
      commands: [{ command: 'retry', service: 'stripe' }],
    },
  },
  stripe_email_refused: {
    retryable: false,
    sentence: 'Stripe does not take the billing e-mail address.',
    docs: 'The customer is made, or kept, without an address: the event and `status` say so, and nothing fails.',
    remedy: { text: 'Correct the billing e-mail; Stripe hears of it by itself.', commands: [] },
  },
  stripe_rate_limited: {
    retryable: true,
    sentence: 'Stripe asks for fewer requests.',
    docs: '429. When it is frequent, lower [`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
    rateLimited: true,
  },
  stripe_unavailable: {
    retryable: true,
    sentence: 'Stripe is not working properly.',
    docs: '5xx. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  stripe_unreachable: {
    retryable: true,
    sentence: 'Stripe cannot be reached.',
    docs: 'No answer came. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  stripe_request_in_progress: {
    retryable: true,
    sentence: 'Stripe is still busy with an earlier request for this customer.',
    docs: '409: a call with the same idempotency key is still running.',
    open: true,
  },
  stripe_key_reused: {
    retryable: true,
    sentence: 'An earlier request to Stripe for this customer had other details.',
    continuation: 'What it made is looked for; if it made nothing, it will be tried again under a new key.',
    docs: 'The next attempt waits 60 s, until Stripe’s search has caught up.',
    open: true,
  },
  stripe_customer_deleted: {
    retryable: true,
    sentence: 'The customer that an earlier request made has been deleted at Stripe.',
    continuation: 'It will be tried again under a new key.',
    docs: 'The old idempotency key would only repeat the reply that made the deleted customer.',
  },
  stripe_customer_unknown: {
    retryable: false,
    sentence: 'The account of STRIPE_SECRET_KEY does not know the customer that is recorded.',
    docs:
      'The key is one of another account, or of the other mode. The recorded customer is kept and no second one is made; the ' +
      'audit log has an entry. See [Another Stripe account](operations.md#another-stripe-account).',
    remedy: {
      text:
        'Put back the key of the account and mode that has the customer, then retry. If the account was changed on purpose, ' +
        'let go of the customer first, as operations.md says.',
      commands: [
        { command: 'set_secret', name: 'STRIPE_SECRET_KEY' },
        { command: 'retry', service: 'stripe' },
      ],
    },
  },
  stripe_search_lags: {
    retryable: true,
    sentence: 'Stripe’s search may not have heard yet of a customer that was made last.',
    continuation: 'It is asked again in a minute.',
    docs: 'A deleted organization has left no address under which its customer could be looked for. The attempt does not count.',
  },
  stripe_paused: {
    retryable: true,
    sentence: 'Stripe is left alone for a while.',
    continuation: '',
    docs: 'The circuit breaker is open, or the token bucket is empty for more than 5 s. The attempt does not count.',
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(stripeFailures)
