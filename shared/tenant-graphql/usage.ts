/** What one request has cost. */
export interface Usage {
  /** The longest that a connection took to open; a database that sleeps wakes in that time. 0 when none was opened. */
  openedInMs: number
}

/** What a tenant's database may say in one transaction. */
export const MAX_BYTES = 4 * 1024 * 1024
/** What all of them together may have said in transactions that are open: the platform ends a process at 256 MB. */
const MAX_BYTES_TOGETHER = 48 * 1024 * 1024
/** Then nobody is cut who has said less than that. */
const MODEST_BYTES = 512 * 1024

/**
 * Counts what all requests of a process hold.
 * @returns a function that is told of what has come, and of all that has come by then in the same transaction; with a minus when
 *   that has ended. It answers false when it is too much for the others.
 */
export function createBudget(most = MAX_BYTES_TOGETHER): (count: number, soFar: number) => boolean {
  let held = 0
  return (count, soFar) => {
    held += count
    return held <= most || soFar <= MODEST_BYTES
  }
}
