/** What axios, which Neon's client is built on, throws; without a response when none came. */
export interface HttpError {
  readonly isAxiosError: true
  readonly response?: {
    readonly status: number
    readonly headers: Record<string, unknown>
    readonly data: unknown
  }
}

export function isHttpError(error: unknown): error is HttpError {
  return error instanceof Error && 'isAxiosError' in error && error.isAxiosError === true
}

/** For the deletion of what may be gone already. @throws every other error */
export function unlessGone(error: unknown): void {
  if (!isHttpError(error) || error.response?.status !== 404) throw error
}
