import { log } from './log.ts'

/**
 * Lets work go on after the reply. On the Edge runtime the function is kept alive for it; elsewhere the process is.
 * Trouble goes to the log: nobody is waiting for it any more, and the rows say where the work stands.
 */
export function inBackground(work: Promise<void>): void {
  const settled = work.catch((error: unknown) => log.error('background work ended early', {}, error))
  const runtime = (globalThis as { EdgeRuntime?: { waitUntil(promise: Promise<unknown>): void } }).EdgeRuntime
  runtime?.waitUntil(settled)
}
