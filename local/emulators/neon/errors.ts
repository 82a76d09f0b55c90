/** A refusal in Neon's terms; becomes `{request_id, code, message}` with this status. */
export class NeonApiError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, code = '', headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

export const notFound = (what: string) => new NeonApiError(404, `${what} not found`)

export const projectBusy = () =>
  new NeonApiError(
    423,
    'project already has running conflicting operations, scheduling of new ones is prohibited',
  )

export const projectsLimitExceeded = (limit: number, have: number) =>
  new NeonApiError(422, `projects limit of ${limit} exceeded, got ${have}`, 'PROJECTS_LIMIT_EXCEEDED')

/** Neon's wording for a project whose quota is used up, in replies and in refused connections alike. */
export const QUOTA_MESSAGE =
  'Your account or project has exceeded the compute time quota. Upgrade your plan to increase limits.'

/** A refusal in the form of Postgres' FATAL error. */
export class ConnectionRefusal extends Error {
  readonly sqlState: string
  constructor(sqlState: string, message: string) {
    super(message)
    this.sqlState = sqlState
  }
}
