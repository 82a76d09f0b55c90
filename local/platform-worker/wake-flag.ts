/**
 * The flag and the latch with which commits wake pg_net's worker. Only raising a lowered flag ends a wait, and the worker
 * lowers it only when it has nothing left to do. So the first wake after that is noticed at once, and those that follow
 * while the worker is still busy are noticed when its sleep is over.
 */
export class WakeFlag {
  // Up at first, as in the real one: what was queued before this worker began is to be sent.
  #raised = true
  /** A wait that begins after the latch was set ends at once. */
  #latched = false
  #endWait: () => void = () => undefined

  constructor(stopping: AbortSignal) {
    stopping.addEventListener('abort', () => this.interrupt(), { once: true })
  }

  raise(): void {
    if (!this.#raised) this.interrupt()
  }

  /** Raises the flag, and ends the wait in any case. */
  interrupt(): void {
    this.#raised = true
    this.#latched = true
    this.#endWait()
  }

  /** @returns whether the flag was up */
  lower(): boolean {
    const raised = this.#raised
    this.#raised = false
    return raised
  }

  /** Until the latch is set, or `milliseconds` have passed. */
  async wait(milliseconds?: number): Promise<void> {
    if (!this.#latched)
      await new Promise<void>((resolve) => {
        const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
        this.#endWait = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    this.#endWait = () => undefined
    this.#latched = false
  }
}
