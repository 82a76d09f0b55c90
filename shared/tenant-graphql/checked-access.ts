import type { Access, Checked } from './access.ts'
import { createRemembered } from './remembered.ts'

/** Beyond that many in use at once the database is asked more often. */
const MOST = 5_000

interface Entry {
  readonly answer: Promise<Access>
  /** Until the answer has come: whoever asks meanwhile shares it. */
  endsAt: number
}

/**
 * Remembers who may come in for as long as the answer says, counted from when the question was asked: what has been revoked
 * since then is let in for no longer. Answers that refuse, and failures, are not remembered, so that nobody is let in when the
 * database does not answer.
 */
export function createCheckedAccess(
  now: () => number = () => performance.now(),
): (key: string, check: () => Promise<Checked>) => Promise<Access> {
  const entries = createRemembered<Entry>(MOST)
  return (key, check) => {
    const known = entries.get(key)
    if (known && known.endsAt > now()) return known.answer
    const askedAt = now()
    const answer = check().then(
      ({ access, goodForMs }) => {
        entry.endsAt = askedAt + goodForMs
        return access
      },
      (error: unknown) => {
        if (entries.get(key) === entry) entries.delete(key)
        throw error
      },
    )
    const entry: Entry = { answer, endsAt: askedAt + SHARED_MS }
    entries.set(key, entry)
    return answer
  }
}

/** Whoever comes later than that asks anew, however long the answer takes. */
const SHARED_MS = 900
