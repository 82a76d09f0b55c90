import type { Clock } from '../clock.ts'
import type { Journal, JournalEntry } from '../journal.ts'
import { StripeApi } from './api.ts'
import { CustomerStore } from './customer-store.ts'
import { IdempotencyKeys } from './idempotency.ts'

/** What a key opens: an account in one of its two modes. Each has customers, idempotency keys and a rate limit of its own. */
export interface Place {
  readonly account: string
  readonly livemode: boolean
}

export interface AccountsParts {
  /** The key of the emulator's own account. */
  readonly apiKey: string
  readonly journal: Journal
  readonly entries: readonly JournalEntry[]
  readonly clock: Clock
  readonly searchLagMs: () => number
  /** How long a request takes to execute. */
  readonly pause: () => Promise<void>
}

interface Ledger {
  readonly api: StripeApi
  readonly customers: CustomerStore
}

const OWN_ACCOUNT = 'acct_local'

/** Which key opens which account and mode, and what is in them. */
export class Accounts {
  readonly #parts: AccountsParts
  readonly #own: Place
  readonly #places = new Map<string, Place>()
  readonly #ledgers = new Map<string, Ledger>()

  constructor(parts: AccountsParts) {
    this.#parts = parts
    this.#own = { account: OWN_ACCOUNT, livemode: parts.apiKey.includes('_live_') }
    this.giveKey(parts.apiKey, {})
  }

  /** Lets a key open another place from now on; what is left out is as for the emulator's own key. */
  giveKey(key: string, place: Partial<Place>): void {
    this.#places.set(key, { ...this.#own, ...place })
  }

  /** Undefined for a key that nobody has. */
  apiOf(key: string): StripeApi | undefined {
    const place = this.#places.get(key)
    return place && this.#ledgerOf(place).api
  }

  #ledgerOf(place: Place): Ledger {
    const name = nameOf(place)
    const ledger = this.#ledgers.get(name) ?? this.#open(place)
    this.#ledgers.set(name, ledger)
    return ledger
  }

  #open(place: Place): Ledger {
    const { journal, entries, clock, searchLagMs, pause } = this.#parts
    // The own account's lines in the file have no suffix.
    const suffix = nameOf(place) === nameOf(this.#own) ? '' : `@${nameOf(place)}`
    const own = entries
      .filter(({ type }) => type.endsWith(suffix) && type.includes('@') === (suffix !== ''))
      .map((entry) => ({ ...entry, type: entry.type.slice(0, entry.type.length - suffix.length) }))
    const customers = new CustomerStore(own, clock, searchLagMs)
    const otherMode = { ...place, livemode: !place.livemode }
    const api = new StripeApi({
      customers,
      keys: new IdempotencyKeys(own, clock),
      journal: {
        append: (added) =>
          journal.append(added.map((entry) => ({ ...entry, type: `${entry.type}${suffix}` }))),
      },
      clock,
      livemode: place.livemode,
      isInOtherMode: (id) => this.#ledgerOf(otherMode).customers.get(id) !== undefined,
      pause,
    })
    return { api, customers }
  }
}

function nameOf({ account, livemode }: Place): string {
  return `${account}/${livemode ? 'live' : 'test'}`
}
