import { AsyncLocalStorage } from 'node:async_hooks'

const running = new AsyncLocalStorage<string>()

/** Does the work of one request. All that is refused in it is logged, and told to the caller, under one new id. */
export function withRequestId<T>(work: () => Promise<T>): Promise<T> {
  return running.run(crypto.randomUUID(), work)
}

/** The id of the request in which this is done, if it is done in one. */
export function currentRequestId(): string | undefined {
  return running.getStore()
}

/** The id of the request that is at work; a new one where the platform has lost sight of it, as in a stream that is read later. */
export function requestId(): string {
  return running.getStore() ?? crypto.randomUUID()
}
