import type { IncomingMessage } from 'node:http'

export interface ProviderRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** The vendor's operation id, or undefined for an address that it does not have. */
  readonly operation: string | undefined
  readonly requestId: string
}

export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Undefined for none. */
  readonly body: unknown
}
