import { storable } from './database/storable.ts'

/**
 * The catalogue of what can go wrong while provisioning. Whether trying again can help is a property of the code;
 * the message is a sentence that a person can act on.
 */
const catalogue = {
  stripe_key_missing: [
    false,
    'There is no Stripe key. Set the function secret STRIPE_SECRET_KEY, then retry.',
  ],
  stripe_key_rejected: [
    false,
    'Stripe does not accept STRIPE_SECRET_KEY. Put a valid key into the function secrets, then retry.',
  ],
  stripe_request_refused: [false, 'Stripe refused the customer.'],
  stripe_rate_limited: [true, 'Stripe asks for fewer requests. It will be tried again.'],
  stripe_unavailable: [true, 'Stripe is not working properly. It will be tried again.'],
  stripe_unreachable: [true, 'Stripe cannot be reached. It will be tried again.'],
  stripe_request_in_progress: [
    true,
    'Stripe is still busy with an earlier request for this customer. It will be tried again.',
  ],
  stripe_key_reused: [
    true,
    'An earlier request to Stripe for this customer had other details. What it made is looked for; if it made nothing, it will be tried again under a new key.',
  ],
  stripe_customer_deleted: [
    true,
    'The customer that an earlier request made has been deleted at Stripe. It will be tried again under a new key.',
  ],
  stripe_paused: [true, 'Stripe is left alone for a while.'],
  neon_paused: [true, 'Neon is left alone for a while.'],
  neon_key_missing: [false, 'There is no Neon key. Set the function secret NEON_API_KEY, then retry.'],
  neon_key_rejected: [
    false,
    'Neon does not accept NEON_API_KEY. Put a valid key into the function secrets, then retry.',
  ],
  neon_project_limit_reached: [
    false,
    'The Neon plan allows no more projects. Delete projects or upgrade the plan at console.neon.tech, then retry.',
  ],
  neon_region_unknown: [
    false,
    'Neon does not offer this region. Retry with another dataRegion, or correct provisioning.regions first.',
  ],
  neon_request_refused: [false, 'Neon refused the request.'],
  neon_operation_failed: [true, 'An operation on the Neon project failed. It will be looked at again.'],
  neon_project_busy: [true, 'Another operation is running on the Neon project. It will be tried again.'],
  neon_rate_limited: [true, 'Neon asks for fewer requests. It will be tried again.'],
  neon_unavailable: [true, 'Neon is not working properly. It will be tried again.'],
  neon_unreachable: [true, 'Neon cannot be reached. It will be tried again.'],
  neon_list_incomplete: [
    true,
    'Neon could not list every project, so it is not certain that ours is absent. It will be tried again.',
  ],
  tenant_database_unreachable: [true, 'The tenant database cannot be reached. It will be tried again.'],
  tenant_database_login_refused: [
    true,
    'The tenant database refused the login. A changed password is fetched again by a retry of the service neon; a role without LOGIN must be given it first.',
  ],
  tenant_database_not_encrypted: [
    false,
    'The tenant database accepts no verified TLS connection, which is required for a host that is not local.',
  ],
  tenant_schema_failed: [
    false,
    'A file of the tenant schema failed. Correct it in tenant-schema/, deploy, then retry.',
  ],
  tenant_schema_changed: [
    false,
    'A file of the tenant schema was changed after this tenant received it. Add a new file instead, then retry.',
  ],
  credentials_missing: [
    false,
    'The password of the tenant database is not in Vault. Retry the service neon, which fetches it again.',
  ],
  organization_gone: [false, 'The organization was deleted in the meantime.'],
  grace_period: [true, 'The Neon project is kept until its grace period ends.'],
  step_crashed: [
    true,
    'The step ended unexpectedly; the function log has the details. It will be tried again.',
  ],
} as const satisfies Record<string, readonly [retryable: boolean, message: string]>

export type FailureCode = keyof typeof catalogue

export interface Failure {
  readonly code: FailureCode
  readonly retryable: boolean
  readonly message: string
  /** The provider's wish; a person who retries may ignore it. */
  readonly retryAfterSeconds?: number
  /**
   * The answer to a request that creates is open: within this time it may still take effect, or what it made cannot be
   * found for certain. Nobody makes the next attempt come sooner.
   */
  readonly settleSeconds?: number
  /** The provider's outage or rate limit, not this job's failure: the attempt does not count, and the next is due then. */
  readonly pauseSeconds?: number
}

/** @param detail what the provider said; passwords in URLs are masked. */
export function failure(code: FailureCode, detail?: string, retryAfterSeconds?: number): Failure {
  const [retryable, message] = catalogue[code]
  return {
    code,
    retryable,
    message: detail ? `${message} (${maskSecrets(detail)})` : message,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  }
}

/** The same failure as an outage of the provider, with the time of the next try in its message. */
export function paused(cause: Failure, seconds: number, now: Date = new Date()): Failure {
  const nextTry = new Date(now.getTime() + seconds * 1000).toISOString().slice(11, 19)
  return { ...cause, message: `${cause.message} Next try at ${nextTry} UTC.`, pauseSeconds: seconds }
}

/** Replaces passwords in URLs and connection strings, keys and bearer tokens, and makes the text one that a status row can keep. */
export function maskSecrets(text: string): string {
  const masked = text
    .replace(/(\w+:\/\/[^:/\s@]*:)\S+@/g, '$1***@')
    .replace(/\b(password|passwd|pwd)(\s*=\s*)[^\s&;]+/gi, '$1$2***')
    .replace(/\b(sk|rk|pk|sb_secret|sb_publishable|napi|npg|whsec)_[\w+/=-]+/g, '$1_***')
    .replace(/\bBearer\s+[\w.~+/-]+=*/gi, 'Bearer ***')
  return storable(masked.slice(0, 500))
}
