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
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 15_000
const ENDED = ['READY', 'FAILED', 'CANCELLED']

/** How an organization's provisioning stands, live for as long as the page is looked at. One stream for each use. */
export function useLiveProgress(access: ProjectAccess, organizationId: string): LiveProgress {
  const [progress, setProgress] = useState<ProgressFragment>()
  const [seenAt, setSeenAt] = useState<number>()
  const [liveness, setLiveness] = useState<Liveness>('connecting')
  const [error, setError] = useState<ApiError>()
  const [round, setRound] = useState(0)
  const accessRef = useRef(access)
  accessRef.current = access

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round starts the stream anew
  useEffect(() => {
    let pauseMs = FIRST_PAUSE_MS
    let timer: ReturnType<typeof setTimeout> | undefined
    let stream: AbortController | undefined
    let isOver = false

    const take = (next: ProgressFragment) => {
      pauseMs = FIRST_PAUSE_MS
      setProgress(next)
      setSeenAt(Date.now())
      setError(undefined)
    }
    const again = () => {
      if (isOver || document.hidden) return
      setLiveness('waiting')
      timer = setTimeout(listen, pauseMs)
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
    const listen = async () => {
      clearTimeout(timer)
      stream?.abort()
      const own = new AbortController()
      stream = own
      setLiveness('connecting')
      try {
        const last = await follow(accessRef.current, organizationId, own.signal, (next) => {
          take(next)
          setLiveness(ENDED.includes(next.overall) ? 'ended' : 'live')
        })
        if (own.signal.aborted) return
        if (last && ENDED.includes(last.overall)) setLiveness('ended')
        else again()
      } catch (cause) {
        if (own.signal.aborted) return
        if (cause instanceof ApiError) setError(cause)
        if (cause instanceof ApiError && FINAL.includes(cause.code)) setLiveness('ended')
        else again()
      }
    }
    const look = () => {
      clearTimeout(timer)
      if (document.hidden) {
        stream?.abort()
        setLiveness('hidden')
      } else void listen()
    }
    const lose = () => {
      stream?.abort()
      again()
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
      stream?.abort()
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('offline', lose)
      window.removeEventListener('online', look)
      window.removeEventListener('pageshow', look)
    }
  }, [organizationId, round])

  return {
    progress: progress?.organizationId === organizationId ? progress : undefined,
    seenAt,
    liveness,
    error,
    refresh: () => setRound((count) => count + 1),
    take: (next) => {
      setProgress(next)
      setSeenAt(Date.now())
    },
  }
}

/** Asking again changes nothing of these. */
const FINAL = ['organization_not_found', 'forbidden', 'signed_out', 'invalid_argument']

/** Follows it until the stream ends. Where no stream comes through, the state is read once. @throws ApiError, or Error when it breaks */
async function follow(
  access: ProjectAccess,
  organizationId: string,
  signal: AbortSignal,
  onProgress: (progress: ProgressFragment) => void,
): Promise<ProgressFragment | undefined> {
  const response = await post(access, PROVISIONING_PROGRESS, { organizationId }, 'text/event-stream', signal)
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
