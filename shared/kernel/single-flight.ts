/** One read at a time, for all who ask while it is under way. */
export interface SingleFlight<T> {
  /** The read that is under way, or a new one. @throws what the read throws, to all who wait for it */
  read(): Promise<T>
  /** Undefined when nobody reads. */
  underWay(): Promise<T> | undefined
}

export function createSingleFlight<T>(read: () => Promise<T>): SingleFlight<T> {
  let current: Promise<T> | undefined
  return {
    read() {
      current ??= read().finally(() => {
        current = undefined
      })
      return current
    },
    underWay: () => current,
  }
}
