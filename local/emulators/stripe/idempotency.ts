import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Reply } from '../http/exchange.ts'
import type { JournalEntry } from '../journal.ts'
import { StripeApiError } from './errors.ts'
import type { Parameter, ParameterHash } from './parameters.ts'

interface SavedReply {
  readonly fingerprint: string
  readonly at: number
  readonly requestId: string
  readonly status: number
  readonly body: unknown
}

const KEPT_MS = 24 * 60 * 60 * 1000
const MAX_KEY = 255

/** Replies by Idempotency-Key, kept for 24 hours. */
export class IdempotencyKeys {
  readonly #clock: Clock
  readonly #saved = new Map<string, SavedReply>()
  readonly #underWay = new Set<string>()

  constructor(entries: readonly JournalEntry[], clock: Clock) {
    this.#clock = clock
    for (const { type, id, value } of entries) {
      // Written by this class alone, so the journal is trusted to hold what it says.
      if (type === 'idempotency_key') this.#saved.set(id, value as SavedReply)
    }
  }

  /**
   * The reply to repeat, or undefined when the request is to be performed; then the key is taken until `release`.
   * @throws StripeApiError 400 for other parameters than the first time, 409 while the first one is under way
   */
  take(key: string, fingerprint: string): Reply | undefined {
    if (key.length > MAX_KEY) throw tooLong(key)
    this.#prune()
    if (this.#underWay.has(key)) throw inUse(key)
    const saved = this.#saved.get(key)
    if (saved === undefined) {
      this.#underWay.add(key)
      return undefined
    }
    if (saved.fingerprint !== fingerprint) throw otherParameters(key)
    return {
      status: saved.status,
      headers: { 'idempotent-replayed': 'true', 'original-request': saved.requestId },
      body: saved.body,
    }
  }

  release(key: string): void {
    this.#underWay.delete(key)
  }

  /** Remembers a reply and hands back its line for the journal. */
  save(key: string, fingerprint: string, requestId: string, reply: Reply): JournalEntry {
    const value = { fingerprint, at: this.#clock(), requestId, status: reply.status, body: reply.body }
    this.#saved.set(key, value)
    return { type: 'idempotency_key', id: key, value }
  }

  /** The oldest come first in the map, so this stops at the first one that is still good. */
  #prune(): void {
    for (const [key, { at }] of this.#saved) {
      if (at + KEPT_MS > this.#clock()) return
      this.#saved.delete(key)
    }
  }
}

/** The same for the same request, in whatever order its parameters come. */
export function requestFingerprint(method: string, path: string, parameters: ParameterHash): string {
  return createHash('sha256')
    .update(JSON.stringify([method, path, sorted(parameters)]))
    .digest('base64url')
}

function sorted(value: Parameter): unknown {
  if (typeof value === 'string') return value
  return Object.keys(value)
    .sort()
    .map((name) => [name, sorted(value[name] ?? '')])
}

function inUse(key: string): StripeApiError {
  return new StripeApiError(
    409,
    `There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): ${key}. Please try again later.`,
    { type: 'idempotency_error', code: 'idempotency_key_in_use' },
  )
}

function otherParameters(key: string): StripeApiError {
  return new StripeApiError(
    400,
    `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}' if you meant to execute a different request.`,
    { type: 'idempotency_error' },
  )
}

function tooLong(key: string): StripeApiError {
  return new StripeApiError(
    400,
    `Idempotency keys can be up to ${MAX_KEY} characters long; this one has ${key.length}.`,
    { type: 'idempotency_error' },
  )
}
