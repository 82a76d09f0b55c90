/** How often each operation was called, for a provider's statistics. */
export class CallCounts {
  readonly #calls: Record<string, number> = {}

  /** As ControlledEmulator wants it. */
  readonly count = (operation: string): void => {
    this.#calls[operation] = (this.#calls[operation] ?? 0) + 1
  }

  /** By the provider's own names of operations; a snapshot. */
  get calls(): Readonly<Record<string, number>> {
    return { ...this.#calls }
  }
}
