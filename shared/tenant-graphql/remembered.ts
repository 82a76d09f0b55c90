/** At most so many; what was not asked for the longest time goes first. */
export interface Remembered<Value> {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  delete(key: string): void
  readonly size: number
  entries(): IterableIterator<[string, Value]>
}

export function createRemembered<Value>(most: number): Remembered<Value> {
  // A map keeps the order in which its entries were added.
  const values = new Map<string, Value>()
  return {
    get(key) {
      const value = values.get(key)
      if (value === undefined) return undefined
      values.delete(key)
      values.set(key, value)
      return value
    },
    set(key, value) {
      values.delete(key)
      values.set(key, value)
      if (values.size <= most) return
      const [oldest] = values.keys()
      if (oldest !== undefined) values.delete(oldest)
    },
    delete: (key) => void values.delete(key),
    get size() {
      return values.size
    },
    entries: () => values.entries(),
  }
}
