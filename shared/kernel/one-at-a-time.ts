/**
 * @returns a function that starts the work, or makes sure that work under way is followed by another round: what was due when
 * it was called may have fallen due behind the back of the one that is ending. Resolves when there is no more to follow.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined
  let again = false
  const rounds = async () => {
    try {
      do {
        again = false
        await work()
      } while (again)
    } finally {
      // In the same breath as the last look at `again`.
      current = undefined
    }
  }
  return () => {
    again = true
    current ??= rounds()
    return current
  }
}
