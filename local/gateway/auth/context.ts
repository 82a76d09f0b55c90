import type { Sql } from 'postgres'
import type { Callers } from '../callers.ts'
import type { ProjectKeys } from '../keys.ts'
import type { Mailbox } from './mailbox.ts'
import type { TokenSigner } from './sessions.ts'

export interface AuthSettings {
  /** False: an address must be confirmed with the link or code in the mailbox before a sign-in. */
  readonly autoConfirm: boolean
  readonly accessTokenSeconds: number
  readonly anonymousEnabled: boolean
  /** Where links in mails lead when the client names no other place. */
  readonly siteUrl: string
  /** Cost of a password hash as a power of two; 10 is GoTrue's, 6 makes thousands of sign-ups bearable. */
  readonly bcryptCost: number
}

export interface AuthContext {
  /** Connected as supabase_auth_admin. */
  readonly sql: Sql
  readonly keys: ProjectKeys
  readonly callers: Callers
  readonly signer: TokenSigner
  readonly settings: AuthSettings
  readonly mailbox: Mailbox
  readonly log: (text: string) => void
}
