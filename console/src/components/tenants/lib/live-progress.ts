import { useEffect, useRef, useState } from 'react'
import {
  PROVISIONING_PROGRESS,
  PROVISIONING_STATUS,
  type ProgressFragment,
  type ProvisioningProgressSubscription,
} from '../generated/operations'
import { ApiError, type ProjectAccess, post, request, resultOf } from './api'
import { eventsOf } from './event-stream'

/**
 * live: whatever happens is shown at once. connecting: it is about to be. waiting: the connection was lost, and the next try comes.
 * hidden: the page is not looked at. ended: nothing more will happen by itself.
 */
export type Liveness = 'live' | 'connecting' | 'waiting' | 'hidden' | 'ended'

export interface LiveProgress {
  readonly progress: ProgressFragment | undefined
  /** When the newest state came. */
  readonly seenAt: number | undefined
  readonly liveness: Liveness
  readonly error: ApiError | undefined
  /** Looks again at once. */
  refresh(): void
  /** Takes a state that came another way, such as the answer to a retry. */
  take(progress: ProgressFragment): void
}

/** The server says something at least every 12 seconds. */
const SILENCE_MS = 30_000
/** Whoever accepts a connection and says nothing has this long. */
const ANSWER_MS = 10_000
/** While nothing comes by itself, the state is asked for this often. */
const POLL_MS = 5_000
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 15_000
const ENDED = ['READY', 'FAILED', 'CANCELLED']

/** How an organization's provisioning stands, live for as long as the page is looked at. One stream for each use. */
export function useLiveProgress(access: ProjectAccess, organizationId: string): LiveProgress {
  const [progress, setProgress] = useState<ProgressFragment>()
  const [seenAt, setSeenAt] = useState<number>()
  const [liveness, setLiveness] = useState<Liveness>('connecting')
  const [error, setError] = useState<ApiError>()
  const accessRef = useRef(access)
  accessRef.current = access
  const refreshRef = useRef<() => void>(undefined)

  useEffect(() => {
    let pauseMs = FIRST_PAUSE_MS
    let timer: ReturnType<typeof setTimeout> | undefined
    let pollTimer: ReturnType<typeof setTimeout> | undefined
    let stream: AbortController | undefined
    let isOver = false
    /** Since the connection was lost, until it is there again. */
    let isLost = false

    const take = (next: ProgressFragment) => {
      setProgress(next)
      setSeenAt(Date.now())
      setError(undefined)
    }
    const poll = async () => {
      clearTimeout(pollTimer)
      if (isOver || document.hidden || !isLost) return
      const next = await readOnce(accessRef.current, organizationId)
      if (isOver || document.hidden || !isLost) return
      if (next) take(next)
      if (next && ENDED.includes(next.overall)) {
        close()
        clearTimeout(timer)
        setLiveness('ended')
      } else pollTimer = setTimeout(poll, POLL_MS)
    }
    const again = () => {
      if (isOver || document.hidden) return
      isLost = true
      setLiveness('waiting')
      clearTimeout(timer)
      timer = setTimeout(listen, pauseMs)
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      void poll()
    }
    const listen = async () => {
      clearTimeout(timer)
      stream?.abort()
      const own = new AbortController()
      stream = own
      if (!isLost) setLiveness('connecting')
      try {
        const last = await follow(accessRef.current, organizationId, own, (next) => {
          if (own.signal.aborted) return
          isLost = false
          pauseMs = FIRST_PAUSE_MS
          take(next)
          setLiveness(ENDED.includes(next.overall) ? 'ended' : 'live')
        })
        if (own.signal.aborted) return
        if (last && ENDED.includes(last.overall)) setLiveness('ended')
        else again()
      } catch (cause) {
        if (stream !== own) return
        // A half-open connection is not kept beside the next one.
        own.abort()
        setError(cause instanceof ApiError ? cause : new ApiError('Nobody answers.', 'unreachable'))
        if (cause instanceof ApiError && FINAL.includes(cause.code)) setLiveness('ended')
        else again()
      }
    }
    const look = () => {
      clearTimeout(timer)
      if (document.hidden) {
        close()
        setLiveness('hidden')
      } else void listen()
    }
    const close = () => {
      const open = stream
      stream = undefined
      open?.abort()
    }
    const lose = () => {
      close()
      again()
    }
    refreshRef.current = () => {
      isLost = false
      pauseMs = FIRST_PAUSE_MS
      look()
    }
    document.addEventListener('visibilitychange', look)
    // A stream may look alive for a while after the network has gone.
    window.addEventListener('offline', lose)
    window.addEventListener('online', look)
    window.addEventListener('pageshow', look)
    look()
    return () => {
      isOver = true
      clearTimeout(timer)
      clearTimeout(pollTimer)
      close()
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('offline', lose)
      window.removeEventListener('online', look)
      window.removeEventListener('pageshow', look)
    }
  }, [organizationId])

  return {
    progress: progress?.organizationId === organizationId ? progress : undefined,
    seenAt,
    liveness,
    error,
    refresh: () => refreshRef.current?.(),
    take: (next) => {
      setProgress(next)
      setSeenAt(Date.now())
    },
  }
}

/** Asking again changes nothing of these. Who is signed out may sign in again beside. */
const FINAL = ['organization_not_found', 'forbidden', 'invalid_argument']

/** The state, or undefined when it cannot be had in time. */
async function readOnce(
  access: ProjectAccess,
  organizationId: string,
): Promise<ProgressFragment | undefined> {
  const own = new AbortController()
  const timer = setTimeout(() => own.abort(), ANSWER_MS)
  try {
    const { provisioningStatus } = await request(access, PROVISIONING_STATUS, { organizationId }, own.signal)
    return provisioningStatus ?? undefined
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

/** Follows it until the stream ends. Where no stream comes through, the state is read once. @throws ApiError, or Error when it breaks */
async function follow(
  access: ProjectAccess,
  organizationId: string,
  own: AbortController,
  onProgress: (progress: ProgressFragment) => void,
): Promise<ProgressFragment | undefined> {
  const { signal } = own
  const timer = setTimeout(() => own.abort(new Error('Nobody answers.')), ANSWER_MS)
  const response = await post(
    access,
    PROVISIONING_PROGRESS,
    { organizationId },
    'text/event-stream',
    signal,
  ).finally(() => clearTimeout(timer))
  if (!response.headers.get('content-type')?.includes('text/event-stream') || !response.body) {
    const reply = await response.json().catch(() => ({}))
    resultOf(reply, response)
    const { provisioningStatus } = await request(access, PROVISIONING_STATUS, { organizationId }, signal)
    if (provisioningStatus) onProgress(provisioningStatus)
    return provisioningStatus ?? undefined
  }
  let last: ProgressFragment | undefined
  for await (const { event, data } of eventsOf(response.body, SILENCE_MS)) {
    if (event === 'complete') break
    if (event !== 'next' || data === '') continue
    const result = resultOf<ProvisioningProgressSubscription>(JSON.parse(data), response)
    last = result.provisioningProgress
    onProgress(last)
  }
  return last
}
