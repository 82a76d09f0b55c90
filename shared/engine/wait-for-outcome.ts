import { setTimeout as sleep } from 'node:timers/promises'

export interface Waiting<State> {
  read(): Promise<State>
  hasEnded(state: State): boolean
  /** 0 reads once. */
  readonly limitMs: number
  readonly pollMs: number
  /** Runs between two looks, for whoever wants to hurry the work on. */
  onWaiting?(state: State): void
}

/** Waits until something has ended, or the time is up. @returns how it stands then */
export async function waitForOutcome<State>(waiting: Waiting<State>): Promise<State> {
  const deadline = performance.now() + waiting.limitMs
  for (;;) {
    const state = await waiting.read()
    if (waiting.hasEnded(state) || performance.now() >= deadline) return state
    waiting.onWaiting?.(state)
    await sleep(waiting.pollMs)
  }
}
