export interface SharedReads<Key, State> {
  /** What the next read says of it; undefined when the signal has ended the wait. @throws what the read has thrown */
  next(key: Key, signal?: AbortSignal): Promise<State | undefined>
}

interface Waiter<Key, State> {
  readonly key: Key
  resolve(state: State | undefined): void
  reject(error: unknown): void
}

/**
 * One poll for whoever waits in this process: every so often one read for all of them, a new one when the last has ended, and
 * none while nobody waits. So a thousand who wait keep one connection busy at most, and those who ask something else have the rest.
 * @param read answers in the order of the keys
 */
export function createSharedReads<Key, State>(
  pollMs: number,
  read: (keys: readonly Key[]) => Promise<readonly State[]>,
): SharedReads<Key, State> {
  const waiting = new Set<Waiter<Key, State>>()
  let isPlanned = false

  const plan = () => {
    if (isPlanned || waiting.size === 0) return
    isPlanned = true
    setTimeout(() => void readForAll(), pollMs)
  }
  const readForAll = async () => {
    const waiters = [...waiting]
    waiting.clear()
    try {
      const states = waiters.length > 0 ? await read(waiters.map(({ key }) => key)) : []
      for (const [index, waiter] of waiters.entries()) waiter.resolve(states[index])
    } catch (error) {
      for (const waiter of waiters) waiter.reject(error)
    }
    isPlanned = false
    plan()
  }

  return {
    async next(key, signal) {
      if (signal?.aborted) return undefined
      const { promise, ...settle } = Promise.withResolvers<State | undefined>()
      const waiter = { key, ...settle }
      const stop = () => {
        waiting.delete(waiter)
        waiter.resolve(undefined)
      }
      signal?.addEventListener('abort', stop, { once: true })
      waiting.add(waiter)
      plan()
      return promise.finally(() => signal?.removeEventListener('abort', stop))
    },
  }
}
