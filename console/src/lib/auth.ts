import { AuthClient, type AuthError, type Session } from '@supabase/auth-js'
import { useSyncExternalStore } from 'react'
import type { Config } from './config.ts'

/** Signs people in and out. The session is kept by auth-js alone. */
export interface Auth {
  readonly client: InstanceType<typeof AuthClient>
  getAccessToken(): Promise<string | null>
  /** The session now; undefined until it is known. */
  session(): Session | null | undefined
  subscribe(listener: () => void): () => void
  /** Whether the page was opened by a link to choose another password. */
  isRecovering(): boolean
  /** Another password was chosen. */
  recovered(): void
}

export function createAuth({ url, publishableKey }: Config): Auth {
  const client = new AuthClient({
    url: `${url}/auth/v1`,
    headers: { apikey: publishableKey },
    storageKey: 'console-session',
    flowType: 'pkce',
    detectSessionInUrl: true,
    autoRefreshToken: true,
    persistSession: true,
  })
  let current: Session | null | undefined
  let isRecovering = false
  const listeners = new Set<() => void>()
  client.onAuthStateChange((event, session) => {
    if (event === 'PASSWORD_RECOVERY') isRecovering = true
    if (event === 'SIGNED_OUT') isRecovering = false
    current = session
    for (const listener of listeners) listener()
  })
  return {
    client,
    getAccessToken: async () => (await client.getSession()).data.session?.access_token ?? null,
    session: () => current,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    isRecovering: () => isRecovering,
    recovered: () => {
      isRecovering = false
    },
  }
}

export function useSession(auth: Auth): Session | null | undefined {
  return useSyncExternalStore(auth.subscribe, auth.session)
}

const MESSAGES: Readonly<Record<string, string>> = {
  invalid_credentials: 'The e-mail address or the password is wrong.',
  email_not_confirmed: 'Confirm your e-mail address first: open the link in the mail that we sent.',
  user_already_exists: 'There is an account with this address already. Sign in instead.',
  weak_password: 'This password is too easy to guess. Take a longer one.',
  same_password: 'This is your present password. Choose another one.',
  over_email_send_rate_limit: 'Too many mails were asked for. Try again in some minutes.',
  over_request_rate_limit: 'Too many attempts. Try again in some minutes.',
  user_banned: 'This account is blocked. Ask your administrator.',
  signup_disabled: 'Nobody can sign up here at the moment.',
}

/** What a person is told of a refusal by Auth. */
export function authErrorText(error: AuthError): string {
  if (error.name === 'AuthRetryableFetchError')
    return navigator.onLine ? 'The project does not answer. Try again shortly.' : 'You are offline.'
  return MESSAGES[error.code ?? ''] ?? error.message
}
