export interface Waiting<State> {
  /** How it stands now. */
  read(): Promise<State>
  /** How it stands a little later; undefined when the signal has ended the wait. */
  readLater(signal: AbortSignal): Promise<State | undefined>
  hasEnded(state: State): boolean
  /** 0 reads once. */
  readonly limitMs: number
  /** Ends the wait of a client that has gone. */
  readonly signal: AbortSignal
  /** Runs between two looks, for whoever wants to hurry the work on. */
  onWaiting?(state: State): void
}

/** Waits until something has ended, the time is up, or nobody waits any more. @returns how it stood at the last look */
export async function waitForOutcome<State>(waiting: Waiting<State>): Promise<State> {
  const deadline = performance.now() + waiting.limitMs
  let state = await waiting.read()
  while (!waiting.hasEnded(state) && performance.now() < deadline) {
    waiting.onWaiting?.(state)
    const next = await waiting.readLater(waiting.signal)
    if (next === undefined) return state
    state = next
  }
  return state
}
