export interface StripeErrorDetails {
  readonly type?: 'invalid_request_error' | 'idempotency_error' | 'api_error'
  readonly code?: string
  readonly param?: string
}

/** A refusal in Stripe's terms; becomes `{error: {type, code, message, param, doc_url}}` with this status. */
export class StripeApiError extends Error {
  readonly status: number
  readonly details: StripeErrorDetails
  readonly headers: Readonly<Record<string, string>>
  /**
   * False for what Stripe refuses before it begins to execute (validation, conflicts, rate limits): such a reply
   * is not saved under an Idempotency-Key.
   */
  readonly executed: boolean

  constructor(
    status: number,
    message: string,
    details: StripeErrorDetails = {},
    options: { executed?: boolean; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.details = details
    this.executed = options.executed ?? false
    this.headers = options.headers ?? {}
  }

  body(requestId: string): unknown {
    const { type = 'invalid_request_error', code, param } = this.details
    return {
      error: {
        ...(code === undefined ? {} : { code, doc_url: docUrl(code) }),
        message: this.message,
        ...(param === undefined ? {} : { param }),
        request_log_url: `https://dashboard.stripe.com/test/logs/${requestId}`,
        type,
      },
    }
  }
}

function docUrl(code: string): string {
  return `https://stripe.com/docs/error-codes/${code.replaceAll('_', '-')}`
}

/**
 * 404 for the object of the address itself, 400 for one that a parameter names. Stripe says when the account has it in the mode that
 * is not the key's, and of other accounts nothing.
 */
export function noSuchCustomer(
  id: string,
  param: string,
  key?: { readonly livemode: boolean },
): StripeApiError {
  const [other, own] = key?.livemode ? ['test', 'live'] : ['live', 'test']
  const hint = key
    ? `; a similar object exists in ${other} mode, but a ${own} mode key was used to make this request.`
    : ''
  return new StripeApiError(
    param === 'id' ? 404 : 400,
    `No such customer: '${id}'${hint}`,
    { code: 'resource_missing', param },
    // Looking the object up is part of the execution.
    { executed: true },
  )
}
