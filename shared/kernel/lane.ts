import { AsyncLocalStorage } from 'node:async_hooks'

const lanes = new AsyncLocalStorage<string>()

/** Does something for a job in this lane: whatever it calls at a provider heeds the share that the lane leaves to others. */
export function inLane<T>(lane: string, work: () => Promise<T>): Promise<T> {
  return lanes.run(lane, work)
}

/** Of the job for which this code runs; undefined outside of jobs. */
export function currentLane(): string | undefined {
  return lanes.getStore()
}
