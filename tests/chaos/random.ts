/**
 * A stream of random numbers that is the same for the same seed, on every machine (mulberry32). Only what is decided up
 * front comes from here: how threads and processes interleave is the machine's, and different every time.
 */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number from low to high, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** @throws RangeError for an empty list */
  pick<T>(list: readonly T[]): T {
    const index = this.between(0, list.length - 1)
    const picked = list[index]
    if (picked === undefined) throw new RangeError('There is nothing to pick from.')
    return picked
  }

  shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((item) => ({ item, order: this.next() }))
      .sort((one, other) => one.order - other.order)
      .map(({ item }) => item)
  }

  /** A stream of its own, so that drawing more numbers for one thing leaves the others as they were. */
  fork(label: string): Dice {
    let hash = this.#state
    for (const letter of label) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193)
    return new Dice(hash)
  }
}
