/** Counts by name, in the order in which the names first came up. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count)
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  toObject(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
