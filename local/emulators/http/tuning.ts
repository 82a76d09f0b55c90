/** A change of timings or limits that was refused; the message names the field. */
export class InvalidTuningError extends Error {
  readonly code = 'INVALID_TUNING'
}

export interface Tunable {
  readonly values: object
  /** @throws InvalidTuningError, having changed nothing. */
  change(changes: unknown): object
}

/**
 * Named numbers, none negative, that can be changed while the emulator runs. Over HTTP null stands for
 * "unlimited", which JSON cannot write as Infinity.
 */
export class Tuning<T extends { [K in keyof T]: number }> implements Tunable {
  readonly values: T
  readonly #onChange: () => void

  constructor(defaults: T, given: Partial<T> | undefined, onChange: () => void = () => undefined) {
    this.values = { ...defaults, ...given }
    this.#onChange = onChange
  }

  change(changes: unknown): T {
    if (typeof changes !== 'object' || changes === null) throw new InvalidTuningError('Send a JSON object.')
    const checked = Object.entries(changes).map(([name, value]) => [name, this.#check(name, value)] as const)
    Object.assign(this.values, Object.fromEntries(checked))
    this.#onChange()
    return this.values
  }

  #check(name: string, value: unknown): number {
    if (!Object.hasOwn(this.values, name)) {
      throw new InvalidTuningError(`${name}: unknown; there are ${Object.keys(this.values).join(', ')}.`)
    }
    if (value === null) return Number.POSITIVE_INFINITY
    if (typeof value !== 'number' || Number.isNaN(value) || value < 0) {
      throw new InvalidTuningError(`${name}: must be a number of 0 or more, or null for unlimited.`)
    }
    return value
  }
}
