/** A refusal in the API's terms; becomes `{message}` with this status. */
export class SupabaseApiError extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

export const unauthorized = () => new SupabaseApiError(401, 'Unauthorized')

export const forbidden = () =>
  new SupabaseApiError(
    403,
    'Your account does not have the necessary privileges to access this endpoint. For more details, refer to our documentation https://supabase.com/docs/guides/platform/access-control',
  )

export const notFound = (what: string) => new SupabaseApiError(404, `${what} not found`)

export const tooManyRequests = (headers: Readonly<Record<string, string>>) =>
  new SupabaseApiError(429, 'ThrottlerException: Too Many Requests', headers)

export const freeProjectLimit = (limit: number) =>
  new SupabaseApiError(
    400,
    'The following organization members have reached their maximum limits for the number of active free projects within ' +
      `organizations where they are an administrator or owner: local-emulator (${limit} project limit). To continue, these ` +
      'users will need to either delete, pause or upgrade one or more of these projects.',
  )

export const instanceSizeRefused = () =>
  new SupabaseApiError(402, 'Instance size cannot be specified for free plan organizations.')

/** The vendor's wording for this one is not known. */
export const paymentRequired = () =>
  new SupabaseApiError(402, 'The organization has overdue invoices. Pay them to create projects.')

/** Projects of paid plans cannot be paused. The vendor's wording is not known. */
export const pauseRefused = () =>
  new SupabaseApiError(400, 'Projects in organizations on a paid plan cannot be paused.')

export const notPausable = (status: string) =>
  new SupabaseApiError(400, `This project cannot be paused, it is ${status}`)

export const notPaused = (status: string) =>
  new SupabaseApiError(400, `This project is no longer in a paused state, it is ${status}`)
