import { Refusal } from '../exchange.ts'

/** GoTrue's error codes that this stand-in can return, each with its HTTP status. */
const statuses = {
  bad_json: 400,
  validation_failed: 400,
  invalid_credentials: 400,
  email_not_confirmed: 400,
  user_banned: 400,
  refresh_token_not_found: 400,
  refresh_token_already_used: 400,
  no_authorization: 401,
  bad_jwt: 403,
  not_admin: 403,
  otp_expired: 403,
  session_not_found: 403,
  user_not_found: 404,
  email_exists: 422,
  user_already_exists: 422,
  weak_password: 422,
  same_password: 422,
  anonymous_provider_disabled: 422,
  phone_provider_disabled: 422,
  unexpected_failure: 500,
  // Not 501, which auth-js takes for a network error and shows as `{}`.
  not_implemented: 422,
  otp_disabled: 422,
  flow_state_not_found: 404,
  flow_state_expired: 422,
  bad_code_verifier: 400,
  manual_linking_disabled: 404,
  mfa_factor_not_found: 404,
} as const

export type AuthErrorCode = keyof typeof statuses

/** A refusal in GoTrue's words: `{code: HTTP status, error_code, msg}`. */
export class AuthError extends Refusal {
  readonly errorCode: AuthErrorCode
  constructor(
    errorCode: AuthErrorCode,
    message: string,
    extra: Readonly<Record<string, unknown>> = {},
    status: number = statuses[errorCode],
  ) {
    super(status, { message, ...extra })
    this.errorCode = errorCode
  }

  /** GoTrue changed its shape in 2024; a client asks for the newer one with a header (supabase-js does). */
  body(newShape: boolean): Record<string, unknown> {
    const { message, ...extra } = { message: this.message, ...asRecord(this.reply.body) }
    return newShape
      ? { code: this.errorCode, message, ...extra }
      : { code: this.reply.status, error_code: this.errorCode, msg: message, ...extra }
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
