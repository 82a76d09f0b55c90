import { AuthClient, type AuthError, type Session } from '@supabase/auth-js'
import { useSyncExternalStore } from 'react'
import { failedFetch } from '../components/tenants/lib/api.ts'
import type { Config } from './config.ts'

/** Somebody whose session has ended though they have not signed out. */
export interface Lost {
  readonly userId: string
  readonly email: string
}

/** Signs people in and out. The session is kept by auth-js alone. */
export interface Auth {
  readonly client: InstanceType<typeof AuthClient>
  /** @param refused a token that the project takes no longer, though it has not expired here */
  getAccessToken(refused?: string): Promise<string | null>
  /** The session now; undefined until it is known. */
  session(): Session | null | undefined
  /** Who was signed in on this page until the session ended, and may go on where they were. */
  lost(): Lost | undefined
  /** Whether somebody has been signed in since the page was opened. */
  hadSession(): boolean
  subscribe(listener: () => void): () => void
  /** In all tabs. */
  signOut(): Promise<void>
  /** Whether the page was opened by a link to choose another password. */
  isRecovering(): boolean
  /** Another password was chosen. */
  recovered(): void
}

interface Listeners {
  /** What one person has read is not shown to the next. */
  forget(): void
  /** The same person is there again: what could not be read meanwhile can be. */
  goOn(): void
}

/** Tells the other tabs that somebody has left, and has not lost their session. */
const LEFT = 'console-left'

export function createAuth({ url, publishableKey }: Config, { forget, goOn }: Listeners): Auth {
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
  let lost: Lost | undefined
  let hadSession = false
  let isRecovering = false
  let isLeaving = false
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of listeners) listener()
  }
  const others = new BroadcastChannel(LEFT)
  const leave = () => {
    isLeaving = true
    lost = undefined
    if (current === null) forget()
  }
  others.onmessage = () => {
    leave()
    tell()
  }
  client.onAuthStateChange((event, session) => {
    if (event === 'PASSWORD_RECOVERY') isRecovering = true
    if (event === 'SIGNED_OUT') isRecovering = false
    if (session) {
      const before = current?.user.id ?? lost?.userId
      if (before !== undefined && before !== session.user.id) forget()
      else if (lost) goOn()
      lost = undefined
      isLeaving = false
      hadSession = true
    } else if (current && !isLeaving) lost = { userId: current.user.id, email: current.user.email ?? '' }
    else if (event === 'SIGNED_OUT' && !lost) forget()
    current = session
    tell()
  })
  return {
    client,
    getAccessToken: async (refused) => {
      const { data: found, error: reason } = await client.getSession()
      // A session that has to be renewed first, and cannot be at the moment, has not ended.
      if (reason?.name === 'AuthRetryableFetchError') throw failedFetch(reason, undefined)
      const { session } = found
      if (!session || session.access_token !== refused) return session?.access_token ?? null
      const { data, error } = await client.refreshSession()
      // auth-js keeps a session whose token has not expired by the clock here. It is of no use any more.
      if (error && error.name !== 'AuthRetryableFetchError') await client.signOut({ scope: 'local' })
      return data.session?.access_token ?? null
    },
    session: () => current,
    lost: () => lost,
    hadSession: () => hadSession,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    signOut: async () => {
      leave()
      others.postMessage(null)
      await client.signOut({ scope: 'local' })
      tell()
    },
    isRecovering: () => isRecovering,
    recovered: () => {
      isRecovering = false
    },
  }
}

export function useLost(auth: Auth): Lost | undefined {
  return useSyncExternalStore(auth.subscribe, auth.lost)
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
  const known = MESSAGES[error.code ?? '']
  if (known) return known
  // Auth says the rest in sentences; what stands between may answer with anything.
  return /^[A-Z][^{}<>]+$/.test(error.message)
    ? error.message
    : 'That was refused. Try again, or ask the support.'
}
