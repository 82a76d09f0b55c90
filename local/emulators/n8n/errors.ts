/** A refusal in n8n's terms; becomes `{message}` with this status. */
export class N8nApiError extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

export const notFound = () => new N8nApiError(404, 'Not Found')

export const forbidden = () => new N8nApiError(403, 'Forbidden')

export const badRequest = (message: string) => new N8nApiError(400, message)
