import { setTimeout as sleep } from 'node:timers/promises'

/** Unreferenced: a long pause does not keep the process of a stopped emulator alive. */
export async function pause(milliseconds: number): Promise<void> {
  if (milliseconds > 0) await sleep(milliseconds, undefined, { ref: false })
}
